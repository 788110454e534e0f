"""The book's kinds of workflow, from the file to the history, by real processes."""

from pathlib import Path
from typing import Any

from cdktr import protocol as p
from tests.integration.cluster import Cluster
from tests.integration.conftest import NewCluster

#: A task appends its id to the file of its run, at its start and at its end.
TASK = """
  {id}:
    name: Task {id}
    depends: [{depends}]
    config: !Subprocess
      cmd: sh
      args: [-c, 'echo "> {id}" >> {file}; echo {id} says hello; {script}; echo "< {id}" >> {file}']
"""


def document(file: Path, *tasks: tuple[str, str, str]) -> str:
    made = (TASK.format(id=name, depends=depends, script=script, file=file) for name, depends, script in tasks)
    return "name: Made for a test\ntasks:" + "".join(made)


def run(cluster: Cluster, workflow_id: str, **params: Any) -> dict[str, Any]:
    """Trigger, wait, and return the run's summary, its tasks by id under "tasks"."""
    run_id = cluster.ask(p.Trigger(workflow_id, params))["workflow_instance_id"]
    summary: dict[str, Any] = cluster.ask(p.AwaitRun(run_id, 20_000), 30)
    summary["tasks"] = {task["task_id"]: task for task in cluster.ask(p.ListTaskRuns(run_id))}
    return summary


def lines(cluster: Cluster, run_id: str) -> list[str]:
    page = cluster.ask(p.ListLogs(workflow_instance_id=run_id))
    return [line["payload"] for line in page["lines"]]


def statuses(summary: dict[str, Any]) -> dict[str, str]:
    return {task_id: task["status"] for task_id, task in summary["tasks"].items()}


def test_linear(cluster: Cluster, tmp_path: Path) -> None:
    steps = [("extract", "", "true"), ("transform", "extract", "true"), ("load", "transform", "true")]
    cluster.write("linear", document(tmp_path / "log", *steps))
    summary = run(cluster, "linear")
    assert summary["status"] == "COMPLETED"
    order = "> extract\n< extract\n> transform\n< transform\n> load\n< load\n"
    assert (tmp_path / "log").read_text() == order
    said = [f"STDOUT {step} says hello" for step in ("extract", "transform", "load")]
    assert lines(cluster, summary["workflow_instance_id"]) == said


def test_fan_out_and_in_runs_at_the_same_time(cluster: Cluster, tmp_path: Path) -> None:
    """Each of three scrapers ends only when all three have begun; the join starts once, after all."""
    wait = f'while [ $(grep -c "^>" {tmp_path}/log) -lt 3 ]; do sleep 0.01; done'
    tasks = [(name, "", wait) for name in ("a", "b", "c")]
    cluster.write("scrape", document(tmp_path / "log", *tasks, ("join", "a, b, c", "true")))
    assert run(cluster, "scrape")["status"] == "COMPLETED"
    told = (tmp_path / "log").read_text().splitlines()
    assert sorted(told[:3]) == ["> a", "> b", "> c"]
    assert sorted(told[3:6]) == ["< a", "< b", "< c"]
    assert told[6:] == ["> join", "< join"]


def test_diamond(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [
        ("top", "", "true"),
        ("left", "top", "sleep 0.2"),
        ("right", "top", "true"),
        ("end", "left, right", "true"),
    ]
    cluster.write("diamond", document(tmp_path / "log", *tasks))
    assert run(cluster, "diamond")["status"] == "COMPLETED"
    told = (tmp_path / "log").read_text().splitlines()
    assert told[:2] == ["> top", "< top"]
    assert told[-2:] == ["> end", "< end"]
    assert told.count("> end") == 1


def test_failing(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [("a", "", "true"), ("b", "", "exit 7"), ("c", "b", "true"), ("e", "c", "true"), ("d", "a", "true")]
    cluster.write("failing", document(tmp_path / "log", *tasks))
    summary = run(cluster, "failing")
    assert (summary["status"], summary["detail"]) == ("FAILED", "failed: b")
    expected = {"a": "COMPLETED", "b": "FAILED", "c": "SKIPPED", "e": "SKIPPED", "d": "COMPLETED"}
    assert statuses(summary) == expected
    assert summary["tasks"]["b"]["exit_code"] == 7
    assert "> c" not in (tmp_path / "log").read_text()


def test_failed_root_of_a_diamond_ends_the_run(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [("top", "", "exit 1"), ("left", "top", "true"), ("right", "top", "true"), ("end", "left, right", "true")]
    cluster.write("broken-diamond", document(tmp_path / "log", *tasks))
    summary = run(cluster, "broken-diamond")
    assert summary["status"] == "FAILED"
    assert statuses(summary) == {"top": "FAILED", "left": "SKIPPED", "right": "SKIPPED", "end": "SKIPPED"}


def test_scheduled(new_cluster: NewCluster, tmp_path: Path) -> None:
    """Every second; each scheduled time runs once, and the principal triggers them by itself."""
    cluster = new_cluster()
    text = document(tmp_path / "log", ("tick", "", "true"))
    cluster.write("ticking", text.replace("tasks:", 'cron: "* * * * * *"\ntasks:', 1))
    principal = cluster.start_principal()
    cluster.start_agent()
    principal.wait_for(r"Scheduler found 1 workflows")
    for _ in range(2):
        principal.wait_for(r"of ticking triggered by its schedule")
    cluster.stop()
    times = [line.split()[0] for line in principal.lines if "triggered by its schedule" in line]
    assert len(times) >= 1
    assert len(set(times)) == len(times)


def test_a_schedule_that_is_added_later_starts(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster = new_cluster()
    principal = cluster.start_principal()
    principal.wait_for(r"Scheduler found 0 workflows")
    text = document(tmp_path / "log", ("tick", "", "true"))
    cluster.write("later", text.replace("tasks:", 'cron: "* * * * * *"\ntasks:', 1))
    principal.wait_for(r"of later triggered by its schedule")


def test_no_scheduler(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster = new_cluster()
    text = document(tmp_path / "log", ("tick", "", "true"))
    cluster.write("ticking", text.replace("tasks:", 'cron: "* * * * * *"\ntasks:', 1))
    principal = cluster.start_principal("--no-scheduler")
    assert cluster.ask(p.ClusterStatus())["scheduler"] is False
    assert principal.stop() == 0
    assert "Scheduler" not in principal.text


def test_parameters_and_environment(cluster: Cluster) -> None:
    cluster.write(
        "report",
        """
name: Report
env: {KIND: "weekly ${{ params.DAY }}"}
params: {DAY: monday, COUNT: 3, DRY: false}
tasks:
  print:
    name: Print
    env: {LOUD: "${{ params.COUNT }}!"}
    working_directory: /
    config: !Subprocess
      cmd: sh
      args: [-c, 'echo $DAY $COUNT $DRY "$KIND" $LOUD $1; pwd', sh, "--day=${{ params.DAY }}"]
""",
    )
    said = lines(cluster, run(cluster, "report", DAY="friday", COUNT=5)["workflow_instance_id"])
    assert said == ["STDOUT friday 5 false weekly friday 5! --day=friday", "STDOUT /"]


def test_what_follows_from_a_retry_a_timeout_and_run_if(cluster: Cluster, tmp_path: Path) -> None:
    cluster.write(
        "health",
        f"""
name: Health
tasks:
  flaky:
    name: Flaky
    retries: 2
    retry_delay: 50ms
    config: !Subprocess {{cmd: sh, args: [-c, "[ $CDKTR_ATTEMPT = 3 ]"]}}
  slow:
    name: Slow
    timeout: 200ms
    config: !Subprocess {{cmd: sleep, args: [100]}}
  optional:
    name: Optional
    allow_failure: true
    config: !Subprocess {{cmd: "false"}}
  alert:
    name: Alert
    depends: [flaky, slow, optional]
    run_if: any_failed
    config: !Subprocess {{cmd: touch, args: [{tmp_path}/alert]}}
  report:
    name: Report
    depends: [slow]
    config: !Subprocess {{cmd: "true"}}
""",
    )
    summary = run(cluster, "health")
    assert (summary["status"], summary["detail"]) == ("FAILED", "failed: slow")
    assert summary["tasks"]["flaky"]["attempt"] == 3
    assert summary["tasks"]["slow"]["detail"] == "timed out after 0.2s"
    ends = {"flaky": "COMPLETED", "slow": "FAILED", "optional": "FAILED", "alert": "COMPLETED", "report": "SKIPPED"}
    assert statuses(summary) == ends
    assert (tmp_path / "alert").exists()


def test_a_hundred_runs_over_two_agents_run_once_each(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster = new_cluster()
    cluster.write("one", document(tmp_path / "log", ("t", "", f"mkdir {tmp_path}/$CDKTR_WORKFLOW_INSTANCE_ID")))
    cluster.start_principal()
    cluster.start_agent("--max-concurrent", "3")
    cluster.start_agent("--max-concurrent", "3")
    ids = [cluster.ask(p.Trigger("one"))["workflow_instance_id"] for _ in range(100)]
    for run_id in ids:
        assert cluster.ask(p.AwaitRun(run_id, 30_000), 40)["status"] == "COMPLETED"
    made = {path.name for path in tmp_path.iterdir() if path.is_dir()} - {"cluster0"}
    assert made == set(ids)
    agents = {run["agent_id"] for run in cluster.ask(p.ListRuns(limit=100))}
    assert len(agents) == 2
