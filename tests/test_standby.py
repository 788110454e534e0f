"""Waiting for the end of another."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from cdktr.errors import HeldError, StartError, StoreError
from cdktr.standby import Fresh, stand_by


def tried(outcomes: list[Exception | str]) -> Callable[[], str]:
    """Raises or returns one after the other."""
    coming: Iterator[Exception | str] = iter(outcomes)

    def make() -> str:
        outcome = next(coming)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return make


def test_it_waits_and_says_for_whom_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    first, second = HeldError("refused", "process 1 holds it"), HeldError("refused", "process 2 holds it")
    busy, locked = StartError("Port 5561 is in use"), StoreError("The database is locked")
    assert asyncio.run(stand_by(tried([first, first, second, busy, busy, locked, first, "made"]))) == "made"
    assert [record.getMessage() for record in caplog.records] == [
        "Standing by: process 1 holds it",
        "Standing by: process 2 holds it",
        "Cannot take over yet: Port 5561 is in use",
        "Cannot take over yet: The database is locked",
    ]


def test_what_is_no_matter_of_time_ends_it() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(stand_by(tried([ZeroDivisionError()])))


def test_a_signal_ends_the_wait() -> None:
    def make() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        raise HeldError("refused", "process 1 holds it")

    assert asyncio.run(stand_by(make)) is None


def test_what_it_needs_is_kept_fresh() -> None:
    calls = threading.Semaphore(0)
    fresh = Fresh(calls.release, 0.001)
    for _ in range(3):
        assert calls.acquire(timeout=30)
    fresh.stop()
