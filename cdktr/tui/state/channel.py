"""The wires between two layers of a graph: nets, each with a column of its own, and the rows in which they meet.

Tasks that are waited for by the same tasks share a net, and so do tasks that wait for the same ones: whatever enters a
net is waited for by all that it leads to. Where tasks are not that alike, the net of the sources leads into the net of
the target by a link, which has a row for itself. So a column belongs to its sources or to its targets, two nets never
share a stretch, and where they cross both go straight on.

A net whose way out lies in the row of another's way in would run into it: their columns are ordered so that it does
not, and where that goes round in a circle a way in takes a detour, which is a link too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: Links and columns between two layers beyond which nobody could follow them.
MOST_LINKS = 30
MOST_COLUMNS = 16


@dataclass(slots=True, eq=False)
class Net:
    """From rows on the left and other nets to rows on the right and other nets."""

    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    before: list["Link"] = field(default_factory=list)
    after: list["Link"] = field(default_factory=list)
    #: Nets whose columns must be further right.
    beyond: dict["Net", None] = field(default_factory=dict)
    column: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """The rows that its column takes."""
        rows = [*self.left, *self.right, *(link.row for link in self.before + self.after)]
        return min(rows), max(rows)

    @property
    def is_straight(self) -> bool:
        """It needs no column."""
        return self.left == self.right and len(self.left) == 1 and not self.before and not self.after


@dataclass(slots=True, eq=False)
class Link:
    """From one net to another, in a row where nothing else is between their columns."""

    start: Net
    end: Net
    row: int = -1


def channel(ways: Mapping[int, Sequence[int]]) -> tuple[list[Net], int] | None:
    """The nets from each row on the left to its rows on the right, and how many columns; None where it is too many."""
    nets, links = _nets(ways)
    lefts = {row: net for net in nets for row in net.left}
    rights = {row: net for net in nets for row in net.right}
    for row, net in lefts.items():
        if rights.get(row, net) is not net:
            net.beyond[rights[row]] = None
    while held := _held(nets):
        circle = _circle(held)
        row = next(r for net in circle for r in net.left if rights.get(r, net) is not net and rights[r] in circle)
        links.append(_detour(lefts, rights, row))
        nets.append(lefts[row])
    if len(links) > MOST_LINKS:
        return None
    _give_rows(links, lefts, rights)
    columns = _give_columns(nets)
    return (nets, columns) if columns <= MOST_COLUMNS else None


def _nets(ways: Mapping[int, Sequence[int]]) -> tuple[list[Net], list[Link]]:
    #: Rows on the left by where they lead, and rows on the right by which of these lead there.
    sources: dict[frozenset[int], list[int]] = {}
    for row, ends in ways.items():
        sources.setdefault(frozenset(ends), []).append(row)
    reached: dict[int, list[frozenset[int]]] = {}
    for group in sources:
        for row in sorted(group):
            reached.setdefault(row, []).append(group)
    targets: dict[tuple[frozenset[int], ...], list[int]] = {}
    for row, groups in reached.items():
        targets.setdefault(tuple(groups), []).append(row)
    leads = Counter(group for by in targets for group in by)
    starts = {group: Net(sorted(rows)) for group, rows in sources.items() if leads[group] > 1}
    nets, links = list(starts.values()), []
    for by, rows in targets.items():
        if len(by) == 1 and by[0] in starts:
            starts[by[0]].right += rows
            continue
        net = Net([], sorted(rows))
        nets.append(net)
        for group in by:
            if group in starts:
                links.append(_link(starts[group], net))
            else:
                net.left += sources[group]
    return nets, links


def _link(start: Net, end: Net) -> Link:
    link = Link(start, end)
    start.after.append(link)
    end.before.append(link)
    start.beyond[end] = None
    return link


def _detour(lefts: dict[int, Net], rights: Mapping[int, Net], row: int) -> Link:
    """Take a row on the left out of its net, into one of its own that leads there."""
    net, first = lefts[row], Net([row])
    net.left.remove(row)
    met = [rights[each] for each in net.left if rights.get(each, net) is not net]
    net.beyond = dict.fromkeys([*(link.end for link in net.after), *met])
    first.beyond[rights[row]] = None
    lefts[row] = first
    return _link(first, net)


def _held(nets: Sequence[Net]) -> list[Net]:
    """The nets that are in a circle, or right of one."""
    done = set(_sorted(nets))
    return [net for net in nets if net not in done]


def _sorted(nets: Sequence[Net]) -> list[Net]:
    """From left to right; without those that wait for each other in a circle."""
    missing = dict.fromkeys(nets, 0)
    for net in nets:
        for other in net.beyond:
            missing[other] += 1
    ready = [net for net in nets if not missing[net]]
    for net in ready:
        for other in net.beyond:
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    return ready


def _circle(held: Sequence[Net]) -> list[Net]:
    """Nets that wait for each other; each of those that are held waits for another."""
    before = {net: next(each for each in held if net in each.beyond) for net in held}
    way = [held[0]]
    while before[way[-1]] not in way:
        way.append(before[way[-1]])
    return way[way.index(before[way[-1]]) :]


def _give_rows(links: Sequence[Link], lefts: Mapping[int, Net], rights: Mapping[int, Net]) -> None:
    """Each link gets a row, as near to the way between its ends as there is one where it runs into nothing."""
    taken: set[int] = set()
    lowest = max([*lefts, *rights])

    def wanted(link: Link) -> tuple[float, float]:
        one, other = _height(link.start, link.end), _height(link.end, link.start)
        return min(one, other), max(one, other)

    for link in sorted(links, key=lambda link: wanted(link)[1] - wanted(link)[0]):
        top, bottom = wanted(link)
        pins = {*link.start.left, *link.end.right}

        def cost(row: int, top: float = top, bottom: float = bottom, pins: set[int] = pins) -> tuple[float, bool]:
            return max(top - row, row - bottom, 0), row not in pins

        rows = sorted(set(range(lowest + len(links) + 2)) - taken, key=cost)
        link.row = next(row for row in rows if _fits(link, lefts.get(row), rights.get(row)))
        taken.add(link.row)
        for one, other in ((lefts.get(link.row), link.start), (link.end, rights.get(link.row))):
            if one is not None and other is not None and one is not other:
                one.beyond[other] = None


def _height(net: Net, other: Net) -> float:
    """Where a net is, seen from another; one that has links alone is where those lead."""
    rows = net.left + net.right or other.left + other.right
    return sum(rows) / len(rows) if rows else 0


def _fits(link: Link, left: Net | None, right: Net | None) -> bool:
    """Whether a link may stand in a row where one net comes in from the left and another goes out to the right."""
    comes, goes = left not in (None, link.start), right not in (None, link.end)
    if comes and goes and left is right:
        return False
    if left is not None and comes and _leads(link.start, left):
        return False
    return right is None or not goes or not _leads(right, link.end)


def _leads(net: Net, other: Net) -> bool:
    """Whether the column of one must be left of that of the other, by way of any."""
    todo, seen = [net], {net}
    while todo:
        beyond = todo.pop().beyond
        if other in beyond:
            return True
        todo += [each for each in beyond if each not in seen]
        seen.update(beyond)
    return False


def _give_columns(nets: Sequence[Net]) -> int:
    """Each net that needs one gets a column, the first that is free right of those before it; how many there are."""
    #: Of each column the spans in it.
    taken: list[list[tuple[int, int]]] = []
    least = dict.fromkeys(nets, 0)
    for net in _sorted(nets):
        if net.is_straight:
            continue
        top, bottom = net.span
        column = least[net]
        # A row between them, so that corners do not look joined.
        while column < len(taken) and any(top <= low + 1 and high <= bottom + 1 for high, low in taken[column]):
            column += 1
        while len(taken) <= column:
            taken.append([])
        taken[column].append((top, bottom))
        net.column = column
        for other in net.beyond:
            least[other] = max(least[other], column + 1)
    return len(taken)
