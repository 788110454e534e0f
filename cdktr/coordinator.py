"""The queue at work: `dispatch` decides, `ledger` makes it durable and tells the history, this wakes those who wait."""

import asyncio
import logging
import reprlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from cdktr.dispatch import AHEAD_MS, Dispatch
from cdktr.errors import ProtocolError, RefusedError, StoreError, no_workflow
from cdktr.handout import Handout
from cdktr.journal import Journal, Then
from cdktr.labels import MOST_LABELS, NO_LABELS, RULE, Labels, in_words, read_labels
from cdktr.ledger import JOURNAL, Ledger, now_ms
from cdktr.logs import LogHub
from cdktr.protocol import LONGEST_FACT, UV_FACTS, Heartbeat, LeaseWork, Report, StartRuns, Trigger
from cdktr.reports import Reports
from cdktr.text import bounded, plural
from cdktr.workflow import Workflow, bind_params

log = logging.getLogger(__name__)

#: Seconds that a report rests at most: less than its agent waits, or reports that come again would pile up here.
REPORT_REST_S = 45.0


class Accepted(NamedTuple):
    """What became of a trigger: its run, None for a scheduled time that was accepted before; and whether this is the
    run of a trigger with the same key that was accepted before."""

    run_id: str | None
    repeated: bool = False


class Coordinator:
    """Runs from trigger to verdict. `find` gives the definition in force for a workflow id, or None."""

    def __init__(
        self,
        journal: Journal,
        hub: LogHub,
        cursors: Mapping[str, int],
        find: Callable[[str], Workflow | None],
        timeout_s: float,
        first_number: Callable[[], int],
        open_runs: Callable[[], Iterable[tuple[str, str]]],
    ) -> None:
        """For the last two see `Ledger.restore`. Raises StartError."""
        self._find = find
        self.dispatch = Dispatch(timeout_s, self._required)
        self._hub = hub
        # The database must not know a report whose effect on the queue a crash could still undo.
        hub.before_write = journal.sync
        self.reports = Reports(self.dispatch, hub, cursors)
        self.handout = Handout(self.dispatch, find)
        #: Of each open run that somebody waits for.
        self._ends: dict[str, asyncio.Future[None]] = {}
        self.is_stopping = False
        #: Pauses begin and end one at a time: what cannot be made durable is undone before the next.
        self._pausing = asyncio.Lock()
        #: The workflow whose pause begins and is not durable yet.
        self._begins: str | None = None
        self.ledger = Ledger(self.dispatch, journal, hub, self._tell_end)
        hub.on_renewal = self.ledger.tell_again
        self.ledger.restore(cursors.get(JOURNAL, -1), first_number, open_runs)

    # From decisions to the journal and the history.

    def settle(self) -> None:
        """Journal what was decided, tell the history, hand out what can be handed out."""
        if self.ledger.take_changes():
            self._offer()

    def _offer(self) -> None:
        self.handout.offer()
        self.ledger.take_changes()

    def redefined(self) -> None:
        """Definitions in force have changed, and what queued runs require with them."""
        if self.dispatch.queued.sort():
            self._offer()

    def _required(self, workflow_id: str) -> Labels | None:
        workflow = self._find(workflow_id)
        return None if workflow is None else frozenset(workflow.requires) if workflow.requires else NO_LABELS

    def _tell_end(self, run_id: str) -> None:
        if (waiting := self._ends.pop(run_id, None)) is not None:
            waiting.set_result(None)

    async def durably(self) -> None:
        """Return when all that was decided so far is on the disk. Raises StoreError."""
        self.settle()
        await self.ledger.durably()

    def when_durable(self, then: Then) -> None:
        """`durably` for one that need not be a task for it: see `Journal.when_synced`."""
        self.settle()
        self.ledger.when_durable(then)

    # Triggers.

    async def trigger(self, request: Trigger) -> str | None:
        """Accept a run; returns its id when it is durable. Otherwise as `accept`."""
        accepted = self.accept(request)
        try:
            await self.durably()
        except StoreError:
            self.withdraw(accepted)
            raise
        return accepted.run_id

    def accept(self, request: Trigger) -> Accepted:
        """Decide on a trigger. Nobody may be told before it is durable, nor of a repeated one, whose first may not be
        durable yet; when it cannot be, `withdraw` it.

        Raises NotFoundError, DefinitionError for the parameters, StoreError while nothing can be made durable.
        """
        self._check_open()
        workflow_id, params, key = request.workflow_id, request.params, request.key
        if key is not None and (run_id := self.dispatch.keys.run_of(workflow_id, key)) is not None:
            return Accepted(run_id, repeated=True)
        self._hub.check_room()
        workflow = self._find(workflow_id)
        if workflow is None:
            raise no_workflow(workflow_id)
        if workflow.params or params:
            bind_params(workflow, params)
        now, scheduled_ms = now_ms(), request.scheduled_ms
        if scheduled_ms is not None and scheduled_ms > now + AHEAD_MS:
            # It would be run before its time, and not when that comes.
            raise RefusedError(
                f"The scheduled time {scheduled_ms} lies in the future; only what is due can be triggered"
            )
        run = self.dispatch.accept(
            workflow_id, now_ms=now, params=params, trigger=request.trigger, scheduled_ms=scheduled_ms, key=key
        )
        return Accepted(None if run is None else run.id)

    def _check_open(self) -> None:
        if self.is_stopping:
            raise StoreError("The principal is stopping; try again when it has been started again")
        self.ledger.check()

    def withdraw(self, accepted: Accepted) -> None:
        """Who triggered it is told that it was not accepted: then it must not run later. The run of a repeated one is
        that of another, who is told for himself."""
        run_id = None if accepted.repeated else accepted.run_id
        if run_id is not None and self.dispatch.withdraw(run_id, now_ms(), "the trigger could not be made durable"):
            self.settle()

    def keep(self, schedules: Mapping[str, str]) -> dict[str, int]:
        """See `Dispatch.keep`."""
        done = self.dispatch.keep(schedules, now_ms())
        self.settle()
        return done

    async def pause(self, workflow_id: str) -> dict[str, Any]:
        """The clock does not trigger a workflow from now on; returns when that is durable. One whose file is gone may
        be paused already. Raises NotFoundError, StoreError; then nothing has changed."""
        async with self._pausing:
            self._check_open()
            since = self.dispatch.pauses.since
            if workflow_id not in since and self._find(workflow_id) is None:
                raise no_workflow(workflow_id)
            is_new = self.dispatch.pause_workflow(workflow_id, now_ms())
            if is_new:
                self._begins = workflow_id
                try:
                    await self._durably_else(lambda: self.dispatch.resume_workflow(workflow_id, None))
                finally:
                    self._begins = None
                log.info("Workflow %s paused", workflow_id)
            return {"paused_ms": since[workflow_id], "changed": is_new}

    async def resume(self, workflow_id: str) -> dict[str, Any]:
        """The clock triggers a workflow again; otherwise as `pause`."""
        async with self._pausing:
            self._check_open()
            since = self.dispatch.pauses.since.get(workflow_id)
            if since is None and self._find(workflow_id) is None:
                raise no_workflow(workflow_id)
            if since is not None:
                self.dispatch.resume_workflow(workflow_id, now_ms())
                await self._durably_else(lambda: self.dispatch.pause_workflow(workflow_id, since))
                log.info("Workflow %s resumed", workflow_id)
            return {"paused_ms": None, "changed": since is not None}

    def skips(self, workflow_id: str, time: int, now: int) -> bool:
        """As `Pauses.skips`; a pause that may still be undone lets no time pass, as that would be lost."""
        return workflow_id != self._begins and self.dispatch.pauses.skips(workflow_id, time, now)

    async def _durably_else(self, undo: Callable[[], object]) -> None:
        try:
            await self.durably()
        except StoreError:
            undo()
            self.settle()
            raise

    async def ended(self, run_id: str, timeout_s: float) -> None:
        """Return when the run has ended, or after `timeout_s`. A run that is unknown has ended."""
        if self.is_open(run_id):
            if run_id not in self._ends:
                self._ends[run_id] = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._ends[run_id]], timeout=timeout_s)

    def is_open(self, run_id: str) -> bool:
        """True while the run is queued or in the hands of an agent."""
        return run_id in self.dispatch.queued or run_id in self.dispatch.leases

    # Agents of ours.

    def heartbeat(self, request: Heartbeat) -> dict[str, Any]:
        """An agent is alive; tells it which of its runs are its no more. Raises ProtocolError for its labels."""
        try:
            told = read_labels(request.labels)
        except ValueError:
            shown = reprlib.repr(request.labels)
            raise ProtocolError(f"labels cannot be {shown}; expected at most {MOST_LABELS} labels; {RULE}") from None
        if request.leaving:
            self.dispatch.agents.leave(request.agent_id, now_ms(), killed=request.killed)
            self._lose(request.agent_id, f"agent {request.agent_id} {'was killed' if request.killed else 'stopped'}")
            return {"lost": []}
        agent_id, labels = request.agent_id, self.dispatch.labels_of(request.agent_id)
        self.heard(agent_id, request.slots, request.version, told)
        agent = self.dispatch.agents[agent_id]
        agent.spooled_bytes, agent.dropped_lines = request.spooled_bytes, request.dropped_lines
        agent.uv = {name: bounded(request.uv[name], LONGEST_FACT) for name in UV_FACTS if name in request.uv} or None
        agent.ended = frozenset(request.ended)
        lost = self.dispatch.reconcile(request.holding, now_ms())
        self.settle()
        if told != labels and self.handout.relabel(agent_id):
            self._offer()
        return {"lost": lost}

    def heard(
        self, agent_id: str, slots: int | None = None, version: str | None = None, labels: Labels | None = None
    ) -> None:
        """An agent gave a sign of life."""
        if self.dispatch.agents.heard(agent_id, time.monotonic(), now_ms(), slots, version, labels):
            log.info("Agent %s registered%s", agent_id, f", with {in_words(labels)}" if labels else "")

    async def lease(self, request: LeaseWork) -> dict[str, Any]:
        """Work for an agent, as soon as there is some or when its wait is over. Raises StoreError."""
        self.heard(request.agent_id)
        lost = self.dispatch.reconcile(request.holding, now_ms())
        self.dispatch.take_back(request.agent_id, request.holding, now_ms())
        self.handout.answer(request.agent_id)
        leases: list[dict[str, Any]] = []
        if request.count > 0 and not self.is_stopping:
            self.ledger.check()
            self.ledger.take_changes()
            leases = await self.handout.wait(request.agent_id, request.count, request.wait_ms / 1000)
        try:
            await self.durably()
        except StoreError:
            self.undelivered(request.agent_id, [lease["workflow_instance_id"] for lease in leases])
            raise
        return {"leases": leases, "lost": lost}

    def undelivered(self, agent_id: str, run_ids: Iterable[str]) -> None:
        """What was handed out could not be sent to its agent: it waits again."""
        for run_id in run_ids:
            lease = self.dispatch.leases.get(run_id)
            if lease is not None and lease.agent_id == agent_id and lease.started is False:
                self.dispatch.requeue(lease, now_ms(), f"the assignment could not be sent to agent {agent_id}")
        self.ledger.take_changes()

    def start(self, request: StartRuns) -> dict[str, Any]:
        """Which of the runs the agent may start. In memory is enough: see `Dispatch.resume`."""
        now = now_ms()
        granted = [
            run_id
            for run_id, token in request.runs.items()
            if self.dispatch.start(run_id, request.agent_id, token, now)
        ]
        self.settle()
        return {"granted": granted}

    async def report(self, request: Report) -> dict[str, Any]:
        """Take a report; returns when all of it is stored. Raises RefusedError as `Reports.take`, StoreError when too
        much waits for the database already, or this takes too long to be stored."""
        self.heard(request.agent_id)
        self.reports.meet(request)
        if self._hub.is_full:
            why = self._hub.trouble or "it is slower than what comes"
            raise StoreError(f"{self._hub.unstored} rows wait for the database already, report it again later: {why}")
        last = self.reports.take(request)
        self.settle()
        # While the database is in trouble, many of these rest here.
        request.records.clear()
        try:
            async with asyncio.timeout(REPORT_REST_S):
                await self._hub.stored()
        except TimeoutError:
            why = self._hub.trouble or "the database takes long"
            raise StoreError(f"What was reported is not stored yet, report it again: {why}") from None
        return {"stored": last}

    # Lost agents.

    def check(self, interval_s: float) -> None:
        """Give up agents that were silent for too long; to be called every `interval_s`."""
        now = time.monotonic()
        for agent_id in self.dispatch.agents.expire(now, interval_s):
            self._lose(agent_id, f"agent {agent_id} was lost: no heartbeat for {self.dispatch.agents.timeout_s:g} s")
        self.handout.tell_lacking(now)

    def _lose(self, agent_id: str, why: str) -> None:
        """Of one that is among the agents no more."""
        leases = self.dispatch.leases_of(agent_id)
        held = f"; it held {plural(len(leases), 'run')}" if leases else ""
        log.log(logging.WARNING if leases else logging.INFO, "%s%s", why[:1].upper() + why[1:], held)
        self.handout.answer(agent_id)
        for lease in leases:
            self.dispatch.drop(lease, now_ms(), why)
        self.settle()

    def stop(self) -> None:
        """Accept and hand out nothing more; whoever waits for work gets an empty answer."""
        self.is_stopping = True
        self.handout.stop()
