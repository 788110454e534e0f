"""The tasks of a run in a table, and when each of them ran; and one of them in two lines."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from cdktr.text import cells, width
from cdktr.tui.state.facts import Run, TaskRun
from cdktr.tui.state.model import Cursor, State
from cdktr.tui.view.canvas import Area
from cdktr.tui.view.glyphs import status, stretch
from cdktr.tui.view.parts import Cell, Column, fitted, table_head, table_row
from cdktr.tui.view.times import duration, lasted, now_of, short
from cdktr.workflow import Subprocess, Task

TASKS = (
    Column("TASK", 14, 0, 1, most=26),
    Column("STATUS", 9, 2),
    Column("TRY", 3, 1, right=True),
    Column("START", 8, 1),
    Column("TOOK", 6, 0, right=True),
    Column("EXIT", 4, 1, right=True),
)

#: Columns of the table of tasks where the timeline is beside it.
BESIDE = 50


def first_row(cursor: Cursor, count: int, rows: int) -> int:
    """The first of so many tasks that is seen in so many rows."""
    return max(0, min(cursor.top, count - rows))


def rows_seen(cursor: Cursor, count: int, rows: int) -> str:
    """`12-30 of 100`; nothing where all of them are seen."""
    top = first_row(cursor, count, rows)
    return f"{top + 1}-{top + rows} of {count}" if 0 < rows < count else ""


def task_table(
    area: Area,
    run: Run,
    ids: Sequence[str],
    seen: Mapping[str, TaskRun],
    cursor: Cursor,
    focused: bool,
    now: datetime,
) -> None:
    """The table, and beside it when each ran."""
    beside = min(BESIDE + max(area.width - 100, 0) // 4, 64) if area.width >= 64 else area.width
    widths = fitted(TASKS, beside - 5)
    table_head(area, 0, 4, TASKS, widths)
    timeline = area.part(beside + 1, 0, area.width - beside - 2, area.height)
    span = _span(run, seen, now)
    if timeline.width < 12:
        span = None
    if span is not None:
        _axis(timeline, span)
    rows = max(area.height - 1, 0)
    top = first_row(cursor, len(ids), rows)
    for y, task_id in enumerate(ids[top : top + rows], 1):
        lit = focused and task_id == cursor.key
        task = seen.get(task_id)
        mark, style = status(area.look, task.status if task else None)
        left = area.part(0, y, beside, 1)
        if lit:
            left.fill("plain", True)
        area.zone(0, y, area.width, "row", task_id)
        if lit:
            left.put(0, 0, ">", "key", lit)
        left.put(2, 0, mark, style, lit)
        table_row(left, 0, 4, TASKS, widths, _task_cells(task_id, task, style, now), lit)
        if span is not None and task is not None:
            _stretch(timeline, y, task, span, style, now)


def _task_cells(task_id: str, task: TaskRun | None, style: str, now: datetime) -> list[Cell]:
    if task is None:
        return [task_id, ("", "dim"), "", "", "", ""]
    return [
        task_id,
        (task.status, style),
        str(task.attempt or ""),
        (short(task.started_ms, now)[-8:], "dim"),
        lasted(task.started_ms, task.ended_ms, now),
        ("" if task.exit_code is None else str(task.exit_code), "bad" if task.exit_code else "dim"),
    ]


def _span(run: Run, seen: Mapping[str, TaskRun], now: datetime) -> tuple[float, float] | None:
    """From when to when the timeline goes, in milliseconds; None as long as nothing began."""
    starts = [task.started_ms for task in seen.values() if task.started_ms is not None]
    starts += [run.started_ms] if run.started_ms is not None else []
    if not starts:
        return None
    begin = min(starts)
    ends = [task.ended_ms for task in seen.values() if task.ended_ms is not None]
    end = max([*ends, run.ended_ms if run.ended_ms is not None else now.timestamp() * 1000])
    return float(begin), max(float(end), begin + 1.0)


def _axis(area: Area, span: tuple[float, float]) -> None:
    seconds = (span[1] - span[0]) / 1000
    half, whole = duration(seconds / 2), duration(seconds)
    area.put(0, 0, "0s", "dim")
    if area.width > 24:
        area.put(area.width // 2 - width(half) // 2, 0, half, "dim")
    area.right(0, whole, "dim")


def _stretch(area: Area, y: int, task: TaskRun, span: tuple[float, float], style: str, now: datetime) -> None:
    if task.started_ms is None:
        return
    end_ms = now.timestamp() * 1000 if task.ended_ms is None else task.ended_ms
    scale = area.width / (span[1] - span[0])
    start = max(0, min(int((task.started_ms - span[0]) * scale), area.width - 1))
    end = max(start + 1, min(round((end_ms - span[0]) * scale), area.width))
    area.draw(start, y, stretch(area.look, style) * (end - start), style)


def task_line(area: Area, task_id: str, task: Task, seen: TaskRun | None, state: State) -> None:
    """A task: how it went, what it runs."""
    mark, style = status(area.look, seen.status if seen else None)
    words = [mark, task_id, seen.status if seen else "not started"]
    if seen is not None:
        words += [
            lasted(seen.started_ms, seen.ended_ms, now_of(state)),
            f"attempt {seen.attempt}" if (seen.attempt or 1) > 1 else "",
            f"exit code {seen.exit_code}" if seen.exit_code else "",
            seen.detail if seen.detail and not seen.exit_code else "",
        ]
    area.put(1, 0, "  ".join(filter(None, words)), style)
    config = task.config
    command = " ".join([config.cmd, *config.args]) if isinstance(config, Subprocess) else f"uv run {config.script_path}"
    after = f"after {', '.join(task.depends)}" if task.depends else ""
    x = area.put(
        1, 1, command, "dim", room=area.width - min(width(cells(after)) + 4, area.width // 2) if after else None
    )
    area.put(x + 3, 1, after, "dim")
