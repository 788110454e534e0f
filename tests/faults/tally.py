"""What the experiments found, counted: a table at the end of a run, and in docs/reliability.md."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: The table of the page stands between these.
BEGIN, END = "<!-- experiments -->", "<!-- end of experiments -->"

HEAD = ("experiment", "seeds", "injected", "survived", "lost", "test")


@dataclass
class Row:
    """One experiment, over all its seeds. `survived` and `lost` count what was accepted: runs, lines, triggers."""

    experiment: str
    test: str
    seeds: int = 0
    injected: int = 0
    survived: int = 0
    lost: int = 0

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        return (
            self.experiment,
            str(self.seeds),
            str(self.injected),
            f"{self.survived:,}",
            str(self.lost),
            f"`{self.test}`",
        )


class Tally:
    """The rows, in the order in which they came."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def record(self, experiment: str, test: str, *, injected: int, survived: int, lost: int) -> None:
        """One experiment with one seed."""
        row = self.rows.setdefault(test, Row(experiment, test))
        row.seeds += 1
        row.injected += injected
        row.survived += survived
        row.lost += lost

    def table(self) -> str:
        """In Markdown."""
        return _table([row.cells() for row in self.rows.values()])

    def write(self, page: Path) -> None:
        """Put the rows into the table of a page; rows of experiments that were not made this time stay."""
        text = page.read_text("utf-8")
        before, _, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        assert end, f"{page} has no place for the table"
        rows = {cells[-1]: cells for cells in [*_rows(text), *(row.cells() for row in self.rows.values())]}
        table = _table([rows[name] for name in sorted(rows)])
        page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", "utf-8")


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [HEAD, tuple("---" for _ in HEAD), *rows])


def _rows(page: str) -> list[tuple[str, ...]]:
    table = page.partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def names_in(page: str) -> list[str]:
    """The tests that the table of a page names."""
    return [cells[-1].strip("`") for cells in _rows(page)]
