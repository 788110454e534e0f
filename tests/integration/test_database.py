"""The database in trouble, under real processes: work goes on, nothing is lost, nothing comes twice, and it is told."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from cdktr import protocol as p
from tests.integration.cluster import PATIENCE_S, Cluster, Daemon
from tests.integration.conftest import NewCluster

pytestmark = pytest.mark.integration

#: As many lines as asked for, of 200 characters each that do not compress.
FLOOD = """
name: Flood
params: {count: 1000, code: 0}
tasks:
  flood:
    name: Flood
    config: !Subprocess
      cmd: python3
      args:
        - -c
        - |
          import hashlib, os, sys
          for n in range(int(os.environ["count"])):
              print(n, *(hashlib.sha512(b"%d %d" % (n, k)).hexdigest()[:64] for k in range(3)))
          sys.exit(int(os.environ["code"]))
"""

#: A task that goes on until a file is there.
OPEN = """
name: Open
tasks:
  wait: {{name: Wait, config: !Subprocess {{cmd: sh, args: [-c, 'until [ -e {folder}/go ]; do sleep 0.05; done']}}}}
"""


def until(done: Callable[[], object]) -> None:
    """Return once it is so; fails after a long while."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def flood(cluster: Cluster, count: int, code: int = 0) -> str:
    """Trigger it; the run's id."""
    run_id: str = cluster.ask(p.Trigger("flood", {"count": count, "code": code}))["workflow_instance_id"]
    return run_id


def ended(cluster: Cluster, run_id: str) -> dict[str, object]:
    """The run, when it has ended."""
    while True:
        found: dict[str, object] = cluster.ask(p.AwaitRun(run_id, 20_000), 30.0)
        if found["ended_ms"] is not None:
            return found


def shown(cluster: Cluster, run_id: str) -> list[int]:
    """The numbers of the lines that are stored of a run."""
    done = cluster.cli("logs", "query", "--run", run_id, "--json")
    return [int(json.loads(line)["payload"].split()[1]) for line in done.stdout.splitlines()]


def aside(folder: Path) -> list[Path]:
    """What was moved aside, but for logs."""
    return [path for path in sorted(folder.glob("*.damaged-*")) if path.suffix != ".wal"]


def test_a_full_disk_is_waited_for(new_cluster: NewCluster, disk: Path) -> None:
    cluster = new_cluster(CDKTR_DB_PATH=str(disk / "app.db"))
    cluster.write("flood", FLOOD)
    principal = cluster.start_principal()
    cluster.start_agent()
    before = flood(cluster, 500)
    ended(cluster, before)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "ballast").write_bytes(bytes(free - 300_000))
    runs = [flood(cluster, 3000) for _ in range(3)]
    principal.wait_for(r"cannot be written: .*No space left on device; make room on its disk; \d+ rows wait")
    follower = cluster.spawn("task", "run", "flood", "--param", "count=20", "--param", "code=3", "--follow")
    follower.wait_for("the principal's database is in trouble, what is shown lags behind: .*No space left")
    # How a run ends is known although it cannot be stored.
    done = cluster.cli("task", "run", "flood", "--param", "count=5", "--param", "code=4", "--wait")
    assert done.returncode == 1
    assert "FAILED" in done.stderr
    assert done.stderr.count("is in trouble, what is shown lags behind") == 1
    # What lists the history says that it is not all of it; JSON stays JSON.
    for words in ("task history --json", "task list --json", "logs query --json"):
        done = cluster.cli(*words.split())
        assert done.returncode == 0
        assert done.stderr.count("is in trouble, what is shown lags behind: ") == 1, words
        for line in done.stdout.splitlines() if "logs" in words else [done.stdout]:
            json.loads(line)
    done = cluster.cli("task", "show", "--run", runs[-1])
    assert (done.returncode, done.stderr.count("what is shown lags behind: ")) == (0, 1)
    status = cluster.cli("status")
    assert "warning: the database cannot be written, " in status.stderr
    assert "MB of at most 128): The database" in status.stderr
    assert json.loads(cluster.cli("status", "--json").stdout)["unstored_rows"] > 0
    (disk / "ballast").unlink()
    principal.wait_for("The database can be written again")
    follower.wait_for("the principal's database is well again")
    assert follower.wait() == 1
    numbers = [int(found[1]) for line in follower.lines if (found := re.search(r"STDOUT (\d+) ", line))]
    assert numbers == list(range(20))
    for run_id in runs:
        assert ended(cluster, run_id)["status"] == "COMPLETED"
        assert shown(cluster, run_id) == list(range(3000))
    assert shown(cluster, before) == list(range(500))
    assert aside(disk) == []
    assert principal.stop() == 0
    with duckdb.connect(str(disk / "app.db")) as connection:
        sql = "SELECT count(*), count(DISTINCT sequence) FROM logstore"
        assert connection.execute(sql).fetchall() == [(500 + 3 * 3000 + 20 + 5,) * 2]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "noise": lambda path: path.write_bytes(os.urandom(50_000)),
    "nothing": lambda path: path.write_bytes(b""),
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_file_found_damaged_at_the_start(new_cluster: NewCluster, what: str) -> None:
    cluster = new_cluster()
    cluster.write("flood", FLOOD)
    principal = cluster.start_principal()
    cluster.start_agent()
    ended(cluster, flood(cluster, 100))
    assert principal.stop() == 0
    path = cluster.folder / "data" / "app.db"
    DAMAGE[what](path)
    content = path.read_bytes()
    again = cluster.start_principal(env={"CDKTR_PRINCIPAL_PORT": str(cluster.port)})
    [moved] = aside(path.parent)
    assert moved.read_bytes() == content
    assert f"it was moved aside to {moved}" in again.text
    assert f"warning: a damaged database was moved aside to {moved}" in cluster.cli("status").stderr
    run_id = flood(cluster, 100)
    assert ended(cluster, run_id)["status"] == "COMPLETED"
    assert shown(cluster, run_id) == list(range(100))


HARM = {
    "overwritten": "import os, sys; f = open(sys.argv[1], 'r+b'); f.write(os.urandom(os.path.getsize(sys.argv[1])))",
    "removed": "import os, sys; os.remove(sys.argv[1])",
    "replaced": "import os, sys; open(sys.argv[1] + '.x', 'w').write('x'); os.replace(sys.argv[1] + '.x', sys.argv[1])",
}


@pytest.mark.parametrize("what", HARM)
def test_a_file_that_is_lost_under_a_running_principal(new_cluster: NewCluster, what: str) -> None:
    cluster = new_cluster()
    cluster.write("flood", FLOOD)
    principal = cluster.start_principal()
    agent = cluster.start_agent()
    ended(cluster, flood(cluster, 1000))
    cluster.write("open", OPEN.format(folder=cluster.folder))
    open_run = cluster.ask(p.Trigger("open"))["workflow_instance_id"]
    until(lambda: cluster.ask(p.ListRuns("open"))[0]["status"] == "RUNNING")
    before = cluster.ask(p.ListRuns("open"))[0]
    path = cluster.folder / "data" / "app.db"
    subprocess.run([sys.executable, "-c", HARM[what], str(path)], check=True)
    run_id = flood(cluster, 1000)
    principal.wait_for(f"The database {path} was {what} by another program while it was in use")
    assert ended(cluster, run_id)["status"] == "COMPLETED"
    assert shown(cluster, run_id) == list(range(1000))
    assert len(aside(path.parent)) == (what != "removed")
    # What goes on is in the new history, with when and how it began.
    until(lambda: cluster.ask(p.ListRuns("open")))
    assert cluster.ask(p.ListRuns("open"))[0] == before
    warnings = cluster.cli("status").stderr
    assert f"the database {path} was {what} by another program at " in warnings
    (cluster.folder / "go").touch()
    assert ended(cluster, open_run)["status"] == "COMPLETED"
    # The agent goes on with its numbers, and the principal that comes next takes them.
    assert principal.stop() == 0
    cluster.start_principal(env={"CDKTR_PRINCIPAL_PORT": str(cluster.port)})
    again = flood(cluster, 1000)
    assert ended(cluster, again)["status"] == "COMPLETED"
    assert shown(cluster, again) == shown(cluster, run_id) == list(range(1000))
    assert agent.process.poll() is None


HOLDER = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def test_a_file_that_another_program_holds_or_that_is_none(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    path = cluster.folder / "data" / "app.db"
    path.parent.mkdir()
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        refused(cluster.spawn("start", "principal"), "Could not set lock .*; close the other program that has it open")
        holder.kill()
    text = cluster.folder / "notes.txt"
    text.write_text("not a database\n")
    wrong = {"CDKTR_DB_PATH": str(text)}
    refused(cluster.spawn("start", "principal", env=wrong), f"The file {text} is no database; set CDKTR_DB_PATH")
    assert text.read_text() == "not a database\n"


def refused(daemon: Daemon, sentence: str) -> None:
    """It does not start, and says why in one line."""
    daemon.wait_for(sentence)
    assert daemon.wait() == 5
    assert "Traceback" not in daemon.text
