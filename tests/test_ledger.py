"""Decisions made durable, with a real journal and a database in memory; damage and trouble of the journal's disk."""

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from cdktr.errors import StartError, StoreError
from cdktr.frames import Reported
from cdktr.protocol import LeaseWork, Trigger
from cdktr.records import RunStatus
from tests.test_coordinator import World, ended, in_world


def lines_of(folder: Path) -> tuple[Path, list[bytes]]:
    """The file with events, and its lines."""
    [path] = [path for path in folder.glob("events.*") if path.stat().st_size]
    return path, path.read_bytes().splitlines(keepends=True)


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("lost", "ends"),
    [*((lost, ends) for lost in ("queued", "leased", "started") for ends in (True, False)), ("finished", True)],
)
def test_a_damaged_line_costs_no_more_than_its_own_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lost: str, ends: bool
) -> None:
    ids: list[str] = []
    database = str(tmp_path / "db")

    async def before(world: World) -> None:
        run_id, token = await world.started()
        await world.hub.write()
        if ends:
            await world.report(1, Reported(token, ended(run_id)))
        ids.extend([run_id, await world.trigger(), await world.trigger()])

    async def after(world: World) -> None:
        dispatch = world.coordinator.dispatch
        assert [run_id for run_id in dispatch.queued if run_id in ids[1:]] == ids[1:]
        await world.hub.write()
        # What is left of the first run is queued, in an agent's hand, or has ended; it does not stay in between.
        open_runs = {*dispatch.queued, *dispatch.leases}
        runs = {run["workflow_instance_id"]: run for run in world.store.runs()}
        assert runs.keys() == set(ids)
        for run_id, run in runs.items():
            # Where the line of its end is lost, its agent is asked again.
            assert RunStatus(run["status"]).is_final != (run_id in open_runs) or lost == "finished"
        assert await world.trigger() not in ids
        assert dispatch.next_number > 1000, "no id is given twice, whatever the lost line took"

    in_world(before, tmp_path / "journal", database)
    path, lines = lines_of(tmp_path / "journal")
    [index] = [n for n, line in enumerate(lines) if json.loads(line[9:])[1] == lost and ids[0].encode() in line]
    lines[index] = b"#" + lines[index][1:]
    path.write_bytes(b"".join(lines))
    in_world(after, tmp_path / "journal", database)
    assert f"{path} is damaged in line {index + 1}" in caplog.text


@pytest.mark.parametrize("damage", ["flipped", "gone"])
def test_numbers_of_a_lost_last_line_are_not_given_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    database = str(tmp_path / "db")
    ids: list[str] = []

    async def before(world: World) -> None:
        ids.extend([await world.trigger() for _ in range(3)])
        await world.hub.write()

    async def after(world: World) -> None:
        assert list(world.coordinator.dispatch.queued) == ids[:2]
        await world.hub.write()
        # It is killed before the database has the row of this one.
        ids.append(await world.trigger())
        assert ids[3] not in ids[:3]

    async def later(world: World) -> None:
        assert list(world.coordinator.dispatch.queued) == [*ids[:2], ids[3]]
        await world.hub.write()
        assert [world.statuses(run_id)[-1] for run_id in ids] == ["PENDING", "PENDING", "CRASHED", "PENDING"]

    in_world(before, tmp_path / "journal", database)
    path, lines = lines_of(tmp_path / "journal")
    lines[-1] = b"#" + lines[-1][1:] if damage == "flipped" else b""
    path.write_bytes(b"".join(lines))
    in_world(after, tmp_path / "journal", database)
    assert "ends before event 2, which the database has" in caplog.text
    in_world(later, tmp_path / "journal", database)


def test_what_a_lost_journal_told_of_does_not_run_for_ever(tmp_path: Path) -> None:
    database = str(tmp_path / "db")
    ids: list[str] = []

    async def before(world: World) -> None:
        run_id, _ = await world.started()
        ids.extend([run_id, await world.trigger()])
        await world.hub.write()

    async def after(world: World) -> None:
        await world.hub.write()
        for run_id in ids:
            assert world.statuses(run_id)[-1] == "CRASHED"
        [run, _] = world.store.runs()
        assert run["detail"] == "the principal lost the part of its journal that told of the run"

    in_world(before, tmp_path / "journal", database)
    in_world(after, tmp_path / "another", database)


def test_intact_lines_that_do_not_fit_are_no_journal(tmp_path: Path) -> None:
    text = b'[0,"leased",{"id":"a","agent_id":"b","token":"c","first_number":1,"number":2,"legacy":false}]'
    (tmp_path / "events.1").write_bytes(b"%08x %s\n" % (crc32(text), text))

    async def story(_: World) -> None:
        raise AssertionError

    with pytest.raises(StartError, match=r"does not fit together, it is damaged: .*; restore it from a backup"):
        in_world(story, tmp_path)


def test_a_journal_in_trouble_takes_nothing_and_recovers_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        ledger = world.coordinator.ledger
        told: list[str | None] = []
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", full)
            with pytest.raises(StoreError, match="cannot be written: No space left on device"):
                await world.coordinator.trigger(Trigger("etl", {}, "schedule", 1000))
            number = ledger._number
            for _ in range(100):
                with pytest.raises(StoreError, match="nothing is accepted until it can be"):
                    await world.trigger()
                with pytest.raises(StoreError, match="nothing is accepted until it can be"):
                    await world.coordinator.lease(LeaseWork("a1", 1))
            assert ledger._number == number, "what waits for the disk does not grow with those who ask"
            with pytest.raises(StoreError):
                await ledger.persist()
            told.append(ledger.trouble)
        await ledger.persist()
        told.append(ledger.trouble)
        assert told == [f"The journal in {tmp_path} cannot be written: No space left on device", None]
        run_id = await world.coordinator.trigger(Trigger("etl", {}, "schedule", 1000))
        assert list(world.coordinator.dispatch.queued) == [run_id], "its time was not taken by the one that failed"

    async def after(world: World) -> None:
        assert len(world.coordinator.dispatch.queued) == 1

    in_world(story, tmp_path)
    in_world(after, tmp_path)


def test_what_comes_while_all_is_stored_at_the_end_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = str(tmp_path / "db")
    ids: list[str] = []

    async def before(world: World) -> None:
        ids.append(await world.trigger())
        stored = world.hub.stored

        async def and_a_request() -> None:
            # As one that is read in the turn of the loop in which the last of the rows was stored.
            await asyncio.gather(stored(), world.hub.write())
            world.coordinator.dispatch.finish(ids[0], RunStatus.CANCELLED, 1)
            world.coordinator.settle()

        monkeypatch.setattr(world.hub, "stored", and_a_request)
        await world.coordinator.ledger.finish()
        assert world.statuses(ids[0]) == ["PENDING"]

    async def after(world: World) -> None:
        await world.hub.write()
        assert world.statuses(ids[0]) == ["PENDING", "CANCELLED"]

    in_world(before, tmp_path / "journal", database)
    in_world(after, tmp_path / "journal", database)
