"""A principal with some workflows and runs, as the terminal UI would have been told of it: for its unit tests.

`told(state)` hands all of it to a state, `pressed(state, keys)` presses keys.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from cdktr.protocol import VERBS
from cdktr.tui.state import events as e
from cdktr.tui.state import wants as w
from cdktr.tui.state.commands import Command
from cdktr.tui.state.facts import (
    Abilities,
    Agent,
    Folder,
    Latest,
    LogLine,
    OwnLine,
    Problem,
    Run,
    RunsPage,
    RunTasks,
    TaskRun,
)
from cdktr.tui.state.logquery import Place
from cdktr.tui.state.model import State
from cdktr.tui.state.update import update
from cdktr.workflow import Outline, Retry, Subprocess, Task, UvPython, Workflow

#: 2026-01-31 14:03:00 UTC.
NOW_S = datetime(2026, 1, 31, 14, 3, tzinfo=UTC).timestamp()
NOW_MS = round(NOW_S * 1000)

ALL = Abilities(
    "0.1.0",
    frozenset(VERBS),
    {"LSLOGS": frozenset({"before", "contains"}), "LSRUNS": frozenset({"contains", "oldest", "counted"})},
)


def task(name: str, *depends: str, **more: object) -> Task:
    """A task that says its name."""
    return replace(Task(name, Subprocess("echo", (name,)), depends=depends), **more)  # type: ignore[arg-type]


ETL = Workflow(
    "etl.daily",
    "Daily ETL",
    {
        "extract_orders": task("Extract orders"),
        "extract_users": task("Extract users", retry=Retry(2, 5.0)),
        "clean": task("Clean", "extract_orders", "extract_users"),
        "check": task("Check", "clean"),
        "report": Task("Report", UvPython("report.py", ("pandas>=2",)), depends=("clean",)),
        "load": task("Load", "check", "report"),
    },
    path="workflows/etl/daily.yml",
    description="Orders and users of yesterday, into the warehouse",
    cron="0 0 2 * * *",
    params={"day": "yesterday", "limit": 100, "target": None},
)
WORKFLOWS = (
    Workflow("backup", "Nightly backup", {"dump": task("Dump"), "copy": task("Copy", "dump")}, cron="0 30 1 * * *"),
    ETL,
    Workflow("health", "Health check of the shop", {"ping": task("Ping")}, cron="0 */5 * * * *", path="w/health.yml"),
    Workflow("hello", "Hello", {"greet": task("Greet"), "tell_time": task("Tell the time", "greet")}),
    Workflow(
        *("reports.weekly", "週報 Weekly report", {"report": task("Report")}),
        cron="0 0 7 * * MON",
        requires=("gpu", "zone=eu"),
    ),
)
PROBLEMS = (
    Problem("w/health.yml", "unknown key 'dependencies'", 7, 5, "did you mean 'depends'?"),
    Problem("workflows/broken.yml", "task 'b' depends on the unknown 'a'", 4, 14),
)

MINUTE = 60_000


def run(number: int, status: str, ago_min: float, took_s: float | None, **more: object) -> Run:
    """A run of `etl.daily`."""
    started = NOW_MS - round(ago_min * MINUTE)
    ended = None if took_s is None else started + round(took_s * 1000)
    made = Run(
        f"jumping-monkey-{number}", "etl.daily", status, started - 40, started, ended, "web1-4f2a", None, "schedule"
    )
    return replace(made, **more)  # type: ignore[arg-type]


RUNS = (
    run(93, "RUNNING", 0.7, None, trigger="manual"),
    run(92, "FAILED", 721, 75.2, detail="failed: load"),
    *(run(91 - n, "CRASHED" if n == 5 else "COMPLETED", 2160 + 1440 * n, 60 + 7 * (n % 5)) for n in range(40)),
)
TASKS = (
    TaskRun("extract_orders", "calm-owl-1", "COMPLETED", NOW_MS - 42_000, NOW_MS - 30_000, 1, 0),
    TaskRun("extract_users", "calm-owl-2", "COMPLETED", NOW_MS - 42_000, NOW_MS - 21_500, 2, 0),
    TaskRun("clean", "calm-owl-3", "COMPLETED", NOW_MS - 21_400, NOW_MS - 11_000, 1, 0),
    TaskRun("check", "calm-owl-4", "FAILED", NOW_MS - 11_000, NOW_MS - 7_000, 1, 3, "exit code 3"),
    TaskRun("report", "calm-owl-5", "RUNNING", NOW_MS - 11_000, None, 1),
)
LATEST = {
    "etl.daily": Latest("jumping-monkey-93", "RUNNING", NOW_MS - 42_000),
    "backup": Latest("brave-heron-12", "COMPLETED", NOW_MS - 12 * 60 * MINUTE),
    "health": Latest("keen-otter-311", "FAILED", NOW_MS - 3 * MINUTE),
}
AGENTS = (
    Agent("web1-4f2a", NOW_MS - 1_200, 1, 5, "0.1.0", labels=("gpu", "zone=eu")),
    Agent("web2-91cc", NOW_MS - 48_000, 0, 5, "0.1.0", 3 * 2**20),
    Agent("old-7", NOW_MS - 4_000, 0, None, None),
)
FACTS = {
    "version": "0.1.0",
    "pid": 4711,
    "uptime_s": 93_784.0,
    "workflows": 5,
    "problems": 2,
    "queued": 0,
    "running": 1,
    "agents": 3,
    "agents_left": [],
    "free_slots": 9,
    "unstored_rows": 0,
    "unstored_bytes": 0,
    "unstored_bytes_limit": 2**27,
    "dropped_lines": 0,
    "database_trouble": None,
    "scheduler": True,
    "host": "127.0.0.1",
    "port": 5561,
    "workflow_dir": "/srv/cdktr/workflows",
    "data_directory": "/home/ops/.cdktr",
    "db_path": "/home/ops/.cdktr/app.db",
    "stopping": False,
    "paused": {"reports.weekly": NOW_MS - 26 * 60 * MINUTE},
}
OWN_LOG = tuple(
    OwnLine(n, NOW_MS - (40 - n) * 11_000, "ERROR" if n == 17 else "INFO", text)
    for n, text in enumerate(
        [
            "Principal server started on 127.0.0.1:5561",
            "Workflows added: backup, etl.daily, health, hello, reports.weekly",
            *(f"Run jumping-monkey-{n} of etl.daily triggered by its schedule" for n in range(38)),
        ]
    )
)


def line(number: int, text: str = "", level: str = "INFO") -> LogLine:
    """A log line of the running run."""
    payload = f"{'STDERR' if level == 'ERROR' else 'STDOUT'} {text or f'row {number} of 1,000 is loaded'}"
    names = ("etl.daily", "Daily ETL", "jumping-monkey-93", "Load" if number % 3 else "Extract orders", "calm-owl-6")
    return LogLine(number, NOW_MS - 60_000 + number * 37, level, *names, payload)


def lines(first: int, beyond: int) -> tuple[LogLine, ...]:
    """Log lines, some of which are special."""
    special = {
        3: ("\x1b[31mred\x1b[0m and a bell \x07, not obeyed", "INFO"),
        5: ("Traceback (most recent call last):", "ERROR"),
        8: ("日本語のログ行 – wide, e\u0301 combining, \u200bzero", "INFO"),
        9: ("a long line " * 30, "INFO"),
    }
    return tuple(line(n, *special.get(n, ("", "INFO"))) for n in range(first, beyond))


def new(width: int = 80, height: int = 24) -> State:
    """A state that nothing was told."""
    return replace(State(address="127.0.0.1:5561", version="0.1.0", now=NOW_S), width=width, height=height)


def page_of(runs: Sequence[Run], want: w.TheRuns, counted: bool = True) -> RunsPage:
    """The part of all these runs, newest first, that is wanted of them."""
    offset, total = want.part.offset, len(runs)
    newer = max(total - offset - want.limit, 0) if want.part.oldest else offset
    beyond = max(total - offset, 0) if want.part.oldest else offset + want.limit
    found = tuple(runs[newer:beyond])
    return RunsPage(found, newer, total if counted else None)


def answer(want: w.Want) -> object:
    """What this principal tells of something."""
    match want:
        case w.Facts():
            return FACTS
        case w.TheFolder():
            return Folder(tuple(map(Outline.of, WORKFLOWS)), PROBLEMS)
        case w.TheDefinition(workflow_id):
            return next((each for each in WORKFLOWS if each.id == workflow_id), None)
        case w.TheLatest():
            return LATEST
        case w.TheAgents():
            return AGENTS
        case w.TheRuns(workflow, status, text):
            found = [each for each in RUNS if workflow in ("", each.workflow_id) and status in ("", each.status)]
            return page_of([each for each in found if text in each.id or text in each.workflow_id], want)
        case w.Recent("etl.daily"):
            return RUNS[: w.RECENT]
        case w.TheTasks(run_id):
            found = [each for each in RUNS if each.id == run_id]
            return RunTasks(found[0] if found else None, TASKS if run_id == RUNS[0].id else ())
        case w.OwnLog():
            return OWN_LOG
    return ()


def told(state: State) -> State:
    """The state with everything that it wants."""
    state = update(state, e.Up(ALL))[0]
    for _ in range(3):
        for want in w.wants(state):
            state = update(state, e.Arrived(want, answer(want)))[0]
    return state


def pressed(state: State, keys: Iterable[str]) -> tuple[State, list[Command]]:
    """The state after some keys, told what it wants after each; and all commands."""
    commands: list[Command] = []
    for key in keys:
        state, more = update(state, e.Key(key))
        commands += more
        state = told(state)
    return state, commands


def with_logs(state: State, count: int = 60) -> State:
    """The state, whose log screen was just opened, with its last page."""
    assert state.logs is not None
    return update(state, e.LogPage(state.logs.number, Place.TAIL, lines(0, count), full=False))[0]
