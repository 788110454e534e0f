"""The workflow folder: which workflows are in force, and what is wrong with the files.

A refresh looks at every file and reads only those that changed. A file that is wrong, or cannot be read, leaves
its last good version in force; a file that is gone takes its workflow with it. Nothing here raises because of
what is on the disk, and other threads see either all of a refresh or nothing of it.
"""

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from pathlib import Path
from threading import Lock
from types import MappingProxyType

from cdktr.parse import ID, ID_RULE, MAX_BYTES, Problem, WorkflowProblems, parse_workflow
from cdktr.text import printable
from cdktr.workflow import Workflow

SUFFIXES = (".yml", ".yaml")

#: Nanoseconds. A file may change again within one tick of its clock and look the same: one that
#: was read so soon after its change is read once more.
_SETTLED_NS = 100_000_000

#: Files read before other threads get a turn.
_TURN = 8

#: Tells a file that changed from one that did not: times, size and inode.
_Stamp = tuple[int, ...]
_Parse = Callable[[bytes, str, str], Workflow]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a refresh found: ids, sorted."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    #: Workflows whose file was read this time and is wrong.
    failed: tuple[str, ...] = ()
    #: Those that were not there before: each is to be logged once.
    problems: tuple[Problem, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.failed or self.problems)


@dataclass(frozen=True, slots=True)
class _File:
    """A workflow file as it was last read."""

    #: None: to be read again whatever it looks like.
    stamp: _Stamp | None
    workflow: Workflow | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _State:
    workflows: Mapping[str, Workflow] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()
    #: By id, the first problem of its file.
    failed: Mapping[str, Problem] = field(default_factory=dict)
    file_count: int = 0


class Catalog:
    """The workflows of a folder. `refresh` blocks; all else answers at once, from any thread."""

    def __init__(self, folder: Path, parse: _Parse = parse_workflow) -> None:
        self.folder = folder
        self._parse = parse
        self._lock = Lock()
        #: By path relative to the folder.
        self._files: dict[str, _File] = {}
        self._state = _State()
        #: Differs when the workflows or problems may: who sees the same number again has missed nothing.
        self.revision = 0

    @property
    def workflows(self) -> Mapping[str, Workflow]:
        """What is in force, by id. Never changes once it was handed out."""
        return self._state.workflows

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong now, by path and line."""
        return self._state.problems

    @property
    def file_count(self) -> int:
        """How many workflow files there are, good or bad."""
        return self._state.file_count

    def refresh(self) -> Changes:
        """Look at every file, and read those that changed."""
        with self._lock:
            before, files = self._state, self._files
            scan = _Scan(self.folder)
            # What cannot be looked at now is not known to be gone.
            kept = {path: file.stamp or () for path, file in files.items() if path.startswith(tuple(scan.unread))}
            names, problems = _names(self.folder, kept | scan.stamps)
            self._files = dict(self._current(names, scan.stamps))
            self._state = _state(self._files, names, scan.problems + problems)
            read = {names[path] for path, file in self._files.items() if file is not files.get(path)}
            if read or self._files.keys() != files.keys() or self._state.problems != before.problems:
                self.revision += 1
            return _changes(before, self._state, read)

    def _current(self, names: Mapping[str, str], stamps: Mapping[str, _Stamp]) -> Iterator[tuple[str, _File]]:
        """Each file by its path, read again if it changed, left out if it is gone."""
        count = 0
        for path, workflow_id in names.items():
            known = self._files.get(path)
            if known is None or (path in stamps and known.stamp != stamps[path]):
                known = self._read(path, workflow_id, stamps[path], known)
                count += 1
                if count % _TURN == 0:
                    time.sleep(0)
            if known is not None:
                yield path, known

    def _read(self, path: str, workflow_id: str, stamp: _Stamp, known: _File | None) -> _File | None:
        shown = _shown(self.folder, path)
        last_good = known.workflow if known else None
        now = time.time_ns()
        try:
            workflow = self._parse(_content(self.folder / path), workflow_id, shown)
        except FileNotFoundError:
            return None
        except OSError as error:
            return _File(None, last_good, (_unreadable(shown, error),))
        except WorkflowProblems as error:
            return _File(_settled(stamp, now), last_good, error.problems)
        return _File(_settled(stamp, now), workflow)


def validate_paths(paths: Iterable[Path]) -> tuple[int, list[Problem]]:
    """The number of workflow files among `paths`, which may be folders too, and what is wrong with them."""
    count = 0
    problems: list[Problem] = []
    for path in paths:
        if os.path.isdir(path):
            catalog = Catalog(path)
            catalog.refresh()
            count += catalog.file_count
            problems += catalog.problems
        else:
            count += 1
            problems += _validate_file(path)
    return count, problems


def workflow_texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every workflow file below a folder and what it holds, whether that is in order or not; what cannot be read is
    left out."""
    for path in sorted(_Scan(folder).stamps):
        with suppress(OSError):
            yield folder / path, _content(folder / path).decode("utf-8", "replace")


def _validate_file(path: Path) -> Iterable[Problem]:
    names, problems = _names(path.parent, [path.name])
    shown = _shown(path.parent, path.name)
    try:
        parse_workflow(_content(path), names.get(path.name, ""), shown)
    except OSError as error:
        problems.append(_unreadable(shown, error))
    except WorkflowProblems as error:
        problems += error.problems
    return problems


class _Scan:
    """The workflow files below a folder, each folder visited once, whatever symbolic links say."""

    def __init__(self, folder: Path) -> None:
        #: By path relative to the folder.
        self.stamps: dict[str, _Stamp] = {}
        self.problems: list[Problem] = []
        #: Beginnings of the relative paths that could not be looked at.
        self.unread: list[str] = []
        self._folder = folder
        #: Relative paths of folders still to visit; of a folder that is there twice the real place counts.
        self._real, self._linked = deque([""]), deque[str]()
        visited: set[tuple[int, int]] = set()
        while self._real or self._linked:
            prefix = (self._real or self._linked).popleft()
            try:
                info = os.stat(folder / prefix)
                if (info.st_dev, info.st_ino) not in visited:
                    visited.add((info.st_dev, info.st_ino))
                    self._visit(prefix)
            except OSError as error:
                self._fail(prefix, error)

    def _visit(self, prefix: str) -> None:
        folders: list[tuple[str, deque[str]]] = []
        with os.scandir(self._folder / prefix) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                try:
                    if entry.is_dir():
                        folders.append((f"{prefix}{name}/", self._linked if entry.is_symlink() else self._real))
                    elif name.lower().endswith(SUFFIXES):
                        info = entry.stat()
                        self.stamps[prefix + name] = info.st_mtime_ns, info.st_ctime_ns, info.st_size, info.st_ino
                except OSError as error:
                    self._fail(prefix + name, error, was_there=entry.is_symlink())
        for path, queue in sorted(folders, key=itemgetter(0)):
            queue.append(path)

    def _fail(self, path: str, error: OSError, was_there: bool = False) -> None:
        shown = _shown(self._folder, path)
        if not path and isinstance(error, FileNotFoundError):
            hint = "start in the folder of the project, create it with `cdktr init`, or set CDKTR_WORKFLOW_DIR"
            self.problems.append(Problem(shown, 0, 0, "the workflow folder does not exist", hint))
        elif path and isinstance(error, FileNotFoundError) and not was_there:
            # Removed since its folder was listed.
            return
        else:
            self.problems.append(_unreadable(shown, error))
        self.unread.append(path)


def _names(folder: Path, paths: Iterable[str]) -> tuple[dict[str, str], list[Problem]]:
    """The workflow id of each path that may have one, in sorted order."""
    names: dict[str, str] = {}
    owners: dict[str, str] = {}
    problems: list[Problem] = []
    for path in sorted(paths):
        stem, suffix = os.path.splitext(path)
        workflow_id = (stem if suffix.lower() in SUFFIXES else path).replace("/", ".")
        if not ID.fullmatch(workflow_id):
            message = f"the path gives the workflow id {workflow_id[:200]!r}, which is not one"
            problems.append(Problem(_shown(folder, path), 0, 0, message, f"rename the file: {ID_RULE}"))
        elif workflow_id in owners:
            message = f"the workflow id {workflow_id} is taken by {_shown(folder, owners[workflow_id])}"
            problems.append(Problem(_shown(folder, path), 0, 0, message, "this file is ignored; rename one of them"))
        else:
            names[path] = owners[workflow_id] = workflow_id
            owners[workflow_id] = path
    return names, problems


def _state(files: Mapping[str, _File], names: Mapping[str, str], problems: Iterable[Problem]) -> _State:
    workflows = {names[path]: file.workflow for path, file in files.items() if file.workflow}
    failed = {names[path]: file.problems[0] for path, file in files.items() if file.problems}
    every = [*problems, *(problem for file in files.values() for problem in file.problems)]
    every.sort(key=attrgetter("path", "line", "column"))
    return _State(MappingProxyType(workflows), tuple(every), failed, len(names))


def _changes(before: _State, after: _State, read: set[str]) -> Changes:
    old, new = before.workflows, after.workflows
    known = set(before.problems)
    return Changes(
        added=tuple(sorted(new.keys() - old.keys())),
        changed=tuple(sorted(name for name in read & old.keys() & new.keys() if old[name] != new[name])),
        removed=tuple(sorted(old.keys() - new.keys())),
        failed=tuple(sorted(read & after.failed.keys())),
        problems=tuple(problem for problem in after.problems if problem not in known),
    )


def _content(path: Path) -> bytes:
    # A pipe of that name must neither be waited for nor be read.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        # One byte more than may be, so that the parser sees what is too large.
        return file.read(min(info.st_size, MAX_BYTES) + 1)


def _settled(stamp: _Stamp, now_ns: int) -> _Stamp | None:
    return None if 0 <= now_ns - stamp[0] < _SETTLED_NS else stamp


def _shown(folder: Path, path: str) -> str:
    """A path as text: names on the disk may hold anything."""
    return printable(str(folder / path).encode(errors="backslashreplace").decode())


def _unreadable(shown: str, error: OSError) -> Problem:
    return Problem(shown, 0, 0, f"cannot be read: {error.strerror}", "check the permissions and where links lead")
