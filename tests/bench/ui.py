"""What the terminal UI costs: bytes on the terminal, processor time, and how soon a key is answered."""

import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

from cdktr.client import Principal
from cdktr.protocol import ClusterStatus, Trigger
from tests.bench.cluster import ROOT

#: Seconds that each figure is taken over.
WATCH_S = 10.0

#: Keys that are timed.
KEYS = 40

WORKFLOWS = {
    "steps": "name: steps\ntasks:\n"
    + "".join(
        f"  t{n}: {{name: t, {f'depends: [t{n - 1}], ' if n else ''}config: !Subprocess {{cmd: sleep, args: ['1']}}}}\n"
        for n in range(12)
    ),
    "talk": "name: talk\ntasks:\n  t: {name: t, config: !Subprocess {cmd: sh, args: [-c, "
    "'for i in $(seq 300); do echo line $i of a task that talks; sleep 0.05; done']}}\n",
}


class Figure(NamedTuple):
    """What, what it must be, its unit, the value."""

    what: str
    must: str
    unit: str
    value: float


class Screen:
    """`cdktr ui` on a terminal of 80 columns and 24 rows that counts what is written."""

    def __init__(self, port: int) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        where = ["--principal-host", "127.0.0.1", "--principal-port", str(port)]
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("CDKTR_", "LC_", "NO_COLOR"))
        }
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "cdktr.py"), "ui", *where],
            env={**clean, "TERM": "xterm-256color", "LANG": "C.UTF-8"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._news = threading.Condition()
        self._text = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                found = os.read(self._master, 65536)
            except OSError:
                return
            with self._news:
                self._text += found
                self._news.notify_all()

    @property
    def count(self) -> int:
        """Bytes so far."""
        return len(self._text)

    def press(self, keys: str) -> None:
        """Send keys."""
        os.write(self._master, keys.encode())

    def wait_for(self, pattern: str, start: int = 0) -> None:
        """Until something was written after so many bytes."""
        with self._news:
            done = self._news.wait_for(lambda: re.search(pattern.encode(), self._text[start:]) is not None, 30)
        assert done, f"{pattern} is not shown"

    def answer_ms(self, key: str) -> float:
        """Milliseconds until a key shows on the screen."""
        # Two keys at once might cancel each other.
        time.sleep(0.1)
        before, began = self.count, time.perf_counter()
        self.press(key)
        with self._news:
            assert self._news.wait_for(lambda: len(self._text) > before, 30)
        return (time.perf_counter() - began) * 1000

    def close(self) -> None:
        """Quit."""
        self.press("q")
        self.process.wait(30)
        os.close(self._master)


@contextmanager
def shown(port: int) -> Iterator[Screen]:
    """The UI, connected and at rest."""
    screen = Screen(port)
    try:
        screen.wait_for("Connected")
        time.sleep(2)
        yield screen
    finally:
        screen.close()


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process took so far."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watched(screen: Screen) -> tuple[float, float]:
    """Bytes a second, and per cent of a processor, over a while."""
    count, cpu = screen.count, cpu_s(screen.process.pid)
    time.sleep(WATCH_S)
    return (screen.count - count) / WATCH_S, (cpu_s(screen.process.pid) - cpu) / WATCH_S * 100


def figures(port: int) -> Iterator[Figure]:
    """All of them; the principal on this port has `WORKFLOWS` and one named `flood`."""
    with shown(port) as screen, Principal(port=port, timeout_s=30) as client:
        rate, cpu = watched(screen)
        yield Figure("terminal UI, idle: written", "≈ 0 B/s", "B/s", rate)
        yield Figure("terminal UI, idle: processor", "≤ 1 %", "%", cpu)
        keys = [screen.answer_ms("jk"[n % 2]) for n in range(KEYS)]
        yield Figure("terminal UI: a key shows, median", "≤ 50 ms", "ms", median(keys))
        yield Figure("terminal UI: a key shows, slowest of 40", "≤ 50 ms", "ms", max(keys))
        screen.press("/steps\r")
        client.ask(Trigger("steps"))
        rate, cpu = watched(screen)
        yield Figure("terminal UI, a workflow runs: written", "", "B/s", rate)
        yield Figure("terminal UI, a workflow runs: processor", "", "%", cpu)
        screen.press("/\x15talk\rl")
        client.ask(Trigger("talk"))
        time.sleep(1)
        rate, cpu = watched(screen)
        yield Figure("terminal UI, 20 log lines a second: written", "", "B/s", rate)
        yield Figure("terminal UI, 20 log lines a second: processor", "", "%", cpu)
        screen.press("\x1b")
        time.sleep(0.2)
        screen.press("/\x15flood\r")
        time.sleep(0.2)
        screen.press("l")
        client.ask(Trigger("flood"))
        count, began, keys = screen.count, time.perf_counter(), []
        while client.ask(ClusterStatus())["running"]:
            keys.append(screen.answer_ms("w"))
        rate = (screen.count - count) / (time.perf_counter() - began)
        yield Figure("terminal UI, a million log lines come: written", "", "B/s", rate)
        yield Figure("terminal UI, a million log lines come: a key shows, median", "≤ 50 ms", "ms", median(keys))
