"""The terminal UI on a terminal that counts what it is sent."""

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]

#: Seconds until the screen has shown what is waited for.
PATIENCE_S = 20.0

#: Seconds without a byte after which a frame is over.
QUIET_S = 0.3


class Screen:
    """`cdktr ui` as a process on a terminal of its own, from `with` to its end."""

    def __init__(self, port: int, columns: int, rows: int) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CDKTR_")}
        own = {"CDKTR_PRINCIPAL_HOST": "127.0.0.1", "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self._environment = clean | own
        self._command = [sys.executable, str(ROOT / "cdktr.py"), "ui", "--principal-port", str(port)]
        self._size = struct.pack("HHHH", rows, columns, 0, 0)
        #: Bytes that came so far.
        self.count = 0
        self._seen = b""

    def __enter__(self) -> "Screen":
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, self._size)
            os.execve(self._command[0], self._command, self._environment)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _value: BaseException | None, _tb: TracebackType | None
    ) -> None:
        os.kill(self.pid, signal.SIGTERM)
        self.read(lambda: False, 1.0)
        os.close(self._terminal)
        os.waitpid(self.pid, 0)

    def read(self, is_done: Callable[[], bool], patience_s: float) -> None:
        """Take what comes until something is so, or for some time."""
        deadline = time.monotonic() + patience_s
        while not is_done() and (left := deadline - time.monotonic()) > 0:
            if not select.select([self._terminal], [], [], left)[0]:
                return
            try:
                data = os.read(self._terminal, 65536)
            except OSError:
                return
            self.count += len(data)
            self._seen = (self._seen + data)[-100_000:]

    def wait_for(self, text: str) -> None:
        """Until a text that is not there yet was sent in one piece."""
        self.read(lambda: text.encode() in self._seen, PATIENCE_S)
        if text.encode() not in self._seen:
            raise RuntimeError(f"{text!r} did not come: {self._seen[-2000:]!r}")

    def settle(self) -> None:
        """Until nothing has come for a while."""
        while True:
            before = self.count
            self.read(lambda: False, QUIET_S)
            if self.count == before:
                return

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._terminal, keys.encode())

    def bytes_per_second(self, seconds: float) -> float:
        """How much comes, on the average."""
        before = self.count
        self.read(lambda: False, 0.0)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.read(lambda: False, left)
        return (self.count - before) / seconds

    def end_ms(self) -> float:
        """Milliseconds from the key that quits to the end of the terminal UI."""
        began = time.perf_counter()
        self.press("q")
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        return (time.perf_counter() - began) * 1000

    def key_ms(self, keys: str) -> float:
        """Milliseconds from a key to the first byte that it changes, over several keys: the slowest."""
        times = []
        for key in keys:
            self.settle()
            before = self.count
            began = time.perf_counter()
            self.press(key)
            self.read(lambda before=before: self.count > before, PATIENCE_S)  # type: ignore[misc]
            times.append((time.perf_counter() - began) * 1000)
        return max(times) if len(times) < 10 else statistics.quantiles(times, n=20)[-1]
