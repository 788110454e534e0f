"""How often somebody may ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdktr import rate
from cdktr.rate import ALL, Rates


def test_a_minutes_worth_at_once_and_then_evenly() -> None:
    rates = Rates(60)
    assert [rates.take("a", 0) for _ in range(60)] == [0] * 60
    assert rates.take("a", 0) == 1
    assert rates.take("a", 0.5) == 0.5
    assert rates.take("a", 1) == 0
    assert rates.take("a", 1) == 1
    assert [rates.take("a", 1000) for _ in range(61)] == [0] * 60 + [1]


def test_one_that_asks_too_often_takes_nothing_from_others() -> None:
    rates = Rates(10)
    for _ in range(10_000):
        rates.take("greedy", 0)
    assert rates.take("other", 0) == 0


def test_all_together() -> None:
    rates = Rates(6)
    granted = sum(rates.take(f"c{number}", 0) == 0 for number in range(100))
    assert granted == 6 * ALL
    assert rates.take("another", 0) == 1
    assert rates.take("another", 1) == 0


def test_a_clock_that_goes_back_grants_nothing() -> None:
    rates = Rates(1)
    assert rates.take("a", 100) == 0
    assert rates.take("a", 0) == 60
    assert rates.take("a", 159) == pytest.approx(1)


def test_memory_is_bounded_and_full_buckets_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "MOST_NAMES", 5)
    rates = Rates(1)
    for number in range(5):
        assert rates.take(f"c{number}", 0) == 0
    # Those beyond share one.
    assert rates.take("late", 0) == 0
    assert rates.take("later", 0) > 0
    assert len(rates) == 6
    assert rates.take("later", 60) == 0
    assert len(rates) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=200), st.integers(1, 30))
def test_no_more_than_granted(asked: list[tuple[str, float]], per_minute: int) -> None:
    rates, now, granted = Rates(per_minute), 0.0, dict.fromkeys("abc", 0)
    for client, pause in asked:
        now += pause
        wait = rates.take(client, now)
        granted[client] += wait == 0
        assert 0 <= wait <= 60 / per_minute + 1e-6
    assert all(count <= per_minute * (1 + now / 60) + 1e-6 for count in granted.values())
