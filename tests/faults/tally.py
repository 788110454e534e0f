"""What the experiments found, counted: a table at the end of a run, and in docs/reliability.md."""

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
        rows = [HEAD, tuple("---" for _ in HEAD), *(row.cells() for row in self.rows.values())]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)

    def write(self, page: Path) -> None:
        """Put the table into its place on a page."""
        text = page.read_text("utf-8")
        before, _, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        assert end, f"{page} has no place for the table"
        page.write_text(f"{before}{BEGIN}\n{self.table()}\n{END}{after}", "utf-8")


def names_in(page: str) -> list[str]:
    """The tests that the table of a page names."""
    table = page.partition(BEGIN)[2].partition(END)[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("|")]
    return [cells[-2].strip().strip("`") for cells in rows[2:]]
