"""The queue under anything that may happen to it, crashes included, beside a model that only counts."""

import json
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cdktr.dispatch import MAX_DELIVERIES, Dispatch
from cdktr.labels import NO_LABELS, Labels
from cdktr.records import Change, Lease, RunStatus
from cdktr.text import slug

TIMEOUT_S = 30.0
INTERVAL_S = 1.0

AGENTS = st.sampled_from(["one", "two", "three"])
WORKFLOWS = st.sampled_from(["a", "b"])
KEYS = st.sampled_from(["k", "l", "m"])
LABELS = st.sets(st.sampled_from(["gpu", "zone=eu"])).map(frozenset)
ENDS = st.sampled_from([RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CRASHED, RunStatus.CANCELLED])


def stored(value: Any) -> Any:
    """A value as the journal gives it back."""
    return json.loads(json.dumps(value))


def known(dispatch: Dispatch) -> dict[str, Any]:
    """Its state, but for what a restart makes unknown: whether a lease was started."""
    snapshot = dispatch.snapshot()
    for lease in snapshot["leases"]:
        lease["started"] = lease["started"] or None
    return snapshot


class DispatchMachine(RuleBasedStateMachine):
    """A principal's state through its days."""

    def __init__(self) -> None:
        super().__init__()
        #: What the definitions in force require, and what each agent said that it has.
        self.required: dict[str, Labels] = {}
        self.labels: dict[str, Labels] = {}
        self.dispatch = Dispatch(TIMEOUT_S, self.requires)
        #: As the journal holds them: a snapshot, and the changes since.
        self.saved: Any = stored(self.dispatch.snapshot())
        self.since: list[Change] = []
        self.clock = 0.0
        self.tokens = 0
        self.accepted: set[str] = set()
        self.numbers: set[int] = set()
        self.scheduled: Counter[tuple[str, int]] = Counter()
        #: Run -> the scheduled time that it is for.
        self.times: dict[str, tuple[str, int]] = {}
        #: (run, token) -> how often the history heard that it started.
        self.started: Counter[tuple[str, str]] = Counter()
        self.ended: dict[str, RunStatus] = {}
        self.adopted: set[str] = set()
        #: (workflow, key) -> the run that it made.
        self.keys: dict[tuple[str, str], str] = {}
        #: Paused workflow -> since when.
        self.paused: dict[str, int] = {}

    def requires(self, workflow_id: str) -> Labels:
        """Of a definition in force."""
        return self.required.get(workflow_id, NO_LABELS)

    def note(self) -> list[Change]:
        """Journal the changes, as JSON, and count."""
        changes = [Change(change.kind, stored(change.facts)) for change in self.dispatch.take_changes()]
        for change in changes:
            if change.kind in ("paused", "resumed"):
                continue
            run_id = change.facts.get("id") or change.facts["run"]["id"]
            if change.kind in ("queued", "adopted"):
                assert run_id not in self.accepted, "ids are unique"
                self.accepted.add(run_id)
            elif change.kind == "started":
                self.started[run_id, self.dispatch.leases[run_id].token] += 1
            elif change.kind == "finished":
                assert run_id not in self.ended, "a run ends once"
                self.ended[run_id] = RunStatus(change.facts["status"])
            elif change.kind == "withdrawn":
                assert run_id not in self.ended, "a run ends once"
                self.ended[run_id] = RunStatus.CANCELLED
            if change.kind == "adopted":
                self.adopted.add(run_id)
        self.since += changes
        return changes

    def number(self, number: int) -> None:
        """An id's number is used once."""
        assert number not in self.numbers
        self.numbers.add(number)

    # What happens.

    @rule(workflow_id=WORKFLOWS)
    def accept(self, workflow_id: str) -> None:
        run = self.dispatch.accept(workflow_id, now_ms=0, params={"x": 1})
        assert run is not None
        self.number(run.number)
        self.note()
        assert list(self.dispatch.queued)[-1] == run.id

    @rule(workflow_id=WORKFLOWS, time=st.integers(0, 5))
    def accept_scheduled(self, workflow_id: str, time: int) -> None:
        run = self.dispatch.accept(workflow_id, now_ms=0, trigger="schedule", scheduled_ms=time)
        if run is not None:
            self.number(run.number)
            self.scheduled[workflow_id, time] += 1
            self.times[run.id] = (workflow_id, time)
        changes = self.note()
        assert len(changes) == (run is not None)

    @rule(workflow_id=WORKFLOWS, key=KEYS)
    def accept_keyed(self, workflow_id: str, key: str) -> None:
        """As a principal does: one that was accepted before is not accepted again."""
        known_run = self.dispatch.keys.run_of(workflow_id, key)
        assert known_run == self.keys.get((workflow_id, key))
        if known_run is None:
            run = self.dispatch.accept(workflow_id, now_ms=0, key=key)
            assert run is not None
            self.number(run.number)
            self.keys[workflow_id, key] = run.id
        self.note()

    @rule(workflow_id=WORKFLOWS, at=st.integers(0, 5))
    def pause(self, workflow_id: str, at: int) -> None:
        assert self.dispatch.pause_workflow(workflow_id, at) == (workflow_id not in self.paused)
        self.paused.setdefault(workflow_id, at)
        self.note()

    @rule(workflow_id=WORKFLOWS, at=st.integers(0, 5) | st.none())
    def resume(self, workflow_id: str, at: int | None) -> None:
        assert self.dispatch.resume_workflow(workflow_id, at) == (workflow_id in self.paused)
        self.paused.pop(workflow_id, None)
        self.note()

    @precondition(lambda self: self.dispatch.queued or self.dispatch.leases)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from([*self.dispatch.queued, *self.dispatch.leases]))
        lease = self.dispatch.leases.get(run_id)
        done = self.dispatch.withdraw(run_id, 0, "the disk is full")
        assert done == (lease is None or not lease.started)
        if done:
            self.keys = {named: run for named, run in self.keys.items() if run != run_id}
            self.scheduled -= Counter([self.times.pop(run_id)] if run_id in self.times else [])
        self.note()

    @precondition(lambda self: self.dispatch.queued)
    @rule(agent_id=AGENTS, tasks=st.integers(0, 3), legacy=st.booleans())
    def lease(self, agent_id: str, tasks: int, legacy: bool) -> None:
        self.tokens += 1
        have = self.labels.get(agent_id, NO_LABELS) if agent_id in self.dispatch.agents else NO_LABELS
        able = [run for run in self.dispatch.queued.values() if self.requires(run.workflow_id) <= have]
        oldest = min(able, key=lambda run: run.number, default=None)
        assert self.dispatch.next_for(agent_id) == oldest
        if oldest is None:
            return
        lease = self.dispatch.lease(agent_id, f"token{self.tokens}", tasks, legacy=legacy)
        for number in range(lease.first_number, lease.first_number + tasks):
            self.number(number)
        assert lease.run == oldest
        self.dispatch.agents.heard(agent_id, self.clock, 0)
        self.note()

    def some_lease(self, data: st.DataObject) -> Lease:
        """Any lease there is."""
        return data.draw(st.sampled_from(list(self.dispatch.leases.values())))

    @precondition(lambda self: self.dispatch.leases)
    @rule(data=st.data(), right=st.booleans())
    def start(self, data: st.DataObject, right: bool) -> None:
        lease = self.some_lease(data)
        token = lease.token if right else lease.token + "x"
        agent_id = lease.agent_id if right or data.draw(st.booleans()) else "stranger"
        assert self.dispatch.start(lease.run.id, agent_id, token, 0) == right
        changes = self.note()
        assert len(changes) == (right and not lease.started)

    @precondition(lambda self: self.dispatch.leases)
    @rule(data=st.data(), status=ENDS)
    def finish(self, data: st.DataObject, status: RunStatus) -> None:
        lease = self.some_lease(data)
        assert self.dispatch.holds(lease.run.id, lease.token)
        self.dispatch.finish(lease.run.id, status, 0, token=lease.token)
        assert self.dispatch.ended_by(lease.run.id, lease.token)
        assert not self.dispatch.holds(lease.run.id, lease.token)
        self.note()

    @precondition(lambda self: self.dispatch.queued)
    @rule(data=st.data())
    def finish_queued(self, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from(list(self.dispatch.queued)))
        self.dispatch.finish(run_id, RunStatus.FAILED, 0, "its definition is gone")
        self.note()

    @rule(data=st.data(), right=st.booleans())
    def reconcile(self, data: st.DataObject, right: bool) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.accepted)), unique=True)) if self.accepted else []
        tokens = {run_id: lease.token for run_id, lease in self.dispatch.leases.items()}
        holding = {run_id: tokens.get(run_id, "") if right else "wrong" for run_id in ids}
        before = known(self.dispatch)
        lost = self.dispatch.reconcile(holding, 0)
        assert lost == [run_id for run_id in ids if not right or run_id not in tokens]
        changes = self.note()
        assert {change.kind for change in changes} <= {"started"}
        assert right or (changes == [] and known(self.dispatch) == before)

    @rule(data=st.data(), agent_id=AGENTS)
    def take_back(self, data: st.DataObject, agent_id: str) -> None:
        own = [lease.run.id for lease in self.dispatch.leases_of(agent_id)]
        holding = data.draw(st.lists(st.sampled_from(own), unique=True)) if own else []
        gone = [i for i in own if i not in holding and not self.dispatch.leases[i].legacy]
        self.dispatch.take_back(agent_id, holding, 0)
        assert [change.facts["id"] for change in self.note()] == gone
        assert set(gone) <= set(self.dispatch.queued)

    @rule(agent_id=AGENTS, alias=st.sampled_from(["x-1", "x-2", "x-3", "next", "own"]), workflow_id=WORKFLOWS)
    def bind(self, agent_id: str, alias: str, workflow_id: str) -> None:
        if alias == "next":
            alias = slug(self.dispatch.next_number)
        elif alias == "own" and self.accepted:
            alias = min(self.accepted)
        secret = {i for i, lease in self.dispatch.leases.items() if not lease.legacy}
        run_id = self.dispatch.bind(agent_id, workflow_id, alias, 0)
        self.note()
        assert run_id is None or (run_id in self.dispatch.leases and run_id not in secret)
        assert run_id is None or self.dispatch.bind(agent_id, workflow_id, alias, 0) == run_id
        assert self.note() == []

    # Time and loss.

    @rule(agent_id=AGENTS, slots=st.none() | st.integers(1, 5), labels=st.none() | LABELS)
    def heard(self, agent_id: str, slots: int | None, labels: Labels | None) -> None:
        new = agent_id not in self.dispatch.agents
        assert self.dispatch.agents.heard(agent_id, self.clock, 0, slots, None, labels) == new
        before = NO_LABELS if new else self.labels.get(agent_id, NO_LABELS)
        self.labels[agent_id] = before if labels is None else labels
        assert self.dispatch.labels_of(agent_id) == self.labels[agent_id]

    @rule(workflow_id=WORKFLOWS, labels=LABELS)
    def redefine(self, workflow_id: str, labels: Labels) -> None:
        self.required[workflow_id] = labels
        self.dispatch.queued.sort()

    @rule(seconds=st.sampled_from([1.0, 8.0, 8.0, 40.0]))
    def expire(self, seconds: float) -> None:
        silent = {agent_id: self.clock + seconds - agent.seen for agent_id, agent in self.dispatch.agents.items()}
        self.clock += seconds
        lost = self.dispatch.agents.expire(self.clock, INTERVAL_S)
        assert all(silent[agent_id] > TIMEOUT_S for agent_id in lost)
        assert not lost or seconds < 40.0, "the principal itself stood still"
        assert not set(lost) & set(self.dispatch.agents)
        for agent_id in lost:
            self.lose(agent_id)

    @rule(agent_id=AGENTS)
    def lose(self, agent_id: str) -> None:
        self.dispatch.agents.pop(agent_id, None)
        leases = self.dispatch.leases_of(agent_id)
        for lease in leases:
            self.dispatch.drop(lease, 0, "it was lost")
        assert self.dispatch.leases_of(agent_id) == []
        for lease in leases:
            again = lease.started is False and lease.run.deliveries < MAX_DELIVERIES - 1
            assert (lease.run.id in self.dispatch.queued) == again
            assert again or self.dispatch.finished[lease.run.id] is RunStatus.CRASHED
        self.note()

    # Restarts.

    @rule()
    def save(self) -> None:
        self.saved = stored(self.dispatch.snapshot())
        self.since = []

    @rule()
    def restore(self) -> None:
        again = Dispatch(TIMEOUT_S, self.requires)
        again.restore(stored(self.dispatch.snapshot()))
        assert again.snapshot() == self.dispatch.snapshot()
        again.agents = self.dispatch.agents
        self.dispatch = again

    @rule()
    def crash(self) -> None:
        again = Dispatch(TIMEOUT_S, self.requires)
        again.restore(stored(self.saved))
        for change in self.since:
            again.apply(change)
        again.resume(self.clock, 0)
        assert known(again) == known(self.dispatch)
        assert all(lease.started is not False for lease in again.leases.values())
        assert set(again.agents) == {lease.agent_id for lease in again.leases.values()}
        assert again.take_changes() == []
        self.dispatch = again
        # Nobody has told yet what it has.
        self.labels.clear()

    # What always holds.

    @invariant()
    def a_run_is_in_one_place(self) -> None:
        places = [*self.dispatch.queued, *self.dispatch.leases, *self.dispatch.finished]
        assert sorted(places) == sorted(self.accepted)
        assert self.dispatch.finished == self.ended

    @invariant()
    def the_queue_is_in_the_order_of_acceptance(self) -> None:
        numbers = [run.number for run in self.dispatch.queued.values()]
        assert numbers == sorted(numbers)

    @invariant()
    def a_lease_is_started_once(self) -> None:
        assert all(count == 1 for count in self.started.values())

    @invariant()
    def a_scheduled_time_is_accepted_once(self) -> None:
        assert all(count == 1 for count in self.scheduled.values())

    @invariant()
    def a_key_is_that_of_the_run_it_made(self) -> None:
        assert {(workflow_id, key): run for workflow_id, key, run in self.dispatch.keys.plain()} == self.keys

    @invariant()
    def what_was_paused_and_not_resumed_is_paused(self) -> None:
        assert self.dispatch.pauses.since == self.paused


DispatchMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=40)
TestDispatch = DispatchMachine.TestCase
