from typing import Any

import pytest

from cdktr.pages import MAX_PAGE, MAX_PAGE_CHARS, cut, log_filters, page_size, run_filters
from cdktr.protocol import ListLogs, ListRuns


@pytest.mark.parametrize(("asked", "given"), [(-1, 1), (0, 1), (7, 7), (MAX_PAGE, MAX_PAGE), (MAX_PAGE + 1, MAX_PAGE)])
def test_the_size_of_a_page(asked: int, given: int) -> None:
    assert page_size(asked) == given


def lines(*sizes: int) -> list[dict[str, Any]]:
    return [{"payload": "x" * size} for size in sizes]


def test_what_is_too_much_is_cut_at_the_side_that_was_not_asked_for() -> None:
    half = MAX_PAGE_CHARS // 2
    found = lines(half, half, 1, half)
    assert cut(found, newest=False) == found[:2]
    assert cut(found, newest=True) == found[2:]
    assert cut(lines(half), newest=False) == lines(half)
    assert cut([], newest=True) == []


@pytest.mark.parametrize("newest", [False, True])
def test_one_line_always_fits(newest: bool) -> None:
    assert len(cut(lines(2 * MAX_PAGE_CHARS, 2 * MAX_PAGE_CHARS), newest)) == 1


def test_every_field_that_narrows_is_handed_on() -> None:
    request = ListLogs("w", "r", "t", "s", "l", 1, 2, 3, before=4, contains="c")
    names = ("workflow", "run", "task", "status", "level", "start", "end", "after", "before", "contains")
    assert log_filters(request) == dict(zip(names, ("w", "r", "t", "s", "l", 1, 2, 3, 4, "c"), strict=True))
    runs = ListRuns("w", "r", "s", start_ms=1, end_ms=2, contains="c")
    found = {"workflow": "w", "run": "r", "status": "s", "start": 1, "end": 2, "contains": "c"}
    assert run_filters(runs) == found
