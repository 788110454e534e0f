"""Triggers with keys through the death of the principal: each makes one run, whatever became of its answer."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cdktr import Principal
from cdktr import protocol as p
from tests.integration.cluster import PATIENCE_S
from tests.integration.conftest import NewCluster

pytestmark = pytest.mark.integration

WORKFLOW = "name: Once\ntasks:\n  a: {name: A, config: !Subprocess {cmd: 'true'}}\n"
THREADS = 8
EACH = 150
KILLS = 3


def test_a_principal_that_is_killed_over_and_over_makes_one_run_of_each_key(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    cluster.write("once", WORKFLOW)
    daemon = cluster.start_principal()
    over, answers = threading.Event(), dict[str, str]()
    unanswered: list[str] = []
    progress = threading.Semaphore(0)

    def send(thread: int) -> None:
        for key in (f"{thread} {number}" for number in range(EACH)):
            while not (result := principal.run_workflow("once", key=key)).success:
                unanswered.append(str(result.error))
                assert not over.wait(0.01)
            answers[key] = result.payload["workflow_instance_id"]
            progress.release()

    with Principal("127.0.0.1", cluster.port) as principal, ThreadPoolExecutor(THREADS) as pool:
        sending = [pool.submit(send, thread) for thread in range(THREADS)]
        try:
            for _ in range(KILLS):
                for _ in range(THREADS * EACH // (KILLS + 1)):
                    assert progress.acquire(timeout=PATIENCE_S)
                daemon.signal(signal.SIGKILL)
                daemon.wait()
                daemon = cluster.start_principal()
            for each in sending:
                each.result(PATIENCE_S)
        finally:
            over.set()
        assert any("ended the connection" in why for why in unanswered), "some were killed between trigger and answer"
        assert len(set(answers.values())) == len(answers) == THREADS * EACH
        for key, run_id in list(answers.items())[::50]:
            again = principal.run_workflow("once", key=key)
            assert again.payload == {"workflow_instance_id": run_id, "repeated": True}
    assert cluster.ask(p.ClusterStatus())["queued"] == THREADS * EACH
    runs = cluster.ask(p.ListRuns(limit=10_000))
    assert {run["workflow_instance_id"] for run in runs} == set(answers.values())
