"""The log hub: published at once, stored soon and in order, and nothing lost while the database is in trouble."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from cdktr import logs
from cdktr.batch import Batch
from cdktr.errors import StoreError
from cdktr.frames import decode_log
from cdktr.logs import LogHub
from cdktr.records import LogChunk, LogRecord, RunStatus, RunUpdate, TaskUpdate
from cdktr.store import MEMORY, Store

#: Longer than any test: what is not urgent never comes.
NEVER_S = 3600.0


class Trouble(Store):
    """A database that fails as often as it is told, and waits where it is told."""

    def __init__(self) -> None:
        super().__init__(MEMORY)
        self.failures = 0
        self.batches: list[int] = []
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.opened.set()

    def write(self, batch: Batch) -> None:
        """As the other, if it can."""
        self.entered.set()
        assert self.opened.wait(10)
        if self.failures:
            self.failures -= 1
            raise StoreError("The disk is full")
        super().write(batch)
        self.batches.append(len(batch))


class Hub(LogHub):
    """A hub over a database in memory."""

    def __init__(self, *, watched: bool = False) -> None:
        self.store = Trouble()
        self.published: list[bytes] = []
        self.watched = watched
        super().__init__(self.store, self._keep, lambda: self.watched)

    def _keep(self, frames: Sequence[bytes]) -> None:
        self.published += frames

    @property
    def lines(self) -> list[str]:
        """All that is stored."""
        return [record.payload for record in self.store.logs(-(2**62), 2**62, None, None, 10**6)]


def living(story: Callable[[Hub], Coroutine[Any, Any, None]], *, watched: bool = False, running: bool = True) -> Hub:
    """A hub that lives through a story, its loop running beside it."""

    async def live() -> Hub:
        hub = Hub(watched=watched)
        loop = asyncio.get_running_loop()
        beside = loop.create_task(hub.run()) if running else None
        try:
            await story(hub)
        finally:
            if beside is not None:
                beside.cancel()
                await asyncio.wait([beside])
            hub.close()
        return hub

    return asyncio.run(live())


async def entered(event: threading.Event) -> None:
    """Return when another thread has set it."""
    await asyncio.get_running_loop().run_in_executor(None, event.wait, 10)
    assert event.is_set()


def chunk(*lines: str) -> LogChunk:
    """Lines of one task."""
    return LogChunk("w", "W", "run-1", "t", "t-1", 5, "INFO", lines)


def record(line: str) -> LogRecord:
    """One of them."""
    return LogRecord("w", "W", "run-1", "t", "t-1", 5, "INFO", line)


RUN = RunUpdate("w", "run-1", RunStatus.RUNNING, 5)
TASK = TaskUpdate("t", "t-1", "run-1", RunStatus.RUNNING, 5)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are written only when somebody asks; a database in trouble is asked again at once."""
    monkeypatch.setattr(logs, "GATHER_S", NEVER_S)
    monkeypatch.setattr(logs, "RETRY_S", (0.0, 0.0))


# Live.


def test_a_line_is_published_before_it_is_stored() -> None:
    async def story(hub: Hub) -> None:
        hub.take_chunk(chunk("a", "b"))
        hub.take_log(record("c"))
        assert [decode_log(frame) for frame in hub.published] == [record("a"), record("b"), record("c")]
        assert hub.lines == []

    living(story, watched=True, running=False)


def test_nothing_is_encoded_for_nobody() -> None:
    async def story(hub: Hub) -> None:
        hub.take_chunk(chunk("a"))
        hub.watched = True
        hub.take_chunk(chunk("b"))
        hub.watched = False
        hub.take_log(record("c"))

    assert [decode_log(frame).payload for frame in living(story, running=False).published] == ["b"]


# Into the database.


def test_everything_is_stored_in_the_order_in_which_it_came() -> None:
    async def story(hub: Hub) -> None:
        hub.take_chunk(chunk("0", "1"))
        hub.take_run(RUN)
        hub.take_log(record("2"))
        hub.take_task(TASK)
        hub.take_chunk(chunk("3"))
        hub.take_event("run-1", 7, "refused", "why")
        hub.mark("agent/1", 4)
        assert hub.unstored == 7
        await hub.flush(NEVER_S)
        assert hub.unstored == 0

    store = living(story).store
    names = ("workflow", "run", "task", "level", "status", "start", "end", "after", "before", "contains")
    page = store.log_page(dict.fromkeys(names), 9, newest=False)
    assert [(row["sequence"], row["payload"]) for row in page] == [(0, "0"), (1, "1"), (3, "2"), (5, "3")]
    assert [row["status"] for row in store.runs()] == ["RUNNING"]
    assert [row["status"] for row in store.tasks("run-1")] == ["RUNNING"]
    assert store._rows("SELECT * FROM run_event") == [("run-1", 7, "refused", "why", 6)]
    assert store._rows("SELECT * FROM report_cursor") == [("agent/1", 4)]
    assert store.batches == [7 + 1], "in one transaction"


def test_a_batch_is_written_soon_without_being_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "GATHER_S", 0.0)

    async def story(hub: Hub) -> None:
        for number in range(3):
            hub.take_log(record(str(number)))
            await hub.stored()
            assert hub.lines[-1] == str(number)

    assert living(story).lines == ["0", "1", "2"]


def test_numbers_go_on_where_the_database_ends() -> None:
    async def story(hub: Hub) -> None:
        hub.take_log(record("first"))
        await hub.write()
        again = LogHub(hub.store, hub._keep, lambda: False)
        hub.store.next_sequence = 1
        again.close()
        again = LogHub(hub.store, hub._keep, lambda: False)
        again.take_run(RUN)
        await again.write()
        again.close()

    assert living(story, running=False).store._rows("SELECT sequence FROM workflow_run_status") == [(1,)]


def test_stored_waits_for_nothing_when_there_is_nothing() -> None:
    async def story(hub: Hub) -> None:
        await hub.stored()
        await hub.flush(NEVER_S)
        hub.take_log(record("x"))
        await hub.flush(NEVER_S)
        await hub.stored()

    assert living(story).store.batches == [1]


def test_a_mark_alone_is_stored_too() -> None:
    async def story(hub: Hub) -> None:
        hub.mark("a", 1)
        hub.mark("a", 2)
        await hub.flush(NEVER_S)

    assert living(story).store._rows("SELECT * FROM report_cursor") == [("a", 2)]


def test_stored_means_everything_taken_before_not_what_is_on_its_way() -> None:
    async def story(hub: Hub) -> None:
        hub.store.opened.clear()
        hub.take_log(record("first"))
        async with asyncio.TaskGroup() as group:
            early = group.create_task(hub.flush(NEVER_S))
            await entered(hub.store.entered)
            last = group.create_task(hub.stored())
            for _ in range(9):
                await asyncio.sleep(0)
            assert not last.done(), "the first is not stored yet"
            hub.take_log(record("second"))
            late = group.create_task(hub.flush(NEVER_S))
            assert hub.unstored == 2
            hub.store.opened.set()
            await early
            assert hub.store.batches[0] == 1
            await late
            assert hub.lines == ["first", "second"]

    assert living(story).store.batches == [1, 1]


def test_what_must_be_on_the_disk_first_is() -> None:
    order: list[str] = []

    async def story(hub: Hub) -> None:
        async def before() -> None:
            order.append(f"journal, {len(hub.lines)} stored")

        hub.before_write = before
        hub.take_log(record("x"))
        await hub.flush(NEVER_S)
        order.append(f"{len(hub.lines)} stored")

    living(story)
    assert order == ["journal, 0 stored", "1 stored"]


# Trouble.


def test_a_database_in_trouble_is_tried_until_it_takes_everything_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cdktr.logs")
    troubles: list[str | None] = []

    async def story(hub: Hub) -> None:
        hub.store.failures = 5
        hub.take_log(record("first"))
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(hub.flush(NEVER_S))
            # From the first moment: it lasts for five attempts.
            while hub.trouble is None:
                await asyncio.sleep(0)
            troubles.append(hub.trouble)
            hub.take_log(record("second"))
            assert hub.unstored == 2, "what the database does not take waits too"
            await waiting
        troubles.append(hub.trouble)
        await hub.flush(NEVER_S)

    hub = living(story)
    assert troubles == ["The disk is full", None]
    assert hub.lines == ["first", "second"]
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", "The disk is full; 1 rows wait, and are stored as soon as it can be"),
        ("INFO", "The database can be written again"),
    ]


def test_a_journal_in_trouble_holds_the_database_up() -> None:
    async def story(hub: Hub) -> None:
        failures = 3

        async def before() -> None:
            nonlocal failures
            if failures:
                failures -= 1
                assert not hub.lines
                raise StoreError("no room")

        hub.before_write = before
        hub.take_log(record("x"))
        await hub.flush(NEVER_S)

    assert living(story).lines == ["x"]


def test_a_flush_gives_up_and_leaves_everything_to_the_next() -> None:
    async def story(hub: Hub) -> None:
        hub.store.opened.clear()
        hub.take_log(record("x"))
        await hub.flush(0.0)
        hub.store.opened.set()
        await hub.flush(NEVER_S)

    assert living(story).lines == ["x"]


def test_the_end_of_the_loop_keeps_what_was_not_stored() -> None:
    async def story(hub: Hub) -> None:
        hub.store.failures = 10**9
        hub.take_log(record("first"))
        hub.mark("a", 1)
        writing = asyncio.get_running_loop().create_task(hub.write())
        while hub.trouble is None:
            await asyncio.sleep(0)
        hub.take_log(record("second"))
        writing.cancel()
        await asyncio.wait([writing])
        hub.store.failures = 0
        assert hub.unstored == 3
        await hub.write()

    hub = living(story, running=False)
    assert hub.lines == ["first", "second"]
    assert hub.store._rows("SELECT * FROM report_cursor") == [("a", 1)]


def test_another_failure_ends_the_daemon_and_is_not_hidden() -> None:
    async def story(hub: Hub) -> None:
        async def broken() -> None:
            raise LookupError

        hub.before_write = broken
        hub.take_log(record("x"))
        with pytest.raises(LookupError):
            await hub.write()
        assert hub.unstored == 1

    living(story, running=False)


# What waits is bounded.


def test_how_much_waits_is_known_in_bytes_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_WAITING_BYTES", 10_000)

    async def story(hub: Hub) -> None:
        hub.store.failures = 10**9
        hub.take_chunk(chunk("x" * 4000))
        writing = asyncio.get_running_loop().create_task(hub.write())
        while hub.trouble is None:
            await asyncio.sleep(0)
        assert (hub.unstored, hub.is_full) == (1, False)
        assert 4000 < hub.unstored_bytes < 5000
        hub.take_chunk(chunk("x" * 6000))
        assert (hub.unstored, hub.is_full) == (2, True)
        hub.take_log(record("of an agent that keeps nothing"))
        hub.take_log(record("another"))
        assert (hub.unstored, hub.dropped) == (2, 2)
        hub.store.failures = 0
        await writing
        assert (hub.unstored_bytes, hub.is_full) == (hub.unstored_bytes, False)
        hub.take_log(record("y"))
        await hub.write()
        assert (hub.unstored, hub.unstored_bytes) == (0, 0)

    assert [line[0] for line in living(story, running=False).lines] == ["x", "x", "y"]


def test_beyond_a_bound_of_statuses_nothing_new_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_WAITING_STATUSES", 3)

    async def story(hub: Hub) -> None:
        hub.take_run(RUN)
        hub.take_task(TASK)
        hub.take_event("run-1", 7, "refused", "why")
        hub.check_room()
        hub.store.failures = 10**9
        writing = asyncio.get_running_loop().create_task(hub.write())
        while hub.trouble is None:
            await asyncio.sleep(0)
        with pytest.raises(
            StoreError, match=r"^Nothing new is accepted, as 3 rows wait for the database already; The disk is full$"
        ):
            hub.check_room()
        hub.store.failures = 0
        await writing
        hub.check_room()

    living(story, running=False)


def test_the_statuses_of_a_run_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(hub: Hub) -> None:
        other = RunUpdate("w", "run-2", RunStatus.PENDING, 5)
        end = RunUpdate("w", "run-1", RunStatus.COMPLETED, 6, "a", "b")
        hub.take_run(RUN)
        hub.take_run(other)
        assert hub.waiting_updates("run-1") == [RUN]
        hub.store.failures = 10**9
        writing = asyncio.get_running_loop().create_task(hub.write())
        while hub.trouble is None:
            await asyncio.sleep(0)
        hub.take_run(end)
        assert hub.waiting_updates("run-1") == [RUN, end]
        hub.store.failures = 0
        await writing
        await hub.write()
        assert hub.waiting_updates("run-1") == []

    living(story, running=False)


# News.


def test_news_are_done_by_whatever_comes() -> None:
    async def story(hub: Hub) -> None:
        takes: list[Callable[[], None]] = [
            lambda: hub.take_chunk(chunk("x")),
            lambda: hub.take_log(record("x")),
            lambda: hub.take_run(RUN),
            lambda: hub.take_task(TASK),
            lambda: hub.take_event("run-1", 0, "refused", "x"),
        ]
        for take in takes:
            news = hub.news()
            assert hub.news() is news
            assert not news.done()
            take()
            assert news.done()
        assert not hub.news().done()

    living(story, running=False)
