"""What several places are made of: titled rules, tables whose columns give way, facts, frames."""

from collections.abc import Sequence
from dataclasses import dataclass

from cdktr.text import cells, clip, width
from cdktr.tui.view.canvas import CUT, Area
from cdktr.tui.view.glyphs import sign, wire


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; without room the highest `rank` goes first, what is left goes to those that grow."""

    title: str
    width: int
    rank: int = 0
    grows: int = 0
    right: bool = False
    #: The widest that it grows.
    most: int = 1_000


def fitted(columns: Sequence[Column], room: int) -> dict[int, int]:
    """Which columns there is room for, by their number, and how wide each is; a blank stands between two."""
    kept = dict(enumerate(columns))
    while len(kept) > 1 and sum(column.width + 1 for column in kept.values()) - 1 > room:
        del kept[max(kept, key=lambda number: (kept[number].rank, number))]
    widths = {number: column.width for number, column in kept.items()}
    left = room - sum(widths.values()) - len(widths) + 1
    while left > 0:
        growing = [n for n, column in kept.items() if column.grows and widths[n] < column.most]
        if not growing:
            break
        for number in growing:
            step = max(0, min(left, kept[number].grows, kept[number].most - widths[number]))
            widths[number] += step
            left -= step
    return widths


Cell = str | tuple[str, str]


def table_row(
    area: Area,
    y: int,
    x: int,
    columns: Sequence[Column],
    widths: dict[int, int],
    row: Sequence[Cell],
    lit: bool = False,
) -> None:
    """The cells of a row, each plain or with its style."""
    for number, size in widths.items():
        cell = row[number]
        text, style = cell if isinstance(cell, tuple) else (cell, "plain")
        text = clip(cells(text, area.look.unicode), size, CUT[area.look.unicode])
        shift = size - width(text) if columns[number].right else 0
        area.put(x + shift, y, text, style, lit)
        x += size + 1


def table_head(area: Area, y: int, x: int, columns: Sequence[Column], widths: dict[int, int]) -> None:
    """The titles of the columns."""
    table_row(area, y, x, columns, widths, [(column.title, "dim") for column in columns])


def rule(area: Area, y: int, title: str, more: str = "", style: str = "title", right: str = "") -> None:
    """A line with a title in it, something beside it, and something at its end."""
    line = sign(area.look, "hline")
    area.draw(0, y, line * area.width, "border")
    x = area.put(2, y, f" {title} ", style, room=area.width - 4) if title else 2
    if more and x < area.width - 6:
        # Where it just fits, up to the edge.
        more = f"{more} " if x + width(cells(more, area.look.unicode)) < area.width else more
        x = area.put(x, y, more, "dim", room=area.width - x)
    if right and width(right) + x + 4 < area.width:
        area.put(area.width - width(cells(right, area.look.unicode)) - 3, y, f" {right} ", "dim")


def fact(area: Area, y: int, name: str, value: str, style: str = "plain", label: int = 10) -> None:
    """A name and a value."""
    area.put(1, y, name, "dim", room=label - 2)
    area.put(label, y, value, style)


def box(area: Area, title: str) -> Area:
    """A frame with a title, cleared; what is inside."""
    area.fill()
    right, bottom = area.width - 1, area.height - 1
    line = wire(area.look, 10)
    for y, corners in ((0, (6, 12)), (bottom, (3, 9))):
        area.draw(0, y, wire(area.look, corners[0]) + line * (right - 1) + wire(area.look, corners[1]), "border")
    for y in range(1, bottom):
        area.draw(0, y, wire(area.look, 5), "border")
        area.draw(right, y, wire(area.look, 5), "border")
    area.put(2, 0, f" {title} ", "title", room=area.width - 4)
    return area.part(2, 1, area.width - 4, area.height - 2)


def middle(area: Area, columns: int, rows: int) -> Area:
    """A part of that size in the middle, smaller where there is no such room."""
    columns, rows = min(columns, area.width), min(rows, area.height)
    return area.part((area.width - columns) // 2, (area.height - rows) // 2, columns, rows)


def note(area: Area, y: int, text: str, style: str = "dim") -> None:
    """A remark in place of something."""
    area.put(2, y, text, style)


def broken(text: str, columns: int) -> list[str]:
    """Words in rows."""
    rows: list[str] = []
    for word in cells(text).split():
        if rows and width(rows[-1]) + 1 + width(word) <= columns:
            rows[-1] += f" {word}"
        else:
            rows.append(word)
    return rows
