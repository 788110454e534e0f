"""What is due, at times of our own making."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest

from cdktr.dispatch import Dispatch
from cdktr.errors import NotFoundError, StoreError
from cdktr.listener import EventListener
from cdktr.scheduler import MISSED, Agenda, Scheduler
from cdktr.workflow import CatchUp, Workflow

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def at(clock: str, day: int = 1) -> datetime:
    """A time of January 2026."""
    return datetime.fromisoformat(f"2026-01-{day:02d}T{clock.zfill(5 if clock.count(':') == 1 else 8)}Z")


def workflow(name: str, cron: str | None, *, start: datetime | None = None, zone: str = "UTC") -> Workflow:
    """One with this schedule."""
    return Workflow(name, name, {}, cron=cron, start_time=start, timezone=zone)


def flows(**crons: str | None) -> Mapping[str, Workflow]:
    """Definitions in force: id -> schedule."""
    return MappingProxyType({name: workflow(name, cron) for name, cron in crons.items()})


def agenda_of(workflows: Mapping[str, Workflow], now: datetime) -> Agenda:
    """The agenda of these, made now."""
    agenda = Agenda()
    agenda.update(workflows, now)
    return agenda


# The agenda.


def test_what_is_due_and_when() -> None:
    agenda = agenda_of(flows(hourly="@hourly", half="0,30 * * * *", never=None), at("9:10"))
    assert len(agenda) == 2
    assert agenda.next_time() == at("9:30")
    assert agenda.due(at("9:29:59")) == []
    assert agenda.due(at("9:30")) == [("half", at("9:30"))]
    assert agenda.due(at("9:30")) == []
    assert agenda.due(at("10:00:01")) == [("half", at("10:00")), ("hourly", at("10:00"))]
    assert agenda.next_time() == at("10:30")


def test_nothing_is_ever_due_without_schedules() -> None:
    agenda = agenda_of(flows(a=None), at("9:00"))
    assert agenda.next_time() is None
    assert agenda.due(at("9:00", 31)) == []
    assert len(agenda) == 0


def test_an_agenda_begins_empty() -> None:
    assert Agenda().next_time() is None
    assert Agenda().due(at("9:00")) == []


def test_the_moment_of_the_start_is_not_due() -> None:
    assert agenda_of(flows(a="@hourly"), at("9:00")).next_time() == at("10:00")


def test_only_the_first_of_many_missed_times_is_named() -> None:
    agenda = agenda_of(flows(a="* * * * *"), at("9:00:30"))
    assert agenda.due(at("9:05:30")) == [("a", at("9:01"))]
    assert agenda.next_time() == at("9:06")


def test_a_workflow_that_is_new_or_gone() -> None:
    agenda = agenda_of(flows(a="@hourly"), at("9:10"))
    agenda.update(flows(a="@hourly", b="30 * * * *"), at("9:20"))
    assert agenda.next_time() == at("9:30")
    agenda.update(flows(b="30 * * * *"), at("9:25"))
    assert agenda.due(at("10:00")) == [("b", at("9:30"))]
    agenda.update(flows(), at("10:00"))
    assert agenda.next_time() is None
    assert len(agenda) == 0


def test_a_changed_schedule_takes_the_place_of_the_old() -> None:
    agenda = agenda_of(flows(a="@hourly"), at("9:10"))
    agenda.update(flows(a="30 * * * *"), at("9:20"))
    assert agenda.due(at("11:00")) == [("a", at("9:30"))]
    agenda.update(flows(a=None), at("11:00"))
    assert agenda.due(at("23:00")) == []


def test_a_schedule_that_loses_its_cron_and_gets_it_back_is_due_once() -> None:
    agenda = agenda_of(flows(a="@hourly"), at("9:10"))
    agenda.update(flows(a="30 * * * *"), at("9:11"))
    agenda.update(flows(a="@hourly"), at("9:12"))
    agenda.update(flows(), at("9:13"))
    agenda.update(flows(a="@hourly"), at("9:14"))
    for hour in (10, 11, 12):
        assert agenda.due(at(f"{hour}:00")) == [("a", at(f"{hour}:00"))]


def test_a_change_of_anything_else_does_not_move_it() -> None:
    agenda = agenda_of({"a": workflow("a", "@hourly")}, at("9:10"))
    changed = Workflow("a", "another name", {}, cron="@hourly")
    agenda.update({"a": changed}, at("10:05"))
    assert agenda.due(at("10:05")) == [("a", at("10:00"))], "not lost because the file was touched at that moment"


def test_a_change_of_zone_or_start_is_one_of_the_schedule() -> None:
    agenda = agenda_of({"a": workflow("a", "0 12 * * *")}, at("9:00"))
    assert agenda.next_time() == at("12:00")
    agenda.update({"a": workflow("a", "0 12 * * *", zone="Europe/Berlin")}, at("9:00"))
    assert agenda.next_time() == at("11:00")
    agenda.update({"a": workflow("a", "0 12 * * *", start=at("0:00", 5))}, at("9:00"))
    assert agenda.next_time() == at("12:00", 5)


@pytest.mark.parametrize(
    ("start", "first"),
    [
        (at("9:30"), at("10:00")),
        (at("8:00"), at("10:00")),
        (at("10:00"), at("10:00")),
        (at("10:00:01"), at("11:00")),
        (at("0:00", 9), at("0:00", 9)),
        (datetime(2026, 1, 9, 2, tzinfo=timezone(2 * HOUR)), at("0:00", 9)),
        (datetime.max.replace(tzinfo=UTC), None),
    ],
)
def test_a_schedule_begins_at_its_start(start: datetime, first: datetime | None) -> None:
    agenda = agenda_of({"a": workflow("a", "@hourly", start=start)}, at("9:10"))
    assert agenda.next_time() == first
    if first is not None:
        assert agenda.due(first) == [("a", first)]
        assert agenda.next_time() == first + HOUR


def test_one_that_never_begins_does_not_hide_the_others() -> None:
    late = datetime.max.replace(tzinfo=UTC)
    agenda = agenda_of({"a": workflow("a", "@hourly", start=late), "b": workflow("b", "@hourly")}, at("9:10"))
    assert agenda.due(at("10:00")) == [("b", at("10:00"))]
    agenda.update({"a": workflow("a", "@hourly")}, at("10:10"))
    agenda.update({"a": workflow("a", "@hourly", start=late)}, at("10:20"))
    assert agenda.next_time() is None


def test_a_clock_that_is_set_back() -> None:
    agenda = agenda_of(flows(a="@hourly", b="@daily"), at("9:10", 5))
    agenda.due(at("13:00", 5))
    agenda.rewind(at("9:10", 3))
    assert agenda.next_time() == at("10:00", 3)
    assert agenda.due(at("10:00", 3)) == [("a", at("10:00", 3))]
    assert agenda.due(at("0:00", 4)) == [("a", at("11:00", 3)), ("b", at("0:00", 4))]


def test_the_same_definitions_are_not_looked_at_again() -> None:
    class Counted(dict[str, Workflow]):
        looks = 0

        def values(self):  # type: ignore[no-untyped-def]
            Counted.looks += 1
            return super().values()

    workflows = Counted(flows(a="@hourly"))
    agenda = agenda_of(workflows, at("9:00"))
    for _ in range(5):
        agenda.update(workflows, at("9:30"))
    assert Counted.looks == 1


# The scheduler.


def never(*_: object) -> bool:
    """Nothing is paused."""
    return False


class Clock:
    """A clock that shows what it is told, and the hand that it moves on with each pause."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.pauses: list[float] = []

    def __call__(self) -> datetime:
        return self.now


class Triggers:
    """Takes triggers as the principal does; fails for some workflows."""

    def __init__(self, *failing: str) -> None:
        self.taken: list[tuple[str, str]] = []
        self.failing = failing

    async def __call__(
        self, workflow_id: str, params: Mapping[str, Any], key: str | None, scheduled_ms: int | None
    ) -> None:
        assert (params, key) == ({}, None)
        assert scheduled_ms is not None
        time = datetime.fromtimestamp(scheduled_ms / 1000, UTC)
        self.taken.append((workflow_id, f"{time:%H:%M:%S}"))
        if workflow_id in self.failing:
            raise NotFoundError(f"{workflow_id} is gone")


def looked(workflows: Callable[[], Mapping[str, Workflow]], trigger: Triggers, *times: datetime) -> None:
    """Look at these times; the first only makes the agenda."""

    async def look() -> None:
        one = Scheduler(workflows, trigger, lambda _: {}, never, 0.5)
        for time in times:
            await one.look(time)

    asyncio.run(look())


def test_the_scheduler_is_an_event_listener() -> None:
    """What is due goes through the same `run_workflow` as what anybody else listens for."""
    asked: list[tuple[Any, ...]] = []

    async def trigger(*facts: Any) -> str:
        asked.append(facts)
        return "run"

    class Watched(Scheduler):
        def run_workflow(self, *args: Any, **kwargs: Any) -> Any:
            asked.append((*args, kwargs))
            return super().run_workflow(*args, **kwargs)

    async def listen() -> None:
        one = Watched(lambda: flows(a="@hourly"), trigger, lambda _: {}, never, 0.5)
        assert isinstance(one, EventListener)
        await one.look(at("9:10"))
        await one.look(at("10:00"))
        assert await one.run_workflow("b", {"day": "monday"}, "k") == "run"

    asyncio.run(listen())
    ms = int(at("10:00").timestamp() * 1000)
    assert asked[:2] == [("a", {"scheduled_ms": ms}), ("a", {}, None, ms)]
    assert asked[3] == ("b", {"day": "monday"}, "k", None)


def test_what_is_due_is_triggered_once() -> None:
    trigger = Triggers()
    held = flows(a="@hourly", b="30 * * * *")
    times = [at("9:10") + n * SECOND for n in range(2 * 3600)]
    looked(lambda: held, trigger, *times)
    assert trigger.taken == [("b", "09:30:00"), ("a", "10:00:00"), ("b", "10:30:00"), ("a", "11:00:00")]


def test_new_definitions_are_seen_at_the_next_look() -> None:
    held = [flows(), flows(a="@hourly"), flows(a="@hourly"), flows()]
    trigger = Triggers()
    looked(lambda: held.pop(0), trigger, at("9:10"), at("9:11"), at("10:00"), at("11:00"))
    assert trigger.taken == [("a", "10:00:00")]


def test_a_failure_of_one_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    held = flows(a="@hourly", b="@hourly", c="@hourly")
    trigger = Triggers("b")
    looked(lambda: held, trigger, at("9:10"), at("10:00"), at("11:00"))
    assert [name for name, _ in trigger.taken] == ["a", "b", "c"] * 2
    assert [r.getMessage() for r in caplog.records] == [
        f"b was due at 2026-01-01 {hour}:00:00+00:00 and was not triggered: b is gone" for hour in (10, 11)
    ]


@pytest.mark.parametrize(
    ("late", "runs"), [(0 * SECOND, True), (MISSED, True), (MISSED + SECOND, False), (HOUR - SECOND, False)]
)
def test_a_time_that_was_missed_is_told_and_not_run(
    late: timedelta, runs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    held = flows(a="@hourly")
    trigger = Triggers()
    looked(lambda: held, trigger, at("9:10"), at("10:00") + late)
    assert trigger.taken == ([("a", "10:00:00")] if runs else [])
    assert ["a was due at" in r.getMessage() for r in caplog.records] == ([] if runs else [True])


def running(
    held: Callable[[], Mapping[str, Workflow]],
    clock: Clock,
    steps: list[datetime],
    skips: Callable[[str, int, int], bool] = never,
) -> Triggers:
    """The loop, with a clock that shows one of the steps after each pause."""
    trigger = Triggers()

    async def pause(seconds: float) -> None:
        clock.pauses.append(seconds)
        if not steps:
            raise EOFError
        clock.now = steps.pop(0)

    async def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "sleep", pause)
            with pytest.raises(EOFError):
                await Scheduler(held, trigger, lambda _: {}, skips, 0.5, clock).start_listening()

    asyncio.run(run())
    return trigger


def test_the_loop_looks_often_and_at_the_very_moment(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cdktr.scheduler")
    held = flows(a="@hourly", b=None)
    clock = Clock(at("9:59:59"))
    moment = at("10:00") - timedelta(seconds=0.2)
    trigger = running(lambda: held, clock, [moment, at("10:00"), at("10:00")])
    assert trigger.taken == [("a", "10:00:00")]
    assert clock.pauses == [0.5, pytest.approx(0.2), 0.5, 0.5]
    assert caplog.records[0].getMessage() == "Scheduler found 1 workflows with active schedules"


def test_the_loop_starts_without_schedules_and_finds_them_later() -> None:
    held = [flows()]
    clock = Clock(at("9:59"))

    class Growing(list[datetime]):
        def pop(self, index: int = -1) -> datetime:  # type: ignore[override]
            held[0] = flows(a="@hourly")
            return super().pop(index)

    trigger = running(lambda: held[0], clock, Growing([at("9:59:30"), at("10:00")]))
    assert trigger.taken == [("a", "10:00:00")]


def test_the_loop_with_a_clock_that_is_set_back_and_forth() -> None:
    held = flows(a="@hourly")
    steps = [at("10:00"), at("8:30"), at("9:00"), at("15:20"), at("16:00")]
    trigger = running(lambda: held, Clock(at("9:59")), steps)
    assert trigger.taken == [("a", "10:00:00"), ("a", "09:00:00"), ("a", "16:00:00")]


def test_a_pause_is_never_nothing() -> None:
    held = flows(a="* * * * * *")
    clock = Clock(at("9:59"))
    running(lambda: held, clock, [at("9:59:01") - timedelta(microseconds=1)])
    assert min(clock.pauses) >= 0.001


# Times that nobody saw.


class Desk:
    """What outlives a scheduler: the queue, with its disk, and the definitions. `runs` are those that were accepted."""

    def __init__(self, catch_up: CatchUp, **crons: str) -> None:
        self.dispatch = Dispatch(30.0)
        self.runs: list[str] = []
        self.catch_up = catch_up
        self.is_full = False
        self.now = at("0:00")
        self.write(**crons)
        self.restart()

    def write(self, **crons: str) -> None:
        """Other files."""
        found = {name: replace(workflow(name, cron), catch_up=self.catch_up) for name, cron in crons.items()}
        self.workflows = MappingProxyType(found)

    def restart(self) -> None:
        """Another process."""
        skips = self.dispatch.pauses.skips
        self.scheduler = Scheduler(lambda: self.workflows, self._trigger, self._keep, skips, 0.5)

    async def _trigger(
        self, workflow_id: str, params: Mapping[str, Any], key: str | None, scheduled_ms: int | None
    ) -> None:
        assert scheduled_ms is not None
        if self.is_full:
            raise StoreError("the disk is full")
        if self.dispatch.accept(workflow_id, now_ms=self._ms, scheduled_ms=scheduled_ms) is not None:
            self.runs.append(f"{workflow_id} {datetime.fromtimestamp(scheduled_ms / 1000, UTC):%H:%M:%S}")

    def _keep(self, schedules: Mapping[str, str]) -> Mapping[str, int]:
        return self.dispatch.keep(schedules, self._ms)

    @property
    def _ms(self) -> int:
        return int(self.now.timestamp() * 1000)

    def pause(self, now: datetime) -> None:
        """Pause `a`."""
        assert self.dispatch.pause_workflow("a", int(now.timestamp() * 1000))

    def resume(self, now: datetime) -> None:
        """And go on."""
        assert self.dispatch.resume_workflow("a", int(now.timestamp() * 1000))

    def look(self, *times: datetime) -> list[str]:
        """Look at these times; what was accepted meanwhile."""
        for self.now in times:
            asyncio.run(self.scheduler.look(self.now))
        found, self.runs = self.runs, []
        return found


LATEST, NONE = CatchUp.LATEST, CatchUp.NONE


@pytest.mark.parametrize(("catch_up", "runs"), [(LATEST, ["a 12:00:00"]), (NONE, [])])
def test_what_passed_while_nothing_ran(catch_up: CatchUp, runs: list[str]) -> None:
    desk = Desk(catch_up, a="@hourly", b="@yearly")
    assert desk.look(at("9:10"), at("9:20")) == []
    for _ in range(3):
        desk.restart()
        assert desk.look(at("12:20")) == runs
        runs = []
    assert desk.look(at("13:00")) == ["a 13:00:00"]
    desk.restart()
    assert desk.look(at("13:00"), at("13:10")) == [], "it was run before the restart"


@pytest.mark.parametrize(("catch_up", "runs"), [(LATEST, ["a 09:10:02", "a 09:10:03"]), (NONE, ["a 09:10:03"])])
def test_a_short_restart_over_a_schedule_of_every_second(catch_up: CatchUp, runs: list[str]) -> None:
    desk = Desk(catch_up, a="* * * * * *")
    assert desk.look(at("9:10"), at("9:10:01")) == ["a 09:10:01"]
    desk.restart()
    assert desk.look(at("9:10:02") + 0.9 * SECOND, at("9:10:03")) == runs


def test_a_restart_at_the_very_second() -> None:
    desk = Desk(LATEST, a="@hourly")
    desk.look(at("9:59:59"))
    desk.restart()
    assert desk.look(at("10:00"), at("10:00"), at("10:00:01")) == ["a 10:00:00"]


def test_a_year_of_seconds_is_no_work() -> None:
    desk = Desk(LATEST, a="* * * * * *")
    desk.look(at("9:10"))
    desk.restart()
    later = at("9:10") + 365 * DAY
    assert desk.look(later) == ["a 09:10:00"]


def test_what_is_new_or_other_has_missed_nothing() -> None:
    desk = Desk(LATEST, a="@hourly", b="@hourly", gone="@hourly")
    assert desk.look(at("9:10")) == []
    desk.write(a="@hourly", b="30 * * * *", new="@hourly")
    desk.restart()
    assert desk.look(at("12:20")) == ["a 12:00:00"]
    desk.write(a="@hourly", b="30 * * * *", new="@hourly", gone="@hourly")
    desk.restart()
    assert sorted(desk.look(at("13:40"))) == ["a 13:00:00", "b 13:30:00", "new 13:00:00"]


def test_a_file_that_is_new_while_it_runs_has_missed_nothing() -> None:
    desk = Desk(LATEST, a="@hourly")
    desk.look(at("9:10"))
    desk.write(a="@hourly", b="@hourly")
    assert desk.look(at("9:50")) == []
    desk.restart()
    assert sorted(desk.look(at("10:10"))) == ["a 10:00:00", "b 10:00:00"]


def test_one_that_did_not_say_it_before_has_missed_nothing() -> None:
    desk = Desk(NONE, a="@hourly")
    desk.look(at("9:10"), at("10:00"))
    desk.catch_up = LATEST
    desk.write(a="@hourly")
    desk.restart()
    assert desk.look(at("12:20")) == []
    desk.restart()
    assert desk.look(at("13:20")) == ["a 13:00:00"]


def test_nothing_is_missed_before_the_start() -> None:
    desk = Desk(LATEST, a="@hourly")
    desk.workflows = MappingProxyType({"a": replace(desk.workflows["a"], start_time=at("12:00"))})
    desk.look(at("9:10"))
    desk.restart()
    assert desk.look(at("11:50")) == []
    desk.restart()
    assert desk.look(at("12:10")) == ["a 12:00:00"]


@pytest.mark.parametrize(("catch_up", "runs"), [(LATEST, ["a 15:00:00"]), (NONE, [])])
def test_a_host_that_slept(catch_up: CatchUp, runs: list[str], caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(catch_up, a="@hourly")
    assert desk.look(at("9:10"), at("15:20")) == runs
    assert desk.look(at("15:21"), at("16:00")) == ["a 16:00:00"]
    said = "is run now, 0:20:00 late, to catch up" if runs else "is not run: it is 5:20:00 too late"
    (record,) = caplog.records
    assert said in record.getMessage()


@pytest.mark.parametrize("catch_up", [LATEST, NONE])
def test_what_has_just_come_is_run_though_older_times_were_missed(
    catch_up: CatchUp, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(catch_up, a="@hourly", b="5 9 * * *")
    late = {LATEST: ["b 09:05:00"], NONE: []}[catch_up]
    assert sorted(desk.look(at("9:01"), at("15:00:02"))) == ["a 15:00:00", *late]
    said = sorted(record.getMessage().partition(" at ")[0] for record in caplog.records)
    assert said == (["b was due"] if catch_up is LATEST else ["a was due", "b was due"])
    assert desk.look(at("15:00:03"), at("16:00")) == ["a 16:00:00"]


def test_a_time_that_could_not_be_written_and_whose_workflow_is_gone() -> None:
    desk = Desk(NONE, a="@hourly")
    desk.is_full = True
    desk.look(at("9:10"), at("10:00"))
    desk.is_full = False
    desk.write()
    assert desk.look(at("10:10")) == []


@pytest.mark.parametrize("catch_up", [LATEST, NONE])
def test_a_clock_that_is_set_back_over_times_that_were_run(catch_up: CatchUp) -> None:
    desk = Desk(catch_up, a="* * * * *")
    assert len(desk.look(*(at("9:10:02") + n * MINUTE for n in range(20)))) == 19
    desk.restart()
    assert desk.look(*(at("9:15:02") + n * MINUTE for n in range(16))) == ["a 09:30:00"]


@pytest.mark.parametrize("catch_up", [LATEST, NONE])
def test_a_disk_that_is_well_again_in_time(catch_up: CatchUp, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(catch_up, a="@hourly")
    desk.is_full = True
    assert desk.look(at("9:10"), at("10:00"), at("10:00:01"), at("10:00:20")) == []
    (record,) = caplog.records
    assert record.getMessage() == "a was due at 2026-01-01 10:00:00+00:00 and was not triggered: the disk is full"
    desk.is_full = False
    assert desk.look(at("10:00:30"), at("10:00:31"), at("10:00:32")) == ["a 10:00:00"]


@pytest.mark.parametrize(("catch_up", "runs"), [(LATEST, ["a 12:00:00"]), (NONE, [])])
def test_a_disk_that_is_well_again_late(catch_up: CatchUp, runs: list[str], caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(catch_up, a="@hourly")
    desk.is_full = True
    assert desk.look(*(at("9:10") + n * 10 * MINUTE for n in range(18))) == []
    assert sum("was not triggered" in record.getMessage() for record in caplog.records) == 3
    desk.is_full = False
    assert desk.look(at("12:10"), at("12:11"), at("13:00")) == [*runs, "a 13:00:00"]


# Paused workflows.


@pytest.mark.parametrize("catch_up", [LATEST, NONE])
def test_what_passed_in_a_pause_is_not_made_up_for(catch_up: CatchUp, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(catch_up, a="@hourly", b="@hourly")
    assert desk.look(at("8:50"), at("9:00")) == ["a 09:00:00", "b 09:00:00"]
    desk.pause(at("9:10"))
    assert desk.look(at("10:00"), at("11:00")) == ["b 10:00:00", "b 11:00:00"]
    desk.resume(at("11:10"))
    assert desk.look(at("11:10"), at("11:20"), at("12:00")) == ["a 12:00:00", "b 12:00:00"]
    assert caplog.records == []


@pytest.mark.parametrize("catch_up", [LATEST, NONE])
def test_a_pause_over_restarts(catch_up: CatchUp) -> None:
    desk = Desk(catch_up, a="@hourly")
    assert desk.look(at("8:50"), at("9:00")) == ["a 09:00:00"]
    desk.pause(at("9:10"))
    desk.restart()
    assert desk.look(at("10:20"), at("11:00")) == []
    desk.restart()
    desk.resume(at("12:10"))
    # The look after the end of the pause, and the first one of another process, may both be late.
    assert desk.look(at("12:20")) == []
    desk.restart()
    assert desk.look(at("12:50"), at("13:00")) == ["a 13:00:00"]


def test_what_passed_after_a_pause_is_made_up_for() -> None:
    desk = Desk(LATEST, a="@hourly")
    desk.look(at("9:10"))
    desk.pause(at("9:20"))
    desk.resume(at("10:30"))
    desk.restart()
    assert desk.look(at("10:50")) == []
    desk.restart()
    assert desk.look(at("12:20")) == ["a 12:00:00"]


@pytest.mark.parametrize("catch_up", [LATEST, NONE])
def test_a_host_that_slept_over_a_pause_and_its_end(catch_up: CatchUp) -> None:
    desk = Desk(catch_up, a="@hourly")
    desk.look(at("9:10"))
    desk.pause(at("9:20"))
    desk.resume(at("12:00:10"))
    assert desk.look(at("12:00:20"), at("13:00")) == ["a 13:00:00"]


def test_a_time_right_after_a_pause_is_not_lost() -> None:
    desk = Desk(NONE, a="@hourly")
    desk.look(at("9:10"))
    desk.pause(at("9:20"))
    desk.look(at("9:59:59"))
    desk.resume(at("9:59:59") + 0.9 * SECOND)
    assert desk.look(at("10:00") + 0.3 * SECOND) == ["a 10:00:00"]


@pytest.mark.parametrize("catch_up", [LATEST, NONE])
def test_a_host_that_slept_in_a_pause_has_nothing_to_tell(catch_up: CatchUp, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(catch_up, a="@hourly")
    desk.look(at("9:10"))
    desk.pause(at("9:20"))
    assert desk.look(at("15:20"), at("16:00")) == []
    assert caplog.records == []


@pytest.mark.parametrize("catch_up", [LATEST, NONE])
def test_a_time_that_waits_for_the_disk_is_dropped_by_a_pause(
    catch_up: CatchUp, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(catch_up, a="@hourly")
    desk.is_full = True
    assert desk.look(at("9:10"), at("10:00")) == []
    desk.pause(at("10:00:05"))
    desk.look(at("10:00:06"))
    desk.is_full = False
    desk.resume(at("10:00:07"))
    assert desk.look(at("10:00:08"), at("10:01"), at("10:02"), at("11:00")) == ["a 11:00:00"]
    assert [record.getMessage().endswith("was not triggered: the disk is full") for record in caplog.records] == [True]


def test_a_clock_that_is_set_back_after_a_pause_leaves_the_schedule() -> None:
    desk = Desk(NONE, a="@hourly")
    desk.look(at("9:10", 9))
    desk.pause(at("9:20", 9))
    desk.resume(at("9:30", 9))
    desk.restart()
    assert desk.look(at("9:10"), at("10:00")) == ["a 10:00:00"]


def test_a_paused_workflow_keeps_nobody_awake() -> None:
    """The pauses of the loop are those of any other schedule."""
    held = flows(a="* * * * * *")
    clock = Clock(at("9:59:59"))
    steps = [at("10:00") + n * SECOND for n in range(3)]
    trigger = running(lambda: held, clock, steps, lambda *_: True)
    assert trigger.taken == []
    assert clock.pauses == [0.5] * 4
