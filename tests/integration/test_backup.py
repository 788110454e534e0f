"""A backup as docs/operations.md has it: a copy of the data folder while the principal is held still."""

import shutil
import signal
from pathlib import Path

from cdktr import protocol as p
from tests.integration.cluster import Cluster
from tests.integration.conftest import NewCluster

LINES = 10_000

FLOOD = f"name: Flood\ntasks: {{seq: {{name: Seq, config: !Subprocess {{cmd: seq, args: ['{LINES}']}}}}}}\n"


def ended(cluster: Cluster) -> set[str]:
    """The runs whose end can be queried."""
    return {run["workflow_instance_id"] for run in cluster.ask(p.ListRuns(status="COMPLETED", limit=10_000))}


def lines(cluster: Cluster, run_id: str) -> int:
    """How many lines of a run there are, in order."""
    after, count = None, 0
    while True:
        page = cluster.ask(p.ListLogs(workflow_instance_id=run_id, after=after))
        for line in page["lines"]:
            count += 1
            assert line["payload"] == f"STDOUT {count}"
        after = page["next"]
        if not page["full"]:
            return count


def test_a_copy_of_a_principal_that_stands_still_is_whole(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster = new_cluster(CDKTR_AGENT_MAX_CONCURRENCY="2")
    principal = cluster.start_principal("--no-scheduler")
    cluster.start_agent()
    cluster.write("flood", FLOOD)
    for round_ in range(2):
        under_way = [cluster.ask(p.Trigger("flood"))["workflow_instance_id"] for _ in range(3)]
        cluster.ask(p.AwaitRun(under_way[round_], 20_000), 20)
        before = ended(cluster)
        assert before
        principal.signal(signal.SIGSTOP)
        copy = shutil.copytree(cluster.folder / "data", tmp_path / f"copy{round_}", symlinks=True)
        principal.signal(signal.SIGCONT)

        restored = new_cluster(CDKTR_APP_DATA_DIRECTORY=str(copy))
        restored.start_principal("--no-scheduler")
        assert restored.ask(p.ClusterStatus())["database_set_aside"] == []
        assert ended(restored) >= before
        assert [run_id for run_id in before if lines(restored, run_id) != LINES] == []
        known = {run["workflow_instance_id"] for run in restored.ask(p.ListRuns(limit=10_000))}
        assert known >= set(under_way)
        restored.stop()
        # The other goes on as if nothing had been.
        for run_id in under_way:
            assert cluster.ask(p.AwaitRun(run_id, 20_000), 20)["status"] == "COMPLETED"


def test_a_database_of_a_backup_goes_with_the_journal_of_today_and_so_does_none(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    folder, aside = cluster.folder / "data", cluster.folder / "aside"
    cluster.write("flood", FLOOD)

    def serve() -> str:
        """One run, and an orderly stop; its id."""
        principal = cluster.start_principal("--with-agent", "--no-scheduler")
        done = cluster.cli("task", "run", "flood", "--wait")
        assert done.returncode == 0, done.stderr
        assert cluster.ask(p.ClusterStatus())["database_trouble"] is None
        known.append(ended(cluster))
        assert principal.stop() == 0
        return done.stdout.strip()

    known: list[set[str]] = []
    ids = [serve()]
    shutil.copytree(folder, aside)
    ids.append(serve())
    # The database of the backup.
    for path in folder.glob("app.db*"):
        path.unlink()
    for path in aside.glob("app.db*"):
        shutil.copy(path, folder)
    ids.append(serve())
    # A new one, to save room.
    (folder / "app.db").rename(folder / "app-old.db")
    ids.append(serve())
    assert len(set(ids)) == 4
    assert known == [{ids[0]}, {ids[0], ids[1]}, {ids[0], ids[2]}, {ids[3]}]
