"""The queue in lanes, one for each set of labels that its runs require, and the agents that wait, by what they have.

A run that nobody can take stands in no other's way: the oldest run for an agent is the first of one of the lanes that
the agent may take from, however many runs wait in the others. What a run requires is what its definition says now.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from cdktr.health import Waiting
from cdktr.labels import NO_LABELS, Labels
from cdktr.records import AgentInfo, QueuedRun

#: Entries of a lane that may be of no use any more, beside as many as there are runs in it.
SPARE = 64

#: Sets of labels of which it is remembered from which lanes they may take. All are forgotten when there are more.
KNOWN = 4_096

#: Workflows that are named of those whose runs wait for the same labels.
NAMED = 10


@dataclass(slots=True)
class _Lane:
    labels: Labels
    #: A heap of the number and the id of each run, and of some that were taken out of its middle.
    order: list[tuple[int, str]] = field(default_factory=list)
    #: Workflow id -> how many of its runs are here; and how many there are in all.
    workflows: Counter[str] = field(default_factory=Counter)
    count: int = 0


class Waits(NamedTuple):
    """The runs that wait for the same labels: how many, and of which workflows, some of those with the most."""

    labels: Labels
    runs: int
    workflows: list[str]

    def plain(self) -> Waiting:
        """As STATUS has it."""
        return {"labels": sorted(self.labels), "runs": self.runs, "workflows": self.workflows}


class Lanes(Mapping[str, QueuedRun]):
    """The queued runs by id, in the order of their numbers. `requires` tells what a workflow requires now, None when
    nobody knows, as its definition is not there; what the runs that are here require is what it told when the first of
    them came, or at the last `sort`."""

    def __init__(self, requires: Callable[[str], Labels | None], runs: Iterable[QueuedRun] = ()) -> None:
        self._requires = requires
        self._fill(runs, {})

    def _fill(self, runs: Iterable[QueuedRun], known: Mapping[str, Labels]) -> None:
        self._runs: dict[str, QueuedRun] = {}
        self._lanes: dict[Labels, _Lane] = {}
        #: By workflow id, of those that have a run here.
        self._lane_of: dict[str, _Lane] = {}
        #: By the labels that an agent has: the lanes that it may take from, by the labels that those require. Noted at
        #: the first question, as there is one at each trigger, and kept right as lanes come and go.
        self._open: dict[Labels, dict[Labels, _Lane]] = {}
        for workflow_id, labels in known.items():
            self._lane_of[workflow_id] = self._lane(labels)
        for run in runs:
            self.add(run)

    def __getitem__(self, run_id: str) -> QueuedRun:
        return self._runs[run_id]

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._runs

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._runs, key=lambda run_id: self._runs[run_id].number))

    def add(self, run: QueuedRun) -> None:
        """A run waits; one that waited before is in its old place, by its number."""
        lane = self._lane_of.get(run.workflow_id)
        if lane is None:
            lane = self._lane_of[run.workflow_id] = self._lane(self._requires(run.workflow_id) or NO_LABELS)
        self._runs[run.id] = run
        heappush(lane.order, (run.number, run.id))
        lane.workflows[run.workflow_id] += 1
        lane.count += 1

    def remove(self, run_id: str) -> QueuedRun:
        """A run waits no more. Raises KeyError."""
        run = self._runs.pop(run_id)
        lane = self._lane_of[run.workflow_id]
        lane.count -= 1
        lane.workflows[run.workflow_id] -= 1
        if not lane.workflows[run.workflow_id]:
            del lane.workflows[run.workflow_id], self._lane_of[run.workflow_id]
        if not lane.count:
            self._end(lane)
        elif lane.order[0][1] == run_id:
            heappop(lane.order)
        elif len(lane.order) > 2 * lane.count + SPARE:
            lane.order = [entry for entry in lane.order if self._is_in(lane, entry[1])]
            heapify(lane.order)
        return run

    def _lane(self, labels: Labels) -> _Lane:
        if (lane := self._lanes.get(labels)) is not None:
            return lane
        lane = self._lanes[labels] = _Lane(labels)
        for have, lanes in self._open.items():
            if labels <= have:
                lanes[labels] = lane
        return lane

    def _end(self, lane: _Lane) -> None:
        del self._lanes[lane.labels]
        for lanes in self._open.values():
            lanes.pop(lane.labels, None)

    def _open_to(self, have: Labels) -> dict[Labels, _Lane]:
        lanes = self._open.get(have)
        if lanes is None:
            if len(self._open) >= KNOWN:
                self._open.clear()
            lanes = self._open[have] = {labels: lane for labels, lane in self._lanes.items() if labels <= have}
        return lanes

    def _is_in(self, lane: _Lane, run_id: str) -> bool:
        run = self._runs.get(run_id)
        return run is not None and self._lane_of.get(run.workflow_id) is lane

    def has_for(self, labels: Labels) -> bool:
        """Is there a run for an agent that has these labels?"""
        return bool(self._open_to(labels))

    def oldest(self, labels: Labels) -> QueuedRun | None:
        """The first of the runs for an agent that has these labels."""
        firsts = [self._first(lane) for lane in self._open_to(labels).values()]
        return self._runs[min(firsts)[1]] if firsts else None

    def _first(self, lane: _Lane) -> tuple[int, str]:
        while not self._is_in(lane, lane.order[0][1]):
            heappop(lane.order)
        return lane.order[0]

    def sort(self) -> bool:
        """Ask anew what each workflow requires; True when that has changed for some of the runs. One whose definition
        is not there requires what it did: files that are away for a moment must not cost runs that wait for long."""
        before = {workflow_id: lane.labels for workflow_id, lane in self._lane_of.items()}
        now = {}
        for workflow_id, labels in before.items():
            required = self._requires(workflow_id)
            now[workflow_id] = labels if required is None else required
        if now == before:
            return False
        self._fill(self._runs.values(), now)
        return True

    def waits(self) -> list[Waits]:
        """What waits for which labels, the longest lane first; runs that require none are left out."""
        lanes = sorted((lane for lane in self._lanes.values() if lane.labels), key=lambda lane: -lane.count)
        return [
            Waits(lane.labels, lane.count, [name for name, _ in lane.workflows.most_common(NAMED)]) for lane in lanes
        ]


def held_up(waits: Iterable[Waits], agents: Iterable[AgentInfo]) -> tuple[list[Waits], list[Waits]]:
    """Of what waits for labels: first what no agent can take, as none has them; then what those that have them cannot
    take now, as they have no free slot."""
    able: dict[Labels, bool] = {}
    for agent in agents:
        able[agent.labels] = able.get(agent.labels, False) or agent.slots is None or agent.running < agent.slots
    unplaceable, crowded = [], []
    for each in waits:
        free = [is_free for labels, is_free in able.items() if each.labels <= labels]
        if not free:
            unplaceable.append(each)
        elif not any(free):
            crowded.append(each)
    return unplaceable, crowded


class Takers:
    """The agents that wait for work, in the order in which it is their turn."""

    def __init__(self) -> None:
        #: By the labels that they have: agent id -> its place.
        self._groups: dict[Labels, dict[str, int]] = {}
        self._labels: dict[str, Labels] = {}
        self._place = 0

    def add(self, agent_id: str, labels: Labels) -> None:
        """It waits, and its turn is after that of all others."""
        self.remove(agent_id)
        self._place += 1
        self._groups.setdefault(labels, {})[agent_id] = self._place
        self._labels[agent_id] = labels

    def remove(self, agent_id: str) -> None:
        """It waits no more."""
        labels = self._labels.pop(agent_id, None)
        if labels is not None:
            del self._groups[labels][agent_id]
            if not self._groups[labels]:
                del self._groups[labels]

    def next(self, lanes: Lanes) -> str | None:
        """Whose turn it is, of those for whom there is a run. Agents that have the same are asked for once."""
        firsts = [next(iter(group.items())) for labels, group in self._groups.items() if lanes.has_for(labels)]
        return min(firsts, key=lambda first: first[1])[0] if firsts else None
