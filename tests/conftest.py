"""Options for all tests; they must be known before the folders that they are for are looked into.

What several test files need stands here too.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.disks import small_disk

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--faults`, `--faults-page`, `--binary` and `--rewrite-screens`."""
    group = parser.getgroup("faults", "fault experiments")
    group.addoption(
        "--faults", choices=("quick", "all"), default="quick", help="one seed and a small load, or all experiments"
    )
    group.addoption("--faults-page", metavar="FILE", help="write the table of the experiments into this page")
    parser.addoption("--rewrite-screens", action="store_true", help="paint the pictures of the terminal UI anew")
    about = "the one file that the tests in tests/binary are about"
    parser.getgroup("binary").addoption("--binary", metavar="FILE", type=lambda text: Path(text).absolute(), help=about)


@pytest.fixture
def local_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine is in New York, five hours behind UTC."""
    yield from _in_zone(monkeypatch, "America/New_York")


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine has the time of UTC."""
    yield from _in_zone(monkeypatch, "UTC")


def _in_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> Iterator[None]:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The tests of the one file need one."""
    is_without = config.getoption("binary") is None
    return True if is_without and collection_path == Path(__file__).parent / "binary" else None


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    with small_disk(tmp_path / "disk", "8m", "-l") as folder:
        yield folder
