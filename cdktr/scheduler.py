"""The scheduler: an event listener whose event is the time. What is due is triggered like anything else.

`Agenda` is the pure part: which workflow fires next. `Scheduler` looks at the clock, at least every poll interval, and
at once when the definitions changed.
"""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cdktr.cron import Schedule
from cdktr.errors import CdktrError, DefinitionError, StoreError
from cdktr.listener import EventListener
from cdktr.workflow import CatchUp, Workflow

log = logging.getLogger(__name__)

#: A scheduled time that is found only after this long, because the host or the principal stood still, was missed.
MISSED = timedelta(seconds=30)

#: What makes a schedule: a change of any of these is another one.
_Key = tuple[str, str, datetime | None]


class Agenda:
    """The next scheduled time of every workflow that has a schedule."""

    def __init__(self) -> None:
        self._seen: Mapping[str, Workflow] | None = None
        self._keys: dict[str, _Key] = {}
        self._schedules: dict[_Key, Schedule] = {}
        #: The next time of each workflow. An entry of the heap that says another was overtaken.
        self._next: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []
        self.kept: Mapping[str, str] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def update(self, workflows: Mapping[str, Workflow], now: datetime) -> None:
        """Take over the definitions in force. Only schedules that are new or changed are looked at afresh."""
        if workflows is self._seen:
            return
        self._seen = workflows
        before, self._keys = (
            self._keys,
            {w.id: (w.cron, w.timezone, w.start_time) for w in workflows.values() if w.cron},
        )
        for workflow_id in before.keys() - self._keys.keys():
            self._next.pop(workflow_id, None)
        for workflow_id, key in self._keys.items():
            if before.get(workflow_id) != key:
                self._push(workflow_id, now)
        #: The schedules whose missed times are made up for, and what makes each.
        self.kept = {
            workflow_id: " ".join(map(str, key))
            for workflow_id, key in self._keys.items()
            if workflows[workflow_id].catch_up is CatchUp.LATEST
        }

    def _schedule(self, workflow_id: str) -> Schedule:
        cron, timezone, _ = key = self._keys[workflow_id]
        return self._schedules.get(key) or self._schedules.setdefault(key, Schedule.parse(cron, timezone))

    def _in_force(self, workflow_id: str, after: datetime) -> datetime:
        """The moment after which its times count."""
        start = self._keys[workflow_id][2]
        # A time that is exactly the start counts.
        return after if start is None else max(after, start.astimezone(UTC) - timedelta(microseconds=1))

    def _push(self, workflow_id: str, after: datetime) -> None:
        try:
            time = self._schedule(workflow_id).next_after(self._in_force(workflow_id, after))
        except DefinitionError:
            # Its start lies beyond the calendar: it is never due.
            self._next.pop(workflow_id, None)
            return
        self._next[workflow_id] = time
        heapq.heappush(self._heap, (time, workflow_id))

    def next_time(self) -> datetime | None:
        """When something is due next, None when nothing ever is."""
        while self._heap and self._next.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: datetime) -> list[tuple[str, datetime]]:
        """What is due by `now`, with its scheduled time; each is entered anew for its next time after `now`."""
        found: list[tuple[str, datetime]] = []
        while (time := self.next_time()) is not None and time <= now:
            _, workflow_id = heapq.heappop(self._heap)
            found.append((workflow_id, time))
            self._push(workflow_id, now)
        return found

    def last_between(self, workflow_id: str, after: datetime, until: datetime) -> datetime | None:
        """The last of the times of a workflow that are later than `after` and not later than `until`."""
        if workflow_id not in self._keys:
            return None
        try:
            return self._schedule(workflow_id).last_between(self._in_force(workflow_id, after), until)
        except DefinitionError:
            return None

    def rewind(self, now: datetime) -> None:
        """The clock was set back: work out every next time again. What was accepted is not accepted twice."""
        self._heap.clear()
        for workflow_id in self._keys:
            self._push(workflow_id, now)


#: Accepts a trigger inside the principal: workflow id, parameters, key, and the scheduled time that it is for, in
#: milliseconds since the epoch.
Trigger = Callable[[str, Mapping[str, Any], str | None, int | None], Awaitable[object]]


class Scheduler(EventListener[Awaitable[object]]):
    """Triggers what is due, by `trigger`: it lives in the principal, and needs no connection to it.

    `keep` is told which schedules make up for missed times, whenever that may have changed, and says up to when the
    times of each are done with: see `Dispatch.keep`. `skips` says which times pass without a run: see `Pauses.skips`.
    """

    def __init__(
        self,
        workflows: Callable[[], Mapping[str, Workflow]],
        trigger: Trigger,
        keep: Callable[[Mapping[str, str]], Mapping[str, int]],
        skips: Callable[[str, int, int], bool],
        poll_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._workflows = workflows
        self._trigger = trigger
        self._keep = keep
        self._skips = skips
        self._poll = timedelta(seconds=poll_s)
        self._now = now
        self._agenda = Agenda()
        #: What is kept, as it was told last; None before the first look.
        self._kept: Mapping[str, str] | None = None
        #: The last time of each workflow that could not be made durable.
        self._refused: dict[str, datetime] = {}

    def run_workflow(
        self,
        workflow_id: str,
        params: Mapping[str, Any] | None = None,
        key: str | None = None,
        *,
        scheduled_ms: int | None = None,
    ) -> Awaitable[object]:
        """Have a workflow run, for a scheduled time. What is awaited raises CdktrError when it is not accepted."""
        return self._trigger(workflow_id, params or {}, key, scheduled_ms)

    async def start_listening(self) -> None:
        """Look at the clock, for ever."""
        last = self._now()
        self._agenda.update(self._workflows(), last)
        log.info("Scheduler found %d workflows with active schedules", len(self._agenda))
        while True:
            now = self._now()
            if now < last:
                self._agenda.rewind(now)
            last = now
            await self.look(now)
            await asyncio.sleep(self._pause(self._now()))

    def _pause(self, now: datetime) -> float:
        """Seconds until the next look."""
        coming = self._agenda.next_time()
        wait = self._poll if coming is None else min(self._poll, coming - now)
        return max(wait.total_seconds(), 0.001)

    async def look(self, now: datetime) -> None:
        """Trigger all that is due at `now`."""
        self._agenda.update(self._workflows(), now)
        again = list(self._refused.items())
        found = [*self._missed(now), *again, *self._agenda.due(now)]
        chosen = [(workflow_id, self._chosen(workflow_id, time, now)) for workflow_id, time in found]
        # All at once: many that are due together share one write to the disk. A time may be chosen for two.
        async with asyncio.TaskGroup() as group:
            for workflow_id, time in dict.fromkeys(chosen):
                if time is not None:
                    group.create_task(self._fire(workflow_id, time, now))

    def _missed(self, now: datetime) -> Iterable[tuple[str, datetime]]:
        """What passed unseen and is made up for: before the first look, as later no time does."""
        if self._kept != self._agenda.kept:
            self._kept = self._agenda.kept
            for workflow_id, done_ms in self._keep(self._kept).items():
                done = datetime.fromtimestamp(done_ms / 1000, UTC)
                time = self._agenda.last_between(workflow_id, done, now)
                if time is not None:
                    yield workflow_id, time

    def _chosen(self, workflow_id: str, time: datetime, now: datetime) -> datetime | None:
        """The scheduled time that is to be run for one that is due; None for none. One that a paused workflow let pass
        is not made up for."""
        if not self._is_skipped(workflow_id, now, now):
            in_time = self._in_time(workflow_id, time, now)
            if in_time is not None and not self._is_skipped(workflow_id, in_time, now):
                return in_time
        self._refused.pop(workflow_id, None)
        return None

    def _is_skipped(self, workflow_id: str, time: datetime, now: datetime) -> bool:
        return self._skips(workflow_id, _ms(time), _ms(now))

    def _in_time(self, workflow_id: str, time: datetime, now: datetime) -> datetime | None:
        """That time, or None when it was missed for good. Of those that came after one that was missed it is the last:
        it may have come just now."""
        if now - time <= MISSED:
            return time
        last = self._agenda.last_between(workflow_id, time, now) or time
        if workflow_id in self._agenda.kept:
            return last
        log.warning("%s was due at %s and is not run: it is %s too late", workflow_id, time, now - time)
        return last if now - last <= MISSED else None

    async def _fire(self, workflow_id: str, time: datetime, now: datetime) -> None:
        try:
            await self.run_workflow(workflow_id, scheduled_ms=_ms(time))
        except CdktrError as error:
            if self._refused.get(workflow_id) != time:
                log.error("%s was due at %s and was not triggered: %s", workflow_id, time, error)
            if isinstance(error, StoreError):
                # It is nobody's fault but the disk's, which may be well again while the time still counts.
                self._refused[workflow_id] = time
                return
        else:
            if now - time > MISSED:
                log.warning("%s was due at %s and is run now, %s late, to catch up", workflow_id, time, now - time)
        self._refused.pop(workflow_id, None)


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)
