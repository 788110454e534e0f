"""The drawing thread: waits for keys and news, lets `update` decide, and paints what `render` makes of it.

It never waits for anything else. Signals, and the threads of the feed, wake it through a pipe.
"""

import math
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from queue import Empty, Queue
from types import FrameType

from cdktr.client import Principal
from cdktr.process import stop_signals
from cdktr.tui.feed.feed import Feed
from cdktr.tui.feed.logs import Listen
from cdktr.tui.screen.decode import Decoder, Mouse, Paste
from cdktr.tui.screen.terminal import Terminal
from cdktr.tui.state import commands as c
from cdktr.tui.state.events import Click, Event, Key, Pasted, Resize, Tick, Told, Wheel
from cdktr.tui.state.model import State
from cdktr.tui.state.update import update
from cdktr.tui.state.wants import Want, stored, wants
from cdktr.tui.view.canvas import Frame
from cdktr.tui.view.render import render

#: Seconds after which an ESC that nothing followed is the key, not the beginning of another.
ESC_S = 0.03

#: Seconds between two frames that nobody pressed a key for.
FRAME_S = 0.05

#: Events of the feed that are taken before keys are looked at again.
TURN = 100

#: Events that wait at most: while a terminal takes nothing, what comes waits where it comes from.
MOST_NEWS = 20

#: What a terminal calls the buttons: the left one, and the wheel.
_LEFT, _WHEEL = 0, {64: -1, 65: 1}


def endings() -> list[signal.Signals]:
    """The signals that end it, the terminal given back: also the one that leaves a core of other programs."""
    return [*stop_signals(), signal.SIGQUIT]


def run(principal: Principal, listen: Listen, address: str, version: str, interval_s: float) -> signal.Signals | None:
    """The terminal UI on a principal, until somebody quits; the signal that ended it, if one did.

    Raises SettingError for a terminal that cannot be used.
    """
    terminal = Terminal()
    state = State(address, version, *terminal.size, time.time(), terminal.look)
    return Loop(terminal, state, lambda tell: Feed(principal, listen, interval_s, tell)).run()


MakeFeed = Callable[[Callable[[Event | BaseException], None]], Feed]


class Loop:
    """One terminal UI. `make_feed` is given what tells this thread of an event."""

    def __init__(self, terminal: Terminal, state: State, make_feed: MakeFeed) -> None:
        self._terminal = terminal
        self._state = state
        self._frame = Frame((), ())
        self._decoder = Decoder()
        self._news: Queue[Event | BaseException] = Queue(MOST_NEWS)
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        self._feed = make_feed(self._tell)
        self._wanted: tuple[tuple[Want, ...], frozenset[Want]] = (), frozenset()
        self._signals: set[int] = set()
        self._is_over = False
        #: When the next frame is due, if one is; when the last was painted.
        self._due = 0.0
        self._painted = 0.0

    def run(self) -> signal.Signals | None:
        """Until somebody quits; the signal that ended it, if one did. Whatever else ends it is raised."""
        before = {number: signal.getsignal(number) for number in self._handled()}
        wake_up = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        try:
            self._reopen()
            self._feed.start()
            while not self._is_over:
                self._turn()
        finally:
            self._terminal.close()
            self._feed.end()
            signal.set_wakeup_fd(wake_up)
            for number, handler in before.items():
                signal.signal(number, handler)
        return next((number for number in endings() if number in self._signals), None)

    # Being woken.

    def _tell(self, event: Event | BaseException) -> None:
        """From any thread but the drawing one, which would wait for itself."""
        self._news.put(event)
        try:
            os.write(self._waker, b"\0")
        except BlockingIOError:
            # There is enough in it to wake up.
            pass

    @staticmethod
    def _handled() -> list[signal.Signals]:
        return [*endings(), signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT]

    def _handle_signals(self) -> None:
        for number in self._handled():
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, _: FrameType | None) -> None:
        self._signals.add(number)
        if number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            # A terminal that takes nothing more holds this thread: the second one ends the process.
            signal.signal(number, signal.SIG_DFL)

    # One turn.

    def _turn(self) -> None:
        ready, _, _ = select.select([self._terminal.input, self._woken], [], [], self._pause())
        if self._woken in ready:
            os.read(self._woken, 4096)
        self._obey_signals()
        is_urgent = self._take_keys(self._terminal.input in ready)
        self._take_news()
        if self._is_over:
            return
        now = time.time()
        if math.floor(now) != math.floor(self._state.now):
            self._take(Tick(now))
            if self._terminal.is_outgrown:
                # While it was opened, nobody was told.
                self._resize()
        self._say_wants()
        self._paint(is_urgent)

    def _say_wants(self) -> None:
        found = wants(self._state)
        wanted = found, frozenset(want for want in found if not stored(self._state.data, want))
        if wanted != self._wanted:
            self._wanted = wanted
            self._feed.want(*wanted)

    def _pause(self) -> float:
        """Seconds until something is to be done though nothing happens."""
        pauses = [1.0 - time.time() % 1.0]
        if self._due:
            pauses.append(self._due - time.monotonic())
        if self._decoder.is_waiting:
            pauses.append(ESC_S)
        return max(min(pauses), 0.0) if self._news.empty() else 0.0

    def _obey_signals(self) -> None:
        caught = set(self._signals)
        if caught & set(endings()):
            self._is_over = True
            return
        self._signals -= caught
        if signal.SIGTSTP in caught:
            self._suspend()
        elif signal.SIGCONT in caught:
            # Whoever continued us may have used the terminal meanwhile.
            self._terminal.close()
            self._reopen()
        elif signal.SIGWINCH in caught:
            self._resize()

    def _resize(self) -> None:
        self._terminal.resize()
        self._resume()

    def _suspend(self) -> None:
        """Give the terminal back and stop, until somebody continues us."""
        self._terminal.close()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        self._reopen()
        self._signals.discard(signal.SIGCONT)

    def _reopen(self) -> None:
        self._terminal.open()
        self._resume()

    def _resume(self) -> None:
        self._handle_signals()
        self._take(Resize(*self._terminal.size))
        self._due = time.monotonic()

    def _take_keys(self, is_ready: bool) -> bool:
        """Whether something was typed."""
        if is_ready:
            data = self._terminal.read()
            if not data:
                self._is_over = True
            found = self._decoder.feed(data)
        else:
            found = self._decoder.flush() if self._decoder.is_waiting else []
        for each in found:
            event: Event | None
            match each:
                case Mouse():
                    event = self._pointed(each)
                case Paste(text):
                    event = Pasted(text)
                case _:
                    event = Key(each)
            if event is not None:
                self._take(event)
        return bool(found)

    def _pointed(self, mouse: Mouse) -> Event | None:
        """What is under the mouse, where the last frame has something."""
        zones = (z for z in reversed(self._frame.zones) if z.y == mouse.y and z.x <= mouse.x < z.x + z.width)
        zone = next(zones, None)
        if mouse.button in _WHEEL:
            return Wheel(zone.target if zone else "", _WHEEL[mouse.button])
        return Click(zone.target, zone.key) if zone and mouse.button == _LEFT else None

    def _take_news(self) -> None:
        for _ in range(TURN):
            try:
                event = self._news.get_nowait()
            except Empty:
                return
            if isinstance(event, BaseException):
                raise event
            self._take(event)

    def _take(self, event: Event) -> None:
        before = self._state
        self._state, commands = update(before, event)
        self._obey(commands)
        if self._state is not before and not self._due:
            self._due = max(time.monotonic(), self._painted + FRAME_S)

    def _obey(self, commands: Iterable[c.Command]) -> None:
        for command in commands:
            match command:
                case c.Quit():
                    self._is_over = True
                case c.Redraw():
                    self._terminal.redraw()
                case c.SetMouse(on):
                    self._terminal.set_mouse(on)
                case c.Copy(text):
                    if not self._terminal.copy(text):
                        self._take(Told(f"{text} (this terminal has no clipboard for it)", bad=True))
                case _:
                    self._feed.do(command)

    def _paint(self, is_urgent: bool) -> None:
        if not self._due or not (is_urgent or time.monotonic() >= self._due):
            return
        self._frame = render(self._state)
        self._terminal.paint(self._frame)
        self._due, self._painted = 0.0, time.monotonic()
