"""Listeners of one's own under `cdktr listen`: what a script finds around itself, and how it ends."""

import re
import signal
from pathlib import Path

import pytest

from cdktr import protocol as p
from tests.integration.cluster import Cluster, Daemon
from tests.integration.conftest import NewCluster

pytestmark = pytest.mark.integration

HELLO = "name: Hello\nparams: {who: world}\ntasks:\n  a: {name: A, config: !Subprocess {cmd: 'true'}}\n"

#: As the book has them, with all that the language gives to a script.
BOOK = """
import sys, threading
from pathlib import Path
from cdktr import EventListener, Principal
import neighbour

class Mine(EventListener):
    def __init__(self, principal_host="localhost", principal_port=5561):
        self.principal = Principal(host=principal_host, port=principal_port)

    def start_listening(self):
        result = self.run_workflow("hello", {"who": neighbour.WHO}, key="1")
        print(result.success, result.payload, result.error)
        try:
            threading.Event().wait()
        finally:
            print("cleaned up")

if __name__ == "__main__":
    print(sys.argv, Path(__file__).name, sys.modules["__main__"].Mine is Mine)
    Mine(principal_port=int(sys.argv[2])).start_listening()
"""

#: Nothing but a class, asynchronous, with the principal of the settings.
BARE = """
import asyncio, logging
from cdktr import EventListener

class Base(EventListener):
    \"\"\"Derived from again, so not what is meant.\"\"\"

class Mine(Base):
    async def start_listening(self):
        result = await asyncio.to_thread(self.run_workflow, "hello", {"who": "bare"})
        logging.getLogger("mine").warning("run %s", result.payload["workflow_instance_id"])
        try:
            await asyncio.Event().wait()
        finally:
            print("cleaned up")
"""

#: Leaves something behind that has a listener, or is for something else, and never ends.
LEFT = """
import multiprocessing, os, threading, time
from cdktr import EventListener

class Mine(EventListener):
    def start_listening(self):
        # In one piece: others write to the same place.
        who = (threading.current_thread().name, multiprocessing.current_process().name)
        os.write(1, ("listening in %s %s\\n" % who).encode())
        threading.Event().wait()

def later():
    time.sleep(0.3)
    Mine().start_listening()

{}
"""

LEFT_BEHIND = {
    "a thread": "threading.Thread(target=Mine().start_listening).start()",
    "a thread that begins later": "threading.Thread(target=later).start()",
    "a process": "multiprocessing.get_context('fork').Process(target=Mine().start_listening).start()",
    "a process that begins later": "multiprocessing.get_context('fork').Process(target=later).start()",
}


#: Told to stop where an exception is lost.
UNHEARD = """
import os, signal, threading
from cdktr import EventListener

class Mine(EventListener):
    def start_listening(self):
        os.register_at_fork(after_in_parent=lambda: signal.raise_signal(signal.SIGTERM))
        if os.fork() == 0:
            os._exit(0)
        try:
            threading.Event().wait()
        finally:
            print("cleaned up")
"""


@pytest.fixture
def here(new_cluster: NewCluster) -> Cluster:
    """A folder with a principal."""
    cluster = new_cluster()
    cluster.write("hello", HELLO)
    (cluster.folder / "neighbour.py").write_text("WHO = 'neighbour'\n")
    cluster.start_principal()
    return cluster


def listening(cluster: Cluster, text: str, *arguments: str) -> Daemon:
    """A script that runs."""
    (cluster.folder / "sub").mkdir()
    (cluster.folder / "sub/mine.py").write_text(text)
    (cluster.folder / "neighbour.py").rename(cluster.folder / "sub/neighbour.py")
    return cluster.spawn("listen", "sub/mine.py", *arguments)


def params_of(cluster: Cluster) -> list[tuple[str, str]]:
    """What was triggered: the word for the history, and the parameters."""
    return [(run["trigger"], run["params"]) for run in cluster.ask(p.ListRuns())]


def test_a_script_runs_as_it_stands_and_cleans_up_when_it_is_told_to_stop(here: Cluster) -> None:
    daemon = listening(here, BOOK, "--port", str(here.port), "-h", "--", "-x")
    daemon.wait_for(re.escape(f"['sub/mine.py', '--port', '{here.port}', '-h', '--', '-x'] mine.py True"))
    daemon.wait_for(r"True \{'workflow_instance_id': '[\w-]+'\} None")
    assert params_of(here) == [("listener", '{"who": "neighbour"}')]
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert daemon.lines[-1] == "cleaned up"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_class_alone_is_made_and_started(here: Cluster, number: signal.Signals) -> None:
    daemon = listening(here, BARE)
    daemon.wait_for(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[WARN\] run [\w-]+$")
    assert params_of(here) == [("listener", '{"who": "bare"}')]
    daemon.signal(number)
    assert daemon.wait() == 0
    assert daemon.lines[1:] == ["cleaned up"]


@pytest.mark.parametrize("left", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_what_is_left_behind_goes_on_and_is_ended(left: str, new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    (cluster.folder / "mine.py").write_text(LEFT.format(left))
    daemon = cluster.spawn("listen", "mine.py")
    daemon.wait_for("^listening in (?!MainThread MainProcess)")
    daemon.signal(signal.SIGTERM)
    # Its output ends with the last process that holds it.
    assert daemon.wait() == 0
    assert daemon.text.count("listening in") == 1, "it is started once"


def test_a_signal_in_the_middle_of_a_fork_is_heeded(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    (cluster.folder / "mine.py").write_text(UNHEARD)
    ended = cluster.cli("listen", "mine.py")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "cleaned up\n", "")


#: Told to stop when a process of it runs and is not known to it yet.
UNKNOWN = """
import multiprocessing, os, signal
from multiprocessing import process

class Children(set):
    def add(self, child):
        os.kill(os.getpid(), signal.SIGTERM)
        super().add(child)

process._children = Children()
"""


def test_a_signal_in_the_middle_of_the_start_of_a_process_leaves_none_behind(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    (cluster.folder / "mine.py").write_text(UNKNOWN + LEFT.format(LEFT_BEHIND["a process"]))
    # It returns when nobody holds its output any more.
    ended = cluster.cli("listen", "mine.py")
    assert ended.returncode == 0


def test_beside_what_is_left_behind_for_something_else_no_listener_is_made(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    (cluster.folder / "mine.py").write_text(LEFT.format("threading.Thread(target=time.sleep, args=(0.1,)).start()"))
    ended = cluster.cli("listen", "mine.py")
    assert ended.returncode == 1
    assert "mine.py has ended, and what it began goes on (Thread-1 (sleep)); no listener is made beside it" in (
        ended.stderr
    )
    assert "mine.py has ended, and started no event listener; let its last line start the one it has" in (ended.stderr)
    assert ended.stdout == ""


LISTENER = "from cdktr import EventListener\nclass {}(EventListener):\n    {}\n"
LISTEN = "def start_listening(self): "


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("x = 1\n", 1, "mine.py has ended and defines no event listener: a class that is derived from cdktr.EventL"),
        ("from cdktr import EventListener\n", 1, "mine.py has ended and defines no event listener"),
        (
            LISTENER.format("A", LISTEN + "...") + LISTENER.format("B", LISTEN + "..."),
            1,
            "mine.py defines several event listeners and starts none (A, B); let its last line start the one",
        ),
        (LISTENER.format("A", "pass"), 1, "A in mine.py has no start_listening(), which says what it waits for"),
        (
            LISTENER.format("A", f"def __init__(self, where): ...\n    {LISTEN}..."),
            1,
            "A in mine.py needs arguments (missing a required argument: 'where'); let the last line of the script",
        ),
        ("import sys\nprint(sys.argv\n", 2, "mine.py:2 is no Python: '(' was never closed"),
        ("\0", 2, "mine.py is no Python: source code string cannot contain null bytes"),
        (None, 2, "mine.py cannot be read: No such file or directory; expected the file of a listener"),
        ("import sys\nsys.exit(7)\n", 7, ""),
        ("import sys\nsys.exit('That is all.')\n", 1, "That is all."),
        ("raise KeyboardInterrupt\n", 0, ""),
        (LISTENER.format("A", LISTEN + "print('once')") + "A().start_listening()\n", 0, ""),
        (LISTENER.format("A", LISTEN + "self.principal.ping()"), 2, "CDKTR_PRINCIPAL_PORT is 0, which is no port to"),
        (LISTENER.format("A", "pass") + "A().start_listening()", 1, "A does not say what it waits for"),
    ],
)
def test_how_a_script_can_end(text: str | None, code: int, said: str, new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    if text is not None:
        (cluster.folder / "mine.py").write_text(text)
    ended = cluster.cli("listen", "mine.py")
    assert ended.returncode == code
    assert said in ended.stderr
    assert bool(said) == bool(ended.stderr)
    assert ended.stdout == ("once\n" if "once" in (text or "") else "")
    assert "Traceback" not in ended.stderr or "NotImplementedError" in ended.stderr


def test_what_a_script_raises_is_told_as_its_own(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    mine = cluster.folder / "mine.py"
    mine.write_text(LISTENER.format("A", f"async {LISTEN}self.look()\n    def look(self): return {{}}['\\x1b']\n"))
    ended = cluster.cli("listen", "mine.py")
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert f'  File "{mine}", line 4, in look' in lines
    assert lines[-1] == r"KeyError: '\x1b'"
    assert str(Path(__file__).parents[2] / "cdktr") not in ended.stderr


def test_a_script_that_sets_up_its_own_log_lines(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    (cluster.folder / "mine.py").write_text(
        "import logging, sys\n"
        "logging.basicConfig(format='%(levelname)s:%(message)s', stream=sys.stdout)\n"
        "logging.getLogger('mine').warning('seen')\n"
        "logging.getLogger('mine').info('not seen')\n"
        "logging.getLogger('cdktr.x').warning('ours')\n" + LISTENER.format("A", LISTEN + "...")
    )
    ended = cluster.cli("listen", "mine.py")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "WARNING:seen\nWARNING:ours\n", "")


def test_a_word_that_is_no_file(new_cluster: NewCluster) -> None:
    ended = new_cluster().cli("listen", "webhok")
    assert (ended.returncode, ended.stderr) == (
        2,
        "cdktr: webhok cannot be read: No such file or directory; did you mean webhook?\n",
    )
