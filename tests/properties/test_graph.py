"""A reader of the drawing finds exactly the edges of the graph."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cdktr.graph import Row, draw

#: Characters of a line that goes on below them.
DOWN = set("│├┼┐┤")


@st.composite
def graphs(draw_from: st.DrawFn) -> dict[str, list[str]]:
    """Task ids, each with some of those before it."""
    ids = [f"t{number}" for number in range(draw_from(st.integers(1, 9)))]
    return {task: draw_from(st.lists(st.sampled_from(ids[:n]), unique=True)) if n else [] for n, task in enumerate(ids)}


def edges_of(rows: list[Row]) -> set[tuple[str, str]]:
    """The edges that somebody sees who follows the lines from the top."""
    edges: set[tuple[str, str]] = set()
    #: The tasks above that a line comes from, by its column.
    sources: dict[int, set[str]] = {}
    at, last = 0, ""
    for art, task in rows:
        if task:
            at, last = next(n for n, char in enumerate(art) if char in "○►▼"), task
            # What goes down from a task is its own line, unless it left to the right.
            before = {n: found for n, found in sources.items() if n <= at}
            start = _left_end(art, at)
            joined = [n for n in before if (n == at and art[n] == "▼") or (start <= n < at and art[n] in "├└┼┴")]
            edges |= {(source, task) for n in joined for source in before[n]}
            right = next((n for n in range(at + 1, len(art)) if art[n] in "┐┤"), None)
            if right is not None:
                # The first of these begins there, whatever stands above it.
                sources[right] = {task} | (sources[right] if art[right] == "┤" else set())
            if art[at] == "▼":
                sources.pop(at)
            sources = {n: found for n, found in sources.items() if n < len(art) and (art[n] in DOWN or n == at)}
            if right is None:
                sources[at] = {task}
        else:
            left = next(n for n, char in enumerate(art) if char == "├")
            sources.pop(at)
            sources[left].add(last)
    return edges


def _left_end(art: str, at: int) -> int:
    """Where the horizontal line that ends at a task begins."""
    while at >= 2 and art[at - 1] == "─":
        at -= 2
    return at


@settings(max_examples=200)
@given(graphs())
def test_a_drawing_shows_the_edges_and_no_others(depends: dict[str, list[str]]) -> None:
    rows = draw(depends, 1000)
    assert edges_of(rows) == {(source, task) for task, needs in depends.items() for source in needs}
    assert sorted(task for _, task in rows if task) == sorted(depends)
    assert len(rows) <= 2 * len(depends)
