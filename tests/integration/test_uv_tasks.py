"""`!UvPython` with the real uv, by a principal and an agent: packages come from a folder of wheels, never from afar."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cdktr import protocol as p
from cdktr.proc import bearers
from tests.integration.cluster import PATIENCE_S, ROOT, Cluster, Daemon
from tests.integration.conftest import NewCluster
from tests.integration.wheels import make_wheel
from tests.integration.wire import eventually

#: Set for the tests that have no network but loopback.
ALONE = "CDKTR_TESTS_ARE_ALONE"

SHOW = "import sys, tinypkg\nprint(tinypkg.VERSION, flush=True)\n"
INLINE = "# /// script\n# dependencies = ['tinypkg<2']\n# ///\n" + SHOW
PROJECT = """
[project]
name = "pipeline"
version = "0"
requires-python = ">=3.9"
dependencies = ["tinypkg>=1.1,<2.0.0"]
"""


def make_wheels(folder: Path) -> Path:
    for version in ("1.0.0", "1.2.0", "2.0.0"):
        make_wheel(folder, "tinypkg", version)
    make_wheel(folder, "other", "3.0")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """As on a host without internet: uv is told of its wheels in the agent's environment."""
    folder = tmp_path_factory.mktemp("uv")
    links = str(make_wheels(folder / "wheels"))
    settings = {"UV_OFFLINE": "1", "UV_FIND_LINKS": links, "UV_PYTHON": sys.executable}
    with pytest.MonkeyPatch.context() as environ, Cluster(folder, settings) as cluster:
        # It may be set where the tests run, and would do what the agent has to.
        environ.delenv("PYTHONUNBUFFERED", raising=False)
        cluster.start_principal()
        cluster.start_agent("--max-concurrent", "8")
        yield cluster


def script(cluster: Cluster, name: str, text: str = SHOW) -> None:
    path = cluster.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def trigger(cluster: Cluster, config: str, task: str = "", count: int = 1) -> str:
    """The id of a run of tasks t0, t1, … that all have this config, and `task` beside it."""
    tasks = "".join(f"  t{n}:\n    name: T{n}\n    {task}\n    config: !UvPython {{{config}}}\n" for n in range(count))
    name = f"made{len(list(cluster.workflows.iterdir()))}"
    cluster.write(name, f"name: Made\ntasks:\n{tasks}")
    run_id: str = cluster.ask(p.Trigger(name))["workflow_instance_id"]
    return run_id


def run(cluster: Cluster, config: str, task: str = "", count: int = 1) -> tuple[dict[str, Any], list[str]]:
    """The first task at its end, and the lines of the run without what uv tells of its work."""
    run_id = trigger(cluster, config, task, count)
    cluster.ask(p.AwaitRun(run_id, 30_000), 40)
    ended: dict[str, Any] = {**cluster.ask(p.ListTaskRuns(run_id))[0], "run_id": run_id}
    chatter = ("STDERR Installed", "STDERR Using", "STDERR Creating")
    page = cluster.ask(p.ListLogs(workflow_instance_id=run_id))
    said = [line["payload"] for line in page["lines"]]
    return ended, [line for line in said if not line.startswith(chatter)]


def output(cluster: Cluster, config: str, task: str = "", count: int = 1) -> list[str]:
    """What is on stdout and stderr of a run that ends well."""
    ended, lines = run(cluster, config, task, count)
    assert ended["status"] == "COMPLETED", lines
    return lines


def test_the_agent_says_which_uv_it_has(cluster: Cluster) -> None:
    cluster.daemons[-1].wait_for(rf"uv: {Path(sys.executable).parent}/uv$")


def test_status_says_which_uv_the_agents_have(cluster: Cluster) -> None:
    uv = {"path": f"{Path(sys.executable).parent}/uv", "version": metadata.version("uv")}
    eventually(lambda: cluster.ask(p.GetRegisteredAgents())[0]["uv"] == uv, "an agent that tells its uv")
    assert f"\nuv         {uv['version']} at {uv['path']} on 1 agent\n" in cluster.cli("status").stdout


def test_packages_with_constraints(cluster: Cluster) -> None:
    script(cluster, "show.py", SHOW + "import other; print(other.VERSION)\n")
    lines = output(cluster, "script_path: show.py, packages: ['tinypkg>=1.1.0,<2.0.0', other]")
    assert lines == ["STDOUT 1.2.0", "STDOUT 3.0"]


def test_a_folder_of_its_own(cluster: Cluster) -> None:
    """The script's path is relative to the working directory, wherever that is said and whether absolute or not."""
    script(cluster, "scripts/where.py", "import os; print(os.getcwd())\n")
    here = f"STDOUT {cluster.folder}/scripts"
    assert output(cluster, "script_path: ./where.py, working_directory: ./scripts") == [here]
    assert output(cluster, f"script_path: where.py, working_directory: {cluster.folder}/scripts") == [here]
    assert output(cluster, "script_path: where.py", "working_directory: scripts") == [here]
    assert output(cluster, f"script_path: {cluster.folder}/scripts/where.py") == [f"STDOUT {cluster.folder}"]


def test_inline_metadata_with_and_without_the_flag(cluster: Cluster) -> None:
    script(cluster, "inline.py", INLINE)
    assert output(cluster, "script_path: inline.py") == ["STDOUT 1.2.0"]
    assert output(cluster, "script_path: inline.py, is_uv_project: true") == ["STDOUT 1.2.0"]
    script(cluster, "more.py", INLINE + "import other; print(other.VERSION)\n")
    lines = output(cluster, "script_path: more.py, is_uv_project: true, packages: [other]")
    assert lines == ["STDOUT 1.2.0", "STDOUT 3.0"]


def test_a_project(cluster: Cluster) -> None:
    """uv keeps .venv and uv.lock in it; a script that is no part of it, though it lies there, sees none of it."""
    folder = cluster.folder / "pipeline"
    script(cluster, "pipeline/pyproject.toml", PROJECT)
    script(cluster, "pipeline/analysis.py", SHOW + "print(sys.prefix)\n")
    beside = "working_directory: pipeline, packages: [tinypkg]"
    assert output(cluster, f"script_path: analysis.py, {beside}")[0] == "STDOUT 2.0.0"
    assert sorted(os.listdir(folder)) == ["analysis.py", "pyproject.toml"]
    config = "script_path: ./analysis.py, is_uv_project: true, working_directory: ./pipeline"
    assert output(cluster, config) == ["STDOUT 1.2.0", f"STDOUT {folder}/.venv"]
    assert sorted(os.listdir(folder)) == [".venv", "analysis.py", "pyproject.toml", "uv.lock"]
    script(cluster, "pipeline/more.py", SHOW + "import other; print(other.VERSION)\n")
    assert output(cluster, f"{config}, packages: [other]".replace("analysis", "more")) == ["STDOUT 1.2.0", "STDOUT 3.0"]
    # With its environment elsewhere and its lock file as it is, nothing is written there.
    shutil.rmtree(folder / ".venv")
    env = f"env: {{UV_PROJECT_ENVIRONMENT: {cluster.folder}/elsewhere, UV_FROZEN: '1'}}"
    assert output(cluster, config, env) == ["STDOUT 1.2.0", f"STDOUT {cluster.folder}/elsewhere"]
    assert not (folder / ".venv").exists()


def test_a_uv_of_ones_own(cluster: Cluster) -> None:
    """Also by a relative name, though the task starts in another folder."""
    script(cluster, "scripts/env.py", "import os; print(os.environ['WHICH'])\n")
    for place in ("tools/uv", "on-path/uv"):
        real = f"{Path(sys.executable).parent}/uv"
        script(cluster, place, f'#!/bin/sh\nWHICH={place} exec {real} "$@"\n')
        (cluster.folder / place).chmod(0o755)
    config = "script_path: env.py, working_directory: scripts, uv_path: "
    # HOME is the cluster's folder.
    for named in (f"{cluster.folder}/tools/uv", "tools/uv", "./tools/uv", "~/tools/uv"):
        assert output(cluster, config + named) == ["STDOUT tools/uv"]
    assert output(cluster, config + "uv", f"env: {{PATH: 'on-path:{os.defpath}'}}") == ["STDOUT on-path/uv"]
    ended, lines = run(cluster, config + "tools")
    assert ended["detail"] == lines[0].removeprefix("STDERR ")
    assert "that is a folder, and the program itself is meant, such as tools/uv" in ended["detail"]


def test_lines_come_as_they_are_printed(cluster: Cluster) -> None:
    """The script ends only when its first line was seen; unless it is told to keep its output back."""
    gate = cluster.folder / "gate"
    wait = "while not os.path.exists('gate'): time.sleep(0.01)\n"
    script(cluster, "live.py", f"import os, time\nprint('first')\n{wait}print('last')\n")
    run_id = trigger(cluster, "script_path: live.py")
    page = cluster.ask(p.ListLogs(workflow_instance_id=run_id, wait_ms=20_000), 30)
    assert [line["payload"] for line in page["lines"]] == ["STDOUT first"]
    gate.touch()
    assert cluster.ask(p.AwaitRun(run_id, 20_000), 30)["status"] == "COMPLETED"
    script(cluster, "env.py", "import os; print(repr(os.environ['PYTHONUNBUFFERED']))\n")
    assert output(cluster, "script_path: env.py", "env: {PYTHONUNBUFFERED: ''}") == ["STDOUT ''"]


def test_many_at_once_on_a_cold_cache(cluster: Cluster) -> None:
    script(cluster, "show.py")
    env = f"env: {{UV_CACHE_DIR: {cluster.folder}/cold}}"
    lines = output(cluster, "script_path: show.py, packages: ['tinypkg<2']", env, count=5)
    assert lines == ["STDOUT 1.2.0"] * 5


@pytest.mark.parametrize("way", ["timeout", "kill"])
def test_nothing_is_left_of_what_is_ended(cluster: Cluster, way: str) -> None:
    """uv is the parent of the script, and that of a process that would outlive both."""
    script(
        cluster,
        "long.py",
        "import os, signal, subprocess, time\nsignal.signal(signal.SIGTERM, lambda *_: print('asked to end'))\n"
        "subprocess.Popen(['sleep', '1000'])\n"
        + ("os.kill(os.getppid(), 9)\n" if way == "kill" else "")
        + "while True: time.sleep(1)\n",
    )
    ended, lines = run(cluster, "script_path: long.py", "timeout: 2s" if way == "timeout" else "")
    why = {"timeout": "timed out after 2.0s", "kill": "killed by SIGKILL"}
    assert (ended["status"], ended["detail"]) == ("FAILED", why[way])
    # When its time is over, the script may not be so far yet.
    assert way == "timeout" or "STDOUT asked to end" in lines
    assert bearers(f"CDKTR_TASK_INSTANCE_ID={ended['task_instance_id']}") == []


def test_a_script_that_fails_speaks_for_itself(cluster: Cluster) -> None:
    script(cluster, "boom.py", "raise ValueError('boom')\n")
    ended, lines = run(cluster, "script_path: boom.py")
    assert (ended["exit_code"], ended["detail"]) == (1, "exit code 1")
    assert lines[-1] == "STDERR ValueError: boom"


def test_what_to_do_is_in_the_log_and_in_the_detail(cluster: Cluster) -> None:
    script(cluster, "show.py")
    ended, lines = run(cluster, "script_path: show.py, packages: [absent]")
    hint = str(ended["detail"]).removeprefix("exit code 1: ")
    assert hint.startswith("uv could not get the packages. Without internet, put their wheels into a folder")
    assert lines[0] == "STDERR error: No solution found when resolving `--with` dependencies"
    assert lines[-1] == f"STDERR cdktr: {hint}"
    shown = cluster.cli("task", "show", "--run", ended["run_id"])
    assert hint in shown.stdout
    here = "on this agent's host"
    no_script = f"There is no script at {cluster.folder}/scripts/gone.py {here}"
    no_folder = f"'gone' ({cluster.folder}/gone) does not exist {here}"
    for config, task, words in (
        ("script_path: ./gone.py, working_directory: scripts", "", no_script),
        ("script_path: x.py, working_directory: gone", "", no_folder),
        ("script_path: show.py", "env: {UV_PYTHON: /no/python}", "Set UV_PYTHON to the path of one"),
        ("script_path: show.py", "env: {UV_CACHE_DIR: /proc/.cache/uv}", "Set UV_CACHE_DIR to a folder"),
    ):
        ended, lines = run(cluster, config, task)
        assert words in ended["detail"]
        assert words in lines[-1]


def test_a_host_without_uv(new_cluster: NewCluster) -> None:
    """The agent is run by a Python that has no uv beside it."""
    bare = new_cluster(PATH=os.defpath, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    if shutil.which("uv", path=os.defpath):
        pytest.skip(f"{shutil.which('uv', path=os.defpath)} is there for everybody")
    bare.start_principal()
    python = bare.folder / "python"
    python.symlink_to(os.path.realpath(sys.executable))
    command = [str(python), str(ROOT / "cdktr.py"), "start", "agent"]
    bare.daemons.append(Daemon("the agent", command, bare.folder, bare.environment()))
    bare.daemons[-1].wait_for(
        r"INFO\] There is no uv here: !UvPython tasks that need one will fail, and tell where it was sought$"
    )
    bare.daemons[-1].wait_for(r"Agent \S+ ready")
    eventually(lambda: "uv         none on " in bare.cli("status").stdout, "that there is none")
    ended, lines = run(bare, "script_path: x.py")
    assert ended["exit_code"] is None
    assert "Copy the uv program, one file, beside cdktr or into ~/.local/bin" in ended["detail"]
    assert lines == [f"STDERR {ended['detail']}"]


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """The address of an index of packages on loopback."""
    wheels = make_wheels(tmp_path / "simple" / "tinypkg")
    links = "".join(f'<a href="{wheel.name}">{wheel.name}</a>' for wheel in wheels.iterdir())
    (wheels / "index.html").write_text(f"<html><body>{links}</body></html>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(tmp_path))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
            thread.join()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_without_a_network(new_cluster: NewCluster, tmp_path: Path, mirror: str) -> None:
    """Everything on a host that has loopback alone: made by this test once more, in a namespace of its own."""
    if ALONE not in os.environ:
        _again_in_a_namespace("test_without_a_network", tmp_path / "alone")
        return
    cluster = new_cluster(UV_PYTHON=sys.executable, UV_HTTP_RETRIES="0")
    cluster.start_principal("--with-agent")
    script(cluster, "show.py")
    config = "script_path: show.py, packages: ['tinypkg<2']"
    # The reserve of an index that cannot be reached, a folder of wheels, a mirror that can be reached.
    ended, lines = run(cluster, config)
    assert str(ended["detail"]).startswith("exit code 2: uv could not get the packages. Without internet"), lines
    make_wheels(cluster.folder / "wheels")
    assert output(cluster, config, "env: {UV_FIND_LINKS: wheels, UV_OFFLINE: '1'}") == ["STDOUT 1.2.0"]
    env = f"env: {{UV_DEFAULT_INDEX: '{mirror}', UV_CACHE_DIR: {cluster.folder}/another-cache}}"
    assert output(cluster, config, env) == ["STDOUT 1.2.0"]


def _again_in_a_namespace(test: str, folder: Path) -> None:
    enter = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    try:
        tried = subprocess.run([*enter, "true"], capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"no host without a network can be made here: {error}")
    if tried.returncode:
        pytest.skip(f"no host without a network can be made here: {tried.stderr.strip()}")
    pytest_itself = [sys.executable, "-m", "pytest", "-q", f"--basetemp={folder}", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*enter, *pytest_itself, f"{__file__}::{test}"],
        cwd=ROOT,
        env={**os.environ, ALONE: "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 4,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
