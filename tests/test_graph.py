"""Graphs drawn in characters, held against pictures of them."""

from collections.abc import Mapping

import pytest

from cdktr import graph


def lines(text: str) -> list[str]:
    """A golden text as a list: without the first line break, and without the margin."""
    rows = text.strip("\n").split("\n")
    margin = min(len(row) - len(row.lstrip()) for row in rows if row.strip())
    return [row[margin:].rstrip() for row in rows[:-1]]


def drawn(depends: Mapping[str, str], columns: int = 40, boxes: bool = True) -> list[str]:
    """A graph of tasks with names of one letter, as lines."""
    rows = graph.draw({task: list(needs) for task, needs in depends.items()}, columns, boxes)
    width = max(len(art) for art, _ in rows)
    return [f"{art:<{width}} {task}".rstrip() for art, task in rows]


GRAPHS: dict[str, tuple[dict[str, str], str]] = {
    "one": ({"a": ""}, """
        ○ a
        """),
    "chain": ({"a": "", "b": "a", "c": "b"}, """
        ○ a
        ▼ b
        ▼ c
        """),
    "unrelated": ({"a": "", "b": "", "c": ""}, """
        ○ a
        ○ b
        ○ c
        """),
    "fan-out": ({"a": "", "b": "a", "c": "a", "d": "a"}, """
        ○   a
        ├─► b
        ├─► c
        ▼   d
        """),
    "fan-in": ({"a": "", "b": "", "c": "", "d": "abc"}, """
        ○─┐ a
        ○─┤ b
        ○─┤ c
          ▼ d
        """),
    "diamond": ({"a": "", "b": "a", "c": "a", "d": "bc"}, """
        ○     a
        ├─►─┐ b
        ▼───┤ c
            ▼ d
        """),
    "shortcut": ({"a": "", "b": "a", "c": "ab"}, """
        ○   a
        ├─► b
        └─▼ c
        """),
    "all with all": ({"a": "", "b": "", "c": "ab", "d": "ab"}, """
        ○─┐   a
        ○─┤   b
          ├─► c
          ▼   d
        """),
    "two chains": ({"a": "", "b": "a", "c": "a", "d": "b", "e": "c", "f": "de"}, """
        ○     a
        ├─►   b
        ▼ │   c
        │ ▼─┐ d
        ▼───┤ e
            ▼ f
        """),
    "crossing": ({"a": "", "b": "", "c": "a", "d": "ab", "e": "bc", "f": "a", "g": "defa"}, """
        ○           a
        │ ○         b
        ├─│─►       c
        ├─┼─│─►─┐   d
        ├─│─│─►─┤   f
        │ └─▼───┤   e
        └───────▼   g
        """),
    "way back": ({"a": "", "b": "", "c": "a", "d": "b", "e": "cd", "f": "cd", "g": "b"}, """
        ○         a
        │ ○       b
        ▼─│─┐     c
          ├─│─►   d
          │ ├─┘
          ▼ │     g
            ├─►   e
            ▼     f
        """),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_drawn(name: str) -> None:
    depends, picture = GRAPHS[name]
    rows = drawn(depends)
    expected = lines(picture)
    assert [row.split() for row in rows] == [row.split() for row in expected]
    assert [row.rstrip("abcdefg ") for row in rows] == [row.rstrip("abcdefg ") for row in expected]


def test_a_graph_without_box_characters() -> None:
    assert drawn({"a": "", "b": "a", "c": "a", "d": "bc"}, boxes=False) == lines(
        """
        o     a
        +->-+ b
        v---+ c
            v d
        """
    )


def test_wide_fans_take_two_lines() -> None:
    middle = {f"m{n}": ["first"] for n in range(100)}
    rows = graph.draw({"first": [], **middle, "last": list(middle)}, 10)
    assert max(len(art) for art, _ in rows) == 5
    assert len(rows) == 102


def test_a_graph_that_is_too_wide_is_told_in_words() -> None:
    chains: dict[str, list[str]] = {f"a{n}": [] for n in range(9)} | {f"b{n}": [f"a{n}"] for n in range(9)}
    rows = graph.draw({**chains, "z": list(chains)}, 12)
    assert {task: art for art, task in rows} == (
        {f"a{n}": "" for n in range(9)} | {f"b{n}": f"after a{n}" for n in range(9)} | {"z": "after 18 tasks"}
    )
