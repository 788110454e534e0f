"""What a killed agent left: real processes, a real spool, and a principal that notes what it is told."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdktr.berth import Berth, take_berth
from cdktr.frames import Reported, numbered, pack, unpack
from cdktr.heir import Heir, marker
from cdktr.proc import boot_id, members
from cdktr.protocol import Report, decode
from cdktr.records import LogChunk, RunStatus, RunUpdate
from cdktr.replies import success
from cdktr.roster import Roster
from cdktr.spool import Spool
from cdktr.transport import Requester

LINE = LogChunk("w", "W", "r-1", "t", "t-1", 1, "INFO", ("STDOUT last words",))


class Listener(Requester):
    """A principal that takes everything."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.sources: set[tuple[str, str]] = set()

    async def connected(self) -> None:
        """Always."""

    async def request(self, message: bytes, timeout_s: float) -> bytes:
        """Take a report."""
        report = decode(message)
        assert isinstance(report, Report)
        self.sources.add((report.agent_id, report.source))
        self.records += [unpack(numbered(raw)[1]) for raw in report.records]
        return success({"stored": report.records[-1][0]}).encode()


def open_spool(folder: Path) -> Spool:
    return Spool(folder, 1 << 30)


def settle(data_folder: Path, principal: str = "p", grace_s: float = 5.0) -> Listener:
    """An heir comes and settles what it finds."""
    listener = Listener()

    async def main() -> None:
        heir = Heir("heir-1", listener, open_spool, grace_s)
        async with asyncio.timeout(20):
            for berth in await heir.clear_up(data_folder):
                await heir.settle(berth, principal)

    asyncio.run(main())
    return listener


@pytest.fixture
def dead(tmp_path: Path) -> tuple[Berth, Roster]:
    """An agent that had a run under way and something to tell, just before its death."""
    berth = take_berth(tmp_path, "dead-1", "dead-1/x")
    berth.write(replace(berth.identity, principal="p"))
    roster = Roster(berth.roster_path)
    roster.run("r-0", "w", "secret-0")
    roster.run("r-1", "w", "secret-1")
    roster.ended("r-0")
    spool = open_spool(berth.folder)
    spool.add(pack(LINE))
    spool.flush()
    spool.close()
    return berth, roster


def die(dead: tuple[Berth, Roster]) -> Path:
    """Its locks are free, its files stay."""
    berth, roster = dead
    roster.close()
    berth.close()
    return berth.folder


@pytest.fixture
def processes() -> Iterator[list["subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def spawn(command: str, agent_id: str | None = "dead-1") -> "subprocess.Popen[bytes]":
    env = dict(os.environ) | ({} if agent_id is None else {"CDKTR_AGENT_ID": agent_id})
    return subprocess.Popen(["sh", "-c", command], env=env, stdout=subprocess.PIPE, start_new_session=True)


def test_it_tells_in_the_dead_ones_name_what_that_had_to_tell(dead: tuple[Berth, Roster], tmp_path: Path) -> None:
    folder = die(dead)
    for path in folder.iterdir():
        os.utime(path, (1_600_000_000, 1_600_000_000))
    [records] = folder.glob("*.records")
    os.utime(records, (1_700_000_000, 1_700_000_000))
    told = settle(tmp_path)
    assert told.sources == {("heir-1", "dead-1/x")}
    line, end = told.records
    assert line == LINE
    assert isinstance(end, Reported)
    assert isinstance(end.update, RunUpdate)
    assert (end.token, end.update.workflow_instance_id, end.update.status) == ("secret-1", "r-1", RunStatus.CRASHED)
    assert end.update.agent_id == "dead-1"
    assert end.update.detail == "agent dead-1 was killed while the run was under way"
    assert end.update.timestamp_ms == 1_700_000_000_000, "not when that was found out"
    assert not folder.exists()


def test_it_ends_what_the_dead_one_left_and_nobody_elses(
    dead: tuple[Berth, Roster], tmp_path: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    escaped, group, stranger, later = (
        spawn("exec sleep 1000"),
        spawn("sleep 1000; :", agent_id=None),
        spawn("exec sleep 1000", agent_id="dead-11"),
        spawn("exec sleep 1000", agent_id=None),
    )
    processes += [escaped, group, stranger, later]
    berth, roster = dead
    roster.process(group.pid)
    with open(berth.roster_path, "a") as file:
        # The number of a process that has ended belongs to another by now; or the machine was restarted.
        file.write(f'["process",{later.pid},1,"{boot_id()}"]\n["process",{stranger.pid},1,"another boot"]\n')
    die(dead)
    told = settle(tmp_path)
    assert (escaped.wait(), group.wait()) == (-15, -15)
    assert (stranger.poll(), later.poll()) == (None, None)
    assert told.records[1].update.detail.endswith("; 3 processes that it left were ended")


def test_a_group_whose_leader_is_gone_is_ended(
    dead: tuple[Berth, Roster], tmp_path: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    """Without the name that is looked for, deaf to SIGTERM, and its leader ended before it or with it."""
    deaf = "env -i sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' &"
    first, second = spawn(f"{deaf} wait", agent_id=None), spawn(deaf, agent_id=None)
    processes += [first, second]
    assert first.stdout is not None
    assert second.stdout is not None
    assert first.stdout.readline()
    assert second.stdout.readline()
    _, roster = dead
    for leader in (first, second):
        roster.process(leader.pid)
    second.wait()
    die(dead)
    settle(tmp_path, grace_s=0.3)
    first.wait()
    assert [members(leader.pid) for leader in (first, second)] == [[], []]


def test_a_number_of_another_container_means_nothing(
    dead: tuple[Berth, Roster], tmp_path: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    stranger = spawn("exec sleep 1000", agent_id=None)
    processes.append(stranger)
    berth, roster = dead
    roster.process(stranger.pid)
    berth.write(replace(berth.identity, namespace="pid:[1]"))
    die(dead)
    settle(tmp_path)
    assert stranger.poll() is None


def test_who_does_not_hear_sigterm_is_killed(
    dead: tuple[Berth, Roster], tmp_path: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    deaf = spawn("trap '' TERM; echo; while :; do sleep 1; done")
    processes.append(deaf)
    assert deaf.stdout is not None
    deaf.stdout.readline()
    die(dead)
    began = time.time()
    told = settle(tmp_path, grace_s=0.2)
    assert deaf.wait() == -9
    assert told.records[1].update.timestamp_ms / 1000 > began + 0.1, "the run went on until its processes were ended"


def test_what_is_another_principals_is_not_delivered(
    dead: tuple[Berth, Roster], tmp_path: Path, processes: list["subprocess.Popen[bytes]"], caplog: Any
) -> None:
    left = spawn("exec sleep 1000")
    processes.append(left)
    folder = die(dead)
    told = settle(tmp_path, principal="another")
    assert (told.records, left.wait()) == ([], -15), "ended, for nobody else sees to it"
    assert f"{folder} was left by an agent of another principal" in caplog.text
    assert settle(tmp_path).records[0] == LINE


def test_what_is_another_hosts_is_left_alone(dead: tuple[Berth, Roster], tmp_path: Path, caplog: Any) -> None:
    berth, _ = dead
    berth.write(replace(berth.identity, host="far-away", boot="theirs"))
    folder = die(dead)
    assert settle(tmp_path).records == []
    assert f"{folder} was left by an agent on host far-away" in caplog.text


def test_an_heir_that_dies_too_has_an_heir(dead: tuple[Berth, Roster], tmp_path: Path) -> None:
    die(dead)

    class Away(Listener):
        """Nobody is there."""

        async def connected(self) -> None:
            """Never."""
            await asyncio.Event().wait()

    async def main() -> None:
        heir = Heir("heir-0", Away(), open_spool, 1.0)
        [berth] = await heir.clear_up(tmp_path)
        async with asyncio.timeout(1):
            await heir.settle(berth, "p")

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    told = settle(tmp_path)
    assert told.records[0] == LINE
    assert {end.update.workflow_instance_id for end in told.records[1:]} == {"r-1"}


def test_what_cannot_be_delivered_harms_nobody_else(dead: tuple[Berth, Roster], tmp_path: Path, caplog: Any) -> None:
    berth, _ = dead
    folder = die(dead)
    berth.roster_path.write_text('["run","r-1",5,{"odd":1}]\n["process","x",null,[]]\n')
    settle(tmp_path)
    assert folder.exists()
    assert "cannot be delivered" in caplog.text


def test_a_process_carries_the_name_that_is_looked_for() -> None:
    assert marker("web1-4f2a") == "CDKTR_AGENT_ID=web1-4f2a"
