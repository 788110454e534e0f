"""Who waits for work, and who is given which of the queued runs. What is decided here is an event of `dispatch`, which
the caller makes durable before an answer leaves."""

import asyncio
import logging
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cdktr.codec import assignment_to_json
from cdktr.dispatch import Dispatch
from cdktr.errors import DefinitionError
from cdktr.health import lacking
from cdktr.labels import Labels
from cdktr.lanes import Takers, Waits, held_up
from cdktr.ledger import now_ms
from cdktr.records import QueuedRun, RunStatus
from cdktr.workflow import Assignment, Workflow, bind_params

log = logging.getLogger(__name__)

#: Tasks in all that one answer hands out, at least one run: what is larger goes out in several answers.
GRANT_TASKS = 1_000

#: Seconds that runs wait for labels which no agent has before it is logged: after a restart of either side, an agent
#: needs a moment to tell what it has.
PATIENCE_S = 10.0


@dataclass(slots=True)
class _Waiter:
    """An agent whose request for work rests here: how many runs it takes, and how many tasks one answer still holds."""

    count: int
    answer: asyncio.Future[list[dict[str, Any]]]
    granted: list[dict[str, Any]] = field(default_factory=list)
    room: int = GRANT_TASKS


class Handout:
    """See the module. `find` looks up the definition in force."""

    def __init__(self, dispatch: Dispatch, find: Callable[[str], Workflow | None]) -> None:
        self._dispatch = dispatch
        self._find = find
        self._waiters: dict[str, _Waiter] = {}
        self._takers = Takers()
        #: Labels that runs wait for and no agent has: since when (monotonic seconds), infinite once that was logged.
        self._lacking: dict[Labels, float] = {}

    async def wait(self, agent_id: str, count: int, timeout_s: float) -> list[dict[str, Any]]:
        """What an agent is given, as soon as there is something for it; nothing when the time is over."""
        waiter = _Waiter(count, asyncio.get_running_loop().create_future())
        self._waiters[agent_id] = waiter
        self._takers.add(agent_id, self._dispatch.labels_of(agent_id))
        self.offer()
        await asyncio.wait([waiter.answer], timeout=timeout_s)
        if self._waiters.get(agent_id) is waiter:
            self.answer(agent_id)
        return waiter.answer.result()

    def relabel(self, agent_id: str) -> bool:
        """An agent tells other labels than it had, as after a restart of the principal, when its request for work came
        first; True when it waits."""
        is_waiting = agent_id in self._waiters
        if is_waiting:
            self._takers.add(agent_id, self._dispatch.labels_of(agent_id))
        return is_waiting

    def stop(self) -> None:
        """Whoever waits waits no more."""
        for agent_id in list(self._waiters):
            self.answer(agent_id)

    def answer(self, agent_id: str) -> None:
        """An agent that waits, if it does, waits no more: it gets what was granted to it."""
        self._takers.remove(agent_id)
        waiter = self._waiters.pop(agent_id, None)
        if waiter is not None and not waiter.answer.done():
            waiter.answer.set_result(waiter.granted)

    def offer(self) -> None:
        """Give queued runs to the agents that wait, each its oldest, one after the other, longest waiting first."""
        served: dict[str, None] = {}
        while (agent_id := self._takers.next(self._dispatch.queued)) is not None:
            served[agent_id] = None
            waiter = self._waiters[agent_id]
            self._grant(agent_id, waiter)
            if len(waiter.granted) < waiter.count and waiter.room > 0:
                self._takers.add(agent_id, self._dispatch.labels_of(agent_id))
            else:
                self._takers.remove(agent_id)
        for agent_id in served:
            if self._waiters[agent_id].granted:
                self.answer(agent_id)

    def _grant(self, agent_id: str, waiter: _Waiter) -> None:
        found = self.next_run(agent_id)
        if found is not None:
            _, workflow, params = found
            lease = self._dispatch.lease(agent_id, secrets.token_hex(8), len(workflow.tasks))
            job = Assignment(workflow, lease.run.id, lease.token, lease.first_number, params)
            waiter.granted.append(assignment_to_json(job))
            waiter.room -= len(workflow.tasks)

    def next_run(self, agent_id: str) -> tuple[QueuedRun, Workflow, dict[str, str]] | None:
        """The oldest queued run that an agent may take and that can run; those whose definition is gone or changed too
        much FAIL."""
        while (run := self._dispatch.next_for(agent_id)) is not None:
            workflow = self._find(run.workflow_id)
            if workflow is not None and not self._dispatch.labels_of(agent_id).issuperset(workflow.requires):
                # The folder was read by another thread just now: `redefined` comes next.
                self._dispatch.queued.sort()
                continue
            try:
                if workflow is None:
                    raise DefinitionError(f"the definition of {run.workflow_id} was removed while the run was queued")
                return run, workflow, bind_params(workflow, run.params)
            except DefinitionError as error:
                self._dispatch.finish(run.id, RunStatus.FAILED, now_ms(), str(error))
        return None

    def held_up(self) -> tuple[list[Waits], list[Waits]]:
        """See `lanes.held_up`."""
        waits = self._dispatch.queued.waits()
        return held_up(waits, self._dispatch.agent_infos()) if waits else ([], [])

    def tell_lacking(self, now: float) -> None:
        """Log that runs wait for labels which no agent has, once each time that this begins."""
        since = self._lacking
        unplaceable, _ = self.held_up()
        self._lacking = {each.labels: since.get(each.labels, now) for each in unplaceable}
        for each in unplaceable:
            if now - self._lacking[each.labels] >= min(PATIENCE_S, self._dispatch.agents.timeout_s):
                self._lacking[each.labels] = math.inf
                log.warning("%s", lacking(each.plain()))
