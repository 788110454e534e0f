"""The last lines of this process's own log, in memory, for those who ask over the network."""

import logging
import time
from collections import deque
from itertools import islice
from typing import Any

#: Lines that are kept.
KEPT = 2_000

#: Characters of a line that are kept, its traceback included.
LONGEST = 10_000

_FORMAT = logging.Formatter("%(message)s")


class Recent(logging.Handler):
    """A handler to be added to a logger; `close` takes it away from the root. Numbers grow over restarts, too."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._next = time.time_ns() // 1000

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; called under the handler's lock."""
        try:
            text = _FORMAT.format(record)
        except Exception:
            self.handleError(record)
            return
        self._lines.append(
            {
                "sequence": self._next,
                "timestamp_ms": int(record.created * 1000),
                "level": "WARNING" if record.levelno == logging.WARNING else record.levelname,
                "logger": record.name,
                "message": text if len(text) <= LONGEST else f"{text[:LONGEST]} …[cut]",
            }
        )
        self._next += 1

    def page(self, after: int | None, limit: int) -> dict[str, Any]:
        """The last `limit` lines, or the first of those after `after`, and the number to go on from."""
        with self.lock:  # type: ignore[union-attr]
            lines = list(self._lines)
            last = self._next - 1
        if after is None or after > last:
            # A number from the future is of another principal, whose clock was ahead.
            found = lines[-limit:]
        else:
            found = list(islice((line for line in lines if line["sequence"] > after), limit))
        return {"lines": found, "next": found[-1]["sequence"] if found else last}

    def close(self) -> None:
        """See `logging.Handler`."""
        logging.getLogger().removeHandler(self)
        super().close()
