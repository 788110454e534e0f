"""Where the boxes of a graph stand and which way its edges go: in layers from left to right, with few crossings.

The layers are those of `Dag`; an edge that passes a layer by has a place of its own in it. Orders come from repeated
sweeps by the mean of the neighbours, heights from the same means kept apart. What is between two layers is decided by
`channel`: somebody who follows the wires to the right finds what waits for a task, and nothing else.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from cdktr.dag import Dag
from cdktr.tui.state.channel import Net, channel

#: Directions in which a wire leaves its cell.
N, E, S, W = 1, 2, 4, 8

#: Tasks, and places in layers, beyond which no boxes are drawn: nobody could follow them, and it would take too long.
MOST_TASKS = 150
MOST_PLACES = 300

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


#: (x, y), and what wires lead to: a task, a net, or a place where a task is passed by.
Cell = tuple[int, int]
Node = str | int


class Way(NamedTuple):
    """Up or down to a row, in it to a column, and what is there."""

    row: int
    x: int
    node: Node


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing: boxes by task, the directions of the wires by cell, and where they end in an arrow."""

    boxes: Mapping[str, Box]
    wires: Mapping[Cell, int]
    arrows: frozenset[Cell]
    width: int
    height: int
    #: The ways of each node to the right and to the left.
    ahead: Mapping[Node, Sequence[Way]]
    back: Mapping[Node, Sequence[Way]]

    def lines_of(self, task: str) -> dict[Cell, int]:
        """The directions, by cell, of the wires from what a task waits for and to what waits for it."""
        found: dict[Cell, int] = {}
        box = self.boxes[task]
        for ways, start in ((self.ahead, box.x + box.width - 1), (self.back, box.x)):
            todo: list[tuple[int, int, Node]] = [(start, box.middle, task)]
            seen = set(todo)
            while todo:
                x, row, node = todo.pop()
                for way in ways.get(node, ()):
                    _trace(found, (x, row), (x, way.row))
                    _trace(found, (x, way.row), (way.x, way.row))
                    at = (way.x, way.row, way.node)
                    if isinstance(way.node, int) and at not in seen:
                        seen.add(at)
                        todo.append(at)
        return found


def _trace(found: dict[Cell, int], one: Cell, other: Cell) -> None:
    """Add the straight line between the middles of two cells."""
    (left, top), (right, bottom) = sorted((one, other))
    back, ahead = (W, E) if top == bottom else (N, S)
    cells = [(x, y) for x in range(left, right + 1) for y in range(top, bottom + 1)]
    for cell in cells if len(cells) > 1 else ():
        directions = (back if cell != cells[0] else 0) | (ahead if cell != cells[-1] else 0)
        found[cell] = found.get(cell, 0) | directions


@dataclass(slots=True)
class _Place:
    """A task in its layer, or an edge that passes the layer by."""

    name: str
    layer: int
    #: Rows that it takes.
    size: int = 1
    before: list["_Place"] = field(default_factory=list)
    after: list["_Place"] = field(default_factory=list)
    #: The place among its neighbours, and the row of its wires.
    order: float = 0.0
    row: float = 0.0

    @property
    def half(self) -> int:
        """Rows above the one of its wires."""
        return self.size // 2


@lru_cache(maxsize=32)
def layout(depends: Depends, widths: tuple[int, ...], tall: bool) -> Layout | None:
    """The drawing, with the width of each box; boxes are three rows high or one. None for a graph that is too large."""
    layers = _ordered(depends)
    if layers is None:
        return None
    named = {task: width for (task, _), width in zip(depends, widths, strict=True)}
    if tall:
        return _drawn(layers, named, 3, 0)
    close = _drawn(layers, named, 1, 0)
    # Wires that have no room between the boxes go round below them; with room there they are shorter.
    if close is not None and close.height <= max(box.y for box in close.boxes.values()) + 2:
        return close
    apart = _drawn(layers, named, 1, 1)
    return min((each for each in (close, apart) if each), key=lambda each: (each.width, each.height), default=None)


@lru_cache(maxsize=8)
def _ordered(depends: Depends) -> list[list[_Place]] | None:
    """The layers, each in its order; that takes longest, and is the same for boxes of any size."""
    layers = _places(Dag(dict(depends)))
    if layers is not None:
        _order(layers)
    return layers


def _drawn(layers: Sequence[Sequence[_Place]], widths: Mapping[str, int], size: int, gap: int) -> Layout | None:
    for layer in layers:
        for place in layer:
            place.size = size if place.name else 1
    _raise(layers, gap)
    drawing = _Drawing(widths)
    return drawing.done() if drawing.draw(layers) else None


def _places(dag: Dag) -> list[list[_Place]] | None:
    if not 0 < len(dag) <= MOST_TASKS:
        return None
    layers: list[list[_Place]] = [[_Place(task, number) for task in row] for number, row in enumerate(dag.layers())]
    tasks = {place.name: place for layer in layers for place in layer}
    #: Edges of one task share their places on the way.
    ways: dict[tuple[str, int], _Place] = {}
    for name, dependent in dag.edges():
        at, end = tasks[name], tasks[dependent]
        while at.layer + 1 < end.layer:
            key = (name, at.layer + 1)
            if key not in ways:
                if len(tasks) + len(ways) == MOST_PLACES:
                    return None
                ways[key] = _Place("", at.layer + 1)
                layers[at.layer + 1].append(ways[key])
                _join(at, ways[key])
            at = ways[key]
        _join(at, end)
    return layers


def _join(one: _Place, other: _Place) -> None:
    one.after.append(other)
    other.before.append(one)


def _order(layers: list[list[_Place]]) -> None:
    """Sort each layer so that few edges cross: the best that the sweeps found."""
    _number(layers)
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(SWEEPS if fewest else 0):
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


def _raise(layers: Sequence[Sequence[_Place]], gap: int) -> None:
    """Give each place its row: near the mean of its neighbours, and apart from those beside it."""
    offsets = [_offsets(layer, gap) for layer in layers]
    for layer, apart in zip(layers, offsets, strict=True):
        _settle(layer, apart, [0.0] * len(layer))
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        order = range(len(layers)) if forward else range(len(layers) - 1, -1, -1)
        for number in order:
            wanted = []
            for place in layers[number]:
                near = place.before if forward else place.after
                if len(near) == 1:
                    wanted.append(near[0].row)
                    continue
                rows = sorted([other.row for other in near])
                middle = len(rows) // 2
                wanted.append((rows[middle] + rows[(len(rows) - 1) // 2]) / 2 if rows else place.row)
            _settle(layers[number], offsets[number], wanted)
    top = min(place.row - place.half for layer in layers for place in layer)
    for layer in layers:
        for place in layer:
            place.row -= top


def _offsets(layer: Sequence[_Place], gap: int) -> list[int]:
    """How far below the first of a layer each stands at least."""
    offsets = [0]
    for above, below in pairwise(layer):
        offsets.append(offsets[-1] + above.size - above.half + below.half + gap)
    return offsets


def _settle(layer: Sequence[_Place], offsets: Sequence[int], wanted: Sequence[float]) -> None:
    """Rows as near to the wanted ones as their sizes allow, in order: neighbours that would meet move as a block."""
    #: (sum, count) of places that move together.
    blocks: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        total, count = want - offset, 1
        while blocks and blocks[-1][0] * count > total * blocks[-1][1]:
            first, few = blocks.pop()
            total, count = first + total, few + count
        blocks.append((total, count))
    bases = [total / count for total, count in blocks for _ in range(count)]
    for place, base, offset in zip(layer, bases, offsets, strict=True):
        place.row = math.floor(base + 0.5) + offset


class _Drawing:
    """The cells, filled layer by layer."""

    def __init__(self, widths: Mapping[str, int]) -> None:
        self._widths = widths
        self._boxes: dict[str, Box] = {}
        #: Of each cell the directions of what goes up or down, of what begins or ends, and whether a wire passes.
        self._down: dict[Cell, int] = {}
        self._ends: dict[Cell, int] = {}
        self._passes: set[Cell] = set()
        self._arrows: set[Cell] = set()
        self._ahead: dict[Node, list[Way]] = {}
        self._back: dict[Node, list[Way]] = {}
        #: Kept, so that no two have one id.
        self._nets: list[Net] = []

    def draw(self, layers: Sequence[Sequence[_Place]]) -> bool:
        """All layers, and between them the wires; whether they can be followed."""
        x = 0
        for number, layer in enumerate(layers):
            width = max((self._widths[place.name] for place in layer if place.name), default=1)
            for place in layer:
                row = int(place.row)
                if place.name:
                    self._boxes[place.name] = Box(x, row - place.half, width, place.size, number)
            if number + 1 < len(layers):
                end = self._channel(layer, x, x + width)
                if end is None:
                    return False
                x = end
        return True

    def _channel(self, layer: Sequence[_Place], left: int, x: int) -> int | None:
        """The wires from a layer, which begins at `left`, to the next, from column `x` on; where the next begins."""
        places = {int(place.row): place for place in layer if place.after}
        found = channel({row: [int(other.row) for other in place.after] for row, place in places.items()})
        if found is None:
            return None
        nets, columns = found
        end = x + 2 * columns + 2
        #: What is passed by begins where its layer does.
        starts = {row: x - 1 if place.name else left for row, place in places.items()}
        ends = {int(other.row): other for place in places.values() for other in place.after}
        self._arrows |= {(end - 1, row) for row, other in ends.items() if other.name}
        for net in nets:
            if net.is_straight:
                row = net.left[0]
                self._way(_node(places[row]), starts[row], row, end, _node(ends[row]))
                continue
            at = x + 1 + 2 * net.column
            self._vertical(at, *net.span)
            for row in net.left:
                self._way(_node(places[row]), starts[row], row, at, id(net))
            for row in net.right:
                self._way(id(net), at, row, end, _node(ends[row]))
            for link in net.after:
                self._way(id(net), at, link.row, x + 1 + 2 * link.end.column, id(link.end))
        self._nets += nets
        return end

    def _way(self, start: Node, left: int, row: int, right: int, end: Node) -> None:
        """A wire from the middle of a cell to that of another."""
        self._ahead.setdefault(start, []).append(Way(row, right, end))
        self._back.setdefault(end, []).append(Way(row, left, start))
        self._ends[left, row] = self._ends.get((left, row), 0) | E
        self._ends[right, row] = self._ends.get((right, row), 0) | W
        self._passes.update([(x, row) for x in range(left + 1, right)])

    def _vertical(self, x: int, top: int, bottom: int) -> None:
        for y in range(top, bottom + 1):
            self._down[x, y] = (N if y > top else 0) | (S if y < bottom else 0)

    def done(self) -> Layout:
        """The drawing."""
        # Where two cross, the horizontal one is hidden.
        wires = dict.fromkeys(self._passes, E | W) | self._down
        for cell, directions in self._ends.items():
            wires[cell] = wires.get(cell, 0) | directions
        boxes = self._boxes.values()
        width = max((box.x + box.width for box in boxes), default=0)
        height = max([box.y + box.height for box in boxes] + [y + 1 for _, y in wires], default=0)
        return Layout(self._boxes, wires, frozenset(self._arrows), width, height, self._ahead, self._back)


def _node(place: _Place) -> Node:
    return place.name or id(place)
