"""Other processes, as the kernel shows them: who descends from whom, what they carry, whether they are still the same.

By `/proc`, so on Linux; elsewhere only groups are seen.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Iterable
from pathlib import Path


def children() -> list[int]:
    """The children of this process, orphans that it inherited among them."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def reaped(pid: int) -> bool:
    """Collect a child if it has ended; True when it is no more."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def environment(pid: int) -> bytes:
    """The environment with which a process was started, empty when it cannot be seen."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def has_marker(pid: int, marker: str) -> bool:
    """Does it carry `NAME=value` in its environment?"""
    return marker.encode() in environment(pid).split(b"\0")


def bearers(marker: str) -> list[int]:
    """All processes of this host that carry `NAME=value` in their environment and can be seen."""
    return [pid for pid in _all() if pid != os.getpid() and has_marker(pid, marker)]


def _all() -> Iterable[int]:
    try:
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    """The fields of a process from its state on, see proc(5); empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since the boot; -1 when there is none. With the boot, it tells a process
    from a later one of the same number."""
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 else -1


def is_running(pid: int) -> bool:
    """Is there such a process? One that has ended and was not collected is none."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def members(group: int) -> list[int]:
    """The running processes of a group."""
    return [pid for pid in _all() if (fields := _stat(pid)) and fields[0] not in "ZX" and int(fields[2]) == group]


def group_exists(group: int) -> bool:
    """Is anybody left in the group?"""
    try:
        os.killpg(group, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return True


def kill(pid: int, number: signal.Signals) -> None:
    """`kill`, for which a process that is gone is no error; a negative pid is a group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def boot_id() -> str:
    """What names this run of the machine's kernel; empty where it is not told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def host_name() -> str:
    """The name of this host."""
    return socket.gethostname()
