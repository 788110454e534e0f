"""Where the boxes of a graph stand and which way its edges go: in layers from left to right, with few crossings.

The layers are those of `Dag`; an edge that passes a layer by has a place of its own in it. Orders come from repeated
sweeps by the mean of the neighbours, heights from the same means kept apart. Between two layers, tasks that are waited
for by the same tasks share one wire: whatever enters it is waited for by all that it leads to. A wire that ends in the
row where another begins would run into it: their columns are ordered so that it does not, and where that goes round in
a circle one of them takes a detour through a free row. Wires to the same task join before it.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from cdktr.dag import Dag

#: Directions in which a wire leaves its cell.
N, E, S, W = 1, 2, 4, 8

#: Tasks, and places in layers, beyond which no boxes are drawn: nobody could follow them, and it would take too long.
MOST_TASKS = 150
MOST_PLACES = 1_500

#: Sweeps over the layers, for the order and for the heights.
SWEEPS = 8

#: A graph as a key: each task with what it waits for.
Depends = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A task: its left upper corner, its size, its layer."""

    x: int
    y: int
    width: int
    height: int
    layer: int

    @property
    def middle(self) -> int:
        """The row of its wires."""
        return self.y + self.height // 2


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing: boxes by task, the directions of the wires by (x, y), and where they end in an arrow."""

    boxes: Mapping[str, Box]
    wires: Mapping[tuple[int, int], int]
    arrows: frozenset[tuple[int, int]]
    width: int
    height: int


@dataclass(slots=True)
class _Place:
    """A task in its layer, or an edge that passes the layer by."""

    name: str
    layer: int
    size: int
    before: list["_Place"] = field(default_factory=list)
    after: list["_Place"] = field(default_factory=list)
    #: The place among its neighbours, and the row of its wires.
    order: float = 0.0
    row: float = 0.0

    @property
    def half(self) -> int:
        """Rows above the one of its wires."""
        return self.size // 2


@dataclass(slots=True, eq=False)
class _Wire:
    """From rows on the left to rows on the right, by way of a column between two layers."""

    left: list[int]
    right: list[int]
    #: Wires whose column must be further left.
    beyond: list["_Wire"] = field(default_factory=list)
    #: The first half of a detour, of which this is the second.
    first: "_Wire | None" = None
    column: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """The rows that its column takes."""
        return min(self.left + self.right), max(self.left + self.right)

    @property
    def is_straight(self) -> bool:
        """It needs no column."""
        return self.left == self.right and len(self.left) == 1


@lru_cache(maxsize=32)
def layout(depends: Depends, widths: tuple[int, ...], tall: bool) -> Layout | None:
    """The drawing, with the width of each box; boxes are three rows high or one. None for a graph that is too large."""
    dag = Dag(dict(depends))
    layers = _places(dag, 3 if tall else 1)
    if layers is None:
        return None
    _order(layers)
    _raise(layers)
    drawing = _Drawing(dict(zip(dag.tasks, widths, strict=True)))
    drawing.draw(layers)
    return drawing.done()


def _places(dag: Dag, size: int) -> list[list[_Place]] | None:
    rows = dag.layers()
    if not 0 < len(dag) <= MOST_TASKS:
        return None
    layers: list[list[_Place]] = [[_Place(task, number, size) for task in row] for number, row in enumerate(rows)]
    tasks = {place.name: place for layer in layers for place in layer}
    #: Edges of one task share their places on the way.
    ways: dict[tuple[str, int], _Place] = {}
    for name, dependent in dag.edges():
        at, end = tasks[name], tasks[dependent]
        while at.layer + 1 < end.layer:
            key = (name, at.layer + 1)
            if key not in ways:
                ways[key] = _Place("", at.layer + 1, 1)
                layers[at.layer + 1].append(ways[key])
                _join(at, ways[key])
            at = ways[key]
        _join(at, end)
    return layers if sum(map(len, layers)) <= MOST_PLACES else None


def _join(one: _Place, other: _Place) -> None:
    one.after.append(other)
    other.before.append(one)


def _order(layers: list[list[_Place]]) -> None:
    """Sort each layer so that few edges cross: the best that the sweeps found."""
    _number(layers)
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for layer in layers if forward else reversed(layers):
            keys = {id(place): _mean(place.before if forward else place.after, place.order) for place in layer}
            layer.sort(key=lambda place: keys[id(place)])
            for number, place in enumerate(layer):
                place.order = number
        count = _crossings(layers)
        if count < fewest:
            best, fewest = [list(layer) for layer in layers], count
    for layer, kept in zip(layers, best, strict=True):
        layer[:] = kept
    _number(layers)


def _number(layers: Iterable[list[_Place]]) -> None:
    for layer in layers:
        for number, place in enumerate(layer):
            place.order = number


def _mean(places: Sequence[_Place], default: float) -> float:
    return sum(place.order for place in places) / len(places) if places else default


def _crossings(layers: Sequence[Sequence[_Place]]) -> int:
    count = 0
    for layer in layers:
        edges = sorted((place.order, other.order) for place in layer for other in place.after)
        ends: list[float] = []
        for _, end in edges:
            count += len(ends) - bisect_right(ends, end)
            insort(ends, end)
    return count


def _raise(layers: list[list[_Place]]) -> None:
    """Give each place its row: near the mean of its neighbours, and apart from those beside it."""
    for layer in layers:
        _settle(layer, [0.0] * len(layer))
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for layer in layers if forward else reversed(layers):
            wanted = []
            for place in layer:
                rows = sorted(other.row for other in (place.before if forward else place.after))
                middle = len(rows) // 2
                wanted.append((rows[middle] + rows[(len(rows) - 1) // 2]) / 2 if rows else place.row)
            _settle(layer, wanted)
    top = min(place.row - place.half for layer in layers for place in layer)
    for layer in layers:
        for place in layer:
            place.row -= top


def _settle(layer: Sequence[_Place], wanted: Sequence[float]) -> None:
    """Rows as near to the wanted ones as their sizes allow, in order: neighbours that would meet move as a block."""
    offsets = [0]
    for above, below in pairwise(layer):
        offsets.append(offsets[-1] + above.size - above.half + below.half)
    #: (sum, count) of places that move together.
    blocks: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        blocks.append((want - offset, 1))
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            (last, many), (first, few) = blocks.pop(), blocks.pop()
            blocks.append((first + last, few + many))
    bases = [total / count for total, count in blocks for _ in range(count)]
    for place, base, offset in zip(layer, bases, offsets, strict=True):
        place.row = math.floor(base + 0.5) + offset


class _Drawing:
    """The cells, filled layer by layer."""

    def __init__(self, widths: Mapping[str, int]) -> None:
        self._widths = widths
        self._boxes: dict[str, Box] = {}
        #: Of each cell the directions of each wire in it.
        self._cells: dict[tuple[int, int], dict[int, int]] = {}
        self._arrows: set[tuple[int, int]] = set()

    def draw(self, layers: Sequence[Sequence[_Place]]) -> None:
        """All layers, and between them the wires."""
        x = 0
        for number, layer in enumerate(layers):
            width = max((self._widths[place.name] for place in layer if place.name), default=1)
            for place in layer:
                row = int(place.row)
                if place.name:
                    self._boxes[place.name] = Box(x, row - place.half, width, place.size, number)
                else:
                    self._across(id(place), row, x - 1, x + width)
            if number + 1 < len(layers):
                x = self._channel(layer, x + width)

    def _channel(self, layer: Sequence[_Place], x: int) -> int:
        """The wires from a layer to the next, from column `x` on; where the next begins."""
        groups: dict[frozenset[int], _Wire] = {}
        for place in layer:
            if place.after:
                rows = sorted({int(other.row) for other in place.after})
                groups.setdefault(frozenset(rows), _Wire([], rows)).left.append(int(place.row))
        wires, columns = _columns(list(groups.values()))
        step = 2 if columns <= 3 else 1
        end = x + columns * step + 2
        firsts = {id(wire.first) for wire in wires}
        for wire in wires:
            start = x - 1 if wire.first is None else x + 1 + wire.first.column * step
            self._wire(wire, start, x + 1 + wire.column * step, None if id(wire) in firsts else end)
        for place in layer:
            self._arrows |= {(end - 1, int(other.row)) for other in place.after if other.name}
        return end

    def _wire(self, wire: _Wire, start: int, column: int, end: int | None) -> None:
        """From `start` to its column, along it, and on to `end`, unless it is the first half of a detour."""
        if not wire.is_straight:
            for row in wire.left:
                self._across(id(wire), row, start, column)
            self._down(id(wire), column, *wire.span)
            start = column
        for row in wire.right if end is not None else ():
            self._across(id(wire), row, start, end or start)

    def _across(self, wire: int, row: int, start: int, end: int) -> None:
        """From the middle of the cell `start` to that of `end`."""
        for x in range(start, end + 1):
            self._mark(wire, x, row, (W if x > start else 0) | (E if x < end else 0))

    def _down(self, wire: int, column: int, top: int, bottom: int) -> None:
        for y in range(top, bottom + 1):
            self._mark(wire, column, y, (N if y > top else 0) | (S if y < bottom else 0))

    def _mark(self, wire: int, x: int, y: int, directions: int) -> None:
        cell = self._cells.setdefault((x, y), {})
        cell[wire] = cell.get(wire, 0) | directions

    def done(self) -> Layout:
        """The drawing."""
        wires = {place: _met(list(cell.values())) for place, cell in self._cells.items()}
        boxes = self._boxes.values()
        width = max((box.x + box.width for box in boxes), default=0)
        height = max([box.y + box.height for box in boxes] + [y + 1 for _, y in wires], default=0)
        return Layout(self._boxes, wires, frozenset(self._arrows), width, height)


def _met(wires: Sequence[int]) -> int:
    """What is seen where wires meet: where two cross without touching, the horizontal one is hidden."""
    if set(wires) == {N | S, E | W}:
        return N | S
    seen = 0
    for directions in wires:
        seen |= directions
    return seen


def _columns(wires: list[_Wire]) -> tuple[list[_Wire], int]:
    """Each wire that needs one gets a column, so that none runs into another; the wires, and how many columns."""
    wires = _detoured(wires)
    #: Of each column the spans in it.
    taken: list[list[tuple[int, int]]] = []
    for wire in _sorted(wires):
        if wire.is_straight:
            continue
        top, bottom = wire.span
        column = max((each.column + 1 for each in wire.beyond), default=0)
        while any(top <= low and high <= bottom for high, low in (taken[column] if column < len(taken) else ())):
            column += 1
        while len(taken) <= column:
            taken.append([])
        taken[column].append((top, bottom))
        wire.column = column
    return wires, len(taken)


def _detoured(wires: list[_Wire]) -> list[_Wire]:
    """The wires with constraints on their columns that can be kept: where they go round, one is cut in two."""
    lowest = max((wire.span[1] for wire in wires), default=0)
    # Each cut takes one, so there are enough of them.
    free = sorted(set(range(lowest + len(wires) + 1)) - _rows(wires))
    while True:
        for wire in wires:
            wire.beyond = [other for other in wires if _runs_into(other, wire)]
            if wire.first is not None:
                wire.beyond.append(wire.first)
        ordered = _sorted(wires)
        held = [wire for wire in wires if wire not in ordered]
        if not held:
            return wires
        cut = min(_circle(held), key=lambda wire: len(wire.left) + len(wire.right))
        row = min(free, key=lambda row: abs(row - cut.left[0]))
        free.remove(row)
        first = _Wire(cut.left, [row])
        wires = [each for each in wires if each is not cut]
        wires += [first, _Wire([row], cut.right, first=first)]


def _circle(held: Sequence[_Wire]) -> list[_Wire]:
    """Wires that wait for each other."""
    way = [held[0]]
    while True:
        ahead = next(wire for wire in way[-1].beyond if wire in held)
        if ahead in way:
            return way[way.index(ahead) :]
        way.append(ahead)


def _rows(wires: Iterable[_Wire]) -> set[int]:
    return {row for wire in wires for row in wire.left + wire.right}


def _runs_into(one: _Wire, other: _Wire) -> bool:
    """Whether `one` on its way to its column would meet `other` on its way from its own, unless it stops before."""
    if one is other or one.first is other:
        return False
    return any(row in other.right and row not in one.right for row in one.left)


def _sorted(wires: Sequence[_Wire]) -> list[_Wire]:
    """Wires after those that they must stand beyond; without those that wait for each other in a circle."""
    done: list[_Wire] = []
    ids: set[int] = set()
    left = list(wires)
    while ready := [wire for wire in left if all(id(each) in ids for each in wire.beyond)]:
        done += ready
        ids |= {id(wire) for wire in ready}
        left = [wire for wire in left if id(wire) not in ids]
    return done
