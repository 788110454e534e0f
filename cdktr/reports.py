"""What agents report: each record is taken once, in order, and a status only from who has the right to it."""

import logging
import time
from collections.abc import Mapping
from operator import ge
from typing import Any

from cdktr.dispatch import Dispatch
from cdktr.errors import ProtocolError, RefusedError
from cdktr.frames import Reported, numbered, unpack
from cdktr.logs import LogHub
from cdktr.protocol import Report
from cdktr.records import LogChunk, RunUpdate, TaskUpdate

log = logging.getLogger(__name__)


class Reports:
    """Takes reports into `dispatch` and `hub`. `cursors` has the number of the last record stored of each source."""

    def __init__(self, dispatch: Dispatch, hub: LogHub, cursors: Mapping[str, int]) -> None:
        self._dispatch = dispatch
        self._hub = hub
        self._taken = dict(cursors)

    def meet(self, request: Report) -> None:
        """Remember where a source begins that is unknown here; to be called with each report, before it can be refused.

        An agent sends first what it has longest: one that begins later than with 1 has outlived the database that had
        the rest. Of a later report that could not be told.
        """
        self._taken.setdefault(request.source, max(request.after, 0))

    def take(self, request: Report) -> int:
        """Take what of a report was not taken before; the number of its last record. The hub stores that number with
        what was taken; call `meet` first. Raises RefusedError when a record before it is missing."""
        records = [numbered(raw) for raw in request.records]
        numbers = [request.after, *(number for number, _ in records)]
        if request.after < 0 or not records or any(map(ge, numbers, numbers[1:])):
            raise RefusedError("A report has records, and their numbers grow, from 1")
        taken = self._taken[request.source]
        if request.after > taken:
            raise RefusedError(f"What follows record {taken} of {request.source} is missing; send it first")
        last = numbers[-1]
        if last > taken:
            for number, raw in records:
                if number > taken:
                    self._read(number, raw, request)
                    self._taken[request.source] = number
            self._hub.mark(request.source, last)
        return last

    def _read(self, number: int, raw: list[Any], request: Report) -> None:
        try:
            record = unpack(raw)
        except ProtocolError as error:
            # From an agent of another version, say. Refused, it would come again for ever, and what follows never.
            log.error("Record %d of %s is kept as an event: %s", number, request.source, error)
            self._hub.take_event("", time.time_ns() // 1_000_000, "unreadable", f"agent {request.agent_id}: {error}")
        else:
            self._take(record, request.agent_id)

    def _take(self, record: LogChunk | Reported, agent_id: str) -> None:
        if isinstance(record, LogChunk):
            self._hub.take_chunk(record)
            return
        update, token, run_id = record.update, record.token, record.update.workflow_instance_id
        # A report that was cut short by a crash comes again whole, after its last record may have ended the run.
        ended = self._dispatch.ended_by(run_id, token)
        if not ended and not self._dispatch.holds(run_id, token):
            self.refuse(update, agent_id)
        elif isinstance(update, TaskUpdate):
            self._hub.take_task(update)
        elif not ended and update.status.is_final:
            self._dispatch.finish(run_id, update.status, update.timestamp_ms, update.detail, token)

    def refuse(self, update: RunUpdate | TaskUpdate, agent_id: str | None) -> None:
        """Keep a report that has no right as an event."""
        what = update.task_id if isinstance(update, TaskUpdate) else "the run"
        detail = f"agent {agent_id} reported {what} {update.status} without a lease"
        self._hub.take_event(update.workflow_instance_id, update.timestamp_ms, "refused", detail)
