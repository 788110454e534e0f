from collections.abc import Sequence
from typing import Any

from cdktr.batch import Batch
from cdktr.dispatch import EVENTS, Dispatch
from cdktr.history import STATUS, update_of, with_updates
from cdktr.records import RunStatus, RunUpdate
from cdktr.store import MEMORY, Store


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
    assert set(EVENTS) == {*STATUS, "queued", "adopted", "leased", "kept", "bound", "paused", "resumed"}


UPDATES = [
    RunUpdate("etl", "run-1", RunStatus.PENDING, 5, None, None, "manual", "{}"),
    RunUpdate("etl", "run-1", RunStatus.RUNNING, 6, "a1"),
    RunUpdate("etl", "run-1", RunStatus.PENDING, 7, None, "a1 was lost"),
    RunUpdate("etl", "run-1", RunStatus.RUNNING, 8, "a2"),
    RunUpdate("etl", "run-1", RunStatus.FAILED, 9, "a2", "failed: a"),
]


def stored(updates: Sequence[RunUpdate]) -> dict[str, Any] | None:
    """The run as the store tells it."""
    store, batch = Store(MEMORY), Batch()
    for number, update in enumerate(updates):
        batch.add_run(update, number)
    store.write(batch)
    found = next(iter(store.runs()), None)
    store.close()
    return found


def test_a_run_with_what_is_not_stored_is_what_the_store_will_tell() -> None:
    """However much of it is stored already, and even if all that is taken for not stored."""
    told = [stored(UPDATES[:count]) for count in range(len(UPDATES) + 1)]
    for known in range(len(told)):
        for until in range(known, len(told)):
            assert with_updates(told[known], UPDATES[known:until]) == told[until]
            assert with_updates(told[known], UPDATES[:until]) == told[until]
