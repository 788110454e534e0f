"""Reading the history for those who ask: beside the event loop, and with whatever was received before the question.

While the database is in trouble, what waits for it is not seen, but for the statuses of one run, which are taken from
what waits. Whoever rests here is told of the trouble, in words, and comes again.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from cdktr.coordinator import Coordinator
from cdktr.errors import NotFoundError, StoreError
from cdktr.history import BLANK, with_updates
from cdktr.logs import LogHub
from cdktr.pages import cut, log_filters, page_size
from cdktr.protocol import AwaitRun, ListLogs
from cdktr.records import RunStatus
from cdktr.store import Store

#: Milliseconds that a request may rest.
MAX_REST_MS = 60_000

#: Seconds that a query waits for rows that are not stored yet.
FLUSH_S = 1.0

#: Seconds that a request rests at most while the database is in trouble: then it tells so.
TROUBLE_REST_S = 2.0

T = TypeVar("T")


class Reading:
    """Queries, in threads of their own."""

    def __init__(self, coordinator: Coordinator, store: Store, hub: LogHub) -> None:
        self._coordinator = coordinator
        self._store = store
        self._hub = hub
        self._threads = ThreadPoolExecutor(2, "reader")

    async def fresh(self, query: Callable[[], T]) -> T:
        """The result of a query, which sees whatever was received before it."""
        if not await self._hub.flush(FLUSH_S):
            # Who looks again when this number differs has to: what was taken may be missing here.
            self._hub.statuses += 1
        return await self.in_thread(query)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """The result of work that would hold the event loop up."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def run_end(self, request: AwaitRun) -> dict[str, Any]:
        """The run, once it has ended or the wait is over. Raises NotFoundError, StoreError."""
        run_id, wait_s = request.workflow_instance_id, min(request.wait_ms, MAX_REST_MS) / 1000
        began = time.monotonic()
        await self._coordinator.ended(run_id, wait_s if self._hub.trouble is None else min(wait_s, TROUBLE_REST_S))
        found, trouble = await self._run(run_id)
        if found["ended_ms"] is None and trouble is not None:
            # It may have ended already, and who asks asks again at once.
            await asyncio.sleep(began + min(wait_s, TROUBLE_REST_S) - time.monotonic())
        return {**found, "trouble": trouble}

    async def _run(self, run_id: str) -> tuple[dict[str, Any], str | None]:
        await self._hub.flush(FLUSH_S)
        waiting = self._hub.waiting_updates(run_id)
        trouble = self._hub.trouble
        try:
            rows = await self.in_thread(lambda: self._store.runs(run_id=run_id, limit=1))
        except StoreError as error:
            if not waiting and not self._knows(run_id):
                raise
            rows, trouble = [self._outline(run_id)], str(error)
        found = with_updates(rows[0] if rows else None, waiting)
        if found is None:
            raise NotFoundError(f"There is no run {run_id}")
        return found, trouble

    def _knows(self, run_id: str) -> bool:
        return self._coordinator.is_open(run_id) or run_id in self._coordinator.dispatch.finished

    def _outline(self, run_id: str) -> dict[str, Any]:
        """A run of which the history cannot be read: its status, as far as it is known without."""
        dispatch = self._coordinator.dispatch
        lease = dispatch.leases.get(run_id)
        is_queued = lease is None or lease.started is False
        status = dispatch.finished.get(run_id, RunStatus.PENDING if is_queued else RunStatus.RUNNING)
        return {**BLANK, "workflow_id": None, "workflow_instance_id": run_id, "status": status.value}

    async def lines(self, request: ListLogs) -> dict[str, Any]:
        """A page of log lines, when there is one, or the one run that is asked for has ended. Raises StoreError."""
        limit = page_size(request.limit)
        deadline = time.monotonic() + min(request.wait_ms, MAX_REST_MS) / 1000
        while True:
            news, was_open, edge = self._hub.news(), self._may_grow(request), self._hub.last_number
            stored = await self._hub.flush(FLUSH_S)
            trouble = self._hub.trouble
            query = partial(self._store.log_page, log_filters(request), limit, newest=request.tail)
            try:
                found = await self.in_thread(query)
            except StoreError:
                if trouble is None or not request.wait_ms:
                    raise
                found = []
            lines = cut(found, request.tail)
            left = deadline - time.monotonic()
            if lines or left <= 0 or not was_open or trouble is not None:
                after = lines[-1]["sequence"] if lines else request.after
                full = len(found) == limit or len(lines) < len(found)
                more = full or was_open or not stored
                return {"lines": lines, "next": after, "full": full, "more": more, "trouble": trouble}
            if not stored:
                # What is asked for may be under way to the database: the next look waits for that.
                continue
            if not request.tail:
                # All that there was has been looked through.
                request = replace(request, after=max(edge, request.after or edge))
            await asyncio.wait([news], timeout=left)

    def _may_grow(self, request: ListLogs) -> bool:
        run_id = request.workflow_instance_id
        if request.before is not None and request.before <= self._hub.last_number + 1:
            return False
        return run_id is None or self._coordinator.is_open(run_id)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()
