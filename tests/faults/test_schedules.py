"""Scheduled times that pass while there is no principal: `catch_up` says what becomes of them, and none runs twice."""

import signal
import time
from datetime import UTC, datetime
from typing import Any

from cdktr import protocol as p
from tests.faults.test_processes import until
from tests.integration.cluster import Cluster
from tests.integration.conftest import NewCluster, new_cluster

__all__ = ["new_cluster"]

#: Seconds from the moment when the schedule is written to its time, tried until what reads it was killed before.
LEADS_S = (2, 5, 15)

ONCE = """
name: Once
cron: '{cron}'
catch_up: {catch_up}
tasks:
  t: {{name: T, config: !Subprocess {{cmd: 'true'}}}}
"""


def runs(cluster: Cluster) -> list[Any]:
    return [(run["workflow_id"], run["trigger"]) for run in cluster.ask(p.ListRuns())]


def is_kept(cluster: Cluster) -> bool:
    """Does the journal know that there is a schedule whose missed times count?"""
    return any(b'"kept"' in file.read_bytes() for file in (cluster.folder / "data" / "journal").glob("events.*"))


def killed_before(cluster: Cluster, lead_s: int) -> int | None:
    """Write workflows that are due in so many seconds, and kill the principal that knows of them: when they are due.
    None where that came first, as on a busy machine."""
    principal = cluster.start_principal()
    due = int(time.time()) + lead_s
    cron = f"{datetime.fromtimestamp(due, UTC):%S %M %H %d %m} *"
    for catch_up in ("latest", "none"):
        cluster.write(catch_up, ONCE.format(cron=cron, catch_up=catch_up))
    until(lambda: is_kept(cluster) or time.time() >= due)
    principal.signal(signal.SIGKILL)
    principal.wait()
    return due if time.time() < due else None


def test_a_time_that_passed_during_a_restart_is_run_as_catch_up_says_and_once(new_cluster: NewCluster) -> None:
    for lead_s in LEADS_S:
        cluster = new_cluster(CDKTR_SCHEDULER_START_POLL_FREQUENCY_MS="20", CDKTR_Q_PERSISTENCE_INTERVAL_MS="20")
        if due := killed_before(cluster, lead_s):
            break
    else:
        raise AssertionError("this machine is too slow to kill a process before that")

    until(lambda: time.time() > due)
    for _ in range(3):
        principal = cluster.start_principal()
        principal.wait_for("Scheduler found 2 workflows")
        until(lambda: runs(cluster))
        assert runs(cluster) == [("latest", "schedule")]
        principal.signal(signal.SIGKILL)
        principal.wait()
