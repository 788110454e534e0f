"""Log lines: pages that are asked for, what comes after the last line, all of a selection into a file.

What comes is followed by LSLOGS, which rests until there is a line: lines have numbers, so none is left out and none
comes twice, also over a restart of the principal. The publishing socket has no numbers and leaves out lines for whoever
is slow, so it cannot be joined to the history without guessing. It is listened to while the principal's database is in
trouble, when nothing is stored and LSLOGS has nothing to tell: what is heard is shown as not stored, and given up for
the numbered lines as soon as these come.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from cdktr.caller import Subscriber
from cdktr.client import QUERY_S, Principal
from cdktr.errors import CdktrError, ProtocolError, UnreachableError
from cdktr.frames import decode_log
from cdktr.messages import SEPARATOR
from cdktr.protocol import Capabilities, ListLogs
from cdktr.records import LogRecord
from cdktr.text import format_log, plural, printable
from cdktr.tui.state.commands import FetchLogs, FollowLogs, SaveLogs
from cdktr.tui.state.events import Event, Exists, LogNews, LogPage, LogsFailed, Told
from cdktr.tui.state.facts import LogLine, log_line_of
from cdktr.tui.state.logquery import PAGE, LogQuery, Place

#: Milliseconds that a question for new lines rests at the principal; whoever stops following waits for it.
REST_MS = 5_000

#: Seconds of listening between two looks whether the database is well again, and of waiting for a line meanwhile.
LISTEN_S = 1.0
HEAR_S = 0.2

#: Seconds between two answers to who follows, and between two attempts to reach a principal that is away.
PAUSE_S = 0.2
RETRY_S = 0.5

#: Lines that are asked for at once to be saved.
SAVED_AT_ONCE = 5_000

#: Listens to what is published on a port, and begins with a topic.
Listen = Callable[[int, bytes], Subscriber]


def request_of(query: LogQuery, **more: Any) -> ListLogs:
    """The question for a part of a selection."""
    ids = (query.workflow_id, query.run_id, query.task_name)
    found = ListLogs(*ids, None, query.level, query.start_ms, query.end_ms, limit=PAGE)
    return replace(found, **more)


def _lines(page: Any) -> tuple[LogLine, ...]:
    return tuple(map(log_line_of, page["lines"]))


def fetch(principal: Principal, asked: FetchLogs) -> Event:
    """A page, or why there is none."""
    try:
        if asked.place in (Place.MATCH_AFTER, Place.MATCH_BEFORE):
            return _match(principal, asked)
        page = principal.ask(request_of(asked.query, **_place(asked)), QUERY_S)
        facts = (_lines(page), bool(page["full"]), bool(page["more"]), page.get("trouble") or "")
        return LogPage(asked.number, asked.place, *facts, sequence=asked.sequence)
    except CdktrError as error:
        return LogsFailed(asked.number, str(error))


def _place(asked: FetchLogs) -> dict[str, Any]:
    match asked.place:
        case Place.TAIL:
            return {"tail": True}
        case Place.BEFORE:
            return {"tail": True, "before": asked.sequence}
        case Place.AFTER:
            return {"after": asked.sequence}
    return {}


def _match(principal: Principal, asked: FetchLogs) -> Event:
    """The lines around the next one that holds what is searched for."""
    down = asked.place is Place.MATCH_AFTER
    where = {"after": asked.sequence} if down else {"before": asked.sequence, "tail": True}
    search = request_of(asked.query, contains=asked.contains, **where)
    found = principal.ask(replace(search, limit=1), QUERY_S)["lines"]
    if not found:
        return LogPage(asked.number, asked.place, (), full=False)
    at = found[0]["sequence"]
    before = principal.ask(request_of(asked.query, before=at + 1, tail=True, limit=PAGE // 2), QUERY_S)
    after = principal.ask(request_of(asked.query, after=at, limit=PAGE // 2), QUERY_S)
    return LogPage(asked.number, asked.place, _lines(before) + _lines(after), full=True, found=at)


class Follower:
    """Follows one selection, in a thread and over a connection of its own, until it is stopped or no more can come."""

    def __init__(self, principal: Principal, asked: FollowLogs, post: Callable[[Event], None], listen: Listen) -> None:
        self._principal = principal
        self._listen = listen
        self._ear: Subscriber | None = None
        self._asked = asked
        self._post = post
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Tell nothing more."""
        self._stopped.set()

    def run(self) -> None:
        """Tell of each line."""
        try:
            with self._principal:
                self._follow()
        finally:
            if self._ear is not None:
                self._ear.close()

    def _follow(self) -> None:
        after, trouble = self._asked.after, ""
        while not self._stopped.is_set():
            # In trouble it answers at once.
            wait_ms = 1 if trouble else REST_MS
            request = request_of(self._asked.query, after=after, limit=2 * PAGE, wait_ms=wait_ms)
            try:
                page = self._principal.ask(request, REST_MS / 1000)
                jumped = page["full"]
                if jumped:
                    # Nobody reads as fast as that: on with the newest.
                    page = self._principal.ask(request_of(self._asked.query, tail=True), QUERY_S)
            except (UnreachableError, ProtocolError):
                self._stopped.wait(RETRY_S)
                continue
            except CdktrError as error:
                self._tell(LogsFailed(self._asked.number, str(error)))
                self._stopped.wait(RETRY_S)
                continue
            lines, told = _lines(page), page.get("trouble") or ""
            after = lines[-1].sequence if lines else page["next"]
            more = bool(page["more"])
            if lines or told != trouble or not more:
                self._tell(LogNews(self._asked.number, lines, bool(jumped), more, told))
            trouble = told
            if not more:
                return
            if trouble:
                self._hear(trouble)
            else:
                self._stopped.wait(PAUSE_S)

    def _hear(self, trouble: str) -> None:
        """Tell for a while what is published."""
        query = self._asked.query
        try:
            if self._ear is None:
                port = self._principal.ask(Capabilities())["logs_publishing_port"]
                self._ear = self._listen(port, f"{query.workflow_id}{SEPARATOR}".encode() if query.workflow_id else b"")
        except (CdktrError, KeyError):
            self._stopped.wait(LISTEN_S)
            return
        until = time.monotonic() + LISTEN_S
        while time.monotonic() < until and not self._stopped.is_set():
            heard = tuple(line for frame in self._ear.receive(HEAR_S) if (line := _heard(frame, query)) is not None)
            if heard:
                self._tell(LogNews(self._asked.number, (), trouble=trouble, heard=heard))

    def _tell(self, event: Event) -> None:
        if not self._stopped.is_set():
            self._post(event)


def _heard(frame: bytes, query: LogQuery) -> LogLine | None:
    """The line of a published message, if it is asked for."""
    try:
        line = decode_log(frame)
    except ProtocolError:
        return None
    wanted = (query.workflow_id, query.run_id, query.task_name, query.level)
    found = (line.workflow_id, line.workflow_instance_id, line.task_name, line.level)
    if any(each not in (None, other) for each, other in zip(wanted, found, strict=True)):
        return None
    return LogLine(None, line.timestamp_ms, line.level, *line[:5], line.payload)


def save(principal: Principal, asked: SaveLogs) -> Event:
    """Write all lines of a selection to a file."""
    path = os.path.expanduser(asked.path)
    try:
        with open(path, "w" if asked.replace else "x", encoding="utf-8", errors="backslashreplace") as file:
            count = 0
            for lines in _pages(principal, asked.query):
                file.writelines(f"{printable(format_log(_record(line), asked.verbose))}\n" for line in lines)
                count += len(lines)
    except FileExistsError:
        return Exists(asked.path)
    except OSError as error:
        return Told(f"{asked.path} cannot be written: {error.strerror}", bad=True)
    except CdktrError as error:
        return Told(f"{asked.path} is not complete: {error}", bad=True)
    return Told(f"Saved {plural(count, 'line')} to {asked.path}")


def _pages(principal: Principal, query: LogQuery) -> Iterator[list[dict[str, Any]]]:
    return principal.pages(request_of(query, limit=SAVED_AT_ONCE))


def _record(line: dict[str, Any]) -> LogRecord:
    return LogRecord(*(line[name] for name in LogRecord._fields))
