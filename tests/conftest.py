"""Options for all tests; they must be known before the folders that they are for are looked into."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--faults` and `--faults-page`; `--binary`."""
    group = parser.getgroup("faults", "fault experiments")
    group.addoption(
        "--faults", choices=("quick", "all"), default="quick", help="one seed and a small load, or all experiments"
    )
    group.addoption("--faults-page", metavar="FILE", help="write the table of the experiments into this page")
    about = "the one file that the tests in tests/binary are about"
    parser.getgroup("binary").addoption("--binary", metavar="FILE", type=lambda text: Path(text).absolute(), help=about)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The tests of the one file need one."""
    is_without = config.getoption("binary") is None
    return True if is_without and collection_path == Path(__file__).parent / "binary" else None
