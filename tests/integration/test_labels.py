"""Two hosts that have different things, as two agents, and workflows that require them."""

import json
import signal
from typing import Any

import pytest

from cdktr import protocol as p
from tests.integration.cluster import Cluster
from tests.integration.conftest import NewCluster
from tests.integration.wire import OldAgent, Wire, eventually

pytestmark = pytest.mark.integration

TASK = "name: {name}\n{head}tasks:\n  t: {{name: T, config: !Subprocess {{cmd: sh, args: ['-c', '{command}']}}}}\n"


def write(cluster: Cluster, name: str, requires: str = "", command: str = "true") -> None:
    """A workflow of one task."""
    head = f"requires: {requires}\n" if requires else ""
    cluster.write(name, TASK.format(name=name, head=head, command=command))


def trigger(cluster: Cluster, name: str) -> str:
    return str(cluster.ask(p.Trigger(name))["workflow_instance_id"])


def ended(cluster: Cluster, run_id: str) -> Any:
    """The run, once it has ended."""
    run = cluster.ask(p.AwaitRun(run_id, 30_000), 40)
    assert run["ended_ms"] is not None, cluster.ask(p.ClusterStatus())
    return run


def test_two_agents_with_different_labels(new_cluster: NewCluster) -> None:
    cluster = new_cluster(CDKTR_AGENT_HEARTBEAT_TIMEOUT_MS="1500")
    for name, requires in (("plain", ""), ("train", "gpu"), ("far", "[zone=eu, gpu]")):
        write(cluster, name, requires)
    write(cluster, "slow", "gpu", "touch begun; until test -e end; do sleep 0.05; done")
    principal = cluster.start_principal("--with-agent", "--label", "cpu")
    principal.wait_for(r"Agent \S+ ready for 5 runs at once, with cpu$")
    gpu = cluster.start_agent("--label", "gpu", env={"CDKTR_AGENT_LABELS": "overridden"})
    gpu_id = gpu.wait_for(r"Agent (\S+) ready for 5 runs at once, with gpu$")[1]

    # Twenty that wait for what nobody has hold up nobody.
    far = [trigger(cluster, "far") for _ in range(20)]
    runs = {name: [trigger(cluster, name) for _ in range(10)] for name in ("plain", "train")}
    assert {ended(cluster, run_id)["agent_id"] for run_id in runs["train"]} == {gpu_id}
    assert all(ended(cluster, run_id)["status"] == "COMPLETED" for run_id in runs["plain"])
    assert cluster.ask(p.ClusterStatus())["unplaceable"] == [
        {"labels": ["gpu", "zone=eu"], "runs": 20, "workflows": ["far"]}
    ]
    said = r"20 runs wait for an agent with gpu, zone=eu \(far\), and there is none; `cdktr start agent --label gpu -"
    principal.wait_for(rf"\[WARN\] {said}")
    assert "20 runs wait for an agent with gpu, zone=eu (far)" in cluster.cli("status").stderr
    assert "  requires    gpu, zone=eu\n" in cluster.cli("task", "show", "far").stdout
    labels = {agent["agent_id"]: agent["labels"] for agent in json.loads(cluster.cli("agent", "list", "--json").stdout)}
    assert (labels.pop(gpu_id), list(labels.values())) == (["gpu"], [["cpu"]])
    assert cluster.cli("agent", "list").stdout.splitlines()[0].endswith("  LABELS")
    waiting = cluster.spawn("task", "run", "far", "--wait")
    waiting.wait_for(
        r"^cdktr: \S+ is still queued: 21 runs wait for an agent with gpu, zone=eu \(far\), and there is none"
    )

    # An agent of the original API has no labels.
    with Wire((cluster.port, cluster.logs_in, cluster.logs_out)) as wire:
        assert OldAgent(wire, "old-1").fetch() is None

    # The only one that has a GPU is killed over a run that has started, and one that waits.
    first = trigger(cluster, "slow")
    eventually((cluster.folder / "begun").exists, "the run has started")
    gpu.signal(signal.SIGKILL)
    second = trigger(cluster, "train")
    assert ended(cluster, first)["status"] == "CRASHED"
    assert {"labels": ["gpu"], "runs": 1, "workflows": ["train"]} in cluster.ask(p.ClusterStatus())["unplaceable"]

    # One that has it all takes what waited for either.
    both = cluster.start_agent(env={"CDKTR_AGENT_LABELS": "zone=eu, gpu"})
    both_id = both.wait_for(r"Agent (\S+) ready for 5 runs at once, with gpu, zone=eu$")[1]
    assert {ended(cluster, run_id)["agent_id"] for run_id in (*far, second)} == {both_id}
    assert waiting.wait() == 0
    assert sum("is still queued" in line for line in waiting.lines) == 1
    assert cluster.ask(p.ClusterStatus())["unplaceable"] == []


def test_a_typing_mistake_in_what_is_required_is_mended_while_a_run_waits(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    write(cluster, "train", "gqu")
    principal = cluster.start_principal()
    run_id = trigger(cluster, "train")
    principal.signal(signal.SIGKILL)
    principal.wait()
    # It is queued again after the restart, in its lane.
    cluster.start_principal()
    cluster.start_agent("--label", "gpu")
    assert [each["labels"] for each in cluster.ask(p.ClusterStatus())["unplaceable"]] == [["gqu"]]
    write(cluster, "train", "gpu")
    assert ended(cluster, run_id)["status"] == "COMPLETED"
