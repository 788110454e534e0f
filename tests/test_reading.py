"""Who rests for the end of a run or for lines, while the database is well and while it is not."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cdktr import logs, reading
from cdktr.batch import Batch
from cdktr.errors import NotFoundError, StoreError
from cdktr.frames import Reported, pack
from cdktr.protocol import AwaitRun, ListLogs, Report
from cdktr.reading import Reading
from cdktr.records import LogChunk, RunStatus
from tests.test_coordinator import World, ended, in_world


class Room:
    """A world with a reader, whose database can be had fail."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reading = Reading(world.coordinator, world.store, world.hub)
        self.is_full = self.is_unreadable = False
        self.looks = 0

    async def trouble(self) -> None:
        """From now on, and noticed."""
        self.is_full = True
        self.world.hub.take_event("run-0", 0, "x", "x")
        while self.world.hub.trouble is None:
            await asyncio.sleep(0)

    async def end(self, status: RunStatus) -> str:
        """A run that was started and has ended; its id."""
        run_id, token = await self.world.started()
        report = Report("a1", "a1/x", 0, [[1, *pack(Reported(token, ended(run_id, status)))]])
        asyncio.get_running_loop().create_task(self.world.coordinator.report(report))
        while self.world.coordinator.is_open(run_id):
            await asyncio.sleep(0)
        return run_id


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits."""
    monkeypatch.setattr(logs, "GATHER_S", 0.0)
    monkeypatch.setattr(logs, "RETRY_S", (0.0, 0.0))
    monkeypatch.setattr(reading, "FLUSH_S", 0.02)
    monkeypatch.setattr(reading, "TROUBLE_REST_S", 0.05)


def in_room(story: Callable[[Room], Awaitable[None]], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live through a story, the hub's loop beside it."""

    async def inner(world: World) -> None:
        room = Room(world)
        write, runs, page = world.store.write, world.store.runs, world.store.log_page

        def writing(batch: Batch) -> None:
            if room.is_full:
                raise StoreError("The disk is full")
            write(batch)

        def look(query: Callable[..., Any], *asked: Any, **more: Any) -> Any:
            room.looks += 1
            if room.is_unreadable:
                raise StoreError("It cannot be read")
            return query(*asked, **more)

        monkeypatch.setattr(world.store, "write", writing)
        monkeypatch.setattr(world.store, "runs", partial(look, runs))
        monkeypatch.setattr(world.store, "log_page", partial(look, page))
        loop = asyncio.get_running_loop().create_task(world.hub.run())
        try:
            await story(room)
        finally:
            room.is_full = False
            await world.hub.stored()
            loop.cancel()
            await asyncio.wait([loop])
            room.reading.close()

    in_world(inner, folder)


def test_the_end_of_a_run_while_all_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(room: Room) -> None:
        with pytest.raises(NotFoundError, match="There is no run no-such-1"):
            await room.reading.run_end(AwaitRun("no-such-1", 60_000))
        run_id = await room.end(RunStatus.FAILED)
        found = await room.reading.run_end(AwaitRun(run_id, 60_000))
        assert (found["status"], found["detail"], found["trouble"]) == ("FAILED", "why", None)

    in_room(story, tmp_path, monkeypatch)


@pytest.mark.parametrize("is_unreadable", [False, True])
def test_an_end_that_cannot_be_stored_is_told_with_the_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_unreadable: bool
) -> None:
    async def story(room: Room) -> None:
        await room.trouble()
        room.is_unreadable = is_unreadable
        run_id = await room.end(RunStatus.FAILED)
        found = await room.reading.run_end(AwaitRun(run_id, 60_000))
        assert (found["workflow_id"], found["status"], found["ended_ms"], found["detail"]) == (
            "etl",
            "FAILED",
            5,
            "why",
        )
        assert found["trouble"] == ("It cannot be read" if is_unreadable else "The disk is full")
        with pytest.raises(StoreError if is_unreadable else NotFoundError):
            await room.reading.run_end(AwaitRun("no-such-1", 60_000))
        room.is_full = room.is_unreadable = False
        await room.world.hub.stored()
        again = await room.reading.run_end(AwaitRun(run_id, 60_000))
        assert again == found | {"trouble": None}

    in_room(story, tmp_path, monkeypatch)


def test_a_run_that_goes_on_in_trouble_is_asked_for_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(room: Room) -> None:
        await room.trouble()
        run_id, _ = await room.world.started()
        clock = asyncio.get_running_loop().time
        began = clock()
        found = await room.reading.run_end(AwaitRun(run_id, 60_000))
        assert (found["status"], found["ended_ms"], found["trouble"]) == ("RUNNING", None, "The disk is full")
        assert clock() - began >= reading.TROUBLE_REST_S, "it does not come again at once"
        # What was stored before cannot be read: only that it has ended is known, not yet when.
        room.is_full = False
        await room.world.hub.stored()
        run_id = await room.end(RunStatus.COMPLETED)
        await room.world.hub.stored()
        room.is_unreadable = True
        found = await room.reading.run_end(AwaitRun(run_id, 60_000))
        assert (found["status"], found["ended_ms"], found["trouble"]) == ("COMPLETED", None, "It cannot be read")

    in_room(story, tmp_path, monkeypatch)


@pytest.mark.parametrize("is_unreadable", [False, True])
def test_who_follows_lines_is_told_and_gets_them_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_unreadable: bool
) -> None:
    async def story(room: Room) -> None:
        run_id, _ = await room.world.started()
        request = ListLogs(workflow_instance_id=run_id, wait_ms=60_000)
        await room.trouble()
        room.is_unreadable = is_unreadable
        room.world.hub.take_chunk(LogChunk("etl", "ETL", run_id, "A", "t", 5, "INFO", ("STDOUT late",)))
        looks = room.looks
        page = await room.reading.lines(request)
        assert page == {"lines": [], "next": None, "full": False, "more": True, "trouble": "The disk is full"}
        assert room.looks == looks + 1
        if is_unreadable:
            with pytest.raises(StoreError, match="cannot be read"):
                await room.reading.lines(ListLogs(workflow_instance_id=run_id))
        room.is_full = room.is_unreadable = False
        await room.world.hub.stored()
        page = await room.reading.lines(request)
        assert [line["payload"] for line in page["lines"]] == ["STDOUT late"]
        assert (page["more"], page["trouble"]) == (True, None)

    in_room(story, tmp_path, monkeypatch)


def test_lines_of_a_run_that_ended_are_all_shown_before_following_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(room: Room) -> None:
        await room.trouble()
        run_id = await room.end(RunStatus.COMPLETED)
        room.world.hub.take_chunk(LogChunk("etl", "ETL", run_id, "A", "t", 5, "INFO", ("STDOUT last",)))
        request = ListLogs(workflow_instance_id=run_id, wait_ms=60_000)
        page = await room.reading.lines(request)
        assert (page["lines"], page["more"]) == ([], True)
        room.is_full = False
        found = []
        while page["more"]:
            page = await room.reading.lines(replace(request, after=page["next"]))
            found += [line["payload"] for line in page["lines"]]
        assert found == ["STDOUT last"]

    in_room(story, tmp_path, monkeypatch)


def test_a_look_that_may_have_missed_a_status_counts_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(room: Room) -> None:
        hub = room.world.hub
        await room.reading.fresh(lambda: None)
        seen = hub.statuses
        await room.reading.fresh(lambda: None)
        assert hub.statuses == seen, "it saw all there was"
        await room.trouble()
        await room.reading.fresh(lambda: None)
        assert hub.statuses > seen
        room.is_full = False

    in_room(story, tmp_path, monkeypatch)


def test_a_database_that_is_well_and_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(room: Room) -> None:
        room.is_unreadable = True
        with pytest.raises(StoreError, match="cannot be read"):
            await room.reading.lines(ListLogs(wait_ms=60_000))

    in_room(story, tmp_path, monkeypatch)


def test_triggers_beyond_what_may_wait_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_WAITING_STATUSES", 3)

    async def story(room: Room) -> None:
        await room.trouble()
        accepted: list[Any] = [await room.world.trigger() for _ in range(2)]
        with pytest.raises(StoreError, match="Nothing new is accepted, as 3 rows wait for the database already"):
            await room.world.trigger()
        assert list(room.world.coordinator.dispatch.queued) == accepted
        room.is_full = False
        await room.world.hub.stored()
        await room.world.trigger()

    in_room(story, tmp_path, monkeypatch)
