"""The queue in lanes, beside a plain list."""

from collections.abc import Set as AbstractSet

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cdktr.labels import NO_LABELS, Labels
from cdktr.lanes import NAMED, SPARE, Lanes, Takers, Waits, held_up
from cdktr.records import AgentInfo, QueuedRun

GPU, EU = frozenset({"gpu"}), frozenset({"zone=eu"})
SETS = st.sets(st.sampled_from(["gpu", "zone=eu", "big"])).map(frozenset)
WORKFLOWS = st.sampled_from(["a", "b", "c", "d"])


class LanesMachine(RuleBasedStateMachine):
    """Lanes through their days, and what they should be: a list, looked through from its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.required: dict[str, Labels | None] = {}
        #: What the lanes were told of each workflow that has runs in them.
        self.known: dict[str, Labels] = {}
        self.lanes = Lanes(self.requires)
        self.waiting: list[QueuedRun] = []
        self.taken: list[QueuedRun] = []
        self.count = 0
        self.takers = Takers()
        self.turns: list[tuple[str, Labels]] = []

    def requires(self, workflow_id: str) -> Labels | None:
        return self.required.get(workflow_id, NO_LABELS)

    def add_to_model(self, run: QueuedRun) -> None:
        self.known.setdefault(run.workflow_id, self.requires(run.workflow_id) or NO_LABELS)
        self.waiting.append(run)
        self.waiting.sort(key=lambda each: each.number)

    def take_from_model(self, run: QueuedRun) -> None:
        self.waiting.remove(run)
        if all(each.workflow_id != run.workflow_id for each in self.waiting):
            del self.known[run.workflow_id]

    def fitting(self, have: Labels) -> list[QueuedRun]:
        return [run for run in self.waiting if self.known[run.workflow_id] <= have]

    @rule(workflow_id=WORKFLOWS, count=st.sampled_from([1, 1, 3, SPARE]))
    def add(self, workflow_id: str, count: int) -> None:
        for _ in range(count):
            self.count += 1
            run = QueuedRun(f"r{self.count}", workflow_id, number=self.count * 7)
            self.lanes.add(run)
            self.add_to_model(run)

    @rule(have=SETS, count=st.sampled_from([1, 1, 5, SPARE]))
    def take_the_oldest(self, have: Labels, count: int) -> None:
        for _ in range(count):
            found = self.lanes.oldest(have)
            assert found == next(iter(self.fitting(have)), None)
            if found is not None:
                assert self.lanes.remove(found.id) == found
                self.take_from_model(found)
                self.taken.append(found)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), count=st.sampled_from([1, 1, SPARE]))
    def take_any(self, data: st.DataObject, count: int) -> None:
        place = data.draw(st.integers(0, len(self.waiting) - 1))
        for run in self.waiting[place : place + count]:
            self.lanes.remove(run.id)
            self.take_from_model(run)
            self.taken.append(run)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        run = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        self.lanes.add(run)
        self.add_to_model(run)

    @rule(workflow_id=WORKFLOWS, labels=st.none() | SETS, is_told=st.booleans())
    def redefine(self, workflow_id: str, labels: Labels | None, is_told: bool) -> None:
        self.required[workflow_id] = labels
        if is_told:
            told = {name: self.requires(name) for name in self.known}
            now = {name: self.known[name] if labels is None else labels for name, labels in told.items()}
            assert self.lanes.sort() == (now != self.known)
            self.known = now

    # Who waits.

    @rule(agent_id=st.sampled_from("stuvwxyz"), have=SETS)
    def wait(self, agent_id: str, have: Labels) -> None:
        self.takers.add(agent_id, have)
        self.turns = [each for each in self.turns if each[0] != agent_id] + [(agent_id, have)]

    @rule(agent_id=st.sampled_from("stuvwxyz"))
    def go(self, agent_id: str) -> None:
        self.takers.remove(agent_id)
        self.turns = [each for each in self.turns if each[0] != agent_id]

    @invariant()
    def it_is_the_turn_of_who_waited_longest_and_may_take_something(self) -> None:
        able = [agent_id for agent_id, have in self.turns if self.fitting(have)]
        assert self.takers.next(self.lanes) == next(iter(able), None)

    # What always holds.

    @invariant()
    def they_are_a_queue(self) -> None:
        assert list(self.lanes) == [run.id for run in self.waiting]
        assert len(self.lanes) == len(self.waiting)
        assert list(self.lanes.values()) == self.waiting
        assert all(run.id not in self.lanes for run in self.taken)

    @invariant()
    def what_waits_for_labels_is_told(self) -> None:
        required = {self.known[run.workflow_id] for run in self.waiting} - {NO_LABELS}
        found = self.lanes.waits()
        assert {each.labels for each in found} == required
        for each in found:
            names = [run.workflow_id for run in self.waiting if self.known[run.workflow_id] == each.labels]
            assert (each.runs, set(each.workflows)) == (len(names), set(names))

    @invariant()
    def what_is_of_no_use_is_not_kept(self) -> None:
        entries = sum(len(lane.order) for lane in self.lanes._lanes.values())
        assert entries <= 2 * len(self.waiting) + (SPARE + 1) * len(self.lanes._lanes)
        assert all(lane.count for lane in self.lanes._lanes.values())


LanesMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestLanes = LanesMachine.TestCase


def test_a_run_that_is_not_there_cannot_be_taken() -> None:
    lanes = Lanes(lambda _: GPU, [QueuedRun("r1", "w")])
    with pytest.raises(KeyError):
        lanes.remove("r2")
    assert list(lanes) == ["r1"]


def test_what_no_lane_can_be_taken_from_is_not_looked_through() -> None:
    """The cost of a look does not depend on how many runs wait for what nobody has."""
    asked: list[str] = []

    def requires(workflow_id: str) -> Labels:
        asked.append(workflow_id)
        return GPU if workflow_id == "train" else NO_LABELS

    lanes = Lanes(requires, [QueuedRun(f"t{n}", "train", number=n) for n in range(10_000)])
    lanes.add(QueuedRun("p", "plain", number=10_000))
    entries = [lane.order for lane in lanes._lanes.values()]
    found = lanes.oldest(NO_LABELS)
    assert found is not None
    assert found.id == "p"
    lanes.remove("p")
    assert lanes.oldest(NO_LABELS) is None
    assert not lanes.has_for(EU)
    assert asked == ["train", "plain"], "once, and not for each run"
    assert [len(order) for order in entries] == [10_000, 1]


class Counted(frozenset[str]):
    """Labels that a lane requires; counts how often they are compared with what an agent has."""

    count = 0

    def __le__(self, other: AbstractSet[object]) -> bool:
        Counted.count += 1
        return super().__le__(other)


def test_a_run_beside_many_blocked_lanes_is_not_offered_to_each_agent_for_each_lane() -> None:
    required = {f"w{n}": Counted({f"other={n}"}) for n in range(100)} | {"plain": Counted()}
    lanes = Lanes(required.__getitem__, [QueuedRun(f"r{n}", f"w{n}", number=n) for n in range(100)])
    takers = Takers()
    for n in range(100):
        takers.add(f"a{n}", frozenset({f"host={n}"}))
    assert takers.next(lanes) is None
    Counted.count = 0
    for n in range(100):
        lanes.add(QueuedRun(f"p{n}", "plain", number=100 + n))
        assert takers.next(lanes) == f"a{n}"
        have = frozenset({f"host={n}"})
        found = lanes.oldest(have)
        assert found is not None
        lanes.remove(found.id)
        takers.add(f"a{n}", have)
        assert takers.next(lanes) is None
    assert Counted.count <= 100 * 100, "once for each run that begins a lane and each set of labels, not for each lane"


def test_what_is_remembered_of_labels_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdktr.lanes.KNOWN", 3)
    lanes = Lanes(lambda _: GPU, [QueuedRun("r", "w")])
    for have in (*(GPU | {f"host={n}"} for n in range(20)), EU, GPU):
        assert lanes.has_for(have) == (have != EU)
        assert len(lanes._open) <= 3


def test_no_more_than_some_workflows_are_named() -> None:
    lanes = Lanes(lambda _: GPU, [QueuedRun(f"r{n}", f"w{n % 20}") for n in range(50)])
    [waits] = lanes.waits()
    assert (waits.labels, waits.runs, len(waits.workflows)) == (GPU, 50, NAMED)
    assert set(waits.workflows) == {f"w{n}" for n in range(10)}, "those with the most runs"
    assert waits.plain() == {"labels": ["gpu"], "runs": 50, "workflows": waits.workflows}


def agent(running: int, slots: int | None, *labels: str) -> AgentInfo:
    return AgentInfo("a", 0, running, slots, labels=frozenset(labels))


def test_what_holds_up_runs_that_require_labels() -> None:
    gpu, both = Waits(GPU, 2, ["train"]), Waits(GPU | EU, 1, ["etl"])
    assert held_up([gpu, both], []) == ([gpu, both], [])
    assert held_up([gpu, both], [agent(0, 1)]) == ([gpu, both], [])
    assert held_up([gpu, both], [agent(0, 1, "gpu")]) == ([both], [])
    assert held_up([gpu, both], [agent(1, 1, "gpu"), agent(0, 1, "zone=eu")]) == ([both], [gpu])
    assert held_up([gpu, both], [agent(1, 1, "gpu", "zone=eu"), agent(0, 1, "gpu")]) == ([], [both])
    assert held_up([gpu], [agent(1, 1, "gpu"), agent(0, None, "gpu")]) == ([], [])
    assert held_up([gpu], [agent(0, 0, "gpu")]) == ([], [gpu]), "it stops, and takes nothing more"


def test_who_waited_longest_comes_first_whatever_it_has() -> None:
    lanes = Lanes(lambda _: NO_LABELS, [QueuedRun("r", "w")])
    takers = Takers()
    for agent_id, labels in (("a", GPU), ("b", NO_LABELS), ("c", GPU)):
        takers.add(agent_id, labels)
    turns = []
    while (turn := takers.next(lanes)) is not None:
        turns.append(turn)
        takers.remove(turn)
    assert turns == ["a", "b", "c"]
