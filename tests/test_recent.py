"""The last lines of a process."""

import logging

from cdktr.recent import LONGEST_LINE, MOST_LINES, Recent


def test_the_last_lines_are_kept_and_numbered() -> None:
    recent = Recent()
    log = logging.getLogger("test-recent")
    log.propagate = False
    log.addHandler(recent)
    try:
        for number in range(MOST_LINES + 5):
            log.error("line %d", number)
        log.error("x" * (LONGEST_LINE + 1))
    finally:
        log.removeHandler(recent)
    found = recent.lines(None, 10**6)
    assert len(found) == MOST_LINES
    assert found[0]["message"] == "line 6"
    assert [line["sequence"] for line in found] == list(range(6, MOST_LINES + 6))
    assert len(found[-1]["message"]) == LONGEST_LINE
    assert [line["sequence"] for line in recent.lines(MOST_LINES, 3)] == [
        MOST_LINES + 3,
        MOST_LINES + 4,
        MOST_LINES + 5,
    ]
    assert recent.lines(MOST_LINES + 5, 3) == []
