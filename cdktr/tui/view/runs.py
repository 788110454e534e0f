"""The history of runs, and one of them: its tasks, and when they ran."""

from collections.abc import Sequence

from cdktr.health import why_waiting
from cdktr.tui.state import room
from cdktr.tui.state.actions import keys_of, task_ids
from cdktr.tui.state.facts import Run, RunTasks
from cdktr.tui.state.graphmoves import workflow_named
from cdktr.tui.state.model import Cursor, State
from cdktr.tui.state.room import runs
from cdktr.tui.state.wants import TheTasks, runs_want
from cdktr.tui.view.bars import bars
from cdktr.tui.view.canvas import Area
from cdktr.tui.view.glyphs import status
from cdktr.tui.view.graph import graph
from cdktr.tui.view.parts import Cell, Column, broken, fact, fitted, note, rule, table_head, table_row
from cdktr.tui.view.tasks import rows_seen, task_line, task_table
from cdktr.tui.view.times import full, lasted, now_of, short

COLUMNS = (
    Column("RUN", 20, 0, 1, most=32),
    Column("WORKFLOW", 14, 0, 2, most=36),
    Column("STATUS", 9, 2),
    Column("STARTED", 11, 0),
    Column("TOOK", 6, 1, right=True),
    Column("TRIGGER", 8, 3),
    Column("AGENT", 14, 4, 1, most=24),
    Column("DETAIL", 12, 5, 3),
)

#: Rows of the bars of the last runs, and those that the page of a run has for why it waits.
BARS = 4
WHY = 3


def runs_place(area: Area, state: State) -> None:
    """The list; on a tall screen with the selected run below."""
    main, side = runs(state)
    _list(area.part(0, 0, main.width, main.height), state)
    if side is not None:
        run_id = state.runs.cursor.key
        below = area.below(main.height)
        if run_id:
            run_page(below, state, run_id, Cursor(), graphed=False, focused=False)
        else:
            rule(below, 0, "")


def _list(area: Area, state: State) -> None:
    tab, found = state.runs, state.data.runs
    total, newer = state.data.runs_total, state.data.runs_newer
    # Where nobody tells how many there are.
    above = "newer rows above" if found and newer and total is None else ""
    text = f'"{tab.text}" in an id' if tab.text else ""
    filters = [f"of {tab.workflow_id}" if tab.workflow_id else "", text, tab.status, above]
    place = f"{newer + tab.cursor.index + 1:,}" if found else ""
    of = f" of {total:,}" if found and total is not None else ""
    rule(area, 0, "Runs", ", ".join(filter(None, filters)), "title", f"{place}{of}")
    widths = fitted(COLUMNS, area.width - 5)
    table_head(area, 1, 4, COLUMNS, widths)
    rows = area.below(2)
    if not found:
        note(rows, 0, _nothing(state))
        return
    for y, run in enumerate(found[tab.cursor.top : tab.cursor.top + rows.height]):
        _row(rows, y, run, state, widths)


def _nothing(state: State) -> str:
    if not state.can("LSRUNS"):
        return "This principal is too old to tell of runs."
    if state.data.runs is None:
        return state.data.failed.get(runs_want(state.runs), "...")
    tab = state.runs
    return "No run matches." if tab.workflow_id or tab.status or tab.text else "Nothing ran yet."


def _row(area: Area, y: int, run: Run, state: State, widths: dict[int, int]) -> None:
    lit = run.id == state.runs.cursor.key
    if lit:
        area.fill("plain", True, y)
    area.zone(0, y, area.width, "row", run.id)
    mark, style = status(area.look, run.status)
    if lit:
        area.put(0, y, ">", "key", lit)
    area.put(2, y, mark, style, lit)
    now = now_of(state)
    row: list[Cell] = [
        run.id,
        run.workflow_id,
        (run.status, style),
        short(run.started_ms or run.queued_ms, now),
        lasted(run.started_ms, run.ended_ms, now),
        (run.trigger or "", "dim"),
        (run.agent_id or "", "dim"),
        (run.detail or why_waits(state, run), "dim"),
    ]
    table_row(area, y, 4, COLUMNS, widths, row, lit)


def why_waits(state: State, run: Run) -> str:
    """Why a queued run has not begun, as far as the principal tells."""
    if run.status != "PENDING" or run.started_ms is not None or not state.data.facts:
        return ""
    try:
        return why_waiting(state.data.facts, run.workflow_id)
    except KeyError:
        # Another version tells other things.
        return ""


# One run.


def open_run(area: Area, state: State) -> None:
    """The page of an opened run."""
    page = state.run
    if page is not None:
        run_page(area, state, page.run_id, page.cursor, graphed=page.graph, focused=True)


def run_page(area: Area, state: State, run_id: str, cursor: Cursor, *, graphed: bool, focused: bool) -> None:
    """Facts, tasks with the timeline or the graph; both, and the durations, where there is room."""
    held = state.data.tasks.get(run_id)
    run = held.run if held else next((each for each in state.data.runs or () if each.id == run_id), None)
    told = run.workflow_id if run else ""
    if run is None:
        rule(area, 0, run_id, told)
        why = "..." if held is None else "The principal knows no such run."
        note(area, 2, state.data.failed.get(TheTasks(run_id), why))
        return
    _facts(area.below(1), state, run)
    body = area.below(1 + _fact_rows(state, run, area.width, area.height - 1))
    held = held or RunTasks(run, ())
    workflow = workflow_named(state, run.workflow_id)
    ids = list(keys_of(state)) if focused else task_ids(workflow, [task.task_id for task in held.tasks])
    seen = {task.task_id: task for task in held.tasks}
    tall = _has_both(body.height, ids) and workflow is not None
    if graphed and workflow is not None and not tall:
        rule(area, 0, run_id, told)
        rows = body.height - 2
        graph(body.part(1, 0, body.width - 2, rows), workflow, seen, cursor.key, focused, now_of(state))
        if cursor.key in workflow.tasks:
            task_line(body.below(rows), cursor.key, workflow.tasks[cursor.key], seen.get(cursor.key), state)
        return
    count = min(len(ids) + 2, body.height) if tall else body.height
    rule(area, 0, run_id, told, right=rows_seen(cursor, len(ids), count - 1))
    task_table(body.part(0, 0, body.width, count), run, ids, seen, cursor, focused, now_of(state))
    if tall and workflow is not None:
        below = body.below(count)
        rule(below, 0, "", "")
        graph(below.part(2, 1, below.width - 3, below.height - 1), workflow, seen, cursor.key, focused, now_of(state))


def has_other_view(state: State) -> bool:
    """Whether the opened run has a graph that is not shown beside the timeline, or the other way round."""
    held = state.data.tasks.get(state.run.run_id) if state.run is not None else None
    if held is None or held.run is None or workflow_named(state, held.run.workflow_id) is None:
        return False
    height = room.body(state).height - 1
    return not _has_both(height - _fact_rows(state, held.run, state.width, height), keys_of(state))


def _has_both(rows: int, ids: Sequence[str]) -> bool:
    return rows >= len(ids) + 14


def _fact_rows(state: State, run: Run, columns: int, rows: int) -> int:
    return 1 + len(_told(state, run, columns)) + (BARS if _is_charted(state, run, rows) else 0)


def _is_charted(state: State, run: Run, rows: int) -> bool:
    return (
        rows >= 24
        and not why_waits(state, run)
        and state.data.recent_of == run.workflow_id
        and (len(state.data.recent) > 1)
    )


def _told(state: State, run: Run, columns: int) -> list[tuple[str, str, str]]:
    """Names, values and styles of what is told of a run, but for the first row."""
    why = broken(why_waits(state, run), columns - 11)[:WHY]
    found = [("" if number else "waits", part, "warn") for number, part in enumerate(why)]
    if run.detail:
        found.append(("detail", run.detail, "bad" if status(state.look, run.status)[1] == "bad" else "plain"))
    if run.params and run.params != "{}":
        found.append(("params", run.params, "plain"))
    return found


def _facts(area: Area, state: State, run: Run) -> None:
    """A few rows."""
    now = now_of(state)
    mark, style = status(area.look, run.status)
    x = area.put(1, 0, f"{mark} {run.status} {lasted(run.started_ms, run.ended_ms, now)}", style)
    rest = [
        f"started {full(run.started_ms)}" if run.started_ms else f"queued {full(run.queued_ms)}",
        f"by {run.trigger}" if run.trigger else "",
        f"on {run.agent_id}" if run.agent_id else "",
    ]
    area.put(x + 3, 0, "   ".join(filter(None, rest)), "dim")
    found = _told(state, run, area.width)
    for y, (name, value, how) in enumerate(found, 1):
        fact(area, y, name, value, how)
    if _is_charted(state, run, area.height):
        y = 1 + len(found)
        fact(area, y, f"last {len(state.data.recent)}", "")
        bars(area.part(10, y, area.width - 11, BARS), state.data.recent, run.id)
