"""The threads: one looks, one does, one fetches log lines, one follows them."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from cdktr import protocol as p
from cdktr.client import Principal
from cdktr.errors import CdktrError
from cdktr.text import plural
from cdktr.tui.feed.logs import Follower, Listen, fetch, save
from cdktr.tui.feed.poller import Poller
from cdktr.tui.state.commands import (
    Command,
    FetchLogs,
    FollowLogs,
    Refresh,
    ReloadFolder,
    SaveLogs,
    StopLogs,
    Trigger,
)
from cdktr.tui.state.events import Event, Told, Triggered
from cdktr.tui.state.wants import Want

#: Seconds that a folder of ten thousand files may take to be read.
RELOAD_S = 60.0

#: Seconds that the end waits for a thread; one that is in a request ends with the process.
JOIN_S = 0.2

Connect = Callable[[], Principal]


class Feed:
    """`connect` makes a connection, `listen` one to what is published.

    `post` takes events from any thread, and the error of a thread that died of one. Its own methods never wait.
    """

    def __init__(
        self, connect: Connect, listen: Listen, poll_s: float, post: Callable[[Event | Exception], None]
    ) -> None:
        self._connect = connect
        self._listen = listen
        self._post = post
        self._poller = Poller(connect(), poll_s, post)
        self._errands: SimpleQueue[Trigger | ReloadFolder | SaveLogs | None] = SimpleQueue()
        self._pages: SimpleQueue[FetchLogs | None] = SimpleQueue()
        #: The number of the selection of log lines that is looked at; pages of others are not worth asking for.
        self._number = -1
        self._follower: Follower | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """From now on."""
        for name, work in (("poller", self._poller.run), ("errands", self._run_errands), ("pages", self._run_pages)):
            self._start(name, work)

    def _start(self, name: str, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception as error:
                self._post(error)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]

    def want(self, wants: tuple[Want, ...]) -> None:
        """What the screen shows now."""
        self._poller.want(wants)

    def do(self, command: Command) -> None:
        """Have something done."""
        match command:
            case Refresh():
                self._poller.refresh()
            case Trigger() | ReloadFolder() | SaveLogs():
                self._errands.put(command)
            case FetchLogs():
                self._number = command.number
                self._pages.put(command)
            case FollowLogs():
                self._stop_following()
                self._follower = Follower(self._connect(), command, self._post, self._listen)
                self._start("follower", self._follower.run)
            case StopLogs():
                self._stop_following()

    def _stop_following(self) -> None:
        if self._follower is not None:
            self._follower.stop()
            self._follower = None

    def close(self) -> None:
        """End, without waiting for a principal that does not answer."""
        self._poller.stop()
        self._stop_following()
        self._errands.put(None)
        self._pages.put(None)
        for thread in self._threads:
            thread.join(JOIN_S / len(self._threads))

    # In the threads.

    def _run_pages(self) -> None:
        with self._connect() as principal:
            while (asked := self._pages.get()) is not None:
                if asked.number == self._number:
                    self._post(fetch(principal, asked))

    def _run_errands(self) -> None:
        with self._connect() as principal:
            while (asked := self._errands.get()) is not None:
                try:
                    self._post(self._errand(principal, asked))
                except CdktrError as error:
                    self._post(Told(str(error), bad=True))

    def _errand(self, principal: Principal, asked: Trigger | ReloadFolder | SaveLogs) -> Event:
        if isinstance(asked, SaveLogs):
            return save(principal, asked)
        if isinstance(asked, ReloadFolder):
            return _reloaded(principal.ask(p.Reload(), RELOAD_S))
        if not self._poller.knows("TRIGGER"):
            principal.ask(p.RunTask(asked.workflow_id))
            return Triggered(asked.workflow_id, "")
        answer = principal.ask(p.Trigger(asked.workflow_id, dict(asked.params)))
        return Triggered(asked.workflow_id, answer["workflow_instance_id"] or "")


def _reloaded(answer: dict[str, list[str]]) -> Told:
    counts = [f"{len(answer[what])} {what}" for what in ("added", "changed", "removed") if answer[what]]
    if answer["problems"]:
        counts.append(plural(len(answer["problems"]), "problem"))
    return Told(f"Folder read: {', '.join(counts) or 'nothing changed'}", bad=bool(answer["problems"]))
