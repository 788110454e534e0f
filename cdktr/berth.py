"""The folder that an agent has for itself while it lives, and those that dead agents left.

`<data folder>/agents/<agent id>/` holds `agent.json` (who it is and where it ran), `lock`, which its owner holds, the
roster and the segments of the spool. The folder of an agent that was stopped and had nothing left to tell is removed.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cdktr.errors import StartError
from cdktr.lock import try_lock, wait_lock
from cdktr.proc import boot_id, host_name, namespace

#: The names in the folder.
ROSTER = "roster"
IDENTITY = "agent.json"
RECORDS = "*.records"
LOCK = "lock"

#: Seconds between two signs of life, at most.
SIGN_S = 6.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has a berth. `source` is what its reports are numbered under, `principal` the one that it works for; `host`,
    `boot` and `namespace` tell where its processes ran."""

    agent_id: str
    source: str
    principal: str = ""
    host: str = ""
    boot: str = ""
    namespace: str = ""
    #: Processes that it left and that were ended by its heirs.
    ended: int = 0

    @property
    def is_of_this_host(self) -> bool:
        """Whether its processes ran on this machine: under another name, as containers have, or before a restart."""
        return self.host == host_name() or (bool(self.boot) and self.boot == boot_id())

    @property
    def is_of_these_processes(self) -> bool:
        """Whether its numbers of processes mean here what they meant there."""
        return (self.boot, self.namespace) == (boot_id(), namespace())


class Berth:
    """A folder in the hands of this process until `leave` or `close`."""

    def __init__(self, folder: Path, identity: Identity, lock: int) -> None:
        self.folder = folder
        self.identity = identity
        self._lock = lock

    @property
    def roster_path(self) -> Path:
        """The roster's file."""
        return self.folder / ROSTER

    def write(self, identity: Identity) -> None:
        """Note who has it. Raises OSError."""
        self.identity = identity
        beside = self.folder / (IDENTITY + ".new")
        beside.write_text(json.dumps(asdict(identity)))
        beside.replace(self.folder / IDENTITY)

    def sign(self) -> None:
        """A sign of life, every `SIGN_S`."""
        with suppress(OSError):
            os.utime(self.folder / LOCK)

    def last_sign_s(self) -> float:
        """When it was signed, or its roster or spool written to, in seconds since the epoch."""
        files = [self.folder / LOCK, self.roster_path, *self.folder.glob(RECORDS)]
        return max(path.stat().st_mtime for path in files if path.exists())

    def end_s(self) -> float:
        """When what its agent had under way has ended, as far as is known: with the last of the processes that the
        heirs ended, of which they made a note, or with its last sign of life. Seconds since the epoch."""
        return (self.folder / IDENTITY).stat().st_mtime if self.identity.ended else self.last_sign_s()

    def leave(self) -> None:
        """Remove the folder: there is nothing left in it that anybody needs."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Let go of the folder and leave it, and what it holds, to another."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def take_berth(data_folder: Path, agent_id: str, source: str) -> Berth:
    """A new folder for an agent. Raises StartError."""
    folder = data_folder / "agents" / agent_id
    try:
        with _gate(data_folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = try_lock(folder / LOCK)
            assert lock is not None
        berth = Berth(folder, Identity(agent_id, source), lock)
        berth.write(Identity(agent_id, source, "", host_name(), boot_id(), namespace()))
    except OSError as error:
        raise StartError(
            f"The agent's folder {folder} cannot be made: {error.strerror}; "
            "make room there, give this user the right to write, or set CDKTR_APP_DATA_DIRECTORY to another folder"
        ) from error
    return berth


def abandoned(data_folder: Path) -> list[Berth]:
    """The folders that dead agents left, now in the hands of this process. What cannot be read is left alone."""
    found: list[Berth] = []
    with suppress(OSError), _gate(data_folder):
        for folder in sorted((data_folder / "agents").iterdir()):
            if not (folder / LOCK).exists() or (lock := try_lock(folder / LOCK)) is None:
                continue
            if (identity := _identity(folder)) is not None:
                found.append(Berth(folder, identity, lock))
                continue
            os.close(lock)
            if not any(folder.glob(RECORDS)):
                # It died at its birth.
                shutil.rmtree(folder, ignore_errors=True)
    return found


def _identity(folder: Path) -> Identity | None:
    try:
        raw: Mapping[str, Any] = json.loads((folder / IDENTITY).read_bytes())
        return Identity(**raw)
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _gate(data_folder: Path) -> Iterator[None]:
    """One at a time makes folders or looks for abandoned ones: a new one is without its lock for a moment."""
    agents = data_folder / "agents"
    # Each by itself: the parents that `mkdir` makes on the way are open to all.
    for folder in (data_folder, agents):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    gate = wait_lock(agents / ".gate")
    try:
        yield
    finally:
        os.close(gate)
