"""Every example runs, by real processes, and what it made is compared with what is reckoned here in another way.

All runs are triggered at once when the first test asks for one; a test waits for the run that it is about.
"""

import json
import re
import shlex
import shutil
import sqlite3
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cdktr import protocol as p
from cdktr.cli.tree import parser
from cdktr.parse import parse_workflow
from tests.integration.cluster import ROOT, Cluster, Daemon
from tests.integration.examples import (
    CHECKS,
    DATA,
    EXAMPLES,
    SAMPLES,
    WHEELS,
    Project,
    mail_in,
    news_in,
    text_of,
    wheel_of,
)

#: Nobody listens there, and only root could.
CLOSED = "127.0.0.1:1"

#: In place of the host's: what would go to the log of the system goes into a file.
LOGGER = '#!/bin/sh\necho "$@" >> {file}\n'

ORDERS_WRONG = (
    "order_id,day,customer,product,quantity,unit_price\n1,2026-01-05,Ada,Lamp,1,24.90\n2,2026-01-05,Ada,Rug,two,9\n"
)


class OfCluster(Project):
    """On a cluster, by the API."""

    def __init__(self, cluster: Cluster, receiver: Daemon) -> None:
        super().__init__(cluster.folder, receiver, "source")
        self.cluster = cluster
        self.runs: dict[str, str] = {}
        self._ended: dict[str, dict[str, Any]] = {}

    def start(self, label: str, example: str, **params: Any) -> None:
        answer = self.cluster.ask(p.Trigger(f"examples.{example}", params))
        self.runs[label] = answer["workflow_instance_id"]

    def end(self, label: str) -> dict[str, Any]:
        if label not in self._ended:
            run_id = self.runs[label]
            summary: dict[str, Any] = self.cluster.ask(p.AwaitRun(run_id, 60_000), 70)
            summary["tasks"] = {task["task_id"]: task["status"] for task in self.cluster.ask(p.ListTaskRuns(run_id))}
            self._ended[label] = summary
        return self._ended[label]

    def said(self, label: str) -> str:
        page = self.cluster.ask(p.ListLogs(workflow_instance_id=self.runs[label]))
        return "\n".join(line["payload"] for line in page["lines"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfCluster]:
    """All runs are under way when it is handed out."""
    folder = tmp_path_factory.mktemp("examples")
    wheels, tools = folder / "wheels", folder / "tools"
    for made in (wheels, tools):
        made.mkdir()
    for name in WHEELS:
        wheel_of(name, wheels)
    (tools / "logger").write_text(LOGGER.format(file=shlex.quote(str(folder / "system.log"))))
    (tools / "logger").chmod(0o755)
    cluster = Cluster(folder / "project")
    cluster.settings |= {
        "PATH": f"{tools}:{cluster.environment()['PATH']}",
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": str(wheels),
        "UV_CACHE_DIR": str(folder / "uv-cache"),
        "UV_PYTHON": sys.executable,
    }
    shutil.copytree(ROOT / "workflows", cluster.workflows, dirs_exist_ok=True)
    sites = folder / "sites"
    for name in ("whole", "part"):
        shutil.copytree(DATA / "news", sites / name)
    (sites / "part" / "tech_weekly.html").unlink()
    with cluster, ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(sites))) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        command = [sys.executable, str(SAMPLES / "scripts" / "receiver.py"), "--port", "0"]
        receiver = Daemon("receiver", command, cluster.folder, cluster.environment())
        cluster.daemons.append(receiver)
        cluster.start_principal("--no-scheduler")
        cluster.start_agent("--max-concurrent", "30")
        project = OfCluster(cluster, receiver)
        start_all(project, f"http://127.0.0.1:{pages.server_port}")
        yield project
        pages.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def start_all(project: OfCluster, site: str) -> None:
    """Every example once as it is, and what else the tests look at; each of these with an output of its own."""
    folder = project.folder
    source = folder / "source"
    (source / "deep" / "empty").mkdir(parents=True)
    (source / "deep" / "Ümlaut and blank.txt").write_text("x" * 10_000)
    (source / ".hidden").write_bytes(bytes(range(256)))
    (source / "link").symlink_to(".hidden")
    old = folder / "old"
    old.mkdir()
    for name in ("source-20260101T020000Z-a-1", "source-20260102T020000Z-b-2", "other-20260101T020000Z-c-3"):
        for suffix in (".tar.gz", ".tar.gz.sha256"):
            (old / (name + suffix)).write_text("old")
    (folder / "wrong.csv").write_text(ORDERS_WRONG)
    with closing(sqlite3.connect(folder / "whole.db")) as database:
        database.execute("CREATE TABLE t (a)")
        database.execute("INSERT INTO t VALUES (1)")
        database.commit()
    whole = (folder / "whole.db").read_bytes()
    (folder / "damaged.db").write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))

    project.start_all()
    project.start("pruned", "backup", folder="source", output="old", keep=2)
    project.start("no folder", "backup", folder="missing", output="lost")
    project.start("inside", "backup", folder="source", output="source/deep")
    project.start("wrong row", "etl", input="wrong.csv", output="wrong")
    project.start("all sources are away", "news", site=f"http://{CLOSED}", output="away")
    project.start("one source is away", "news", site=f"{site}/part", output="part")
    project.start("another site", "news", site=f"{site}/whole/", output="fetched")
    project.start("too strict", "model", min_accuracy=0.999, output="strict")
    ill = {"url": f"http://{CLOSED}/", "port": CLOSED, "database": "damaged.db", "disk_limit": -1}
    project.start("ill", "health", output="ill", **ill)
    well = {"url": site, "port": f"127.0.0.1:{project.cluster.port}", "database": "whole.db", "disk_limit": 100}
    project.start("well", "health", output="well", **well)
    project.start("too large", "webhook", url=project.address, limit_mb=-1)
    project.start("nobody there", "webhook", url=f"http://{CLOSED}/")


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_makes_what_it_says(project: OfCluster, example: str) -> None:
    assert example in CHECKS, f"workflows/examples/{example}.yml needs a check in examples.py"
    CHECKS[example](project)


# Orders.


def test_a_wrong_row_is_named_and_nothing_is_loaded(project: OfCluster) -> None:
    tasks = project.failed("wrong row", "wrong/extracted.csv, line 3: quantity is 'two', expected a whole number, 1 or")
    assert tasks == {"extract": "COMPLETED", "transform": "FAILED", "load": "SKIPPED"}
    assert not (project.folder / "wrong/shop.db").exists()


# Headlines.


def test_headlines_of_another_site(project: OfCluster) -> None:
    project.completed("another site")
    news_in(project.folder / "fetched")


def test_a_source_that_is_away(project: OfCluster) -> None:
    said = project.completed("one source is away")
    assert "tech_weekly could not be fetched this time" in said
    tasks = project.end("one source is away")["tasks"]
    assert {name for name, status in tasks.items() if status != "COMPLETED"} == {"scrape_tech_weekly"}
    rated = json.loads((project.folder / "part/rated.json").read_text())
    assert {each["source"] for each in rated} == {"harbour_post", "morning_times"}
    assert text_of(mail_in(project.folder / "part/outbox")).startswith(f"{len(rated)} headlines\n")


def test_sources_that_are_all_away(project: OfCluster) -> None:
    tasks = project.failed("all sources are away", "cannot be fetched: ", "none of the sources harbour_post, ")
    assert tasks["deduplicate"] == "FAILED"
    assert {status for name, status in tasks.items() if name.startswith("scrape_")} == {"FAILED"}
    assert tasks["send_email"] == "SKIPPED"


# The model.


def test_a_model_that_is_not_good_enough_is_not_deployed(project: OfCluster) -> None:
    project.completed("model")
    tasks = project.failed("too strict", "has to be 0.999 or more; nothing is deployed")
    assert (tasks["evaluate"], tasks["deploy"]) == ("COMPLETED", "FAILED")
    assert not (project.folder / "strict/production").exists()
    one, other = (project.folder / name / "model.json" for name in ("strict", "output/model"))
    assert one.read_bytes() == other.read_bytes()  # the same seed makes the same model


# Backups.


def test_old_backups_of_the_same_folder_go(project: OfCluster) -> None:
    said = project.completed("pruned")
    assert "removed source-20260101T020000Z-a-1.tar.gz\n" in said
    left = sorted(path.name for path in (project.folder / "old").glob("*.gz"))
    assert left[:2] == ["other-20260101T020000Z-c-3.tar.gz", "source-20260102T020000Z-b-2.tar.gz"]
    assert len(left) == 3
    assert len(list((project.folder / "old").glob("*.sha256"))) == 3


def test_backups_that_cannot_be(project: OfCluster) -> None:
    tasks = project.failed("no folder", "there is no folder missing here, in ")
    assert tasks["pack"] == "SKIPPED"
    project.failed("inside", "source/deep is inside of source")
    assert not list((project.folder / "source/deep").glob("*.gz"))


# Health.


@pytest.mark.skipif(not (shutil.which("curl") or shutil.which("wget")), reason="neither curl nor wget is on this host")
def test_checks_of_what_is_named(project: OfCluster) -> None:
    said = project.completed("well")
    for sentence in ("is well", "whole.db is ", "somebody listens at 127.0.0.1:"):
        assert sentence in said
    assert not (project.folder / "well/alerts.log").exists()


def test_an_alert_when_checks_fail(project: OfCluster) -> None:
    tasks = project.failed("ill")
    assert tasks.pop("alert") == "COMPLETED"
    failed = {name for name, status in tasks.items() if status == "FAILED"}
    assert failed >= {"check_disk", "check_url", "check_port"}
    assert ("check_database" in failed) == bool(shutil.which("sqlite3"))
    alerts = (project.folder / "ill/alerts.log").read_text().splitlines()
    assert len(alerts) == len(failed)
    for sentence in (" % is the limit", f"nobody listens at {CLOSED}", f"http://{CLOSED}/ "):
        assert len([line for line in alerts if sentence in line]) == 1, alerts
    assert all(re.match(rf"\d{{4}}-\S+Z {project.runs['ill']} ", line) for line in alerts)
    assert [path.name for path in (project.folder / "ill").iterdir()] == ["alerts.log"]
    system = (project.folder.parent / "system.log").read_text().splitlines()
    assert system == [f"-t cdktr -p user.err {line}" for line in alerts]


# Webhooks.


def test_a_failure_is_told_to_the_webhook(project: OfCluster) -> None:
    tasks = project.failed("too large")
    assert tasks == {"work": "FAILED", "tell_success": "SKIPPED", "tell_failure": "COMPLETED"}
    project.receiver.wait_for(rf'"run": "{project.runs["too large"]}", "outcome": "failed"')


def test_a_webhook_that_nobody_hears(project: OfCluster) -> None:
    project.failed("nobody there", f"http://{CLOSED}/ cannot be called: ", "is it the right --param url")


# What is written about them.


def test_the_commands_of_the_page_work(project: OfCluster) -> None:
    page = (SAMPLES / "README.md").read_text()
    assert sorted(re.findall(r"^\| \[(\w+)\.yml\]\(\1\.yml\) \|", page, re.MULTILINE)) == EXAMPLES
    project.completed("warehouse")
    [block] = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)

    def run(line: str) -> None:
        full = ["--param", "disk_limit=100"] if "examples.health" in line else []
        done = project.cluster.cli(*line.split()[1:], *full)
        assert done.returncode == 0, (line, done.stdout, done.stderr)

    with ThreadPoolExecutor() as pool:
        assert len(list(pool.map(run, block.splitlines()))) >= 8


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_command_in_its_head_is_one(example: str) -> None:
    text = (SAMPLES / f"{example}.yml").read_text()
    params = parse_workflow(text, f"examples.{example}", example).params
    head = " ".join(line.lstrip("# ") for line in text.partition("\nname:")[0].splitlines())
    shown = re.findall(r"`(cdktr task run [^`]*)`", head)
    assert shown
    for command in shown:
        arguments = parser(["task"]).parse_args(command.split()[1:])
        assert arguments.workflow == f"examples.{example}"
    assert set(re.findall(r"--param (\w+)=", text)) <= params.keys()
