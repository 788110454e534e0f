"""The queue and the leases by example. What must hold in whatever order things happen is in properties/."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from cdktr.dispatch import EVENTS, MAX_DELIVERIES, REMEMBERED, Dispatch
from cdktr.errors import RefusedError
from cdktr.records import AgentInfo, Change, Lease, RunStatus
from cdktr.text import slug

TIMEOUT_S = 30.0
INTERVAL_S = 1.0


def dispatch_with(*workflow_ids: str) -> Dispatch:
    """A queue with a run of each."""
    dispatch = Dispatch(TIMEOUT_S)
    for number, workflow_id in enumerate(workflow_ids):
        dispatch.accept(workflow_id, now_ms=1000 + number)
    dispatch.take_changes()
    return dispatch


def leased(dispatch: Dispatch, agent_id: str = "agent", token: str = "secret") -> Lease:
    """Hand out the oldest."""
    return dispatch.lease(agent_id, token, 2)


def kinds(dispatch: Dispatch) -> list[str]:
    """What happened since the last look."""
    return [change.kind for change in dispatch.take_changes()]


def workflows(dispatch: Dispatch) -> list[str]:
    """The queue, by the workflows of its runs."""
    return [run.workflow_id for run in dispatch.queued.values()]


def stored(value: Any) -> Any:
    """A value as the journal gives it back."""
    return json.loads(json.dumps(value))


def replayed(snapshot: Any, changes: Sequence[Change]) -> Dispatch:
    """A second one, from a snapshot and what happened after it."""
    other = Dispatch(TIMEOUT_S)
    other.restore(stored(snapshot))
    for change in changes:
        other.apply(Change(change.kind, stored(change.facts)))
    return other


# Accepting.


def test_runs_are_handed_out_in_the_order_in_which_they_came() -> None:
    dispatch = dispatch_with("a", "b", "c")
    assert [leased(dispatch).run.workflow_id for _ in "abc"] == ["a", "b", "c"]
    assert not dispatch.queued


def test_what_was_asked_for_is_what_is_queued() -> None:
    dispatch = Dispatch(TIMEOUT_S)
    params = {"day": "monday", "n": 3}
    run = dispatch.accept("etl.daily", now_ms=77, params=params, trigger="schedule", scheduled_ms=5)
    assert run is not None
    assert (run.workflow_id, run.params, run.trigger, run.scheduled_ms, run.queued_ms) == (
        "etl.daily",
        params,
        "schedule",
        5,
        77,
    )
    assert run.id == slug(0)
    assert dispatch.queued == {run.id: run}


def test_task_numbers_and_run_ids_never_meet() -> None:
    dispatch = dispatch_with("a")
    lease = dispatch.lease("agent", "secret", 3)
    after = dispatch.accept("b", now_ms=0)
    assert after is not None
    names = [lease.run.id, *(slug(lease.first_number + n) for n in range(3)), after.id]
    assert names == [slug(n) for n in range(5)]


@pytest.mark.parametrize(
    ("times", "accepted"),
    [
        ([10, 10], [True, False]),
        ([10, 20, 10], [True, True, False]),
        ([20, 10, 30, 10, 20], [True, True, True, False, False]),
    ],
)
def test_a_scheduled_time_makes_one_run(times: list[int], accepted: list[bool]) -> None:
    dispatch = Dispatch(TIMEOUT_S)
    answers = [dispatch.accept("w", now_ms=0, trigger="schedule", scheduled_ms=time) for time in times]
    assert [run is not None for run in answers] == accepted
    assert len(kinds(dispatch)) == sum(accepted)


def test_a_scheduled_time_makes_one_run_over_a_restart() -> None:
    dispatch = Dispatch(TIMEOUT_S)
    empty = dispatch.snapshot()
    run = dispatch.accept("w", now_ms=0, scheduled_ms=10)
    assert run is not None
    dispatch.finish(run.id, RunStatus.COMPLETED, 1)
    for other in (replayed(dispatch.snapshot(), []), replayed(empty, dispatch.take_changes())):
        assert other.accept("w", now_ms=0, scheduled_ms=10) is None
        assert other.accept("another", now_ms=0, scheduled_ms=10) is not None
        assert other.accept("w", now_ms=0) is not None


# Leases.


def test_only_the_holder_of_the_token_may_start_and_speak() -> None:
    dispatch = dispatch_with("w")
    run_id = leased(dispatch, "agent", "secret").run.id
    dispatch.take_changes()
    assert not dispatch.start(run_id, "agent", "guess", 0)
    assert not dispatch.start(run_id, "other", "secret", 0)
    assert not dispatch.start("nothing", "agent", "secret", 0)
    assert not dispatch.holds(run_id, "guess")
    assert not dispatch.holds("nothing", "secret")
    assert kinds(dispatch) == []
    assert dispatch.start(run_id, "agent", "secret", 0)
    assert dispatch.holds(run_id, "secret")
    assert kinds(dispatch) == ["started"]


def test_a_start_that_is_asked_for_again_is_granted_and_told_once() -> None:
    dispatch = dispatch_with("w")
    run_id = leased(dispatch).run.id
    assert dispatch.start(run_id, "agent", "secret", 0)
    assert dispatch.start(run_id, "agent", "secret", 0)
    assert kinds(dispatch) == ["leased", "started"]


def test_an_ended_run_takes_no_word_any_more() -> None:
    dispatch = dispatch_with("w")
    lease = leased(dispatch)
    dispatch.finish(lease.run.id, RunStatus.CRASHED, 5, "lost")
    assert not dispatch.start(lease.run.id, "agent", "secret", 6)
    assert not dispatch.holds(lease.run.id, "secret")
    assert dispatch.reconcile({lease.run.id: "secret"}, 7) == [lease.run.id]
    assert dispatch.finished == {lease.run.id: RunStatus.CRASHED}
    assert kinds(dispatch) == ["leased", "finished"]


def test_a_queued_run_can_end_without_an_agent() -> None:
    dispatch = dispatch_with("w")
    (run_id,) = dispatch.queued
    dispatch.finish(run_id, RunStatus.FAILED, 5, "its definition is gone")
    (change,) = dispatch.take_changes()
    assert change.facts == {
        "id": run_id,
        "status": "FAILED",
        "workflow_id": "w",
        "agent_id": None,
        "at_ms": 5,
        "detail": "its definition is gone",
        "token": None,
    }


def test_who_reported_the_end_may_say_it_again() -> None:
    dispatch = dispatch_with("a", "b")
    one, two = leased(dispatch, token="one"), leased(dispatch, token="two")
    dispatch.finish(one.run.id, RunStatus.COMPLETED, 0, token="one")
    dispatch.finish(two.run.id, RunStatus.CRASHED, 0, "lost")
    for other in (dispatch, replayed(dispatch.snapshot(), [])):
        assert other.ended_by(one.run.id, "one")
        assert not other.ended_by(one.run.id, "two")
        assert not other.ended_by(two.run.id, "two")
        assert not other.ended_by("nothing", "one")


def test_a_run_that_is_queued_again_keeps_its_place() -> None:
    dispatch = dispatch_with("a", "b", "c", "d")
    for lease in [leased(dispatch), leased(dispatch), leased(dispatch)]:
        dispatch.requeue(lease, 0, "lost")
    assert workflows(dispatch) == ["a", "b", "c", "d"]
    again = [leased(dispatch) for _ in range(3)]
    dispatch.accept("e", now_ms=0)
    for lease in reversed(again):
        dispatch.requeue(lease, 0, "lost")
    assert workflows(dispatch) == ["a", "b", "c", "d", "e"]
    # Nobody was lost over them: nothing speaks against handing them out again.
    assert {run.deliveries for run in dispatch.queued.values()} == {0}


def test_a_requeued_run_has_another_lease() -> None:
    dispatch = dispatch_with("w")
    first = leased(dispatch, "one", "first")
    dispatch.requeue(first, 0, "lost")
    second = leased(dispatch, "two", "second")
    assert second.run.id == first.run.id
    assert second.first_number >= first.first_number + 2
    assert not dispatch.holds(first.run.id, "first")
    assert not dispatch.start(first.run.id, "one", "first", 0)
    assert dispatch.start(first.run.id, "two", "second", 0)


def test_what_an_agent_holds_and_what_it_has_lost() -> None:
    dispatch = dispatch_with("a", "b")
    one, two = leased(dispatch, token="one"), leased(dispatch, token="two")
    dispatch.finish(two.run.id, RunStatus.CRASHED, 0)
    dispatch.take_changes()
    assert dispatch.reconcile({one.run.id: "one", two.run.id: "two", "gone": "x"}, 0) == [two.run.id, "gone"]
    assert dispatch.reconcile({one.run.id: "guess"}, 0) == [one.run.id]
    assert kinds(dispatch) == []


def test_what_an_agent_was_handed_and_does_not_hold_is_taken_back() -> None:
    dispatch = dispatch_with("a", "b", "c", "d", "e")
    leases = {w: leased(dispatch, "agent") for w in "abc"}
    leased(dispatch, "other")
    dispatch.lease("agent", "t", 0, legacy=True)
    for workflow_id in "ab":
        dispatch.start(leases[workflow_id].run.id, "agent", "secret", 0)
    dispatch.take_back("agent", [leases["a"].run.id], 0)
    assert workflows(dispatch) == ["b", "c"], "also one whose start was granted: the agent never learned of that"
    assert [lease.run.workflow_id for lease in dispatch.leases.values()] == ["a", "d", "e"]


# Agents.


def test_agents_as_they_are_shown() -> None:
    dispatch = dispatch_with("w")
    dispatch.agents.heard("a", 0.0, 5, slots=4, version="1")
    dispatch.agents.heard("b", 0.0, 6)
    leased(dispatch, "a")
    dispatch.agents.heard("a", 1.0, 7)
    assert dispatch.agent_infos() == [AgentInfo("a", 7000, 1, 4, "1"), AgentInfo("b", 6000, 0, None, None)]


def test_an_agent_is_handed_the_oldest_run_that_it_may_take() -> None:
    required = {"train": frozenset({"gpu"}), "far": frozenset({"gpu", "zone=eu"})}
    dispatch = Dispatch(30.0, lambda name: required.get(name, frozenset()))
    for name in ("far", "train", "plain", "train"):
        dispatch.accept(name, now_ms=0)
    dispatch.agents.heard("one", 0.0, 0, labels=frozenset({"gpu"}))
    dispatch.agents.heard("two", 0.0, 0)
    assert [leased(dispatch, agent_id).run.workflow_id for agent_id in ("two", "one", "one")] == [
        *("plain", "train", "train")
    ]
    assert dispatch.next_for("one") is dispatch.next_for("two") is dispatch.next_for("stranger") is None
    dispatch.agents.heard("two", 1.0, 0, labels=frozenset({"zone=eu", "gpu", "more"}))
    assert leased(dispatch, "two").run.workflow_id == "far"
    assert [info.labels for info in dispatch.agent_infos()] == [{"gpu"}, {"zone=eu", "gpu", "more"}]


def test_the_run_of_a_lost_agent_waits_again_or_has_crashed() -> None:
    dispatch = dispatch_with("started", "not", "unknown")
    leases = [leased(dispatch) for _ in range(3)]
    dispatch.start(leases[0].run.id, "agent", "secret", 0)
    snapshot = dispatch.snapshot()
    for lease in dispatch.leases_of("agent")[:2]:
        dispatch.drop(lease, 9, "agent was lost")
    assert workflows(dispatch) == ["not"]
    assert dispatch.finished == {leases[0].run.id: RunStatus.CRASHED}

    # After a restart nobody knows whether it was started: it is not run twice.
    again = Dispatch(TIMEOUT_S)
    again.restore(stored(snapshot))
    again.resume(0.0, 0)
    assert [lease.started for lease in again.leases.values()] == [True, None, None]
    again.drop(again.leases_of("agent")[2], 9, "agent was lost")
    assert again.finished == {leases[2].run.id: RunStatus.CRASHED}
    assert not again.queued


def test_a_run_that_is_never_started_is_given_up() -> None:
    dispatch = dispatch_with("w")
    for _ in range(MAX_DELIVERIES - 1):
        dispatch.drop(leased(dispatch), 0, "agent was lost")
        assert workflows(dispatch) == ["w"]
    dispatch.drop(leased(dispatch), 0, "agent was lost")
    assert not dispatch.queued
    assert list(dispatch.finished.values()) == [RunStatus.CRASHED]


# Restart.


def test_agents_with_leases_get_a_timeout_to_come_back() -> None:
    dispatch = dispatch_with("w")
    lease = leased(dispatch)
    again = Dispatch(TIMEOUT_S)
    again.restore(stored(dispatch.snapshot()))
    again.resume(100.0, 0)
    assert again.agents.expire(100.0 + 2 * TIMEOUT_S, INTERVAL_S) == [], "however long the start took"
    assert again.reconcile({lease.run.id: "secret"}, 5) == []
    assert again.leases[lease.run.id].started is True
    assert kinds(again) == ["started"]


def test_a_lease_that_was_lost_with_the_restart_is_taken_back() -> None:
    dispatch = dispatch_with("w")
    leased(dispatch)
    again = Dispatch(TIMEOUT_S)
    again.restore(stored(dispatch.snapshot()))
    again.resume(100.0, 0)
    again.take_back("agent", [], 0)
    assert workflows(again) == ["w"]


def test_a_pause_is_told_once_and_is_there_after_a_restart() -> None:
    dispatch = dispatch_with()
    empty = dispatch.snapshot()
    assert [dispatch.pause_workflow("w", at) for at in (10, 20)] == [True, False]
    assert dispatch.resume_workflow("other", 20) is False
    changes = dispatch.take_changes()
    assert [(change.kind, change.facts) for change in changes] == [("paused", {"workflow_id": "w", "at_ms": 10})]
    for other in (replayed(dispatch.snapshot(), []), replayed(empty, changes)):
        assert other.pauses.since == {"w": 10}
        assert other.accept("w", now_ms=30) is not None, "whoever triggers it runs it"
        assert [other.resume_workflow("w", at) for at in (40, 50)] == [True, False]
        assert other.pauses.since == {}
        assert replayed(other.snapshot(), []).pauses.skips("w", 40, 60)


def test_a_snapshot_from_before_there_were_pauses() -> None:
    snapshot = stored(dispatch_with().snapshot())
    del snapshot["pauses"]
    assert replayed(snapshot, []).pauses.since == {}


def test_only_so_many_verdicts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert REMEMBERED >= 1000
    monkeypatch.setattr("cdktr.dispatch.REMEMBERED", 2)
    dispatch = dispatch_with("a", "b", "c")
    dispatch.lease("old", "t", 1, legacy=True)
    dispatch.bind("old", "a", "theirs", 0)
    runs = [*dispatch.leases, *dispatch.queued]
    for run_id in runs:
        dispatch.finish(run_id, RunStatus.COMPLETED, 0)
    assert list(dispatch.finished) == runs[1:]
    assert dispatch.run_of("theirs") == "theirs"


@pytest.mark.parametrize(
    "change",
    [
        Change("exploded", {}),
        Change("leased", {"id": "nothing"}),
        Change("started", {"id": "nothing"}),
        Change("requeued", {"id": "nothing"}),
        Change("finished", {"id": "nothing", "status": "FAILED"}),
        Change("bound", {"id": "nothing", "alias": "x"}),
        Change("resumed", {"workflow_id": "nothing", "at_ms": 1}),
        Change("queued", {"run": {"id": "x"}, "number": 3}),
    ],
    ids=lambda change: change.kind,
)
def test_an_event_that_does_not_fit_is_refused_and_changes_nothing(change: Change) -> None:
    dispatch = dispatch_with("a", "b")
    leased(dispatch)
    before = dispatch.snapshot()
    with pytest.raises(RefusedError, match=change.kind):
        dispatch.apply(change)
    assert dispatch.snapshot() == before


# Agents of the old API.


def legacy(*workflow_ids: str) -> Dispatch:
    """These runs in the hands of an old agent."""
    dispatch = dispatch_with(*workflow_ids)
    for _ in workflow_ids:
        dispatch.lease("old", "t", 1, legacy=True)
    return dispatch


def test_an_old_agents_id_is_tied_to_its_oldest_lease() -> None:
    dispatch = legacy("w", "v", "w")
    ids = list(dispatch.leases)
    assert dispatch.bind("old", "w", "x-1", 0) == ids[0]
    assert dispatch.bind("old", "w", "x-2", 0) == ids[2]
    assert dispatch.bind("old", "w", "x-1", 0) == ids[0], "and stays tied"
    assert dispatch.bind("old", "v", "x-3", 0) == ids[1]
    assert [dispatch.run_of(f"x-{n}") for n in (1, 2, 3)] == [ids[0], ids[2], ids[1]]
    assert dispatch.run_of("other") == "other"


def test_an_old_agents_id_stays_tied_over_a_restart() -> None:
    dispatch = legacy("w", "w")
    ids = list(dispatch.leases)
    dispatch.bind("old", "w", "x-1", 0)
    again = replayed(dispatch.snapshot(), [])
    assert again.run_of("x-1") == again.bind("old", "w", "x-1", 0) == ids[0]
    assert again.bind("old", "w", "x-2", 0) == ids[1]


def test_an_old_agents_ended_run_does_not_come_back() -> None:
    dispatch = legacy("w")
    (run_id,) = dispatch.leases
    dispatch.bind("old", "w", "x-1", 0)
    dispatch.finish(run_id, RunStatus.COMPLETED, 0)
    assert dispatch.bind("old", "w", "x-1", 0) is None
    assert dispatch.run_of("x-1") == run_id


def test_a_run_that_nobody_handed_out_is_adopted() -> None:
    dispatch = Dispatch(TIMEOUT_S)
    assert dispatch.bind("old", "w", "theirs-7", 5) == "theirs-7"
    assert dispatch.bind("old", "w", "theirs-7", 5) == "theirs-7"
    assert kinds(dispatch) == ["adopted"]
    dispatch.drop(dispatch.leases["theirs-7"], 9, "lost")
    assert dispatch.finished == {"theirs-7": RunStatus.CRASHED}
    assert dispatch.bind("old", "w", "theirs-7", 5) is None


def test_the_old_api_has_no_say_over_a_lease_with_a_token() -> None:
    dispatch = dispatch_with("w", "v")
    run_id = leased(dispatch).run.id
    (queued,) = dispatch.queued
    assert dispatch.bind("old", "w", run_id, 0) is None
    assert dispatch.bind("old", "v", queued, 0) is None
    assert kinds(dispatch) == ["leased"]


def test_an_adopted_id_is_not_given_again() -> None:
    dispatch = Dispatch(TIMEOUT_S)
    dispatch.bind("old", "w", slug(0), 0)
    run = dispatch.accept("w", now_ms=0)
    assert run is not None
    assert run.id == slug(1)


def test_what_is_kept_is_done_with_up_to_its_last_time() -> None:
    dispatch = Dispatch(TIMEOUT_S)
    assert dispatch.keep({"w": "@daily", "x": "@daily"}, 100) == {"w": 100, "x": 100}, "what is new has missed nothing"
    assert dispatch.keep({"w": "@daily", "x": "@hourly"}, 200) == {"w": 100, "x": 200}, "nor has another schedule"
    dispatch.accept("w", now_ms=250, scheduled_ms=240)
    snapshot = stored(dispatch.snapshot())
    changes = dispatch.take_changes()
    dispatch.accept("w", now_ms=350, scheduled_ms=340)

    assert replayed(Dispatch(TIMEOUT_S).snapshot(), changes).keep({"w": "@daily"}, 300) == {"w": 240}
    again = replayed(snapshot, dispatch.take_changes())
    assert again.keep({"w": "@daily"}, 400) == {"w": 340}
    assert kinds(again) == ["kept"]
    assert again.keep({"w": "@daily"}, 500) == {"w": 340}
    assert kinds(again) == [], "what is known costs nothing"
    assert again.keep({"w": "@daily", "x": "@hourly"}, 500)["x"] == 500, "what was let go is new"

    del snapshot["kept"]
    assert replayed(snapshot, []).keep({"w": "@daily"}, 600) == {"w": 600}


def test_a_trigger_that_is_withdrawn_can_be_made_again() -> None:
    dispatch = Dispatch(TIMEOUT_S)
    for scheduled_ms in (10, 20):
        run = dispatch.accept("w", now_ms=20, scheduled_ms=scheduled_ms)
        assert run is not None
        assert dispatch.accept("w", now_ms=20, scheduled_ms=scheduled_ms) is None
        assert dispatch.withdraw(run.id, 21, "the disk is full")
        assert not dispatch.withdraw(run.id, 22, "the disk is full")
        assert dispatch.finished[run.id] is RunStatus.CANCELLED
    assert not dispatch.queued
    assert dispatch.accept("w", now_ms=20, scheduled_ms=20) is not None

    lease = leased(dispatch)
    assert dispatch.withdraw(lease.run.id, 23, "the disk is full"), "the agent was not told of it"
    assert dispatch.accept("w", now_ms=20, scheduled_ms=20) is not None
    run_id = leased(dispatch).run.id
    dispatch.start(run_id, "agent", "secret", 24)
    assert not dispatch.withdraw(run_id, 25, "the disk is full"), "what has begun cannot be taken back"


# Keys.


def keyed(dispatch: Dispatch, workflow_id: str, key: str) -> str:
    """The run of a trigger with a key, the first time it comes."""
    assert dispatch.keys.run_of(workflow_id, key) is None
    run = dispatch.accept(workflow_id, now_ms=0, key=key)
    assert run is not None
    return run.id


def test_a_key_is_remembered_for_its_workflow_also_when_its_run_is_over_and_forgotten() -> None:
    dispatch = Dispatch(TIMEOUT_S)
    before = dispatch.snapshot()
    ids = [keyed(dispatch, workflow_id, key) for workflow_id, key in [("v", "k"), ("w", "k"), ("w", "l")]]
    assert len(set(ids)) == 3
    dispatch.finish(ids[0], RunStatus.COMPLETED, 0)
    for other in (dispatch, replayed(dispatch.snapshot(), []), replayed(before, dispatch.take_changes())):
        found = [other.keys.run_of(*each) for each in [("v", "k"), ("w", "k"), ("w", "l"), ("v", "l")]]
        assert found == [*ids, None]


def test_the_key_of_a_trigger_that_is_withdrawn_is_forgotten() -> None:
    dispatch = Dispatch(TIMEOUT_S)
    first = keyed(dispatch, "w", "k")
    assert dispatch.withdraw(first, 0, "the disk is full")
    second = keyed(dispatch, "w", "k")
    assert dispatch.keys.run_of("w", "k") == second != first
    # From the hands of an agent, over a restart.
    leased(dispatch)
    other = replayed(dispatch.snapshot(), [])
    assert other.withdraw(second, 0, "the disk is full")
    assert other.keys.run_of("w", "k") is None


def test_what_was_written_before_there_were_keys() -> None:
    dispatch = dispatch_with("v")
    snapshot = stored(dispatch.snapshot())
    del snapshot["keys"], snapshot["queued"][0]["key"]
    dispatch.accept("w", now_ms=0)
    [change] = dispatch.take_changes()
    assert "key" not in change.facts["run"], "one without takes no room"
    other = replayed(snapshot, [change])
    assert workflows(other) == ["v", "w"]
    assert len(other.keys) == 0


# The events.


def test_every_event_is_made_by_something() -> None:
    dispatch = legacy("w")
    dispatch.bind("old", "w", "x-1", 0)
    dispatch.bind("old", "w", "x-2", 0)
    dispatch.accept("w", now_ms=0)
    lease = leased(dispatch)
    dispatch.requeue(lease, 0, "lost")
    lease = leased(dispatch)
    dispatch.start(lease.run.id, "agent", "secret", 0)
    dispatch.finish(lease.run.id, RunStatus.COMPLETED, 0)
    again = dispatch.accept("w", now_ms=0)
    assert again is not None
    assert dispatch.withdraw(again.id, 0, "not durable")
    dispatch.keep({"w": "@daily"}, 0)
    dispatch.pause_workflow("w", 0)
    dispatch.resume_workflow("w", 0)
    assert {"queued", *kinds(dispatch)} == set(EVENTS)


def test_changes_are_taken_once() -> None:
    dispatch = Dispatch(TIMEOUT_S)
    dispatch.accept("w", now_ms=0)
    assert kinds(dispatch) == ["queued"]
    assert kinds(dispatch) == []


def test_a_clock_that_was_ahead_does_not_silence_the_schedule() -> None:
    dispatch = Dispatch(30)
    year = 365 * 24 * 3600 * 1000
    assert dispatch.accept("w", now_ms=2 * year, scheduled_ms=2 * year) is not None
    assert dispatch.accept("w", now_ms=year, scheduled_ms=year) is not None
    assert dispatch.accept("w", now_ms=year, scheduled_ms=year) is None
    assert dispatch.accept("w", now_ms=2 * year, scheduled_ms=2 * year) is None, "it comes again, and was run"
    assert dispatch.accept("w", now_ms=2 * year, scheduled_ms=2 * year - 1) is not None


def test_what_was_accepted_ahead_of_the_clock_is_not_what_is_done_with() -> None:
    dispatch = Dispatch(30)
    dispatch.keep({"w": "@daily"}, 100)
    for time in (200, 300, 9000):
        dispatch.accept("w", now_ms=time, scheduled_ms=time)
    assert dispatch.keep({"w": "@daily"}, 250) == {"w": 200}
    assert dispatch.keep({"w": "@daily"}, 9000) == {"w": 9000}


def test_a_snapshot_that_knows_the_last_time_alone() -> None:
    snapshot = Dispatch(30).snapshot()
    del snapshot["accepted"]
    other = replayed(snapshot | {"cursor": {"w": 20}}, [])
    assert other.accept("w", now_ms=30, scheduled_ms=15) is None
    assert other.accept("w", now_ms=30, scheduled_ms=20) is None
    assert other.accept("w", now_ms=30, scheduled_ms=30) is not None
    assert other.accept("w", now_ms=10, scheduled_ms=10) is not None, "the clock was ahead"
