"""Agents of the original API, with a real journal and a database in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from cdktr.legacy import OldAgents
from cdktr.protocol import Trigger
from cdktr.records import LogRecord, RunStatus
from cdktr.workflow import Subprocess, Task, Workflow
from tests.test_coordinator import World, in_world

PARAMETERED = Workflow("p", "P", {"a": Task("A", Subprocess("echo", ("${{ params.day }}",)))}, params={"day": "monday"})

Story = Callable[[World, OldAgents], Awaitable[None]]


def tell(story: Story, folder: Path) -> None:
    async def inner(world: World) -> None:
        await story(world, OldAgents(world.coordinator, world.hub))

    in_world(inner, folder)


def journaled(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob("events.*"))


def line(instance_id: str) -> LogRecord:
    return LogRecord("etl", "ETL", instance_id, "A", "their-task-0", 3, "INFO", "STDOUT x")


def test_a_run_is_kept_under_our_id(tmp_path: Path) -> None:
    async def story(world: World, old: OldAgents) -> None:
        run_id = await world.trigger()
        fetched = await old.fetch("old")
        assert fetched is not None
        workflow = fetched[1]
        assert workflow.id == "etl"
        for status in (RunStatus.RUNNING, RunStatus.COMPLETED):
            await old.run_status("old", "etl", "jumping-monkey-0", status)
            old.task_status("old", "a", "their-task-0", "jumping-monkey-0", status)
            old.log(line("jumping-monkey-0"))
        await world.hub.write()
        assert world.statuses(run_id) == ["PENDING", "RUNNING", "COMPLETED"]
        assert world.statuses("jumping-monkey-0") == []
        assert world.store.tasks(run_id)[0]["status"] == "COMPLETED"
        # A line that comes after the end still finds its run.
        assert [r.workflow_instance_id for r in world.store.logs(0, 9, None, None, 9)] == [run_id, run_id]

    tell(story, tmp_path)


def test_nothing_to_fetch(tmp_path: Path) -> None:
    async def story(world: World, old: OldAgents) -> None:
        assert await old.fetch("old") is None
        assert "old" in world.coordinator.dispatch.agents
        await world.trigger()
        world.coordinator.stop()
        assert await old.fetch("old") is None

    tell(story, tmp_path)


def test_parameters_are_filled_in_for_agents_that_know_none(tmp_path: Path) -> None:
    async def story(world: World, old: OldAgents) -> None:
        world.workflows["p"] = PARAMETERED
        await world.coordinator.trigger(Trigger("p", {"day": "friday"}))
        fetched = await old.fetch("old")
        assert fetched is not None
        workflow = fetched[1]
        config = workflow.tasks["a"].config
        assert isinstance(config, Subprocess)
        assert config.args == ("friday",)

    tell(story, tmp_path)


def test_two_runs_of_one_workflow_are_tied_in_their_order(tmp_path: Path) -> None:
    async def story(world: World, old: OldAgents) -> None:
        ids = [await world.trigger(), await world.trigger()]
        await old.fetch("old")
        await old.fetch("old")
        await old.run_status("old", "etl", "x-0", RunStatus.RUNNING)
        await old.run_status("old", "etl", "x-1", RunStatus.RUNNING)
        await old.run_status("old", "etl", "x-1", RunStatus.FAILED)
        await world.hub.write()
        assert world.statuses(ids[0]) == ["PENDING", "RUNNING"]
        assert world.statuses(ids[1]) == ["PENDING", "RUNNING", "FAILED"]

    tell(story, tmp_path)


def test_a_verdict_is_not_overwritten(tmp_path: Path) -> None:
    async def story(world: World, old: OldAgents) -> None:
        run_id = await world.trigger()
        await old.fetch("old")
        await old.run_status("old", "etl", "x-0", RunStatus.RUNNING)
        world.coordinator.check(1.0)
        world.coordinator.dispatch.agents["old"].seen -= 31
        world.coordinator.check(1.0)
        await old.run_status("old", "etl", "x-0", RunStatus.COMPLETED)
        await world.hub.write()
        assert world.statuses(run_id) == ["PENDING", "RUNNING", "CRASHED"]
        assert world.events() == ["agent old reported the run COMPLETED without a lease"]

    tell(story, tmp_path)


def test_a_run_that_nobody_handed_out_is_adopted(tmp_path: Path) -> None:
    async def story(world: World, old: OldAgents) -> None:
        await old.run_status("old", "other", "x-9", RunStatus.RUNNING)
        await old.run_status("old", "other", "x-9", RunStatus.WAITING)
        await old.run_status("old", "other", "x-9", RunStatus.COMPLETED)
        await world.hub.write()
        assert world.statuses("x-9")[-1] == "COMPLETED"
        assert "RUNNING" in world.statuses("x-9")

    tell(story, tmp_path)


def test_a_fetch_waits_for_the_journal(tmp_path: Path) -> None:
    """The lease is on the disk before the old agent has the work."""

    async def story(world: World, old: OldAgents) -> None:
        await world.trigger()
        fetching = asyncio.ensure_future(old.fetch("old"))  # noqa: TID251 - awaited below
        await asyncio.sleep(0)
        assert not fetching.done()
        await fetching
        assert '"leased"' in journaled(tmp_path)

    tell(story, tmp_path)


def test_a_fetch_that_could_not_be_delivered_waits_again(tmp_path: Path) -> None:
    async def story(world: World, old: OldAgents) -> None:
        run_id = await world.trigger()
        fetched = await old.fetch("old")
        assert fetched is not None
        assert fetched[0] == run_id
        world.coordinator.undelivered("old", [run_id])
        again = await old.fetch("old")
        assert again is not None
        assert again[0] == run_id

    tell(story, tmp_path)
