"""Every example runs, by real processes, and what it made is compared with what is reckoned here in another way.

All runs are triggered at once when the first test asks for one; a test waits for the run that it is about.
"""

import csv
import email
import email.policy
import filecmp
import hashlib
import json
import math
import re
import shlex
import shutil
import sqlite3
import sys
import tarfile
import threading
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from email.message import EmailMessage
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from cdktr import protocol as p
from cdktr.cli.tree import parser
from cdktr.parse import parse_workflow
from tests.integration.cluster import ROOT, Cluster, Daemon

SAMPLES = ROOT / "workflows" / "examples"
DATA = SAMPLES / "data"
EXAMPLES = sorted(path.stem for path in SAMPLES.glob("*.yml"))

#: Nobody listens there, and only root could.
CLOSED = "127.0.0.1:1"

#: What is installed here of what the uv examples ask for, and what that needs.
WHEELS = ("jinja2", "markupsafe", "python-dateutil", "tzdata")

#: In place of the host's: what would go to the log of the system goes into a file.
LOGGER = '#!/bin/sh\necho "$@" >> {file}\n'

ORDERS_WRONG = (
    "order_id,day,customer,product,quantity,unit_price\n1,2026-01-05,Ada,Lamp,1,24.90\n2,2026-01-05,Ada,Rug,two,9\n"
)


class Project:
    """A folder with a copy of the workflows, an agent that runs them, and the runs by what they are called here."""

    def __init__(self, cluster: Cluster, receiver: Daemon, address: str) -> None:
        self.cluster = cluster
        self.folder = cluster.folder
        self.receiver = receiver
        #: Where the receiver listens.
        self.address = address
        self.runs: dict[str, str] = {}
        self._ended: dict[str, dict[str, Any]] = {}

    def start(self, label: str, example: str, **params: Any) -> None:
        """Trigger `examples.<example>`, and go on."""
        answer = self.cluster.ask(p.Trigger(f"examples.{example}", params))
        self.runs[label] = answer["workflow_instance_id"]

    def end(self, label: str) -> dict[str, Any]:
        """Wait for the end of a run: its summary, with the status of each task under "tasks"."""
        if label not in self._ended:
            run_id = self.runs[label]
            summary: dict[str, Any] = self.cluster.ask(p.AwaitRun(run_id, 60_000), 70)
            summary["tasks"] = {task["task_id"]: task["status"] for task in self.cluster.ask(p.ListTaskRuns(run_id))}
            self._ended[label] = summary
        return self._ended[label]

    def said(self, label: str) -> str:
        """All lines of a run."""
        page = self.cluster.ask(p.ListLogs(workflow_instance_id=self.runs[label]))
        return "\n".join(line["payload"] for line in page["lines"])

    def completed(self, label: str) -> str:
        """Wait for a run that has to succeed; what it said."""
        summary = self.end(label)
        said = self.said(label)
        assert summary["status"] == "COMPLETED", (summary, said)
        return said

    def failed(self, label: str, *sentences: str) -> dict[str, str]:
        """Wait for a run that has to fail, and to say this and show no traceback; the status of each task."""
        summary = self.end(label)
        said = self.said(label)
        assert summary["status"] == "FAILED", (summary, said)
        assert [sentence for sentence in sentences if sentence not in said] == [], said
        assert "Traceback" not in said
        tasks: dict[str, str] = summary["tasks"]
        return tasks


def wheel_of(name: str, folder: Path) -> None:
    """Pack what is installed here under a name into a wheel, as uv cannot load it from elsewhere."""
    installed = distribution(name)
    stem = f"{re.sub('[-.]+', '_', installed.metadata['Name'])}-{installed.version}"
    *_, tag = re.findall(r"^Tag: (\S+)", installed.read_text("WHEEL") or "", re.MULTILINE)
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
        for file in installed.files or ():
            if "__pycache__" not in file.parts and ".." not in file.parts:
                wheel.write(str(file.locate()), str(file))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
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
        address = receiver.wait_for(r"listening at (\S+)")[1]
        cluster.start_principal("--no-scheduler")
        cluster.start_agent("--max-concurrent", "30")
        project = Project(cluster, receiver, address)
        start_all(project, f"http://127.0.0.1:{pages.server_port}")
        yield project
        pages.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def start_all(project: Project, site: str) -> None:
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

    given: Mapping[str, Mapping[str, Any]] = {
        "backup": {"folder": "source"},
        "health": {"disk_limit": 100},
        "webhook": {"url": project.address},
    }
    for name in EXAMPLES:
        project.start(name, name, **given.get(name, {}))
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


Check = Callable[[Project], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """What an example makes when it is run as it is; the function is called as the example."""
    CHECKS[function.__name__] = function
    return function


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_makes_what_it_says(project: Project, example: str) -> None:
    assert example in CHECKS, f"workflows/examples/{example}.yml needs a check in this file"
    CHECKS[example](project)


# Independent ways to the same numbers.


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def cents(row: Mapping[str, str]) -> int:
    return int(Decimal(row["unit_price"]) * int(row["quantity"]) * 100)


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchall()


def mail_in(outbox: Path) -> EmailMessage:
    [path] = outbox.glob("*.eml")
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


# Orders.


def totals() -> list[tuple[str, str, int, int]]:
    count, total = defaultdict[tuple[str, str], int](int), defaultdict[tuple[str, str], int](int)
    for row in csv_rows(DATA / "orders.csv"):
        count[row["day"], row["customer"]] += 1
        total[row["day"], row["customer"]] += cents(row)
    return sorted((*key, count[key], total[key]) for key in count)


@check
def etl(project: Project) -> None:
    shop = project.folder / "output/etl/shop.db"
    project.completed("etl")
    for again in (False, True):
        if again:
            project.start("etl again", "etl")
            project.completed("etl again")
        assert query(shop, "SELECT * FROM totals ORDER BY day, customer") == totals()
        orders = sorted((int(row["order_id"]), cents(row)) for row in csv_rows(DATA / "orders.csv"))
        assert query(shop, "SELECT order_id, cents FROM orders ORDER BY order_id, cents") == orders


def test_a_wrong_row_is_named_and_nothing_is_loaded(project: Project) -> None:
    tasks = project.failed("wrong row", "wrong/extracted.csv, line 3: quantity is 'two', expected a whole number, 1 or")
    assert tasks == {"extract": "COMPLETED", "transform": "FAILED", "load": "SKIPPED"}
    assert not (project.folder / "wrong/shop.db").exists()


# Sales and customers.


@check
def warehouse(project: Project) -> None:
    project.completed("warehouse")
    project.start("warehouse again", "warehouse")
    project.completed("warehouse again")
    output = project.folder / "output/warehouse"
    customers = {each["customer_id"]: each for each in json.loads((DATA / "customers.json").read_text())}
    joined = set()
    by_country: dict[str, int] = defaultdict(int)
    for row in csv_rows(DATA / "sales.csv"):
        customer = customers[row["customer_id"]]
        joined.add((int(row["sale_id"]), customer["name"], customer["country"], cents(row)))
        by_country[customer["country"]] += cents(row)
    rows = query(output / "warehouse.db", "SELECT sale_id, customer, country, cents FROM sales")
    assert (len(rows), set(rows)) == (len(joined), joined)
    lines = [re.split(r"\s{2,}", line) for line in (output / "by_country.txt").read_text().splitlines()[1:]]
    assert {line[0]: line[3] for line in lines} == {name: f"{total / 100:,.2f}" for name, total in by_country.items()}

    project.start("report of the warehouse", "weekly_report", source=str(output / "warehouse.db"), output="from-db")
    project.completed("report of the warehouse")
    weekly_report_in(project.folder / "from-db")


# The week.


@check
def weekly_report(project: Project) -> None:
    project.completed("weekly_report")
    weekly_report_in(project.folder / "output/weekly_report")


def weekly_report_in(output: Path) -> None:
    rows = csv_rows(DATA / "sales.csv")
    last = date.fromisoformat(max(row["day"] for row in rows))
    days = [str(last - timedelta(days=back)) for back in range(6, -1, -1)]
    week = [row for row in rows if row["day"] in days]
    by_day = {day: sum(cents(row) for row in week if row["day"] == day) for day in days}
    by_product: dict[str, int] = defaultdict(int)
    for row in week:
        by_product[row["product"]] += cents(row)
    for name, amounts in (("days", by_day.values()), ("products", sorted(by_product.values(), reverse=True))):
        svg = ElementTree.parse(output / f"{name}.svg").getroot()
        space = "{http://www.w3.org/2000/svg}"
        bars = [float(bar.attrib["width"]) for bar in svg.iter(f"{space}rect")]
        assert bars == pytest.approx([max(bars) * amount / max(amounts) for amount in amounts], abs=0.1)
        texts = {text.text for text in svg.iter(f"{space}text")}
        assert {f"{amount / 100:,.2f}" for amount in amounts} <= texts
    mail = mail_in(output / "outbox")
    assert mail["To"] == "team@example.com"
    assert f"{sum(by_day.values()) / 100:,.2f}" in text_of(mail)
    [report] = mail.iter_attachments()
    assert report.get_filename() == "report.html"
    html = report.get_content()
    assert html.encode() == (output / "report.html").read_bytes()
    assert html.count("<svg") == 2


# Headlines.

#: By hand: those of the sample pages, each once, the best first.
HEADLINES = [
    "Researchers find cure for rare fever – a great success",
    "Port wins award for its quiet cranes",
    "New bridge opens, and commuters celebrate",
    "Chip plant opens ahead of plan",
    "Central bank leaves rates unchanged",
    "Airline strike: travellers lose patience",
    "Storm damage closes the ferry terminal",
    "Data leak: bank admits failure",
]


@check
def news(project: Project) -> None:
    assert "12 headlines, 8 of them different" in project.completed("news")
    news_in(project.folder / "output/news")


def news_in(output: Path) -> None:
    rated = json.loads((output / "rated.json").read_text())
    assert sorted(each["title"] for each in rated) == sorted(HEADLINES)
    digest = (output / "digest.txt").read_text()
    assert re.findall(r"^[+-]\d+  (.*)", digest, re.MULTILINE) == HEADLINES
    mail = mail_in(output / "outbox")
    assert (mail["To"], mail["Subject"]) == ("reader@example.com", "News digest")
    assert text_of(mail).split() == digest.split()


def test_headlines_of_another_site(project: Project) -> None:
    project.completed("another site")
    news_in(project.folder / "fetched")


def test_a_source_that_is_away(project: Project) -> None:
    said = project.completed("one source is away")
    assert "tech_weekly could not be fetched this time" in said
    tasks = project.end("one source is away")["tasks"]
    assert {name for name, status in tasks.items() if status != "COMPLETED"} == {"scrape_tech_weekly"}
    rated = json.loads((project.folder / "part/rated.json").read_text())
    assert {each["source"] for each in rated} == {"harbour_post", "morning_times"}
    assert text_of(mail_in(project.folder / "part/outbox")).startswith(f"{len(rated)} headlines\n")


def test_sources_that_are_all_away(project: Project) -> None:
    tasks = project.failed("all sources are away", "cannot be fetched: ", "none of the sources harbour_post, ")
    assert tasks["deduplicate"] == "FAILED"
    assert {status for name, status in tasks.items() if name.startswith("scrape_")} == {"FAILED"}
    assert tasks["send_email"] == "SKIPPED"


# The model.


def right(model: Mapping[str, Any], samples: list[dict[str, str]]) -> float:
    """How often the model is right, reckoned by the sign of the score alone."""
    count = 0
    for sample in samples:
        score = model["weights"][-1]
        for name, weight in zip(model["features"], model["weights"][:-1], strict=True):
            score += weight * float(sample[name])
        count += (score >= 0) == (sample["left"] == "1")
    return count / len(samples)


@check
def model(project: Project) -> None:
    project.completed("model")
    output = project.folder / "output/model"
    found = json.loads((output / "production/model.json").read_text())
    held_out = csv_rows(output / "test.csv")
    accuracy = right(found, held_out)
    told = json.loads((output / "evaluation.json").read_text())
    assert told["accuracy"] == pytest.approx(accuracy)
    assert accuracy >= 0.8 > told["guess"]
    learned = csv_rows(output / "train.csv")
    newest = date.fromisoformat(max(row["day"] for row in csv_rows(DATA / "churn.csv")))
    recent = [r for r in csv_rows(DATA / "churn.csv") if date.fromisoformat(r["day"]) > newest - timedelta(days=45)]
    assert len(learned) + len(held_out) == len(recent)
    assert sum(float(row["visits"]) for row in learned) == pytest.approx(0, abs=1e-9)
    assert math.isclose(sum(float(row["calls"]) ** 2 for row in learned), len(learned))


def test_a_model_that_is_not_good_enough_is_not_deployed(project: Project) -> None:
    project.completed("model")
    tasks = project.failed("too strict", "has to be 0.999 or more; nothing is deployed")
    assert (tasks["evaluate"], tasks["deploy"]) == ("COMPLETED", "FAILED")
    assert not (project.folder / "strict/production").exists()
    one, other = (project.folder / name / "model.json" for name in ("strict", "output/model"))
    assert one.read_bytes() == other.read_bytes()  # the same seed makes the same model


# Backups.


@check
def backup(project: Project) -> None:
    project.completed("backup")
    source, output = project.folder / "source", project.folder / "output/backup"
    [archive] = output.glob("source-*.tar.gz")
    digest, name = (output / f"{archive.name}.sha256").read_text().split()
    assert (digest, name) == (hashlib.sha256(archive.read_bytes()).hexdigest(), archive.name)
    assert [path.name for path in output.iterdir() if path.name.startswith(".")] == []
    unpacked = project.folder / "unpacked"
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
    names = sorted(str(path.relative_to(source)) for path in source.rglob("*"))
    assert sorted(str(path.relative_to(unpacked)) for path in unpacked.rglob("*")) == names
    files = [name for name in names if (source / name).is_file()]
    assert filecmp.cmpfiles(source, unpacked, files, shallow=False) == (files, [], [])


def test_old_backups_of_the_same_folder_go(project: Project) -> None:
    said = project.completed("pruned")
    assert "removed source-20260101T020000Z-a-1.tar.gz\n" in said
    left = sorted(path.name for path in (project.folder / "old").glob("*.gz"))
    assert left[:2] == ["other-20260101T020000Z-c-3.tar.gz", "source-20260102T020000Z-b-2.tar.gz"]
    assert len(left) == 3
    assert len(list((project.folder / "old").glob("*.sha256"))) == 3


def test_backups_that_cannot_be(project: Project) -> None:
    tasks = project.failed("no folder", "there is no folder missing here, in ")
    assert tasks["pack"] == "SKIPPED"
    project.failed("inside", "source/deep is inside of source")
    assert not list((project.folder / "source/deep").glob("*.gz"))


# Health.


@check
def health(project: Project) -> None:
    said = project.completed("health")
    assert "no address is named" in said
    assert project.end("health")["tasks"]["alert"] == "SKIPPED"
    assert list((project.folder / "output/health").iterdir()) == []


@pytest.mark.skipif(not (shutil.which("curl") or shutil.which("wget")), reason="neither curl nor wget is on this host")
def test_checks_of_what_is_named(project: Project) -> None:
    said = project.completed("well")
    for sentence in ("is well", "whole.db is ", "somebody listens at 127.0.0.1:"):
        assert sentence in said
    assert not (project.folder / "well/alerts.log").exists()


def test_an_alert_when_checks_fail(project: Project) -> None:
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


@check
def webhook(project: Project) -> None:
    project.completed("webhook")
    run_id = project.runs["webhook"]
    body = json.loads(project.receiver.wait_for(rf'.*"run": "{run_id}".*')[0])
    expected = {"workflow": "examples.webhook", "run": run_id, "outcome": "succeeded", "text": "at most 500 MB"}
    assert body == expected
    assert project.end("webhook")["tasks"]["tell_failure"] == "SKIPPED"


def test_a_failure_is_told_to_the_webhook(project: Project) -> None:
    tasks = project.failed("too large")
    assert tasks == {"work": "FAILED", "tell_success": "SKIPPED", "tell_failure": "COMPLETED"}
    project.receiver.wait_for(rf'"run": "{project.runs["too large"]}", "outcome": "failed"')


def test_a_webhook_that_nobody_hears(project: Project) -> None:
    project.failed("nobody there", f"http://{CLOSED}/ cannot be called: ", "is it the right --param url")


# uv.


@check
def uv_packages(project: Project) -> None:
    project.completed("uv_packages")
    html = (project.folder / "output/uv_packages/orders.html").read_text()
    by_customer: dict[str, int] = defaultdict(int)
    for row in csv_rows(DATA / "orders.csv"):
        by_customer[row["customer"]] += cents(row)
    shown = dict(re.findall(r"<tr><td>(.*?)<td>(.*)", html))
    assert shown == {name: f"{total / 100:,.2f}" for name, total in by_customer.items()}


@check
def uv_script(project: Project) -> None:
    project.completed("uv_script")
    due = csv_rows(project.folder / "output/uv_script/due.csv")
    assert [row["due"] for row in due] == ["2026-01-31", "2026-02-15", "2026-02-28", "2026-02-28", "2026-04-28"]


# What is written about them.


def test_the_commands_of_the_page_work(project: Project) -> None:
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
