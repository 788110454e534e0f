"""Which log lines are asked for, and which part of them."""

from dataclasses import dataclass
from enum import StrEnum

#: Lines that are kept, and that one page has.
WINDOW = 4_000
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A selection of the log; None matches all."""

    workflow_id: str | None = None
    run_id: str | None = None
    task_name: str | None = None
    level: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None


class Place(StrEnum):
    """Which part of the selection: its last lines, its first, those before or after a line, or around a match."""

    TAIL = "tail"
    HEAD = "head"
    BEFORE = "before"
    AFTER = "after"
    MATCH_AFTER = "match after"
    MATCH_BEFORE = "match before"
