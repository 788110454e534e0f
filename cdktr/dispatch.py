"""The principal's state: queue, leases, schedules. The law: every decision about who runs what, and
whose word counts, is made here, and every change of it is an event of `EVENTS`.

A method decides and applies; the events that made the change are collected in `changes`, for the journal and the
history. Replaying them over an older snapshot gives the same state: `apply` is the only place that writes it.
Agents and their heartbeats are not journaled: see `presence`.

`now` is the monotonic clock in seconds; `*_ms` is the wall clock, and is only kept, never compared with `now`.
Every run is in exactly one of `queued`, `leases`, `finished` (until it is forgotten).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cdktr.errors import RefusedError
from cdktr.keys import Keys
from cdktr.labels import NO_LABELS, Labels
from cdktr.lanes import Lanes
from cdktr.pauses import Pauses
from cdktr.presence import Agents
from cdktr.records import AgentInfo, Change, Lease, QueuedRun, RunStatus, plain
from cdktr.text import slug
from cdktr.times import Times

#: Ended runs whose verdict is remembered, to refuse late reports about them.
REMEMBERED = 10_000

#: A run is given up when this many agents were lost between taking and starting it: it may be what kills them.
MAX_DELIVERIES = 5

#: Milliseconds that the clock of one who triggers what is due may be ahead of this one.
AHEAD_MS = 60_000


class Dispatch:
    """See the module. `timeout_s` is the silence after which an agent is lost; `requires` tells which labels an agent
    must have for a workflow, as its definition is now."""

    def __init__(self, timeout_s: float, requires: Callable[[str], Labels | None] = lambda _: NO_LABELS) -> None:
        self._requires = requires
        self.queued = Lanes(requires)
        self.leases: dict[str, Lease] = {}
        self.finished: dict[str, RunStatus] = {}
        #: The scheduled times that were accepted of each workflow.
        self.accepted: dict[str, Times] = {}
        #: Workflow id -> what makes the schedule that is kept, and since when (milliseconds).
        self.kept: dict[str, tuple[str, int]] = {}
        #: The keys of triggers that were accepted.
        self.keys = Keys()
        self.pauses = Pauses()
        self.next_number = 0
        self.agents = Agents(timeout_s)
        self.changes: list[Change] = []
        self._aliases: dict[str, str] = {}
        #: The tokens of ended runs whose end was reported by their agent.
        self._ended_by: dict[str, str] = {}

    # Runs: accept, hand out, start, end.

    def accept(
        self,
        workflow_id: str,
        *,
        now_ms: int,
        params: Mapping[str, Any] | None = None,
        trigger: str = "manual",
        scheduled_ms: int | None = None,
        key: str | None = None,
    ) -> QueuedRun | None:
        """Queue a new run. None when its scheduled time was accepted before. A `key` must be new: see `keys`."""
        if scheduled_ms is not None and self._times(workflow_id).has(scheduled_ms, now_ms):
            return None
        run_id, number = self._free_id()
        run: dict[str, Any] = {"id": run_id, "workflow_id": workflow_id, "params": dict(params or {})}
        run |= {"trigger": trigger, "scheduled_ms": scheduled_ms, "queued_ms": now_ms, "number": number}
        if key is not None:
            run["key"] = key
        self._do("queued", run=run, number=number + 1)
        return self.queued[run_id]

    def _times(self, workflow_id: str) -> Times:
        return self.accepted.get(workflow_id) or Times()

    def keep(self, schedules: Mapping[str, str], now_ms: int) -> dict[str, int]:
        """These schedules (workflow id -> what makes it) are kept from now on, and no others; returns for each up to
        when its times are done with (milliseconds): the last that was accepted and has come, or since when it is kept.

        What is new here, or another schedule than it was, has missed nothing.
        """
        new = {name: [key, now_ms] for name, key in schedules.items() if self.kept.get(name, ("", 0))[0] != key}
        gone = sorted(self.kept.keys() - schedules.keys())
        if new or gone:
            self._do("kept", new=new, gone=gone)
        return {name: max(self.kept[name][1], self._times(name).last_until(now_ms)) for name in schedules}

    def pause_workflow(self, workflow_id: str, at_ms: int) -> bool:
        """Its schedule triggers it no more, whoever else does still may. False when it is paused already."""
        is_new = workflow_id not in self.pauses.since
        if is_new:
            self._do("paused", workflow_id=workflow_id, at_ms=at_ms)
        return is_new

    def resume_workflow(self, workflow_id: str, at_ms: int | None) -> bool:
        """Its schedule triggers it again, for what comes after `at_ms`; None: as if it had never been paused. False
        when it is not paused."""
        is_paused = workflow_id in self.pauses.since
        if is_paused:
            self._do("resumed", workflow_id=workflow_id, at_ms=at_ms)
        return is_paused

    def _free_id(self) -> tuple[str, int]:
        # An agent of the old API makes ids of the same form, which may be taken.
        number = self.next_number
        while (name := slug(number)) in self.leases or name in self.finished or name in self._aliases:
            number += 1
        return name, number

    def lease(self, agent_id: str, token: str, task_count: int, *, legacy: bool = False) -> Lease:
        """Hand an agent the oldest queued run that it may take. There must be one: see `next_for`."""
        run = self.next_for(agent_id)
        assert run is not None
        self._do(
            "leased",
            id=run.id,
            agent_id=agent_id,
            token=token,
            first_number=self.next_number,
            number=self.next_number + task_count,
            legacy=legacy,
        )
        return self.leases[run.id]

    def next_for(self, agent_id: str) -> QueuedRun | None:
        """The oldest queued run that an agent may take."""
        return self.queued.oldest(self.labels_of(agent_id))

    def labels_of(self, agent_id: str) -> Labels:
        """What an agent has, as far as it is known."""
        agent = self.agents.get(agent_id)
        return NO_LABELS if agent is None else agent.labels

    def start(self, run_id: str, agent_id: str, token: str, now_ms: int) -> bool:
        """May the agent start the run that it was handed? True exactly while its lease stands."""
        lease = self.leases.get(run_id)
        if lease is None or (lease.agent_id, lease.token) != (agent_id, token):
            return False
        if not lease.started:
            self._start(lease, now_ms)
        return True

    def _start(self, lease: Lease, now_ms: int) -> None:
        run = lease.run
        self._do("started", id=run.id, workflow_id=run.workflow_id, agent_id=lease.agent_id, at_ms=now_ms)

    def finish(
        self, run_id: str, status: RunStatus, now_ms: int, detail: str | None = None, token: str | None = None
    ) -> None:
        """A run has ended, whoever says so with right: see `holds`. Also for one that can never be handed out.

        `token` is that of the agent which reported the end, and may go on reporting: see `ended_by`.
        """
        lease = self.leases.get(run_id)
        run = self.queued[run_id] if lease is None else lease.run
        self._do(
            "finished",
            id=run_id,
            status=status.value,
            workflow_id=run.workflow_id,
            agent_id=None if lease is None else lease.agent_id,
            at_ms=now_ms,
            detail=detail,
            token=token,
        )

    def withdraw(self, run_id: str, now_ms: int, detail: str) -> bool:
        """A trigger could not be accepted after all: its run is as if it had never been, but in the history, and its
        scheduled time and its key can be triggered again. False when it was started or ended meanwhile."""
        lease = self.leases.get(run_id)
        run = self.queued.get(run_id) if lease is None or lease.started else lease.run
        if run is None:
            return False
        self._do("withdrawn", id=run_id, workflow_id=run.workflow_id, at_ms=now_ms, detail=detail)
        return True

    def requeue(self, lease: Lease, now_ms: int, detail: str, *, counted: bool = False) -> None:
        """A run that was handed out and never started waits again in its old place; `counted` if it may be to blame."""
        run = lease.run
        facts = {"workflow_id": run.workflow_id, "at_ms": now_ms, "detail": detail, "counted": counted}
        self._do("requeued", id=run.id, **facts)

    def holds(self, run_id: str, token: str) -> bool:
        """Does this token still speak for the run?"""
        lease = self.leases.get(run_id)
        return lease is not None and lease.token == token

    def ended_by(self, run_id: str, token: str) -> bool:
        """Did the agent with this token report the run's end? What it sends again about the run is then no news."""
        return self._ended_by.get(run_id) == token

    def reconcile(self, holding: Mapping[str, str], now_ms: int) -> list[str]:
        """An agent says which runs (id -> token) it holds; returns those it has no right to any more."""
        for run_id, token in holding.items():
            if self.holds(run_id, token) and self.leases[run_id].started is None:
                self._start(self.leases[run_id], now_ms)
        return [run_id for run_id, token in holding.items() if not self.holds(run_id, token)]

    def take_back(self, agent_id: str, holding: Iterable[str], now_ms: int) -> None:
        """Queue again what an agent was handed and does not hold: the assignment, or the answer to its question
        whether it may start, was lost on the way. Only to be called when neither can be on its way, as when the agent
        asks for the next."""
        held = set(holding)
        for lease in self.leases_of(agent_id):
            if lease.run.id not in held and not lease.legacy:
                self.requeue(lease, now_ms, f"the assignment never reached agent {agent_id}")

    # Lost agents.

    def leases_of(self, agent_id: str) -> list[Lease]:
        """The leases of one agent."""
        return [lease for lease in self.leases.values() if lease.agent_id == agent_id]

    def drop(self, lease: Lease, now_ms: int, why: str) -> None:
        """The agent of a lease is lost: queue the run again if it surely never started, else it CRASHED. When too many
        agents were lost over it, it is given up."""
        run = lease.run
        if lease.started is not False:
            self.finish(run.id, RunStatus.CRASHED, now_ms, why)
        elif run.deliveries + 1 >= MAX_DELIVERIES:
            reason = f"{why}; {MAX_DELIVERIES} agents were lost before they started it"
            self.finish(run.id, RunStatus.CRASHED, now_ms, reason)
        else:
            self.requeue(lease, now_ms, f"{why} before it started the run", counted=True)

    def agent_infos(self) -> list[AgentInfo]:
        """The registered agents and how many runs each holds."""
        return self.agents.infos(Counter(lease.agent_id for lease in self.leases.values() if not self.is_over(lease)))

    def is_over(self, lease: Lease) -> bool:
        """Has the run ended, though its agent could not tell how yet?"""
        agent = self.agents.get(lease.agent_id)
        return agent is not None and lease.run.id in agent.ended

    # Agents of the old API, which make their own instance ids.

    def bind(self, agent_id: str, workflow_id: str, alias: str, now_ms: int) -> str | None:
        """Our id of the run that an old agent calls `alias`, tied at its first mention to the oldest lease of that
        agent and workflow; a run that nobody handed out is adopted under its own name. None: it ended before."""
        for lease in self.leases_of(agent_id):
            # Its own first: two agents may use one name.
            if lease.legacy and lease.alias == alias:
                return lease.run.id
        if alias in self.leases:
            # A lease with a token is another agent's: only the token speaks for it.
            return alias if self.leases[alias].legacy else None
        for lease in self.leases_of(agent_id):
            if lease.legacy and lease.alias is None and lease.run.workflow_id == workflow_id:
                self._do("bound", id=lease.run.id, alias=alias)
                return lease.run.id
        if alias in self.finished or alias in self._aliases or alias in self.queued:
            return None
        run = QueuedRun(alias, workflow_id, trigger="agent", queued_ms=now_ms)
        self._do("adopted", run=plain(run), agent_id=agent_id)
        return alias

    def run_of(self, instance_id: str) -> str:
        """Our id for an instance id on the wire: aliases translated, others as they are."""
        return self._aliases.get(instance_id, instance_id)

    # State as a value, and its only writer.

    def snapshot(self) -> dict[str, Any]:
        """Everything that must survive a restart, JSON-able."""
        return {
            "queued": [plain(run) for run in self.queued.values()],
            "leases": [plain(lease) | {"run": plain(lease.run)} for lease in self.leases.values()],
            "finished": {run_id: status.value for run_id, status in self.finished.items()},
            "ended_by": dict(self._ended_by),
            "aliases": dict(self._aliases),
            "accepted": {name: times.plain() for name, times in self.accepted.items()},
            "kept": dict(self.kept),
            "keys": self.keys.plain(),
            "pauses": self.pauses.plain(),
            "next_number": self.next_number,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take over the state of a snapshot; agents are not in it."""
        self.queued = Lanes(self._requires, (QueuedRun(**run) for run in snapshot["queued"]))
        leases = [Lease(**(lease | {"run": QueuedRun(**lease["run"])})) for lease in snapshot["leases"]]
        self.leases = {lease.run.id: lease for lease in leases}
        self.finished = {run_id: RunStatus(status) for run_id, status in snapshot["finished"].items()}
        self._ended_by = dict(snapshot["ended_by"])
        self._aliases = dict(snapshot["aliases"])
        # One of an earlier version knows the last of these times alone, and no schedule that is kept.
        before = {name: {"stretches": [], "forgotten": last} for name, last in snapshot.get("cursor", {}).items()}
        self.accepted = {name: Times.of(times) for name, times in snapshot.get("accepted", before).items()}
        self.kept = {name: (key, since) for name, (key, since) in snapshot.get("kept", {}).items()}
        self.keys = Keys(snapshot.get("keys", ()))
        self.pauses = Pauses(snapshot.get("pauses"))
        self.next_number = snapshot["next_number"]

    def resume(self, now: float, now_ms: int) -> None:
        """After `restore`, and after what the journal holds beyond the snapshot was applied: agents that hold leases
        get a timeout to come back, and whether they started what they were handed is unknown from now on."""
        for run_id, lease in self.leases.items():
            self.agents.heard(lease.agent_id, now, now_ms)
            if lease.started is False:
                self.leases[run_id] = replace(lease, started=None)

    def take_changes(self) -> Sequence[Change]:
        """The events since the last call."""
        changes, self.changes = self.changes, []
        return changes

    def _do(self, kind: str, **facts: Any) -> None:
        change = Change(kind, facts)
        self.apply(change)
        self.changes.append(change)

    def apply(self, change: Change) -> None:
        """Make the change that an event tells of. Raises RefusedError for one that does not fit the state."""
        try:
            EVENTS[change.kind](self, **change.facts)
        except (KeyError, TypeError) as error:
            raise RefusedError(f"The event {change} does not fit the state of the queue") from error

    def _queued(self, run: Mapping[str, Any], number: int) -> None:
        queued = QueuedRun(**run)
        self.queued.add(queued)
        self.next_number = number
        if queued.scheduled_ms is not None:
            self.accepted.setdefault(queued.workflow_id, Times()).add(queued.scheduled_ms)
        if queued.key is not None:
            self.keys.add(queued.workflow_id, queued.key, queued.id)

    def _leased(self, id: str, agent_id: str, token: str, first_number: int, number: int, legacy: bool) -> None:
        self.leases[id] = Lease(self.queued.remove(id), agent_id, token, first_number, legacy=legacy)
        self.next_number = number

    def _started(self, id: str, at_ms: int | None = None, **_: Any) -> None:
        self.leases[id] = replace(self.leases[id], started=True, started_ms=at_ms)

    def _requeued(self, id: str, counted: bool = False, **_: Any) -> None:
        run = self.leases.pop(id).run
        self.queued.add(replace(run, deliveries=run.deliveries + counted))

    def _finished(self, id: str, status: str, token: str | None = None, **_: Any) -> None:
        if id in self.queued:
            self.queued.remove(id)
        else:
            del self.leases[id]
        self.finished[id] = RunStatus(status)
        if token is not None:
            self._ended_by[id] = token
        if len(self.finished) > REMEMBERED:
            forgotten = next(iter(self.finished))
            del self.finished[forgotten]
            self._ended_by.pop(forgotten, None)
            self._aliases = {alias: run for alias, run in self._aliases.items() if run != forgotten}

    def _withdrawn(self, id: str, **_: Any) -> None:
        run = self.queued[id] if id in self.queued else self.leases[id].run
        if run.scheduled_ms is not None:
            self._times(run.workflow_id).remove(run.scheduled_ms)
        if run.key is not None:
            self.keys.remove(run.workflow_id, run.key)
        self._finished(id, RunStatus.CANCELLED.value)

    def _kept(self, new: Mapping[str, Sequence[Any]], gone: Sequence[str]) -> None:
        self.kept |= {name: (key, since) for name, (key, since) in new.items()}
        for name in gone:
            self.kept.pop(name, None)

    def _bound(self, id: str, alias: str) -> None:
        self.leases[id] = replace(self.leases[id], alias=alias)
        self._aliases[alias] = id

    def _adopted(self, run: Mapping[str, Any], agent_id: str) -> None:
        adopted = QueuedRun(**run)
        self.leases[adopted.id] = Lease(adopted, agent_id, "", 0, started=True, legacy=True, alias=adopted.id)


#: Every event and its one effect.
EVENTS: Mapping[str, Callable[..., None]] = {
    "queued": Dispatch._queued,
    "leased": Dispatch._leased,
    "started": Dispatch._started,
    "requeued": Dispatch._requeued,
    "finished": Dispatch._finished,
    "withdrawn": Dispatch._withdrawn,
    "kept": Dispatch._kept,
    "paused": lambda dispatch, **facts: dispatch.pauses.begin(**facts),
    "resumed": lambda dispatch, **facts: dispatch.pauses.end(**facts),
    "bound": Dispatch._bound,
    "adopted": Dispatch._adopted,
}
