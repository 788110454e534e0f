"""One command as a process: clean environment, both pipes read together, its own session, nothing left behind.

The pipes are read through the event loop's selector, so a task's lines come the moment they are written, and neither
pipe can block the other. Exits are seen through a pidfd, or where there is none by a waiting thread.
"""

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdktr import bundle
from cdktr.errors import CdktrError
from cdktr.proc import children, environment, group_exists, has_marker, kill, reaped
from cdktr.settings import SECRET_VARIABLES
from cdktr.text import LineSplitter, format_duration

#: Bytes read from a pipe at once: what a pipe holds.
READ_SIZE = 65536

#: Seconds that a task's descendants may keep its pipes open after its own end, before they are ended.
DRAIN_S = 1.0

#: How many such waits a pipe gets whose unknown holder goes on writing.
DRAIN_ROUNDS = 30

#: Seconds after SIGKILL until what is still there is left alone: a zombie that nobody collects, another user's process.
UNKILLABLE_S = 2.0

#: Seconds between looks at whether ended descendants are gone.
SWEEP_INTERVAL_S = 0.02

OnLines = Callable[[str, list[str]], None]


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: argv, the whole environment, and the folder (None: the agent's own)."""

    argv: Sequence[str]
    env: Mapping[str, str]
    working_directory: str | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Exited:
    """How a command ended. `code` is negative for a signal, as in `subprocess`."""

    code: int
    timed_out_after_s: float | None = None

    @property
    def ok(self) -> bool:
        """True for exit code 0 in time."""
        return self.code == 0 and self.timed_out_after_s is None

    @property
    def reason(self) -> str:
        """In words: `exit code 3`, `killed by SIGSEGV`, `timed out after 5m00s`."""
        if self.timed_out_after_s is not None:
            return f"timed out after {format_duration(self.timed_out_after_s)}"
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            return f"killed by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"killed by signal {-self.code}"


class CannotStart(CdktrError):
    """The command cannot be started."""


def base_environment() -> dict[str, str]:
    """The agent's environment as its user set it, without our secrets."""
    left_out = {bundle.FILE, *SECRET_VARIABLES}
    return {name: value for name, value in os.environ.items() if name not in left_out}


class Executor:
    """Runs commands for an agent. `limit` is the length in bytes at which a line is cut; `on_spawn` and `on_gone` get
    the pid of each process when it has started, and when it and all that it left are gone."""

    def __init__(
        self,
        limit: int,
        kill_grace_s: float,
        on_spawn: Callable[[int], None] = lambda _pid: None,
        on_gone: Callable[[int], None] = lambda _pid: None,
    ) -> None:
        self._limit = limit
        self._grace = kill_grace_s
        self._on_spawn = on_spawn
        self._on_gone = on_gone
        self._processes: set[_Process] = set()
        self._reading = True
        _become_subreaper()

    async def run(self, command: Command, marker: str, on_lines: OnLines, on_start: Callable[[int], None]) -> Exited:
        """Run to the end and leave nothing behind.

        `marker` is a `NAME=value` of the command's environment by which its descendants are known. `on_lines` gets
        "STDOUT" or "STDERR" and whole lines; `on_start` the pid. Raises CannotStart. Cancelled, it ends the process.
        """
        process = _Process(command, self._limit, on_lines)
        self._processes.add(process)
        self._on_spawn(process.pid)
        try:
            on_start(process.pid)
            process.reading(self._reading)
            return await self._finish(process, command.timeout_s, marker)
        finally:
            self._processes.discard(process)
            process.close()
            self._on_gone(process.pid)

    async def _finish(self, process: "_Process", timeout_s: float | None, marker: str) -> Exited:
        timed_out = None
        try:
            try:
                async with asyncio.timeout(timeout_s):
                    await process.exited.wait()
            except TimeoutError:
                timed_out = timeout_s
                await self._end(process)
            if self._survivors(process, marker):
                # The end of a pipeline may outlive the command by a moment.
                await _wait(process.drained, DRAIN_S)
        finally:
            await _to_the_end(self._clear(process, marker))
        return Exited(process.code, timed_out)

    async def _clear(self, process: "_Process", marker: str) -> None:
        await self._sweep(process, marker)
        await self._drain(process)

    async def _drain(self, process: "_Process") -> None:
        """Read the pipes to their end, or until whoever escaped and still holds them has been silent for a while.

        Also while reading is stopped: of what has ended, no more can come than a pipe holds.
        """
        process.reading(True)
        for _ in range(DRAIN_ROUNDS):
            before = process.bytes_read
            if await _wait(process.drained, DRAIN_S) or process.bytes_read == before:
                return

    async def _end(self, process: "_Process") -> None:
        """TERM to the whole group, KILL after the grace."""
        process.kill_group(signal.SIGTERM)
        if not await _wait(process.exited, self._grace):
            process.kill_group(signal.SIGKILL)
            await process.exited.wait()

    async def _sweep(self, process: "_Process", marker: str) -> None:
        """End what the command left running: its group, and those who left it but still carry its marker."""
        waited = 0.0
        told: set[int] = set()
        while survivors := self._survivors(process, marker) or await self._late(process, marker):
            if waited > self._grace + UNKILLABLE_S:
                process.say(f"cdktr: cannot end what this task left running: {', '.join(map(str, survivors))}")
                return
            number = signal.SIGTERM if waited < self._grace else signal.SIGKILL
            for pid in survivors:
                if number is signal.SIGKILL or pid not in told:
                    kill(pid, number)
            told.update(survivors)
            await asyncio.sleep(SWEEP_INTERVAL_S)
            waited += SWEEP_INTERVAL_S

    async def _late(self, process: "_Process", marker: str) -> list[int]:
        """Survivors that could not be known: while a process becomes another program, it shows no environment."""
        own = {each.pid for each in self._processes}
        if all(pid in own or environment(pid) for pid in children()):
            return []
        await asyncio.sleep(SWEEP_INTERVAL_S)
        return self._survivors(process, marker)

    def _survivors(self, process: "_Process", marker: str) -> list[int]:
        own = {each.pid for each in self._processes}
        strays = [pid for pid in children() if pid not in own and not reaped(pid) and has_marker(pid, marker)]
        return strays + ([-process.pid] if group_exists(process.pid) else [])

    def read(self, reading: bool) -> None:
        """Stop or go on reading all pipes: a task that writes on into a full pipe waits."""
        self._reading = reading
        for process in self._processes:
            process.reading(reading)

    def reap(self) -> None:
        """Collect ended orphans that were handed to this process; to be called now and then."""
        own = {process.pid for process in self._processes}
        for pid in children():
            if pid not in own:
                reaped(pid)


class _Process:
    """A running command and the reading of its pipes."""

    def __init__(self, command: Command, limit: int, on_lines: OnLines) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_lines = on_lines
        self.exited = asyncio.Event()
        self.drained = asyncio.Event()
        self.code = 0
        self.bytes_read = 0
        self._popen = _spawn(command)
        self.pid = self._popen.pid
        self._pipes = {}
        for name, pipe in (("STDOUT", self._popen.stdout), ("STDERR", self._popen.stderr)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._pipes[pipe.fileno()] = (name, LineSplitter(limit))
        self._watch_exit()

    def _watch_exit(self) -> None:
        try:
            self._pidfd = os.pidfd_open(self.pid)
            self._loop.add_reader(self._pidfd, self._on_exit)
        except (AttributeError, OSError):
            self._pidfd = -1
            threading.Thread(target=self._wait_in_thread, daemon=True).start()

    def _wait_in_thread(self) -> None:
        self._popen.wait()
        with contextlib.suppress(RuntimeError):  # the loop may have ended before the process
            self._loop.call_soon_threadsafe(self._on_exit)

    def _on_exit(self) -> None:
        self._unwatch()
        self.code = self._popen.wait()
        # What it wrote last is in the pipes already: take it before anybody hears of the end.
        for fd in list(self._pipes):
            self._read(fd)
        self.exited.set()

    def _unwatch(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def reading(self, wanted: bool) -> None:
        """Start or stop reading the pipes."""
        for fd in self._pipes:
            if wanted:
                self._loop.add_reader(fd, self._read, fd)
            else:
                self._loop.remove_reader(fd)

    def _read(self, fd: int) -> None:
        name, splitter = self._pipes[fd]
        try:
            data = os.read(fd, READ_SIZE)
        except BlockingIOError:
            return
        self.bytes_read += len(data)
        lines = splitter.feed(data) if data else splitter.close()
        if lines:
            self._on_lines(name, lines)
        if not data:
            self._end_of(fd)

    def _end_of(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        del self._pipes[fd]
        if not self._pipes:
            self.drained.set()

    def say(self, line: str) -> None:
        """Add a line of ours to what the command wrote on stderr."""
        self._on_lines("STDERR", [line])

    def kill_group(self, number: signal.Signals) -> None:
        """Send a signal to the command and all that stayed in its group."""
        kill(-self.pid, number)

    def close(self) -> None:
        """Let go of everything; the last begun lines are handed on."""
        self._unwatch()
        for fd, (name, splitter) in list(self._pipes.items()):
            if lines := splitter.close():
                self._on_lines(name, lines)
            self._end_of(fd)
        for pipe in (self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()


def _spawn(command: Command) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=command.working_directory,
            env=command.env,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise CannotStart(_why_not(command, error)) from error


def _why_not(command: Command, error: OSError | ValueError) -> str:
    name = command.argv[0]
    if not isinstance(error, OSError):
        return f"Cannot start {name!r}: {error}"
    folder = command.working_directory
    if folder is not None and not os.path.isdir(folder):
        # A relative one is so to the agent's folder, which its reader may not know.
        where = "" if os.path.isabs(folder) else f" ({os.path.abspath(folder)})"
        return f"The working directory {folder!r}{where} does not exist on this agent's host"
    if error.errno == errno.ENOENT:
        where = "there is no such file" if "/" in name else "it is not on the agent's PATH"
        return f"Cannot start {name!r}: {where}"
    if error.errno == errno.ENOEXEC:
        return f"Cannot start {name!r}: it is no program, and has no #! line"
    return f"Cannot start {name!r}: {error.strerror}"


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` whole; a cancellation meanwhile is passed on only then, or processes would be left behind."""
    task = asyncio.ensure_future(work)  # noqa: TID251 - awaited here
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError


async def _wait(event: asyncio.Event, timeout_s: float | None) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _become_subreaper() -> None:
    """Orphans of our descendants become our children, so that none escapes. Linux only; see prctl(2)."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass
