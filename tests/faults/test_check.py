"""The reckoning itself: a history that is right passes, and each way in which it can be wrong is told."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.check import Findings, History, Told, attempts, check
from tests.faults.load import QUICK, Load, Plan, Step

PLAN = Plan("w", (Step("one", (), blocks=1, out=3, err=1, failures=1, retries=1), Step("two", ("one",), out=0)))
RUN, ONE, TWO = "run-0", "task-1", "task-2"
OUT, ERR = (RUN, ONE, "INFO"), (RUN, ONE, "ERROR")


class World:
    """One run of one workflow, as it should be."""

    def __init__(self, folder: Path) -> None:
        self.load = Load(folder, 0, random.Random(1), QUICK)
        self.load.plans = {"w": PLAN}
        self.load.accepted = {"m": RUN}
        self.write("one", ONE, 1, "start", "end 3")
        self.write("one", ONE, 2, "start", "end 0")
        self.write("two", TWO, 1, "start", "end 0")
        self.runs = [self.run("PENDING", params='{"mark": "m"}'), self.run("RUNNING"), self.run("COMPLETED")]
        self.tasks: dict[tuple[str, str], list[dict[str, Any]]] = {
            (RUN, "one"): [self.task("RUNNING", 1), self.task("RUNNING", 2), self.task("COMPLETED", 2)],
            (RUN, "two"): [self.task("RUNNING", 1), self.task("COMPLETED", 1)],
        }
        self.lines = {
            OUT: [f"STDOUT o {attempt} {n}" for attempt in (1, 2) for n in range(3)],
            ERR: ["STDERR e 1 0", "STDERR e 2 0"],
        }
        self.told = Told(lines={OUT: (2, 2)}, live={ERR: (2, 0)}, ends={RUN: "COMPLETED"})
        self.doubles: Counter[int] = Counter()

    def write(self, task: str, instance: str, attempt: int, *lines: str) -> None:
        """What an attempt wrote down."""
        path = self.load.records / f"{RUN}.{task}.{instance}.{attempt}"
        path.write_text("".join(f"{line}\n" for line in lines))

    @staticmethod
    def run(status: str, agent: str = "a", params: str | None = None) -> dict[str, Any]:
        """A row."""
        return {"workflow_id": "w", "status": status, "agent_id": agent, "params": params, "detail": None}

    @staticmethod
    def task(status: str, attempt: int) -> dict[str, Any]:
        """A row."""
        return {"status": status, "attempt": attempt}

    def check(self, **agents: Any) -> Findings:
        """The reckoning."""
        history = History({RUN: self.runs} if self.runs else {}, self.tasks, self.lines, self.doubles)
        return check(self.load, history, self.told, **agents)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_is_right_passes(world: World) -> None:
    assert world.check() == Findings([], runs=1, lines=8)


def crash(world: World) -> None:
    world.runs[-1] = world.run("CRASHED")
    world.told = Told()


def unknown(world: World) -> None:
    world.load.accepted = {}


def refused(world: World) -> None:
    unknown(world)
    world.load.refused.add("m")


WRONGS: list[tuple[str, Callable[[World], object]]] = [
    ("not in the history once", lambda w: w.load.accepted.update(other="run-1")),
    ("not in the history once", lambda w: w.runs.clear()),
    ("was queued 2 times", lambda w: w.runs.insert(0, w.runs[0])),
    ("nobody made the trigger", unknown),
    ("was refused and ran", refused),
    ("statuses of run", lambda w: w.runs.pop()),
    ("statuses of run", lambda w: w.runs.append(w.run("COMPLETED"))),
    ("statuses of run", lambda w: w.runs.insert(1, w.run("RUNNING"))),
    ("is FAILED, not COMPLETED", lambda w: w.runs.append(w.run("FAILED"))),
    ("is CRASHED, not COMPLETED", crash),
    ("ended with", lambda w: w.write("two", TWO, 1, "start", "end 3")),
    ("ended with", lambda w: w.write("two", TWO, 1, "start")),
    ("did not start once", lambda w: w.write("two", TWO, 1, "start", "start", "end 0")),
    ("ended with", lambda w: w.write("two", TWO, 2, "start")),
    ("did not start once", lambda w: w.write("two", "task-3", 1, "start", "end 0")),
    ("statuses of two", lambda w: w.tasks[RUN, "two"].pop()),
    ("statuses of two", lambda w: w.tasks[RUN, "two"].insert(0, w.task("RUNNING", 1))),
    ("5 lines, printed were 6", lambda w: w.lines[OUT].pop()),
    ("line 2 is", lambda w: w.lines[OUT].pop(2)),
    ("too many", lambda w: w.lines[OUT].append("STDOUT o 2 2")),
    ("line 1 is", lambda w: w.lines[OUT].insert(1, w.lines[OUT][0])),
    ("line 0 is", lambda w: w.lines[OUT].reverse()),
    ("1 lines, printed were 2", lambda w: w.lines[ERR].pop()),
    ("was shown once and is not there", lambda w: w.lines[ERR].pop()),
    ("was shown as FAILED", lambda w: w.told.ends.update({RUN: "FAILED"})),
    ("there is no such task", lambda w: w.told.live.update({(RUN, "task-9", "INFO"): (1, 1)})),
    ("given twice", lambda w: w.doubles.update([5, 5])),
]


@pytest.mark.parametrize(("what", "spoil"), WRONGS, ids=[f"{n}: {what}" for n, (what, _) in enumerate(WRONGS)])
def test_what_is_wrong_is_told(world: World, what: str, spoil: Callable[[World], object]) -> None:
    spoil(world)
    assert any(what in text for text in world.check().wrong), world.check().wrong


def test_a_lost_agent_may_leave_its_runs_crashed(world: World) -> None:
    crash(world)
    world.write("two", TWO, 1, "start")
    assert world.check(lost={"a"}).wrong == []
    assert world.check(lost={"b"}).wrong != []


def test_who_lived_delivers_all_that_ended(world: World) -> None:
    crash(world)
    world.lines[OUT].pop()
    assert [text for text in world.check(lost={"a"}).wrong if "5 lines, printed were 6" in text]
    assert world.check(killed={"a"}).wrong == []
    world.lines[OUT].pop(0)
    assert world.check(killed={"a"}).wrong != []


def test_what_was_shown_of_a_killed_agent(world: World) -> None:
    crash(world)
    world.told.live[OUT] = (2, 2)
    world.lines[OUT].pop()
    assert world.check(killed={"a"}).wrong != []
    world.told.live[OUT] = (2, 1)
    assert world.check(killed={"a"}).wrong == []
    world.told.lines[OUT] = (2, 2)
    assert world.check(killed={"a"}).wrong != []


def test_what_had_ended_is_whole_though_its_agent_was_killed(world: World) -> None:
    world.told = Told()
    assert world.check(killed={"a"}).wrong == []
    world.lines[OUT].pop()
    assert world.check(killed={"a"}).wrong != []


def test_a_trigger_without_an_answer_may_be_a_run_or_none(world: World) -> None:
    unknown(world)
    world.load.unanswered.update(("m", "other"))
    assert world.check().wrong == []


def test_attempts_are_read(world: World) -> None:
    found = attempts(world.load.records)
    assert [(each.number, each.starts, each.codes) for each in found[RUN, "one"]] == [(1, 1, (3,)), (2, 1, (0,))]
