"""What the command line shows, as lines of text. Pure: the time and the width are handed in, nothing is printed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from cdktr.graph import draw
from cdktr.health import megabytes
from cdktr.labels import in_words
from cdktr.moments import (
    ago,
    ago_short,
    due_short,
    due_text,
    next_run,
    schedule_in_words,
    took,
    when,
    when_short,
    zone,
)
from cdktr.text import format_duration, printable, table, width
from cdktr.workflow import CatchUp, Scheduled, Subprocess, Task, Workflow, scalar_text

#: A run or a task whose status is one of these needs a look.
BAD = ("FAILED", "CRASHED", "CANCELLED")

#: A graph that would be wider is told in words.
GRAPH_COLUMNS = 60

#: Of a schedule in words, where columns are short; `cdktr task show` has all of it.
SCHEDULE_COLUMNS = 24

#: In the place of the next run, where nothing runs by its schedule.
OFF = "scheduler off"
#: And where it is paused.
PAUSED = "paused"

Summary = Mapping[str, Any]


def fit(lines: Iterable[str], columns: int) -> Iterable[str]:
    """Lines cut so that each takes one row."""
    return (line if width(line) <= columns else _cut(line, columns - 1) + "…" for line in lines)


def _cut(line: str, columns: int) -> str:
    while width(line) > columns:
        line = line[: -max(1, (width(line) - columns) // 2)]
    return line


def _fitted(head: Sequence[str], rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    """A table of which the last column gets the room that is left, and is cut there. No other column is cut."""
    taken = max(map(width, table(head[:-1], [row[:-1] for row in rows]).split("\n")))
    room = max(columns - taken - 2, width(head[-1]))
    return table(head, [(*row[:-1], *fit([printable(row[-1])], room)) for row in rows]).split("\n")


def workflows_table(
    workflows: Sequence[Scheduled],
    latest: Mapping[str, Any],
    now: datetime,
    columns: int | None = None,
    scheduled: bool = True,
    paused: Mapping[str, int] = MappingProxyType({}),
) -> list[str]:
    """One row a workflow; shorter where there are not so many columns. None: no terminal sets an end.

    `paused` is as in STATUS.
    """
    head = ("ID", "SCHEDULE", "NEXT RUN", "LAST RUN", "NAME")

    def next_of(workflow: Scheduled, short: bool) -> str:
        if workflow.id in paused:
            return PAUSED
        if workflow.cron and not scheduled:
            return OFF
        return (due_short if short else due_text)(next_run(workflow, now), now)

    def rows(short: bool) -> list[tuple[str, ...]]:
        in_words = [(schedule_in_words(workflow) or "-").replace("\t", " ") for workflow in workflows]
        return [
            (
                workflow.id,
                *(fit([schedule], SCHEDULE_COLUMNS) if short else [schedule]),
                next_of(workflow, short),
                latest_text(latest.get(workflow.id), now, short),
                workflow.name,
            )
            for workflow, schedule in zip(workflows, in_words, strict=True)
        ]

    lines = table(head, rows(short=False)).split("\n")
    return lines if columns is None or max(map(width, lines)) <= columns else _fitted(head, rows(short=True), columns)


def latest_text(latest: Mapping[str, Any] | None, now: datetime, short: bool = False) -> str:
    """`COMPLETED 3m05s ago`."""
    return f"{latest['status']} {(ago_short if short else ago)(latest['timestamp_ms'], now)}" if latest else "never"


def history_table(runs: Sequence[Summary], now: datetime, columns: int | None = None) -> list[str]:
    """One row a run; shorter where there are not so many columns. None: no terminal sets an end."""

    def began_ms(run: Summary) -> int | None:
        began: int | None = run["queued_ms"] if run["started_ms"] is None else run["started_ms"]
        return began

    def row(run: Summary) -> tuple[str, ...]:
        ids = (run["workflow_instance_id"], run["workflow_id"], run["status"])
        began = began_ms(run)
        time = when(began) if columns is None or began is None else when_short(began, now)
        return (*ids, time, took(run, now), run["agent_id"] or "-", run["trigger"] or "-", run["detail"] or "")

    started = f"STARTED {zone(map(began_ms, runs))}".rstrip()
    head = ("RUN", "WORKFLOW", "STATUS", started, "TOOK", "AGENT", "TRIGGER", "DETAIL")
    rows = [row(run) for run in runs]
    lines = table(head, rows).split("\n")
    if columns is None or max(map(width, lines)) <= columns:
        return lines
    # Without agent and trigger.
    return _fitted((*head[:5], head[7]), [(*cells[:5], cells[7]) for cells in rows], columns)


def agents_table(agents: Sequence[Mapping[str, Any]], now_s: float) -> list[str]:
    """One row an agent."""
    rows = [
        (
            agent["agent_id"],
            f"{agent['running_tasks']}/{'?' if agent['slots'] is None else agent['slots']}",
            ago(agent["last_ping_timestamp"] // 1000, datetime.fromtimestamp(now_s, UTC)),
            agent["version"] or "?",
            megabytes(agent.get("spooled_bytes", 0)),
            _uv(agent.get("uv") or {}),
            in_words(agent.get("labels", ())) or "-",
        )
        for agent in agents
    ]
    return table(("AGENT", "RUNS/SLOTS", "LAST HEARD", "VERSION", "TO TELL", "UV", "LABELS"), rows).split("\n")


def _uv(facts: Mapping[str, str]) -> str:
    return "none" if "trouble" in facts else facts.get("version", "?")


# One workflow, one run.


def workflow_lines(
    workflow: Workflow,
    latest: Mapping[str, Any] | None,
    now: datetime,
    columns: int,
    boxes: bool,
    scheduled: bool = True,
    paused_ms: int | None = None,
) -> list[str]:
    """A definition: its facts, its graph, its tasks. `paused_ms` is since when it is paused, if it is."""
    due = due_text(next_run(workflow, now), now) if scheduled else f"{OFF}; the principal has --no-scheduler"
    paused = None if paused_ms is None else f"since {_at(paused_ms)}, {ago(paused_ms, now)}; by hand it still runs"
    facts = [
        ("name", workflow.name),
        ("about", workflow.description),
        ("file", workflow.path),
        ("schedule", schedule_in_words(workflow) or "none"),
        ("paused", paused),
        ("next run", due if workflow.cron and paused is None else None),
        ("catch up", "the latest missed time is run" if workflow.catch_up is CatchUp.LATEST else None),
        ("last run", _latest_with_id(latest, now)),
        ("parameters", _params_text(workflow) or None),
        ("timeout", format_duration(workflow.timeout_s) if workflow.timeout_s else None),
        ("requires", in_words(workflow.requires) or None),
    ]
    rows = {task_id: (_conditions(task), _command(task)) for task_id, task in workflow.tasks.items()}
    graph = _graph(workflow, ("RULES", "COMMAND"), rows, columns, boxes)
    return [workflow.id, *_facts(facts), "", *fit(graph, columns)]


def _facts(facts: Iterable[tuple[str, str | None]]) -> list[str]:
    return [f"  {name:<12}{' '.join(value.split())}" for name, value in facts if value]


def _latest_with_id(latest: Mapping[str, Any] | None, now: datetime) -> str:
    text = latest_text(latest, now)
    return f"{text}: {latest['workflow_instance_id']}" if latest else text


def _params_text(workflow: Workflow) -> str:
    return ", ".join(
        f"{name} (must be given)" if default is None else f"{name}={scalar_text(default)}"
        for name, default in workflow.params.items()
    )


def _command(task: Task) -> str:
    config = task.config
    if isinstance(config, Subprocess):
        return " ".join([config.cmd, *config.args])
    return f"uv run {config.script_path}"


def _conditions(task: Task) -> str:
    found = []
    if task.run_if != "all_succeeded":
        found.append(f"if {task.run_if}")
    if task.retry.retries:
        found.append(f"{task.retry.retries} retries")
    if task.timeout_s:
        found.append(f"at most {format_duration(task.timeout_s)}")
    if task.allow_failure:
        found.append("may fail")
    return ", ".join(found)


def run_lines(
    run: Summary,
    tasks: Sequence[Summary],
    workflow: Workflow | None,
    now: datetime,
    columns: int,
    boxes: bool,
) -> list[str]:
    """How a run went, and each of its tasks."""
    facts = [
        ("workflow", run["workflow_id"]),
        ("status", run["status"] + (f": {run['detail']}" if run["detail"] else "")),
        ("trigger", run["trigger"]),
        ("parameters", run["params"] if run["params"] not in (None, "{}") else None),
        ("queued", _at(run["queued_ms"])),
        ("started", _at(run["started_ms"])),
        ("ended", _at(run["ended_ms"])),
        ("duration", took(run, now)),
        ("agent", run["agent_id"]),
    ]
    known = {task["task_id"]: task for task in tasks}
    ids = dict.fromkeys([*(workflow.tasks if workflow else ()), *known])
    rows = {task_id: _task_cells(known.get(task_id), now) for task_id in ids}
    head = ("STATUS", "ATTEMPT", "EXIT", "DURATION", "DETAIL")
    return [run["workflow_instance_id"], *_facts(facts), "", *_graph(workflow, head, rows, columns, boxes)]


def _at(ms: int | None) -> str:
    return f"{when(ms)} {zone([ms])}".rstrip()


def _task_cells(task: Summary | None, now: datetime) -> tuple[str, ...]:
    if task is None:
        return ("-", "", "", "", "")
    code = "" if task["exit_code"] is None else str(task["exit_code"])
    return (task["status"], str(task["attempt"] or ""), code, took(task, now), task["detail"] or "")


def _graph(
    workflow: Workflow | None, head: Sequence[str], rows: Mapping[str, Sequence[str]], columns: int, boxes: bool
) -> list[str]:
    """A row a task: its place in the graph, its id, its cells. What is not in the graph comes last."""
    depends = {task_id: task.depends for task_id, task in workflow.tasks.items()} if workflow else {}
    lines = [("", "TASK", *head)]
    for art, task_id in draw(depends, min(columns // 2, GRAPH_COLUMNS), boxes):
        lines.append((art, task_id, *(rows[task_id] if task_id else [""] * len(head))))
    lines += [("", task_id, *cells) for task_id, cells in rows.items() if task_id not in depends]
    return table(lines[0], lines[1:]).split("\n")


def outcome(run: Summary, tasks: Sequence[Summary]) -> list[str]:
    """The end of a run in a sentence, and one for each task that went wrong."""
    lasted = f" after {took(run, datetime.now(UTC))}" if run["started_ms"] is not None else ""
    detail = f": {run['detail']}" if run["detail"] else ""
    lines = [f"{run['workflow_instance_id']} {run['status']}{lasted}{detail}"]
    for task in tasks:
        if task["status"] in BAD:
            lines.append(f"  task {task['task_id']} {task['status']}: {_reason(task)}")
    return lines


def _reason(task: Summary) -> str:
    tries = f" (attempt {task['attempt']})" if (task["attempt"] or 1) > 1 else ""
    code = "" if task["exit_code"] is None else f"exit code {task['exit_code']}"
    return (task["detail"] or code or "no reason is known") + tries
