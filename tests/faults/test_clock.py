"""The wall clock set back and forward under the scheduler, with restarts between: the clock is fake, all else is real.

A fake clock goes on by some seconds at each look, and is set now and then. The coordinator, its journal and its
database are opened again in the middle, as after a kill.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cdktr import coordinator
from cdktr.coordinator import Coordinator
from cdktr.cron import Schedule
from cdktr.journal import Journal
from cdktr.logs import LogHub
from cdktr.protocol import Trigger
from cdktr.scheduler import MISSED, Scheduler
from cdktr.store import Store
from cdktr.workflow import Subprocess, Task, Workflow
from tests.faults.conftest import Experiment
from tests.faults.load import Size

START = datetime(2026, 1, 1, tzinfo=UTC)

CRONS = {"minute": "0 * * * * *", "quarter": "0 */15 * * * *", "hour": "0 0 * * * *", "day": "0 0 2 * * *"}

FLOWS = {
    name: Workflow(name, name, {"a": Task("A", Subprocess("true"))}, cron=cron, timezone="UTC")
    for name, cron in CRONS.items()
}

#: Looks at the clock in one life of a principal.
LOOKS = 300


class Killed(Exception):
    """The end of one life."""


class Clock:
    """Goes on by some seconds at each look; one look in 50 finds it set by what `jump` says."""

    def __init__(self, chance: random.Random, jump: Callable[[random.Random], timedelta]) -> None:
        self._chance = chance
        self._jump = jump
        self._true = self.now = START
        self._looks = 0
        self.sets = 0
        #: Begin and end of every stretch of time that it showed without being set, and without a restart.
        self.stretches: list[tuple[datetime, datetime]] = []
        self.begin()

    def begin(self) -> None:
        """A new life: what passed before is over."""
        self._looks = 0
        self._begun = False

    def __call__(self) -> datetime:
        self._looks += 1
        if self._looks > LOOKS:
            raise Killed
        self.now += timedelta(seconds=self._chance.uniform(0, 10))
        if self._begun and self._chance.random() < 0.02:
            self.now += self._jump(self._chance)
            self.sets += 1
            self._begun = False
        if not self._begun:
            self.stretches.append((self.now, self.now))
            self._begun = True
        self.stretches[-1] = (self.stretches[-1][0], self.now)
        return self.now

    def ms(self) -> int:
        """As the principal asks for it."""
        return int(self.now.timestamp() * 1000)


async def live(folder: Path, clock: Clock, accepted: list[tuple[str, datetime]]) -> None:
    """One life of a principal's scheduler and coordinator; they are left as a kill leaves them."""
    store = Store(str(folder / "app.db"))
    hub = LogHub(store, lambda _messages: None, lambda: False)
    journal = Journal(folder / "journal")
    first = store.highest_number() + 1
    runs = Coordinator(journal, hub, store.cursors, FLOWS.get, 30.0, lambda: first, tuple)

    async def trigger(workflow_id: str, params: Mapping[str, Any], key: str | None, scheduled_ms: int | None) -> None:
        assert scheduled_ms is not None
        if await runs.trigger(Trigger(workflow_id, dict(params), "schedule", scheduled_ms, key)) is not None:
            accepted.append((workflow_id, datetime.fromtimestamp(scheduled_ms / 1000, UTC)))

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(hub.run())
            parts = (trigger, runs.keep, runs.dispatch.pauses.skips)
            group.create_task(Scheduler(lambda: FLOWS, *parts, 0.001, clock).start_listening())
    except* Killed:
        pass
    finally:
        hub.close()
        journal.close()
        store.close()


def times(begin: datetime, end: datetime, cron: str) -> list[datetime]:
    """The scheduled times after `begin`, up to `end`."""
    schedule, found = Schedule.parse(cron, "UTC"), []
    while (begin := schedule.next_after(begin)) <= end:
        found.append(begin)
    return found


class Outcome:
    """What was triggered while the clock went as `jump` says."""

    def __init__(self, folder: Path, seed: int, lives: int, jump: Callable[[random.Random], timedelta]) -> None:
        self.clock = Clock(random.Random(seed), jump)
        accepted: list[tuple[str, datetime]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(coordinator, "now_ms", self.clock.ms)
            for _ in range(lives):
                self.clock.begin()
                asyncio.run(live(folder, self.clock, accepted))
        self.counts = Counter(accepted)

    @property
    def twice(self) -> list[tuple[str, datetime]]:
        """What was triggered more than once."""
        return [each for each, count in self.counts.items() if count > 1]

    @property
    def lost(self) -> list[tuple[str, datetime]]:
        """What the clock passed, going on steadily, and was never triggered."""
        passed = {
            (name, time)
            for begin, end in self.clock.stretches
            for name, cron in CRONS.items()
            # What came just as the clock was set, or with the last look of a life, may belong to either side.
            for time in times(begin + MISSED, end - MISSED, cron)
        }
        return sorted(passed - self.counts.keys())

    def judge(self, experiment: Experiment) -> None:
        """Enter it into the table."""
        wrong = len(self.lost) + len(self.twice)
        experiment.record(injected=self.clock.sets, survived=len(self.counts), lost=wrong)
        assert self.clock.sets
        assert len(self.counts) > 20
        assert (self.lost, self.twice) == ([], [])


def corrected() -> Callable[[random.Random], timedelta]:
    """Set by some seconds, in turn forward and back, as a time service does."""
    signs = itertools.cycle((1, -1))
    return lambda chance: next(signs) * timedelta(seconds=chance.uniform(0, 25))


def forward(chance: random.Random) -> timedelta:
    """By hours: a machine that slept, a clock that was wrong."""
    return timedelta(minutes=chance.uniform(10, 200))


def back(chance: random.Random) -> timedelta:
    """By hours."""
    return -forward(chance)


def test_a_clock_that_is_corrected_by_seconds(tmp_path: Path, experiment: Experiment, size: Size, seed: int) -> None:
    """Every scheduled time that the clock passes makes one run, also if it passes it twice, through restarts."""
    outcome = Outcome(tmp_path, seed, 3 * size.faults, corrected())
    outcome.judge(experiment)


def test_a_clock_that_is_set_far_forward(tmp_path: Path, experiment: Experiment, size: Size, seed: int) -> None:
    """What it passes over was missed; whatever it passes steadily makes one run."""
    outcome = Outcome(tmp_path, seed, 3 * size.faults, forward)
    outcome.judge(experiment)


def test_a_clock_that_is_set_far_back(tmp_path: Path, experiment: Experiment, size: Size, seed: int) -> None:
    """Schedules are not silent until the time comes again that was shown before."""
    outcome = Outcome(tmp_path, seed, 3 * size.faults, back)
    outcome.judge(experiment)


def test_nothing_runs_twice_when_the_clock_is_set_far_back(
    tmp_path: Path, experiment: Experiment, size: Size, seed: int
) -> None:
    """One scheduled time makes at most one run, also when the clock comes to it again, and again after a restart."""
    outcome = Outcome(tmp_path, seed, 3 * size.faults, lambda chance: -timedelta(seconds=chance.uniform(70, 250)))
    outcome.judge(experiment)


def test_a_clock_that_is_set_back_and_forth(tmp_path: Path, experiment: Experiment, size: Size, seed: int) -> None:
    """By hours, in either direction: times that were missed at first may come again, those that were run may not."""
    outcome = Outcome(tmp_path, seed, 3 * size.faults, lambda chance: chance.choice((forward, back))(chance))
    outcome.judge(experiment)
