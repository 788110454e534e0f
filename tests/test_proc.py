"""Other processes, as real ones."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from cdktr import proc


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a group of its own, with a mark."""
    process = subprocess.Popen(["sleep", "1000"], env={"MARK": "this-test", "A": "b"}, start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_who_carries_a_mark(sleeper: "subprocess.Popen[bytes]") -> None:
    mine = f"MARK={os.getpid()}"
    other = subprocess.Popen(["sleep", "1000"], env={"MARK": str(os.getpid())})
    try:
        assert proc.bearers(mine) == [other.pid]
        assert proc.has_marker(sleeper.pid, "MARK=this-test")
        assert not proc.has_marker(sleeper.pid, "MARK=this")
    finally:
        other.kill()
        other.wait()
    assert proc.bearers(mine) == []


def test_a_process_is_told_from_a_later_one(sleeper: "subprocess.Popen[bytes]") -> None:
    began = proc.start_time(sleeper.pid)
    assert proc.uptime() >= began == proc.start_time(sleeper.pid) > proc.start_time(1)
    sleeper.kill()
    sleeper.wait()
    assert proc.start_time(sleeper.pid) == -1


def test_the_members_of_a_group(sleeper: "subprocess.Popen[bytes]") -> None:
    assert proc.members(sleeper.pid) == [sleeper.pid]
    assert proc.group_exists(sleeper.pid)
    proc.kill(-sleeper.pid, signal.SIGKILL)
    sleeper.wait()
    assert not proc.group_exists(sleeper.pid)
    proc.kill(-sleeper.pid, signal.SIGKILL)


def test_one_that_ended_and_was_not_collected_is_no_member() -> None:
    process = subprocess.Popen(["true"], start_new_session=True)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert proc.members(process.pid) == []
    process.wait()


def test_children_and_their_end() -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert process.pid in proc.children()
    assert not proc.reaped(process.pid)
    assert process.stdin is not None
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert proc.reaped(process.pid)
    assert proc.reaped(process.pid), "gone is gone"
    process.returncode = 0  # it was collected behind its back


def test_this_machine() -> None:
    assert len(proc.boot_id()) == 36
    assert proc.host_name()
