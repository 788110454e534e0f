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
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.integration.cluster import PATIENCE_S, ROOT, Cluster

#: Seconds between looks at the screen.
LOOK_S = 0.04

HAS_TMUX = shutil.which("tmux") is not None


class Terminal:
    """A shell whose commands are connected to a cluster; `environment` is that of the whole terminal."""

    def __init__(self, cluster: Cluster, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self._cluster = cluster
        self._size = (columns, rows)
        self._environment = {"LC_ALL": "C.UTF-8", **environment}
        # Short: the path of a socket has room for about a hundred characters.
        self._folder = Path(tempfile.mkdtemp(prefix="tmux-"))

    def __enter__(self) -> "Terminal":
        clean = {name: value for name, value in self._cluster.environment().items() if name not in ("TMUX", "TERM")}
        for name in ("LANG", "LC_CTYPE", "NO_COLOR"):
            clean.pop(name, None)
        self._environ = {**clean, **self._environment, "TERM": "xterm-256color"}
        columns, rows = map(str, self._size)
        self.tmux("new-session", "-d", "-x", columns, "-y", rows, "sh")
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
        done = subprocess.run(command, env=self._environ, cwd=self._cluster.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *arguments: str, program: str = str(ROOT / "cdktr.py"), **environment: str) -> None:
        """Type `cdktr …` in the shell; at its end the exit code is shown, as `ended 0`."""
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        # The word is not seen in what is typed.
        self.type(f"{settings} {sys.executable} {program} {shlex.join(arguments)}; echo en''ded $?")
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
