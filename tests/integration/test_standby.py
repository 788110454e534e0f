"""Two principals on one data folder: one serves, the other waits for its end and takes over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cdktr import protocol as p
from cdktr.client import Principal
from tests.integration.cluster import PATIENCE_S, ROOT, Cluster, Daemon
from tests.integration.conftest import NewCluster

STARTED = r"Principal server started on \S+:(\d+)"

WAITING = """
name: Waiting
tasks:
  wait:
    name: Wait
    config: !Subprocess
      cmd: sh
      args: [-c, 'echo begun; echo $$ >> {folder}/pids; while [ ! -e {folder}/go ]; do sleep 0.02; done; echo done']
"""


def until(done: Callable[[], Any]) -> Any:
    """What `done` returns once that is true; fails after a long while."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := done()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def kill(daemon: Daemon) -> None:
    daemon.signal(signal.SIGKILL)
    daemon.process.wait()


def stand_by(cluster: Cluster, first: Daemon, *arguments: str, **env: str) -> Daemon:
    daemon = cluster.spawn("start", "principal", "--standby", *arguments, env=env)
    daemon.wait_for(rf"Standing by: process {first.process.pid} on \S+ holds the data folder")
    return daemon


def begun(folder: Path) -> list[str]:
    file = folder / "pids"
    return file.read_text().split() if file.exists() else []


@pytest.fixture
def cluster(new_cluster: NewCluster, tmp_path: Path) -> Cluster:
    cluster = new_cluster()
    cluster.write("waiting", WAITING.format(folder=tmp_path))
    return cluster


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_takes_over_whatever_ended_the_first(cluster: Cluster, number: signal.Signals) -> None:
    """With the queue, at the same address, and what changed in the workflow folder meanwhile."""
    first = cluster.start_principal()
    standby = stand_by(cluster, first)
    cluster.ask(p.Trigger("waiting"))
    (cluster.workflows / "new.yml").write_text("name: New\ntasks: {a: {name: A, config: !Subprocess {cmd: true}}}\n")
    assert "started" not in standby.text
    first.signal(number)
    assert int(standby.wait_for(STARTED)[1]) == cluster.port
    assert cluster.ask(p.ClusterStatus())["queued"] == 1
    assert set(cluster.ask(p.ListWorkflows())) == {"waiting", "new"}


def test_it_holds_neither_port_nor_database_while_it_waits(cluster: Cluster) -> None:
    first = cluster.start_principal()
    standby = stand_by(cluster, first)
    links = []
    for each in Path(f"/proc/{standby.process.pid}/fd").iterdir():
        # One that it closes meanwhile, as the file that it looks into now and then.
        with suppress(FileNotFoundError):
            links.append(os.readlink(each))
    assert links
    assert not [link for link in links if str(cluster.folder / "data") in link]
    listening = {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"}
    assert not [link for link in links if link.removeprefix("socket:[").rstrip("]") in listening]


def test_a_signal_ends_the_wait(cluster: Cluster) -> None:
    first = cluster.start_principal()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        standby = stand_by(cluster, first)
        standby.signal(number)
        assert standby.wait() == 0
        # Its look into the workflow folder may end after that.
        assert "Stopped while standing by" in standby.text
    assert cluster.ask(p.Ping()) is None


def test_of_two_one_takes_over_and_the_other_goes_on_waiting(cluster: Cluster) -> None:
    first = cluster.start_principal()
    standbys = [stand_by(cluster, first) for _ in range(2)]
    kill(first)
    [second] = until(lambda: [each for each in standbys if "server started" in each.text])
    [third] = [each for each in standbys if each is not second]
    third.wait_for(rf"Standing by: process {second.process.pid} on ")
    kill(second)
    third.wait_for(STARTED)
    assert cluster.ask(p.Ping()) is None


def test_an_agent_that_lives_on_with_its_tasks_holds_no_lock(cluster: Cluster, tmp_path: Path) -> None:
    """It finishes its run under the new principal, whose own agent takes what comes."""
    first = cluster.start_principal("--with-agent")
    standby = stand_by(cluster, first, "--with-agent")
    assert Path(f"/proc/{standby.process.pid}/task/{standby.process.pid}/children").read_text() == ""
    running = cluster.ask(p.Trigger("waiting"))["workflow_instance_id"]
    until(lambda: begun(tmp_path))
    kill(first)
    standby.wait_for(STARTED)
    assert (tmp_path / "go").exists() is False
    (tmp_path / "go").touch()
    later = cluster.ask(p.Trigger("waiting"))["workflow_instance_id"]
    for run_id in (running, later):
        assert cluster.ask(p.AwaitRun(run_id, 30_000), 40)["status"] == "COMPLETED"
    assert len(begun(tmp_path)) == 2


def test_a_suspended_principal_is_not_dead(cluster: Cluster) -> None:
    first = cluster.start_principal()
    standby = stand_by(cluster, first)
    first.signal(signal.SIGSTOP)
    other = cluster.spawn("start", "principal")
    assert other.wait() == 5
    assert "or wait for its end with --standby" in other.text
    assert "started" not in standby.text
    first.signal(signal.SIGCONT)
    assert cluster.ask(p.Ping()) is None


HOLDER = (
    "import fcntl, os, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
    "f.write(str(os.getpid())); f.flush(); print('held', flush=True); sys.stdin.read()"
)
LISTENER = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])));print('held', flush=True);"
    "sys.stdin.read()"
)


@pytest.mark.parametrize("what", ["database", "port"])
def test_what_is_still_held_is_told_and_waited_for(cluster: Cluster, what: str) -> None:
    first = cluster.start_principal()
    port = cluster.port
    assert first.stop() == 0
    (cluster.folder / "data" / "app.db.lock").touch()
    program, argument = (LISTENER, str(port)) if what == "port" else (HOLDER, "data/app.db.lock")
    with subprocess.Popen(
        [sys.executable, "-c", program, argument], cwd=cluster.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        standby = cluster.spawn("start", "principal", "--standby")
        said = rf"Cannot take over yet: Port {port} on" if what == "port" else "Standing by: .* holds the database"
        standby.wait_for(said)
        assert "started" not in standby.text
        assert holder.stdin is not None
        holder.stdin.close()
    standby.wait_for(STARTED)


# Two addresses. Of Linux, all of 127.0.0.0/8 is of this host.

BOTH = "127.0.0.1,127.0.0.2"


def test_clients_and_agents_find_it_at_another_address(cluster: Cluster, tmp_path: Path) -> None:
    first = cluster.start_principal()
    standby = stand_by(cluster, first, CDKTR_PRINCIPAL_HOST="127.0.0.2")
    agent = cluster.start_agent(env={"CDKTR_PRINCIPAL_HOST": BOTH})
    run_id = cluster.ask(p.Trigger("waiting"))["workflow_instance_id"]
    until(lambda: begun(tmp_path))
    both = {"CDKTR_PRINCIPAL_HOST": BOTH}
    following = cluster.spawn("logs", "tail", "--run", run_id, env=both)
    following.wait_for("begun")
    with Principal(BOTH, cluster.port) as client:
        assert client.ping().success
        kill(first)
        standby.wait_for(STARTED)
        (tmp_path / "go").touch()
        assert client.await_run(run_id)["status"] == "COMPLETED"
    assert following.wait() == 0
    assert following.text.count("done") == 1
    assert cluster.cli("task", "list", env=both).returncode == 0
    assert agent.stop() == 0


def test_the_agent_of_a_pair_delivers_at_the_other_address(cluster: Cluster, tmp_path: Path) -> None:
    first = cluster.start_principal("--with-agent", env={"CDKTR_PRINCIPAL_HOST": BOTH})
    standby = stand_by(cluster, first, CDKTR_PRINCIPAL_HOST="127.0.0.2")
    run_id = cluster.ask(p.Trigger("waiting"))["workflow_instance_id"]
    until(lambda: begun(tmp_path))
    kill(first)
    standby.wait_for(STARTED)
    (tmp_path / "go").touch()
    with Principal(BOTH, cluster.port) as client:
        assert client.await_run(run_id)["status"] == "COMPLETED"


def test_nobody_answers_at_any(cluster: Cluster) -> None:
    done = cluster.cli("status", env={"CDKTR_PRINCIPAL_HOST": "127.0.0.1:1,127.0.0.2:1"})
    assert done.returncode == 3
    assert "127.0.0.1:1 (Connection refused), 127.0.0.2:1 (Connection refused)" in done.stderr
    assert ROOT.name not in done.stdout
