"""What an agent has to tell the principal: from the spool into reports, several of which may be under way.

What was added is written to the spool first and sent then; it stays there until the principal has stored it. When a
report is not answered, everything unstored is handed out again, with the same numbers; the principal drops what it has.
When the spool is full, the oldest lines of runs that have ended give way; where there are none, `on_full` stops the
reading of the tasks' pipes until enough has been stored.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from cdktr.errors import ProtocolError, UnreachableError
from cdktr.frames import Reported, abridge, pack
from cdktr.messages import load
from cdktr.protocol import encode_report
from cdktr.records import LogChunk
from cdktr.replies import decode_reply
from cdktr.spool import Parcel, Spool
from cdktr.transport import Requester

log = logging.getLogger(__name__)

#: Bytes of one report, and of all reports under way.
REPORT_SIZE = 512 * 1024
WINDOW_SIZE = 4 * 1024 * 1024

#: Reports under way at once.
WINDOW = 256

#: Seconds a report may take to be stored before it is sent again: a database in trouble is not a lost connection.
REPORT_TIMEOUT_S = 60.0

#: Seconds before everything unstored is sent again: first, and at most, while the principal refuses it.
RESEND_S = (0.2, 5.0)

#: Seconds between two writes to the spool, so that a chatty task makes few reports; the first goes at once.
GATHER_S = 0.004

Record = LogChunk | Reported


class Outbox:
    """The reports of one source. `running` tells which runs go on: their lines do not give way."""

    def __init__(
        self,
        agent_id: str,
        source: str,
        spool: Spool,
        requester: Requester,
        on_full: Callable[[bool], None] = lambda _full: None,
        running: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self.source = source
        self.spool = spool
        self._agent_id = agent_id
        self._requester = requester
        self._on_full = on_full
        self._running = running
        #: Not yet answered, oldest first, and their size in all.
        self._under_way: deque[Parcel] = deque()
        self._window = 0
        self._full = False
        self._refused = False
        self._is_giving_way = False
        self._added = asyncio.Event()
        self._wake = asyncio.Event()
        self._stored = asyncio.Event()
        self._after: deque[tuple[int, Callable[[], None]]] = deque()

    def add(self, record: Record) -> None:
        """Take a record, to be written and sent at once."""
        self.spool.add(pack(record))
        self._added.set()

    def when_stored(self, callback: Callable[[], None]) -> None:
        """Call back once all that was added so far is stored."""
        self._after.append((self.spool.last, callback))
        self._settled()

    async def emptied(self) -> None:
        """Return when everything is stored."""
        while not self.spool.is_empty:
            self._stored.clear()
            await self._stored.wait()

    async def run(self) -> None:
        """Write and send, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write())
            group.create_task(self._send_all())

    async def _write(self) -> None:
        while True:
            await self._added.wait()
            self._added.clear()
            self.save()
            await asyncio.sleep(GATHER_S)
            if self.spool.trouble is not None or self._is_giving_way:
                # Until that is over, whether anything comes or not.
                self._added.set()

    def save(self) -> None:
        """Write what was added to the spool."""
        self.spool.flush()
        self._weigh()
        self._wake.set()

    def _weigh(self) -> None:
        self._is_giving_way = False
        if self.spool.is_full:
            before = self.spool.dropped
            self._is_giving_way = self.spool.give_way(abridge, self._running())
            if dropped := self.spool.dropped - before:
                log.warning("The spool is full: %d lines of runs that have ended gave way", dropped)
        if self._full and self.spool.has_room:
            self._full = False
            self._on_full(False)
        elif not self._full and self.spool.is_full:
            self._full = True
            log.warning(
                "%d MB wait for the principal, as much as the spool may hold: the tasks wait, too",
                self.spool.size >> 20,
            )
            self._on_full(True)

    async def _send_all(self) -> None:
        wait = RESEND_S[0]
        while True:
            await self._requester.connected()
            self._refused = False
            try:
                await self._deliver()
            except UnreachableError:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    # A TaskGroup that has an error to raise forgets that it was cancelled meanwhile.
                    raise asyncio.CancelledError from None
                wait = min(wait * 2, RESEND_S[1]) if self._refused else RESEND_S[0]
                await asyncio.sleep(wait)

    async def _deliver(self) -> None:
        """Send everything unstored, then what comes, until the connection breaks or the principal lost the thread."""
        self.spool.rewind()
        self._under_way.clear()
        self._window = 0
        self._wake.set()
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    while self._has_window() and (parcel := self.spool.take(REPORT_SIZE)) is not None:
                        self._under_way.append(parcel)
                        self._window += parcel.size
                        group.create_task(self._send(parcel))
                    self._settled()
        except* UnreachableError:
            raise UnreachableError from None

    def _has_window(self) -> bool:
        return len(self._under_way) < WINDOW and self._window < WINDOW_SIZE

    async def _send(self, parcel: Parcel) -> None:
        frame = encode_report(self._agent_id, self.source, parcel.after, parcel.lines)
        answer = await self._requester.request(frame, REPORT_TIMEOUT_S)
        try:
            reply = decode_reply(answer)
            if reply.kind != "SUCCESS":
                if not self._refused:
                    log.warning("The principal did not take a report, it is sent again: %s", reply.payload)
                self._refused = True
                raise UnreachableError(reply.payload)
            self._settle(int(load(reply.payload or "", "the reply to REPORT")["stored"]))
        except (ProtocolError, TypeError, KeyError, ValueError) as error:
            raise UnreachableError(f"The principal's answer to a report cannot be read: {error!r}") from error

    def _settle(self, stored: int) -> None:
        while self._under_way and self._under_way[0].last <= stored:
            parcel = self._under_way.popleft()
            self._window -= parcel.size
            self.spool.forget(parcel)
        self._weigh()
        self._settled()
        self._wake.set()

    def _settled(self) -> None:
        """Tell those who wait what is stored."""
        while self._after and self._after[0][0] <= self.spool.stored:
            self._after.popleft()[1]()
        self._stored.set()
