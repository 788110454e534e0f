"""Which files are due: histories of a folder, by hand and by chance."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdktr.arrivals import AGAIN_S, Arrivals, Listing, Place, Version

SETTLE_S = 2.0
HOME = Place(1, 1)


def version(text: str) -> Version:
    """`a.csv:3` is a file of three bytes, changed at 3."""
    path, _, size = text.partition(":")
    return Version(path, int(size), int(size))


@dataclass(frozen=True)
class Step:
    """A look at this moment, and which versions are due then and counted."""

    at: float
    files: str
    due: str = ""
    folders: dict[str, Place] = field(default_factory=lambda: {"": HOME})
    unread: str | None = None


HISTORIES = {
    "a file that stays counts once": [
        Step(0, "a:1"),
        Step(1, "a:1"),
        Step(2, "a:1", "a:1"),
        Step(3, "a:1"),
        Step(99, "a:1"),
    ],
    "a file that is being written counts when that is over": [
        Step(0, "a:1"),
        Step(1, "a:2"),
        Step(2, "a:3"),
        Step(3, "a:3"),
        Step(4, "a:3", "a:3"),
    ],
    "a change makes it count again": [
        Step(0, "a:1"),
        Step(2, "a:1", "a:1"),
        Step(3, "a:2"),
        Step(5, "a:2", "a:2"),
        Step(9, "a:2"),
    ],
    "a change that is taken back is none": [
        Step(0, "a:1"),
        Step(2, "a:1", "a:1"),
        Step(3, "a:2"),
        Step(4, "a:1"),
        Step(9, "a:1"),
    ],
    "a file that is gone before it has settled never counts": [Step(0, "a:1"), Step(1, ""), Step(9, "")],
    "what is gone is forgotten": [
        Step(0, "a:1"),
        Step(2, "a:1", "a:1"),
        Step(3, ""),
        Step(4, "a:1"),
        Step(6, "a:1", "a:1"),
    ],
    "each by itself, the oldest first": [
        Step(0, "b:2 a:3"),
        Step(2, "b:2 a:3", "b:2 a:3"),
        Step(3, "b:2 a:3 c:1"),
        Step(5, "b:2 a:3 c:1", "c:1"),
    ],
    "a folder that cannot be read forgets nothing and shows nothing": [
        Step(0, "a:1 b:1"),
        Step(2, "a:1 b:1", "a:1 b:1"),
        Step(3, "a:1 b:1 c:1"),
        Step(4, "", folders={}, unread=""),
        Step(9, "", folders={}, unread=""),
        Step(10, "a:1 b:1 c:1", "c:1"),
    ],
    "an empty folder that is another forgets nothing": [
        Step(0, "a:1"),
        Step(2, "a:1", "a:1"),
        Step(3, "", folders={"": Place(2, 5)}),
        Step(4, "a:1"),
        Step(9, "a:1"),
    ],
    "also one that was mounted anew, under another number": [
        Step(0, "a:1"),
        Step(2, "a:1", "a:1"),
        Step(3, "", folders={"": Place(2, 5)}),
        Step(4, "a:1", folders={"": Place(3, 1)}),
        Step(9, "a:1", folders={"": Place(3, 1)}),
    ],
    "another that holds a file is the folder now": [
        Step(0, "a:1"),
        Step(2, "a:1", "a:1"),
        Step(3, "b:1", folders={"": Place(2, 5)}),
        Step(5, "b:1", "b:1", folders={"": Place(2, 5)}),
        Step(6, "a:1 b:1", folders={"": Place(2, 5)}),
        Step(8, "a:1 b:1", "a:1", folders={"": Place(2, 5)}),
    ],
    "the same for a folder in it; the others go on": [
        Step(0, "in/a:1 b:1", folders={"": HOME, "in": Place(1, 2)}),
        Step(2, "in/a:1 b:1", "b:1 in/a:1", folders={"": HOME, "in": Place(1, 2)}),
        Step(3, "", folders={"": HOME, "in": Place(4, 2)}),
        Step(4, "in/a:1 b:1", folders={"": HOME, "in": Place(1, 2)}),
        Step(6, "in/a:1 b:1", "b:1", folders={"": HOME, "in": Place(1, 2)}),
    ],
    "a file that cannot be looked at is not forgotten": [
        Step(0, "a:1"),
        Step(2, "a:1", "a:1"),
        Step(3, "", unread="a"),
        Step(9, "a:1"),
    ],
    "a folder that was removed takes its files with it": [
        Step(0, "in/a:1", folders={"": HOME, "in": Place(1, 2)}),
        Step(2, "in/a:1", "in/a:1", folders={"": HOME, "in": Place(1, 2)}),
        Step(3, "", folders={"": HOME}),
        Step(4, "in/a:1", folders={"": HOME, "in": Place(1, 2)}),
        Step(6, "in/a:1", "in/a:1", folders={"": HOME, "in": Place(1, 2)}),
    ],
}


def listing(step: Step) -> Listing:
    files = {each.path: each for each in map(version, step.files.split())}
    return Listing(files, step.folders, frozenset() if step.unread is None else frozenset({step.unread}))


@pytest.mark.parametrize("restarts", [False, True], ids=["one", "one after another"])
@pytest.mark.parametrize("steps", HISTORIES.values(), ids=HISTORIES)
def test_a_history(steps: list[Step], restarts: bool) -> None:
    """Also when another takes over after each step, which lets files settle anew."""
    arrivals = Arrivals(SETTLE_S)
    for step in steps:
        if restarts:
            arrivals = Arrivals(SETTLE_S, arrivals.counted.values(), arrivals.folders)
            if step.due:
                arrivals.see(listing(step), step.at - SETTLE_S)
        arrivals.see(listing(step), step.at)
        due = arrivals.due(step.at)
        assert due == [version(text) for text in step.due.split()], step
        for each in due:
            arrivals.count(each)
        assert arrivals.due(step.at) == []


def test_what_is_doubted_is_told_and_places_that_are_new_are_returned() -> None:
    arrivals = Arrivals(SETTLE_S)
    home, other = {"": HOME}, {"": Place(2, 5)}
    assert arrivals.see(Listing({"a": version("a:1")}, home), 0) == home
    assert arrivals.see(Listing({"a": version("a:1")}, home), 1) == {}
    assert arrivals.see(Listing({}, other), 2) == {}
    assert arrivals.doubted == {""}
    assert arrivals.see(Listing({"a": version("a:1")}, other), 3) == other
    assert arrivals.doubted == frozenset()


def test_what_is_there_at_the_start_can_be_taken_for_counted() -> None:
    arrivals = Arrivals(SETTLE_S)
    arrivals.see(listing(Step(0, "a:1 b:1")), 0)
    assert arrivals.count_all() == 2
    arrivals.see(listing(Step(9, "a:1 b:2")), 9)
    arrivals.see(listing(Step(11, "a:1 b:2")), 11)
    assert arrivals.due(11) == [version("b:2")]


def test_what_is_refused_is_due_again_later_and_later_and_holds_up_nothing() -> None:
    arrivals = Arrivals(0)
    now, pauses = 0.0, []
    arrivals.see(listing(Step(0, "a:1 b:2")), 0)
    for _ in range(9):
        assert version("a:1") in arrivals.due(now)
        pauses.append(arrivals.put_off(version("a:1"), now))
        assert arrivals.due(now + pauses[-1] - 0.01) == [version("b:2")]
        now += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, AGAIN_S[1], AGAIN_S[1], AGAIN_S[1]]
    # A change makes it another.
    arrivals.see(listing(Step(now, "a:3 b:2")), now)
    assert arrivals.due(now) == [version("b:2"), version("a:3")]
    assert arrivals.put_off(version("a:3"), now) == AGAIN_S[0]


#: What may happen between two looks: to which file, and after how long.
EVENTS = st.lists(
    st.tuples(
        st.sampled_from("write write touch remove refuse restart".split()), st.sampled_from("ab"), st.integers(0, 3)
    ),
    max_size=60,
)


@given(EVENTS)
def test_each_version_counts_once_however_it_goes(events: list[tuple[str, str, int]]) -> None:
    """Every change makes a version of its own; what counts was there unchanged for long enough, and nothing twice."""
    arrivals = Arrivals(SETTLE_S)
    files: dict[str, Version] = {}
    since: dict[str, float] = {}
    counted: Counter[Version] = Counter()
    now, number = 0.0, 0

    def look() -> None:
        arrivals.see(Listing(dict(files), {"": HOME}), now)
        for due in arrivals.due(now):
            assert files[due.path] == due
            assert now - since[due.path] >= SETTLE_S
            counted[due] += 1
            arrivals.count(due)

    for what, path, pause in events:
        if what in ("write", "touch"):
            number += 1
            files[path], since[path] = Version(path, number if what == "write" else 0, number), now
        elif what == "remove":
            files.pop(path, None)
        elif what == "refuse":
            arrivals.see(Listing(dict(files), {"": HOME}), now)
            for due in arrivals.due(now):
                arrivals.put_off(due, now)
        else:
            arrivals = Arrivals(SETTLE_S, arrivals.counted.values(), arrivals.folders)
        look()
        now += pause
        look()
    now += AGAIN_S[1]
    look()
    now += AGAIN_S[1]
    look()
    assert all(counted[each] == 1 for each in files.values())
    assert max(counted.values(), default=1) == 1
    assert arrivals.counted.keys() == files.keys()
