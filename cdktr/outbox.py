"""What an agent has to tell the principal, in order, kept until the principal says that it is stored.

Records are gathered into numbered reports, several of which may be under way. A report that was not answered is sent
again, with the same number; the principal drops what it has. Memory is bounded by `on_full`, which stops the reading
of the tasks' pipes until enough has been stored.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from cdktr.errors import ProtocolError, UnreachableError
from cdktr.frames import Reported, pack
from cdktr.messages import load
from cdktr.protocol import Report, decode_reply
from cdktr.records import LogChunk
from cdktr.transport import Requester

log = logging.getLogger(__name__)

#: Bytes of text, roughly: when more is kept, reading stops; it goes on below the second.
FULL = 32 * 1024 * 1024
ROOM = 16 * 1024 * 1024

#: Bytes of text in one report, and in all reports under way.
REPORT_SIZE = 512 * 1024
WINDOW_SIZE = 4 * 1024 * 1024

#: Reports under way at once.
WINDOW = 256

#: Seconds a report may take to be stored before it is sent again: a database in trouble is not a lost connection.
REPORT_TIMEOUT_S = 60.0

#: Seconds before everything unstored is sent again.
RESEND_S = 0.2

#: Seconds between two reports, so that a chatty task makes few of them; the first goes at once.
GATHER_S = 0.004

#: Bytes that a record counts besides its text.
OVERHEAD = 100

Record = LogChunk | Reported


class _Sent(NamedTuple):
    """A report under way, or to be sent again."""

    number: int
    size: int
    frame: bytes
    #: Records ever added, up to its last.
    end: int


class Outbox:
    """The reports of one agent process. `source` names it for ever."""

    def __init__(self, agent_id: str, requester: Requester, on_full: Callable[[bool], None]) -> None:
        self.source = f"{agent_id}/{secrets.token_hex(4)}"
        self._agent_id = agent_id
        self._requester = requester
        self._on_full = on_full
        self._waiting: deque[tuple[int, Record]] = deque()
        #: Oldest first.
        self._unstored: deque[_Sent] = deque()
        self._last = 0
        #: Records ever, to tell from two numbers what is stored.
        self._added = 0
        self._stored_count = 0
        self._size = 0
        self._full = False
        self._wake = asyncio.Event()
        self._stored = asyncio.Event()
        self._after: deque[tuple[int, Callable[[], None]]] = deque()

    def add(self, record: Record) -> None:
        """Take a record, to be sent at once."""
        size = OVERHEAD + (sum(map(len, record.payloads)) if isinstance(record, LogChunk) else 0)
        self._waiting.append((size, record))
        self._added += 1
        self._grow(size)
        self._wake.set()

    def when_stored(self, callback: Callable[[], None]) -> None:
        """Call back once all that was added so far is stored."""
        self._after.append((self._added, callback))
        self._call_back()

    @property
    def is_empty(self) -> bool:
        """True when everything is stored."""
        return not self._waiting and not self._unstored

    async def emptied(self) -> None:
        """Return when everything is stored."""
        while not self.is_empty:
            self._stored.clear()
            await self._stored.wait()

    async def run(self) -> None:
        """Send, for ever."""
        while True:
            await self._requester.connected()
            try:
                await self._deliver()
            except UnreachableError:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    # A TaskGroup that has an error to raise forgets that it was cancelled meanwhile.
                    raise asyncio.CancelledError from None
                await asyncio.sleep(RESEND_S)

    async def _deliver(self) -> None:
        """Send everything unstored, then what comes, until the connection breaks or the principal lost the thread."""
        self._wake.set()
        try:
            async with asyncio.TaskGroup() as group:
                for report in self._unstored:
                    group.create_task(self._send(report.frame))
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    while self._waiting and self._has_window():
                        group.create_task(self._send(self._next()))
                    await asyncio.sleep(GATHER_S)
                    if self._waiting and self._has_window():
                        self._wake.set()
        except* UnreachableError:
            raise UnreachableError from None

    def _has_window(self) -> bool:
        return len(self._unstored) < WINDOW and sum(report.size for report in self._unstored) < WINDOW_SIZE

    def _next(self) -> bytes:
        """Make a report of the oldest waiting records."""
        total, records = 0, []
        while self._waiting and total < REPORT_SIZE:
            size, record = self._waiting.popleft()
            total += size
            records.append(pack(record))
        self._last += 1
        frame = Report(self._agent_id, self.source, self._last, records).encode()
        self._unstored.append(_Sent(self._last, total, frame, self._added - len(self._waiting)))
        return frame

    async def _send(self, frame: bytes) -> None:
        answer = await self._requester.request(frame, REPORT_TIMEOUT_S)
        try:
            reply = decode_reply(answer)
            if reply.kind != "SUCCESS":
                log.warning("The principal did not take a report, it is sent again: %s", reply.payload)
                raise UnreachableError(reply.payload)
            self._settle(int(load(reply.payload or "", "the reply to REPORT")["stored"]))
        except (ProtocolError, TypeError, KeyError, ValueError) as error:
            raise UnreachableError(f"The principal's answer to a report cannot be read: {error!r}") from error

    def _settle(self, stored: int) -> None:
        while self._unstored and self._unstored[0].number <= stored:
            report = self._unstored.popleft()
            self._stored_count = report.end
            self._grow(-report.size)
        self._call_back()
        self._stored.set()
        self._wake.set()

    def _call_back(self) -> None:
        while self._after and self._after[0][0] <= self._stored_count:
            self._after.popleft()[1]()

    def _grow(self, size: int) -> None:
        self._size += size
        if self._full and self._size < ROOM:
            self._full = False
            self._on_full(False)
        elif not self._full and self._size > FULL:
            self._full = True
            self._on_full(True)
