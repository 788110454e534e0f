"""The last lines that this process logged, in memory, for those who cannot see where they went."""

import logging
from collections import deque
from typing import Any

#: Lines that are kept, and characters of each.
MOST_LINES = 2_000
LONGEST_LINE = 2_000

#: Names as the setting has them.
_LEVELS = {"WARN": "WARNING", "CRITICAL": "ERROR"}


class Recent(logging.Handler):
    """A handler of `logging` that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[dict[str, Any]] = deque(maxlen=MOST_LINES)
        self._next = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line. `logging` calls this with its lock held."""
        line = {
            "sequence": self._next,
            "timestamp_ms": round(record.created * 1000),
            "level": _LEVELS.get(record.levelname, record.levelname),
            "message": self.format(record)[:LONGEST_LINE],
        }
        self._next += 1
        self._lines.append(line)

    def lines(self, after: int | None, limit: int) -> list[dict[str, Any]]:
        """The last ones after a sequence, oldest first."""
        self.acquire()
        try:
            found = list(self._lines)
        finally:
            self.release()
        return [line for line in found if after is None or line["sequence"] > after][-max(limit, 1) :]
