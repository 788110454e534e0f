"""The terminal: what is written on it, on a pseudo-terminal; keys; styles."""

import base64
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from cdktr.tui.screen.styles import _MEANINGS, ink
from cdktr.tui.screen.terminal import _key
from cdktr.tui.state.events import Key
from cdktr.tui.state.keys import KEYS
from cdktr.tui.view.render import render
from tests.test_tui_view import PICTURES, screen

ROOT = Path(__file__).resolve().parent.parent

#: Paints a screen twice, and then does what is asked for.
PROGRAM = """
import sys
from dataclasses import replace
from cdktr.tui.screen.terminal import Terminal, check, look
from cdktr.tui.view.render import render
from tests.world import new, told
def tell(text):
    sys.stdout.write(text)
    sys.stdout.flush()

check()
terminal = Terminal(look())
try:
    state = replace(told(new(*terminal.open())), look=look())
    terminal.paint(render(state))
    tell("<1>")
    terminal.paint(render(state))
    tell("<2>")
    if sys.argv[1] == "copy":
        terminal.copy("calm-owl-7")
    if sys.argv[1] == "crash":
        1 / 0
    if sys.argv[1] == "keys":
        import select
        while True:
            select.select([0], [], [])
            for event in terminal.events():
                tell(f"<{event}>")
                if event.name == "q":
                    sys.exit(0)
finally:
    terminal.close()
"""


class Pty:
    """A program on a pseudo-terminal of 80 columns and 24 rows."""

    def __init__(self, argv: list[str], env: Mapping[str, str]) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        self.before = termios.tcgetattr(slave)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "NO_COLOR"))}
        self.process = subprocess.Popen(
            argv,
            env={**clean, "PYTHONPATH": str(ROOT), "TZ": "UTC", **env},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            cwd=ROOT,
        )
        self.slave = slave
        self._bytes = b""
        self.text = ""

    def read_until(self, wanted: str) -> str:
        """What it wrote so far, once that is among it."""
        deadline = time.monotonic() + 30
        while wanted not in self.text:
            if not self._read(max(deadline - time.monotonic(), 0)):
                raise AssertionError(f"{wanted!r} is not in {self.text!r}")
        return self.text

    def _read(self, wait_s: float) -> bool:
        """Whether there was something to read."""
        if not select.select([self.master], [], [], wait_s)[0]:
            return False
        self._bytes += os.read(self.master, 65536)
        self.text = self._bytes.decode("utf-8", "replace")
        return True

    def end(self) -> int:
        """Its exit code; everything that it wrote is in `text`."""
        deadline = time.monotonic() + 30
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text
            self._read(0.05)
        while self._read(0):
            pass
        code = self.process.returncode
        self.after = termios.tcgetattr(self.slave)
        os.close(self.master)
        os.close(self.slave)
        return code


def painted(what: str = "end", **env: str) -> Pty:
    """The program on a terminal."""
    return Pty([sys.executable, "-c", PROGRAM, what], {"LANG": "C.UTF-8", "TERM": "xterm-256color", **env})


@pytest.mark.parametrize(
    "term", ["xterm-256color", "xterm", "screen", "tmux", "linux", "vt100", "ansi", "no-such-terminal"]
)
def test_a_frame_on_each_kind_of_terminal(term: str) -> None:
    shown = painted(TERM=term)
    assert shown.end() == 0, shown.text
    frame, again, _ = shown.text.split("<1>")[0], *shown.text.split("<1>")[1].split("<2>")
    assert "etl.daily" in frame
    # A frame that is the same costs nothing.
    assert again == ""
    assert "$<" not in frame
    assert shown.after == shown.before
    if term in ("vt100", "ansi"):
        assert frame.isascii()
    if term == "vt100":
        assert not re.search(r"\x1b\[[34][0-9]m", frame)
    if term == "xterm-256color":
        assert "\x1b[?1049h" in frame
        assert "\x1b[?1049l" in shown.text
        assert "│" in frame


def test_no_colour_on_request() -> None:
    shown = painted(NO_COLOR="1")
    assert shown.end() == 0
    assert "[38;5" not in shown.text
    assert "│" in shown.text


@pytest.mark.parametrize("env", [{"LC_ALL": "C"}, {"LANG": "C"}, {"LANG": ""}, {"LC_ALL": "de_DE.ISO-8859-1"}])
def test_ascii_where_the_locale_has_no_more(env: dict[str, str]) -> None:
    shown = painted(**env)
    assert shown.end() == 0
    assert shown.text.isascii()
    assert "etl.daily" in shown.text


def test_a_crash_gives_the_terminal_back_before_it_is_told() -> None:
    shown = painted("crash")
    assert shown.end() == 1
    assert shown.after == shown.before
    assert "ZeroDivisionError" in shown.text.partition("\x1b[?1049l")[2]


def test_an_id_goes_into_the_clipboard_where_there_may_be_one() -> None:
    sequence = f"\x1b]52;c;{base64.b64encode(b'calm-owl-7').decode()}\x07"
    for term, has_one in (("xterm-256color", True), ("tmux", True), ("linux", False), ("vt100", False)):
        shown = painted("copy", TERM=term)
        assert shown.end() == 0
        assert (sequence in shown.text) is has_one


def test_a_terminal_that_cannot_place_text_is_refused() -> None:
    shown = painted(TERM="dumb")
    assert shown.end() == 1
    assert "The terminal type 'dumb' cannot place text" in shown.text


def test_keys_come_by_their_names() -> None:
    shown = painted("keys")
    shown.read_until("<2>")
    sent = {
        "\x1bOA": "up",
        "\x1b[Z": "backtab",
        "\r": "enter",
        "ä": "ä",
        "日": "日",
        "\x12": "ctrl-r",
        "\x7f": "backspace",
    }
    for keys, name in {**sent, "ä": "ä", "日": "日"}.items():
        os.write(shown.master, keys.encode())
        shown.read_until(repr(Key(name)))
    os.write(shown.master, b"\x1b")
    shown.read_until(repr(Key("esc")))
    os.write(shown.master, b"q")
    assert shown.end() == 0


def test_a_key_is_a_character_or_a_name() -> None:
    assert _key("a") == Key("a")
    assert _key("\x0c") == Key("ctrl-l")
    assert _key(10**6) is None
    named = {key for binding in KEYS for key in binding.keys if len(key) > 1}
    assert {"ctrl-c", "ctrl-l", "f1", "f5", "backtab"} <= named


def test_each_style_that_is_drawn_has_its_ink() -> None:
    used = {span.style for keys in PICTURES.values() for row in render(screen(keys)).rows for span in row}
    assert {word for style in used for word in style.split()} <= _MEANINGS.keys()
    for colours in (0, 8, 256):
        plain = ink("plain", False, colours)
        assert ink("plain", True, colours) != plain
        assert ink("bad", False, colours) != plain


def test_ui_without_a_terminal_says_so() -> None:
    command = [sys.executable, "cdktr.py", "ui"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 2
    assert "cdktr ui needs a terminal" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(number: signal.Signals) -> None:
    env = {
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "CDKTR_PRINCIPAL_HOST": "127.0.0.1",
        "CDKTR_PRINCIPAL_PORT": "1",
    }
    shown = Pty([sys.executable, "cdktr.py", "ui"], env)
    shown.read_until("Disconnected")
    shown.process.send_signal(number)
    assert shown.end() == 0
    assert "\x1b[?1049l" in shown.text
    assert shown.after == shown.before
