"""The terminal through asciimatics' low-level screen, of which only what has changed is written.

asciimatics takes some things for granted that old terminals do not have, prints the delays of their sequences, and does
not tell of the mouse's wheel: that is seen to here.
"""

import base64
import curses
import locale
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from asciimatics.screen import Screen

from cdktr.errors import SettingError
from cdktr.text import width
from cdktr.tui.screen.styles import ink
from cdktr.tui.state.events import Click, Event, Key, Wheel
from cdktr.tui.state.model import Look
from cdktr.tui.view.canvas import Frame, Row

#: The descriptor of the terminal.
STDOUT = 1

#: Milliseconds after an Esc in which the rest of the sequence of a key comes.
ESC_MS = 30

#: Tried for a terminal that is not known here: almost all of today's do what this one does.
FALLBACK = "xterm"

#: Terminals with ASCII alone, by the beginnings of their names; and those with the characters of old PCs.
_ASCII = ("vt", "ansi", "cons25", "sun", "pcansi")
_CONSOLES = ("linux",)

#: Delays in terminfo's sequences, for terminals of another age.
_DELAY = re.compile(rb"\$<[0-9.]+[*/]*>")

_KEYS: dict[str | int, str] = {
    "\n": "enter",
    "\r": "enter",
    "\t": "tab",
    "\x1b": "esc",
    "\x7f": "backspace",
    "\x08": "backspace",
    curses.KEY_ENTER: "enter",
    curses.KEY_UP: "up",
    curses.KEY_DOWN: "down",
    curses.KEY_LEFT: "left",
    curses.KEY_RIGHT: "right",
    curses.KEY_PPAGE: "pgup",
    curses.KEY_NPAGE: "pgdn",
    curses.KEY_HOME: "home",
    curses.KEY_END: "end",
    curses.KEY_BACKSPACE: "backspace",
    curses.KEY_DC: "delete",
    curses.KEY_BTAB: "backtab",
    **{curses.KEY_F0 + number: f"f{number}" for number in range(1, 13)},
}

_CLICKS = curses.BUTTON1_PRESSED | curses.BUTTON1_CLICKED
_WHEELS = {curses.BUTTON4_PRESSED: -1, curses.BUTTON5_PRESSED: 1}

#: Bytes of the longest text that terminals take into their clipboards.
LONGEST_COPY = 50_000

#: Keys that are taken at once; more are taken after the next frame.
MOST_KEYS = 500


def check() -> None:
    """Raises SettingError for a terminal that nothing can be drawn on; one that is not known is taken for another."""
    name = os.environ.get("TERM", "")
    try:
        curses.setupterm(name or "unknown", STDOUT)
    except curses.error:
        os.environ["TERM"] = FALLBACK
        curses.setupterm(FALLBACK, STDOUT)
    if not curses.tigetstr("cup") or not curses.tigetstr("clear"):
        raise SettingError(
            f"The terminal type {name!r} cannot place text, which cdktr ui needs; set TERM, for example to xterm, "
            "or use `cdktr status` and `cdktr task list`"
        )


def look() -> Look:
    """What the terminal can show, after `check`."""
    name = os.environ.get("TERM", "")
    unicode = _is_utf8() and not name.startswith(_ASCII)
    colour = curses.tigetnum("colors") >= 8 and not os.environ.get("NO_COLOR")
    return Look(unicode, name.startswith(_CONSOLES), colour)


def _is_utf8() -> bool:
    """What the locale says: that of the user, for which Python may have put another one in the environment."""
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    try:
        pairs = (pair.partition(b"=") for pair in Path("/proc/self/environ").read_bytes().split(b"\0"))
        found = {name.decode("ascii", "replace"): value.decode("ascii", "replace") for name, _, value in pairs}
    except OSError:
        found = dict(os.environ)
    value = next((found[name] for name in names if found.get(name)), "")
    return "utf-8" in value.lower() or "utf8" in value.lower()


@contextmanager
def _forgiving() -> Iterator[None]:
    """While asciimatics starts: what a terminal lacks is nothing, and sequences have no delays in them."""
    get, hide = curses.tigetstr, curses.curs_set

    def tigetstr(name: str) -> bytes:
        return _DELAY.sub(b"", get(name) or b"")

    def curs_set(visibility: int) -> int:
        try:
            return hide(visibility)
        except curses.error:
            return visibility

    curses.tigetstr, curses.curs_set = tigetstr, curs_set
    if not hasattr(curses, "COLORS"):
        # What curses sets on a terminal with colours.
        setattr(curses, "COLORS", 0)  # noqa: B010
    try:
        yield
    finally:
        curses.tigetstr, curses.curs_set = get, hide


class Terminal:
    """The terminal, ours from `open` to `close`."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._screen: Any = None
        self._rows: tuple[Row, ...] = ()
        self._frame: Frame | None = None

    def open(self) -> tuple[int, int]:
        """Take it; columns and rows. Again after its size has changed."""
        with suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, "")
        curses.set_escdelay(ESC_MS)
        size = os.get_terminal_size(STDOUT)
        if self._screen is not None:
            self._screen.close(restore=False)
            curses.resizeterm(max(size.lines, 1), max(size.columns, 1))
        with _forgiving():
            self._screen = Screen.open(unicode_aware=self._look.unicode)
        # Signals are the loop's affair: asciimatics would start curses anew in the middle of anything.
        self._screen._signal_state.restore()
        if not self._look.colour:
            self._screen._fg_color = self._screen._bg_color = b""
            self._screen._default_colours = ""
        _sparing(self._screen)
        self._colours = self._screen.colours if self._look.colour else 0
        curses.mouseinterval(0)
        self.set_mouse(self._look.mouse)
        self.redraw()
        return self._screen.width, self._screen.height

    def set_mouse(self, on: bool) -> None:
        """Have clicks and the wheel reported, or leave all of the mouse to the terminal."""
        wanted = _CLICKS
        for wheel in _WHEELS:
            wanted |= wheel
        curses.mousemask(wanted if on else 0)

    def redraw(self) -> None:
        """Write everything with the next frame, on an empty screen."""
        self._rows = ()
        self._screen.clear()
        self._screen.force_update(full_refresh=True)

    def paint(self, frame: Frame) -> None:
        """Write what differs from the last frame."""
        self._frame = frame
        changed = False
        for y, row in enumerate(frame.rows[: self._screen.height]):
            if y < len(self._rows) and self._rows[y] == row:
                continue
            changed = True
            x = 0
            for span in row:
                self._screen.print_at(span.text, x, y, *ink(span.style, span.lit, self._colours))
                x += width(span.text)
        self._rows = frame.rows
        if changed:
            self._screen.refresh()

    def events(self) -> list[Event]:
        """The keys and clicks that came; does not wait."""
        found: list[Event] = []
        while len(found) < MOST_KEYS:
            try:
                key = self._screen._screen.get_wch()
            except curses.error:
                break
            event = self._mouse() if key == curses.KEY_MOUSE else _key(key)
            if event is not None:
                found.append(event)
        return found

    def _mouse(self) -> Event | None:
        try:
            _, x, y, _, state = curses.getmouse()
        except curses.error:
            return None
        for button, by in _WHEELS.items():
            if state & button:
                return Wheel("row", by)
        if not state & _CLICKS or self._frame is None:
            return None
        # What was drawn last lies on top.
        for zone in reversed(self._frame.zones):
            if zone.y == y and zone.x <= x < zone.x + zone.width:
                return Click(zone.target, zone.key)
        return None

    def copy(self, text: str) -> None:
        """Hand a text to the clipboard of a terminal that may have one; others might show the sequence."""
        if not os.environ.get("TERM", "").startswith(_ASCII + _CONSOLES):
            coded = base64.b64encode(text.encode("utf-8", "replace")[:LONGEST_COPY]).decode()
            sys.stdout.write(f"\x1b]52;c;{coded}\x07")
            sys.stdout.flush()

    def close(self) -> None:
        """Give it back as it was."""
        if self._screen is None:
            return
        screen, self._screen = self._screen, None
        try:
            self._undo(screen)
        except OSError:
            # It is gone.
            pass
        finally:
            screen.close()

    @staticmethod
    def _undo(screen: Any) -> None:
        curses.mousemask(0)
        # Cleared, as not every terminal has another screen to go back to, or goes back to it as it was.
        sys.stdout.write(screen._a_normal + (screen._default_colours or "") + screen._clear_screen)
        sys.stdout.flush()


def _sparing(screen: Any) -> None:
    """Write a change of ink only where there is one: asciimatics writes the default colours before each character."""
    change = screen._change_colours
    last: tuple[int, ...] = ()

    def changed(*ink: int) -> None:
        nonlocal last
        # After a clear it knows nothing of what is on.
        if last != ink or screen._attr is None:
            change(*ink)
            last = ink

    screen._change_colours = changed


def _key(key: str | int) -> Event | None:
    name = _KEYS.get(key)
    if name is not None:
        return Key(name)
    if isinstance(key, int):
        return None
    if len(key) == 1 and ord(key) < 32:
        return Key(f"ctrl-{chr(ord(key) + 96)}")
    return Key(key)
