"""Rows that only moved: a terminal moves them itself, for a few bytes, and is not sent each of them again. Pure."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from cdktr.tui.view.canvas import Row

Of = TypeVar("Of")

#: Rows that have to be saved at least: what it costs to say is about as long as one.
WORTH = 2


class Scroll(NamedTuple):
    """The rows from `top` to before `beyond` move up by `by`, or down, where that is negative."""

    top: int
    beyond: int
    by: int


def scroll(before: Sequence[Row | None], after: Sequence[Row]) -> Scroll | None:
    """The move that leaves the fewest rows to be painted; None where none is worth it."""
    if len(before) != len(after):
        return None
    differ = [y for y, row in enumerate(after) if row != before[y]]
    if len(differ) < WORTH + 1:
        return None
    places: dict[Row | None, list[int]] = defaultdict(list)
    for y, row in enumerate(before):
        places[row].append(y)
    votes = Counter(was - y for y in differ for was in places.get(after[y], ()))
    best, most = None, WORTH - 1
    for by, count in votes.most_common(3):
        if count <= most:
            break
        same = [y for y in differ if 0 <= y + by < len(before) and before[y + by] == after[y]]
        top, beyond = min(same[0], same[0] + by), max(same[-1], same[-1] + by) + 1
        # What stays where it was would be moved away.
        spoiled = sum(before[y] == after[y] != _at(before, y + by, top, beyond) for y in range(top, beyond))
        if len(same) - spoiled > most:
            best, most = Scroll(top, beyond, by), len(same) - spoiled
    return best


def moved(before: Sequence[Of | None], by: Scroll) -> list[Of | None]:
    """The rows after a move; None is what a terminal has cleared."""
    within = [_at(before, y + by.by, by.top, by.beyond) for y in range(by.top, by.beyond)]
    return [*before[: by.top], *within, *before[by.beyond :]]


def _at(rows: Sequence[Of | None], y: int, top: int, beyond: int) -> Of | None:
    return rows[y] if top <= y < beyond else None
