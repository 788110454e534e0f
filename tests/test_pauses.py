"""Pauses: when a scheduled time passes without a run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdktr.pauses import Pauses


def stored(pauses: Pauses) -> Pauses:
    """As a snapshot brings it back."""
    return Pauses(json.loads(json.dumps(pauses.plain())))


def test_nothing_passes_unless_somebody_paused_it() -> None:
    assert not stored(Pauses()).skips("a", 10, 10)
    assert Pauses(None).since == {}


def test_a_pause_and_what_passed_in_it() -> None:
    pauses = Pauses()
    pauses.begin("a", 10)
    assert stored(pauses).since == {"a": 10}
    # What was due before and is only found now would be run in the pause.
    assert [stored(pauses).skips("a", time, 50) for time in (5, 10, 50)] == [True, True, True]
    assert not pauses.skips("b", 50, 50)
    pauses.end("a", 60)
    assert stored(pauses).since == {}
    assert [stored(pauses).skips("a", time, 100) for time in (50, 60, 61)] == [True, True, False]


def test_the_end_of_a_pause_that_lies_ahead_says_nothing() -> None:
    pauses = Pauses()
    pauses.begin("a", 1000)
    pauses.end("a", 2000)
    assert not pauses.skips("a", 500, 500)
    assert pauses.skips("a", 1500, 2000)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_a_pause_that_never_was_leaves_no_trace(before: int, time: int, now: int) -> None:
    pauses = Pauses()
    pauses.begin("a", 0)
    pauses.end("a", before)
    expected = pauses.skips("a", time, now)
    pauses.begin("a", now)
    pauses.end("a", None)
    assert pauses.skips("a", time, now) == expected
    assert pauses.since == {}


def test_what_is_not_paused_cannot_end() -> None:
    with pytest.raises(KeyError):
        Pauses().end("a", 1)
