"""A standby: all that a principal needs is loaded, and one is made as soon as another lets go of the data folder.

It opens no port and no database meanwhile. The lock of the folder ends with the process that holds it, however that
dies; one that is only stopped (SIGSTOP) is alive and keeps it.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from cdktr.errors import HeldError, StartError, StoreError
from cdktr.process import on_stop

log = logging.getLogger(__name__)

#: Seconds between two looks at the lock; and after anything else that kept the standby from taking over.
LOOK_S = 0.25
RETRY_S = 0.5

#: Seconds that a stop waits for the thread: the interpreter complains when one is left at its end.
END_S = 2.0

P = TypeVar("P")


async def stand_by(make: Callable[[], P]) -> P | None:
    """What `make` returns, tried until it raises neither StartError nor StoreError; None when a signal said stop
    before that."""
    told = asyncio.Event()
    on_stop(told.set)
    said: set[str] = set()
    while not told.is_set():
        try:
            return make()
        except HeldError as error:
            level, say, pause = logging.INFO, f"Standing by: {error.holder}", LOOK_S
        except (StartError, StoreError) as error:
            level, say, pause = logging.WARNING, f"Cannot take over yet: {error}", RETRY_S
        if say not in said:
            log.log(level, "%s", say)
            said.add(say)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await told.wait()
    log.info("Stopped while standing by")
    return None


class Fresh:
    """Calls `refresh` at once and then every `interval_s` until `stop`, in a thread of its own."""

    def __init__(self, refresh: Callable[[], object], interval_s: float) -> None:
        self._refresh = refresh
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fresh", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            self._refresh()
            self._over.wait(self._interval_s)

    def stop(self) -> None:
        """Refresh no more. One that is under way is waited for, but not for long."""
        self._over.set()
        self._thread.join(END_S)
