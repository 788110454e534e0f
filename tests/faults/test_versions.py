"""Agents and principals of different versions: what one does not know of the other does no harm."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pytest
import zmq

from tests.faults.conftest import Experiment
from tests.faults.trial import Trial
from tests.integration.conftest import NewCluster
from tests.integration.wire import OldAgent, Wire, eventually, message, value

pytestmark = pytest.mark.integration

PLAIN = "name: Plain\ntasks: {only: {name: Only, config: !Subprocess {cmd: 'true'}}}"

NOON = 1_737_374_400_000

#: What a later version may have to say.
LATER = {"from_a_later_version": {"x": [1, None, "text"]}}


def later(text: bytes) -> bytes:
    """A request or a reply as a later version may make it: with fields that this one does not know, at every place."""
    word, separator, payload = text.partition(b"\x01")
    try:
        said = json.loads(payload)
    except ValueError:
        return text
    if not isinstance(said, dict):
        return text
    for lease in said.get("leases", []):
        lease |= LATER
    return word + separator + json.dumps({**said, **LATER}).encode()


@contextmanager
def translated(port: int, change: Callable[[bytes], bytes]) -> Iterator[int]:
    """A port behind which is the principal, but each message in either direction is changed on its way."""
    stopping = threading.Event()
    with zmq.Context() as context, context.socket(zmq.ROUTER) as front, context.socket(zmq.DEALER) as back:
        for raw in (front, back):
            raw.setsockopt(zmq.LINGER, 0)
        own = front.bind_to_random_port("tcp://127.0.0.1", 15_000, 32_000)
        back.connect(f"tcp://127.0.0.1:{port}")

        def work() -> None:
            poller = zmq.Poller()
            other = {front: back, back: front}
            for raw in other:
                poller.register(raw, zmq.POLLIN)
            while not stopping.is_set():
                for raw, _ in poller.poll(100):
                    *envelope, text = raw.recv_multipart()
                    other[raw].send_multipart([*envelope, change(text)])

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield own
        finally:
            stopping.set()
            thread.join()


@pytest.mark.thorough
def test_peers_that_say_more_than_is_known(trial: Trial, experiment: Experiment) -> None:
    """Agent and principal each take what they know out of what a later version says, and work together."""
    trial.start_principal()
    with translated(trial.cluster.port, later) as port:
        agent = trial.start_agent(env={"CDKTR_PRINCIPAL_PORT": str(port)})
        trial.look_on()
        trial.load.begin()
        trial.settle()
        assert agent.stop() == 0
    trial.injected += 1
    experiment.judge(trial, trial.finish())


def test_a_record_of_a_later_version(new_cluster: NewCluster, experiment: Experiment) -> None:
    """What a record says beyond what is known is left out; a record of an unknown kind is kept as an event. Neither
    holds up what comes with it or after it."""
    cluster = new_cluster()
    cluster.write("plain", PLAIN)
    principal = cluster.start_principal()
    with Wire((cluster.port, cluster.logs_in, cluster.logs_out)) as wire:
        wire.value("HEARTBEAT", agent_id="newer", slots=1, version="99.0.0", **LATER)
        run_id = wire.trigger("plain")
        [lease] = wire.value("LEASE", agent_id="newer", count=1, **LATER)["leases"]
        token = lease["token"]
        assert wire.value("START", agent_id="newer", runs={run_id: token}, **LATER) == {"granted": [run_id]}
        records = [
            [1, "metric", token, run_id, {"cpu": 0.5}],
            [2, "logs", "plain", "Plain", run_id, "Only", "t-0", NOON, "INFO", ["STDOUT line"], "more"],
            [5, "task", token, "only", "t-0", run_id, "COMPLETED", NOON, "newer", 1, 0, None, {"more": 1}],
            [6, "run", token, "plain", run_id, "COMPLETED", NOON, "newer", None, None, None, "more"],
            [7, "metric", token, run_id, {"cpu": 0.4}],
        ]
        report = {"agent_id": "newer", "source": "newer/1", "after": 0, "records": records, **LATER}
        for _ in range(2):
            assert wire.value("REPORT", **report) == {"stored": 7}
        assert wire.run(run_id)["status"] == "COMPLETED"
        assert wire.lines(run_id) == ["STDOUT line"]
    assert principal.stop() == 0
    with duckdb.connect(str(cluster.folder / "data" / "app.db"), read_only=True) as database:
        kept = database.execute("SELECT kind FROM run_event").fetchall()
    assert kept == [("unreadable",), ("unreadable",)]
    experiment.record(injected=2, survived=3)


def test_an_agent_that_says_less(new_cluster: NewCluster, experiment: Experiment) -> None:
    """An agent that leaves out what was added after it gets work, and is believed."""
    cluster = new_cluster()
    cluster.write("plain", PLAIN)
    cluster.start_principal()
    with Wire((cluster.port, cluster.logs_in, cluster.logs_out)) as wire:
        wire.value("HEARTBEAT", agent_id="older", slots=1, version="0")
        run_id = wire.trigger("plain")
        [lease] = wire.value("LEASE", agent_id="older", count=1)["leases"]
        wire.value("START", agent_id="older", runs={run_id: lease["token"]})
        records: list[list[Any]] = [
            [1, "task", lease["token"], "only", "t-0", run_id, "COMPLETED", NOON],
            [2, "run", lease["token"], "plain", run_id, "COMPLETED", NOON],
        ]
        assert wire.value("REPORT", agent_id="older", source="o", after=0, records=records) == {"stored": 2}
        assert wire.run(run_id)["status"] == "COMPLETED"
        [task] = wire.value("LSTASKRUNS", workflow_instance_id=run_id)
        assert (task["task_id"], task["status"]) == ("only", "COMPLETED")
    experiment.record(injected=1, survived=1)


def test_an_agent_of_the_original_api_through_a_restart(new_cluster: NewCluster, experiment: Experiment) -> None:
    """It names its runs itself; the principal that comes back after a kill still knows which run is meant."""
    cluster = new_cluster()
    cluster.write("plain", PLAIN)
    runs = []
    first = cluster.start_principal()
    with Wire((cluster.port, cluster.logs_in, cluster.logs_out)) as wire:
        runs = [wire.trigger("plain") for _ in range(3)]
        old = OldAgent(wire, "old")
        names = [old.name() for _ in runs[:2]]
        for name in names:
            assert old.fetch()["id"] == "plain"
            old.run("plain", name, "RUNNING")
        old.task("only", "lucky-cat-0", names[0], "COMPLETED")
        old.run("plain", names[0], "COMPLETED")
        assert eventually(lambda: wire.run(runs[0])["status"] == "COMPLETED", "the first end")
    first.process.kill()
    first.wait()
    cluster.start_principal()
    with Wire((cluster.port, cluster.logs_in, cluster.logs_out)) as wire:
        old._wire = wire
        for status in ("RUNNING", "COMPLETED"):
            assert wire.ask("AGENTWORKFLOWSTATUS", "old", "plain", names[1], status) == b"OK"
        assert old.fetch()["id"] == "plain"
        last = old.name()
        old.run("plain", last, "RUNNING")
        wire.push(message("plain", "Plain", last, "Only", "t-2", str(NOON), "INFO", "STDOUT line"))
        eventually(lambda: wire.lines(runs[2]) == ["STDOUT line"], "the line")
        old.run("plain", last, "FAILED")
        assert value(wire.ask_json("LSRUNS"))[0]["status"] == "FAILED"
        assert [wire.run(run_id)["status"] for run_id in runs] == ["COMPLETED", "COMPLETED", "FAILED"]
        assert len(wire.value("LSRUNS")) == 3
    experiment.record(injected=1, survived=3)
