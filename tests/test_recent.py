"""The principal's own log, kept in memory."""

import logging
import sys

from cdktr import recent
from cdktr.recent import KEPT, LONGEST, Recent


def record(text: str, level: int = logging.INFO, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("cdktr.principal", level, "principal.py", 1, text, None, None)
    vars(made).update(more)
    return made


def messages(page: dict[str, list[dict[str, str]]]) -> list[str]:
    return [line["message"] for line in page["lines"]]


def test_the_last_lines_and_those_that_come() -> None:
    kept = Recent()
    for number in range(5):
        kept.handle(record(f"line {number}"))
    page = kept.page(None, 2)
    assert messages(page) == ["line 3", "line 4"]
    assert kept.page(page["next"], 10) == {"lines": [], "next": page["next"]}
    kept.handle(record("line 5", logging.WARNING, created=1.5))
    kept.handle(record("line 6"))
    assert messages(kept.page(page["next"], 10)) == ["line 5", "line 6"]
    first = kept.page(page["next"], 1)
    assert messages(first) == ["line 5"]
    assert messages(kept.page(first["next"], 1)) == ["line 6"]
    [line] = first["lines"]
    assert line == {
        "sequence": page["next"] + 1,
        "timestamp_ms": 1500,
        "level": "WARNING",
        "logger": "cdktr.principal",
        "message": "line 5",
    }


def test_memory_is_bounded() -> None:
    kept = Recent()
    for number in range(KEPT + 10):
        kept.handle(record(f"line {number}"))
    kept.handle(record("x" * (LONGEST + 1)))
    lines = messages(kept.page(None, KEPT * 2))
    assert (len(lines), lines[0]) == (KEPT, "line 11")
    assert lines[-1] == "x" * LONGEST + " …[cut]"


def test_a_traceback_is_part_of_its_line() -> None:
    kept = Recent()
    try:
        raise OSError("no room")
    except OSError:
        kept.handle(record("It failed", logging.ERROR, exc_info=sys.exc_info()))
    [text] = messages(kept.page(None, 1))
    assert text.startswith("It failed\nTraceback")
    assert text.endswith("OSError: no room")


def test_numbers_grow_over_restarts_and_one_from_the_future_is_no_reason_to_hide_lines() -> None:
    kept = Recent()
    kept.handle(record("before"))
    seen = kept.page(None, 1)["next"]
    again = Recent()
    again.handle(record("after"))
    assert messages(again.page(seen, 10)) == ["after"]
    assert messages(again.page(seen + 10**9, 10)) == ["after"]


def test_it_is_taken_from_the_root_when_it_is_closed() -> None:
    kept = recent.Recent()
    logging.getLogger().addHandler(kept)
    kept.close()
    assert kept not in logging.getLogger().handlers
