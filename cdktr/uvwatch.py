"""Which uv an agent's host has: its path and version, or why there is none. Looked at anew, as one may come later.

The version costs a process, so it is asked beside the agent's work, and once for each uv.
"""

import asyncio
import contextlib
import logging
import os
import re
import threading
from collections.abc import Mapping

from cdktr.errors import NotFoundError
from cdktr.executor import CannotStart, Command, Executor
from cdktr.protocol import LONGEST_FACT
from cdktr.text import bounded
from cdktr.uv import find_uv, folders

log = logging.getLogger(__name__)

#: Seconds between two looks.
LOOK_S = 60.0

#: Seconds that the first look may take before the agent goes on without what it finds.
FIRST_S = 1.0

#: Seconds that uv has to tell its version.
ANSWER_S = 10.0

#: Known to nobody but the process that tells the version.
MARKER = "CDKTR_ASKED_FOR_VERSION"


class UvWatch:
    """The uv that tasks get that name none. `env` is the agent's environment."""

    def __init__(self, executor: Executor, env: Mapping[str, str]) -> None:
        self._executor = executor
        self._env = env
        #: Path and time of its last change.
        self._found: tuple[str, int] | None = ("", 0)
        #: What is sought now.
        self._seeking: asyncio.Future[tuple[str, int] | None] | None = None
        #: As a heartbeat tells it: "path", and "version" when that is known; or "trouble". Empty before the first look.
        self.facts: dict[str, str] = {}

    async def look(self, wait_s: float | None = None) -> None:
        """See which it is, and say so in the log when it is another than before. No process is started.

        What is not found in `wait_s` is waited for by the next look.
        """
        if self._seeking is None:
            self._seeking = self._seek()
        await asyncio.wait({self._seeking}, timeout=wait_s)
        if self._seeking.done():
            found, self._seeking = self._seeking.result(), None
            self._see(found)

    def _seek(self) -> "asyncio.Future[tuple[str, int] | None]":
        """In a thread for which nobody waits at the end: PATH may lead to a disk that does not answer."""
        loop = asyncio.get_running_loop()
        sought: asyncio.Future[tuple[str, int] | None] = loop.create_future()

        def seek() -> None:
            found = _found(self._env)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(sought.set_result, found)

        threading.Thread(target=seek, daemon=True).start()
        return sought

    def _see(self, found: tuple[str, int] | None) -> None:
        if found == self._found:
            return
        self._found = found
        if found is None:
            log.info("There is no uv here: !UvPython tasks that need one will fail, and tell where it was sought")
            self.facts = {"trouble": _told(f"looked in {', '.join(folders(self._env))}")}
        else:
            # Now, so that nobody learns it at night.
            log.info("uv: %s", _told(found[0]))
            self.facts = {"path": _told(found[0])}

    async def run(self) -> None:
        """Look now and then, and learn the version of each that comes."""
        while True:
            await self.look()
            if self._found is not None and self.facts.keys() == {"path"}:
                self.facts |= await self._asked(self._found[0])
            await asyncio.sleep(LOOK_S)

    async def _asked(self, path: str) -> dict[str, str]:
        said: list[str] = []
        command = Command([path, "--version"], {**self._env, MARKER: "1"}, timeout_s=ANSWER_S)
        try:
            ended = await self._executor.run(
                command, f"{MARKER}=1", lambda _, lines: said.extend(lines), lambda _pid: None
            )
            why = ended.reason
        except CannotStart as error:
            why = str(error)
        if found := re.match(r"uv (\S+)", said[0] if said else ""):
            return {"version": _told(found[1])}
        trouble = _told(f"{path} does not tell its version: {why}")
        log.warning("%s", trouble)
        return {"trouble": trouble}


def _told(fact: str) -> str:
    # A name on the disk, which may be anything, becomes text, as a heartbeat must be.
    return bounded(fact, LONGEST_FACT)


def _found(env: Mapping[str, str]) -> tuple[str, int] | None:
    try:
        path = find_uv(None, env)
        return path, os.stat(path).st_mtime_ns
    except (NotFoundError, OSError):
        return None
