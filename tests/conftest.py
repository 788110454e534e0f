"""Options for all tests; those of the fault experiments must be known before their folder is looked into."""

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--faults` and `--faults-page`."""
    group = parser.getgroup("faults", "fault experiments")
    group.addoption(
        "--faults", choices=("quick", "all"), default="quick", help="one seed and a small load, or all experiments"
    )
    group.addoption("--faults-page", metavar="FILE", help="write the table of the experiments into this page")
