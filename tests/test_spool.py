"""The spool: in order, again and again until acknowledged, over the death of its agent and a disk that is full."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cdktr import spool as module
from cdktr.errors import StartError
from cdktr.spool import Parcel, Spool

PLENTY = 1 << 30


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a few records."""
    monkeypatch.setattr(module, "SEGMENT", 100)
    monkeypatch.setattr(module, "STALE", 50)


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def filled(folder: Path, count: int, limit: int = PLENTY, **options: Any) -> Spool:
    """A spool with records ["r", 1], …, each written by itself."""
    spool = Spool(folder, limit, **options)
    for number in range(1, count + 1):
        spool.add(["r", number])
        spool.flush()
    return spool


def drained(spool: Spool, room: int = 40) -> list[bytes]:
    """Everything it hands out, in order."""
    found: list[bytes] = []
    while (parcel := spool.take(room)) is not None:
        found += parcel.lines
    return found


def line(number: int) -> bytes:
    return b'[%d,"r",%d]' % (number, number)


def files(folder: Path) -> list[str]:
    return sorted((path.name for path in folder.iterdir()), key=lambda name: int(name.split(".")[0]))


def break_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)


def test_records_are_numbered_and_handed_out_in_order(tmp_path: Path) -> None:
    spool = filled(tmp_path, 30)
    assert drained(spool) == [line(n) for n in range(1, 31)]
    assert spool.take(40) is None
    assert len(files(tmp_path)) > 3


def test_a_parcel_says_what_it_follows(tmp_path: Path) -> None:
    spool = filled(tmp_path, 12)
    before = 0
    while (parcel := spool.take(40)) is not None:
        assert parcel.after == before
        assert parcel.lines[0] == line(before + 1)
        before = parcel.last
    assert before == 12


def test_nothing_is_handed_out_before_it_is_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    spool.add(["r", 1])
    assert spool.take(100) is None
    assert not spool.is_empty
    spool.flush()
    assert drained(spool) == [line(1)]


def test_a_record_longer_than_the_room_goes_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path, PLENTY)
    for text in ("x" * 1000, "y"):
        spool.add([text])
    spool.flush()
    first = spool.take(600)
    assert first is not None
    assert first.lines[0] == b'[1,"' + b"x" * 1000 + b'"]'


def test_what_is_acknowledged_goes_and_the_rest_comes_again(tmp_path: Path) -> None:
    spool = filled(tmp_path, 30)
    parcels = [parcel for _ in range(4) if (parcel := spool.take(40)) is not None]
    assert spool.unstored == spool.size
    spool.forget(parcels[2])
    assert spool.stored == parcels[2].last
    assert spool.unstored == sum(len(line(n)) + 1 for n in range(parcels[2].last + 1, 31))
    spool.rewind()
    assert drained(spool) == [line(n) for n in range(parcels[2].last + 1, 31)]


def test_an_empty_spool_takes_no_room(tmp_path: Path) -> None:
    spool = filled(tmp_path, 30)
    while (parcel := spool.take(40)) is not None:
        spool.forget(parcel)
    assert spool.is_empty
    assert len(files(tmp_path)) == 1
    assert spool.size < module.STALE
    assert spool.unstored == 0


def test_a_dead_agents_spool_goes_on_where_it_was(tmp_path: Path) -> None:
    spool = filled(tmp_path, 9)
    parcel = spool.take(40)
    assert parcel is not None
    spool.forget(parcel)
    spool.add(["never written"])
    spool.close()
    again = Spool(tmp_path, PLENTY)
    assert again.last == 9
    again.add(["r", 10])
    again.flush()
    found = drained(again)
    assert found[-10:] == [line(n) for n in range(1, 11)][-len(found) :]


def test_numbers_go_on_after_an_empty_spool(tmp_path: Path) -> None:
    spool = filled(tmp_path, 9)
    while (parcel := spool.take(40)) is not None:
        spool.forget(parcel)
    spool.close()
    again = Spool(tmp_path, PLENTY)
    assert again.is_empty
    assert again.add(["r", 10]) == 10


@pytest.mark.parametrize("tail", [b'[3,"torn', b"\0" * 40, b"[]\n", b'{"a":1}\n', b'[1,"old"]\n', b"[" * 9000 + b"\n"])
def test_what_is_no_record_is_passed_over_and_told(tmp_path: Path, tail: bytes, caplog: Any) -> None:
    filled(tmp_path, 2).close()
    path = tmp_path / "1.records"
    path.write_bytes(path.read_bytes() + tail)
    spool = Spool(tmp_path, PLENTY)
    assert drained(spool) == [line(1), line(2)]
    assert f"1.records is damaged: {len(tail)} bytes" in caplog.text
    assert spool.add(["r", 3]) == 3


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="CDKTR_APP_DATA_DIRECTORY"):
        Spool(tmp_path / "absent", PLENTY)


# A disk that takes nothing.


def test_a_full_disk_costs_nothing_and_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    spool = filled(tmp_path, 3, now=clock)
    with monkeypatch.context() as broken:
        break_disk(broken)
        for number in range(4, 9):
            spool.add(["r", number])
            spool.flush()
        assert "No space left" in str(spool.trouble)
        assert drained(spool) == [line(n) for n in range(1, 9)]
    spool.flush()
    assert spool.trouble, "not tried at every flush"
    clock.now += module.RETRY_S
    spool.flush()
    assert not spool.trouble
    spool.rewind()
    assert drained(spool) == [line(n) for n in range(1, 9)]
    spool.close()
    assert drained(Spool(tmp_path, PLENTY)) == [line(n) for n in range(1, 9)]


def test_a_half_written_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = filled(tmp_path, 2)
    write = os.write
    sizes = iter([4])

    def partly(file: int, data: Any) -> int:
        try:
            return write(file, bytes(data)[: next(sizes)])
        except StopIteration:
            raise OSError(28, "No space left on device") from None

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", partly)
        spool.add(["r", 3])
        spool.flush()
    assert (tmp_path / "1.records").read_bytes() == line(1) + b"\n" + line(2) + b"\n"
    assert drained(spool) == [line(n) for n in range(1, 4)]


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY", 50)
    spool = Spool(tmp_path, PLENTY, Clock())
    break_disk(monkeypatch)
    for number in range(1, 8):
        spool.add(["r", number])
        spool.flush()
        if number == 1:
            assert spool.has_room
            assert not spool.is_full
    assert spool.is_full
    assert not spool.has_room


def test_a_file_that_vanished_is_told_and_holds_nothing_up(tmp_path: Path, caplog: Any) -> None:
    spool = filled(tmp_path, 30)
    gone = files(tmp_path)[1]
    (tmp_path / gone).unlink()
    found = drained(spool)
    assert line(1) in found
    assert line(30) in found
    assert len(found) < 30
    assert f"{gone} cannot be read" in caplog.text


def test_a_lost_end_is_not_waited_for(tmp_path: Path) -> None:
    filled(tmp_path, 8).close()
    spool = Spool(tmp_path, PLENTY)
    for name in files(tmp_path)[:-1]:
        (tmp_path / name).unlink()
    assert drained(spool) == []
    assert spool.is_empty


# Giving way.


def keep_odd(records: Sequence[list[Any]], running: frozenset[str]) -> tuple[list[list[Any]], int]:
    """Drops what no name in `running` protects."""
    kept = [record for record in records if record[-1] % 2 or str(record[-1]) in running]
    return kept, len(records) - len(kept)


def test_what_gives_way_is_the_oldest_that_was_never_sent(tmp_path: Path) -> None:
    spool = filled(tmp_path, 40, limit=430)
    sent = spool.take(30)
    assert sent is not None
    assert spool.is_full
    spool.give_way(keep_odd, frozenset({"10"}))
    assert spool.has_room
    assert spool.size == sum(path.stat().st_size for path in tmp_path.iterdir())
    found = sent.lines + drained(spool)
    missing = [n for n in range(1, 41) if line(n) not in found]
    assert len(missing) == spool.dropped > 0
    assert all(n % 2 == 0 and n > sent.last and n != 10 for n in missing)
    assert missing == [n for n in range(sent.last + 1, missing[-1] + 1) if n % 2 == 0 and n != 10]
    spool.rewind()
    assert drained(spool) == found


def test_what_could_not_give_way_is_looked_at_again_when_a_run_has_ended(tmp_path: Path) -> None:
    calls: list[int] = []

    def count(records: Sequence[list[Any]], running: frozenset[str]) -> tuple[list[list[Any]], int]:
        calls.append(len(records))
        return list(records), 0

    spool = filled(tmp_path, 40, limit=100)
    spool.give_way(count, frozenset({"a", "b"}))
    first = len(calls)
    assert first > 2
    spool.give_way(count, frozenset({"a", "b", "c"}))
    assert len(calls) == first
    spool.give_way(count, frozenset({"a"}))
    assert len(calls) == 2 * first


class Life(RuleBasedStateMachine):
    """Any order of what can happen, against a list: nothing that was written is lost, doubled, or out of order."""

    folders: Iterator[Path]

    @initialize()
    def begin(self) -> None:
        self.folder = next(self.folders)
        self.clock = Clock()
        self.broken = pytest.MonkeyPatch()
        self.spool = Spool(self.folder, PLENTY, self.clock)
        self.written = 0
        self.stored = 0
        self.out: list[Parcel] = []

    @rule(count=st.integers(1, 5))
    def add(self, count: int) -> None:
        for _ in range(count):
            self.spool.add(["r", self.spool.last + 1])

    @rule()
    def flush(self) -> None:
        self.clock.now += 0.4
        self.spool.flush()
        self.written = self.spool.last

    @rule(room=st.integers(5, 80))
    def take(self, room: int) -> None:
        if (parcel := self.spool.take(room)) is not None:
            last = self.out[-1].last if self.out else self.stored
            assert parcel.after == last
            assert parcel.lines == [line(n) for n in range(last + 1, parcel.last + 1)]
            self.out.append(parcel)
        else:
            assert (self.out[-1].last if self.out else self.stored) == self.written

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, len(self.out)))
        self.stored = self.out[count - 1].last
        self.spool.forget(self.out[count - 1])
        self.out = self.out[count:]

    @rule()
    def rewind(self) -> None:
        self.spool.rewind()
        self.out.clear()

    @rule()
    def fill_disk(self) -> None:
        break_disk(self.broken)

    @rule()
    def free_disk(self) -> None:
        self.broken.undo()

    @precondition(lambda self: self.spool.trouble is None)
    @rule()
    def die_and_come_back(self) -> None:
        self.broken.undo()
        self.spool.close()
        self.spool = Spool(self.folder, PLENTY, self.clock)
        assert self.spool.last == self.written
        # What is acknowledged may come again, from the beginning of its segment.
        assert self.spool.stored <= self.stored
        self.stored = self.spool.stored
        self.out.clear()

    @invariant()
    def counts(self) -> None:
        assert self.spool.is_empty == (self.stored == self.spool.last)

    def teardown(self) -> None:
        self.broken.undo()
        self.spool.close()


def test_any_order_of_what_can_happen(tmp_path_factory: pytest.TempPathFactory) -> None:
    Life.folders = iter(lambda: tmp_path_factory.mktemp("spool"), None)
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Life, settings=settings(max_examples=150, stateful_step_count=40))
