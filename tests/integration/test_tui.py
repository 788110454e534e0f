"""The terminal UI in a terminal, on a real principal with a real agent."""

import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cdktr.protocol import ListRuns
from tests.integration.cluster import ROOT, Cluster
from tests.integration.terminal import MISSING, Terminal

pytestmark = [pytest.mark.integration, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]

#: Each task waits for a file of its name, so that a test says when it goes on.
STEPS = """
name: Steps of a test
description: Each waits for its sign
tasks:
  first: {name: First, config: !Subprocess {cmd: sh, args: [wait.sh, first]}}
  left: {name: Left, depends: [first], config: !Subprocess {cmd: sh, args: [wait.sh, left]}}
  right: {name: Right, depends: [first], config: !Subprocess {cmd: sh, args: [wait.sh, right]}}
  last: {name: Last, depends: [left, right], config: !Subprocess {cmd: sh, args: [wait.sh, last]}}
"""

WAIT = """
echo "$1 begins"
until [ -e "$1.go" ]; do sleep 0.05; done
printf 'the sign of \\033[31m%s\\033[0m came\\n' "$1"
"""

HELLO = """
name: Hello
tasks:
  greet: {name: Greet, config: !Subprocess {cmd: echo, args: [good morning]}}
"""

#: A colour that is not the terminal's own.
COLOUR = re.compile(r"\x1b\[(3[0-7]|38;)")


@pytest.fixture
def workshop(new_cluster: Callable[..., Cluster]) -> Cluster:
    """A principal with an agent, whose workflows are there."""
    cluster = new_cluster()
    cluster.write("hello", HELLO)
    cluster.write("steps", STEPS)
    (cluster.folder / "wait.sh").write_text(WAIT)
    cluster.start_principal()
    cluster.start_agent()
    return cluster


def opened(cluster: Cluster, size: tuple[int, int] = (80, 24), env: Mapping[str, str] | None = None) -> Terminal:
    """The UI in a terminal."""
    given = {**cluster.environment(), "TERM": "xterm-256color", "LANG": "C.UTF-8", **(env or {})}
    names = ("PATH", "HOME", "TERM", "LANG", "LC_ALL", "NO_COLOR")
    kept = {name: value for name, value in given.items() if name in names or name.startswith("CDKTR_")}
    return Terminal([sys.executable, str(ROOT / "cdktr.py"), "ui"], cluster.folder, kept, size)


def go(cluster: Cluster, task: str) -> None:
    """The sign that a task waits for."""
    (cluster.folder / f"{task}.go").touch()


def test_a_day_with_the_terminal_ui(workshop: Cluster) -> None:
    with opened(workshop, (120, 30)) as terminal:
        # A workflow is started, and its graph follows it.
        terminal.wait_for(r"● Connected")
        terminal.wait_for(r"> · hello")
        terminal.press("j")
        terminal.wait_for(r"> · steps")
        terminal.press("r")
        terminal.wait_for(r"Started [a-z]+-[a-z]+-\d+")
        terminal.wait_for(r"● first")
        go(workshop, "first")
        screen = terminal.wait_for(r"● left")
        assert "✓ first" in screen
        terminal.wait_for(r"● right")
        # Its log is live: what was written before, and what comes.
        terminal.press("l")
        terminal.wait_for(r"left begins")
        screen = terminal.wait_for(r"the sign of \\x1b\[31mfirst\\x1b\[0m came")
        assert screen.count("first begins") == 1
        go(workshop, "left")
        terminal.wait_for(r"the sign of \S+left")
        # The principal dies: the screen stays, and keys are answered.
        workshop.daemons[0].signal(signal.SIGKILL)
        terminal.wait_for(r"Disconnected for \d+s: ")
        assert "left begins" in terminal.screen()
        terminal.press("w")
        terminal.wait_for(r"wrapped")
        # It comes back, and the log goes on where it was.
        go(workshop, "right")
        workshop.start_principal()
        terminal.wait_for(r"● Connected")
        terminal.wait_for(r"the sign of \S+right")
        go(workshop, "last")
        screen = terminal.wait_for(r"the sign of \S+last")
        for task in ("first", "left", "right", "last"):
            assert len(re.findall(rf"the sign of \S+{task}", screen)) == 1
        # Another size changes nothing but the size.
        terminal.resize(50, 12)
        terminal.wait_for(r"needs 60 x 15")
        terminal.resize(100, 40)
        terminal.wait_for(r"the sign of \S+last")
        terminal.press("Escape")
        terminal.wait_for(r"✓ last")
        assert terminal.wait_for(r"COMPLETED")
        # The end.
        terminal.press("q")
        assert terminal.wait_for_end() == 0
        assert terminal.is_plain
    assert [run["status"] for run in workshop.ask(ListRuns())] == ["COMPLETED"]


@pytest.mark.parametrize("term", ["xterm-256color", "screen", "tmux", "linux", "vt100"])
def test_each_terminal(cluster: Cluster, term: str) -> None:
    cluster.write("hello", HELLO)
    plain = term == "vt100"
    with opened(cluster, env={"TERM": term}) as terminal:
        terminal.wait_for(r"\* Connected" if plain else r"[●•] Connected")
        terminal.wait_for(r"^> . hello")
        terminal.press("r")
        terminal.wait_for(r"Started")
        screen = terminal.wait_for(r"[✓√+] greet")
        assert screen.isascii() is plain
        assert bool(COLOUR.search(terminal.screen(colours=True))) is not plain
        terminal.press("Enter")
        terminal.wait_for(r">[✓√+] greet")
        terminal.press("Enter")
        terminal.wait_for(r"good morning")
        terminal.press("Escape")
        terminal.wait_for(r">[✓√+] greet")
        terminal.resize(70, 20)
        if term == "xterm-256color":
            # A click on a tab, and the wheel back up and down.
            terminal.write("\x1b[<0;20;2M\x1b[<0;20;2m")
            terminal.wait_for(r"\[2 Runs\]")
            terminal.write("\x1b[<65;5;6M\x1b[<64;5;6M")
        terminal.press("2")
        terminal.wait_for(r"^> . \S+ +hello")
        terminal.press("C-c")
        assert terminal.wait_for_end() == 0
        assert terminal.is_plain


@pytest.mark.parametrize("env", [{"LC_ALL": "C"}, {"NO_COLOR": "1"}])
def test_less_than_that(cluster: Cluster, env: dict[str, str]) -> None:
    cluster.write("hello", HELLO)
    with opened(cluster, env=env) as terminal:
        screen = terminal.wait_for(r"^> . hello")
        coloured = terminal.screen(colours=True)
        assert screen.isascii() is ("LC_ALL" in env)
        assert bool(COLOUR.search(coloured)) is ("LC_ALL" in env)
        terminal.press(":", "q", "Enter")
        assert terminal.wait_for_end() == 0


def test_no_principal_at_all(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, {"CDKTR_PRINCIPAL_PORT": "1"})
    with opened(cluster) as terminal:
        terminal.wait_for(r"Disconnected for \d+s: No principal answers")
        terminal.wait_for(r"start one with")
        terminal.press("?")
        terminal.wait_for(r"Everywhere")
        terminal.press("q")
        terminal.wait_for(r"Everywhere", gone=True)
        terminal.press("q")
        assert terminal.wait_for_end() == 0


def test_a_principal_that_says_nothing_freezes_no_key(workshop: Cluster) -> None:
    with opened(workshop) as terminal:
        terminal.wait_for(r"^> . hello")
        terminal.press("l")
        terminal.wait_for(r"No line yet")
        workshop.daemons[0].signal(signal.SIGSTOP)
        try:
            terminal.wait_for(r"Disconnected")
            terminal.press("Escape", "j")
            terminal.wait_for(r"^> . steps")
            terminal.press("q")
            assert terminal.wait_for_end() == 0
        finally:
            workshop.daemons[0].signal(signal.SIGCONT)


def test_lines_are_seen_while_the_database_cannot_be_written(new_cluster: Callable[..., Cluster], disk: Path) -> None:
    cluster = new_cluster(CDKTR_DB_PATH=str(disk / "app.db"))
    cluster.write("steps", STEPS)
    (cluster.folder / "wait.sh").write_text(WAIT)
    noise = "import os; print(*(os.urandom(100).hex() for _ in range(5000)), sep=chr(10))"
    cluster.write(
        "noise", f"name: Noise\ntasks:\n  a: {{name: A, config: !Subprocess {{cmd: python3, args: [-c, {noise!r}]}}}}\n"
    )
    principal = cluster.start_principal()
    cluster.start_agent()
    with opened(cluster, (110, 30)) as terminal:
        terminal.wait_for(r"^> . noise")
        terminal.press("j", "r", "l")
        terminal.wait_for(r"first begins")
        # The disk is full.
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "ballast").write_bytes(bytes(free - 300_000))
        cluster.cli("task", "run", "noise")
        principal.wait_for(r"cannot be written")
        terminal.wait_for(r"lags behind: The database")
        for task in ("first", "left", "right", "last"):
            terminal.wait_for(rf"{task} begins")
            go(cluster, task)
        terminal.wait_for(r"right begins +not stored yet|the sign of \S+last\S* came +not stored yet")
        # There is room again: the same lines, each once, are stored ones.
        (disk / "ballast").unlink()
        principal.wait_for("The database can be written again")
        terminal.wait_for(r"not stored yet", gone=True)
        screen = terminal.wait_for(r"the sign of \S+last")
        for task in ("first", "left", "right", "last"):
            assert len(re.findall(rf"{task} begins", screen)) == 1
            assert len(re.findall(rf"the sign of \S+{task}", screen)) == 1
        terminal.press("q")
        assert terminal.wait_for_end() == 0


def test_params_and_files_that_are_wrong(cluster: Cluster) -> None:
    tasks = HELLO.partition("tasks:")[2].replace("good morning", "'${{ params.who }}'")
    cluster.write("asks", f"name: Asks\nparams: {{who: null}}\ntasks:{tasks}")
    cluster.write("wrong", "name: Wrong\ntasks:\n  a: {name: A, dependencies: [b]}\n")
    with opened(cluster, (100, 30)) as terminal:
        terminal.wait_for(r"! workflows/wrong.yml:3:16")
        terminal.press("/")
        terminal.write("asks")
        terminal.press("Enter")
        terminal.wait_for(r"^> . asks")
        terminal.press("r")
        terminal.wait_for(r"who +needed")
        terminal.press("Enter")
        terminal.wait_for(r"needs the parameter who")
        terminal.write("Zoë 日本")
        terminal.press("Enter")
        terminal.wait_for(r"✓ greet")
        terminal.press("l")
        terminal.wait_for(r"Zoë 日本")
        terminal.press("Escape", "Escape")
        terminal.wait_for(r"^  ! workflows/wrong.yml")
        terminal.press("g")
        screen = terminal.wait_for(r"A file that cannot be used")
        assert "a task needs the key 'config'" in screen
        terminal.press("q")
        assert terminal.wait_for_end() == 0


def test_a_long_log(cluster: Cluster) -> None:
    cluster.write("flood", "name: Flood\ntasks:\n  a: {name: A, config: !Subprocess {cmd: seq, args: ['300000']}}\n")
    with opened(cluster, (100, 30)) as terminal:
        terminal.press("/")
        terminal.write("flood")
        terminal.press("Enter")
        terminal.wait_for(r"^> . flood")
        terminal.press("l")
        terminal.wait_for(r"Log of flood")
        assert cluster.cli("task", "run", "flood", "--wait").returncode == 0
        terminal.wait_for(r" 300000$")
        terminal.press("g")
        terminal.wait_for(r" 1$")
        assert re.search(r" 2$", terminal.screen(), re.MULTILINE)
        terminal.press("/")
        terminal.write("123456")
        terminal.press("Enter")
        terminal.wait_for(r" 123456$")
        for _ in range(60):
            terminal.press("PageUp")
        terminal.wait_for(r" 12[12]\d{3}$")
        terminal.press("G")
        terminal.wait_for(r" 300000$")
        terminal.press("s")
        terminal.wait_for(r"save as: flood.log")
        terminal.press("Enter")
        terminal.wait_for(r"Saved 300000 lines to flood.log")
        terminal.press("q")
        assert terminal.wait_for_end() == 0
    saved = (cluster.folder / "flood.log").read_text().splitlines()
    assert [line.rpartition(" ")[2] for line in saved] == [str(n) for n in range(1, 300_001)]
