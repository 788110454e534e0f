"""The workflows: the list, and beside it the selected one with its graph."""

from collections.abc import Mapping
from datetime import datetime

from cdktr.labels import in_words
from cdktr.moments import schedule_in_words
from cdktr.text import width
from cdktr.tui.state.actions import task_ids
from cdktr.tui.state.facts import Run, TaskRun
from cdktr.tui.state.graphmoves import layout_of, selected_workflow
from cdktr.tui.state.model import Cursor, Entry, LinkStatus, State
from cdktr.tui.state.moves import problem_with
from cdktr.tui.state.pauses import paused_ms
from cdktr.tui.state.room import HEADED, workflows
from cdktr.tui.state.wants import TheDefinition, TheFolder, shown_run
from cdktr.tui.view.bars import bars
from cdktr.tui.view.canvas import Area
from cdktr.tui.view.glyphs import sign, status, wire
from cdktr.tui.view.graph import graph
from cdktr.tui.view.parts import Cell, Column, broken, fact, fitted, note, rule, table_head, table_row
from cdktr.tui.view.tasks import task_line, task_table
from cdktr.tui.view.times import due, due_at, due_in, is_quick, lasted, now_of, short, since
from cdktr.workflow import Outline, Workflow, scalar_text

COLUMNS = (
    Column("ID", 12, 0, 3, most=36),
    Column("NAME", 12, 3, 2, most=28),
    Column("SCHEDULE", 14, 2, 2, most=30),
    Column("NEXT RUN", 10, 0),
    Column("LAST RUN", 9, 1),
)
NEXT_RUN = 3


def workflows_place(area: Area, state: State) -> None:
    """The whole place."""
    main, side = workflows(state)
    if main.width:
        panel = area.part(main.x, 0, main.width, main.height)
        _list(panel, state)
        for y in range(area.height):
            area.draw(main.width, y, wire(area.look, 14 if y == 0 else 5), "border")
    if side is not None:
        _side(area.part(side.x, 0, side.width, side.height), state)


# The list.


def _list(area: Area, state: State) -> None:
    tab = state.workflows
    count = len(tab.entries)
    shown = f"/{tab.filter}" if tab.filter else ""
    place = f"{tab.cursor.index + 1}/{count}" if count else ""
    rule(area, 0, "Workflows", shown, "title" if not tab.in_graph else "plain", place)
    first = 1
    widths = fitted(COLUMNS, area.width - 5)
    if area.width >= HEADED:
        table_head(area, 1, 4, COLUMNS, widths)
        first = 2
    rows = area.below(first)
    if not count:
        note(rows, 0, _nothing(state))
    for y, entry in enumerate(tab.entries[tab.cursor.top : tab.cursor.top + rows.height]):
        _entry(rows, y, entry, state, widths)


def _nothing(state: State) -> str:
    if state.data.folder is None:
        return state.data.failed.get(TheFolder(), "...")
    return "No workflow matches." if state.workflows.filter else "The workflow folder is empty; `cdktr init` fills it."


def _entry(area: Area, y: int, entry: Entry, state: State, widths: dict[int, int]) -> None:
    selected = entry.key == state.workflows.cursor.key
    lit = selected and not state.workflows.in_graph
    if lit:
        area.fill("plain", True, y)
    area.zone(0, y, area.width, "row", entry.key)
    if selected:
        area.put(0, y, ">", "key", lit)
    if entry.workflow is None:
        area.put(2, y, sign(area.look, "invalid"), "bad", lit)
        area.put(4, y, entry.key.removeprefix("!"), "bad", lit)
        return
    workflow, now = entry.workflow, now_of(state)
    latest = state.data.latest.get(workflow.id)
    mark, style = status(area.look, latest.status if latest else None)
    area.put(2, y, mark, style, lit)
    problems = state.data.folder.problems if state.data.folder else ()
    invalid = problem_with(workflow, problems) is not None
    paused = paused_ms(state, workflow.id) is not None
    marks = {"invalid": invalid, "paused": paused and NEXT_RUN not in widths}
    name = " ".join([workflow.id, *(sign(area.look, each) for each, has in marks.items() if has)])
    cells_of: list[Cell] = [
        (name, "warn" if invalid else "plain"),
        workflow.name,
        (schedule_in_words(workflow) or "", "dim"),
        (f"{sign(area.look, 'paused')} paused", "warn") if paused else due_in(workflow, now),
        (since(latest.at_ms, now) if latest else "", "dim"),
    ]
    table_row(area, y, 4, COLUMNS, widths, cells_of, lit)


# What is selected.


def _side(area: Area, state: State) -> None:
    tab = state.workflows
    entry = tab.entries[tab.cursor.index] if tab.cursor.index < len(tab.entries) else None
    if entry is None:
        rule(area, 0, "")
        if state.link.status is LinkStatus.AWAY:
            for y, row in enumerate(broken(state.link.why, area.width - 3), 1):
                area.put(1, y, row, "bad")
        return
    if entry.problem is not None:
        _problem(area, entry)
        return
    if entry.workflow is None:
        return
    workflow = selected_workflow(state)
    top = 0 if tab.zoomed else _facts(area, state, entry.workflow, workflow)
    below = area.below(top)
    if workflow is None:
        rule(below, 0, shown_run(state), right=entry.key if tab.zoomed else "")
        note(below, 1, state.data.failed.get(TheDefinition(entry.key), "..."))
        return
    _graph(below, state, workflow)


def _problem(area: Area, entry: Entry) -> None:
    problem = entry.problem
    if problem is None:
        return
    rule(area, 0, "A file that cannot be used")
    place = f"line {problem.line}, column {problem.column}" if problem.line else ""
    rows = [("file", problem.path), ("place", place), ("problem", problem.message), ("hint", problem.hint or "")]
    y = 2
    for name, value in rows:
        for number, part in enumerate(broken(value, area.width - 12)):
            fact(area, y, "" if number else name, part, "bad" if name == "problem" else "plain")
            y += 1


def _facts(area: Area, state: State, outline: Outline, workflow: Workflow | None) -> int:
    """What is to be known of it, as much as leaves the graph half of the room; the row after it."""
    rule(area, 0, outline.id, outline.name if outline.name != outline.id else "")
    found = _lines(state, outline, workflow, area.width - 11)
    room = max(area.height // 2 - 1, 3)
    charted = area.height >= 18 and state.data.recent_of == outline.id and len(state.data.recent) > 1
    chart = (5 if area.height >= 30 else 3) if charted else 0
    y = 1
    for name, value, style in found[: max(room - chart, 2)]:
        fact(area, y, name, value, style)
        y += 1
    if chart:
        fact(area, y, f"last {len(state.data.recent)}", "")
        bars(area.part(10, y, area.width - 11, chart), state.data.recent, shown_run(state))
        y += chart
    return y


def _lines(state: State, outline: Outline, workflow: Workflow | None, columns: int) -> list[tuple[str, str, str]]:
    """Facts, the most important first; as many as are known without the definition."""
    now = now_of(state)
    found = [("schedule", schedule_in_words(outline) or "none", "plain")]
    problem = problem_with(outline, state.data.folder.problems if state.data.folder else ())
    if problem is not None:
        found.insert(0, ("invalid", f"{problem.line}:{problem.column} {problem.message}", "bad"))
    at, paused = due(outline, now), paused_ms(state, outline.id)
    if paused is not None:
        found.append(("paused", f"since {short(paused, now)}, by hand it runs", "warn"))
    elif at is not None:
        found.append(("next run", _due(at, now, columns, is_quick(outline, at)), "plain"))
    if workflow is None:
        return found
    params = "  ".join(
        f"{name} (needed)" if default is None else f"{name}={scalar_text(default)}"
        for name, default in workflow.params.items()
    )
    requires = in_words(workflow.requires)
    rest = [("params", params), ("requires", requires), ("about", workflow.description or ""), ("file", workflow.path)]
    return [*found, *((name, " ".join(value.split()), "plain") for name, value in rest if value)]


def _due(at: datetime, now: datetime, columns: int, quick: bool) -> str:
    text = due_at(at, now, quick)
    return text if width(text) <= columns else due_at(at.astimezone(), now, quick)


def run_line(run: Run, state: State, room: int = 1_000) -> str:
    """How a run is, in short; where there is little room, of a run that is over without how long it took."""
    how = f"{status(state.look, run.status)[0]} {run.status}"
    took = lasted(run.started_ms, run.ended_ms, now_of(state))
    at = run.ended_ms or run.queued_ms
    ended = f", {since(at, now_of(state))}" if at and run.is_over else ""
    whole = f"{how} {took}".rstrip() + ended
    return whole if width(whole) <= room or not ended else how + ended


def _graph(area: Area, state: State, workflow: Workflow) -> None:
    tab = state.workflows
    run_id = shown_run(state)
    held = state.data.tasks.get(run_id)
    tasks = {task.task_id: task for task in held.tasks} if held else {}
    run = held.run if held else None
    title = run_id or "no run yet"
    behind = _behind(state, workflow)
    room = area.width - width(title) - width(behind) - 4
    told = f"{behind}{run_line(run, state, room) if run else ''}"
    rule(area, 0, title, told, "title" if tab.in_graph else "plain", workflow.id if tab.zoomed else "")
    below = area.below(1)
    rows = below.height - (2 if tab.in_graph and below.height > 5 else 0)
    drawing = layout_of(workflow, True)
    listed = len(workflow.tasks) + 3
    if run is not None and drawing is not None and drawing.height + 1 + listed <= rows:
        rows -= listed
        ids = task_ids(workflow, list(tasks))
        rule(below, rows, "")
        table = below.part(0, rows + 1, below.width, listed - 2)
        task_table(table, run, ids, tasks, Cursor(), False, now_of(state))
    canvas = below.part(1, 0, below.width - 1, rows)
    graph(canvas, workflow, tasks, tab.task if tab.in_graph else _under_way(tasks), tab.in_graph, now_of(state))
    if tab.in_graph and below.height > 5 and tab.task in workflow.tasks:
        task_line(below.below(below.height - 2), tab.task, workflow.tasks[tab.task], tasks.get(tab.task), state)


def _behind(state: State, workflow: Workflow) -> str:
    """How many runs are newer than the one that somebody went back to, and the key to them."""
    tab, latest = state.workflows, state.data.latest.get(workflow.id)
    if not tab.run_id or tab.is_started or latest is None or latest.run_id == tab.run_id:
        return ""
    ids = [run.id for run in state.data.recent] if state.data.recent_of == workflow.id else []
    return f"({ids.index(tab.run_id)} newer: ]) " if tab.run_id in ids else "(not the latest) "


def _under_way(tasks: Mapping[str, TaskRun]) -> str:
    """The task that is looked at as long as nobody chose one: one that runs, or that went wrong."""
    found = {task.status: task.task_id for task in reversed(list(tasks.values()))}
    return next((found[name] for name in ("RUNNING", "FAILED", "CRASHED") if name in found), "")
