"""The graph of a workflow: boxes and wires, each task with its state in a run; scrolled to the selected one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import pairwise

from cdktr import graph as rows_graph
from cdktr.text import cells, clip, width
from cdktr.tui.state.facts import TaskRun
from cdktr.tui.state.graphmoves import LONGEST_NAME, depends_of, layout_of
from cdktr.tui.state.layout import Box, Depends, Layout
from cdktr.tui.view.canvas import CUT, Area
from cdktr.tui.view.glyphs import sign, status, wire
from cdktr.tui.view.times import lasted
from cdktr.workflow import Workflow

Tasks = Mapping[str, TaskRun]


def graph(area: Area, workflow: Workflow, tasks: Tasks, selected: str, focused: bool, now: datetime) -> None:
    """The drawing, as high as there is room for."""
    drawing = layout_of(workflow, True)
    if drawing is not None and drawing.height > area.height:
        drawing = layout_of(workflow, False) or drawing
    if drawing is None:
        _as_rows(area, workflow, tasks, selected, focused)
        return
    paint(area, drawing, tasks, selected, focused, now)


def paint(area: Area, drawing: Layout, tasks: Tasks, selected: str, focused: bool, now: datetime) -> None:
    """Wires and boxes; the wires of the selected task are thick."""
    dx, dy = _shift(area, drawing, drawing.boxes.get(selected))
    thick = drawing.lines_of(selected) if focused and selected in drawing.boxes else {}
    for (x, y), directions in drawing.wires.items():
        if not (dx <= x < dx + area.width and dy <= y < dy + area.height):
            continue
        # A thick wire that another hides where they cross is not seen there.
        seen = directions & thick.get((x, y), 0)
        area.draw(x - dx, y - dy, wire(area.look, directions, seen), "title" if seen else "wire")
    for x, y in drawing.arrows:
        area.draw(x - dx, y - dy, sign(area.look, "arrow"), "title" if (x, y) in thick else "wire")
    for name, box in drawing.boxes.items():
        mark, style = status(area.look, tasks[name].status if name in tasks else None)
        took = lasted(tasks[name].started_ms, tasks[name].ended_ms, now) if name in tasks else ""
        here = name == selected and focused
        _box(area, box, dx, dy, (mark, name, took), style, here)
    _edges(area, drawing, dx, dy)


def _shift(area: Area, drawing: Layout, box: Box | None) -> tuple[int, int]:
    """How far it is scrolled: the box in the middle, as far as there is something to see there."""
    if box is None:
        return 0, 0
    ways = []
    for middle, size, room in (
        (box.x + box.width // 2, drawing.width, area.width),
        (box.middle, drawing.height, area.height),
    ):
        ways.append(max(0, min(middle - room // 2, size - room)))
    return ways[0], ways[1]


def _box(area: Area, box: Box, dx: int, dy: int, texts: tuple[str, str, str], style: str, here: bool) -> None:
    x, y = box.x - dx, box.y - dy
    mark, name, took = texts
    look = area.look
    name = clip(cells(name, look.unicode), LONGEST_NAME, CUT[look.unicode])
    inner = f"{'>' if here else ' '}{mark} {name}"
    inner += " " * (box.width - 2 - width(inner))
    if box.height == 1:
        area.draw(x, y, "[", style)
        area.draw(x + 1, y, inner, style, here)
        area.draw(x + box.width - 1, y, "]", style)
    else:
        line = wire(look, 10)
        area.draw(x, y, wire(look, 6) + line * (box.width - 2) + wire(look, 12), style)
        area.draw(x, y + 1, wire(look, 5), style)
        area.draw(x + 1, y + 1, inner, style, here)
        area.draw(x + box.width - 1, y + 1, wire(look, 5), style)
        area.draw(x, y + 2, wire(look, 3) + line * (box.width - 2) + wire(look, 9), style)
        if took and width(took) + 4 <= box.width:
            area.draw(x + box.width - 3 - width(took), y + 2, f" {took} "[: box.width], "dim")
    for row in range(box.height):
        if x + box.width > 0:
            area.zone(max(x, 0), y + row, box.width + min(x, 0), "task", texts[1])


def _edges(area: Area, drawing: Layout, dx: int, dy: int) -> None:
    """At the edges, that there is more."""
    more = {
        (0, area.height // 2): ("<", dx > 0),
        (area.width - 1, area.height // 2): (">", drawing.width - dx > area.width),
        (area.width // 2, 0): (sign(area.look, "up"), dy > 0),
        (area.width // 2, area.height - 1): (sign(area.look, "down"), drawing.height - dy > area.height),
    }
    for (x, y), (text, is_so) in more.items():
        if is_so:
            area.draw(x, y, text, "key")


@lru_cache(maxsize=8)
def _rows(depends: Depends, columns: int, unicode: bool) -> tuple[list[tuple[str, str]], int]:
    """The rows of a graph, and how many columns the wires take: long to find out, for what is drawn each second."""
    rows = rows_graph.draw(dict(depends), columns)
    if _is_doubtful([art for art, _ in rows]):
        rows = rows_graph.in_words(dict(depends), columns)
    elif not unicode:
        rows = [(art.translate(rows_graph.ASCII), task) for art, task in rows]
    return rows, max((width(art) for art, _ in rows), default=0)


def _is_doubtful(arts: Sequence[str]) -> bool:
    """Whether two lines share a cell, or corners would look joined in ASCII; then only words say what is meant."""
    corners = any(
        a in "└┴┘" and b == "┐" for above, below in pairwise(arts) for a, b in zip(above, below, strict=False)
    )
    return corners or any("┼" in art for art in arts)


def _as_rows(area: Area, workflow: Workflow, tasks: Tasks, selected: str, focused: bool) -> None:
    """A row a task, where there are too many for boxes."""
    rows, columns = _rows(depends_of(workflow), min(area.width // 3, 24), area.look.unicode)
    at = next((number for number, (_, task) in enumerate(rows) if task == selected), 0)
    top = max(0, min(at - area.height // 2, len(rows) - area.height))
    for y, (art, task) in enumerate(rows[top : top + area.height]):
        area.put(1, y, art, "wire")
        if task:
            mark, style = status(area.look, tasks[task].status if task in tasks else None)
            here = task == selected and focused
            x = area.put(columns + 2, y, f"{'>' if here else ' '}{mark} ", style, here)
            area.put(x, y, task, style, here)
            area.zone(columns + 2, y, area.width, "task", task)
