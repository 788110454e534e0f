"""Stops as they happen to people: Ctrl-C in a terminal, a terminal that is closed, `nohup`, streams that are gone.

Signals sent to one process alone, and what becomes of its runs, are in `tests/faults`.
"""

import fcntl
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cdktr import protocol as p
from cdktr.client import Principal
from tests.integration.cluster import PATIENCE_S, ROOT, Cluster
from tests.integration.conftest import NewCluster

WAITING = """
name: Waiting
tasks:
  wait:
    name: Wait
    config: !Subprocess
      cmd: sh
      args: [-c, 'echo $$ >> {folder}/pids; while [ ! -e {folder}/go ]; do sleep 0.02; done']
"""

CTRL_C = b"\x03"


def until(done: Callable[[], Any]) -> Any:
    """What `done` returns once that is true; fails after a long while."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := done()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


class Terminal:
    """`cdktr …` in the foreground of a terminal of its own."""

    def __init__(self, cluster: Cluster, *arguments: str) -> None:
        self.text = ""
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "cdktr.py"), *arguments],
            cwd=cluster.folder,
            env=cluster.environment(),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._closing = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:

        while self._closing[0] not in select.select([self._master, self._closing[0]], [], [])[0]:
            try:
                self.text += os.read(self._master, 4096).decode(errors="replace")
            except OSError:
                return

    def wait_for(self, words: str) -> str:
        """The text, once these words are in it."""
        until(lambda: words in self.text or self.process.poll() is not None)
        assert words in self.text, self.text
        return self.text

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def close(self) -> None:
        """As when its window is closed."""
        os.write(self._closing[1], b"x")
        self._reader.join()
        for each in (self._master, *self._closing):
            os.close(each)


def processes(cluster: Cluster) -> list[int]:
    """Those that belong to a cluster, by what stands in their environment; zombies have none, and are in `zombies`."""
    mark = f"CDKTR_APP_DATA_DIRECTORY={cluster.folder / 'data'}".encode()
    found = []
    for each in Path("/proc").iterdir():
        try:
            if each.name.isdigit() and mark in (each / "environ").read_bytes().split(b"\0"):
                found.append(int(each.name))
        except (OSError, ProcessLookupError):
            continue
    return found


def zombies(parents: list[int]) -> list[int]:
    found = []
    for each in Path("/proc").iterdir():
        if not each.name.isdigit():
            continue
        try:
            state, parent = (each / "stat").read_text().rpartition(")")[2].split()[:2]
        except (OSError, ProcessLookupError):
            continue
        if state == "Z" and int(parent) in parents:
            found.append(int(each.name))
    return found


def begun(folder: Path) -> list[str]:
    file = folder / "pids"
    return file.read_text().split() if file.exists() else []


def status(cluster: Cluster, run_id: str) -> str:
    return str(cluster.ask(p.ListRuns(workflow_instance_id=run_id))[0]["status"])


def start(cluster: Cluster, *arguments: str) -> Terminal:
    """A principal in a terminal, once it answers."""
    terminal = Terminal(cluster, "start", "principal", *arguments)
    started = "Principal server started on 127.0.0.1:"
    until(lambda: "\n" in terminal.wait_for(started).partition(started)[2])
    cluster.port = int(terminal.text.partition(started)[2].split()[0])
    return terminal


def run(cluster: Cluster, folder: Path) -> str:
    """A run that waits for a file, once its task is under way."""
    count = len(begun(folder))
    run_id = str(cluster.ask(p.Trigger("waiting"))["workflow_instance_id"])
    until(lambda: len(begun(folder)) > count)
    return run_id


@pytest.fixture
def cluster(new_cluster: NewCluster, tmp_path: Path) -> Iterator[Cluster]:
    cluster = new_cluster()
    cluster.write("waiting", WAITING.format(folder=tmp_path))
    yield cluster
    for pid in processes(cluster):
        if pid not in [daemon.process.pid for daemon in cluster.daemons]:
            os.kill(pid, signal.SIGKILL)


def assert_nothing_is_left(cluster: Cluster) -> None:
    """No process; and another principal can start at once."""
    until(lambda: processes(cluster) == [])
    cluster.start_principal()


def test_ctrl_c_lets_the_pair_finish_what_runs(cluster: Cluster, tmp_path: Path) -> None:
    terminal = start(cluster, "--with-agent")
    run_id = run(cluster, tmp_path)
    terminal.press(CTRL_C)
    terminal.wait_for("Stopping: 1 runs go on")
    assert zombies(processes(cluster)) == []
    (tmp_path / "go").touch()
    assert terminal.process.wait(PATIENCE_S) == 0
    terminal.wait_for("Principal stopped")
    assert "Traceback" not in terminal.text
    assert_nothing_is_left(cluster)
    assert status(cluster, run_id) == "COMPLETED"


def test_ctrl_c_again_ends_what_runs(cluster: Cluster, tmp_path: Path) -> None:
    terminal = start(cluster, "--with-agent")
    run_id = run(cluster, tmp_path)
    terminal.press(CTRL_C)
    terminal.wait_for("Stopping: 1 runs go on")
    terminal.press(CTRL_C)
    assert terminal.process.wait(PATIENCE_S) == 0
    assert "Traceback" not in terminal.text
    assert_nothing_is_left(cluster)
    assert status(cluster, run_id) == "CRASHED"


def test_ctrl_c_on_an_agent_does_not_reach_its_tasks(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_principal()
    terminal = Terminal(cluster, "start", "agent")
    terminal.wait_for("ready for")
    run_id = run(cluster, tmp_path)
    terminal.press(CTRL_C)
    terminal.wait_for("Stopping: 1 runs go on")
    (tmp_path / "go").touch()
    assert terminal.process.wait(PATIENCE_S) == 0
    assert status(cluster, run_id) == "COMPLETED"
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize("daemon", ["principal", "pair", "agent"])
def test_a_closed_terminal_is_a_first_signal(cluster: Cluster, tmp_path: Path, daemon: str) -> None:
    """What it still says, into a terminal that is gone, is no error."""
    if daemon == "agent":
        cluster.start_principal()
        terminal = Terminal(cluster, "start", "agent")
        terminal.wait_for("ready for")
    else:
        terminal = start(cluster, *(["--with-agent"] if daemon == "pair" else []))
    run_id = run(cluster, tmp_path) if daemon != "principal" else ""
    terminal.close()
    # A shell passes on the one that it gets.
    terminal.process.send_signal(signal.SIGHUP)
    if run_id:
        until(lambda: all(each["slots"] == 0 for each in cluster.ask(p.GetRegisteredAgents())))
        assert status(cluster, run_id) == "RUNNING"
    (tmp_path / "go").touch()
    assert terminal.process.wait(PATIENCE_S) == 0
    if daemon != "agent":
        assert_nothing_is_left(cluster)
    assert not run_id or status(cluster, run_id) == "COMPLETED"


def test_the_shell_of_a_closed_terminal(cluster: Cluster, tmp_path: Path) -> None:
    """An interactive shell tells its jobs, and the kernel tells them again when the shell has gone."""
    (tmp_path / "go").touch()
    master, slave = pty.openpty()
    command = f"{sys.executable} {ROOT / 'cdktr.py'} start principal --with-agent 2> said; echo $? > code\n"
    shell = subprocess.Popen(
        ["bash", "--norc", "-i"],
        cwd=cluster.folder,
        env=cluster.environment(),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    os.write(master, command.encode())
    said = cluster.folder / "said"
    until(lambda: said.exists() and "ready for" in said.read_text())
    os.close(master)
    shell.wait(PATIENCE_S)
    assert_nothing_is_left(cluster)
    assert "Principal stopped" in said.read_text()


def test_nohup_keeps_the_pair_alive(cluster: Cluster, tmp_path: Path) -> None:
    command = ["nohup", sys.executable, str(ROOT / "cdktr.py"), "start", "principal", "--with-agent"]
    said = cluster.folder / "said"
    with said.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=cluster.folder, env=cluster.environment(), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    until(lambda: "ready for" in said.read_text())
    cluster.port = int(said.read_text().partition("started on 127.0.0.1:")[2].split()[0])
    for pid in processes(cluster):
        os.kill(pid, signal.SIGHUP)
    (tmp_path / "go").touch()
    run_id = run(cluster, tmp_path)
    assert cluster.ask(p.AwaitRun(run_id, 30_000), 40)["status"] == "COMPLETED"
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    assert_nothing_is_left(cluster)


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-", "2>&1 | :"])
def test_streams_that_are_gone(cluster: Cluster, tmp_path: Path, closed: str) -> None:
    """Nothing that is said lands in a file of ours, and the stop is as good as any."""
    (tmp_path / "go").touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        cluster.port = server.getsockname()[1]
    inner = f'"$0" "$1" start principal --with-agent; echo $? > {cluster.folder}/code'
    shell = subprocess.Popen(
        ["sh", "-c", f"{{ {inner}; }} {closed}", sys.executable, str(ROOT / "cdktr.py")],
        cwd=cluster.folder,
        env=cluster.environment(),
        stdin=subprocess.DEVNULL,
    )
    lock = cluster.folder / "data" / "principal.lock"
    until(lambda: lock.exists() and lock.read_text())
    until(lambda: _answers(cluster))
    assert cluster.ask(p.AwaitRun(run(cluster, tmp_path), 30_000), 40)["status"] == "COMPLETED"
    assert len(lock.read_text().splitlines()) == 1
    os.kill(int(lock.read_text().split()[0]), signal.SIGTERM)
    shell.wait(PATIENCE_S)
    assert until(lambda: (cluster.folder / "code").read_text()).strip() == "0"
    assert_nothing_is_left(cluster)


def _answers(cluster: Cluster) -> bool:
    with Principal("127.0.0.1", cluster.port) as client:
        return client.ping().success
