"""Real processes: what they write arrives, how they end is told, nothing of them stays."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from cdktr import executor as executor_module
from cdktr.executor import CannotStart, Command, Executor, Exited, base_environment
from cdktr.settings import Settings
from cdktr.text import CUT_MARK

LIMIT = 65536
GRACE_S = 0.3
MARKER = "CDKTR_TASK_INSTANCE_ID=calm-otter-1"

Lines = list[tuple[str, str]]


def command(
    *argv: str, env: dict[str, str] | None = None, folder: str | None = None, timeout: float | None = None
) -> Command:
    name, _, value = MARKER.partition("=")
    return Command(argv, {**os.environ, name: value, **(env or {})}, folder, timeout)


def run(
    wanted: Command, limit: int = LIMIT, on_start: Callable[[int], None] = lambda _pid: None
) -> tuple[Exited, Lines]:
    lines: Lines = []

    async def main() -> Exited:
        executor = Executor(limit, GRACE_S)
        return await executor.run(wanted, MARKER, lambda s, found: lines.extend((s, line) for line in found), on_start)

    return asyncio.run(main()), lines


def shell(script: str, **options: float) -> tuple[Exited, Lines]:
    return run(command("sh", "-c", script, **options))  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_output_and_exit_code() -> None:
    exited, lines = shell("echo out; echo err >&2; printf 'no newline'; exit 3")
    assert (exited, exited.ok, exited.reason) == (Exited(3), False, "exit code 3")
    assert [line for s, line in lines if s == "STDOUT"] == ["out", "no newline"]
    assert [line for s, line in lines if s == "STDERR"] == ["err"]


def test_a_signal_is_named() -> None:
    assert shell("kill -SEGV $$")[0].reason == "killed by SIGSEGV"


@pytest.mark.parametrize("first", ["1", "2"])
def test_a_flood_on_either_pipe_does_not_block_the_other(first: str) -> None:
    # Ten times what a pipe holds on one stream, before a line on the other.
    other = "2" if first == "1" else "1"
    script = f"i=0; while [ $i -lt 10000 ]; do echo {'x' * 60} $i >&{first}; i=$((i+1)); done; echo done >&{other}"
    exited, lines = shell(script)
    name = {"1": "STDOUT", "2": "STDERR"}
    assert exited.ok
    assert [int(line.split()[1]) for s, line in lines if s == name[first]] == list(range(10000))
    assert [line for s, line in lines if s == name[other]] == ["done"]


def test_binary_and_long_lines() -> None:
    program = "import sys; sys.stdout.buffer.write(b'\\xff\\x00\\x01ok\\n' + b'y' * 1_000_000 + b'\\nend\\n')"
    _, lines = run(command(sys.executable, "-c", program), limit=100)
    assert [line for _, line in lines] == ["�\0\1ok", "y" * 100 + CUT_MARK, "end"]


def test_lines_come_while_the_task_runs(tmp_path: Path) -> None:
    """The task goes on only once its first line was seen: held back, it would never end."""
    seen = tmp_path / "seen"

    async def main() -> Exited:
        executor = Executor(LIMIT, GRACE_S)
        script = f"echo first; while [ ! -e {seen} ]; do sleep 0.01; done"
        wanted = command("sh", "-c", script, timeout=30)
        return await executor.run(wanted, MARKER, lambda _s, _l: seen.touch(), lambda _pid: None)

    assert asyncio.run(main()).ok


def test_stdin_is_closed_and_the_session_is_its_own() -> None:
    program = "import os, sys; print(sys.stdin.read() == '', os.getsid(0) == os.getpid() == os.getpgid(0))"
    assert run(command(sys.executable, "-c", program))[1] == [("STDOUT", "True True")]


def test_timeout_ends_the_whole_tree() -> None:
    exited, lines = shell("sleep 1000 & echo $!; sleep 1000", timeout=0.3)
    assert not exited.ok
    assert exited.reason == "timed out after 0.3s"
    assert not is_alive(int(lines[0][1]))


def test_who_ignores_sigterm_is_killed() -> None:
    exited, lines = shell("trap '' TERM; echo $$; while :; do sleep 0.05; done", timeout=0.3)
    assert exited.code == -signal.SIGKILL
    assert not is_alive(int(lines[0][1]))


def test_a_daemon_left_behind_is_ended() -> None:
    """One that stayed in the group, one that left it for a session of its own; both hold the pipes."""
    exited, lines = shell("sleep 1000 & echo $!; setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.3")
    assert exited.ok
    assert len(lines) == 2
    assert not any(is_alive(int(pid)) for _, pid in lines)


def test_a_daemon_with_closed_pipes_is_ended() -> None:
    exited, lines = shell("setsid sleep 1000 >/dev/null 2>&1 & echo $!")
    assert exited.ok
    assert not is_alive(int(lines[0][1]))


def test_the_end_of_a_pipeline_may_outlive_the_command() -> None:
    assert shell("(sleep 0.2; echo late) & exit 0")[1] == [("STDOUT", "late")]


def test_closed_stdout_is_no_end() -> None:
    exited, lines = shell("exec >&-; sleep 0.2; echo still here >&2; exit 4")
    assert exited.code == 4
    assert lines == [("STDERR", "still here")]


def test_cancelled_it_ends_the_process() -> None:
    pids: list[int] = []

    async def main() -> None:
        executor = Executor(LIMIT, GRACE_S)
        async with asyncio.TaskGroup() as group:
            started = asyncio.Event()

            def on_start(pid: int) -> None:
                pids.append(pid)
                started.set()

            run = executor.run(command("sleep", "1000"), MARKER, lambda _s, _l: None, on_start)
            task = group.create_task(run)
            await started.wait()
            task.cancel()

    asyncio.run(main())
    assert not is_alive(pids[0])


def test_reading_can_be_stopped_and_goes_on_without_loss() -> None:
    lines: list[str] = []

    async def main() -> Exited:
        executor = Executor(LIMIT, GRACE_S)
        executor.read(False)
        asyncio.get_running_loop().call_later(0.3, executor.read, True)
        wanted = command("sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done")
        return await executor.run(wanted, MARKER, lambda _s, found: lines.extend(found), lambda _pid: None)

    assert asyncio.run(main()).ok
    assert lines == [str(n) for n in range(20000)]


@pytest.mark.parametrize(
    ("argv", "folder", "message"),
    [
        (["no-such-command-anywhere"], None, "it is not on the agent's PATH"),
        (["/no/such/file"], None, "there is no such file"),
        (["true"], "/no/such/folder", "The working directory '/no/such/folder' does not exist"),
        (["/etc/passwd"], None, "Permission denied"),
        (["echo", "x" * 3_000_000], None, "Argument list too long"),
    ],
)
def test_what_cannot_start_says_why(argv: list[str], folder: str | None, message: str) -> None:
    with pytest.raises(CannotStart, match=message):
        run(command(*argv, folder=folder))


def test_no_descriptor_and_no_child_is_left() -> None:
    shell("true")
    before = len(os.listdir("/proc/self/fd"))
    for script in ("exit 1", "sleep 1000 & true", "echo x"):
        shell(script)
    with pytest.raises(CannotStart):
        run(command("no-such-command-anywhere"))
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_task_does_not_see_which_file_its_agent_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_CDKTR_FILE", "/opt/cdktr")
    monkeypatch.setenv("A", "1")
    env = base_environment()
    assert env["A"] == "1"
    assert "_CDKTR_FILE" not in env


def test_no_secret_reaches_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {f"CDKTR_{f.name.upper()}": "a secret of some length" for f in fields(Settings) if f.metadata["secret"]}
    assert secrets
    for name, value in {"CDKTR_LOG_LEVEL": "INFO", **secrets}.items():
        monkeypatch.setenv(name, value)
    found = base_environment()
    assert found["CDKTR_LOG_LEVEL"] == "INFO"
    assert not found.keys() & secrets.keys()


def test_cancelled_while_it_clears_up_it_still_clears_up() -> None:
    """The command has ended, what it left ignores SIGTERM, and then its run is ended."""
    pids: list[int] = []

    async def main() -> None:
        executor = Executor(LIMIT, GRACE_S)
        script = "(trap '' TERM; exec >/dev/null 2>&1; while :; do sleep 0.05; done) & echo $!"
        async with asyncio.TaskGroup() as group:
            said = asyncio.Event()

            def on_lines(_stream: str, lines: list[str]) -> None:
                pids.append(int(lines[0]))
                said.set()

            task = group.create_task(executor.run(command("sh", "-c", script), MARKER, on_lines, lambda _pid: None))
            await said.wait()
            await asyncio.sleep(0.1)
            task.cancel()

    asyncio.run(main())
    assert not is_alive(pids[0])


def test_what_cannot_be_ended_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_module, "UNKILLABLE_S", 0.1)
    monkeypatch.setattr(executor_module, "group_exists", lambda _pgid: True)
    exited, lines = shell("true")
    assert exited.ok
    assert next(line for _, line in lines).startswith("cdktr: cannot end what this task left running: -")


def test_nothing_to_read_from() -> None:
    """Another test has a standard input, of which a task must see nothing."""
    read, write = os.pipe()
    os.write(write, b"secret\n")
    os.close(write)
    before = os.dup(0)
    os.dup2(read, 0)
    try:
        assert run(command("cat"))[1] == []
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(read)


def test_who_stays_in_the_group_without_the_marker_is_ended() -> None:
    exited, lines = shell("env -i sleep 1000 >/dev/null 2>&1 & echo $!")
    assert exited.ok
    assert not is_alive(int(lines[0][1]))
