"""A grid of cells to draw on, and parts of it. What goes over an edge is cut; a wide character is never cut in half."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from cdktr.text import cells, clip, width
from cdktr.tui.state.model import Look
from cdktr.tui.state.room import Rect


class Span(NamedTuple):
    """Text of one style; `lit` is the bar of a selection."""

    text: str
    style: str = "plain"
    lit: bool = False


class Zone(NamedTuple):
    """A part of a row that can be clicked: `target` is what kind of thing is there, `key` which one."""

    x: int
    y: int
    width: int
    target: str
    key: str


Row = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole screen."""

    rows: tuple[Row, ...]
    zones: tuple[Zone, ...]

    @property
    def text(self) -> str:
        """Without styles, for tests and pages."""
        return "\n".join("".join(span.text for span in row).rstrip() for row in self.rows)


#: Ends what is cut, by whether there is Unicode.
CUT = {True: "…", False: "~"}


class Canvas:
    """All cells of a screen."""

    def __init__(self, columns: int, rows: int, look: Look) -> None:
        self.columns = columns
        self.look = look
        #: The second cell of a wide character is "".
        self._text = [[" "] * columns for _ in range(rows)]
        self._styles = [[("plain", False)] * columns for _ in range(rows)]
        self.zones: list[Zone] = []

    def write(self, x: int, y: int, text: str, columns: int, style: str, lit: bool) -> None:
        """Text made of cells, of so many columns, that begins and ends inside of the row."""
        row = self._text[y]
        end = x + columns
        # Half a character is none.
        if row[x] == "":
            row[x - 1] = " "
        if end < self.columns and row[end] == "":
            row[end] = " "
        row[x:end] = text if columns == len(text) else _spread(text)
        self._styles[y][x:end] = [(style, lit)] * columns

    def frame(self) -> Frame:
        """What was drawn."""
        rows = [_row(text, styles) for text, styles in zip(self._text, self._styles, strict=True)]
        return Frame(tuple(rows), tuple(self.zones))


def _spread(text: str) -> list[str]:
    spread: list[str] = []
    for char in text:
        spread.append(char)
        if width(char) == 2:
            spread.append("")
    return spread


def _row(text: Sequence[str], styles: Sequence[tuple[str, bool]]) -> Row:
    spans = []
    at = 0
    for style, same in groupby(styles):
        end = at + len(list(same))
        spans.append(Span("".join(text[at:end]), *style))
        at = end
    return tuple(spans)


class Area:
    """A part of the canvas, with coordinates of its own."""

    def __init__(self, canvas: Canvas, rect: Rect) -> None:
        self._canvas = canvas
        self.rect = rect
        self.look = canvas.look

    @property
    def width(self) -> int:
        """Its columns."""
        return self.rect.width

    @property
    def height(self) -> int:
        """Its rows."""
        return self.rect.height

    def part(self, x: int, y: int, columns: int, rows: int) -> "Area":
        """A part of it, as much as there is."""
        columns, rows = min(columns, self.width - x), min(rows, self.height - y)
        return Area(self._canvas, Rect(self.rect.x + x, self.rect.y + y, max(columns, 0), max(rows, 0)))

    def below(self, rows: int) -> "Area":
        """All but its first rows."""
        return self.part(0, rows, self.width, self.height - rows)

    def put(self, x: int, y: int, text: str, style: str = "plain", lit: bool = False, room: int | None = None) -> int:
        """Text from anywhere, in at most `room` columns, its cut marked; the column after it."""
        if not 0 <= y < self.height or x >= self.width:
            return x
        room = self.width - max(x, 0) if room is None else min(room, self.width - x)
        text = clip(cells(text, self.look.unicode), max(room, 0), CUT[self.look.unicode])
        return self._write(x, y, text, style, lit)

    def draw(self, x: int, y: int, text: str, style: str = "plain", lit: bool = False) -> int:
        """Characters of our own, any part of which may lie outside; the column after them."""
        if not 0 <= y < self.height:
            return x
        text, x = text[max(-x, 0) :], max(x, 0) if x + len(text) > 0 else x
        room = max(self.width - x, 0)
        # A mark that says that it was cut has no place here.
        text = clip(text, room, "")
        return self._write(x, y, text, style, lit)

    def _write(self, x: int, y: int, text: str, style: str, lit: bool) -> int:
        if not text:
            return x
        columns = width(text)
        self._canvas.write(self.rect.x + x, self.rect.y + y, text, columns, style, lit)
        return x + columns

    def right(self, y: int, text: str, style: str = "plain", lit: bool = False) -> int:
        """Text at the right edge; the column where it begins."""
        text = clip(cells(text, self.look.unicode), self.width, CUT[self.look.unicode])
        x = self.width - width(text)
        self.put(x, y, text, style, lit)
        return x

    def fill(self, style: str = "plain", lit: bool = False, y: int | None = None) -> None:
        """Blanks, in all rows or in one."""
        for row in range(self.height) if y is None else (y,):
            if 0 <= row < self.height and self.width:
                self._canvas.write(self.rect.x, self.rect.y + row, " " * self.width, self.width, style, lit)

    def zone(self, x: int, y: int, columns: int, target: str, key: str) -> None:
        """What a click there is about."""
        if 0 <= y < self.height:
            self._canvas.zones.append(Zone(self.rect.x + x, self.rect.y + y, min(columns, self.width - x), target, key))
