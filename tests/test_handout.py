"""Who is given which run, as the coordinator does it."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cdktr.labels import NO_LABELS
from cdktr.lanes import Lanes
from cdktr.protocol import Heartbeat, Trigger
from cdktr.workflow import Subprocess, Task, Workflow
from tests.test_coordinator import ETL, World, in_world

TRAIN = dataclasses.replace(ETL, id="train", params={}, requires=("gpu",))


def test_work_is_shared_among_those_who_wait(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                world.coordinator.dispatch.accept("etl", now_ms=1)
            world.coordinator.ledger.take_changes()
            # Both wait before anything is handed out.
            queued, world.coordinator.dispatch.queued = world.coordinator.dispatch.queued, Lanes(lambda _: NO_LABELS)
            first = group.create_task(world.lease("a1", 4, 60_000))
            second = group.create_task(world.lease("a2", 4, 60_000))
            await asyncio.sleep(0)
            world.coordinator.dispatch.queued = queued
            world.coordinator.handout.offer()
        assert (len(first.result()), len(second.result())) == (2, 2)

    in_world(story, tmp_path)


def test_a_newer_request_of_an_agent_replaces_its_older(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        async with asyncio.TaskGroup() as group:
            older = group.create_task(world.lease(wait_ms=60_000))
            await asyncio.sleep(0)
            newer = group.create_task(world.lease(wait_ms=60_000))
            await asyncio.sleep(0)
            await world.trigger()
        assert (len(older.result()), len(newer.result())) == (0, 1)

    in_world(story, tmp_path)


def alive(world: World, agent: str, *labels: str) -> None:
    """A heartbeat."""
    world.coordinator.heartbeat(Heartbeat(agent, 5, "1", labels=list(labels)))


async def triggered(world: World, *workflow_ids: str) -> list[str]:
    """The ids of their runs."""
    return [str(await world.coordinator.trigger(Trigger(name))) for name in workflow_ids]


def leased_ids(leases: list[dict[str, Any]]) -> list[str]:
    return [lease["workflow_instance_id"] for lease in leases]


def test_a_run_goes_to_an_agent_that_has_what_it_requires_and_stands_in_no_others_way(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.workflows["train"] = TRAIN
        alive(world, "plain")
        alive(world, "gpu", "gpu", "zone=eu")
        first, second, third, fourth = await triggered(world, "train", "etl", "train", "etl")
        assert leased_ids(await world.lease("plain", 1)) == [second]
        assert leased_ids(await world.lease("unknown", 1)) == [fourth], "who says nothing has nothing"
        assert await world.lease("plain", 9, holding={second: "?"}) == []
        assert leased_ids(await world.lease("gpu", 9)) == [first, third]

    in_world(story, tmp_path)


def test_those_who_wait_get_in_turn_what_they_may_take(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.workflows["train"] = TRAIN
        alive(world, "gpu", "gpu")
        async with asyncio.TaskGroup() as group:
            waiting = {
                name: group.create_task(world.lease(name, count, 60_000)) for name, count in (("gpu", 3), ("a", 1))
            }
            waiting |= {name: group.create_task(world.lease(name, 9, 60_000)) for name in ("b", "c")}
            await asyncio.sleep(0)
            for name in ("train", "etl", "etl", "etl", "etl", "etl", "train", "train"):
                world.coordinator.dispatch.accept(name, now_ms=1)
            runs = list(world.coordinator.dispatch.queued)
            world.coordinator.settle()
        found = {name: [runs.index(run) for run in leased_ids(task.result())] for name, task in waiting.items()}
        assert found == {"gpu": [0, 4, 6], "a": [1], "b": [2, 5], "c": [3]}
        assert [runs.index(run) for run in world.coordinator.dispatch.queued] == [7]

    in_world(story, tmp_path)


def test_an_agent_for_whom_there_is_nothing_goes_on_waiting_while_others_are_served(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.workflows["train"] = TRAIN
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(world.lease(name, 1, 60_000)) for name in ("a", "b")]
            await asyncio.sleep(0)
            await triggered(world, "train")
            [run_id] = await triggered(world, "etl")
            await asyncio.sleep(0)
            assert leased_ids(waiting[0].result()) == [run_id], "longest waiting first"
            assert not waiting[1].done()
            # It was taken for one without labels, as its request came before it told them.
            alive(world, "b", "gpu")
        assert len(waiting[1].result()) == 1
        assert not world.coordinator.dispatch.queued

    in_world(story, tmp_path)


def test_what_a_run_requires_is_what_its_definition_says_now(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.workflows["train"] = dataclasses.replace(TRAIN, requires=("gqu",))
        alive(world, "gpu", "gpu")
        [run_id] = await triggered(world, "train")
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(world.lease("gpu", 1, 60_000))
            await asyncio.sleep(0)
            world.workflows["train"] = TRAIN
            world.coordinator.redefined()
        assert leased_ids(waiting.result()) == [run_id]
        [other] = await triggered(world, "train")
        # Read by another thread, and not told yet.
        world.workflows["train"] = dataclasses.replace(TRAIN, requires=("tpu",))
        assert await world.lease("gpu", holding={run_id: waiting.result()[0]["token"]}) == []
        assert list(world.coordinator.dispatch.queued) == [other]
        del world.workflows["train"]
        world.coordinator.redefined()
        assert await world.lease("plain") == []
        assert list(world.coordinator.dispatch.queued) == [other], "a file that is away for a moment costs no run"
        alive(world, "tpu", "tpu")
        assert await world.lease("tpu") == []
        await world.hub.write()
        assert world.statuses(other) == ["PENDING", "FAILED"], "it ends with one who could have taken it"

    in_world(story, tmp_path)


def test_after_a_restart_the_queue_has_its_lanes_again(tmp_path: Path) -> None:
    runs: list[str] = []

    async def before(world: World) -> None:
        world.workflows["train"] = TRAIN
        runs.extend(await triggered(world, "train", "etl"))

    async def after(world: World) -> None:
        world.workflows["train"] = TRAIN
        world.coordinator.redefined()
        assert leased_ids(await world.lease("plain", 9)) == runs[1:]
        alive(world, "gpu", "gpu")
        assert leased_ids(await world.lease("gpu", 9)) == runs[:1]

    in_world(before, tmp_path)
    in_world(after, tmp_path)


def test_that_no_agent_has_the_labels_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0

    async def story(world: World) -> None:
        nonlocal now
        world.workflows["train"] = TRAIN
        await triggered(world, "train", "train", "etl")

        def told(after_s: float) -> list[str]:
            nonlocal now
            now += after_s
            world.coordinator.handout.tell_lacking(now)
            said = [record.message for record in caplog.records if " for an agent with " in record.message]
            caplog.clear()
            return said

        assert told(1) == told(9) == []
        assert told(1) == [
            "2 runs wait for an agent with gpu (train), and there is none; "
            "`cdktr start agent --label gpu` starts one, where the tasks can run"
        ]
        assert told(1) == told(60) == []
        assert [each.runs for each in world.coordinator.handout.held_up()[0]] == [2]
        alive(world, "gpu", "gpu", "more")
        assert told(1) == []
        assert world.coordinator.handout.held_up() == ([], [])
        world.coordinator.heartbeat(Heartbeat("gpu", 5, "1", leaving=True))
        assert told(1) == told(9) == []
        assert len(told(1)) == 1, "it has begun again"

    in_world(story, tmp_path)


def test_one_answer_does_not_hand_out_more_than_it_can_carry(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        tasks = {f"t{n}": Task("T", Subprocess("true")) for n in range(600)}
        world.workflows["etl"] = Workflow("etl", "ETL", tasks)
        for _ in range(4):
            await world.trigger()
        first = await world.lease(count=10)
        held = {lease["workflow_instance_id"]: lease["token"] for lease in first}
        assert len(first) == 2
        assert len(await world.lease(count=10, holding=held)) == 2

    in_world(story, tmp_path)
