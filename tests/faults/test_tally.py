"""The table of the experiments, and the page that keeps it."""

import ast
from pathlib import Path

import pytest

from tests.faults.tally import BEGIN, END, Tally, names_in

ROOT = Path(__file__).resolve().parents[2]


def functions(path: Path) -> set[str]:
    """The functions of a file."""
    return {node.name for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)}


def test_every_row_of_the_page_names_a_test_that_exists() -> None:
    named = names_in((ROOT / "docs" / "reliability.md").read_text("utf-8"))
    assert len(named) > 10
    for name in named:
        path, _, function = name.partition("::")
        assert function in functions(ROOT / path), name


def test_seeds_are_added_up() -> None:
    tally = Tally()
    for _ in range(3):
        tally.record("it breaks", "tests/a.py::test_b", injected=2, survived=1000, lost=1)
    tally.record("other", "tests/a.py::test_c", injected=1, survived=1, lost=0)
    assert tally.table().splitlines()[2:] == [
        "| it breaks | 3 | 6 | 3,000 | 3 | `tests/a.py::test_b` |",
        "| other | 1 | 1 | 1 | 0 | `tests/a.py::test_c` |",
    ]


def test_the_table_is_put_into_its_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nAfter\n")
    tally = Tally()
    tally.record("it breaks", "tests/a.py::test_b", injected=2, survived=1000, lost=1)
    for _ in range(2):
        tally.write(page)
    assert page.read_text() == f"# Before\n\n{BEGIN}\n{tally.table()}\n{END}\n\nAfter\n"
    assert names_in(page.read_text()) == ["tests/a.py::test_b"]


def test_rows_that_were_not_made_again_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    for name, survived in (("c", 1), ("b", 2), ("c", 3)):
        tally = Tally()
        tally.record(f"experiment {name}", f"tests/a.py::test_{name}", injected=1, survived=survived, lost=0)
        tally.write(page)
    assert page.read_text().splitlines()[3:-1] == [
        "| experiment b | 1 | 1 | 2 | 0 | `tests/a.py::test_b` |",
        "| experiment c | 1 | 1 | 3 | 0 | `tests/a.py::test_c` |",
    ]


def test_a_page_without_a_place_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    with pytest.raises(AssertionError, match="no place"):
        Tally().write(page)
    assert page.read_text() == "# Page\n"
