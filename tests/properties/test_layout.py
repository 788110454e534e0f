"""A reader of the drawing who follows its wires, character by character, finds exactly the edges of the graph."""

import unicodedata
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdktr.tui.state.graphmoves import box_width
from cdktr.tui.state.layout import MOST_TASKS, Layout, layout
from cdktr.tui.state.model import Look
from cdktr.tui.state.room import Rect
from cdktr.tui.view.canvas import Area, Canvas
from cdktr.tui.view.graph import paint

Graph = dict[str, tuple[str, ...]]

STEPS = {"UP": (0, -1), "RIGHT": (1, 0), "DOWN": (0, 1), "LEFT": (-1, 0)}
BACK = {"UP": "DOWN", "DOWN": "UP", "LEFT": "RIGHT", "RIGHT": "LEFT"}
LOOKS = (Look(), Look(console=True), Look(unicode=False, colour=False))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Task ids of several widths, each with some of those before it."""
    ids = [f"t{number}" + "_" * draw(st.integers(0, 6)) for number in range(draw(st.integers(1, 14)))]
    return {
        task: tuple(draw(st.lists(st.sampled_from(ids[:n]), unique=True, max_size=4))) if n else ()
        for n, task in enumerate(ids)
    }


@st.composite
def dense(draw: st.DrawFn) -> Graph:
    """Layers of tasks, each after some of the layer before."""
    layers = [[f"{a}{b}" for b in range(draw(st.integers(1, 6)))] for a in "abc"]
    graph: Graph = dict.fromkeys(layers[0], ())
    for above, below in pairwise(layers):
        graph |= {task: tuple(draw(st.lists(st.sampled_from(above), unique=True, min_size=1))) for task in below}
    return graph


def drawn(depends: Graph, tall: bool) -> Layout | None:
    """The drawing, with boxes as wide as their names need."""
    return layout(tuple(depends.items()), tuple(map(box_width, depends)), tall)


def rows_of(drawing: Layout, look: Look, selected: str = "") -> list[str]:
    """What is seen."""
    canvas = Canvas(drawing.width, drawing.height, look)
    area = Area(canvas, Rect(0, 0, drawing.width, drawing.height))
    paint(area, drawing, {}, selected, bool(selected), datetime(2026, 1, 31, tzinfo=UTC))
    return [row.ljust(drawing.width) for row in canvas.frame().text.split("\n")]


def arms(rows: list[str], x: int, y: int) -> set[str]:
    """Where the line in a cell goes, as it looks."""
    char = rows[y][x]
    if char in "-=":
        return {"LEFT", "RIGHT"}
    if char in "|#":
        return {"UP", "DOWN"}
    if char == "+":
        joined = {"UP": "|#+", "DOWN": "|#+", "LEFT": "-=+", "RIGHT": "-=+>"}
        return {way for way, chars in joined.items() if _beside(rows, x, y, way) in chars}
    words = unicodedata.name(char).replace("HORIZONTAL", "LEFT RIGHT").replace("VERTICAL", "UP DOWN").split()
    assert words[:2] == ["BOX", "DRAWINGS"], f"{char!r} at {x}, {y} is no line"
    return STEPS.keys() & set(words)


def _beside(rows: list[str], x: int, y: int, way: str) -> str:
    x, y = x + STEPS[way][0], y + STEPS[way][1]
    return (rows[y][x] if 0 <= y < len(rows) and 0 <= x < len(rows[y]) else " ") or " "


def reached(rows: list[str], drawing: Layout, task: str) -> set[str]:
    """The tasks that the wire from one leads to: into all arms but back to the left, straight on where it crosses."""
    ends = {(box.x, box.middle): name for name, box in drawing.boxes.items()}
    box = drawing.boxes[task]
    x, y = box.x + box.width, box.middle
    todo = [(x, y, "RIGHT")] if x < drawing.width and rows[y][x] != " " else []
    seen, found = set(todo), set()
    while todo:
        x, y, way = todo.pop()
        if rows[y][x] in "►>":
            assert way == "RIGHT"
            found.add(ends[x + 1, y])
            continue
        here = arms(rows, x, y)
        if BACK[way] in here:
            ways = here - {BACK[way], "LEFT"}
        else:
            assert len(here) == 2, f"{way} into {rows[y][x]!r} at {x}, {y}"
            ways = {way}
        for each in ways:
            at = (x + STEPS[each][0], y + STEPS[each][1], each)
            if at not in seen:
                seen.add(at)
                todo.append(at)
    return found


#: Each task of a layer after two of the layer before it.
SHIFTED: Graph = {f"t{n}": (f"t{n - 5}", f"t{(n + 1) % 5}") if n >= 5 else () for n in range(10)}

#: Wires here would run into each other if their columns were in another order.
TIGHT: Graph = {
    "t0": (),
    "t1": ("t0",),
    "t2": (),
    "t3": (),
    "t4": ("t0",),
    "t5": ("t2",),
    "t6": ("t0",),
    "t7": (),
    "t8": ("t7",),
}


@given(graphs() | dense(), st.booleans(), st.sampled_from(LOOKS))
@example(TIGHT, False, LOOKS[0])
@example(SHIFTED, False, LOOKS[2])
@example(SHIFTED, True, LOOKS[0])
@settings(max_examples=500, deadline=None)
def test_wires_lead_from_each_task_to_those_that_wait_for_it_and_to_no_others(
    depends: Graph, tall: bool, look: Look
) -> None:
    drawing = drawn(depends, tall)
    if drawing is None:
        return
    rows = rows_of(drawing, look)
    for task in depends:
        assert reached(rows, drawing, task) == {name for name, needs in depends.items() if task in needs}


@given(graphs() | dense(), st.booleans(), st.sampled_from((LOOKS[0], LOOKS[2])), st.data())
@settings(max_examples=300, deadline=None)
def test_the_wires_of_the_selected_task_are_thick_and_no_others(
    depends: Graph, tall: bool, look: Look, data: st.DataObject
) -> None:
    drawing = drawn(depends, tall)
    if drawing is None:
        return
    task = data.draw(st.sampled_from(list(depends)))
    rows = rows_of(drawing, look, task)
    thick = {"=", "━"}
    for name, box in drawing.boxes.items():
        near = name == task or task in depends[name]
        if depends[name]:
            assert (rows[box.middle][box.x - 2] in thick) == near
        far = name == task or name in depends[task]
        if any(name in needs for needs in depends.values()):
            assert (rows[box.middle][box.x + box.width] in thick) == far
    # All of them hang together.
    lines = drawing.lines_of(task)
    box = drawing.boxes[task]
    todo = [(box.x, box.middle), (box.x + box.width - 1, box.middle)]
    seen = set(todo)
    while todo:
        x, y = todo.pop()
        ways = [way for bit, way in enumerate(("UP", "RIGHT", "DOWN", "LEFT")) if lines.get((x, y), 0) >> bit & 1]
        beside = {(x + STEPS[way][0], y + STEPS[way][1]) for way in ways}
        todo += beside - seen
        seen |= beside
    assert lines.keys() <= seen
    # They are the same wires.
    assert reached(rows, drawing, task) == {name for name, needs in depends.items() if task in needs}


def test_common_graphs_are_drawn_as_boxes() -> None:
    """What is drawn for these leaves out no wire, so that the properties above are about something."""
    for tall in (True, False):
        assert drawn(SHIFTED, tall) is not None
        assert drawn({"s": (), **{f"t{n}": ("s",) for n in range(MOST_TASKS - 1)}}, tall) is not None
        many = {f"t{n}": tuple(f"t{m}" for m in (n - 5, n // 5 * 5 - 5 + (n + 1) % 5) if m >= 0) for n in range(40)}
        assert drawn(many, tall) is not None


@given(graphs(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_boxes_do_not_overlap_and_stand_inside(depends: Graph, tall: bool) -> None:
    drawing = drawn(depends, tall)
    if drawing is None:
        return
    cells = [
        (box.x + dx, box.y + dy)
        for box in drawing.boxes.values()
        for dx in range(box.width)
        for dy in range(box.height)
    ]
    assert len(cells) == len(set(cells))
    assert all(0 <= x < drawing.width and 0 <= y < drawing.height for x, y in [*cells, *drawing.wires])
    inner = {(x, y) for x, y in cells if not any(x in (b.x, b.x + b.width - 1) for b in drawing.boxes.values())}
    assert not inner & drawing.wires.keys()


@given(graphs())
@settings(max_examples=100, deadline=None)
def test_a_task_stands_right_of_what_it_waits_for(depends: Graph) -> None:
    drawing = drawn(depends, True)
    boxes = drawing.boxes if drawing else {}
    needed = {task: names for task, names in depends.items() if boxes}
    assert all(boxes[name].x + boxes[name].width < boxes[task].x for task, names in needed.items() for name in names)


def test_what_nobody_could_follow_is_not_drawn() -> None:
    many = tuple((f"t{n}", ()) for n in range(MOST_TASKS + 1))
    assert layout(many, (8,) * len(many), True) is None
    chain = tuple((f"t{n}", tuple(f"t{m}" for m in range(n))) for n in range(MOST_TASKS))
    assert layout(chain, (8,) * len(chain), True) is None
    assert layout((), (), True) is None
