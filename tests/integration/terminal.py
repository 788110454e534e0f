"""A terminal to look at and to type on: a shell in a tmux server of its own, of a fixed size.

with Terminal(cluster, 80, 24) as terminal:
    terminal.run("ui")
    terminal.shows("Connected")
    terminal.press("q")
    terminal.shows("ended 0")
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from tests.integration.cluster import PATIENCE_S, ROOT

#: Seconds between looks at the screen.
LOOK_S = 0.04

HAS_TMUX = shutil.which("tmux") is not None


#: How `cdktr` is started from the source tree.
SCRIPT = (sys.executable, str(ROOT / "cdktr.py"))


class Home(Protocol):
    """Where the shell of a terminal starts, and with which environment."""

    @property
    def folder(self) -> Path:
        """The folder."""

    def environment(self) -> dict[str, str]:
        """The environment."""


class Terminal:
    """A shell in which commands are typed; `environment` is that of the whole terminal.

    `shell` starts the shell, and `program` is how cdktr is called in it.
    """

    def __init__(
        self,
        home: Home,
        columns: int = 80,
        rows: int = 24,
        *,
        shell: Sequence[str] = ("sh",),
        program: Sequence[str] = SCRIPT,
        **environment: str,
    ) -> None:
        self._home = home
        self._shell = shell
        self._program = program
        self._size = (columns, rows)
        self._environment = {"LC_ALL": "C.UTF-8", **environment}
        # Short: the path of a socket has room for about a hundred characters.
        self._folder = Path(tempfile.mkdtemp(prefix="tmux-"))

    def __enter__(self) -> "Terminal":
        clean = {name: value for name, value in self._home.environment().items() if name not in ("TMUX", "TERM")}
        for name in ("LANG", "LC_CTYPE", "NO_COLOR"):
            clean.pop(name, None)
        self._environ = {**clean, **self._environment, "TERM": "xterm-256color"}
        columns, rows = map(str, self._size)
        self.tmux("new-session", "-d", "-x", columns, "-y", rows, *self._shell)
        self.tmux("set-option", "-g", "set-clipboard", "on")
        self.shows(r"[$#]")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.tmux("kill-server")
        shutil.rmtree(self._folder)

    def tmux(self, *words: str) -> str:
        """What a command of tmux prints."""
        command = ["tmux", "-u", "-S", str(self._folder / "s"), "-f", "/dev/null", *words]
        done = subprocess.run(command, env=self._environ, cwd=self._home.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *arguments: str, program: str | None = None, **environment: str) -> None:
        """Type `cdktr …` in the shell; at its end the exit code is shown, as `ended 0`."""
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        words = self._program if program is None else (sys.executable, program)
        # The word is not seen in what is typed.
        self.type(f"{settings} {shlex.join([*words, *arguments])}; echo en''ded $?")
        self.press("Enter")

    def type(self, text: str) -> None:
        """Type a text."""
        self.tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys, by the names that tmux has for them."""
        self.tmux("send-keys", "--", *keys)

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return self.tmux("capture-pane", "-p")

    @property
    def painted(self) -> str:
        """The same with the escape sequences of its colours."""
        return self.tmux("capture-pane", "-p", "-e")

    def until(self, is_so: Callable[[str], object], what: str) -> str:
        """The screen, once something is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not is_so(text := self.text):
            assert time.monotonic() < deadline, f"{what} does not come:\n{text}"
            time.sleep(LOOK_S)
        return text

    def shows(self, pattern: str) -> str:
        """The screen, once a pattern is found there."""
        return self.until(lambda text: re.search(pattern, text), f"{pattern!r}")

    def loses(self, pattern: str) -> str:
        """The screen, once a pattern is not found there any more."""
        return self.until(lambda text: not re.search(pattern, text), f"The end of {pattern!r}")

    def resize(self, columns: int, rows: int) -> None:
        """Give it another size."""
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def pid(self) -> int:
        """The process of cdktr that has the terminal."""
        [shell] = self.tmux("list-panes", "-F", "#{pane_pid}").split()
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        [pid] = [int(each) for each in children if "cdktr" in Path(f"/proc/{each}/cmdline").read_text()]
        return pid

    def signal(self, number: int) -> None:
        """Send a signal to it."""
        os.kill(self.pid(), number)

    def is_restored(self) -> bool:
        """Whether the terminal is as it was: it echoes, breaks lines, shows the cursor, and reports no mouse."""
        self.run_shell("stty -a; echo do''ne")
        text = self.shows("done")
        flags = self.tmux(
            "display-message", "-p", "#{cursor_flag} #{alternate_on} #{mouse_any_flag} #{keypad_cursor_flag}"
        )
        return bool(re.search(r"(?<!-)icanon", text) and re.search(r"(?<!-)\becho\b", text)) and flags.split() == [
            "1",
            "0",
            "0",
            "0",
        ]

    def run_shell(self, command: str) -> None:
        """Have the shell do something else, on an empty screen."""
        self.type(f"clear; {command}")
        self.press("Enter")


def select(terminal: Terminal, workflow: str) -> None:
    """In the terminal UI: go to a workflow by the filter."""
    terminal.press("/")
    terminal.type(workflow)
    terminal.press("Enter")
    # The line of the filter is gone: a signal from the keyboard would throw away what was not read yet.
    terminal.shows(rf"> \S+ {workflow}\b(.|\n)*quit")
