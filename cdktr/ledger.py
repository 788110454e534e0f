"""What `dispatch` decides, made durable and told to the history; and all of it back again after a restart.

The order that keeps every promise: a decision is taken in memory; its events go to the journal; its answer leaves
after the journal is synced. The rows of the history are made from the same events (`history`), so a row that a
crash kept from the database is made again when the journal is replayed: the number of the last event whose row is
stored lies in the database itself, written in the same transaction.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any

from cdktr.dispatch import Dispatch
from cdktr.errors import RefusedError, StartError, StoreError
from cdktr.history import pending, update_of
from cdktr.journal import Journal, Then
from cdktr.logs import LogHub
from cdktr.records import Change, RunStatus, RunUpdate, plain

log = logging.getLogger(__name__)

#: Events in the journal below which it is not worth a snapshot.
LEAST_EVENTS = 1_000

#: Numbers of runs and tasks that are left unused after damage to the journal: more than its lost lines can have taken.
LOST_NUMBERS = 1_000_000

#: The name under which the database remembers the journal's last event that it has.
JOURNAL = "journal"


class Ledger:
    """The events of one `dispatch`. `on_end` is told of every run that has ended."""

    def __init__(self, dispatch: Dispatch, journal: Journal, hub: LogHub, on_end: Callable[[str], None]) -> None:
        self._dispatch = dispatch
        self._journal = journal
        self._hub = hub
        self._on_end = on_end
        self._number = 0
        #: Events that the database may not have yet, with their numbers.
        self._unstored: deque[tuple[int, Change]] = deque()

    # State over a restart.

    def restore(
        self, stored: int, first_number: Callable[[], int], open_runs: Callable[[], Iterable[tuple[str, str]]]
    ) -> None:
        """The state that the journal holds; the database has the rows of its events up to number `stored`.

        What no longer is in the journal, the database tells: `first_number` is one that no run or task in it has, and
        `open_runs` are workflow and run of those without an end. Raises StartError.
        """
        snapshot = self._journal.snapshot
        if snapshot is None and not self._journal.events:
            self._dispatch.next_number = first_number()
            self._number = stored + 1
            self._give_up(open_runs())
            return
        if snapshot is not None:
            self._dispatch.restore(snapshot["dispatch"])
            self._number = snapshot["number"]
            for number, kind, facts in snapshot["unstored"]:
                self._again(number, Change(kind, facts), stored)
        for number, kind, facts in self._journal.events:
            self._replay(number, Change(kind, facts), stored)
        is_behind = self._number <= stored
        if is_behind:
            log.error(
                "The journal in %s ends before event %d, which the database has: what came last in it is lost",
                self._journal.folder,
                stored,
            )
            self._number = stored + 1
        if is_behind or self._journal.is_damaged:
            # What the lost lines took must not be given again.
            self._dispatch.next_number = max(self._dispatch.next_number, first_number()) + LOST_NUMBERS
            self._give_up(open_runs())
        self._dispatch.resume(time.monotonic(), now_ms())
        self._hub.mark(JOURNAL, self._number - 1)
        queued, leases = self._dispatch.queued, self._dispatch.leases
        if queued or leases:
            log.info("Restored %d queued and %d leased runs", len(queued), len(leases))
        if paused := self._dispatch.pauses.since:
            log.info("Paused: %s", ", ".join(sorted(paused)))

    def _replay(self, number: int, change: Change, stored: int) -> None:
        self._number = number + 1
        try:
            self._dispatch.apply(change)
        except RefusedError as error:
            if not self._journal.is_damaged:
                raise StartError(
                    f"The journal in {self._journal.folder} does not fit together, it is damaged: {error}; "
                    "restore it from a backup, or move that folder aside to start with an empty queue"
                ) from error
            log.error("%s, of which a damaged line told: it is left out", error)
            return
        self._again(number, change, stored)

    def _give_up(self, open_runs: Iterable[tuple[str, str]]) -> None:
        """End in the history what the journal no longer knows of: it must not seem to run for ever."""
        known = self._dispatch.queued.keys() | self._dispatch.leases.keys() | self._dispatch.finished.keys()
        for workflow_id, run_id in open_runs:
            if run_id not in known:
                why = "the principal lost the part of its journal that told of the run"
                self._hub.take_run(RunUpdate(workflow_id, run_id, RunStatus.CRASHED, now_ms(), detail=why))

    def tell_again(self, known: Collection[str]) -> None:
        """The history was lost with its file: tell what is open now of the runs that it does not know (of which it
        has no PENDING)."""
        for run in self._dispatch.queued.values():
            if run.id not in known:
                self._hub.take_run(pending(plain(run)))
        for lease in self._dispatch.leases.values():
            if lease.run.id not in known:
                self._hub.take_run(pending(plain(lease.run)))
                if lease.started is not False:
                    ids = (lease.run.workflow_id, lease.run.id)
                    began = now_ms() if lease.started_ms is None else lease.started_ms
                    self._hub.take_run(RunUpdate(*ids, RunStatus.RUNNING, began, lease.agent_id))

    def _again(self, number: int, change: Change, stored: int) -> None:
        if number > stored:
            self._unstored.append((number, change))
            self._to_history(change)

    def snapshot(self) -> dict[str, Any]:
        """The state for the journal, with what the database may not have."""
        unstored = [[number, change.kind, change.facts] for number, change in self._unstored]
        return {"dispatch": self._dispatch.snapshot(), "number": self._number, "unstored": unstored}

    async def persist(self) -> None:
        """Fold the journal into a snapshot, once it holds more than that would, and see whether a disk in trouble is
        well again. Raises StoreError."""
        await self.durably()
        dispatch = self._dispatch
        size = len(dispatch.queued) + len(dispatch.leases) + len(dispatch.finished) + len(self._unstored)
        size += len(dispatch.keys)
        if self._journal.grown > max(size, LEAST_EVENTS):
            await self._hub.flush(1.0)
            await self._journal.compact(self.snapshot)

    async def finish(self) -> None:
        """Fold everything into a snapshot before the end; what the database took by then is left out."""
        try:
            async with asyncio.timeout(5):
                await self._drop_stored()
        except TimeoutError:
            pass
        await self._journal.compact(self.snapshot)

    # From decisions to the journal and the history.

    def take_changes(self) -> bool:
        """Journal what was decided, and tell the history; False when nothing was."""
        changes = self._dispatch.take_changes()
        for change in changes:
            self._journal.append([self._number, change.kind, change.facts])
            self._unstored.append((self._number, change))
            self._to_history(change)
            self._number += 1
        if changes:
            self._hub.mark(JOURNAL, self._number - 1)
        return bool(changes)

    def _to_history(self, change: Change) -> None:
        update = update_of(change)
        if update is not None:
            self._hub.take_run(update)
            if update.status.is_final:
                self._on_end(update.workflow_instance_id)

    async def durably(self) -> None:
        """Return when all that was decided so far is on the disk. Raises StoreError."""
        self.take_changes()
        await self._journal.sync()

    def when_durable(self, then: Then) -> None:
        """`durably` for one that need not be a task for it: see `Journal.when_synced`."""
        self.take_changes()
        self._journal.when_synced(then)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be made durable, None while it can."""
        return self._journal.trouble

    def check(self) -> None:
        """Raises StoreError while nothing can be made durable."""
        if self.trouble is not None:
            # Not one more attempt with each request: what waits for the disk stays bounded, and `persist` tries.
            raise StoreError(f"{self.trouble}; nothing is accepted until it can be")

    async def forget_stored(self) -> None:
        """Drop, for ever, what the database has got meanwhile from the list of what it may miss."""
        while True:
            await self._drop_stored()
            await asyncio.sleep(0.5)
            while not self._unstored:
                await asyncio.wait([self._hub.news()])

    async def _drop_stored(self) -> None:
        number = self._number
        await self._hub.stored()
        # What has come meanwhile is not stored yet.
        while self._unstored and self._unstored[0][0] < number:
            self._unstored.popleft()


def now_ms() -> int:
    """The wall clock, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
