"""The log hub: every record that arrives is published at once and stored soon, in batches, in order.

`take_*` number a record and put it into the next batch. A batch is written `GATHER_S` after its first record, or at
once when somebody waits for it (`flush`). While the database cannot be written, batches pile up here, whoever waits
for them goes on waiting, and every attempt is made again. How much may pile up is bounded: see `is_full` for what
agents tell, `check_room` for triggers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from cdktr.batch import Batch
from cdktr.errors import StoreError
from cdktr.frames import encode_chunk, encode_log
from cdktr.records import LogChunk, LogRecord, RunUpdate, TaskUpdate
from cdktr.store import Store

log = logging.getLogger(__name__)

#: Seconds a record may wait for company before it is written; the database's commit costs milliseconds.
GATHER_S = 0.1

#: Bytes of memory that may wait for the database, about: beyond, the hub `is_full`, and lines of agents that cannot
#: keep them are given up while it is in trouble.
MAX_WAITING_BYTES = 128 * 1024 * 1024

#: Rows of statuses that may wait for a database in trouble: beyond, no trigger is accepted. A run makes four and more.
MAX_WAITING_STATUSES = 100_000

#: Seconds between attempts to write to a database in trouble: first, and at most.
RETRY_S = (0.5, 15.0)


class LogHub:
    """Between those who report and the store. `publish` is called only while `is_watched`, to spare the encoding."""

    def __init__(
        self, store: Store, publish: Callable[[Sequence[bytes]], None], is_watched: Callable[[], bool]
    ) -> None:
        self._store = store
        self._publish = publish
        self._is_watched = is_watched
        self._thread = ThreadPoolExecutor(1, "store")
        self._batch = Batch()
        self._next = store.next_sequence
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._marks: dict[str, int] = {}
        #: Awaited before each write: what must be on the disk before the database tells of it.
        self.before_write: Callable[[], Awaitable[None]] | None = None
        #: Called with the ids of the runs that it knows, after the database had to begin anew.
        self.on_renewal: Callable[[Collection[str]], None] | None = None
        self._renewals = 0
        #: What the database is being given.
        self._under_way: Batch | None = None
        #: Grows with each status of a run or task, and each look that may have missed one: who sees the same number
        #: again has missed none.
        self.statuses = 0
        #: Lines of agents of the old API that were given up while the database could not be written.
        self.dropped = 0
        #: Why the database cannot be written, None while it can.
        self.trouble: str | None = None

    def take_chunk(self, chunk: LogChunk) -> None:
        """Lines of one stream of a task."""
        if self._is_watched():
            self._publish(encode_chunk(chunk))
        self._next = self._batch.add_chunk(chunk, self._next)
        self._noted()

    def take_log(self, record: LogRecord) -> None:
        """A line of an agent of the old API."""
        if self._is_watched():
            self._publish([encode_log(record)])
        if self.trouble is not None and self.is_full:
            # Such an agent keeps nothing and hears nothing: this is the only place where it can give way.
            self.dropped += 1
            if self.dropped == 1:
                log.error("%d rows wait for the database: lines on the log port are dropped", self.unstored)
            return
        self._next = self._batch.add_logs([record], self._next)
        self._noted()

    def take_run(self, update: RunUpdate) -> None:
        """A run's change of status."""
        self.statuses += 1
        self._batch.add_run(update, self._number())

    def take_task(self, update: TaskUpdate) -> None:
        """A task's change of status."""
        self.statuses += 1
        self._batch.add_task(update, self._number())

    def take_event(self, run_id: str, timestamp_ms: int, kind: str, detail: str) -> None:
        """Something that was refused or is worth knowing about a run, and changes nothing."""
        self._batch.add_event(run_id, timestamp_ms, kind, detail, self._number())

    def mark(self, source: str, number: int) -> None:
        """Everything up to this number of a source is stored together with what was taken so far."""
        self._marks[source] = number
        self._wake.set()

    def _number(self) -> int:
        number, self._next = self._next, self._next + 1
        self._noted()
        return number

    def _noted(self) -> None:
        self._wake.set()
        if not self._news.done():
            self._news.set_result(None)

    @property
    def last_number(self) -> int:
        """The number of what was taken last."""
        return self._next - 1

    @property
    def unstored(self) -> int:
        """Rows that wait for the database."""
        return sum(map(len, self._waiting_batches))

    @property
    def unstored_bytes(self) -> int:
        """Bytes of memory that these rows take, about."""
        return sum(batch.size for batch in self._waiting_batches)

    @property
    def is_full(self) -> bool:
        """Whether as much waits for the database as may: who can keep what it tells must keep it."""
        return self.unstored_bytes >= MAX_WAITING_BYTES

    def check_room(self) -> None:
        """Before something is accepted that makes new rows. Raises StoreError when too many wait already."""
        if self.trouble is not None and sum(batch.statuses for batch in self._waiting_batches) >= MAX_WAITING_STATUSES:
            raise StoreError(
                f"Nothing new is accepted, as {self.unstored} rows wait for the database already; {self.trouble}"
            )

    def waiting_updates(self, run_id: str) -> list[RunUpdate]:
        """The changes of a run's status that wait for the database, in order."""
        rows = (row for batch in self._waiting_batches for row in batch.runs)
        return [RunUpdate(*row[:-1]) for row in rows if row[1] == run_id]

    @property
    def _waiting_batches(self) -> list[Batch]:
        return [self._batch] if self._under_way is None else [self._under_way, self._batch]

    async def stored(self) -> None:
        """Return when everything taken so far is in the database."""
        if not self._has_work():
            return
        self._wake.set()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        await done

    def _has_work(self) -> bool:
        return bool(len(self._batch) or self._marks or self._under_way is not None)

    async def flush(self, timeout_s: float) -> bool:
        """Have everything taken so far stored now; False when that took longer than `timeout_s`."""
        if not self._has_work():
            return True
        self._urgent.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self.stored()
        except TimeoutError:
            return False
        return True

    def news(self) -> asyncio.Future[None]:
        """Done when something is taken from now on. Shared: wait for it by `asyncio.wait`."""
        if self._news.done():
            self._news = asyncio.get_running_loop().create_future()
        return self._news

    async def run(self) -> None:
        """Write batches, for ever."""
        while True:
            await self._wake.wait()
            try:
                async with asyncio.timeout(GATHER_S):
                    await self._urgent.wait()
            except TimeoutError:
                pass
            await self.write()

    async def write(self) -> None:
        """Write what is there, however long it takes the database to take it."""
        self._wake.clear()
        self._urgent.clear()
        batch, self._batch = self._batch, Batch()
        batch.cursors += self._marks.items()
        self._marks.clear()
        waiting, self._waiting = self._waiting, []
        self._under_way = batch
        try:
            await self._insist(batch)
        except BaseException:
            batch.extend(self._batch)
            self._batch, self._waiting = batch, waiting + self._waiting
            raise
        finally:
            self._under_way = None
        if self._renewals != self._store.renewals:
            await self._renewed()
        for done in waiting:
            if not done.done():
                done.set_result(None)

    async def _renewed(self) -> None:
        """What is open must be in the history, though the database that knew of it is lost."""
        self._renewals = self._store.renewals
        with suppress(StoreError):
            # If it cannot be read now, the next renewal is as good.
            known = set(await asyncio.get_running_loop().run_in_executor(self._thread, self._store.pending_ids))
            if self.on_renewal is not None:
                self.on_renewal(known | {row[1] for row in self._batch.runs if row[6] is not None})

    async def _insist(self, batch: Batch) -> None:
        wait = RETRY_S[0]
        while True:
            try:
                if self.before_write is not None:
                    await self.before_write()
                await asyncio.get_running_loop().run_in_executor(self._thread, self._store.write, batch)
            except StoreError as error:
                if self.trouble is None:
                    log.error("%s; %d rows wait, and are stored as soon as it can be", error, len(batch))
                self.trouble = str(error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, RETRY_S[1])
            else:
                if self.trouble is not None:
                    log.info("The database can be written again")
                self.trouble = None
                return

    def close(self) -> None:
        """End the writer's thread."""
        self._thread.shutdown()
