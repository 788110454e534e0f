"""Other processes, as the kernel shows them: who descends from whom, what they carry, whether they are still the same.

By `/proc`, so on Linux; elsewhere only groups are seen.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterable


def children() -> list[int]:
    """The children of this process, orphans that it inherited among them."""
    return [int(pid) for pid in _read(f"/proc/self/task/{os.getpid()}/children").split()]


def reaped(pid: int) -> bool:
    """Collect a child if it has ended; True when it is no more."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def environment(pid: int) -> bytes:
    """The environment with which a process was started, empty when it cannot be seen."""
    return _read(f"/proc/{pid}/environ")


def has_marker(pid: int, marker: str) -> bool:
    """Does it carry `NAME=value` in its environment?"""
    return marker.encode() in environment(pid).split(b"\0")


def bearers(marker: str) -> list[int]:
    """All processes of this host that carry `NAME=value` in their environment and can be seen."""
    return [pid for pid in _all() if pid != os.getpid() and has_marker(pid, marker)]


def _all() -> Iterable[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _read(path: str) -> bytes:
    """What the kernel tells there, empty when nothing. Not by `Path`, which takes ten times as long: this is asked for
    with every process."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(file, 65536):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(file)


def _stat(pid: int) -> list[bytes]:
    """The fields of a process from its state on, see proc(5); empty when there is none."""
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def uptime() -> float:
    """Seconds since the boot."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def start_time(pid: int) -> float:
    """When a process started, in seconds since the boot, cut to the kernel's clock ticks; -1 when there is none."""
    fields = _stat(pid)
    return int(fields[19]) / os.sysconf("SC_CLK_TCK") if len(fields) > 19 else -1.0


def members(group: int) -> list[int]:
    """The running processes of a group."""
    return [pid for pid in _all() if (fields := _stat(pid)) and fields[0] not in b"ZX" and int(fields[2]) == group]


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
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def namespace() -> str:
    """What names the processes that this one can see: in a container a number means another process than outside."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def host_name() -> str:
    """The name of this host."""
    return socket.gethostname()
