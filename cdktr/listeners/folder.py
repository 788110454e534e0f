"""Files that are new or changed in a folder have a workflow run, each version of a file once.

A file counts once its size and time of change have stayed the same for a while. `arrivals` decides that, `scan` looks,
`notes` remembers. What has been triggered is noted after the principal's answer; a listener that dies between the two
triggers again, with the same key, which makes no second run.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from string import Formatter
from typing import Any

from cdktr.arrivals import Arrivals, Version
from cdktr.client import Principal
from cdktr.disk import sync_parents
from cdktr.errors import CdktrError, SettingError, StartError, UnreachableError
from cdktr.listeners.base import ReadyListener
from cdktr.listeners.notes import Notes
from cdktr.listeners.scan import Look, is_text
from cdktr.lock import take_lock
from cdktr.messages import dump
from cdktr.text import format_duration, plural

log = logging.getLogger(__name__)

#: What stands for a part of a file's path in the value of a parameter.
PLACEHOLDERS = ("path", "name", "folder")

#: Seconds between two looks at least.
SHORTEST_S = 0.05

#: How many times longer than a look the pause after it is at least: one at very many files takes seconds.
LEISURE = 4

#: Seconds between attempts to reach a principal that is away.
AWAY_S = 1.0


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched, and for which workflow. Two of the same are the same listener: they share their notes."""

    folder: str
    workflow_id: str
    #: Of the names that are meant; none means all.
    patterns: tuple[str, ...] = ()
    recursive: bool = False
    #: With placeholders.
    params: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises SettingError."""
        for pattern in self.patterns:
            if "/" in pattern or not pattern:
                raise SettingError(f"--pattern {pattern!r} is compared with the name of a file; it cannot hold a /")
        for name, value in self.params.items():
            check_placeholders(name, value)
        if not is_text(self.folder):
            raise SettingError(f"{self.folder!r} is not UTF-8 and cannot be passed on; give the folder another name")

    @property
    def about(self) -> dict[str, Any]:
        """All of it, for people and for `digest`."""
        patterns = sorted(set(self.patterns))
        return {
            "folder": self.folder,
            "workflow": self.workflow_id,
            "patterns": patterns,
            "recursive": self.recursive,
            "params": dict(sorted(self.params.items())),
        }

    @property
    def digest(self) -> str:
        """Tells it from others."""
        return sha256(dump(self.about).encode()).hexdigest()[:16]

    @property
    def fixed_params(self) -> dict[str, str | None]:
        """The parameters, with None for a value that depends on the file."""
        return {name: None if "{" in value else value for name, value in self.params.items()}

    def params_of(self, path: str) -> dict[str, str]:
        """The parameters of the run for a file, whose path is relative to the folder."""
        full = os.path.join(self.folder, path)
        folder, name = os.path.split(full)
        return {key: value.format(path=full, name=name, folder=folder) for key, value in self.params.items()}

    def key_of(self, version: Version) -> str:
        """The key of the trigger for a version."""
        return f"folder:{sha256(dump([self.about, *version]).encode()).hexdigest()}"


def check_placeholders(name: str, value: str) -> None:
    """Raises SettingError for a parameter whose value has others than PLACEHOLDERS."""
    known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
    try:
        found = [(word, spec, kind) for _, word, spec, kind in Formatter().parse(value) if word is not None]
    except ValueError:
        found = [("", None, None)]
    for word, spec, kind in found:
        if word not in PLACEHOLDERS or spec or kind:
            raise SettingError(
                f"--param {name}={value}: what stands in braces must be one of {known}; a brace itself is written twice"
            )


class FolderListener(ReadyListener):
    """Watches a folder until `stop`. `data_folder` is where its notes are."""

    def __init__(
        self,
        watch: Watch,
        data_folder: Path,
        principal: Principal,
        *,
        interval_s: float = 1.0,
        settle_s: float = 2.0,
        existing: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """With `existing`, files that are there at the very first start count, too."""
        self.principal = principal
        self._watch = watch
        self._interval_s = max(interval_s, SHORTEST_S)
        self._settle_s = settle_s
        self._existing = existing
        self._now = now
        #: Seconds that the last look took.
        self._took_s = 0.0
        self._over = threading.Event()
        self._home = data_folder / "listeners"
        self._notes = Notes(self._home / f"folder-{watch.digest}.notes", watch.about)
        self._arrivals = Arrivals(settle_s)
        #: What was told of files and folders that cannot be read, and of others; None once all is well.
        self._problems: dict[str, str] = {}
        self._doubted: frozenset[str] = frozenset()
        self._disk: str | None = None
        #: When the principal is tried again; None while it is there.
        self._back_at: float | None = None

    def stop(self) -> None:
        """See `ReadyListener`."""
        self._over.set()

    def start_listening(self) -> None:
        """Look again and again. Raises StartError, also when another listener does the same."""
        what = f"the notes on {self._watch.folder} for {self._watch.workflow_id}"
        try:
            for folder in (self._home.parent, self._home):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_parents(self._home)
            lock = take_lock(self._notes.path.with_suffix(".lock"), what, "CDKTR_APP_DATA_DIRECTORY", "listener")
        except OSError as error:
            raise StartError(f"{error.filename or self._home}: {error.strerror}; {_ROOM}") from error
        try:
            self.begin()
            while not self._over.wait(self.pause_s):
                self.look()
        finally:
            self._notes.close()
            os.close(lock)

    @property
    def pause_s(self) -> float:
        """Seconds until the next look."""
        return max(self._interval_s, self._took_s * LEISURE)

    def begin(self) -> None:
        """Take up what was noted before, or, at the very first start, what is there. Raises StartError."""
        noted = self._notes.read()
        found = Look(self._watch.folder, self._watch.patterns, self._watch.recursive)
        if noted is not None:
            self._arrivals = Arrivals(self._settle_s, noted.counted.values(), noted.folders)
            log.info("%s known from before", plural(len(noted.counted), "file"))
        elif "" in found.problems:
            raise StartError(f"{self._watch.folder}: {found.problems['']}; make the folder, or name another")
        self._see(found)
        if noted is None and not self._existing:
            count = self._arrivals.count_all()
            log.info("What is there already does not count (%s); with --existing it would", plural(count, "file"))
        try:
            self._notes.rewrite(self._arrivals.counted.values(), self._arrivals.folders)
        except OSError as error:
            raise StartError(f"{self._notes.path} cannot be written: {error.strerror}; {_ROOM}") from error

    def look(self) -> None:
        """Look once, and trigger what is due."""
        began = self._now()
        self._see(Look(self._watch.folder, self._watch.patterns, self._watch.recursive))
        self._took_s = self._now() - began
        self._flush()
        if self._back_at is None or self._now() >= self._back_at:
            self._trigger_all(self._arrivals.due(self._now()))
        if self._notes.is_long(len(self._arrivals.counted) + len(self._arrivals.folders)):
            self._write(lambda: self._notes.rewrite(self._arrivals.counted.values(), self._arrivals.folders))

    def _see(self, found: Look) -> None:
        for path, reason in found.problems.items():
            if self._problems.get(path) != reason:
                log.warning("%s cannot be looked at: %s", self._full(path), reason)
        for path in self._problems.keys() - found.problems.keys():
            log.info("%s can be looked at again, or is gone", self._full(path))
        self._problems = found.problems
        for path, place in self._arrivals.see(found.listing, self._now()).items():
            self._notes.folder(path, place)
        for path in sorted(self._arrivals.doubted - self._doubted):
            log.warning(
                "%s is empty, and not the folder that it was: is something not mounted? Its files are not forgotten",
                self._full(path),
            )
        self._doubted = self._arrivals.doubted

    def _full(self, path: str) -> str:
        return os.path.join(self._watch.folder, path) if path else self._watch.folder

    def _trigger_all(self, due: Sequence[Version]) -> None:
        refused: dict[str, list[str]] = {}
        for version in due:
            if self._over.is_set():
                break
            try:
                run = self.run_workflow(
                    self._watch.workflow_id, self._watch.params_of(version.path), self._watch.key_of(version)
                )
            except UnreachableError as error:
                self._is_away(str(error))
                break
            except CdktrError as error:
                self._is_back()
                pause_s = self._arrivals.put_off(version, self._now())
                again = f"{error}; tried again in {format_duration(pause_s)}"
                refused.setdefault(again, []).append(self._full(version.path))
                continue
            self._is_back()
            self._arrivals.count(version)
            self._notes.file(version)
            self._flush()
            log.info(
                "%s: %s of %s%s",
                self._full(version.path),
                run.run_id,
                self._watch.workflow_id,
                ", as it was triggered before" if run.repeated else "",
            )
        for reason, paths in refused.items():
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            log.error("%s%s: no run of %s: %s", paths[0], more, self._watch.workflow_id, reason)

    def _is_away(self, reason: str) -> None:
        if self._back_at is None:
            log.warning("%s; what comes meanwhile is triggered when it is there", reason)
        self._back_at = self._now() + AWAY_S

    def _is_back(self) -> None:
        if self._back_at is not None:
            log.info("The principal is there again")
            self._back_at = None

    def _flush(self) -> None:
        self._write(self._notes.flush)

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            if self._disk is None:
                log.error(
                    "%s cannot be written: %s; %s. It is tried again and again; until then the principal knows by the "
                    "keys of its runs which files had theirs",
                    self._notes.path,
                    error.strerror,
                    _ROOM,
                )
            self._disk = error.strerror
        else:
            if self._disk is not None:
                log.info("%s is written again", self._notes.path)
            self._disk = None


_ROOM = "make room there, or give this user the right to write"
