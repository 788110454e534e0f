"""An agent whose spool is at its limit while the principal is away."""

import random
import re
import signal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdktr import protocol as p
from tests.faults.conftest import Experiment
from tests.faults.trial import until
from tests.integration.cluster import Cluster
from tests.integration.conftest import NewCluster

pytestmark = pytest.mark.integration

LIMIT_MB = 16

#: Runs that end while the principal is away, and how much each of them prints: more than the limit in all.
RUNS = 14
LINES, LINE_BYTES = (1500, 3500), 1000

#: Waits for its turn, then prints N lines on stdout and, every third of them, on stderr, too.
TASK = """
name: Talker
params: {{name: none, lines: 0}}
tasks:
  talk:
    name: Talk
    config: !Subprocess
      cmd: sh
      args:
        - -c
        - >-
          touch {folder}/begun.$name; while [ ! -e {folder}/go.$name ]; do sleep 0.02; done;
          awk -v n=$lines 'BEGIN {{ pad = sprintf("%{width}s", ""); gsub(" ", "x", pad);
          for (i = 0; i < n; i++) {{ print i, pad; if (i % 3 == 0) print i, pad > "/dev/stderr" }} }}';
          touch {folder}/end.$name;
          [ $name != last ] || while [ ! -e {folder}/leave ]; do sleep 0.02; done
"""

MISSING = re.compile(r"cdktr: (\d+) lines of this task are missing here")


def printed(lines: int) -> dict[str, list[int]]:
    """What a task prints on each stream."""
    return {"INFO": list(range(lines)), "ERROR": list(range(0, lines, 3))}


def stored(cluster: Cluster, run_id: str) -> list[tuple[str, str]]:
    """Level and payload of what is stored of a run, in order."""
    with duckdb.connect(str(cluster.folder / "data" / "app.db"), read_only=True) as database:
        sql = "SELECT level, payload FROM logstore WHERE workflow_instance_id = ? ORDER BY sequence"
        return database.execute(sql, [run_id]).fetchall()


def reckon(rows: list[tuple[str, str]], lines: int) -> tuple[int, int, list[str]]:
    """How many lines of a run are there, how many were counted as missing, and what is wrong."""
    wrong, there, missing = [], 0, 0
    for level, expected in printed(lines).items():
        found = [int(payload.split()[1]) for each, payload in rows if each == level]
        if sorted(set(found) & set(expected)) != found:
            wrong.append(f"{level}: its lines are not in their order, or there twice")
        there += len(found)
    for level, payload in rows:
        if level == "WARNING":
            match = MISSING.match(payload)
            assert match is not None, payload
            missing += int(match[1])
    total = sum(map(len, printed(lines).values()))
    if there + missing != total:
        wrong.append(f"{there} lines are there and {missing} counted as missing, of {total}")
    return there, missing, wrong


@pytest.mark.thorough
def test_a_spool_at_its_limit(new_cluster: NewCluster, experiment: Experiment, tmp_path: Path, seed: int) -> None:
    """Runs that end while nobody takes what they print lose their oldest lines, each of them counted where it stood; no
    task waits for that, and of a run that goes on everything is kept."""
    chance = random.Random(seed)
    cluster = new_cluster(CDKTR_AGENT_SPOOL_LIMIT_MB=str(LIMIT_MB))
    cluster.write("talker", TASK.format(folder=tmp_path, width=LINE_BYTES))
    first = cluster.start_principal()
    agent = cluster.start_agent("--max-concurrent", str(RUNS + 1))
    names = ["last", *map(str, range(RUNS))]
    lines = {name: chance.randint(*LINES) for name in names}
    runs: dict[str, Any] = {
        name: cluster.ask(p.Trigger("talker", {"name": name, "lines": lines[name]}))["workflow_instance_id"]
        for name in names
    }
    until(lambda: all((tmp_path / f"begun.{name}").exists() for name in names), "all of them to run")
    first.signal(signal.SIGKILL)
    first.wait()
    for name in names:
        (tmp_path / f"go.{name}").touch()
        until((tmp_path / f"end.{name}").exists, "all that it prints to be taken from it")
        if name != "last":
            agent.wait_for(f"Run {runs[name]} of talker ended: COMPLETED")
    assert "the tasks wait, too" not in agent.text
    (tmp_path / "leave").touch()
    cluster.start_principal()
    until(lambda: not (status := cluster.ask(p.ClusterStatus()))["queued"] and not status["running"], "all runs")
    for daemon in cluster.daemons:
        assert daemon.process.poll() is not None or daemon.stop() == 0, daemon.text
        assert "Traceback" not in daemon.text
    found = {name: reckon(stored(cluster, runs[name]), lines[name]) for name in names}
    wrong = [f"{name}: {text}" for name, (_, _, texts) in found.items() for text in texts]
    gone = sum(missing for _, missing, _ in found.values())
    experiment.record(injected=gone, survived=sum(there for there, _, _ in found.values()), lost=len(wrong))
    assert not wrong, "\n".join(wrong)
    assert gone, "the limit was not reached"
    assert found["last"][1] == 0, "it goes on, and its lines are kept"
