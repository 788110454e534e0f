"""One run, driven with real processes, without a principal: what is reported, in which order."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdktr.driver import Driver
from cdktr.executor import Executor, base_environment
from cdktr.frames import Reported
from cdktr.records import LogChunk, RunStatus, RunUpdate, TaskUpdate
from cdktr.workflow import Assignment, Retry, RunIf, Subprocess, Task, UvPython, Workflow

Record = LogChunk | Reported


def sh(script: str, *depends: str, **options: Any) -> Task:
    return Task("Task", Subprocess("sh", ("-c", script)), depends=depends, **options)


def workflow(tasks: Mapping[str, Task], **options: Any) -> Workflow:
    return Workflow("etl.daily", "Daily", tasks, **options)


class Driven:
    """The records of a run, and what they say."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records
        self.updates = [r.update for r in records if isinstance(r, Reported)]
        self.tasks = [u for u in self.updates if isinstance(u, TaskUpdate)]
        [self.run] = [u for u in self.updates if isinstance(u, RunUpdate)]

    def statuses(self, task_id: str) -> list[str]:
        return [u.status.value for u in self.tasks if u.task_id == task_id]

    def last(self, task_id: str) -> TaskUpdate:
        return next(u for u in reversed(self.tasks) if u.task_id == task_id)

    @property
    def lines(self) -> list[str]:
        return [line for r in self.records if isinstance(r, LogChunk) for line in r.payloads]


def drive(
    wanted: Workflow,
    slots: int = 5,
    params: Mapping[str, str] | None = None,
    end: Callable[[Driver], None] | None = None,
    env: Mapping[str, str] | None = None,
    embedded_python: bool = False,
) -> Driven:
    records: list[Record] = []

    async def main() -> None:
        job = Assignment(wanted, "jumping-monkey-7", "token", 8, params or {})
        executor = Executor(65536, 0.3)
        driver = Driver(
            job, "agent-1", slots, executor, env or base_environment(), records.append, embedded_python=embedded_python
        )
        if end is not None:
            asyncio.get_running_loop().call_later(0.2, end, driver)
        await driver.drive()

    asyncio.run(main())
    return Driven(records)


def test_a_task_is_told_from_pending_to_its_end() -> None:
    driven = drive(workflow({"a": sh("echo hello; echo trouble >&2; exit 3")}))
    assert driven.statuses("a") == ["PENDING", "RUNNING", "FAILED"]
    end = driven.last("a")
    assert (end.exit_code, end.detail, end.attempt, end.agent_id) == (3, "exit code 3", 1, "agent-1")
    assert sorted(driven.lines) == ["STDERR trouble", "STDOUT hello"]
    chunk = next(r for r in driven.records if isinstance(r, LogChunk) and r.level == "INFO")
    names = (chunk.workflow_id, chunk.workflow_name, chunk.workflow_instance_id, chunk.task_name)
    assert names == ("etl.daily", "Daily", "jumping-monkey-7", "Task")
    assert (driven.run.status, driven.run.detail) == (RunStatus.FAILED, "failed: a")
    assert driven.records[-1] == Reported("token", driven.run)


def test_lines_stand_between_the_statuses_of_their_task() -> None:
    driven = drive(workflow({"a": sh("echo 1"), "b": sh("echo 2", "a")}))
    told = [r.payloads[0] if isinstance(r, LogChunk) else r.update.status.value for r in driven.records]
    assert told[2:] == ["RUNNING", "STDOUT 1", "COMPLETED", "RUNNING", "STDOUT 2", "COMPLETED", "COMPLETED"]


def test_instance_ids_are_numbered_from_the_lease_and_times_never_go_back() -> None:
    driven = drive(workflow({"a": sh("true"), "b": sh("true"), "c": sh("true", "a")}))
    numbers = {u.task_id: int(u.task_instance_id.rpartition("-")[2]) for u in driven.tasks}
    assert numbers == {"a": 8, "b": 9, "c": 10}
    times = [u.timestamp_ms for u in driven.updates]
    assert times == sorted(times)


def test_a_failed_root_of_a_diamond_skips_the_rest_and_ends_the_run() -> None:
    tasks = {"root": sh("exit 1"), "l": sh("true", "root"), "r": sh("true", "root"), "join": sh("true", "l", "r")}
    driven = drive(workflow(tasks))
    assert [driven.statuses(t) for t in ("l", "r", "join")] == [["PENDING", "SKIPPED"]] * 3
    assert driven.last("join").detail == "l skipped, r skipped; this task runs if all_succeeded"
    assert driven.run.status is RunStatus.FAILED


def test_an_independent_branch_goes_on_beside_a_failure() -> None:
    driven = drive(workflow({"a": sh("exit 1"), "b": sh("echo b"), "c": sh("echo c", "b"), "d": sh("true", "a")}))
    assert driven.lines == ["STDOUT b", "STDOUT c"]
    assert driven.last("d").status is RunStatus.SKIPPED


def test_run_if_and_allow_failure() -> None:
    tasks = {
        "check": sh("exit 1", allow_failure=True),
        "next": sh("true", "check"),
        "broken": sh("exit 1", "next"),
        "alert": sh("echo alert", "broken", run_if=RunIf.ANY_FAILED),
        "always": sh("echo always", "broken", run_if=RunIf.ALL_DONE),
        "quiet": sh("true", "next", run_if=RunIf.ANY_FAILED),
    }
    driven = drive(workflow(tasks))
    assert sorted(driven.lines) == ["STDOUT alert", "STDOUT always"]
    ends = {task_id: driven.last(task_id).status.value for task_id in tasks}
    assert ends["next"] == "COMPLETED"
    assert ends["quiet"] == "SKIPPED"
    assert driven.last("quiet").detail == "nothing failed; this task runs if any_failed"
    assert driven.run.detail == "failed: broken"


def test_retries_with_their_attempts(tmp_path: Path) -> None:
    script = f"echo attempt $CDKTR_ATTEMPT; [ -e {tmp_path}/once ] && exit 0; touch {tmp_path}/once; exit 5"
    driven = drive(workflow({"a": sh(script, retry=Retry(2, 0.05))}))
    assert driven.statuses("a") == ["PENDING", "RUNNING", "WAITING", "RUNNING", "COMPLETED"]
    assert driven.lines == ["STDOUT attempt 1", "STDOUT attempt 2"]
    waiting = next(u for u in driven.tasks if u.status is RunStatus.WAITING)
    assert (waiting.exit_code, waiting.detail) == (5, "exit code 5; tried again in 0.1s")
    assert driven.run.status is RunStatus.COMPLETED
    assert len({u.task_instance_id for u in driven.tasks}) == 1


def test_a_task_that_waits_for_its_retry_holds_no_slot(tmp_path: Path) -> None:
    # With one slot, "b" must run while "a" waits: a's second attempt needs what b makes.
    tasks = {"a": sh(f"[ -e {tmp_path}/b ]", retry=Retry(1, 0.5)), "b": sh(f"touch {tmp_path}/b")}
    assert drive(workflow(tasks), slots=1).run.status is RunStatus.COMPLETED


def test_no_more_tasks_than_slots_run_at_once(tmp_path: Path) -> None:
    script = f"mkdir {tmp_path}/$$; ls {tmp_path} | wc -l; sleep 0.1; rmdir {tmp_path}/$$"
    driven = drive(workflow({f"t{n}": sh(script) for n in range(7)}), slots=2)
    assert len(driven.lines) == 7
    assert max(int(line.split()[1]) for line in driven.lines) == 2


def test_task_timeout_and_run_timeout() -> None:
    driven = drive(workflow({"a": sh("sleep 100", timeout_s=0.2), "b": sh("true", "a")}))
    assert driven.last("a").detail == "timed out after 0.2s"
    assert driven.run.status is RunStatus.FAILED
    driven = drive(workflow({"a": sh("sleep 100"), "b": sh("true", "a")}, timeout_s=0.2))
    assert driven.last("a").status is RunStatus.CANCELLED
    assert driven.last("b").status is RunStatus.CANCELLED
    assert (driven.run.status, driven.run.detail) == (RunStatus.FAILED, "the run timed out after 0.2s")


def test_environment_precedence_and_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "agent")
    monkeypatch.setenv("ONLY_AGENT", "agent")
    script = "echo $WHO $ONLY_AGENT $DAY $MIX; echo $1; pwd; env | grep ^CDKTR_ | sort"
    task = Task(
        "Task",
        Subprocess("sh", ("-c", script, "sh", "day=${{ params.DAY }}")),
        env={"WHO": "task", "MIX": "<${{ params.DAY }}>"},
        working_directory=str(tmp_path),
    )
    wanted = workflow({"a": task}, env={"WHO": "workflow", "DAY": "workflow"}, params={"DAY": "monday"})
    for name in [name for name in os.environ if name.startswith("CDKTR_")]:
        monkeypatch.delenv(name)
    driven = drive(wanted, params={"DAY": "friday"})
    assert driven.lines[:3] == ["STDOUT task agent friday <friday>", "STDOUT day=friday", f"STDOUT {tmp_path}"]
    assert driven.lines[3:] == [
        "STDOUT CDKTR_AGENT_ID=agent-1",
        "STDOUT CDKTR_ATTEMPT=1",
        "STDOUT CDKTR_TASK_ID=a",
        f"STDOUT CDKTR_TASK_INSTANCE_ID={driven.tasks[0].task_instance_id}",
        "STDOUT CDKTR_WORKFLOW_ID=etl.daily",
        "STDOUT CDKTR_WORKFLOW_INSTANCE_ID=jumping-monkey-7",
    ]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (Subprocess("no-such-command"), "it is not on the agent's PATH"),
        (UvPython("x.py", uv_path="/no/such/uv"), "There is no uv at /no/such/uv"),
    ],
)
def test_what_cannot_start_fails_and_says_so_in_the_log(config: Subprocess | UvPython, said: str) -> None:
    driven = drive(workflow({"a": Task("Task", config), "b": sh("true", "a")}))
    assert said in driven.lines[0]
    assert said in str(driven.last("a").detail)
    assert driven.last("a").exit_code is None
    assert driven.last("b").status is RunStatus.SKIPPED


def test_what_a_uv_says_that_is_timed_out_is_no_reason(tmp_path: Path) -> None:
    """In its place a program that ends as uv does when it finds no Python: at once, or when it is asked to end."""
    (tmp_path / "x.py").touch()
    uv = tmp_path / "uv"
    uv.touch(0o755)
    task = Task("Task", UvPython(str(tmp_path / "x.py"), uv_path=str(uv)))
    fails = "echo 'error: No interpreter found in search path' >&2; exit 2"
    uv.write_text(f"#!/bin/sh\n{fails}\n")
    driven = drive(workflow({"a": task}))
    assert str(driven.last("a").detail).startswith("exit code 2: uv found no Python")
    assert driven.lines[1].startswith("STDERR cdktr: uv found no Python")
    uv.write_text(f'#!/bin/sh\ntrap "{fails}" TERM\nsleep 100 & wait\n')
    driven = drive(workflow({"a": replace(task, timeout_s=0.5)}))
    assert driven.last("a").detail == "timed out after 0.5s"


def test_ended_from_outside_everything_stops_and_is_told() -> None:
    tasks = {"a": sh("sleep 100"), "b": sh("true", "a"), "c": sh("exit 1", retry=Retry(3, 100))}
    driven = drive(workflow(tasks), end=lambda driver: driver.end(RunStatus.CRASHED, "the agent was stopped"))
    assert (driven.run.status, driven.run.detail) == (RunStatus.CRASHED, "the agent was stopped")
    assert {driven.last(t).status for t in tasks} == {RunStatus.CANCELLED}


def test_times_stand_still_while_the_clock_goes_back() -> None:
    clock = iter([10.0, 9.0, 8.0, 11.0, *([5.0] * 50)])
    records: list[Record] = []

    async def main() -> None:
        job = Assignment(workflow({"a": sh("echo x")}), "jumping-monkey-7", "token", 8, {})
        executor = Executor(65536, 0.3)
        await Driver(job, "agent-1", 5, executor, base_environment(), records.append, lambda: next(clock)).drive()

    asyncio.run(main())
    times = [r.timestamp_ms if isinstance(r, LogChunk) else r.update.timestamp_ms for r in records]
    assert times[:4] == [10_000, 10_000, 10_000, 11_000]
    assert times == sorted(times)


SCRIPT = """\
import json, os, pathlib, sys
from cdktr import Principal
print(__name__, sys.argv, pathlib.Path(__file__).name, os.environ["CDKTR_ATTEMPT"], os.getcwd())
sys.stdout.write("held back?")
sys.exit(int(os.environ.get("CODE", "0")))
"""


def test_a_script_on_the_interpreter_of_cdktr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no uv, and the setting allows it."""
    # pytest is not what starts cdktr.
    monkeypatch.setattr(sys, "argv", [str(Path(__file__).parents[1] / "cdktr.py")])
    monkeypatch.setattr("cdktr.driver.own_command", lambda interpreter=sys.executable: [interpreter, sys.argv[0]])
    # Beside this interpreter there is a uv.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "plain.py").write_text(SCRIPT)
    (tmp_path / "raises.py").write_text("def f():\n    1 / 0\n\nf()\n")
    (tmp_path / "torn.py").write_text("print(\n")
    env = {"PATH": "/no/such/folder", "HOME": str(tmp_path)}

    def of(name: str, **options: Any) -> Workflow:
        config = UvPython(name, working_directory=str(tmp_path))
        return workflow({"a": Task("Task", config, **options)})

    without = drive(of("plain.py"), env=env)
    assert "There is no uv on this agent's host" in (without.last("a").detail or "")
    assert ". Or set CDKTR_EMBEDDED_PYTHON=1 for its agent" in (without.last("a").detail or "")
    with_packages = workflow(
        {"a": Task("Task", UvPython("plain.py", packages=("x",), working_directory=str(tmp_path)))}
    )
    for allowed in (False, True):
        refused = drive(with_packages, env=env, embedded_python=allowed).last("a").detail or ""
        assert "There is no uv on this agent's host" in refused
        assert "CDKTR_EMBEDDED_PYTHON" not in refused
    driven = drive(of("plain.py"), env=env, embedded_python=True)
    assert driven.lines == [f"STDOUT __main__ ['plain.py'] plain.py 1 {tmp_path}", "STDOUT held back?"]
    assert driven.run.status is RunStatus.COMPLETED
    driven = drive(of("plain.py", env={"CODE": "7"}), env=env, embedded_python=True)
    assert driven.last("a").exit_code == 7
    driven = drive(of("raises.py"), env=env, embedded_python=True)
    assert driven.last("a").exit_code == 1
    assert driven.lines[0] == "STDERR Traceback (most recent call last):"
    assert not any("cdktr/" in line for line in driven.lines)
    assert driven.lines[-1] == "STDERR ZeroDivisionError: division by zero"
    driven = drive(of("torn.py"), env=env, embedded_python=True)
    assert "STDERR SyntaxError: '(' was never closed" in driven.lines
    driven = drive(of("gone.py"), env=env, embedded_python=True)
    assert "There is no script at" in (driven.last("a").detail or "")

    def command(*words: str) -> Workflow:
        return workflow({"a": Task("Task", Subprocess("python3", words), working_directory=str(tmp_path))})

    driven = drive(command("plain.py", "-x", "two words"), env=env, embedded_python=True)
    assert driven.lines[0] == f"STDOUT __main__ ['plain.py', '-x', 'two words'] plain.py 1 {tmp_path}"
    driven = drive(command("plain.py"), env=env)
    assert "not on the agent's PATH. Where this host has no Python, set CDKTR_EMBEDDED_PYTHON=1" in driven.lines[0]
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to("/bin/echo")
    for embedded in (False, True):
        driven = drive(command("plain.py"), env={**env, "PATH": str(python.parent)}, embedded_python=embedded)
        assert driven.lines == [
            "STDERR Cannot start 'python3': it is not on the agent's PATH. This host has python: write that as cmd"
        ]
    driven = drive(command("./gone.py"), env=env, embedded_python=True)
    assert f"There is no script at {tmp_path}/gone.py" in (driven.last("a").detail or "")
    driven = drive(command("-c", "print(1)"), env=env, embedded_python=True)
    assert (driven.last("a").detail or "").startswith(
        "Cannot start 'python3': it is not on the agent's PATH, and the interpreter of cdktr runs script files only"
    )
    driven = drive(command("-c", "print(1)"), env=env | {"PATH": os.defpath}, embedded_python=True)
    assert driven.lines == ["STDOUT 1"]
    # Of a host that has one by its other name, nothing is said of that of cdktr.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "python").symlink_to("/bin/echo")
    driven = drive(command("-c", "print(1)"), env=env | {"PATH": str(tmp_path / "other")}, embedded_python=True)
    assert driven.last("a").detail == "Cannot start 'python3': it is not on the agent's PATH"
