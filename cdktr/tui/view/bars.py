"""The durations of the last runs of a workflow as bars, and what ended badly marked below."""

from collections.abc import Sequence
from statistics import median

from cdktr.tui.state.facts import BAD, Run
from cdktr.tui.view.canvas import Area
from cdktr.tui.view.glyphs import bar, status
from cdktr.tui.view.times import duration


def bars(area: Area, runs: Sequence[Run], selected: str) -> None:
    """A bar a run, the latest at the right; the last row marks failures and the selected run."""
    timed = [run for run in reversed(runs) if run.started_ms is not None and run.ended_ms is not None]
    if not timed or area.height < 2:
        return
    legend = _legend(timed)
    room = area.width - len(legend[0]) - 2
    timed = timed[-max(room, 1) :]
    rows = area.height - 1
    most = max(max(_seconds(run) for run in timed), 0.001)
    for x, run in enumerate(timed):
        style = "bad" if run.status in BAD else "bar"
        eighths = max(1, round(_seconds(run) / most * rows * 8))
        for row in range(rows):
            area.draw(x, rows - 1 - row, bar(area.look, eighths - row * 8) if eighths > row * 8 else " ", style)
        if run.status in BAD:
            area.draw(x, rows, status(area.look, run.status)[0], "bad")
        elif run.id == selected:
            area.draw(x, rows, "^", "key")
    x = len(timed) + 2
    for y, text in enumerate(legend[: area.height]):
        area.put(x, y, text, "dim")


def _seconds(run: Run) -> float:
    return ((run.ended_ms or 0) - (run.started_ms or 0)) / 1000


def _legend(runs: Sequence[Run]) -> list[str]:
    seconds = [_seconds(run) for run in runs]
    bad = sum(run.status in BAD for run in runs)
    lines = [f"longest {duration(max(seconds))}", f"median  {duration(median(seconds))}"]
    size = max(map(len, [*lines, f"{bad} of {len(runs)} failed"]))
    return [line.ljust(size) for line in (*lines, f"{bad} of {len(runs)} failed")]
