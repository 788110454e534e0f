"""The queue at work, with a real journal and a database in memory."""

import asyncio
import dataclasses
import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cdktr import coordinator, logs
from cdktr.batch import Batch
from cdktr.coordinator import Coordinator
from cdktr.errors import DefinitionError, NotFoundError, ProtocolError, RefusedError, StoreError
from cdktr.frames import Reported, pack
from cdktr.journal import Journal
from cdktr.logs import LogHub
from cdktr.protocol import LONGEST_FACT, Heartbeat, LeaseWork, Report, StartRuns, Trigger
from cdktr.records import LogChunk, RunStatus, RunUpdate, TaskUpdate
from cdktr.store import MEMORY, Store
from cdktr.text import CUT_MARK
from cdktr.workflow import Subprocess, Task, Workflow

ETL = Workflow("etl", "ETL", {"a": Task("A", Subprocess("true"))}, params={"day": "monday"})


class World:
    """A coordinator and what it stands on, as a principal opens it; it is left as a kill leaves it."""

    def __init__(self, folder: Path, database: str) -> None:
        self.store = store = Store(database)
        self.workflows = {"etl": ETL}
        self.find: Callable[[str], Workflow | None] = self.workflows.get
        self.journal = Journal(folder)
        self.hub = LogHub(store, lambda _messages: None, lambda: False)
        self.coordinator = Coordinator(
            self.journal,
            self.hub,
            store.cursors,
            lambda workflow_id: self.find(workflow_id),
            30.0,
            lambda: store.highest_number() + 1,
            lambda: [
                (run["workflow_id"], run["workflow_instance_id"]) for run in store.runs() if run["ended_ms"] is None
            ],
        )

    async def trigger(self, **params: Any) -> str:
        run_id = await self.coordinator.trigger(Trigger("etl", params))
        assert run_id is not None
        return run_id

    async def lease(
        self, agent: str = "a1", count: int = 1, wait_ms: int = 0, holding: dict[str, str] | None = None
    ) -> list[dict[str, Any]]:
        answer = await self.coordinator.lease(LeaseWork(agent, count, wait_ms, holding or {}))
        leases: list[dict[str, Any]] = answer["leases"]
        return leases

    async def started(self, agent: str = "a1") -> tuple[str, str]:
        """A run that was triggered, leased and started: its id and token."""
        await self.trigger()
        [lease] = await self.lease(agent)
        run_id, token = lease["workflow_instance_id"], lease["token"]
        assert self.coordinator.start(StartRuns(agent, {run_id: token})) == {"granted": [run_id]}
        return run_id, token

    async def report(self, number: int, *records: LogChunk | Reported, agent: str = "a1") -> Any:
        """Send a report, its records numbered from `number`, and have it stored."""
        async with asyncio.TaskGroup() as group:
            report = Report(agent, f"{agent}/x", number - 1, packed(number, *records))
            answer = group.create_task(self.coordinator.report(report))
            await asyncio.sleep(0)
            await self.hub.write()
        return answer.result()

    def statuses(self, run_id: str) -> list[str]:
        rows = self.store._rows(
            "SELECT status FROM workflow_run_status WHERE workflow_instance_id = $run ORDER BY sequence",
            {"run": run_id},
        )
        return [row[0] for row in rows]

    def events(self) -> list[str]:
        return [row[0] for row in self.store._rows("SELECT detail FROM run_event ORDER BY sequence")]


def packed(first: int, *records: LogChunk | Reported) -> list[Any]:
    """As they come from the wire."""
    made: list[Any] = json.loads(json.dumps([[n, *pack(record)] for n, record in enumerate(records, first)]))
    return made


def in_world(story: Callable[[World], Awaitable[None]], folder: Path, database: str = MEMORY) -> None:
    async def main() -> None:
        world = World(folder, database)
        try:
            async with asyncio.timeout(60):
                await story(world)
        finally:
            world.journal.close()
            world.hub.close()
            world.store.close()

    asyncio.run(main())


def ended(run_id: str, status: RunStatus = RunStatus.COMPLETED) -> RunUpdate:
    return RunUpdate("etl", run_id, status, 5, "a1", "why")


def test_a_run_from_trigger_to_end(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id, token = await world.started()
        chunk = LogChunk("etl", "ETL", run_id, "A", "calm-otter-1", 4, "INFO", ("STDOUT 1", "STDOUT 2"))
        task = TaskUpdate("a", "calm-otter-1", run_id, RunStatus.COMPLETED, 4)
        records: list[LogChunk | Reported] = [chunk, Reported(token, task), Reported(token, ended(run_id))]
        assert await world.report(1, *records) == {"stored": 3}
        assert world.statuses(run_id) == ["PENDING", "RUNNING", "COMPLETED"]
        assert [line.payload for line in world.store.logs(0, 9, None, run_id, 9)] == ["STDOUT 1", "STDOUT 2"]
        assert world.store.tasks(run_id)[0]["status"] == "COMPLETED"
        assert world.store.runs()[0]["detail"] == "why"
        assert not world.coordinator.is_open(run_id)

    in_world(story, tmp_path)


def test_a_trigger_is_refused_with_the_reason(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with pytest.raises(NotFoundError, match=r"^No workflow exists with id nope$"):
            await world.coordinator.trigger(Trigger("nope"))
        with pytest.raises(DefinitionError, match="no parameter nope"):
            await world.trigger(nope=1)
        world.coordinator.stop()
        with pytest.raises(StoreError, match="stopping"):
            await world.trigger()
        assert not world.coordinator.dispatch.queued

    in_world(story, tmp_path)


def test_a_request_for_work_rests_until_there_is_some(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async with asyncio.TaskGroup() as group:
            resting = group.create_task(world.lease(wait_ms=60_000))
            await asyncio.sleep(0)
            run_id = await world.trigger()
        assert [lease["workflow_instance_id"] for lease in resting.result()] == [run_id]
        assert resting.result()[0]["params"] == {"day": "monday"}

    in_world(story, tmp_path)


def test_what_an_agent_does_not_hold_is_queued_again(tmp_path: Path) -> None:
    """Before its start as well as after it, when the answer to START was lost."""

    async def story(world: World) -> None:
        run_id = await world.trigger()
        [lease] = await world.lease()
        assert [again["workflow_instance_id"] for again in await world.lease()] == [run_id]
        run_id, token = run_id, world.coordinator.dispatch.leases[run_id].token
        assert token != lease["token"]
        assert world.coordinator.start(StartRuns("a1", {run_id: lease["token"]})) == {"granted": []}
        assert world.coordinator.start(StartRuns("a1", {run_id: token})) == {"granted": [run_id]}
        assert await world.lease(holding={run_id: token}) == []
        assert len(await world.lease()) == 1

    in_world(story, tmp_path)


def test_a_lease_that_could_not_be_delivered_waits_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.trigger()
        leases = await world.lease()
        world.coordinator.undelivered("a1", [lease["workflow_instance_id"] for lease in leases])
        assert list(world.coordinator.dispatch.queued) == [run_id]

    in_world(story, tmp_path)


def test_a_definition_that_is_gone_fails_the_queued_run(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.trigger()
        world.workflows.clear()
        assert await world.lease() == []
        await world.hub.write()
        assert world.statuses(run_id) == ["PENDING", "FAILED"]
        assert "was removed" in world.store.runs()[0]["detail"]

    in_world(story, tmp_path)


def test_a_report_counts_once_and_none_is_left_out(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id, _ = await world.started()
        line = LogChunk("etl", "ETL", run_id, "A", "t-1", 4, "INFO", ("STDOUT x",))
        assert await world.report(1, line) == {"stored": 1}
        assert await world.report(1, line) == {"stored": 1}
        with pytest.raises(ExceptionGroup) as missing:
            await world.report(3, line)
        assert missing.group_contains(RefusedError, match="What follows record 1 of a1/x is missing")
        assert len(world.store.logs(0, 9, None, None, 9)) == 1

    in_world(story, tmp_path)


def test_a_report_does_not_rest_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else those that come again would pile up. It is taken all the same, once."""
    monkeypatch.setattr(coordinator, "REPORT_REST_S", 0.01)

    async def story(world: World) -> None:
        line = LogChunk("etl", "ETL", "run", "A", "t-1", 4, "INFO", ("STDOUT x",))
        report = Report("a1", "a1/x", 0, packed(1, line))
        for _ in range(2):
            with pytest.raises(StoreError, match="not stored yet, report it again: the database takes long"):
                await world.coordinator.report(dataclasses.replace(report, records=packed(1, line)))
        monkeypatch.setattr(coordinator, "REPORT_REST_S", 10)
        assert await world.report(1, line) == {"stored": 1}
        assert len(world.store.logs(0, 9, None, None, 9)) == 1

    in_world(story, tmp_path)


def test_a_report_is_not_taken_while_too_much_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sent it keeps it; what it says must not come twice, nor its number be taken for known."""

    async def story(world: World) -> None:
        line = LogChunk("etl", "ETL", "run", "A", "t-1", 4, "INFO", ("STDOUT x",))
        monkeypatch.setattr(logs, "MAX_WAITING_BYTES", 0)
        with pytest.raises(StoreError, match="rows wait for the database already, report it again later"):
            await world.coordinator.report(Report("a1", "a1/x", 0, packed(1, line)))
        monkeypatch.undo()
        with pytest.raises(RefusedError, match="What follows record 0 of a1/x is missing"):
            # It was on its way already when the one before it was refused.
            await world.coordinator.report(Report("a1", "a1/x", 1, packed(2, line)))
        assert await world.report(1, line) == {"stored": 1}
        assert len(world.store.logs(0, 9, None, None, 9)) == 1

    in_world(story, tmp_path)


def test_an_agent_outlives_the_database(tmp_path: Path) -> None:
    """Its next report is not its first, and there is nothing that knows of those before."""

    async def story(world: World) -> None:
        line = LogChunk("etl", "ETL", "run", "A", "t-1", 4, "INFO", ("STDOUT x",))
        assert await world.report(7, line) == {"stored": 7}
        assert await world.report(8, line) == {"stored": 8}
        assert len(world.store.logs(0, 9, None, None, 9)) == 2

    in_world(story, tmp_path)


def test_a_trigger_that_could_not_be_made_durable_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        def full(_fd: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", full)
            with pytest.raises(StoreError, match="cannot be written"):
                await world.trigger()
        await world.coordinator.ledger.persist()
        assert await world.lease() == []
        await world.hub.write()
        [run] = world.store.runs()
        assert (run["status"], run["detail"]) == ("CANCELLED", "the trigger could not be made durable")

    in_world(story, tmp_path)


def test_a_repeated_trigger_waits_for_the_disk_as_the_first_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And when that fails, both are told, the run is withdrawn once, and the key can be triggered again."""
    request = Trigger("etl", {}, "listener", None, "k")

    async def story(world: World) -> None:
        def full(_fd: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        told: list[str] = []

        async def trigger() -> None:
            try:
                told.append(str(await world.coordinator.trigger(request)))
            except StoreError as error:
                told.append(str(error))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", full)
            async with asyncio.TaskGroup() as group:
                for _ in range(2):
                    group.create_task(trigger())
        assert len(told) == 2
        assert all("No space left" in each for each in told)
        await world.coordinator.ledger.persist()
        assert await world.lease() == []

        first = world.coordinator.accept(request)
        assert not first.repeated
        synced = world.journal._synced
        again = await world.coordinator.trigger(request)
        assert again is not None
        assert again == first.run_id
        assert world.journal._synced > synced, "not told before it is durable"
        world.coordinator.withdraw(world.coordinator.accept(request))
        assert world.coordinator.is_open(again), "who repeats a trigger cannot take back the first"
        await world.hub.write()
        assert sorted(run["status"] for run in world.store.runs()) == ["CANCELLED", "PENDING"]

    in_world(story, tmp_path)


def test_a_repeated_trigger_is_known_though_its_workflow_is_gone(tmp_path: Path) -> None:
    async def before(world: World) -> None:
        ids.append(await world.coordinator.trigger(Trigger("etl", {"day": "friday"}, "listener", None, "k")))

    async def after(world: World) -> None:
        assert await world.coordinator.trigger(Trigger("etl", {}, "listener", None, "k")) == ids[0]
        del world.workflows["etl"]
        assert await world.coordinator.trigger(Trigger("etl", {"nope": 1}, "listener", None, "k")) == ids[0]
        with pytest.raises(NotFoundError):
            await world.coordinator.trigger(Trigger("etl", {}, "listener", None, "l"))
        assert len(world.coordinator.dispatch.queued) == 1

    ids: list[str | None] = []
    in_world(before, tmp_path)
    in_world(after, tmp_path)


def test_a_report_without_a_lease_is_an_event_and_changes_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id, _ = await world.started()
        task = TaskUpdate("a", "t-1", run_id, RunStatus.FAILED, 4)
        await world.report(1, Reported("stale", task), Reported("stale", ended(run_id)))
        assert world.statuses(run_id) == ["PENDING", "RUNNING"]
        assert world.store.tasks(run_id) == []
        assert world.events() == [
            "agent a1 reported a FAILED without a lease",
            "agent a1 reported the run COMPLETED without a lease",
        ]

    in_world(story, tmp_path)


def test_a_lost_agent(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        running, _ = await world.started()
        waiting = await world.trigger()
        await world.lease(holding={running: world.coordinator.dispatch.leases[running].token})
        world.coordinator.check(1.0)
        world.coordinator.dispatch.agents["a1"].seen -= 31
        world.coordinator.check(1.0)
        await world.hub.write()
        assert world.statuses(running)[-1] == "CRASHED"
        assert list(world.coordinator.dispatch.queued) == [waiting]
        assert "no heartbeat for 30 s" in world.store.runs(run_id=running)[0]["detail"]
        answer = world.coordinator.heartbeat(Heartbeat("a1", 5, "1", {running: "old"}))
        assert answer == {"lost": [running]}

    in_world(story, tmp_path)


def test_what_an_agent_tells_of_its_uv_is_bounded(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for told, kept in (
            ({"path": "/uv", "version": "1"}, {"path": "/uv", "version": "1"}),
            ({"trouble": "x" * 300_000, "y" * 300_000: ""}, {"trouble": "x" * LONGEST_FACT + CUT_MARK}),
            ({}, None),
        ):
            world.coordinator.heartbeat(Heartbeat("a1", 5, "1", uv=told))
            assert world.coordinator.dispatch.agents["a1"].uv == kept

    in_world(story, tmp_path)


# Labels.


@pytest.mark.parametrize("labels", [["a b"], [["a"]], [""], [f"l{n}" for n in range(33)]])
def test_an_agent_cannot_have_what_is_no_label(labels: list[Any], tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with pytest.raises(ProtocolError, match=r"^labels cannot be \[.*; expected at most 32 labels; a label"):
            world.coordinator.heartbeat(Heartbeat("a1", 5, "1", labels=labels))
        assert not world.coordinator.dispatch.agents

    in_world(story, tmp_path)


def test_an_agent_that_leaves_is_not_waited_for(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.trigger()
        await world.lease()
        world.coordinator.heartbeat(Heartbeat("a1", 5, "1", {}, leaving=True))
        assert world.coordinator.dispatch.agents.left(round(time.time() * 1000)) == ["a1"]
        assert list(world.coordinator.dispatch.queued) == [run_id]
        assert world.coordinator.dispatch.agents == {}

    in_world(story, tmp_path)


def test_who_waits_for_a_run_hears_of_its_end(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id, token = await world.started()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(world.coordinator.ended(run_id, 60))
            await asyncio.sleep(0)
            assert not waiting.done()
            await world.report(1, Reported(token, ended(run_id)))
        await world.coordinator.ended(run_id, 60)
        await world.coordinator.ended("unknown", 60)

    in_world(story, tmp_path)


def test_everything_comes_back_from_the_journal(tmp_path: Path) -> None:
    """Killed at any moment: what the journal holds and the database does not, is told to the database again, once."""
    database = str(tmp_path / "app.db")
    ids: list[str] = []

    async def before(world: World) -> None:
        run_id, token = await world.started()
        ids.append(run_id)
        await world.hub.write()  # The database has PENDING and RUNNING of the first run …
        ids.append(await world.trigger())
        report = Report("a1", "a1/x", 0, packed(1, Reported(token, ended(run_id))))
        async with asyncio.timeout(0.2):
            # … and nothing of the rest: nobody writes it. The report is not answered.
            await world.coordinator.report(report)

    with pytest.raises(TimeoutError):
        in_world(before, tmp_path / "j", database)
    shutil.copytree(tmp_path / "j", tmp_path / "copy")

    async def after(world: World) -> None:
        await world.hub.write()
        assert world.statuses(ids[0]) == ["PENDING", "RUNNING"]
        assert world.coordinator.dispatch.leases[ids[0]].started is True
        assert list(world.coordinator.dispatch.queued) == [ids[1]]
        assert world.statuses(ids[1]) == ["PENDING"]
        token = world.coordinator.dispatch.leases[ids[0]].token
        await world.report(1, Reported(token, ended(ids[0])))
        assert world.statuses(ids[0]) == ["PENDING", "RUNNING", "COMPLETED"]
        assert await world.trigger() not in ids
        await world.coordinator.ledger.persist()

    # The finish was taken but its journal was not synced: the agent sends the report again.
    in_world(after, tmp_path / "copy", database)


def test_a_report_that_comes_again_after_its_run_ended_is_stored_whole(tmp_path: Path) -> None:
    """The journal knew of the end, the database did not get the report."""
    database = str(tmp_path / "app.db")
    known: dict[str, str] = {}

    async def before(world: World) -> None:
        run_id, token = await world.started()
        known[run_id] = token
        await world.hub.write()
        world.coordinator.dispatch.finish(run_id, RunStatus.COMPLETED, 5, "why", token)
        await world.coordinator.durably()

    async def after(world: World) -> None:
        [(run_id, token)] = known.items()
        task = TaskUpdate("a", "t-1", run_id, RunStatus.COMPLETED, 4)
        await world.report(1, Reported(token, task), Reported(token, ended(run_id)))
        assert world.statuses(run_id) == ["PENDING", "RUNNING", "COMPLETED"]
        assert world.store.tasks(run_id)[0]["status"] == "COMPLETED"
        assert world.events() == []

    in_world(before, tmp_path / "j", database)
    in_world(after, tmp_path / "j", database)


def test_a_snapshot_keeps_what_the_database_may_miss(tmp_path: Path) -> None:
    database = str(tmp_path / "app.db")
    ids: list[str] = []

    async def before(world: World) -> None:
        ids.append(await world.trigger())
        await world.journal.compact(world.coordinator.ledger.snapshot)

    async def after(world: World) -> None:
        await world.hub.write()
        assert world.statuses(ids[0]) == ["PENDING"]

    in_world(before, tmp_path / "j", database)
    in_world(after, tmp_path / "j", database)
    in_world(after, tmp_path / "j", database)


def test_a_lease_from_before_a_restart_is_neither_started_nor_not(tmp_path: Path) -> None:
    """Its agent lives and does not hold it: it waits again. Its agent is lost: it may have started, so it CRASHED."""
    database = str(tmp_path / "app.db")
    ids: list[str] = []

    async def before(world: World) -> None:
        for agent in ("a1", "a2"):
            ids.append(await world.trigger())
            await world.lease(agent)

    async def after(world: World) -> None:
        assert await world.lease("a1", 0) == []
        assert list(world.coordinator.dispatch.queued) == [ids[0]]
        world.coordinator.check(1.0)
        world.coordinator.dispatch.agents["a2"].seen -= 31
        world.coordinator.check(1.0)
        assert world.coordinator.dispatch.finished == {ids[1]: RunStatus.CRASHED}

    in_world(before, tmp_path / "j", database)
    in_world(after, tmp_path / "j", database)


def test_a_journal_in_trouble_condemns_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be handed out durably waits again, however often."""

    async def story(world: World) -> None:
        run_id = await world.trigger()

        def full(_fd: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", full)
            for _ in range(10):
                with pytest.raises(StoreError):
                    await world.lease()
                assert list(world.coordinator.dispatch.queued) == [run_id]
        await world.coordinator.ledger.persist()
        [lease] = await world.lease()
        assert lease["workflow_instance_id"] == run_id

    in_world(story, tmp_path)


def test_the_database_hears_of_a_report_only_after_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        run_id, token = await world.started()
        order: list[str] = []
        sync, write = world.hub.before_write, world.store.write

        async def synced() -> None:
            order.append("journal")
            assert sync is not None
            await sync()

        def written(batch: Batch) -> None:
            order.append("database")
            write(batch)

        world.hub.before_write = synced
        monkeypatch.setattr(world.store, "write", written)
        assert sync == world.journal.sync
        await world.report(1, Reported(token, ended(run_id)))
        assert order == ["journal", "database"]

    in_world(story, tmp_path)


def test_a_report_is_known_after_a_restart(tmp_path: Path) -> None:
    database = str(tmp_path / "app.db")
    line = LogChunk("etl", "ETL", "run", "A", "t-1", 4, "INFO", ("STDOUT x",))

    async def story(world: World) -> None:
        assert await world.report(1, line) == {"stored": 1}
        assert len(world.store.logs(0, 9, None, None, 9)) == 1

    in_world(story, tmp_path / "j", database)
    in_world(story, tmp_path / "j", database)


def test_the_tasks_of_a_crashed_run_do_not_run_for_ever(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id, token = await world.started()
        going = TaskUpdate("a", "t-1", run_id, RunStatus.RUNNING, 4)
        waiting = TaskUpdate("b", "t-2", run_id, RunStatus.PENDING, 4)
        done = TaskUpdate("c", "t-3", run_id, RunStatus.COMPLETED, 4)
        await world.report(1, *(Reported(token, task) for task in (going, waiting, done)))
        assert [task["status"] for task in world.store.tasks(run_id)] == ["RUNNING", "PENDING", "COMPLETED"]
        world.coordinator.heartbeat(Heartbeat("a1", 5, "1", {}, leaving=True))
        await world.hub.write()
        tasks = world.store.tasks(run_id)
        assert [task["status"] for task in tasks] == ["CRASHED", "CANCELLED", "COMPLETED"]
        assert tasks[0]["ended_ms"] == world.store.runs()[0]["ended_ms"]

    in_world(story, tmp_path)


# Pauses.


def test_a_pause_outlives_a_kill_and_stops_nobody_but_the_clock(tmp_path: Path) -> None:
    times: list[int] = []

    async def before(world: World) -> None:
        paused = await world.coordinator.pause("etl")
        assert paused == {"paused_ms": paused["paused_ms"], "changed": True}
        assert await world.coordinator.pause("etl") == paused | {"changed": False}
        times.append(paused["paused_ms"])

    async def between(world: World) -> None:
        pauses = world.coordinator.dispatch.pauses
        assert pauses.since == {"etl": times[0]}
        run_id = await world.trigger()
        assert [lease["workflow_instance_id"] for lease in await world.lease()] == [run_id]
        del world.workflows["etl"]
        assert await world.coordinator.pause("etl") == {"paused_ms": times[0], "changed": False}
        assert await world.coordinator.resume("etl") == {"paused_ms": None, "changed": True}
        assert pauses.skips("etl", times[0], times[0] + 10**6)

    async def after(world: World) -> None:
        assert world.coordinator.dispatch.pauses.since == {}
        assert world.coordinator.dispatch.pauses.skips("etl", times[0], times[0] + 10**6)
        assert await world.coordinator.resume("etl") == {"paused_ms": None, "changed": False}
        for change in world.coordinator.pause, world.coordinator.resume:
            with pytest.raises(NotFoundError, match=r"^No workflow exists with id elt$"):
                await change("elt")

    for story in before, between, after:
        in_world(story, tmp_path)


def test_a_pause_lets_no_time_pass_before_it_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        begun, free = threading.Event(), threading.Event()

        def slow(_fd: int) -> None:
            begun.set()
            free.wait()

        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", slow)
            async with asyncio.TaskGroup() as group:
                group.create_task(world.coordinator.pause("etl"))
                await asyncio.to_thread(begun.wait)
                since = world.coordinator.dispatch.pauses.since["etl"]
                early = world.coordinator.skips("etl", since + 1, since + 1)
                free.set()
        assert not early
        assert world.coordinator.skips("etl", since + 1, since + 1)

    in_world(story, tmp_path)


def test_a_pause_that_could_not_be_made_durable_is_none_and_so_is_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def story(world: World) -> None:
        pause, resume = world.coordinator.pause, world.coordinator.resume
        dispatch = world.coordinator.dispatch

        async def refused(*changes: Callable[[str], Awaitable[Any]]) -> None:
            """All of them at once, while the disk is full; and then it is well again."""
            before = dict(dispatch.pauses.since)
            with monkeypatch.context() as patch:
                patch.setattr(os, "fdatasync", full)
                found = await asyncio.gather(*(change("etl") for change in changes), return_exceptions=True)
            assert [type(each) for each in found] == [StoreError] * len(changes)
            assert dispatch.pauses.since == before
            await world.coordinator.ledger.persist()

        await refused(pause, resume, pause)
        paused = await pause("etl")
        await refused(resume)
        await refused(resume, pause, resume)
        assert await pause("etl") == paused | {"changed": False}
        world.coordinator.stop()
        with pytest.raises(StoreError, match="is stopping"):
            await resume("etl")

    in_world(story, tmp_path)

    async def after(world: World) -> None:
        assert list(world.coordinator.dispatch.pauses.since) == ["etl"]

    in_world(after, tmp_path)
