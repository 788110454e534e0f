"""The agent of `start principal --with-agent`: a process of its own, kept running, ended with its principal.

It can neither take the principal down nor slow it. The pipe to it closes with the principal, however that ends, and
the agent then finishes what it runs and stops.
"""

import asyncio
import logging
import os
import resource
import signal
import subprocess
from collections.abc import Sequence

from cdktr.bundle import own_command, own_environment

log = logging.getLogger(__name__)

#: Seconds before the agent is started again after it died: first, and at most.
RESTART_S = (1.0, 30.0)

#: Seconds that an agent which ends its tasks has to do so and to report it: more than the grace of a task by default.
REPORT_S = 20.0

#: Exit code of an agent whose settings are wrong: starting it again would not help.
USAGE = 2


class AgentProcess:
    """Keeps an agent running, started with `arguments`, those after `start agent`. `umask` as in `subprocess`, `files`
    the soft limit of its open files; None: that of this process."""

    def __init__(self, arguments: Sequence[str], umask: int = -1, files: int | None = None) -> None:
        self._arguments = arguments
        self._umask = umask
        self._files = files
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._stopping = False
        self._over = asyncio.Event()
        self._hurried = asyncio.Event()

    async def run(self) -> None:
        """Keep an agent running until `stop`."""
        wait = RESTART_S[0]
        while not self._told():
            began = asyncio.get_running_loop().time()
            try:
                self._start()
                code: int | str = await self._ended()
            except OSError as error:
                code = f"it cannot be started: {error.strerror}"
            if self._told():
                self._over.set()
                return
            if code == USAGE:
                log.error("The agent of this principal cannot work with these settings; mend them and start again")
                return
            log.error("The agent of this principal ended with code %s; starting another in %g s", code, wait)
            await asyncio.sleep(wait)
            lived = asyncio.get_running_loop().time() - began
            wait = RESTART_S[0] if lived > RESTART_S[1] else min(wait * 2, RESTART_S[1])

    def _told(self) -> bool:
        return self._stopping

    def _start(self) -> None:
        reader, self._pipe = os.pipe()
        command = [*own_command(), "start", "agent", "--parent-fd", str(reader), *self._arguments]
        # A session of its own: Ctrl-C is the principal's, which tells the agent.
        try:
            self._process = subprocess.Popen(
                command,
                env=own_environment(),
                stdin=subprocess.DEVNULL,
                pass_fds=(reader,),
                start_new_session=True,
                umask=self._umask,
            )
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(reader)
        if self._files is not None:
            _limit_files(self._process.pid, self._files)

    async def _ended(self) -> int:
        assert self._process is not None
        code = await asyncio.get_running_loop().run_in_executor(None, self._process.wait)
        os.close(self._pipe)
        return code

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Tell the agent to stop: the first time when its runs have ended, the second time at once."""
        self._stopping = True
        if self._process is None or self._process.poll() is not None:
            self._over.set()
        else:
            self._process.send_signal(number)

    def hurry(self) -> None:
        """End the tasks of a stopping agent."""
        self._hurried.set()
        self.signal()

    async def stop(self) -> None:
        """Let it finish what it runs, however long that takes, until `hurry`; then it has a while to end its tasks."""
        self.signal()
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(event.wait()) for event in (self._over, self._hurried)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
        if not await self._gone(REPORT_S):
            self.signal(signal.SIGKILL)
            await self._gone(REPORT_S)

    async def _gone(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return False
        return True


def _limit_files(pid: int, soft: int) -> None:
    # Not by `preexec_fn`, which is not for a process with threads. Long before the agent has a task.
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    except ProcessLookupError:
        pass  # Why it ended, its exit code says.
    except OSError as error:
        log.warning("The agent of this principal keeps its principal's limit of open files: %s", error.strerror)
