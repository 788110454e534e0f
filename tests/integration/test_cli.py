"""The command line for real: every verb against a principal and an agent, and what a user can do wrong."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cdktr import protocol as p
from tests.integration.cluster import ROOT, Cluster, Daemon
from tests.integration.conftest import NewCluster
from tests.test_caller import answering

pytestmark = pytest.mark.integration

HELLO = """
name: Hello
cron: "0 0 2 * * *"
timezone: Europe/Berlin
params: {who: world}
tasks:
  greet:
    name: Greet
    config: !Subprocess {cmd: echo, args: ["Hello, ${{ params.who }}!"]}
  tell:
    name: Tell it
    depends: [greet]
    config: !Subprocess {cmd: sh, args: [-c, 'echo out; echo err >&2']}
"""

FAILING = """
name: Failing
tasks:
  first: {name: First, config: !Subprocess {cmd: sh, args: [-c, exit 3]}}
  second: {name: Second, depends: [first], config: !Subprocess {cmd: "true"}}
"""

LINES = 12_000
FLOOD = f"""
name: Flood
tasks:
  flood: {{name: Flood, config: !Subprocess {{cmd: seq, args: ["1", "{LINES}"]}}}}
"""

#: Ends when the file is there; says so before and after.
SLOW = """
name: Slow
params: {until: /nonexistent}
tasks:
  wait:
    name: Wait
    config: !Subprocess
      cmd: sh
      args: [-c, 'echo begun; while [ ! -e "$until" ]; do sleep 0.05; done; echo done']
"""

ESCAPE = r"""
name: "Evil"
tasks:
  evil: {name: Evil, config: !Subprocess {cmd: printf, args: ['\033[31mred\n']}}
"""


@pytest.fixture(scope="module")
def ready(cluster: Cluster) -> Cluster:
    """The cluster with workflows, of which `hello` ran once."""
    for name, text in {
        "hello": HELLO,
        "etl/failing": FAILING,
        "flood": FLOOD,
        "slow": SLOW,
        "evil": ESCAPE,
        "broken": "name: Broken\ntsks: {}\n",
    }.items():
        cluster.write(name, text)
    assert cluster.cli("task", "run", "hello", "--wait").returncode == 0
    return cluster


def run_id_of(done: subprocess.CompletedProcess[str]) -> str:
    """The id that `task run` printed, alone in its first line."""
    first = done.stdout.splitlines()[0]
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d+", first), done
    return first


# Workflows and runs.


def test_task_list_shows_schedule_next_run_last_result_and_problems(ready: Cluster) -> None:
    done = ready.cli("task", "list", env={"TZ": "UTC"})
    assert done.returncode == 0
    head, *rows = done.stdout.splitlines()
    assert head.split("  ")[0] == "ID"
    [hello] = [row for row in rows if row.startswith("hello ")]
    pattern = r"daily at 02:00 \(Europe/Berlin\)  \S+ 02:00 CES?T \(0[01]:00 UTC\), in \S+  COMPLETED .*  Hello"
    assert re.search(pattern, hello), hello
    assert any(row.startswith("etl.failing ") for row in rows)
    assert "broken.yml:2:1: unknown key 'tsks' in a workflow; did you mean 'tasks'?" in done.stderr


def test_task_list_as_json(ready: Cluster) -> None:
    found = json.loads(ready.cli("task", "list", "--json").stdout)
    [hello] = [each for each in found["workflows"] if each["id"] == "hello"]
    assert hello["params"] == {"who": "world"}
    assert hello["latest"]["status"] == "COMPLETED"
    assert hello["next_run"].endswith(("02:00:00+01:00", "02:00:00+02:00"))
    assert found["problems"][0]["line"] == 1


def test_task_run_prints_the_id_alone_and_takes_parameters(ready: Cluster) -> None:
    done = ready.cli("task", "run", "hello", "--param", "who=a=b")
    assert done.returncode == 0
    assert done.stderr == ""
    run_id = run_id_of(done)
    assert ready.ask(p.AwaitRun(run_id, 10_000))["status"] == "COMPLETED"
    assert "Hello, a=b!" in ready.cli("logs", "query", "--run", run_id).stdout


def test_parameters_come_from_a_file_and_flags_go_before_it(ready: Cluster) -> None:
    (ready.folder / "p.json").write_text('{"who": "file"}')
    done = ready.cli("task", "run", "hello", "--params-file", "p.json", "--follow")
    assert "Hello, file!" in done.stdout
    done = ready.cli("task", "run", "hello", "--params-file", "p.json", "--param", "who=flag", "--follow")
    assert "Hello, flag!" in done.stdout


def test_wait_ends_with_the_outcome(ready: Cluster) -> None:
    done = ready.cli("task", "run", "etl.failing", "--wait")
    assert done.returncode == 1
    run_id = run_id_of(done)
    assert done.stdout == f"{run_id}\n"
    assert done.stderr.startswith(f"{run_id} FAILED after 0.")
    assert "task first FAILED" in done.stderr
    assert "3" in done.stderr


def test_wait_as_json(ready: Cluster) -> None:
    done = ready.cli("task", "run", "etl.failing", "--wait", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["status"] == "FAILED"
    assert [(task["task_id"], task["status"]) for task in found["tasks"]] == [
        ("first", "FAILED"),
        ("second", "SKIPPED"),
    ]
    assert set(json.loads(ready.cli("task", "run", "hello", "--json").stdout)) == {"workflow_instance_id"}


def test_follow_prints_every_line_once_in_order(ready: Cluster) -> None:
    done = ready.cli("task", "run", "flood", "--follow")
    assert done.returncode == 0
    run_id, *lines = done.stdout.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == [str(n + 1) for n in range(LINES)]
    assert done.stderr.startswith(f"{run_id} COMPLETED after ")


def test_follow_on_a_terminal_names_the_task(ready: Cluster) -> None:
    """As piped, the lines are those of `logs query`."""
    ours, theirs = os.openpty()
    try:
        command = [sys.executable, str(ROOT / "cdktr.py"), "task", "run", "hello", "--follow"]
        done = subprocess.run(command, cwd=ready.folder, env=ready.environment(), stdout=theirs, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr
        lines = os.read(ours, 10_000).decode().splitlines()[1:]
    finally:
        os.close(theirs)
        os.close(ours)
    assert lines == ["[Greet] STDOUT Hello, world!", "[Tell it] STDOUT out", "[Tell it] STDERR err"]
    piped = ready.cli("task", "run", "hello", "--follow").stdout.splitlines()[1]
    assert re.fullmatch(r"\[\S+ INFO\] \[\S+/\S+\] STDOUT Hello, world!", piped)


def test_ctrl_c_stops_the_following_and_not_the_run(ready: Cluster) -> None:
    end = ready.folder / "end-of-slow"
    daemon = ready.spawn("task", "run", "slow", "--param", f"until={end}", "--follow")
    run_id = daemon.wait_for(r"^\S+-\d+$")[0]
    daemon.wait_for("begun")
    daemon.signal(signal.SIGINT)
    assert daemon.wait() == 130
    assert f"The run goes on: `cdktr logs tail --run {run_id}`" in daemon.text
    assert "Traceback" not in daemon.text
    end.touch()
    assert ready.ask(p.AwaitRun(run_id, 10_000))["status"] == "COMPLETED"


def test_a_wrong_workflow_is_named_with_what_was_meant(ready: Cluster) -> None:
    done = ready.cli("task", "run", "helo")
    assert done.returncode == 4
    assert done.stderr == "cdktr: There is no workflow 'helo'; did you mean hello?\n"
    done = ready.cli("task", "run", "failing")
    assert "did you mean etl.failing" in done.stderr
    done = ready.cli("task", "run", "broken")
    assert done.returncode == 4
    assert "Workflow broken cannot be used: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("task", "run", "hello", "--param", "who"), 2, "expected something like --param day=2026-01-31"),
        (("task", "run", "hello", "--param", "x=1"), 2, "Workflow hello has no parameter x; it has: who"),
        (("task", "run", "hello", "--params-file", "none.json"), 2, "none.json cannot be read: No such file"),
        (("task", "show", "nope"), 4, "There is no workflow 'nope'"),
        (("task", "show"), 2, "--run"),
        (("task", "show", "--run", "nope"), 4, "There is no run 'nope'; `cdktr task history` shows them"),
        (("task", "history", "nope"), 4, "There is no workflow 'nope'"),
        (("task", "history", "--status", "COMPLETE"), 2, "did you mean COMPLETED?"),
        (("logs", "query", "--run", "nope"), 4, "There is no run 'nope'"),
        (("logs", "query", "--workflow", "helo"), 4, "did you mean hello?"),
        (("logs", "query", "--last", "soon"), 2, "'soon' is no duration; expected something like 90"),
        (("logs", "query", "--since", "soon"), 2, "'soon' is no time; expected something like 2026-01-31"),
        (("logs", "query", "--last", "1h", "--since", "1h"), 2, "not allowed with argument"),
        (("logs", "tail", "--run", "nope"), 4, "There is no run 'nope'"),
        (("logs", "tail", "-n", "-1"), 2, "from 0 to 10000"),
    ],
)
def test_a_mistake_is_one_sentence(ready: Cluster, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    done = ready.cli(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_task_show_draws_the_workflow_and_its_run(ready: Cluster) -> None:
    done = ready.cli("task", "show", "hello", env={"PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0
    assert "parameters  who=world" in done.stdout
    assert re.search(r"○  greet +echo Hello, \$\{\{ params.who \}\}!\n▼  tell ", done.stdout)
    run_id = run_id_of(ready.cli("task", "run", "etl.failing", "--wait"))
    done = ready.cli("task", "show", "--run", run_id, env={"PYTHONIOENCODING": "ascii"})
    assert re.search(r"o  first +FAILED +1 +3 ", done.stdout), done.stdout
    assert re.search(r"v  second +SKIPPED ", done.stdout), done.stdout
    done = ready.cli("task", "show", "hello", "--run", run_id)
    assert (done.returncode, done.stderr) == (4, f"cdktr: Run {run_id} is not one of hello but of etl.failing\n")


def test_task_show_as_json(ready: Cluster) -> None:
    assert json.loads(ready.cli("task", "show", "hello", "--json").stdout)["schedule"].startswith("daily")
    run_id = run_id_of(ready.cli("task", "run", "hello", "--wait"))
    found = json.loads(ready.cli("task", "show", "--run", run_id, "--json").stdout)
    assert [task["exit_code"] for task in found["tasks"]] == [0, 0]


def test_task_history(ready: Cluster) -> None:
    run_id = run_id_of(ready.cli("task", "run", "etl.failing", "--wait"))
    done = ready.cli("task", "history", "--limit", "1", "etl.failing", "--status", "failed", env={"TZ": "UTC"})
    head, row = done.stdout.splitlines()
    assert head.split() == "RUN WORKFLOW STATUS STARTED UTC TOOK AGENT TRIGGER DETAIL".split()
    assert row.split()[:3] == [run_id, "etl.failing", "FAILED"]
    assert " manual" in row
    [found] = json.loads(ready.cli("task", "history", "--limit", "1", "--json", "--last", "1h", "etl.failing").stdout)
    assert found["workflow_instance_id"] == run_id
    for nothing in (("--status", "CANCELLED"), ("--until", "2000-01-01"), ("--since", "2999-01-01T00:00Z")):
        assert ready.cli("task", "history", *nothing).stderr == "No run matches.\n"


def test_task_reload_tells_what_changed(ready: Cluster) -> None:
    path = ready.workflows / "extra.yml"
    path.write_text(FAILING)
    done = ready.cli("task", "reload")
    assert done.returncode == 1
    assert done.stdout == "added    extra\n"
    assert "2 problems in the workflow folder:" in done.stderr
    path.unlink()
    assert json.loads(ready.cli("task", "reload", "--json").stdout)["removed"] == ["extra"]


# Logs.


def test_logs_query_filters(ready: Cluster) -> None:
    run_id = run_id_of(ready.cli("task", "run", "hello", "--wait"))

    def payloads(*arguments: str) -> list[str]:
        done = ready.cli("logs", "query", "--run", run_id, *arguments, "--json")
        assert done.returncode == 0
        return [json.loads(line)["payload"] for line in done.stdout.splitlines()]

    assert payloads() == ["STDOUT Hello, world!", "STDOUT out", "STDERR err"]
    assert payloads("--level", "error") == ["STDERR err"]
    assert payloads("--task", "tell", "--limit", "1") == ["STDOUT out"]
    assert payloads("--task", "Tell it", "--status", "COMPLETED", "--last", "1h") == ["STDOUT out", "STDERR err"]
    assert payloads("--status", "FAILED") == []
    assert payloads("--limit", "2") == ["STDOUT Hello, world!", "STDOUT out"]
    more = "These are the first 2, there are more; `cdktr logs tail` shows the last.\n"
    assert ready.cli("logs", "query", "--run", run_id, "--limit", "2").stderr == more
    assert ready.cli("logs", "query", "--run", run_id, "--limit", "3").stderr == ""
    assert len(payloads("--since", "2000-01-01", "--until", "2999-01-01T00:00Z")) == 3
    text = ready.cli("logs", "query", "--run", run_id, "--verbose").stdout.splitlines()[0]
    assert re.fullmatch(rf"\[\S+ INFO\] \[Hello={run_id} / Greet=\S+\] STDOUT Hello, world!", text)


def test_a_closed_pipe_ends_the_output_quietly(ready: Cluster) -> None:
    ready.cli("task", "run", "flood", "--wait")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "cdktr.py"), "logs", "query", "--workflow", "flood"],
        cwd=ready.folder,
        env=ready.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.wait(30) == 141


def test_a_full_disk_is_told(ready: Cluster) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, str(ROOT / "cdktr.py"), "task", "list"],
            cwd=ready.folder,
            env=ready.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (5, "cdktr: No space left on device\n")


def test_what_a_task_prints_cannot_drive_the_terminal(ready: Cluster) -> None:
    assert r"\x1b[31mred" in ready.cli("task", "run", "evil", "--follow").stdout


def test_logs_tail(ready: Cluster) -> None:
    run_id = run_id_of(ready.cli("task", "run", "hello", "--wait"))
    done = ready.cli("logs", "tail", "-n", "2", "--run", run_id)
    assert [line.partition("STD")[2] for line in done.stdout.splitlines()] == ["OUT out", "ERR err"]
    assert ready.cli("logs", "tail", "-n", "1", "--no-follow", "--workflow", "hello").stdout.endswith("err\n")


def test_logs_tail_follows(ready: Cluster) -> None:
    daemon = ready.spawn("logs", "tail", "-n", "1", "--workflow", "hello")
    daemon.wait_for("STDERR err")
    ready.cli("task", "run", "hello", "--param", "who=tail")
    daemon.wait_for("Hello, tail!")
    daemon.signal(signal.SIGINT)
    assert daemon.wait() == 130
    assert "Traceback" not in daemon.text


# The principal and its agents.


def test_status_and_agents(ready: Cluster) -> None:
    done = ready.cli("status")
    assert done.returncode == 0
    assert f"principal  127.0.0.1:{ready.port}, process " in done.stdout
    assert "agents     1, " in done.stdout
    assert "problems in the workflow folder:" in done.stderr
    assert json.loads(ready.cli("status", "--json").stdout)["agents"] == 1
    head, row = ready.cli("agent", "list").stdout.splitlines()
    assert head.split() == "AGENT RUNS/SLOTS LAST HEARD VERSION TO TELL UV LABELS".split()
    assert "/5 " in row
    [agent] = json.loads(ready.cli("agent", "list", "--json").stdout)
    assert agent["slots"] == 5


def test_status_says_why_a_run_waits(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    cluster.write("slow", SLOW + 'cron: "@daily"\n')
    cluster.start_principal("--no-scheduler")
    assert re.search("^slow .*  scheduler off  never", cluster.cli("task", "list").stdout, re.MULTILINE)
    assert "next run    scheduler off; " in cluster.cli("task", "show", "slow").stdout
    listed = json.loads(cluster.cli("task", "list", "--json").stdout)
    assert (listed["scheduler"], listed["workflows"][0]["next_run"]) == (False, None)
    end = cluster.folder / "end"
    first = run_id_of(cluster.cli("task", "run", "slow", "--param", f"until={end}"))
    assert cluster.cli("agent", "list").stderr == "There is no agent; `cdktr start agent` starts one.\n"
    done = cluster.cli("status")
    assert done.returncode == 0
    assert "scheduler  off" in done.stdout
    assert f"warning: 1 run waits ({first} of slow): there is no agent; `cdktr start agent`" in done.stderr
    waits = f"^cdktr: {first} is still queued: there is no agent; `cdktr start agent` starts one$"
    daemon = cluster.spawn("logs", "tail", "--run", first)
    daemon.wait_for(waits)
    cluster.start_agent("--max-concurrent", "1")
    daemon.wait_for("begun")
    for flag in ("--wait", "--follow"):
        other = cluster.spawn("task", "run", "slow", "--param", f"until={end}", flag)
        other.wait_for(r"^cdktr: \S+ is still queued: no agent has a free slot; ")
        other.signal(signal.SIGINT)
        assert other.wait() == 130
    second = run_id_of(cluster.cli("task", "run", "slow", "--param", f"until={end}"))
    assert f"{second} of slow): no agent has a free slot" in cluster.cli("status").stderr
    end.touch()
    assert daemon.wait() == 0
    assert sum("is still queued" in line for line in daemon.lines) == 1


def test_following_outlives_a_restart_of_the_principal(new_cluster: NewCluster) -> None:
    cluster = new_cluster(CDKTR_DEFAULT_ZMQ_TIMEOUT_MS="500")
    cluster.write("slow", SLOW)
    principal = cluster.start_principal()
    cluster.start_agent()
    end = cluster.folder / "end"
    daemon = cluster.spawn("task", "run", "slow", "--param", f"until={end}", "--follow")
    daemon.wait_for("begun")
    principal.signal(signal.SIGTERM)
    assert principal.wait() == 0
    daemon.wait_for(f"^cdktr: no principal answers at 127.0.0.1:{cluster.port}; waiting for it$")
    cluster.start_principal()
    daemon.wait_for("^cdktr: the principal is back$")
    end.touch()
    assert daemon.wait() == 0
    assert sum(line.startswith("cdktr: ") for line in daemon.lines) == 2
    assert [line.rpartition(" ")[2] for line in daemon.lines if "STDOUT" in line] == ["begun", "done"]
    assert " COMPLETED after " in daemon.lines[-1]


# Daemons.


def test_a_pair_starts_says_so_and_stops(new_cluster: NewCluster) -> None:
    cluster = new_cluster(CDKTR_WORKFLWO_DIR="x")
    pair = cluster.start_principal("--with-agent", "--max-concurrent", "2")
    pair.wait_for("Agent .* ready for 2 runs")
    warning = "cdktr: CDKTR_WORKFLWO_DIR is not a setting and is ignored; did you mean CDKTR_WORKFLOW_DIR?"
    assert pair.lines[0] == warning
    line = pair.wait_for("Principal server started")
    assert re.match(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[INFO\] {line[0]} on 127.0.0.1:{cluster.port}$", line.string)
    assert warning in cluster.cli("agent", "list").stderr
    assert os.stat(cluster.folder / "data" / "app.db").st_mode & 0o077 == 0
    before = len(pair.lines)
    assert pair.stop() == 0
    said = [line.partition("] ")[2] for line in pair.lines[before:]]
    assert [re.sub(r"^Agent \S+", "Agent", line) for line in said] == ["Stopping", "Agent stopped", "Principal stopped"]


def test_a_task_of_a_pair_may_open_as_many_files_as_its_user_set(new_cluster: NewCluster) -> None:
    """The principal itself takes all that it may have."""
    cluster = new_cluster()
    cluster.write("files", "name: F\ntasks: {t: {name: T, config: !Subprocess {cmd: sh, args: [-c, ulimit -n]}}}\n")
    cluster.enter = ["sh", "-c", 'ulimit -Sn 333 && exec "$@"', "sh"]
    pair = cluster.start_principal("--with-agent")
    assert resource.prlimit(pair.process.pid, resource.RLIMIT_NOFILE)[0] > 333
    done = cluster.cli("task", "run", "files", "--wait", "--follow")
    assert [line.split()[-2:] for line in done.stdout.splitlines() if "STDOUT" in line] == [["STDOUT", "333"]], done


def test_an_agent_stops_cleanly(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    cluster.write("hello", HELLO)
    principal = cluster.start_principal()
    agent = cluster.start_agent()
    assert cluster.cli("task", "run", "hello", "--wait").returncode == 0
    # A hurried user.
    agent.signal(signal.SIGTERM)
    assert agent.stop() == 0
    assert re.search(r"INFO\] Agent \S+ stopped$", agent.lines[-1])
    assert " 0 runs" not in agent.text + principal.text


def refused(daemon: Daemon, code: int, *sentences: str) -> None:
    """The process ended with this code and, at its end, one sentence."""
    assert daemon.wait() == code, daemon.text
    assert daemon.lines[-1].startswith("cdktr: ")
    assert "Traceback" not in daemon.text
    for sentence in sentences:
        assert sentence in daemon.lines[-1]


def test_a_port_in_use_and_a_held_database_are_told(ready: Cluster, tmp_path: Path) -> None:
    other = {"CDKTR_APP_DATA_DIRECTORY": str(tmp_path)}
    ports = {"CDKTR_PRINCIPAL_PORT": str(ready.port)}
    daemon = ready.spawn("start", "principal", env=other | ports)
    refused(daemon, 5, f"Port {ready.port} on 127.0.0.1 is in use", "CDKTR_PRINCIPAL_PORT")
    principal = ready.daemons[0].process.pid
    database = {"CDKTR_DB_PATH": str(ready.folder / "data" / "app.db")}
    refused(ready.spawn("start", "principal", env=other | database), 5, f"process {principal}", "CDKTR_DB_PATH")
    (tmp_path / "file").touch()
    blocked = {"CDKTR_APP_DATA_DIRECTORY": str(tmp_path / "file")}
    refused(ready.spawn("start", "principal", env=blocked), 5, "file cannot be used", "CDKTR_APP_DATA_DIRECTORY")


def test_wrong_settings_are_told(ready: Cluster) -> None:
    wrong = {"CDKTR_PRINCIPAL_PORT": "many"}
    sentence = "CDKTR_PRINCIPAL_PORT is 'many' in the environment; expected a port number from 0 to 65535"
    refused(ready.spawn("start", "principal", env=wrong), 2, sentence)
    refused(ready.spawn("task", "list", env=wrong), 2, sentence)
    refused(ready.spawn("start", "principal", "--max-concurrent", "2"), 2, "--with-agent")


def test_a_principal_that_is_not_there(new_cluster: NewCluster) -> None:
    with socket.socket() as held:
        # Bound and not listening: nobody else can take the port, and connections are refused.
        held.bind(("127.0.0.1", 0))
        port = str(held.getsockname()[1])
        cluster = new_cluster(CDKTR_PRINCIPAL_PORT=port, CDKTR_RETRY_ATTEMPTS="0", CDKTR_DEFAULT_ZMQ_TIMEOUT_MS="300")
        for arguments in ("task list", "task run x", "logs query", "status"):
            done = cluster.cli(*arguments.split())
            assert (done.returncode, done.stdout) == (3, "")
            assert done.stderr.startswith(
                f"cdktr: No principal answers at 127.0.0.1:{port} (Connection refused); start"
            )
            assert done.stderr.count("\n") == 1
        assert cluster.cli("status", "--principal-host", "no.such.host.invalid").returncode == 3
        refused(cluster.spawn("start", "agent"), 3, f"No principal answered at 127.0.0.1:{port}")
        debug = cluster.cli("status", env={"CDKTR_LOG_LEVEL": "DEBUG"})
        assert debug.returncode == 3
        assert "Traceback" in debug.stderr
    zero = cluster.cli("status", env={"CDKTR_PRINCIPAL_PORT": "0"})
    assert (zero.returncode, zero.stderr.count("\n")) == (2, 1)


def test_who_triggers_and_gets_no_answer_is_not_told_that_nothing_happened(new_cluster: NewCluster) -> None:
    """Who answers a connection and nothing more."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        cluster = new_cluster(CDKTR_PRINCIPAL_PORT=str(port), CDKTR_DEFAULT_ZMQ_TIMEOUT_MS="300")
        done = cluster.cli("task", "run", "hello")
        assert done.returncode == 3
        assert "it takes the connection and does not answer); one is there" in done.stderr
        assert "Whether the run was accepted" not in done.stderr, "nothing was sent"
    with answering(lambda _: None) as port:
        done = cluster.cli("task", "run", "hello", "--principal-port", str(port))
        assert done.returncode == 3
        assert "did not answer in 0.3 s; it is stopped or overloaded: " in done.stderr
        assert "Whether the run was accepted is not known: `cdktr task history hello` shows it" in done.stderr


# Projects.


def test_init_makes_a_project_that_runs(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    done = cluster.cli("init")
    assert done.returncode == 0
    assert "cdktr task run hello --follow" in done.stdout
    assert cluster.cli("validate").returncode == 0
    example = cluster.workflows / "hello.yml"
    example.write_text(example.read_text().replace("Says hello", "Always says hello"))
    again = cluster.cli("init")
    assert (again.returncode, again.stdout) == (0, "")
    assert "is a project already" in again.stderr
    assert "Always says hello" in example.read_text()
    cluster.start_principal("--with-agent", "--no-scheduler")
    done = cluster.cli("task", "run", "hello", "--param", "who=Ada", "--follow")
    assert done.returncode == 0
    assert "Hello from cdktr, Ada!" in done.stdout
    assert "Goodbye, at " in done.stdout
    for name in ("backup", "health"):
        done = cluster.cli("task", "run", f"examples.{name}", "--follow", "--param", "output=there")
        assert done.returncode == 0 or " % is the limit" in done.stdout, done.stdout
    assert list((cluster.folder / "there").glob("workflows-*.tar.gz"))


def test_init_elsewhere_and_where_it_cannot(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    done = cluster.cli("init", "deep/project")
    assert "  cd deep/project\n" in done.stdout
    assert (cluster.folder / "deep/project/workflows/hello.yml").is_file()
    (cluster.folder / "file").touch()
    done = cluster.cli("init", "file")
    assert (done.returncode, done.stderr) == (
        5,
        "cdktr: Cannot make a project in file: file/workflows: Not a directory\n",
    )
    if os.geteuid():  # root may write everywhere
        (cluster.folder / "closed").mkdir(mode=0o500)
        done = cluster.cli("init", "closed")
        assert (done.returncode, "closed/workflows: Permission denied\n" in done.stderr) == (5, True)


def test_validate_needs_no_principal(new_cluster: NewCluster) -> None:
    cluster = new_cluster(CDKTR_PRINCIPAL_PORT="1")
    cluster.workflows.joinpath("good.yml").write_text(HELLO)
    done = cluster.cli("validate")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "1 file checked, all in order.\n")
    cluster.workflows.joinpath("bad.yml").write_text("name: [\n")
    done = cluster.cli("validate", "workflows/good.yml", "workflows")
    assert done.returncode == 1
    assert done.stdout.startswith("workflows/bad.yml:")
    assert done.stderr == "1 problem in 1 of 3 files.\n"
    found = json.loads(cluster.cli("validate", "--json").stdout)
    assert found["files"] == 2
    assert found["problems"][0]["path"] == "workflows/bad.yml"
    assert cluster.cli("validate", "missing.yml").returncode == 1


def test_config_list(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    (cluster.folder / ".env").write_text("CDKTR_LOG_LEVEL=warn\n")
    done = cluster.cli("config", "list")
    assert done.returncode == 0
    assert "CDKTR_LOG_LEVEL = WARNING  (.env; default: INFO)\n    Log level of" in done.stdout
    found = {each["name"]: each for each in json.loads(cluster.cli("config", "list", "--json").stdout)}
    assert found["CDKTR_LOG_LEVEL"]["source"] == ".env"
    assert found["CDKTR_DB_PATH"]["value"] == str(cluster.folder / "data" / "app.db")
