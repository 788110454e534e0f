"""Options for all tests; those of the fault experiments must be known before their folder is looked into.

What several test files need stands here too.
"""

import time
from collections.abc import Iterator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--faults` and `--faults-page`."""
    group = parser.getgroup("faults", "fault experiments")
    group.addoption(
        "--faults", choices=("quick", "all"), default="quick", help="one seed and a small load, or all experiments"
    )
    group.addoption("--faults-page", metavar="FILE", help="write the table of the experiments into this page")


@pytest.fixture
def local_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine is in New York, five hours behind UTC."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
