"""A terminal for the integration tests: programs in tmux, each test with a server of its own.

    with Terminal(["cdktr", "ui"], folder, env) as terminal:
        terminal.wait_for("Connected")
        terminal.press("r")

Waiting is always for something on the screen.
"""

import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

#: Seconds until something is on the screen: a limit for a hanging test, not a measure.
PATIENCE_S = 30.0

#: Why there is no terminal, None where there is one.
MISSING = None if shutil.which("tmux") else "tmux is not installed: `apt-get install tmux`"

#: Printed by the shell when the program has ended.
ENDED = "ended with"


class Terminal:
    """One program in a terminal of a size and a type."""

    def __init__(
        self, argv: Sequence[str], folder: Path, env: Mapping[str, str], size: tuple[int, int] = (80, 24)
    ) -> None:
        self._server = f"cdktr-test-{uuid.uuid4().hex}"
        script = folder / f"{self._server}.sh"
        # Words of the environment that tmux has of its own would hide those of the test.
        words = [f"{name}='{value}'" for name, value in env.items()]
        quoted = " ".join(f"'{word}'" for word in argv)
        script.write_text(f"trap : INT\ncd '{folder}'\nenv -i {' '.join(words)} {quoted}\necho {ENDED} $?\nread -r _\n")
        columns, rows = map(str, size)
        self._tmux("new-session", "-d", "-x", columns, "-y", rows, f"sh '{script}'")
        self._tmux("set-option", "-g", "status", "off")

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-L", self._server, "-f", "/dev/null", "-u", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        subprocess.run(["tmux", "-L", self._server, "kill-server"], capture_output=True)

    def screen(self, colours: bool = False) -> str:
        """What is on the screen, with its colours as sequences if they are asked for."""
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def press(self, *keys: str) -> None:
        """Keys by the names that tmux has for them: `a`, `Enter`, `Escape`, `Down`, `C-c`."""
        self._tmux("send-keys", *keys)

    def write(self, text: str) -> None:
        """Characters, whatever they are."""
        self._tmux("send-keys", "-l", text)

    def resize(self, columns: int, rows: int) -> None:
        """Another size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait_for(self, pattern: str, *, gone: bool = False) -> str:
        """The screen once something is on it, or no more."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            screen = self.screen()
            if bool(re.search(pattern, screen, re.MULTILINE)) is not gone:
                return screen
            assert time.monotonic() < deadline, f"{pattern!r} is {'still' if gone else 'not'} on the screen:\n{screen}"
            time.sleep(0.03)

    def wait_for_end(self) -> int:
        """The exit code of the program."""
        found = re.search(rf"{ENDED} (\d+)", self.wait_for(rf"{ENDED} \d+"))
        assert found is not None
        return int(found[1])

    @property
    def is_plain(self) -> bool:
        """The cursor is shown, and neither the other screen nor the mouse is taken."""
        facts = "#{alternate_on} #{mouse_any_flag} #{cursor_flag}"
        return self._tmux("display-message", "-p", facts).split() == ["0", "0", "1"]
