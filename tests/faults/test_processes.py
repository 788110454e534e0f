"""Processes that die, stop or come back: what was accepted goes on, once, and its end is told."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdktr import protocol as p
from tests.integration.cluster import PATIENCE_S, Cluster
from tests.integration.conftest import NewCluster, new_cluster

__all__ = ["new_cluster"]

#: A task that says that it began, then waits for a file.
WAITING = """
name: Waiting
tasks:
  wait:
    name: Wait
    config: !Subprocess
      cmd: sh
      args: [-c, 'echo begun; echo $$ >> {folder}/pids; while [ ! -e {folder}/go ]; do sleep 0.02; done; echo done']
  after: {{name: After, depends: [wait], config: !Subprocess {{cmd: echo, args: [after]}}}}
"""


def until(done: Callable[[], Any]) -> Any:
    """What `done` returns once that is true; fails after a long while."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := done()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def pids(folder: Path) -> list[int]:
    file = folder / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def is_alive(pid: int) -> bool:
    """A zombie is dead: who inherited it need not have collected it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def trigger(cluster: Cluster, workflow_id: str = "waiting") -> str:
    return str(cluster.ask(p.Trigger(workflow_id))["workflow_instance_id"])


def end_of(cluster: Cluster, run_id: str) -> dict[str, Any]:
    summary: dict[str, Any] = cluster.ask(p.AwaitRun(run_id, 30_000), 40)
    return summary


def lines(cluster: Cluster, run_id: str) -> list[str]:
    return [line["payload"] for line in cluster.ask(p.ListLogs(workflow_instance_id=run_id))["lines"]]


@pytest.fixture
def cluster(new_cluster: NewCluster, tmp_path: Path) -> Cluster:
    cluster = new_cluster(CDKTR_AGENT_HEARTBEAT_TIMEOUT_MS="1500")
    cluster.write("waiting", WAITING.format(folder=tmp_path))
    return cluster


def test_a_killed_principal_comes_back_and_nobody_notices(cluster: Cluster, tmp_path: Path) -> None:
    """Running, leased and queued runs all end once, with every line, in the order of the tasks."""
    principal = cluster.start_principal()
    agent = cluster.start_agent("--max-concurrent", "2")
    ids = [trigger(cluster) for _ in range(4)]
    until(lambda: len(pids(tmp_path)) == 2)
    principal.signal(signal.SIGKILL)
    principal.wait()
    (tmp_path / "go").touch()
    agent.wait_for(r"Run \S+ of waiting ended: COMPLETED")
    cluster.start_principal()
    for run_id in ids:
        assert end_of(cluster, run_id)["status"] == "COMPLETED"
        assert lines(cluster, run_id) == ["STDOUT begun", "STDOUT done", "STDOUT after"]
    assert len(pids(tmp_path)) == 4
    assert len(cluster.ask(p.ListRuns())) == 4


def test_triggers_that_were_answered_survive_a_kill(cluster: Cluster, tmp_path: Path) -> None:
    principal = cluster.start_principal()
    ids = [trigger(cluster) for _ in range(50)]
    principal.signal(signal.SIGKILL)
    principal.wait()
    cluster.start_principal()
    assert cluster.ask(p.ClusterStatus())["queued"] == 50
    assert {run["workflow_instance_id"] for run in cluster.ask(p.ListRuns(limit=100))} == set(ids)
    (tmp_path / "go").touch()
    cluster.start_agent()
    assert {end_of(cluster, run_id)["status"] for run_id in ids} == {"COMPLETED"}
    assert len(pids(tmp_path)) == 50


def test_a_scheduled_time_is_not_run_again_after_a_restart(cluster: Cluster) -> None:
    principal = cluster.start_principal()
    first = cluster.ask(p.Trigger("waiting", scheduled_ms=1_000_000))["workflow_instance_id"]
    assert first is not None
    principal.signal(signal.SIGKILL)
    principal.wait()
    cluster.start_principal()
    assert cluster.ask(p.Trigger("waiting", scheduled_ms=1_000_000))["workflow_instance_id"] is None
    assert cluster.ask(p.Trigger("waiting", scheduled_ms=2_000_000))["workflow_instance_id"] is not None


def test_ids_go_on_after_the_data_of_the_queue_is_gone(cluster: Cluster) -> None:
    principal = cluster.start_principal()
    ids = {trigger(cluster) for _ in range(3)}
    assert principal.stop() == 0
    for file in (cluster.folder / "data" / "journal").iterdir():
        file.unlink()
    cluster.start_principal()
    assert trigger(cluster) not in ids
    numbers = [int(run["workflow_instance_id"].rpartition("-")[2]) for run in cluster.ask(p.ListRuns())]
    assert numbers == [3, 2, 1, 0]


def test_a_killed_agent_has_crashed_and_the_next_takes_over(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_principal()
    agent = cluster.start_agent("--max-concurrent", "1")
    running, queued = trigger(cluster), trigger(cluster)
    until(lambda: pids(tmp_path))
    agent.signal(signal.SIGKILL)
    agent.wait()
    summary = end_of(cluster, running)
    assert summary["status"] == "CRASHED"
    assert "was lost: no heartbeat for 1.5 s" in summary["detail"]
    (tmp_path / "go").touch()
    cluster.start_agent()
    assert end_of(cluster, queued)["status"] == "COMPLETED"


def test_a_frozen_agent_is_told_and_does_not_overwrite_the_verdict(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_principal()
    agent = cluster.start_agent()
    run_id = trigger(cluster)
    [pid] = until(lambda: pids(tmp_path))
    agent.signal(signal.SIGSTOP)
    try:
        assert end_of(cluster, run_id)["status"] == "CRASHED"
    finally:
        agent.signal(signal.SIGCONT)
    agent.wait_for(rf"Run {run_id} is no longer this agent's")
    agent.wait_for(rf"Run {run_id} of waiting ended: CRASHED")
    assert not is_alive(pid)
    assert cluster.ask(p.ListRuns(workflow_instance_id=run_id))[0]["status"] == "CRASHED"
    (tmp_path / "go").touch()
    assert end_of(cluster, trigger(cluster))["status"] == "COMPLETED"


def test_a_frozen_principal_calls_nobody_lost(cluster: Cluster, tmp_path: Path) -> None:
    principal = cluster.start_principal()
    cluster.start_agent()
    run_id = trigger(cluster)
    until(lambda: pids(tmp_path))
    principal.signal(signal.SIGSTOP)
    time.sleep(3)  # Twice the heartbeat timeout: it is the pause that is tested.
    principal.signal(signal.SIGCONT)
    (tmp_path / "go").touch()
    assert end_of(cluster, run_id)["status"] == "COMPLETED"
    assert "lost" not in principal.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stopped_principal_ends_cleanly(cluster: Cluster, number: signal.Signals) -> None:
    principal = cluster.start_principal()
    trigger(cluster)
    principal.signal(number)
    assert principal.wait() == 0
    assert "Traceback" not in principal.text
    cluster.start_principal()
    assert cluster.ask(p.ClusterStatus())["queued"] == 1


def test_the_first_signal_drains_an_agent(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_principal()
    agent = cluster.start_agent("--max-concurrent", "1")
    running, queued = trigger(cluster), trigger(cluster)
    until(lambda: pids(tmp_path))
    agent.signal(signal.SIGTERM)
    agent.wait_for("Stopping: 1 runs go on")
    (tmp_path / "go").touch()
    assert agent.wait() == 0
    assert end_of(cluster, running)["status"] == "COMPLETED"
    assert cluster.ask(p.ClusterStatus())["queued"] == 1
    assert cluster.ask(p.GetRegisteredAgents()) == []
    cluster.start_agent()
    assert end_of(cluster, queued)["status"] == "COMPLETED"


def test_an_idle_agent_that_drains_takes_nothing_more(cluster: Cluster, tmp_path: Path) -> None:
    """Its request for work rests at the principal when the signal comes."""
    cluster.start_principal()
    busy = cluster.start_agent("--max-concurrent", "2")
    run_id = trigger(cluster)
    until(lambda: pids(tmp_path))
    busy.signal(signal.SIGTERM)
    busy.wait_for("Stopping: 1 runs go on")
    late = trigger(cluster)
    (tmp_path / "go").touch()
    assert busy.wait() == 0
    assert end_of(cluster, run_id)["status"] == "COMPLETED"
    cluster.start_agent()
    assert end_of(cluster, late)["status"] == "COMPLETED"


def test_the_second_signal_ends_the_tasks(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_principal()
    agent = cluster.start_agent()
    run_id = trigger(cluster)
    [pid] = until(lambda: pids(tmp_path))
    agent.signal(signal.SIGTERM)
    agent.wait_for("Stopping: 1 runs go on")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert not is_alive(pid)
    summary = end_of(cluster, run_id)
    assert summary["status"] == "CRASHED"
    assert "was stopped while the run was under way" in summary["detail"]


def test_the_pair_stops_together(cluster: Cluster, tmp_path: Path) -> None:
    principal = cluster.start_principal("--with-agent", "--max-concurrent", "3")
    agent = until(lambda: cluster.ask(p.GetRegisteredAgents()))[0]
    assert agent["slots"] == 3
    run_id = trigger(cluster)
    [pid] = until(lambda: pids(tmp_path))
    principal.signal(signal.SIGINT)
    principal.wait_for("Stopping: 1 runs go on")
    (tmp_path / "go").touch()
    assert principal.wait() == 0
    assert not is_alive(pid)
    cluster.start_principal()
    assert end_of(cluster, run_id)["status"] == "COMPLETED"


def test_the_second_signal_ends_the_tasks_of_the_pair(cluster: Cluster, tmp_path: Path) -> None:
    principal = cluster.start_principal("--with-agent")
    run_id = trigger(cluster)
    [pid] = until(lambda: pids(tmp_path))
    principal.signal(signal.SIGTERM)
    principal.wait_for("Stopping: 1 runs go on")
    principal.signal(signal.SIGTERM)
    assert principal.wait() == 0
    assert not is_alive(pid)
    cluster.start_principal()
    assert end_of(cluster, run_id)["status"] == "CRASHED"


def agent_pid(principal: int) -> int:
    return int(until(lambda: Path(f"/proc/{principal}/task/{principal}/children").read_text().split())[0])


def test_a_dead_agent_does_not_take_its_principal_down(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    principal = cluster.start_principal("--with-agent")
    until(lambda: cluster.ask(p.GetRegisteredAgents()))
    os.kill(agent_pid(principal.process.pid), signal.SIGKILL)
    principal.wait_for(r"The agent of this principal ended with code -9; starting another")
    assert end_of(cluster, trigger(cluster))["status"] == "COMPLETED"


def test_the_agent_of_a_killed_principal_finishes_and_stops(cluster: Cluster, tmp_path: Path) -> None:
    """And delivers what it has when a principal comes back in time."""
    principal = cluster.start_principal("--with-agent")
    run_id = trigger(cluster)
    until(lambda: pids(tmp_path))
    agent = agent_pid(principal.process.pid)
    principal.signal(signal.SIGKILL)
    principal.process.wait()
    cluster.start_principal()
    (tmp_path / "go").touch()
    assert end_of(cluster, run_id)["status"] == "COMPLETED"
    until(lambda: not is_alive(agent))


#: A task that counts aloud for ever, and leaves a process that nobody waits for and that is not in its group.
COUNTING = """
name: Counting
tasks:
  count:
    name: Count
    config: !Subprocess
      cmd: sh
      args: [-c, 'setsid sleep 1000 & echo $! >> {folder}/pids; i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done']
"""


def test_what_a_killed_agent_read_is_told_by_the_next_one_and_what_it_left_is_ended(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    """Though the principal was away when it died, and long before its heartbeat would be missed."""
    cluster = new_cluster(CDKTR_AGENT_HEARTBEAT_TIMEOUT_MS="600000")
    cluster.write("counting", COUNTING.format(folder=tmp_path))
    principal = cluster.start_principal()
    agent = cluster.start_agent()
    run_id = trigger(cluster, "counting")
    [left] = until(lambda: pids(tmp_path))
    until(lambda: len(lines(cluster, run_id)) > 5)
    principal.signal(signal.SIGKILL)
    principal.wait()
    [spool] = (cluster.folder / "data" / "agents").glob("*/1.records")
    size = spool.stat().st_size
    until(lambda: spool.stat().st_size > size + 1000)
    agent.signal(signal.SIGKILL)
    agent.wait()
    kept = spool.read_text().count("STDOUT")
    cluster.start_principal()
    heir = cluster.start_agent()
    summary = end_of(cluster, run_id)
    assert summary["status"] == "CRASHED"
    assert "was killed while the run was under way" in summary["detail"]
    found = lines(cluster, run_id)
    assert found == [f"STDOUT {number}" for number in range(1, len(found) + 1)]
    assert len(found) >= kept
    assert not is_alive(left)
    heir.wait_for("1 process that it left were ended")
    heir.wait_for("was killed, with 1 run under way")
    until(lambda: len(cluster.ask(p.GetRegisteredAgents())) == 1)
    [berth] = [path for path in (cluster.folder / "data" / "agents").iterdir() if path.is_dir()]
    assert berth != spool.parent


def test_an_agent_clears_up_after_another_that_died_beside_it(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster = new_cluster(CDKTR_AGENT_HEARTBEAT_TIMEOUT_MS="600000")
    cluster.write("counting", COUNTING.format(folder=tmp_path))
    cluster.start_principal()
    agent = cluster.start_agent()
    run_id = trigger(cluster, "counting")
    [left] = until(lambda: pids(tmp_path))
    cluster.start_agent()
    agent.signal(signal.SIGKILL)
    agent.wait()
    assert end_of(cluster, run_id)["status"] == "CRASHED"
    assert not is_alive(left)
