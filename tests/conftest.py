"""Options for all tests; those of the fault experiments must be known before their folder is looked into.

What several test files need stands here too.
"""

import time
from collections.abc import Iterator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--faults`, `--faults-page` and `--rewrite-screens`."""
    group = parser.getgroup("faults", "fault experiments")
    group.addoption(
        "--faults", choices=("quick", "all"), default="quick", help="one seed and a small load, or all experiments"
    )
    group.addoption("--faults-page", metavar="FILE", help="write the table of the experiments into this page")
    parser.addoption("--rewrite-screens", action="store_true", help="paint the pictures of the terminal UI anew")


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
