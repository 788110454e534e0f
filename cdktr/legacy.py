"""Agents of the original API: they know neither tokens nor our ids, and make an instance id of their own for a run.

The first mention of such an id ties it to what the agent was handed (`Dispatch.bind`); from then on everything about
it is kept under our id.
"""

import secrets
from dataclasses import replace

from cdktr.coordinator import Coordinator
from cdktr.errors import StoreError
from cdktr.ledger import now_ms
from cdktr.logs import LogHub
from cdktr.records import LogRecord, RunStatus, RunUpdate, TaskUpdate
from cdktr.workflow import Workflow, resolve


class OldAgents:
    """What the original API's agents may ask and tell."""

    def __init__(self, coordinator: Coordinator, hub: LogHub) -> None:
        self._coordinator = coordinator
        self._dispatch = coordinator.dispatch
        self._hub = hub

    def register(self, agent_id: str) -> None:
        """Registration or heartbeat."""
        self._coordinator.heard(agent_id)

    async def fetch(self, agent_id: str) -> tuple[str, Workflow] | None:
        """A run and its definition, parameters filled in; None when there is none. Raises StoreError."""
        self._coordinator.heard(agent_id)
        self._coordinator.ledger.check()
        if self._coordinator.is_stopping or (found := self._coordinator.handout.next_run(agent_id)) is None:
            self._coordinator.settle()
            return None
        run, workflow, params = found
        self._dispatch.lease(agent_id, secrets.token_hex(8), len(workflow.tasks), legacy=True)
        try:
            await self._coordinator.durably()
        except StoreError:
            self._coordinator.undelivered(agent_id, [run.id])
            raise
        tasks = {task_id: resolve(workflow, task_id, params) for task_id in workflow.tasks}
        return run.id, replace(workflow, tasks=tasks)

    async def run_status(self, agent_id: str, workflow_id: str, instance_id: str, status: RunStatus) -> None:
        """A report on the run that the agent calls `instance_id`. One without right is kept as an event."""
        now = now_ms()
        self._coordinator.heard(agent_id)
        known_as = self._dispatch.run_of(instance_id)
        # The end of a run that has ended is a late word about that one, and does not name the next.
        is_late = status.is_final and known_as in self._dispatch.finished
        run_id = None if is_late else self._dispatch.bind(agent_id, workflow_id, instance_id, now)
        # The history tells that a run was adopted before it tells what became of it.
        self._coordinator.settle()
        if run_id is None:
            update = RunUpdate(workflow_id, known_as, status, now)
            self._coordinator.reports.refuse(update, agent_id)
        elif status.is_final:
            self._dispatch.finish(run_id, status, now)
        else:
            self._goes_on(agent_id, workflow_id, run_id, status, now)
        await self._coordinator.durably()

    def _goes_on(self, agent_id: str, workflow_id: str, run_id: str, status: RunStatus, now: int) -> None:
        lease = self._dispatch.leases[run_id]
        if status is RunStatus.RUNNING and not lease.started:
            self._dispatch.start(run_id, lease.agent_id, lease.token, now)
        else:
            self._hub.take_run(RunUpdate(workflow_id, run_id, status, now, agent_id))

    def task_status(
        self, agent_id: str, task_id: str, task_instance_id: str, instance_id: str, status: RunStatus
    ) -> None:
        """A report on a task."""
        self._coordinator.heard(agent_id)
        run_id = self._dispatch.run_of(instance_id)
        update = TaskUpdate(task_id, task_instance_id, run_id, status, now_ms(), agent_id)
        if self._dispatch.finished.get(run_id) is RunStatus.CRASHED:
            self._coordinator.reports.refuse(update, agent_id)
        else:
            self._hub.take_task(update)

    def log(self, record: LogRecord) -> None:
        """A log line, kept under our id of the run."""
        self._hub.take_log(record._replace(workflow_instance_id=self._dispatch.run_of(record.workflow_instance_id)))
