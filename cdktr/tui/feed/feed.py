"""The threads: some keep fresh what is wanted (`poll`), one does what was asked for, and log lines have their own
(`logs`).

A request may take as long as the time-out of a dead network: it holds up its thread and nothing else.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from cdktr.client import Principal
from cdktr.tui.feed.actions import Drafts, perform
from cdktr.tui.feed.logs import Listen, Pages, Tail
from cdktr.tui.feed.poll import Board, Emit, Front, Lane, Wanted
from cdktr.tui.state import commands as c
from cdktr.tui.state.wants import OwnLog, Want


class Feed:
    """`interval_s` is how often the principal is asked how it is."""

    def __init__(self, principal: Principal, listen: Listen, interval_s: float, emit: Emit) -> None:
        self._principal = principal
        self._emit = emit
        self._board = Board()
        self._front = Front(principal, interval_s, self._board, emit)
        self._wanted = [Wanted(principal, lane, self._board, emit) for lane in Lane]
        self._pages = Pages(principal, emit)
        self._tail = Tail(principal, listen, emit)
        self._drafts = Drafts()
        self._asked: SimpleQueue[c.Trigger | c.SetPaused | c.ReloadFolder] = SimpleQueue()

    def start(self) -> None:
        """Start the threads; they end with the process."""
        for work in (self._front.run, *(each.run for each in self._wanted), self._pages.run, self._do_actions):
            spawn(work, self._emit)

    def end(self) -> None:
        """Leave nothing half done on the disk: the process is about to end."""
        self._drafts.drop()

    def want(self, wants: tuple[Want, ...], missing: frozenset[Want]) -> None:
        """From now on, this is kept fresh; of what is missing, nothing is known yet, or any more."""
        self._board.want(wants, missing)
        if OwnLog() in wants:
            # Beside it stands what is not told otherwise.
            self._front.hurry()

    def do(self, command: c.Command) -> None:
        """Have something done; what comes of it is told."""
        match command:
            case c.Refresh():
                self._front.hurry(everything=True)
            case c.FetchLogs():
                self._pages.fetch(command)
            case c.FollowLogs():
                self._tail.follow(command)
            case c.StopLogs():
                self._tail.stop()
            case c.SaveLogs():
                # Of a long log it takes long.
                spawn(lambda: perform(self._principal, command, self._drafts, self._emit), self._emit)
            case c.Trigger() | c.SetPaused() | c.ReloadFolder():
                self._asked.put(command)

    def _do_actions(self) -> None:
        while True:
            perform(self._principal, self._asked.get(), self._drafts, self._emit)
            self._front.hurry()


def spawn(work: Callable[[], None], emit: Emit) -> None:
    """A thread whose failure is that of the drawing thread."""

    def run() -> None:
        try:
            work()
        except BaseException as error:
            emit(error)

    threading.Thread(target=run, name="feed", daemon=True).start()
