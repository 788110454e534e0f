"""Workflows that somebody pauses and resumes, with real processes: `beat` shows that the clock goes on."""

import json
import re
import signal
from typing import Any

import pytest

from cdktr import protocol as p
from tests.integration.cluster import Cluster
from tests.integration.conftest import NewCluster
from tests.integration.terminal import HAS_TMUX, Terminal
from tests.integration.wire import eventually

pytestmark = pytest.mark.integration

TICK = """
name: Tick
cron: "* * * * * *"
catch_up: latest
tasks:
  only:
    name: Only
    config: !Subprocess {cmd: 'true'}
"""


def runs(cluster: Cluster, workflow: str) -> list[Any]:
    """Those that the clock started, the newest first."""
    found: list[Any] = cluster.ask(p.ListRuns(workflow_id=workflow, limit=1000))
    return [run for run in found if run["trigger"] == "schedule"]


def two_beats(cluster: Cluster) -> None:
    """Return when the clock has started `beat` twice from now on."""
    last = len(runs(cluster, "beat"))
    eventually(lambda: len(runs(cluster, "beat")) >= last + 2, "two more beats")


def test_a_pause_from_its_begin_to_its_end(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    for name in ("beat", "shop.tick"):
        cluster.write(name, TICK)
    principal = cluster.start_principal()
    eventually(lambda: runs(cluster, "shop.tick"), "a run by the clock")

    paused = cluster.cli("task", "pause", "shop.tick", "tick", "shop.tick")
    assert paused.returncode == 4
    assert paused.stdout.startswith("shop.tick is paused: ")
    assert paused.stdout.count("\n") == 1
    assert paused.stderr == "cdktr: There is no workflow 'tick'; did you mean shop.tick?\n"
    before = [run["workflow_instance_id"] for run in runs(cluster, "shop.tick")]
    again = cluster.cli("task", "pause", "shop.tick")
    assert re.fullmatch(r"shop\.tick is paused already, since \d+-\d+-\d+ \d+:\d+:\d+ \w+\n", again.stdout)

    assert re.search(r"^shop\.tick  every second  paused  ", cluster.cli("task", "list").stdout, re.MULTILINE)
    assert re.search(
        r"^  paused +since .*; by hand it still runs$", cluster.cli("task", "show", "shop.tick").stdout, re.M
    )
    status = cluster.cli("status")
    assert "\nwarning: 1 workflow is paused (shop.tick): " in f"\n{status.stderr}"
    assert cluster.cli("task", "run", "shop.tick").returncode == 0
    two_beats(cluster)

    principal.signal(signal.SIGKILL)
    principal.wait()
    principal = cluster.start_principal()
    principal.wait_for("Paused: shop.tick")
    two_beats(cluster)
    listed = json.loads(cluster.cli("task", "list", "--json").stdout)["workflows"]
    facts = {each["id"]: (each["next_run"] is None, each["paused_ms"] is None) for each in listed}
    assert facts == {"beat": (False, True), "shop.tick": (True, False)}

    (cluster.workflows / "shop.tick.yml").unlink()
    cluster.ask(p.Reload())
    cluster.write("shop.tick", TICK)
    two_beats(cluster)
    assert [run["workflow_instance_id"] for run in runs(cluster, "shop.tick")] == before
    (cluster.workflows / "shop.tick.yml").unlink()
    cluster.ask(p.Reload())
    resumed = cluster.cli("task", "resume", "shop.tick", "beat", "--json")
    answer = {"paused_ms": None, "changed": True}
    assert json.loads(resumed.stdout) == {"shop.tick": answer, "beat": {**answer, "changed": False}}
    cluster.write("shop.tick", TICK)
    eventually(lambda: len(runs(cluster, "shop.tick")) > len(before), "a run by the clock again")
    assert "warning: 1 workflow is paused" not in cluster.cli("status").stderr
    assert "shop.tick was due" not in principal.text, "nothing is late, or made up for"


@pytest.mark.skipif(not HAS_TMUX, reason="tmux is not installed: apt-get install tmux")
def test_a_pause_by_a_key_and_its_mark(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    for name in ("beat", "tick"):
        cluster.write(name, TICK)
    cluster.start_principal()
    with Terminal(cluster) as terminal:
        terminal.run("ui")
        terminal.shows(r"Connected(.|\n)*> \S+ beat +in \ds")
        terminal.press("j", "p")
        terminal.shows(r"Pause the schedule of tick\?")
        terminal.press("n")
        terminal.loses("Pause the schedule")
        terminal.press("p", "y")
        terminal.shows(r"tick is paused(.|\n)*  \S+ beat +in \ds(.|\n)*> \S+ tick +‖ paused")
        terminal.shows(r"paused   since \d\d:\d\d:\d\d, by hand it runs")
        before = len(runs(cluster, "tick"))
        two_beats(cluster)
        assert len(runs(cluster, "tick")) == before
        terminal.press("p")
        terminal.shows(r"Resume the schedule of tick\?")
        terminal.press("y")
        terminal.shows(r"tick is resumed(.|\n)*> \S+ tick +in \ds")
        eventually(lambda: len(runs(cluster, "tick")) > before, "a run by the clock again")
        terminal.press("q")
        terminal.shows("ended 0")
