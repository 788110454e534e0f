"""A reader of the drawing who follows its wires finds exactly the edges of the graph."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdktr.tui.state.layout import MOST_TASKS, E, Layout, N, S, W, layout

STEPS = {N: (0, -1), E: (1, 0), S: (0, 1), W: (-1, 0)}
BACK = {N: S, S: N, E: W, W: E}


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Task ids, each with some of those before it."""
    ids = [f"t{number}" for number in range(draw(st.integers(1, 12)))]
    return {
        task: tuple(draw(st.lists(st.sampled_from(ids[:n]), unique=True, max_size=4))) if n else ()
        for n, task in enumerate(ids)
    }


def drawn(depends: dict[str, tuple[str, ...]], tall: bool) -> Layout:
    """The drawing, with boxes of one width."""
    found = layout(tuple(depends.items()), (8,) * len(depends), tall)
    assert found is not None
    return found


def reached(drawing: Layout, task: str) -> set[str]:
    """The tasks whose boxes the wire from one leads to: never back to the left, and straight on where wires cross."""
    ends = {(box.x, box.middle): name for name, box in drawing.boxes.items()}
    start = drawing.boxes[task]
    todo = [((start.x + start.width - 1, start.middle), E)]
    seen, found = set(todo), set()
    while todo:
        (x, y), way = todo.pop()
        at = (x + STEPS[way][0], y + STEPS[way][1])
        if way == E and at in ends:
            found.add(ends[at])
            continue
        directions = drawing.wires.get(at, 0)
        if not directions & BACK[way]:
            # A wire that is hidden by another goes on behind it.
            ways = [way] if directions == N | S and way == E else []
        else:
            ways = [each for each in (N, E, S) if directions & each and each != BACK[way]]
        for each in ways:
            if (at, each) not in seen:
                seen.add((at, each))
                todo.append((at, each))
    return found


@given(graphs(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_wires_lead_from_each_task_to_those_that_wait_for_it(depends: dict[str, tuple[str, ...]], tall: bool) -> None:
    drawing = drawn(depends, tall)
    for task in depends:
        waiting = {name for name, needs in depends.items() if task in needs}
        assert waiting <= reached(drawing, task)


#: A wire here would run into another if their columns were in the other order.
TIGHT: dict[str, tuple[str, ...]] = {
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


@st.composite
def trees(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Task ids, each with one of those before it or none."""
    ids = [f"t{number}" for number in range(draw(st.integers(1, 14)))]
    return {
        task: (draw(st.sampled_from(ids[:n])),) if n and draw(st.integers(0, 4)) else () for n, task in enumerate(ids)
    }


@given(trees(), st.booleans())
@example(TIGHT, False)
@settings(max_examples=300, deadline=None)
def test_where_no_wires_join_nobody_sees_an_edge_that_is_none(depends: dict[str, tuple[str, ...]], tall: bool) -> None:
    drawing = drawn(depends, tall)
    for task in depends:
        assert reached(drawing, task) == {name for name, needs in depends.items() if task in needs}


@given(graphs(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_boxes_do_not_overlap_and_stand_inside(depends: dict[str, tuple[str, ...]], tall: bool) -> None:
    drawing = drawn(depends, tall)
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
def test_a_task_stands_right_of_what_it_waits_for(depends: dict[str, tuple[str, ...]]) -> None:
    boxes = drawn(depends, True).boxes
    assert all(boxes[name].x + boxes[name].width < boxes[task].x for task, names in depends.items() for name in names)


def test_what_nobody_could_follow_is_not_drawn() -> None:
    many = tuple((f"t{n}", ()) for n in range(MOST_TASKS + 1))
    assert layout(many, (8,) * len(many), True) is None
    chain = tuple((f"t{n}", tuple(f"t{m}" for m in range(n))) for n in range(MOST_TASKS))
    assert layout(chain, (8,) * len(chain), True) is None
    assert layout((), (), True) is None
