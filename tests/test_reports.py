"""Reports: each record once, whatever comes twice, is missing, or cannot be read. What they mean is told by the
coordinator's tests."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdktr.dispatch import Dispatch
from cdktr.errors import ProtocolError, RefusedError
from cdktr.frames import pack
from cdktr.logs import LogHub
from cdktr.messages import dump
from cdktr.protocol import Report
from cdktr.records import LogChunk
from cdktr.reports import Reports


class Taking(Reports):
    """As the coordinator takes them."""

    def take(self, request: Report) -> int:
        self.meet(request)
        return super().take(request)


class Ears(LogHub):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.marks: dict[str, int] = {}
        self.told: list[str] = []

    def take_chunk(self, chunk: LogChunk) -> None:
        self.lines += chunk.payloads

    def mark(self, source: str, number: int) -> None:
        self.marks[source] = number

    def take_event(self, run_id: str, timestamp_ms: int, kind: str, detail: str) -> None:
        self.told.append(f"{kind}: {detail}")


def record(number: int) -> list[Any]:
    chunk = LogChunk("w", "W", "r", "t", "t-1", 1, "INFO", (str(number),))
    made: list[Any] = json.loads(dump([number, *pack(chunk)]))
    return made


def report(after: int, *numbers: int) -> Report:
    return Report("a", "a/x", after, [record(number) for number in numbers])


@pytest.fixture
def make() -> Callable[..., tuple[Reports, Ears]]:
    def new(**cursors: int) -> tuple[Reports, Ears]:
        ears = Ears()
        return Taking(Dispatch(30), ears, {name.replace("_", "/"): number for name, number in cursors.items()}), ears

    return new


def test_what_was_taken_is_not_taken_again(make: Callable[..., tuple[Reports, Ears]]) -> None:
    reports, ears = make()
    assert reports.take(report(0, 1, 2)) == 2
    assert reports.take(report(0, 1, 2)) == 2
    assert reports.take(report(1, 2, 3)) == 3
    assert reports.take(report(0, 1)) == 1
    assert ears.lines == ["1", "2", "3"]
    assert ears.marks == {"a/x": 3}


def test_numbers_may_have_gaps_but_nothing_may_be_missing(make: Callable[..., tuple[Reports, Ears]]) -> None:
    reports, ears = make()
    reports.take(report(0, 2, 7))
    with pytest.raises(RefusedError, match="What follows record 7 of a/x is missing"):
        reports.take(report(8, 9))
    reports.take(report(7, 20))
    assert ears.lines == ["2", "7", "20"]


def test_what_the_database_has_is_known_from_the_start(make: Callable[..., tuple[Reports, Ears]]) -> None:
    reports, ears = make(a_x=5)
    reports.take(report(3, 4, 5, 6))
    assert ears.lines == ["6"]


def test_an_unknown_source_may_begin_anywhere(make: Callable[..., tuple[Reports, Ears]]) -> None:
    reports, ears = make()
    reports.take(report(41, 42))
    assert ears.lines == ["42"]


@pytest.mark.parametrize("records", [[], [[]], [5], [["x", "logs"]], [[True, "logs"]]])
def test_no_records_or_numbers_is_refused(make: Callable[..., tuple[Reports, Ears]], records: list[Any]) -> None:
    reports, ears = make()
    with pytest.raises((RefusedError, ProtocolError)):
        reports.take(Report("a", "a/x", 0, records))
    with pytest.raises(RefusedError):
        reports.take(Report("a", "a/x", -1, [record(0)]))
    for numbers in ((0,), (1, 1), (3, 2)):
        with pytest.raises(RefusedError, match="numbers grow"):
            reports.take(report(0, *numbers))
    assert (ears.lines, ears.marks) == ([], {})


def test_what_cannot_be_read_is_kept_and_holds_nothing_up(make: Callable[..., tuple[Reports, Ears]]) -> None:
    reports, ears = make()
    odd = [2, "metrics", {"cpu": 1}]
    assert reports.take(Report("a", "a/x", 0, [record(1), odd, record(3)])) == 3
    assert ears.lines == ["1", "3"]
    assert len(ears.told) == 1
    assert ears.told[0].startswith("unreadable: agent a:")
    assert "metrics" in ears.told[0]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6)), max_size=40))
def test_any_order_of_reports_gives_each_record_once_in_order(sent: list[tuple[int, int]]) -> None:
    ears = Ears()
    reports = Taking(Dispatch(30), ears, {"a/x": 0})
    for after, count in sent:
        try:
            reports.take(report(after, *range(after + 1, after + count + 1)))
        except RefusedError:
            continue
    assert ears.lines == [str(number) for number in range(1, len(ears.lines) + 1)]
