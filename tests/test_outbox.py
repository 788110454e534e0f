"""Reports to a principal that loses them, answers late, refuses them, or takes them without a word."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdktr import outbox, spool
from cdktr.errors import UnreachableError
from cdktr.frames import Reported, numbered, unpack
from cdktr.outbox import Outbox, Record
from cdktr.protocol import Report, decode
from cdktr.records import LogChunk, RunStatus, RunUpdate, TaskUpdate
from cdktr.replies import client_error, success
from cdktr.spool import Spool
from cdktr.transport import Requester

#: More than any spool here may hold, but where that is the point.
PLENTY = 1 << 30


@pytest.fixture(autouse=True, scope="module")
def haste() -> Iterator[None]:
    """No pauses; and reports so small that there are many."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RESEND_S": (0.0, 0.0), "GATHER_S": 0.0, "REPORT_SIZE": 200}.items():
            patch.setattr(outbox, name, value)
        yield


class Network(Requester):
    """A principal at the end of a bad line. `faults` says what becomes of each request in turn; then all goes well."""

    def __init__(self, faults: str = "") -> None:
        self.faults = list(faults)
        self.records: list[Record] = []
        self.last = 0
        self.sources: set[str] = set()
        #: The numbers of the last records as they came, and how many requests were under way at once.
        self.seen: list[int] = []
        self.under_way = 0
        self.most = 0
        #: How many replies may leave; None for all.
        self.replies: int | None = None
        self.more = asyncio.Event()
        self.up = asyncio.Event()
        self.up.set()

    async def connected(self) -> None:
        """Return when there is a connection."""
        await self.up.wait()

    async def request(self, message: bytes, timeout_s: float) -> bytes:
        """Take a report as the principal does, unless a fault comes between."""
        assert timeout_s > 10
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await self._answer(message)
        finally:
            self.under_way -= 1

    async def _answer(self, message: bytes) -> bytes:
        fault = self.faults.pop(0) if self.faults else "."
        if fault == "l":
            raise UnreachableError("lost on the way")
        if fault == "r":
            return client_error("no").encode()
        report = decode(message)
        assert isinstance(report, Report)
        found = [numbered(raw) for raw in report.records]
        self.seen.append(found[-1][0])
        self.sources.add(report.source)
        if report.after > self.last:
            return client_error(f"What follows {self.last} is missing").encode()
        self.records += [unpack(raw) for number, raw in found if number > self.last]
        self.last = max(self.last, found[-1][0])
        if fault == "s":
            # So late that another fault comes before it.
            await asyncio.sleep(0.001)
        if fault == "a":
            raise UnreachableError("the answer was lost")
        while self.replies == 0:
            self.more.clear()
            await self.more.wait()
        if self.replies is not None:
            self.replies -= 1
        return success({"stored": found[-1][0]}).encode()

    def answer(self, count: int) -> None:
        """Let some replies leave."""
        self.replies = (self.replies or 0) + count
        self.more.set()


def chunk(number: int, size: int = 10) -> LogChunk:
    """One line, told from others by its time."""
    return LogChunk("w", "W", "run-1", "t", "t-1", number, "INFO", ("x" * size,))


def status(number: int) -> Reported:
    """A task's change of status."""
    return Reported("secret", TaskUpdate("t", "t-1", "run-1", RunStatus.RUNNING, number))


def living(
    network: Callable[[], Network],
    story: Callable[[Outbox, Network], Coroutine[Any, Any, None]],
    limit: int = PLENTY,
) -> Network:
    """An outbox that lives through a story, its loop running beside it; `limit` is that of its spool."""

    async def live(folder: Path) -> Network:
        line = network()
        kept = Spool(folder, limit)
        box = Outbox("agent-1", "agent-1/x", kept, line, fullness.append, lambda: frozenset(running))
        beside = asyncio.get_running_loop().create_task(box.run())
        try:
            async with asyncio.timeout(10):
                await story(box, line)
        finally:
            beside.cancel()
            await asyncio.wait([beside])
            kept.close()
        return line

    fullness.clear()
    running.clear()
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(live(Path(folder)))


#: What the last outbox said of itself.
fullness: list[bool] = []

#: The runs that go on.
running: set[str] = set()


async def until(true: Callable[[], bool]) -> None:
    """Let others run until it is so."""
    while not true():
        await asyncio.sleep(0)


def test_records_arrive_in_order_and_are_numbered_from_1() -> None:
    records: list[Record] = [chunk(0), status(1), chunk(2), chunk(3), status(4), chunk(5)]

    async def story(box: Outbox, _: Network) -> None:
        empty = [box.spool.is_empty]
        for record in records:
            box.add(record)
        empty.append(box.spool.is_empty)
        await box.emptied()
        empty.append(box.spool.is_empty)
        assert empty == [True, False, True]

    network = living(Network, story)
    assert network.records == records
    assert network.last == 6
    assert network.sources == {"agent-1/x"}


def test_what_comes_together_is_sent_together() -> None:
    async def story(box: Outbox, network: Network) -> None:
        for number in range(3):
            box.add(chunk(number))
        await box.emptied()
        box.add(chunk(3))
        await box.emptied()
        assert network.seen == [3, 4]

    living(Network, story)


@pytest.mark.parametrize(
    ("faults", "seen"),
    [
        ("l", [6, 9, 3, 6, 9]),
        ("ass", [3, 6, 9, 3, 6, 9]),
        (".l", [3, 9, 6, 9]),
        (".as", [3, 6, 9, 6, 9]),
        ("a", [3, 6, 9]),
        ("r", [6, 9, 3, 6, 9]),
        ("lll", [3, 6, 9]),
    ],
)
def test_what_was_not_answered_is_sent_again_with_its_number(faults: str, seen: list[int]) -> None:
    async def story(box: Outbox, _: Network) -> None:
        for number in range(9):
            box.add(chunk(number))
        await box.emptied()

    network = living(lambda: Network(faults), story)
    assert network.seen == seen
    assert network.records == [chunk(number) for number in range(9)]


@settings(max_examples=80)
@given(st.text("....lars", max_size=40), st.lists(st.integers(1, 12), max_size=6))
def test_nothing_is_lost_doubled_or_out_of_order(faults: str, parts: list[int]) -> None:
    called: list[int] = []

    async def story(box: Outbox, network: Network) -> None:
        number = 0
        for part in parts:
            for _ in range(part):
                box.add(chunk(number))
                number += 1
            box.when_stored(lambda stored=number: check(stored, network))  # type: ignore[misc]
            await asyncio.sleep(0)
        await box.emptied()

    def check(count: int, network: Network) -> None:
        assert len(network.records) >= count
        called.append(count)

    network = living(lambda: Network(faults), story)
    assert network.records == [chunk(number) for number in range(sum(parts))]
    assert called == [sum(parts[: n + 1]) for n in range(len(parts))]


def test_nothing_is_sent_without_a_connection() -> None:
    async def story(box: Outbox, network: Network) -> None:
        network.faults = ["l"]
        box.add(chunk(0))
        await until(lambda: not network.faults)
        network.up.clear()
        for _ in range(20):
            await asyncio.sleep(0)
        assert network.seen == []
        network.up.set()
        await box.emptied()

    assert living(Network, story).records == [chunk(0)]


def test_an_end_is_an_end_though_the_line_breaks_at_that_moment(tmp_path: Path) -> None:
    async def story() -> None:
        network = Network("a")
        kept = Spool(tmp_path, PLENTY)
        box = Outbox("agent-1", "agent-1/x", kept, network)
        beside = asyncio.get_running_loop().create_task(box.run())
        box.add(chunk(0))
        await until(lambda: not network.faults)
        beside.cancel()
        await asyncio.wait([beside], timeout=10)
        assert beside.cancelled()
        kept.close()

    asyncio.run(story())


# When it is stored.


def test_a_callback_at_once_when_there_is_nothing_to_store() -> None:
    async def story(box: Outbox, _: Network) -> None:
        called: list[int] = []
        box.when_stored(lambda: called.append(1))
        assert called == [1]
        box.add(chunk(0))
        await box.emptied()
        box.when_stored(lambda: called.append(2))
        assert called == [1, 2]

    living(Network, story)


def test_a_callback_waits_for_the_last_of_many_reports() -> None:
    async def story(box: Outbox, network: Network) -> None:
        called: list[str] = []
        network.replies = 0
        for number in range(12):
            box.add(chunk(number))
        box.when_stored(lambda: called.append("twelve"))
        box.add(chunk(12))
        box.when_stored(lambda: called.append("thirteen"))
        await until(lambda: network.last == 13)
        for report in range(1, 4):
            network.answer(1)
            await until(lambda: network.replies == 0)
            await asyncio.sleep(0)
            assert called == [], f"after report {report}"
        network.answer(1)
        await until(lambda: called != [])
        assert called == ["twelve"]
        network.answer(1)
        await box.emptied()
        assert called == ["twelve", "thirteen"]

    living(Network, story)


# Limits.


def test_only_so_many_reports_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WINDOW", 2)

    async def story(box: Outbox, network: Network) -> None:
        network.replies = 0
        for number in range(30):
            box.add(chunk(number))
        await until(lambda: network.last == 6)
        for _ in range(20):
            await asyncio.sleep(0)
        assert network.last == 6
        network.replies = None
        network.more.set()
        await box.emptied()
        assert network.most == 2

    assert living(Network, story).records == [chunk(number) for number in range(30)]


def test_only_so_much_text_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WINDOW_SIZE", 1000)

    async def story(box: Outbox, network: Network) -> None:
        for number in range(5):
            box.add(chunk(number, 5000))
        await box.emptied()
        assert network.most == 1

    living(Network, story)


def ended(run_id: str) -> Reported:
    """The end of a run."""
    return Reported("secret", RunUpdate("w", run_id, RunStatus.COMPLETED, 1))


def of(run_id: str, size: int) -> LogChunk:
    """Two lines of a run."""
    return LogChunk("w", "W", run_id, "t", "t-1", 1, "INFO", ("x" * size, "y"))


def test_the_reading_stops_while_there_is_too_much_of_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SEGMENT", 100)

    async def story(box: Outbox, network: Network) -> None:
        running.add("run-1")
        network.up.clear()
        box.add(chunk(0, 900))
        box.save()
        assert fullness == [], "as much as is allowed"
        for number in range(1, 8):
            box.add(chunk(number))
            box.save()
        assert fullness == [True], "said once"
        network.replies = 0
        network.up.set()
        await until(lambda: network.last == 8)
        assert fullness == [True]
        network.answer(100)
        await box.emptied()
        assert fullness == [True, False]
        assert box.spool.dropped == 0

    assert living(Network, story, 1200).records == [chunk(0, 900), *map(chunk, range(1, 8))]


def test_the_oldest_lines_of_what_has_ended_give_way_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SEGMENT", 100)

    async def story(box: Outbox, network: Network) -> None:
        running.update({"now"})
        network.up.clear()
        for run_id in ("old", "older"):
            box.add(of(run_id, 400))
            box.add(of(run_id, 4))
            box.add(ended(run_id))
            box.save()
        for _ in range(3):
            box.add(of("now", 400))
            box.save()
        assert fullness == [], "there is room again"
        assert box.spool.dropped == 4
        network.up.set()
        await box.emptied()

    records = living(Network, story, 2400).records
    assert [r for r in records if isinstance(r, Reported)] == [ended("old"), ended("older")]
    lines = [r for r in records if isinstance(r, LogChunk)]
    assert lines[0].level == "WARNING"
    assert lines[0].payloads[0].startswith("cdktr: 4 lines of this task are missing here")
    assert lines[1:] == [of("older", 400), of("older", 4), *[of("now", 400)] * 3]
