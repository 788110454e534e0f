"""What README and docs show is run, as it stands there."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdktr.messages import Structured
from cdktr.parse import parse_workflow
from cdktr.protocol import VERBS
from tests.integration.cluster import PATIENCE_S, ROOT, Cluster, Daemon
from tests.integration.conftest import NewCluster

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[str]:
    for block in blocks(page, "sh"):
        yield from block.splitlines()


def free_ports() -> dict[str, str]:
    names = ("CDKTR_PRINCIPAL_PORT", "CDKTR_LOGS_LISTENING_PORT", "CDKTR_LOGS_PUBLISHING_PORT")
    found = {}
    for name in names:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            found[name] = str(free.getsockname()[1])
    return found


def test_the_first_lines_are_the_two_commands() -> None:
    first = list(commands(ROOT / "README.md"))[:2]
    assert [line.split("#")[0].strip() for line in first] == ["make run", "make test"]
    for line in first:
        subprocess.run(["make", "--dry-run", line.split()[1]], cwd=ROOT, check=True, capture_output=True)


def test_the_quick_start_works_as_it_stands(tmp_path: Path) -> None:
    """Line by line in one folder; what starts a daemon is left running until its successor, as one would."""
    folder = tmp_path
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CDKTR_")}
    env = {**clean, "HOME": str(tmp_path), "CDKTR_PRINCIPAL_HOST": "127.0.0.1", **free_ports()}
    daemons: list[Daemon] = []
    ran = []
    try:
        for line in commands(ROOT / "README.md"):
            words = line.split("#")[0].split()
            if words[0] in ("make", "alias"):
                continue
            if words[0] == "cd":
                folder = folder / words[1]
                continue
            argv = [sys.executable, str(ROOT / "cdktr.py"), *words[1:]] if words[0] == "cdktr" else words
            if words[1] == "start":
                if "principal" in words:
                    for daemon in reversed(daemons):
                        assert daemon.stop() == 0
                    daemons.clear()
                daemons.append(Daemon(line, argv, folder, env))
                daemons[-1].wait_for(r"Agent \S+ ready" if "agent" in line else r"Principal server started")
                continue
            done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            ran.append(line)
    finally:
        for daemon in reversed(daemons):
            daemon.stop()
    assert len(ran) >= 12


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_workflow_shown_is_one(page: Path) -> None:
    for text in blocks(page, "yaml"):
        parse_workflow(text, "shown", str(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_python_shown_runs(cluster: Cluster) -> None:
    cluster.write("hello", (ROOT / "workflows" / "hello.yml").read_text())
    [program] = blocks(ROOT / "docs" / "api.md", "python")
    env = {**cluster.environment(), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", program.replace("5561", str(cluster.port))]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.stdout.startswith("True None {'workflow_instance_id': "), done.stderr


def test_the_api_page_names_every_added_verb() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    assert [verb for verb in VERBS if f"`{verb}`" not in text] == []
    shown = set(re.findall(r"^\| `([A-Z]+)` \|", text, re.MULTILINE))
    assert all(issubclass(VERBS[verb], Structured) for verb in shown - {"ROUTER", "PULL", "PUB"} if verb in VERBS)


def test_the_workflow_page_names_every_key() -> None:
    """The page and the parser are held together by a file that uses every key of the page's tables."""
    text = (ROOT / "docs" / "workflows.md").read_text()
    workflow, task = (section.split("\n## ")[0] for section in re.split(r"\n## (?:The workflow|A task)\n", text)[1:])
    keys = {name: re.findall(r"^\| `(\w+)`", section, re.MULTILINE) for name, section in (("w", workflow), ("t", task))}
    values = {
        "name": "X",
        "description": "x",
        "cron": '"@daily"',
        "timezone": "Europe/Berlin",
        "catch_up": "latest",
        "start_time": "2026-01-01T00:00:00",
        "params": "{a: 1}",
        "env": "{B: c}",
        "timeout": "5m",
        "config": "!Subprocess {cmd: x}",
        "depends": "[]",
        "run_if": "all_done",
        "allow_failure": "true",
        "working_directory": "/",
        "retries": "1",
        "retry_delay": "1s",
        "retry_backoff": "2",
    }
    tasks = "tasks:\n  t:\n" + "".join(f"    {key}: {values[key]}\n" for key in keys["t"])
    head = "".join(f"{key}: {values[key]}\n" for key in keys["w"] if key != "tasks")
    made = parse_workflow(head + tasks, "all", "all.yml")
    assert made.timeout_s == made.tasks["t"].timeout_s == 300


def test_the_sample_workflows_run(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster = new_cluster(TMPDIR=str(tmp_path))
    shutil.copytree(ROOT / "workflows", cluster.workflows, dirs_exist_ok=True)
    cluster.start_principal("--with-agent", "--no-scheduler")
    for workflow_id, said in (("hello", "Hello from cdktr"), ("etl.daily", "ada,42")):
        done = cluster.cli("task", "run", workflow_id, "--follow")
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    assert not list(tmp_path.glob("cdktr-etl-*"))
