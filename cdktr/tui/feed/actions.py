"""What somebody asked for: a run, a pause, a look at the folder, log lines in a file."""

import errno
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from cdktr import protocol as p
from cdktr.client import PATIENCE_S, Principal
from cdktr.errors import CdktrError, RefusedError, UnreachableError
from cdktr.records import LogRecord
from cdktr.text import format_log, plural, printable
from cdktr.tui.feed.ask import abilities, understood
from cdktr.tui.feed.checked import checked
from cdktr.tui.feed.logs import request_of
from cdktr.tui.state.commands import ReloadFolder, SaveLogs, SetPaused, Trigger
from cdktr.tui.state.events import Event, Exists, Saving, Told, Triggered

#: Seconds that reading a folder of many files may take on top of the time-out.
RELOAD_S = 60.0

#: Seconds between attempts to hear what became of a trigger.
RETRY_S = 0.5

#: Log lines that are asked for at once to be saved.
SAVED_AT_ONCE = 5_000

Tell = Callable[[Event], None]
Asked = Trigger | SetPaused | ReloadFolder | SaveLogs


class Drafts:
    """Files that are being written, each by a thread that ends with the process, wherever it stands then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: set[Path] = set()
        self._is_over = False

    @contextmanager
    def new(self, path: Path) -> Iterator[TextIO]:
        """A file to be written and then moved to its place; one that was not is removed. Raises OSError."""
        with self._lock:
            if self._is_over:
                raise InterruptedError(errno.EINTR, "the terminal UI has ended")
            file = path.open("x", encoding="utf-8")
            self._paths.add(path)
        try:
            with file:
                yield file
        finally:
            with self._lock:
                self._paths.discard(path)
            path.unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove all, and let there be no more."""
        with self._lock:
            self._is_over = True
            for path in self._paths:
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def perform(principal: Principal, command: Asked, drafts: Drafts, tell: Tell) -> None:
    """Do it, however long it takes, and tell what came of it."""
    event: Event
    try:
        with understood():
            event = _done(principal, command, drafts, tell)
    except CdktrError as error:
        event = Told(str(error), bad=True)
    if isinstance(event, Told) and isinstance(command, SaveLogs):
        event = replace(event, done=command)
    tell(event)


def _done(principal: Principal, command: Asked, drafts: Drafts, tell: Tell) -> Event:
    match command:
        case Trigger():
            return _triggered(principal, command)
        case SetPaused():
            return _paused(principal, command)
        case ReloadFolder():
            return _reloaded(principal)
        case SaveLogs():
            return _saved(principal, command, drafts, tell)


def _triggered(principal: Principal, command: Trigger) -> Event:
    """The key makes one run of it, however often it has to be sent until there is an answer."""
    request = p.Trigger(command.workflow_id, dict(command.params), "manual", key=f"ui-{secrets.token_hex(16)}")
    deadline = time.monotonic() + PATIENCE_S
    is_sent = False
    while True:
        try:
            answer = principal.ask(request)
            return Triggered(command.workflow_id, checked(answer["workflow_instance_id"], str))
        except UnreachableError as error:
            is_sent |= error.was_asked
            if not is_sent:
                raise
            if time.monotonic() >= deadline:
                why = f"No answer on starting {command.workflow_id}: it may run all the same, see its runs; {error}"
                return Told(why, bad=True)
            time.sleep(RETRY_S)
        except RefusedError:
            if command.params or abilities(principal.ask).has("TRIGGER"):
                raise
            principal.ask(p.RunTask(command.workflow_id))
            return Triggered(command.workflow_id, "")


def _paused(principal: Principal, command: SetPaused) -> Event:
    kind = p.Pause if command.paused else p.Resume
    principal.ask(kind(command.workflow_id))
    return Told(f"{command.workflow_id} is {'paused' if command.paused else 'resumed'}")


def _reloaded(principal: Principal) -> Event:
    answer = principal.ask(p.Reload(), RELOAD_S)
    changes = [f"{len(answer[what])} {what}" for what in ("added", "changed", "removed") if answer[what]]
    found = ", ".join(changes) or "nothing changed"
    wrong = len(answer["problems"])
    return Told(f"Folder read: {found}" + (f"; {plural(wrong, 'problem')}" if wrong else ""), bad=bool(wrong))


def _saved(principal: Principal, command: SaveLogs, drafts: Drafts, tell: Tell) -> Event:
    """The lines are in the file when all of them are, and not before."""
    path = Path(command.path)
    try:
        path = _expanded(path)
        # Where a link leads to, so that it still leads there.
        target = Path(os.path.realpath(path))
        if path.is_dir():
            return Told(f"{path} is a folder; name a file in it", bad=True)
        if path.exists() and not path.is_file():
            return Told(f"{path} is no file that can be replaced; name another", bad=True)
        if not command.replace and path.exists():
            return Exists(command)
        beside = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
        with drafts.new(beside) as file:
            count = _write(principal, command, file, tell)
            file.flush()
            os.replace(beside, target)
    except OSError as error:
        return Told(f"{path} cannot be written: {error.strerror}", bad=True)
    return Told(f"{plural(count, 'line')} saved in {path}")


def _expanded(path: Path) -> Path:
    """With the home that it begins with; as it is where nobody of that name is known."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _write(principal: Principal, command: SaveLogs, file: TextIO, tell: Tell) -> int:
    count = 0
    for lines in principal.pages(p.ListLogs(**request_of(command.query), limit=SAVED_AT_ONCE)):
        if count:
            tell(Saving(command, count))
        for line in lines:
            record = LogRecord(*(line[name] for name in LogRecord._fields))
            file.write(f"{printable(format_log(record, command.verbose))}\n")
        count += len(lines)
    return count
