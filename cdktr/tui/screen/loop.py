"""The loop: what happens changes the state, the state is drawn, commands are carried out. It waits for nothing else."""

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from cdktr.tui.feed.feed import Connect, Feed
from cdktr.tui.feed.logs import Listen
from cdktr.tui.screen.terminal import Terminal, check, look
from cdktr.tui.state.commands import Command, Copy, Quit, Redraw, SetMouse
from cdktr.tui.state.events import Event, Key, Resize, Tick
from cdktr.tui.state.model import State
from cdktr.tui.state.update import update
from cdktr.tui.state.wants import Want, wants
from cdktr.tui.view.render import render

#: Times in a row that there is something to read on the terminal and yet nothing, after which it is gone.
GONE = 200

#: Seconds between two ticks: what is counted on the screen counts seconds.
TICK_S = 1.0


def run(address: str, version: str, connect: Connect, listen: Listen, poll_s: float) -> None:
    """Until somebody quits, or a signal says so. Raises SettingError for a terminal that cannot be used."""
    check()
    Loop(State(address=address, version=version, now=time.time(), look=look()), connect, listen, poll_s).run()


class Loop:
    """One terminal, one principal."""

    def __init__(self, state: State, connect: Connect, listen: Listen, poll_s: float) -> None:
        self._state = state
        self._inbox: SimpleQueue[Event | Exception] = SimpleQueue()
        #: Written to by whoever has something for the loop; a byte is enough however much there is.
        self._ear, self._bell = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._bell, False)
        self._terminal = Terminal(state.look)
        self._feed = Feed(connect, listen, poll_s, self._post)
        self._wants: tuple[Want, ...] = ()
        self._ends = False
        #: There is something to read on the terminal; how often in a row that was nothing.
        self._is_ready = False
        self._nothing = 0
        self._resized = False
        self._stopped = False

    def _post(self, event: Event | Exception) -> None:
        self._inbox.put(event)
        self._ring()

    def _ring(self) -> None:
        try:
            os.write(self._bell, b"!")
        except BlockingIOError:
            # It rings already.
            pass

    def run(self) -> None:
        """Until the end."""
        with self._signals():
            try:
                width, height = self._terminal.open()
                self._apply(Resize(width, height))
                self._feed.start()
                while not self._ends:
                    self._show()
                    self._wait()
                    self._take()
            finally:
                self._terminal.close()
                self._feed.close()

    def _show(self) -> None:
        wanted = wants(self._state)
        if wanted != self._wants:
            self._wants = wanted
            self._feed.want(wanted)
        self._terminal.paint(render(self._state))

    def _wait(self) -> None:
        left = self._state.now + TICK_S - time.time()
        ready = select.select([0, self._ear], [], [], max(0.0, min(left, TICK_S)))[0]
        self._is_ready = 0 in ready

    def _take(self) -> None:
        """Everything that has happened, in its order."""
        try:
            os.read(self._ear, 4096)
        except BlockingIOError:
            pass
        self._take_signals()
        now = time.time()
        if not 0 <= now - self._state.now < TICK_S:
            self._apply(Tick(now))
        found = self._terminal.events()
        self._nothing = self._nothing + 1 if self._is_ready and not found else 0
        self._ends = self._ends or self._nothing > GONE
        for event in found:
            self._apply(event)
        # Not more than there are now: a flood of them must not keep the screen from being drawn.
        for _ in range(self._inbox.qsize()):
            try:
                posted = self._inbox.get_nowait()
            except Empty:
                break
            if isinstance(posted, Exception):
                raise posted
            self._apply(posted)

    def _take_signals(self) -> None:
        if self._resized:
            self._resized = False
            self._apply(Resize(*self._terminal.open()))
        if self._stopped:
            self._stopped = False
            self._terminal.redraw()

    def _apply(self, event: Event) -> None:
        self._state, commands = update(self._state, event)
        for command in commands:
            self._do(command)

    def _do(self, command: Command) -> None:
        match command:
            case Quit():
                self._ends = True
            case Redraw():
                self._terminal.redraw()
            case SetMouse():
                self._terminal.set_mouse(command.on)
            case Copy():
                self._terminal.copy(command.text)
            case _:
                self._feed.do(command)

    # Signals.

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ours, and afterwards those that were there. Each rings, so that the wait is over."""
        handlers: dict[signal.Signals, Callable[[int, FrameType | None], Any]] = {
            signal.SIGTERM: self._on_end,
            signal.SIGHUP: self._on_end,
            signal.SIGINT: self._on_interrupt,
            signal.SIGWINCH: self._on_resize,
            signal.SIGCONT: self._on_continue,
        }
        before = {each: signal.getsignal(each) for each in handlers}
        old_fd = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        for each, ours in handlers.items():
            signal.signal(each, ours)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for each, handler in before.items():
                signal.signal(each, handler)

    def _on_end(self, *_: object) -> None:
        self._ends = True

    def _on_interrupt(self, *_: object) -> None:
        self._inbox.put(Key("ctrl-c"))

    def _on_resize(self, *_: object) -> None:
        self._resized = True

    def _on_continue(self, *_: object) -> None:
        self._stopped = True
