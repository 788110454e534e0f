"""The terminal itself: opened, painted, listened to, and given back as it was."""

import base64
import curses
import locale
import os
import signal
import sys
import termios
from pathlib import Path
from typing import Any

from asciimatics.screen import Screen

from cdktr.errors import SettingError
from cdktr.text import width
from cdktr.tui.screen.scroll import Scroll, moved, scroll
from cdktr.tui.screen.styles import look_of, looks
from cdktr.tui.state.model import Look
from cdktr.tui.view.canvas import Frame, Row

#: What asciimatics cannot do without; without the first, nobody can.
_NEEDED = ("cup", "clear", "el", "ri", "ind", "sgr0", "bold", "rev", "smul", "civis")

#: What moves rows: where, up, down; and by several at once, where it can.
_MOVES = ("csr", "ind", "ri", "indn", "rin")

#: What such a terminal most likely obeys, and what one of an unknown name does.
_PLAIN, _COMMON = "vt220", "xterm"

#: Beginnings of the names of terminals that take text for the clipboard.
_CLIPBOARD = ("xterm", "tmux", "screen", "rxvt", "alacritty", "foot", "wezterm", "st-", "kitty", "contour", "ghostty")

#: Columns and rows of a terminal of which nobody knows them.
_USUAL = (80, 24)

#: Names of locales that stand for none.
_NO_LOCALE = ("C", "POSIX")

_MOUSE = ("\x1b[?1000h\x1b[?1006h", "\x1b[?1006l\x1b[?1000l")

#: Have pasted text marked off from keys, and no longer.
_PASTE = ("\x1b[?2004h", "\x1b[?2004l")

#: Bytes that are read from the keyboard at once; a pasted text is longer.
_READ = 65536


def check() -> None:
    """Whether there is a terminal. Raises SettingError."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout and sys.stdout.isatty()):
        raise SettingError(
            "cdktr ui needs a terminal, and standard input or output is none; "
            "`cdktr status` and `cdktr task list` need none"
        )


def _is_utf8() -> bool:
    """Whether the user's locale is of UTF-8, not what Python made of it where there is none; and what it writes."""
    if _name_of(getattr(sys.stdout, "encoding", None) or "") != "utf8":
        return False
    found = _first_environment()
    chosen = next((found[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if found.get(name)), "C")
    if chosen in _NO_LOCALE:
        return False
    encoding = chosen.partition(".")[2].partition("@")[0] or locale.nl_langinfo(locale.CODESET)
    return _name_of(encoding) == "utf8"


def _name_of(encoding: str) -> str:
    return encoding.lower().replace("-", "").replace("_", "")


def _told_size() -> tuple[int, int]:
    """The columns and rows that the environment tells, for a terminal that was given no size; else the usual ones."""
    told = (os.environ.get(name, "") for name in ("COLUMNS", "LINES"))
    found = [int(text) if text.isdecimal() and 0 < len(text) < 5 else 0 for text in told]
    return found[0] or _USUAL[0], found[1] or _USUAL[1]


def _first_environment() -> dict[str, str]:
    """As this process was given it: where there is no locale, Python puts one there for itself."""
    try:
        pairs = (pair.partition(b"=") for pair in Path("/proc/self/environ").read_bytes().split(b"\0"))
        return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    except OSError:
        return dict(os.environ)


def _set_up() -> tuple[str, bool]:
    """The name that the terminal is to be driven by, and whether that is a stopgap. Raises SettingError."""
    name = os.environ.get("TERM") or "unknown"
    for tried in (name, _COMMON, _PLAIN):
        try:
            curses.setupterm(tried, sys.stdout.fileno())
        except curses.error:
            continue
        found = [curses.tigetstr(needed) or b"" for needed in _NEEDED]
        if not found[0]:
            raise SettingError(
                f"This terminal is said to be a {name!r} (TERM), on which nothing can be painted; "
                "if it can do more, set TERM, for example to xterm-256color"
            )
        # Delays, for terminals of another age, asciimatics would print.
        is_enough = all(sequence and b"$<" not in sequence for sequence in found)
        return (tried, False) if is_enough else (_PLAIN, True)
    raise SettingError(
        f"Nothing is known about the terminal {name!r} (TERM), nor about any other; "
        "install the terminal descriptions (on Debian: ncurses-base), or set TERMINFO to their folder"
    )


class Terminal:
    """The terminal of this process, from `open` to `close`, which may follow each other."""

    def __init__(self) -> None:
        """Find out what it can do. Raises SettingError."""
        check()
        self._name = os.environ.get("TERM") or "unknown"
        self._driven_as, is_plain = _set_up()
        self._told = _told_size()
        self._shown: list[Row | None] = []
        self._screen: Any = None
        self._parts: list[str] = []
        colours = 0 if is_plain or os.environ.get("NO_COLOR") else max(curses.tigetnum("colors"), 0)
        self._looks = looks(colours)
        self._has_colours = colours >= 8
        self._moves: dict[str, bytes] = {}
        self._has_mouse = bool(curses.tigetstr("kmous")) and not is_plain
        self._mouse = self._has_mouse
        self._has_other_screen = bool(curses.tigetstr("smcup"))
        self._has_clipboard = self._name.startswith(_CLIPBOARD)
        is_console = self._name.startswith("linux")
        self.look = Look(_is_utf8() and not is_plain, is_console, self._has_colours, self._mouse)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows that can be painted: what it had when it was opened, whatever became of it since."""
        return self._size() if self._screen is None else (self._screen.width, self._screen.height)

    @property
    def is_outgrown(self) -> bool:
        """Whether it has another size than when it was opened."""
        return self._size() != self.size

    def _size(self) -> tuple[int, int]:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
        return columns or self._told[0], rows or self._told[1]

    @property
    def input(self) -> int:
        """The descriptor that keys come from."""
        return sys.stdin.fileno()

    def open(self) -> None:
        """Take it. Whatever is painted next is painted anew."""
        os.environ["TERM"] = self._driven_as
        has_size = all(os.get_terminal_size(sys.stdout.fileno()))
        for name, count in zip(("COLUMNS", "LINES"), self._size(), strict=True):
            # curses would believe them, and leave the terminal scrolling that many lines alone.
            os.environ.pop(name, None)
            if not has_size:
                os.environ[name] = str(count)
        try:
            screen = Screen.open(unicode_aware=self.look.unicode)
        except BaseException:
            self._end_curses()
            raise
        finally:
            os.environ["TERM"] = self._name
        self._screen = screen
        # asciimatics has signal handlers of its own, which paint in the middle of whatever is going on.
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
        curses.mousemask(0)
        self._moves = {name: curses.tigetstr(name) or b"" for name in _MOVES}
        self._set_keys()
        self._mend(screen)
        self._write(_PASTE[0] + (_MOUSE[0] if self._mouse else ""))
        self.redraw()

    def _set_keys(self) -> None:
        """Every key comes as a key, but for the one that suspends: not as a signal, and not to stop the output."""
        modes = termios.tcgetattr(self.input)
        modes[0] &= ~(termios.IXON | termios.ICRNL | termios.INLCR)
        modes[3] &= ~termios.IEXTEN
        for key in (termios.VINTR, termios.VQUIT):
            modes[6][key] = b"\0"
        termios.tcsetattr(self.input, termios.TCSANOW, modes)

    def _mend(self, screen: Any) -> None:
        """asciimatics writes colours before each piece of text, and cannot do without colours."""
        screen._safe_write = self._parts.append
        if not self._has_colours:
            screen._fg_color = screen._bg_color = b""
        change = screen._change_colours

        def change_colours(*wanted: int) -> None:
            if wanted != (screen._colour, screen._attr, screen._bg):
                change(*wanted)

        screen._change_colours = change_colours

    def close(self) -> None:
        """Give it back, as it was."""
        screen, self._screen = self._screen, None
        if screen is None:
            return
        try:
            self._write(_PASTE[1] + (_MOUSE[1] if self._mouse else ""))
            # There is no other screen to go back to: what was painted would stand there for ever.
            self._write("" if self._has_other_screen else screen._a_normal + screen._clear_screen)
        finally:
            screen.close()

    @staticmethod
    def _end_curses() -> None:
        try:
            curses.endwin()
        except curses.error:
            pass

    def resize(self) -> None:
        """It has another size."""
        columns, rows = self._size()
        curses.resizeterm(rows, columns)
        self._screen.close(restore=False)
        self.open()

    def redraw(self) -> None:
        """What is painted next is painted anew, all of it."""
        self._shown = []
        self._screen.force_update(full_refresh=True)

    def paint(self, frame: Frame) -> None:
        """Show a frame; only what differs is sent."""
        before, self._shown = self._shown, list(frame.rows)
        if before == self._shown:
            return
        if (move := scroll(before, frame.rows)) is not None and self._can_move:
            before = self._moved(before, move)
        for y, row in enumerate(frame.rows):
            if y >= len(before) or before[y] != row:
                self._paint_row(y, row)
                self._send_row(y)
        # In one piece, so that nobody sees half a frame.
        text = "".join(self._parts)
        self._parts.clear()
        self._write(text)

    @property
    def _can_move(self) -> bool:
        # Delays, for terminals of another age, nobody would observe.
        return all(self._moves[name] and b"$<" not in self._moves[name] for name in ("csr", "ind", "ri"))

    def _moved(self, before: list[Row | None], move: Scroll) -> list[Row | None]:
        """Have the terminal move rows; what it shows then. What it clears has the colours that are in force."""
        screen, last = self._screen, self._screen.height - 1
        is_up, count = move.by > 0, abs(move.by)
        one, many = (self._moves[name] for name in (("ind", "indn") if is_up else ("ri", "rin")))
        parts = [
            screen._a_normal.encode(),
            curses.tparm(self._moves["csr"], move.top, move.beyond - 1),
            curses.tparm(screen._move_y_x, move.beyond - 1 if is_up else move.top, 0),
            curses.tparm(many, count) if many and count > 1 else one * count,
            curses.tparm(self._moves["csr"], 0, last),
        ]
        self._parts.append(b"".join(parts).decode())
        # Where it stands now, and in which colours, is anew to be said.
        screen._reset()
        blank = [(" ", *self._looks["plain", False], 1)] * screen.width
        for rows in (screen._buffer._double_buffer, screen._buffer._screen_buffer):
            rows[:] = [list(blank) if row is None else row for row in moved(rows, move)]
        return moved(before, move)

    def _paint_row(self, y: int, row: Row) -> None:
        x = 0
        for span in row:
            columns = width(span.text)
            # Where no character is wide, asciimatics need not look at each.
            self._screen._unicode_aware = columns != len(span.text)
            self._screen.print_at(span.text, x, y, *look_of(self._looks, span))
            x += columns

    def _send_row(self, y: int) -> None:
        """What differs in a row from what the terminal shows: cells of one look that follow each other in one piece."""
        screen, buffer = self._screen, self._screen._buffer
        old, new = buffer._screen_buffer[y], buffer._double_buffer[y]
        x = 0
        while x < len(new):
            if new[x] == old[x] or not new[x][4]:
                x += 1
                continue
            start, look, text = x, new[x][1:4], []
            # The second half of a wide character has no width, and comes with the first.
            while x < len(new) and new[x][1:4] == look and (new[x] != old[x] or not new[x][4]):
                text.append(new[x][0] if new[x][4] else "")
                x += 1
            screen._change_colours(*look)
            screen._print_at("".join(text), start, y, x - start)
        buffer._screen_buffer[y] = new[:]

    def set_mouse(self, on: bool) -> None:
        """Have the mouse reported, or not."""
        if self._has_mouse:
            self._mouse = on
            self._write(_MOUSE[0 if on else 1])

    def copy(self, text: str) -> bool:
        """Hand a text to the terminal's clipboard; False where there is none. Whether it takes it, it does not tell."""
        if not self._has_clipboard:
            return False
        # A name may have bytes that are no text.
        data = base64.b64encode(text.encode(errors="replace")).decode()
        command = f"\x1b]52;c;{data}\x07"
        is_inside_screen = self._name.startswith("screen") and not os.environ.get("TMUX")
        self._write(f"\x1bP{command}\x1b\\" if is_inside_screen else command)
        return True

    def read(self) -> bytes:
        """What was typed; nothing when the terminal is gone."""
        try:
            return os.read(self.input, _READ)
        except OSError:
            return b""

    @staticmethod
    def _write(text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            # It is gone: so says the next read.
            pass
