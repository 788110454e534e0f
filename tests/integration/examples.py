"""What the examples make, compared with what is reckoned here in another way; for whoever has them run somewhere."""

import csv
import email
import email.policy
import filecmp
import hashlib
import json
import math
import re
import sqlite3
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from email.message import EmailMessage
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.integration.cluster import ROOT, Daemon

SAMPLES = ROOT / "workflows" / "examples"
DATA = SAMPLES / "data"
EXAMPLES = sorted(path.stem for path in SAMPLES.glob("*.yml"))

#: What is installed here of what the uv examples ask for, and what that needs.
WHEELS = ("jinja2", "markupsafe", "python-dateutil", "tzdata")


class Project(ABC):
    """A folder with the examples, an agent that runs them, and the runs by what they are called here.

    `receiver` is what examples.webhook calls, `source` the folder that examples.backup packs.
    """

    def __init__(self, folder: Path, receiver: Daemon, source: str) -> None:
        self.folder = folder
        self.receiver = receiver
        self.source = source
        #: Where the receiver listens.
        self.address = receiver.wait_for(r"listening at (\S+)")[1]

    @abstractmethod
    def start(self, label: str, example: str, **params: Any) -> None:
        """Trigger `examples.<example>`, and go on."""

    @abstractmethod
    def end(self, label: str) -> dict[str, Any]:
        """Wait for the end of a run: its summary, with the status of each task under "tasks"."""

    @abstractmethod
    def said(self, label: str) -> str:
        """All lines of a run that has ended."""

    def start_all(self) -> None:
        """Every example once as it is, but for what its host decides."""
        given: Mapping[str, Mapping[str, Any]] = {
            "backup": {"folder": self.source},
            "health": {"disk_limit": 100},
            "webhook": {"url": self.address},
        }
        for name in EXAMPLES:
            self.start(name, name, **given.get(name, {}))

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


Check = Callable[[Project], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """What an example makes when it is run as it is; the function is called as the example."""
    CHECKS[function.__name__] = function
    return function


def wheel_of(name: str, folder: Path) -> None:
    """Pack what is installed here under a name into a wheel, as uv cannot load it from elsewhere."""
    installed = distribution(name)
    stem = f"{re.sub('[-.]+', '_', installed.metadata['Name'])}-{installed.version}"
    *_, tag = re.findall(r"^Tag: (\S+)", installed.read_text("WHEEL") or "", re.MULTILINE)
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
        for file in installed.files or ():
            if "__pycache__" not in file.parts and ".." not in file.parts:
                wheel.write(str(file.locate()), str(file))


# Independent ways to the same numbers.


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def cents(row: Mapping[str, str]) -> int:
    return int(Decimal(row["unit_price"]) * int(row["quantity"]) * 100)


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(":memory:")) as database:
        # Read as a file: by name, SQLite would look for that of another root folder in its own.
        database.deserialize(path.read_bytes())
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

    project.start("report of the warehouse", "weekly_report", source="output/warehouse/warehouse.db", output="from-db")
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


# Backups.


@check
def backup(project: Project) -> None:
    project.completed("backup")
    source, output = project.folder / project.source, project.folder / "output/backup"
    [archive] = output.glob(f"{source.name}-*.tar.gz")
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


# Health.


@check
def health(project: Project) -> None:
    said = project.completed("health")
    assert "no address is named" in said
    assert project.end("health")["tasks"]["alert"] == "SKIPPED"
    assert list((project.folder / "output/health").iterdir()) == []


# Webhooks.


@check
def webhook(project: Project) -> None:
    project.completed("webhook")
    run_id = project.end("webhook")["workflow_instance_id"]
    body = json.loads(project.receiver.wait_for(rf'.*"run": "{run_id}".*')[0])
    expected = {"workflow": "examples.webhook", "run": run_id, "outcome": "succeeded", "text": "at most 500 MB"}
    assert body == expected
    assert project.end("webhook")["tasks"]["tell_failure"] == "SKIPPED"


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
