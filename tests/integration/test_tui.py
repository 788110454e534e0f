"""The terminal UI as somebody meets it: a real principal and agent, keys, and what stands on the screen."""

import fcntl
import os
import re
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cdktr.batch import Batch
from cdktr.records import RunStatus, RunUpdate
from cdktr.store import Store
from tests.integration.cluster import PATIENCE_S, Cluster
from tests.integration.conftest import NewCluster
from tests.integration.terminal import HAS_TMUX, SCRIPT, Terminal, select

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not HAS_TMUX, reason="tmux is not installed: apt-get install tmux"),
]

#: Goes on when the file that its parameter names is there.
WAITS = """
name: Waits for a file
description: Two ways that meet again
params: {file: go}
tasks:
  begin:
    name: Begin
    config: !Subprocess {cmd: sh, args: ["-c", 'echo begun; until [ -e "$FILE" ]; do sleep 0.05; done; echo going on']}
    env: {FILE: "${{ params.file }}"}
  good:
    name: Good
    depends: [begin]
    config: !Subprocess {cmd: echo, args: [fine]}
  bad:
    name: Bad
    depends: [begin]
    config: !Subprocess {cmd: sh, args: ["-c", "printf 'red \\\\033[31m text\\\\a\\\\n' >&2; exit 3"]}
  end:
    name: End
    depends: [good, bad]
    config: !Subprocess {cmd: echo, args: [the end]}
"""
LINES = """
name: Many lines
tasks:
  count:
    name: Count
    config: !Subprocess {cmd: seq, args: ["-f", "line %g of many", "20000"]}
"""
HELLO = """
name: 週報 Hello
cron: "0 0 2 * * *"
tasks:
  greet:
    name: Greet
    config: !Subprocess {cmd: echo, args: [hello]}
"""
BROKEN = "name: Broken\nkron: x\n"


NewTerminal = Callable[..., Terminal]


@pytest.fixture(scope="module")
def folder(cluster: Cluster) -> Cluster:
    """The cluster of the module, with workflows."""
    for name, text in {"waits": WAITS, "lines": LINES, "hello": HELLO, "broken": BROKEN}.items():
        cluster.write(name, text)
    return cluster


@pytest.fixture
def new_terminal() -> Iterator[NewTerminal]:
    """`new_terminal(cluster, columns, rows, **environment)`: one that is closed after the test."""
    with ExitStack() as stack:
        yield lambda *asked, **more: stack.enter_context(Terminal(*asked, **more))


def test_a_run_from_its_start_to_its_log(folder: Cluster, new_terminal: NewTerminal) -> None:
    terminal = new_terminal(folder, 100, 30)
    terminal.run("ui")
    first = terminal.shows(r"Connected.* agents 1 .*\n(.*\n)*.*hello")
    assert re.search(r"broken\.yml:2:1", first)
    select(terminal, "waits")
    terminal.press("r")
    terminal.shows(r"Run waits")
    for _ in "go":
        terminal.press("BSpace")
    terminal.type(str(folder.folder / "now"))
    terminal.press("Enter")
    run_id = re.search(r"Started (\S+)", terminal.shows(r"Started \S+"))
    assert run_id is not None
    terminal.shows(r"● begin\b(.|\n)*○ end\b")
    (folder.folder / "now").touch()
    terminal.shows(r"✓ begin\b(.|\n)*✗ bad\b(.|\n)*» end")
    terminal.shows(rf"{run_id[1]} ✗ FAILED")
    terminal.press("l")
    log = terminal.shows(r"(?s)begun.*going on.*red \\x1b\[31m text\\x07")
    assert re.search(r"! Bad +red", log)
    terminal.press("Escape", "o")
    terminal.shows(rf"(?s){run_id[1]}.*FAILED.*EXIT")
    terminal.press("q")
    terminal.shows("ended 0")
    assert terminal.is_restored()


def test_log_lines_back_and_forth(folder: Cluster, new_terminal: NewTerminal) -> None:
    folder.cli("task", "run", "lines", "--wait")
    terminal = new_terminal(folder)
    terminal.run("ui")
    terminal.shows("Connected")
    select(terminal, "lines")
    terminal.press("l")
    terminal.shows("line 20000 of many")
    terminal.press("g")
    terminal.shows(r"line 1 of many(.|\n)*line 21 of many")
    terminal.press("/")
    terminal.type("LINE 12345 of")
    terminal.press("Enter")
    terminal.shows("line 12345 of many")
    # From the middle of the log upwards, beyond what one page holds.
    for _ in range(80):
        terminal.press("PageUp")
    terminal.shows(r"line 10\d\d\d of many")
    terminal.press("G")
    terminal.shows("line 20000 of many")
    terminal.press("s")
    terminal.shows("save as")
    terminal.press("C-u")
    terminal.type(str(folder.folder / "saved.log"))
    terminal.press("Enter")
    terminal.shows(r"20000 lines? saved|lines saved")
    saved = (folder.folder / "saved.log").read_text().splitlines()
    assert len(saved) == 20_000
    assert saved[-1].endswith("STDOUT line 20000 of many")
    # New lines come by themselves.
    folder.cli("task", "run", "lines", "--wait")
    terminal.shows(r"line 20000 of many")
    terminal.press("q")
    terminal.shows("ended 0")


def test_a_principal_that_hangs_goes_and_comes_back(new_cluster: NewCluster, new_terminal: NewTerminal) -> None:
    cluster = new_cluster(CDKTR_DEFAULT_ZMQ_TIMEOUT_MS="700")
    cluster.write("hello", HELLO)
    cluster.write("waits", WAITS)
    principal = cluster.start_principal()
    terminal = new_terminal(cluster)
    terminal.run("ui")
    terminal.shows("Connected(.|\n)*hello")
    os.kill(principal.process.pid, signal.SIGSTOP)
    try:
        # Nobody answers, and still every key does.
        for tab, place in (("3", r"\[3 Agents\]"), ("2", r"\[2 Runs\]"), ("1", r"\[1 Workflows\]"), ("?", r"Keys ")):
            terminal.press(tab)
            terminal.shows(place)
        terminal.press("Escape", "r")
        terminal.shows(r"Disconnected \d+s: \S+(.|\n)*hello(.|\n)*No principal answers")
    finally:
        os.kill(principal.process.pid, signal.SIGCONT)
    terminal.shows(r"● Connected")
    # What was asked for meanwhile was told not to be possible.
    terminal.press("r")
    if "Start another" in terminal.shows(r"Start another|Started \S+"):
        terminal.press("y")
    terminal.shows(r"Started \S+(.|\n)*queue 1|queue 1(.|\n)*Started \S+")
    terminal.press("2")
    terminal.shows(r"\[2 Runs\](.|\n)*PENDING")
    principal.process.kill()
    principal.wait()
    terminal.shows(r"Disconnected \d+s: connection refused(.|\n)*PENDING")
    cluster.start_principal()
    terminal.shows(r"● Connected(.|\n)*The principal is back")
    cluster.start_agent()
    terminal.shows("COMPLETED")
    assert len(re.findall(r"COMPLETED|PENDING|RUNNING", terminal.text)) == 1
    terminal.press("q")
    terminal.shows("ended 0")


def test_a_principal_that_comes_later(new_cluster: NewCluster, new_terminal: NewTerminal) -> None:
    cluster = new_cluster()
    cluster.write("hello", HELLO)
    cluster.start_principal().stop()
    terminal = new_terminal(cluster)
    terminal.run("ui")
    terminal.shows(r"Disconnected \d+s: connection refused")
    for tab in "234?":
        terminal.press(tab)
    terminal.shows("Keys ")
    terminal.press("Escape", "1")
    cluster.start_principal()
    terminal.shows(r"● Connected(.|\n)*> \S+ hello")
    terminal.press("q")
    terminal.shows("ended 0")


STEPS = """
name: Steps
tasks:
  first:
    name: First
    config: !Subprocess {cmd: sh, args: [-c, "echo first begins; until [ -e one ]; do sleep 0.05; done"]}
  last:
    name: Last
    depends: [first]
    config: !Subprocess {cmd: sh, args: [-c, "n=0; until [ -e two ]; do n=$((n+1)); echo tick $n.; sleep 0.3; done"]}
"""
NOISE = """
name: Noise
tasks:
  a:
    name: A
    config: !Subprocess
      cmd: python3
      args: [-c, "import os; print(*(os.urandom(100).hex() for _ in range(5000)), sep=chr(10))"]
"""


def test_lines_are_seen_while_the_database_cannot_be_written(
    new_cluster: NewCluster, new_terminal: NewTerminal, disk: Path
) -> None:
    cluster = new_cluster(CDKTR_DB_PATH=str(disk / "app.db"))
    cluster.write("steps", STEPS)
    cluster.write("noise", NOISE)
    principal = cluster.start_principal()
    cluster.start_agent()
    terminal = new_terminal(cluster, 110, 30)
    terminal.run("ui")
    terminal.shows("Connected")
    select(terminal, "steps")
    terminal.press("r", "l")
    terminal.shows("first begins")
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "ballast").write_bytes(bytes(free - 300_000))
    cluster.cli("task", "run", "noise")
    principal.wait_for("cannot be written")
    terminal.shows("lags behind")
    (cluster.folder / "one").touch()
    terminal.shows(r"tick \d+\. +not stored yet")
    (cluster.folder / "two").touch()
    # There is room again: the same lines, each once, are stored ones.
    (disk / "ballast").unlink()
    principal.wait_for("The database can be written again")
    terminal.loses("not stored yet")
    text = terminal.shows(r"first begins(.|\n)*tick 1\.")
    ticks = [int(number) for number in re.findall(r"tick (\d+)\.", text)]
    assert ticks == list(range(1, len(ticks) + 1))
    assert text.count("first begins") == 1
    terminal.press("q")
    terminal.shows("ended 0")


def test_a_long_history_from_end_to_end(new_cluster: NewCluster, new_terminal: NewTerminal, tmp_path: Path) -> None:
    batch = Batch()
    for number in range(3_000):
        run = RunUpdate("old", f"brave-heron-{number}", RunStatus.COMPLETED, 1_700_000_000_000 + number * 60_000)
        batch.add_run(run, number)
    store = Store(str(tmp_path / "app.db"))
    store.write(batch)
    store.close()
    cluster = new_cluster(CDKTR_DB_PATH=str(tmp_path / "app.db"))
    cluster.write("hello", HELLO)
    cluster.start_principal()
    terminal = new_terminal(cluster)
    terminal.run("ui")
    terminal.shows("Connected(.|\\n)*hello")
    terminal.press("2")
    terminal.shows(r" 1 of 3,000 (.|\n)*> . brave-heron-2999\b")
    # All at once: no key is lost while a part of the history is under way.
    terminal.press("G", "k", "k", *["PageUp"] * 20)
    text = terminal.shows(r" 2,638 of 3,000 (.|\n)*> . brave-heron-362\b")
    for _ in range(3):
        cluster.cli("task", "run", "hello")
    terminal.shows(" of 3,003 ")
    assert terminal.text.splitlines()[3:] == text.splitlines()[3:]
    terminal.press("g")
    terminal.shows(r" 1 of 3,003 (.|\n)*PENDING")
    terminal.press("/")
    terminal.type("HERON-777")
    terminal.press("Enter")
    terminal.shows(r'"HERON-777" in an id.* 1 of 1 (.|\n)*> . brave-heron-777\b')
    terminal.press("q")
    terminal.shows("ended 0")


def test_an_agent_that_is_stopped_and_one_that_is_killed(new_cluster: NewCluster, new_terminal: NewTerminal) -> None:
    cluster = new_cluster(CDKTR_AGENT_HEARTBEAT_TIMEOUT_MS="3000")
    cluster.start_principal()
    agents = [cluster.start_agent() for _ in "ab"]
    calm, rash = (re.search(r"Agent (\S+) ready", agent.text)[1] for agent in agents)  # type: ignore[index]
    terminal = new_terminal(cluster)
    terminal.run("ui")
    terminal.press("3")
    for name in (calm, rash):
        terminal.shows(rf"{name} +READY")
    # The other one clears up after it, and says so.
    agents[1].process.kill()
    terminal.shows(rf"{rash} +KILLED +0")
    agents[0].stop()
    text = terminal.shows(rf"{calm} +STOPPED")
    assert not re.search(rf"{calm} +LOST", text)
    alone = cluster.start_agent()
    lone = re.search(r"Agent (\S+) ready", alone.text)[1]  # type: ignore[index]
    terminal.shows(rf"{lone} +READY")
    alone.process.kill()
    terminal.shows(rf"{lone} +LOST")
    terminal.press("q")
    terminal.shows("ended 0")


def test_pasted_text_starts_nothing(folder: Cluster, new_terminal: NewTerminal) -> None:
    terminal = new_terminal(folder)
    terminal.run("ui")
    terminal.shows("Connected")
    terminal.tmux("set-buffer", "error: retry later, and quit\n")
    terminal.tmux("paste-buffer", "-p")
    terminal.shows("pasted text is not taken for keys")
    terminal.press("/")
    terminal.shows("filter:")
    terminal.tmux("set-buffer", "li\nnes\n")
    terminal.tmux("paste-buffer", "-p")
    terminal.shows("filter: lines")


def test_another_size_loses_nothing(folder: Cluster, new_terminal: NewTerminal) -> None:
    terminal = new_terminal(folder)
    terminal.run("ui")
    terminal.shows("Connected")
    select(terminal, "waits")
    terminal.resize(200, 60)
    terminal.until(lambda text: re.search(r"quit\n*\Z", text) and len(text.splitlines()) == 60, "a large screen")
    terminal.resize(59, 14)
    terminal.shows(r"59 x 14(.|\n)*60 x 15")
    terminal.resize(60, 15)
    text = terminal.shows(r"> \S+ waits\b(.|\n)*quit")
    assert len(text.splitlines()) == 15
    assert "59 x 14" not in text
    terminal.press("q")
    terminal.shows("ended 0")


#: `cdktr ui` on a terminal that grows once more in the middle of being opened again.
GROWS = """
import fcntl, struct, sys, termios
sys.path.insert(0, {root!r})
from cdktr.cli import main
from cdktr.tui.screen.terminal import Terminal

opened, sizes = Terminal.open, [(50, 100), None]

def grows(self):
    opened(self)
    if sizes and (size := sizes.pop()):
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

Terminal.open = grows
sys.exit(main(sys.argv[1:]))
"""


def test_another_size_while_the_last_one_is_taken_in(
    folder: Cluster, new_terminal: NewTerminal, tmp_path: Path
) -> None:
    program = tmp_path / "cdktr-grows.py"
    program.write_text(GROWS.format(root=str(Path(__file__).resolve().parents[2])))
    terminal = new_terminal(folder)
    terminal.run("ui", program=str(program))
    terminal.shows("Connected")
    terminal.resize(90, 40)
    # What is painted for the larger one ends in the last row that there is.
    terminal.until(lambda text: re.search(r"quit\n*\Z", text) and len(text.splitlines()) == 40, "a larger screen")
    terminal.press("3")
    terminal.shows(r"\[3 Agents\]")
    terminal.press("q")
    terminal.shows("ended 0")


COLOUR = re.compile(r"\x1b\[[\d;]*(?:3[0-7]|4[0-7]|9[0-7])[;m]")


@pytest.mark.parametrize(
    ("term", "environment", "is_unicode", "is_coloured"),
    [
        ("xterm-256color", {}, True, True),
        ("screen", {}, True, True),
        ("tmux", {}, True, True),
        ("linux", {}, True, True),
        ("vt100", {}, False, False),
        ("made-up", {}, True, True),
        ("xterm-256color", {"NO_COLOR": "1"}, True, False),
        ("xterm-256color", {"LC_ALL": "C"}, False, True),
        ("xterm-256color", {"LC_ALL": "", "LANG": ""}, False, True),
    ],
)
def test_each_terminal(
    folder: Cluster,
    new_terminal: NewTerminal,
    term: str,
    environment: dict[str, str],
    is_unicode: bool,
    is_coloured: bool,
) -> None:
    terminal = new_terminal(folder, **environment)
    terminal.run("ui", TERM=term)
    terminal.shows(r"Connected(.|\n)*hello")
    select(terminal, "waits")
    text = terminal.shows(r"begin\b")
    assert text.isascii() != is_unicode
    assert ("+--" in text) != is_unicode
    assert bool(COLOUR.search(terminal.painted)) == is_coloured
    for key in ("Down", "Up", "PageDown", "End", "Home"):
        terminal.press(key)
    terminal.press("Tab", "Right")
    terminal.shows(r"[Ll]og")
    terminal.press("Escape", "3")
    terminal.shows(r"\[3 Agents\]")
    terminal.press("F1")
    terminal.shows("this table|close")
    terminal.press("Escape")
    terminal.loses("this table")
    terminal.press("C-c")
    terminal.shows("ended 0")
    assert terminal.is_restored()


@pytest.mark.parametrize("term", ["xterm-256color", "screen", "linux", "vt100"])
def test_rows_that_move_are_moved_by_the_terminal(
    folder: Cluster, new_terminal: NewTerminal, tmp_path: Path, term: str
) -> None:
    folder.cli("task", "run", "lines", "--wait")
    terminal = new_terminal(folder, 100, 30)
    sent = tmp_path / "sent"
    terminal.tmux("pipe-pane", f"cat > {sent}")
    terminal.run("ui", TERM=term)
    terminal.shows("Connected")
    select(terminal, "lines")
    terminal.press("l")

    def ends_with(number: int) -> None:
        terminal.shows(rf"line {number} of many\s*\n[^\n]*quit")

    def moves_after(keys: str, number: int) -> int:
        """How often rows were moved by these keys, all in one direction, up to the line at the end."""
        before = sent.stat().st_size
        for key in keys:
            terminal.press(key)
        ends_with(number)
        painted = terminal.painted
        # Painted anew, all of it, it is the same.
        terminal.press("C-l", "F1")
        terminal.shows("Everywhere")
        terminal.press("Escape")
        terminal.loses("Everywhere")
        assert terminal.painted == painted
        return len(re.findall(rb"\x1b\[\d+;\d+r\x1b\[\d+", sent.read_bytes()[before:]))

    ends_with(20_000)
    assert moves_after("kkkkk", 19_995) > 0
    assert moves_after("jjj", 19_998) > 0
    terminal.resize(80, 24)
    terminal.press("G")
    ends_with(20_000)
    terminal.press("/")
    terminal.type("1998")
    terminal.press("Enter")
    terminal.shows("/1998")
    terminal.press("G")
    ends_with(20_000)
    # With what is searched for marked in it.
    assert moves_after("kkkk", 19_996) > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_gives_the_terminal_back(folder: Cluster, new_terminal: NewTerminal, number: signal.Signals) -> None:
    terminal = new_terminal(folder)
    terminal.run("ui")
    terminal.shows("Connected")
    terminal.signal(number)
    assert f"cdktr: the terminal UI was ended by {number.name}" in terminal.shows(rf"ended {128 + number}\b")
    assert terminal.is_restored()


#: `cdktr ui` in which something is wrong.
WRONG = """
import sys
sys.path.insert(0, {root!r})
from cdktr.cli import main
from cdktr.tui.screen import loop
from cdktr.tui.feed import poll

def wrong(*_):
    raise LookupError("there is a hole in it")

if sys.argv.pop() == "screen":
    render = loop.render
    loop.render = lambda state: wrong() if state.link.status == "Connected" else render(state)
else:
    poll.abilities = wrong
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("where", ["screen", "feed"])
def test_a_bug_is_told_on_a_terminal_that_was_given_back(
    folder: Cluster, new_terminal: NewTerminal, tmp_path: Path, where: str
) -> None:
    program = tmp_path / "cdktr-wrong.py"
    program.write_text(WRONG.format(root=str(Path(__file__).resolve().parents[2])))
    # High enough for all of a traceback.
    terminal = new_terminal(folder, 150, 90)
    # Another size is said in the environment, as some shells do.
    terminal.run("ui", where, program=str(program), LINES="24", COLUMNS="80")
    text = terminal.shows("ended 70")
    assert "cdktr: this is a bug: LookupError('there is a hole in it')" in text
    assert "Traceback" in text
    assert terminal.is_restored()


def test_a_pause_and_what_the_shell_did_meanwhile(folder: Cluster, new_terminal: NewTerminal) -> None:
    terminal = new_terminal(folder)
    terminal.run("ui")
    terminal.shows("Connected")
    select(terminal, "waits")
    terminal.press("C-z")
    terminal.shows(r"Stopped")
    assert terminal.is_restored()
    terminal.run_shell("stty raw; stty sane; fg")
    terminal.shows(r"> \S+ waits\b(.|\n)*quit")
    terminal.press("3")
    terminal.shows(r"\[3 Agents\]")
    # Whoever stopped and continued it wrote on the terminal. The shell, which would take it, is not told of a stop.
    terminal.tmux("send-keys", "-R")
    terminal.loses("Agents")
    terminal.signal(signal.SIGCONT)
    terminal.shows(r"\[3 Agents\]")
    terminal.press("1")
    terminal.shows(r"\[1 Workflows\](.|\n)*> \S+ waits\b")
    terminal.press("q")
    # The shell does not go on with what stood behind a command that was stopped.
    terminal.loses("waits")
    assert terminal.is_restored()


def test_ids_are_copied_and_the_mouse_is_obeyed_unless_it_is_the_terminals(
    folder: Cluster, new_terminal: NewTerminal
) -> None:
    terminal = new_terminal(folder)
    terminal.run("ui")
    terminal.shows("Connected")
    select(terminal, "waits")
    terminal.press("y")
    terminal.until(lambda _: terminal.tmux("list-buffers"), "A copy")
    assert terminal.tmux("show-buffer") == "waits"
    assert terminal.tmux("display-message", "-p", "#{mouse_any_flag}").strip() == "1"
    # The second tab, and back.
    column = terminal.text.splitlines()[1].index("2 Runs") + 1
    terminal.type(f"\x1b[<0;{column};2M\x1b[<0;{column};2m")
    terminal.shows(r"\[2 Runs\]")
    terminal.press("1", "m")
    terminal.shows("The mouse is the terminal's now")
    assert terminal.tmux("display-message", "-p", "#{mouse_any_flag}").strip() == "0"
    terminal.press("q")
    terminal.shows("ended 0")


def test_a_terminal_of_no_size_that_goes(folder: Cluster) -> None:
    ours, its = os.openpty()
    command = [*SCRIPT, "ui"]
    environment = {**folder.environment(), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    for name in ("LINES", "COLUMNS"):
        environment.pop(name, None)
    ui = subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, cwd=folder.folder, env=environment,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(its)
    painted = b""
    while not (b"Connected" in painted and b"quit" in painted):
        painted += os.read(ours, 65536)
    assert b"\x1b[24;" in painted
    assert b"\x1b[25;" not in painted
    os.close(ours)
    assert ui.wait(PATIENCE_S) == 128 + signal.SIGHUP


def test_where_there_is_no_terminal_a_sentence_says_so(folder: Cluster, new_terminal: NewTerminal) -> None:
    done = folder.cli("ui")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cdktr: cdktr ui needs a terminal")
    assert len(done.stderr.splitlines()) == 1
    terminal = new_terminal(folder, 200)
    terminal.run("ui", TERM="dumb")
    assert "on which nothing can be painted" in terminal.shows("ended 2")
    assert terminal.is_restored()
