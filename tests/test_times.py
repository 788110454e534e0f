"""Accepted times, against a plain set of them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from cdktr.times import REMEMBERED, Times


def stored(times: Times) -> Times:
    """As a snapshot brings it back."""
    return Times.of(json.loads(json.dumps(times.plain())))


def of(*added: int) -> Times:
    times = Times()
    for time in added:
        times.add(time)
    return times


def test_none() -> None:
    assert not Times().has(0, 100)
    assert Times().last_until(100) == -1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 25)), max_size=REMEMBERED))
def test_it_is_a_set(steps: list[tuple[bool, int]]) -> None:
    times, expected = Times(), set[int]()
    for is_new, time in steps:
        if is_new and time not in expected:
            times.add(time)
            expected.add(time)
        elif not is_new:
            times.remove(time)
            expected.discard(time)
        times = stored(times)
        assert {each for each in range(30) if times.has(each, 100)} == expected
        for now in range(30):
            assert times.last_until(now) == max((each for each in expected if each <= now), default=-1)


def test_a_regular_schedule_takes_no_room() -> None:
    minutes = of(*range(0, 60_000 * 10_000, 60_000))
    assert minutes.plain() == {"stretches": [[0, 60_000 * 9999 + 1, 60_000]], "forgotten": -1}
    assert minutes.has(60_000 * 777, 0)
    assert not minutes.has(60_000 * 777 + 1, 0)


def test_a_clock_that_is_set_back_again_and_again_takes_little_room() -> None:
    minutes = Times()
    for begin in (500, 400, 450, 100, 300, 0):
        for time in range(begin * 60, (begin + 130) * 60, 60):
            if not minutes.has(time, 0):
                minutes.add(time)
    assert len(minutes.plain()["stretches"]) <= 6
    assert all(minutes.has(n * 60, 0) == (n < 230 or 300 <= n < 630) for n in range(700))


def test_what_was_not_accepted_after_all_is_left_out_alone() -> None:
    times = of(*range(0, 100, 10))
    times.remove(50)
    assert [time for time in range(100) if times.has(time, 0)] == [0, 10, 20, 30, 40, 60, 70, 80, 90]


def test_of_what_was_forgotten_nothing_runs_again() -> None:
    irregular = [n * n for n in range(200)]
    times = stored(of(*irregular))
    assert len(times.plain()["stretches"]) == REMEMBERED
    assert all(times.has(time, irregular[-1]) for time in irregular)
    assert times.has(2, irregular[-1]), "nobody knows it any more"
    assert not times.has(irregular[-1] + 1, irregular[-1] + 1)
    assert of(*irregular).last_until(10**9) == irregular[-1]


def test_a_clock_that_was_ahead_when_it_was_forgotten_silences_nothing() -> None:
    times = of(10**9, *(n * n for n in range(2 * REMEMBERED + 2)))
    assert times.plain()["forgotten"] == 10**9
    assert not times.has(10**6, 10**6)
    assert times.last_until(10**6) == (2 * REMEMBERED + 1) ** 2
