"""What an agent has under way, on its disk, so that whoever comes after it can clear up: runs and processes.

A file of JSON lines, one for each beginning and each end; emptied whenever nothing is under way. Nothing is synced:
the loss of the host ends the processes, too.
"""

import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cdktr.proc import boot_id, uptime

log = logging.getLogger(__name__)

#: Bytes beyond which the file is written anew with what is still under way.
LONG = 256 * 1024


class Process(NamedTuple):
    """A process that leads its group. One of that number that started after it was `noted` is another."""

    pid: int
    #: Seconds since the boot.
    noted: float
    boot: str


class HeldRun(NamedTuple):
    """A run in the hands of the agent."""

    workflow_id: str
    token: str


@dataclass(slots=True)
class UnderWay:
    """What a roster says: runs by id, processes by pid."""

    runs: dict[str, HeldRun] = field(default_factory=dict)
    processes: dict[int, Process] = field(default_factory=dict)

    def apply(self, entry: list[Any]) -> None:
        """Follow a line of the file. Raises ValueError or TypeError for one that is none."""
        kind, key, *rest = entry
        if kind == "run":
            self.runs[key] = HeldRun(*rest)
        elif kind == "process":
            self.processes[key] = Process(key, *rest)
        elif kind == "ended":
            self.runs.pop(key, None)
        elif kind == "exited":
            self.processes.pop(key, None)

    def entries(self) -> list[list[Any]]:
        """The lines that say the same."""
        runs = [["run", run_id, *run] for run_id, run in self.runs.items()]
        return [*runs, *(["process", *process] for process in self.processes.values())]


class Roster:
    """The roster of a living agent. A disk that takes no line costs no run: it is told in the log, once."""

    def __init__(self, path: Path) -> None:
        """Begin it. Raises OSError."""
        self._path = path
        self._boot = boot_id()
        self._now = UnderWay()
        self._size = 0
        self._told = False
        self._file = _begin(path)

    def run(self, run_id: str, workflow_id: str, token: str) -> None:
        """A run begins."""
        self._note(["run", run_id, workflow_id, token])

    def ended(self, run_id: str) -> None:
        """A run has ended, and that it has is in the spool."""
        self._note(["ended", run_id])

    def process(self, pid: int) -> None:
        """A process that leads its group has started."""
        self._note(["process", pid, uptime(), self._boot])

    def exited(self, pid: int) -> None:
        """A process is gone, and its group with it."""
        self._note(["exited", pid])

    def _note(self, entry: list[Any]) -> None:
        self._now.apply(entry)
        try:
            if not self._now.runs and not self._now.processes:
                os.ftruncate(self._file, 0)
                self._size = 0
            elif self._size > LONG:
                self._rewrite()
            else:
                self._size += os.write(self._file, _line(entry))
        except OSError as error:
            if not self._told:
                log.error(
                    "%s cannot be written: %s; after a crash of this agent, look for processes that it left",
                    self._path,
                    error.strerror,
                )
            self._told = True
        else:
            self._told = False

    def _rewrite(self) -> None:
        beside = self._path.with_suffix(".new")
        # Open before it has the name: what is noted must never go into a file that nobody finds.
        file = _begin(beside)
        try:
            os.write(file, b"".join(map(_line, self._now.entries())))
            beside.replace(self._path)
        except OSError:
            os.close(file)
            raise
        os.close(self._file)
        self._file = file
        # It may be long because much is under way.
        self._size = 0

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def _begin(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _line(entry: list[Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def read_roster(path: Path) -> UnderWay:
    """What a dead agent had under way. A torn line is passed over; no file, no work."""
    found = UnderWay()
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return found
    for line in lines:
        with suppress(ValueError, TypeError):
            found.apply(json.loads(line))
    return found
