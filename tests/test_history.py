from cdktr.dispatch import EVENTS, Dispatch
from cdktr.history import STATUS, update_of
from cdktr.records import RunStatus, RunUpdate


def test_a_run_from_its_trigger_to_its_end() -> None:
    dispatch = Dispatch(30)
    run = dispatch.accept("etl", now_ms=1, params={"day": "monday"}, trigger="schedule")
    assert run is not None
    lease = dispatch.lease("a1", "token", 1)
    dispatch.requeue(lease, 2, "lost on the way")
    dispatch.lease("a2", "again", 1)
    dispatch.start(run.id, "a2", "again", 3)
    dispatch.finish(run.id, RunStatus.FAILED, 4, "failed: a", "again")
    updates = [update for change in dispatch.take_changes() if (update := update_of(change)) is not None]
    assert updates == [
        RunUpdate("etl", run.id, RunStatus.PENDING, 1, None, None, "schedule", '{"day": "monday"}'),
        RunUpdate("etl", run.id, RunStatus.PENDING, 2, None, "lost on the way"),
        RunUpdate("etl", run.id, RunStatus.RUNNING, 3, "a2"),
        RunUpdate("etl", run.id, RunStatus.FAILED, 4, "a2", "failed: a"),
    ]


def test_an_adopted_run_names_its_agent() -> None:
    dispatch = Dispatch(30)
    dispatch.bind("old", "etl", "theirs-0", 7)
    [change] = dispatch.take_changes()
    assert update_of(change) == RunUpdate("etl", "theirs-0", RunStatus.PENDING, 7, "old", trigger="agent")


def test_every_event_is_known() -> None:
    assert set(EVENTS) == {*STATUS, "queued", "adopted", "leased", "kept", "bound"}
