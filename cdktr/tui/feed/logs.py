"""Log lines: pages of what is stored, and those that come.

They come by the same request as the pages, which rests until there is one: each line has its number, so that there is
neither a gap nor a line twice between what was stored and what is new, over restarts of the principal as well. What is
published has no numbers, and leaves out lines for whoever is slow. It is listened to while the principal's database is
in trouble, when there are no numbers yet: shown as not stored, and given up for the numbered lines once these come.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from cdktr import protocol as p
from cdktr.caller import Subscriber
from cdktr.client import QUERY_S, Principal
from cdktr.errors import CdktrError, ProtocolError, UnreachableError
from cdktr.frames import decode_log
from cdktr.messages import SEPARATOR
from cdktr.tui.feed.ask import understood
from cdktr.tui.feed.checked import checked
from cdktr.tui.state.commands import FetchLogs, FollowLogs
from cdktr.tui.state.events import Event, LogNews, LogPage, LogsFailed
from cdktr.tui.state.facts import LogLine, log_line_of
from cdktr.tui.state.logquery import PAGE, LogQuery, Place

#: Milliseconds that a request for new lines rests at the principal: one that nobody wants any more ends that late.
REST_MS = 5_000

#: Seconds between two portions of new lines: more often nobody reads them.
PACE_S = 0.1

#: Seconds of listening between two looks whether the database is well again, and of one wait for a line meanwhile.
LISTEN_S = 1.0
HEAR_S = 0.2

#: Seconds until a principal that is away is asked again.
RETRY_S = 1.0

Tell = Callable[[Event | BaseException], None]

#: Listens to what is published on a port and begins with a topic.
Listen = Callable[[int, bytes], Subscriber]


def request_of(query: LogQuery) -> dict[str, Any]:
    """The arguments of LSLOGS for a selection."""
    return {
        "workflow_id": query.workflow_id,
        "workflow_instance_id": query.run_id,
        "task_name": query.task_name,
        "level": query.level,
        "start_ms": query.start_ms,
        "end_ms": query.end_ms,
    }


def _lines(answer: dict[str, Any]) -> tuple[LogLine, ...]:
    return checked(tuple(map(log_line_of, answer["lines"])), tuple[LogLine, ...])


def _trouble(answer: dict[str, Any]) -> str:
    return checked(answer.get("trouble") or "", str)


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


class Pages:
    """Fetches pages, one after the other; of those that wait, only the last is still wanted."""

    def __init__(self, principal: Principal, tell: Tell) -> None:
        self._principal = principal
        self._tell = tell
        self._waiting = threading.Condition()
        self._wanted: FetchLogs | None = None

    def fetch(self, command: FetchLogs) -> None:
        """Have this one fetched next."""
        with self._waiting:
            self._wanted = command
            self._waiting.notify()

    def run(self) -> None:
        """For ever."""
        while True:
            self._tell(self.one())

    def one(self) -> LogPage | LogsFailed:
        """The page that is wanted, or why it cannot be had; waits until one is."""
        with self._waiting:
            while self._wanted is None:
                self._waiting.wait()
            command, self._wanted = self._wanted, None
        try:
            with understood():
                return self._page(command)
        except CdktrError as error:
            return LogsFailed(command.number, str(error))

    def _page(self, command: FetchLogs) -> LogPage:
        base = p.ListLogs(**request_of(command.query), limit=PAGE)
        sequence = command.sequence
        match command.place:
            case Place.TAIL:
                return self._told(command, replace(base, tail=True))
            case Place.HEAD:
                return self._told(command, base)
            case Place.BEFORE:
                return self._told(command, replace(base, before=sequence, tail=True))
            case Place.AFTER:
                return self._told(command, replace(base, after=sequence))
            case Place.MATCH_AFTER:
                match = replace(base, after=sequence, limit=1, contains=command.contains)
            case Place.MATCH_BEFORE:
                match = replace(base, before=sequence, limit=1, contains=command.contains, tail=True)
        return self._around(command, base, self._ask(match)["lines"])

    def _told(self, command: FetchLogs, request: p.ListLogs) -> LogPage:
        answer = self._ask(request)
        more, trouble = bool(answer["more"]), _trouble(answer)
        lines = _lines(answer)
        return LogPage(
            command.number, command.place, lines, bool(answer["full"]), more, trouble, None, command.sequence
        )

    def _around(self, command: FetchLogs, base: p.ListLogs, found: list[dict[str, Any]]) -> LogPage:
        """The lines before and after a match; no lines where there is none."""
        if not found:
            return LogPage(command.number, command.place, (), full=False, sequence=command.sequence)
        sequence = found[0]["sequence"]
        before = self._ask(replace(base, before=sequence, tail=True, limit=PAGE // 2))
        after = self._ask(replace(base, after=sequence - 1, limit=PAGE // 2))
        lines = _lines(before) + _lines(after)
        return LogPage(command.number, command.place, lines, True, found=sequence, sequence=command.sequence)

    def _ask(self, request: p.ListLogs) -> dict[str, Any]:
        return dict(self._principal.ask(request, QUERY_S))


class Tail:
    """Tells of new lines, until another selection is followed, or none."""

    def __init__(self, principal: Principal, listen: Listen, tell: Tell) -> None:
        self._principal = principal
        self._listen = listen
        self._tell = tell
        self._followed: FollowLogs | None = None

    def follow(self, command: FollowLogs) -> None:
        """Follow this from now on."""
        self._followed = command

        def run() -> None:
            try:
                self._follow(command)
            except BaseException as error:
                self._tell(error)

        threading.Thread(target=run, name="tail", daemon=True).start()

    def stop(self) -> None:
        """Follow nothing; a request that rests is left to end by itself."""
        self._followed = None

    def _follow(self, command: FollowLogs) -> None:
        base = p.ListLogs(**request_of(command.query), limit=PAGE)
        request = replace(base, after=command.after, wait_ms=REST_MS)
        more, trouble = True, ""
        # Who holds a key down goes from one selection to the next: each request would rest at the principal.
        time.sleep(PACE_S)
        # Listening goes on while the database is asked: what is published meanwhile waits.
        with ExitStack() as ears:
            ear: Subscriber | None = None
            while more and self._followed is command:
                try:
                    news, request = self._next(command, base, request)
                except UnreachableError:
                    # That the principal is away is told by whoever asks how it is.
                    time.sleep(RETRY_S)
                    continue
                except CdktrError as error:
                    # So that its end is told as well.
                    trouble = str(error)
                    self._say(command, LogsFailed(command.number, trouble))
                    time.sleep(RETRY_S)
                    continue
                more = news.open
                if news.lines or not more or news.trouble != trouble:
                    trouble = news.trouble
                    self._say(command, news)
                    time.sleep(PACE_S)
                if not trouble:
                    ears.close()
                    ear = None
                elif ear := ear or self._ear(command.query, ears):
                    self._hear(command, ear, trouble)

    def _ear(self, query: LogQuery, ears: ExitStack) -> Subscriber | None:
        """Listens to what is published of a selection, or None where that cannot be had now."""
        topic = f"{query.workflow_id}{SEPARATOR}" if query.workflow_id else ""
        try:
            with understood():
                port = int(self._principal.ask(p.Capabilities())["logs_publishing_port"])
            made = self._listen(port, topic.encode())
        except CdktrError:
            time.sleep(LISTEN_S)
            return None
        ears.callback(made.close)
        return made

    def _hear(self, command: FollowLogs, ear: Subscriber, trouble: str) -> None:
        """Tell for a while what is published."""
        until = time.monotonic() + LISTEN_S
        while time.monotonic() < until and self._followed is command:
            lines = (_heard(frame, command.query) for frame in ear.receive(HEAR_S))
            if heard := tuple(line for line in lines if line is not None):
                self._say(command, LogNews(command.number, (), trouble=trouble, heard=heard, turn=command.turn))

    def _say(self, command: FollowLogs, event: Event) -> None:
        if self._followed is command:
            self._tell(event)

    def _next(self, command: FollowLogs, base: p.ListLogs, request: p.ListLogs) -> tuple[LogNews, p.ListLogs]:
        """What is new, and what to ask for next. Raises CdktrError."""
        with understood():
            answer = self._principal.ask(request, REST_MS / 1000 + QUERY_S)
            jumped = bool(answer["full"])
            if jumped:
                # More than anybody reads: the newest are shown, and what is before them can be paged to.
                answer = self._principal.ask(replace(base, tail=True), QUERY_S)
            told = _lines(answer), jumped, bool(answer["more"]), _trouble(answer)
            news = LogNews(command.number, *told, turn=command.turn)
            # Also where there was no line: all up to there has been looked through.
            return news, replace(request, after=answer["next"])
