"""Tasks that print too much, or that do not go quietly; and many triggers at once."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdktr import protocol as p
from cdktr.client import Principal
from tests.faults.conftest import Experiment, is_full
from tests.faults.trial import MARK, marked, until
from tests.integration.cluster import Cluster
from tests.integration.conftest import NewCluster

pytestmark = pytest.mark.integration

TASK = """
name: Monster
params: {{n: 0}}
tasks:
  only:
    name: Only
    {more}
    config: !Subprocess
      cmd: {cmd}
      args: [{flag}, '{script}']
  after: {{name: After, depends: [only], config: !Subprocess {{cmd: echo, args: [after]}}}}
"""


def write(cluster: Cluster, script: str, more: str = "", cmd: str = "sh", flag: str = "-c") -> None:
    """The workflow `monster`, with a script that has no single quote."""
    cluster.write("monster", TASK.format(script=script, more=more, cmd=cmd, flag=flag))


def run(cluster: Cluster) -> str:
    return str(cluster.ask(p.Trigger("monster"))["workflow_instance_id"])


def end_of(cluster: Cluster, run_id: str) -> dict[str, Any]:
    with Principal("127.0.0.1", cluster.port) as principal:
        summary: dict[str, Any] = principal.await_run(run_id)
        return summary


@contextmanager
def stored(cluster: Cluster) -> Iterator[duckdb.DuckDBPyConnection]:
    """The history of a cluster that is stopped for it."""
    for daemon in reversed(cluster.daemons):
        assert daemon.process.poll() is not None or daemon.stop() == 0, daemon.text
        assert "Traceback" not in daemon.text
    with duckdb.connect(str(cluster.folder / "data" / "app.db"), read_only=True) as database:
        yield database


def lines_of(cluster: Cluster, run_id: str) -> list[str]:
    """What the task itself said on stdout, in order."""
    request = p.ListLogs(workflow_instance_id=run_id, task_name="Only", level="INFO")
    with Principal("127.0.0.1", cluster.port) as principal:
        return [line["payload"] for page in principal.pages(request) for line in page]


@pytest.fixture
def cluster(new_cluster: NewCluster) -> Cluster:
    cluster = new_cluster(**{MARK: f"monster-{random.getrandbits(64)}"})
    cluster.start_principal()
    cluster.start_agent()
    return cluster


@pytest.fixture
def leaves_nothing(cluster: Cluster) -> Iterator[None]:
    """No process is left when the cluster was stopped."""
    yield
    for daemon in reversed(cluster.daemons):
        daemon.stop()
    assert marked(cluster.settings[MARK]) == []


def test_a_flood_of_triggers(
    new_cluster: NewCluster, experiment: Experiment, request: pytest.FixtureRequest, seed: int
) -> None:
    """10,000 triggers at once (500 in the quick form) are all answered, and each is one run that ends, through a
    restart in the middle of it."""
    count = 10_000 if is_full(request.config) else 500
    cluster = new_cluster()
    cluster.write("monster", "name: M\nparams: {n: 0}\ntasks: {t: {name: T, config: !Subprocess {cmd: 'true'}}}")
    first = cluster.start_principal()
    answers: dict[int, str] = {}

    def client(share: range) -> None:
        with Principal("127.0.0.1", cluster.port, timeout_s=60) as principal:
            for n in share:
                answers[n] = principal.ask(p.Trigger("monster", {"n": n}))["workflow_instance_id"]

    threads = [threading.Thread(target=client, args=(range(k, count, 32),)) for k in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers.values())) == count
    first.process.kill()
    first.wait()
    cluster.start_principal()
    cluster.start_agent("--max-concurrent", "20")
    until(lambda: not (status := cluster.ask(p.ClusterStatus()))["queued"] and not status["running"], "all runs")
    with stored(cluster) as database:
        ends = "SELECT workflow_instance_id FROM workflow_run_status WHERE status = 'COMPLETED'"
        found = sorted(run_id for (run_id,) in database.execute(ends).fetchall())
    experiment.record(injected=count, survived=len(found), lost=count - len(found))
    assert found == sorted(answers.values())


@pytest.mark.thorough
def test_a_million_lines(cluster: Cluster, leaves_nothing: None, experiment: Experiment) -> None:
    """All of 1,000,000 lines are stored, in order."""
    write(cluster, "seq 1000000")
    run_id = run(cluster)
    assert end_of(cluster, run_id)["status"] == "COMPLETED"
    with stored(cluster) as database:
        right = (
            "SELECT count(*) FROM (SELECT payload, row_number() OVER (ORDER BY sequence) AS n FROM logstore "
            "WHERE task_name = 'Only') WHERE payload = 'STDOUT ' || n"
        )
        [(count,)] = database.execute(right).fetchall()
        [(rows,)] = database.execute("SELECT count(*) FROM logstore WHERE task_name = 'Only'").fetchall()
    experiment.record(injected=1, survived=count, lost=1_000_000 - count)
    assert rows == count == 1_000_000


def test_a_line_of_100_mb(cluster: Cluster, leaves_nothing: None, experiment: Experiment) -> None:
    """The line is cut at the limit, with a mark; what comes after it is whole."""
    write(cluster, 'echo before; head -c 100000000 /dev/zero | tr "\\\\0" x; echo; echo behind')
    run_id = run(cluster)
    assert end_of(cluster, run_id)["status"] == "COMPLETED"
    lines = lines_of(cluster, run_id)
    experiment.record(injected=1, survived=len(lines), lost=3 - len(lines))
    assert lines == ["STDOUT before", f"STDOUT {'x' * 65536} …[cut]", "STDOUT behind"]


def test_binary_output(cluster: Cluster, leaves_nothing: None, experiment: Experiment, seed: int) -> None:
    """Any bytes become lines: as many as were written, what is no UTF-8 replaced."""
    noise = random.Random(seed).randbytes(1_000_000)
    (cluster.folder / "noise").write_bytes(noise)
    write(cluster, f"cat {cluster.folder / 'noise'}")
    run_id = run(cluster)
    assert end_of(cluster, run_id)["status"] == "COMPLETED"
    lines = lines_of(cluster, run_id)
    parts = noise.removesuffix(b"\n").split(b"\n")
    expected = ["STDOUT " + part.removesuffix(b"\r").decode("utf-8", "replace") for part in parts]
    experiment.record(injected=1, survived=len(lines), lost=len(expected) - len(lines))
    assert lines == expected


def test_a_task_that_leaves_a_daemon(cluster: Cluster, leaves_nothing: None, experiment: Experiment) -> None:
    """A task ends with its own process; what it left in a session of its own is ended, and the run goes on."""
    write(cluster, 'setsid sh -c "trap : TERM HUP; while :; do sleep 1; done" & echo gone; exit 0')
    run_id = run(cluster)
    assert end_of(cluster, run_id)["status"] == "COMPLETED"
    assert lines_of(cluster, run_id) == ["STDOUT gone"]
    mark = cluster.settings[MARK]
    own = {daemon.process.pid for daemon in cluster.daemons}
    until(lambda: own.issuperset(marked(mark)), "the end of the daemon")
    experiment.record(injected=1, survived=1)


@pytest.mark.thorough
def test_a_task_that_ignores_sigterm(cluster: Cluster, leaves_nothing: None, experiment: Experiment) -> None:
    """Its time-out ends it all the same, with its children, after the grace; what it said before is there."""
    write(cluster, "trap : TERM; echo deaf; while :; do sleep 1; done", more="timeout: 500ms")
    run_id = run(cluster)
    assert end_of(cluster, run_id)["status"] == "FAILED"
    assert lines_of(cluster, run_id) == ["STDOUT deaf"]
    experiment.record(injected=1, survived=1)


@pytest.mark.thorough
def test_a_deaf_task_of_an_agent_that_is_told_to_stop_at_once(
    cluster: Cluster, leaves_nothing: None, experiment: Experiment
) -> None:
    """A second signal to the agent ends even a task that ignores the first; the run CRASHED, and is told so."""
    write(cluster, "trap : TERM; echo deaf; while :; do sleep 1; done")
    run_id = run(cluster)
    until(lambda: lines_of(cluster, run_id), "its first line")
    agent = cluster.daemons[1]
    agent.process.terminate()
    agent.wait_for("Stopping: 1 runs go on")
    agent.process.terminate()
    assert agent.wait() == 0
    assert end_of(cluster, run_id)["status"] == "CRASHED"
    assert lines_of(cluster, run_id) == ["STDOUT deaf"]
    experiment.record(injected=1, survived=1)


def test_a_task_that_closes_its_output(cluster: Cluster, leaves_nothing: None, experiment: Experiment) -> None:
    """A task is over when its process is, not when its pipes are closed."""
    flag: Path = cluster.folder / "went-on"
    write(cluster, f"echo first; exec >&- 2>&-; sleep 1; touch {flag}")
    run_id = run(cluster)
    assert end_of(cluster, run_id)["status"] == "COMPLETED"
    assert flag.exists()
    assert lines_of(cluster, run_id) == ["STDOUT first"]
    experiment.record(injected=1, survived=1)
