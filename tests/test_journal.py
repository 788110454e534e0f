"""What the journal promises: what was synced is there again, once, in order, whatever happened in between.

The events are nothing but their numbers from 0, and the state is the list of those so far, so that every recovery can
be checked in one line.
"""

import asyncio
import errno
import logging
import os
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from cdktr.errors import StartError, StoreError
from cdktr.journal import Journal
from tests.disks import small_disk

#: The system calls by which the journal changes its folder.
CALLS = ("open", "write", "ftruncate", "fdatasync", "fsync", "rename", "unlink")


def recovered(folder: Path) -> list[Any]:
    """What a start finds: the snapshot's events and those after it."""
    journal = Journal(folder)
    journal.close()
    return [*(journal.snapshot or []), *(number for number, *_ in journal.events)]


class Writer:
    """A journal in use. `written` is the state."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder)
        self.written: list[int] = [*(self.journal.snapshot or []), *(number for number, *_ in self.journal.events)]
        self.acknowledged = len(self.written)

    def append(self, count: int = 1) -> None:
        """The next numbers."""
        for _ in range(count):
            self.journal.append([len(self.written)])
            self.written.append(len(self.written))

    async def sync(self, count: int = 0) -> None:
        """Some more, and all of them durable."""
        self.append(count)
        target = len(self.written)
        await self.journal.sync()
        self.acknowledged = max(self.acknowledged, target)

    async def compact(self) -> None:
        """Fold them into a snapshot."""
        await self.journal.compact(lambda: list(self.written))


def using(folder: Path, story: Callable[[Writer], Coroutine[Any, Any, None]]) -> Writer:
    """Open, live through a story, close."""

    async def live() -> Writer:
        writer = Writer(folder)
        try:
            await story(writer)
        finally:
            writer.journal.close()
        return writer

    return asyncio.run(live())


async def entered(event: threading.Event) -> None:
    """Return when another thread has set it."""
    await asyncio.get_running_loop().run_in_executor(None, event.wait, 10)
    assert event.is_set()


def events_file(folder: Path) -> Path:
    """The one that is not empty."""
    (path,) = (path for path in folder.glob("events.*") if path.stat().st_size)
    return path


# In order.


def test_a_new_journal_is_empty(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "journal"
    assert recovered(folder) == []
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_was_synced_is_there_again(tmp_path: Path) -> None:
    value = {"text": "ä\x00\x01\n\r\u2028\ud800", "none": None, "deep": [[1.5, True]]}

    async def story(writer: Writer) -> None:
        writer.journal.append([0, value])
        await writer.journal.sync()
        await writer.journal.sync()

    using(tmp_path, story)
    journal = Journal(tmp_path)
    journal.close()
    assert journal.events == [[0, value]]


def test_every_start_goes_on_behind_the_last(tmp_path: Path) -> None:
    for _ in range(3):
        using(tmp_path, lambda writer: writer.sync(2))
    assert recovered(tmp_path) == list(range(6))


def test_what_was_only_appended_is_not_promised(tmp_path: Path) -> None:
    async def story(writer: Writer) -> None:
        await writer.sync(1)
        writer.append()

    using(tmp_path, story)
    assert recovered(tmp_path) == [0]


def test_a_snapshot_replaces_the_events(tmp_path: Path) -> None:
    async def story(writer: Writer) -> None:
        grown = [bool(writer.journal.grown)]
        await writer.sync(5)
        grown.append(bool(writer.journal.grown))
        await writer.compact()
        grown.append(bool(writer.journal.grown))
        assert grown == [False, True, False]
        writer.append()
        await writer.compact()
        await writer.sync(2)

    using(tmp_path, story)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.3", "snapshot.3"]
    journal = Journal(tmp_path)
    journal.close()
    assert (journal.snapshot, journal.events) == ([0, 1, 2, 3, 4, 5], [[6], [7]])


def test_a_snapshot_without_events_before_it(tmp_path: Path) -> None:
    using(tmp_path, lambda writer: writer.compact())
    assert recovered(tmp_path) == []


# Many at once.


class Gate:
    """Holds up a system call of the journal's thread until `opened`, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.count = 0
        real = getattr(os, name)

        def call(*arguments: Any) -> Any:
            self.count += 1
            self.entered.set()
            assert self.opened.wait(10)
            return real(*arguments)

        monkeypatch.setattr(os, name, call)


def test_many_waiters_share_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "fdatasync")
    gate.opened.set()

    async def story(writer: Writer) -> None:
        await asyncio.gather(*(writer.sync(1) for _ in range(100)))
        assert gate.count == 1

    using(tmp_path, story)
    assert recovered(tmp_path) == list(range(100))


def test_who_comes_during_a_write_shares_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "fdatasync")

    async def story(writer: Writer) -> None:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(writer.sync(1))
            await entered(gate.entered)
            rest = [group.create_task(writer.sync(1)) for _ in range(50)]
            await asyncio.sleep(0)
            assert not first.done()
            gate.opened.set()
        assert all(task.done() for task in rest)
        assert gate.count == 2

    using(tmp_path, story)
    assert recovered(tmp_path) == list(range(51))


def test_a_waiter_that_goes_away_takes_nothing_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "fdatasync")

    async def story(writer: Writer) -> None:
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(writer.sync(1))
            staying = group.create_task(writer.sync(1))
            await entered(gate.entered)
            leaving.cancel()
            gate.opened.set()
        assert leaving.cancelled()
        assert not staying.cancelled()

    using(tmp_path, story)
    assert recovered(tmp_path) == [0, 1]


@pytest.mark.parametrize("where", ["fdatasync", "fsync"])
def test_what_is_appended_during_a_compaction_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async def story(writer: Writer) -> None:
        await writer.sync(2)
        writer.append(1)
        gate = Gate(monkeypatch, where)
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.compact())
            await entered(gate.entered)
            synced = group.create_task(writer.sync(2))
            again = group.create_task(writer.compact())
            await asyncio.sleep(0)
            assert not synced.done()
            gate.opened.set()
        assert again.done()
        await writer.sync(1)

    writer = using(tmp_path, story)
    assert recovered(tmp_path) == writer.written == list(range(6))


def test_the_state_is_asked_for_when_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "fdatasync")

    async def story(writer: Writer) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.sync(1))
            await entered(gate.entered)
            group.create_task(writer.compact())
            await asyncio.sleep(0)
            writer.append(3)
            gate.opened.set()

    using(tmp_path, story)
    journal = Journal(tmp_path)
    journal.close()
    assert (journal.snapshot, journal.events) == ([0, 1, 2, 3], [])


def test_a_state_that_cannot_be_told_harms_nothing(tmp_path: Path) -> None:
    def broken() -> Any:
        raise LookupError

    async def story(writer: Writer) -> None:
        writer.append(1)
        for state in (broken, object):
            with pytest.raises((LookupError, TypeError)):
                await writer.journal.compact(state)
        assert writer.journal.grown
        await writer.sync(1)

    using(tmp_path, story)
    assert recovered(tmp_path) == [0, 1]


# Damage.


def test_a_torn_last_line_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    using(tmp_path / "whole", lambda writer: writer.sync(3))
    whole = events_file(tmp_path / "whole").read_bytes()
    lines = whole.splitlines(keepends=True)
    for size in range(len(whole) + 1):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / "events.1").write_bytes(whole[:size])
        complete = [n for n in range(3) if len(b"".join(lines[: n + 1])) <= size]
        assert recovered(folder) == complete
        using(folder, lambda writer: writer.sync(1))
        assert recovered(folder) == [*complete, len(complete)], "what follows is not hidden by it"
    assert not caplog.records, "nothing that was promised is lost"


def test_zeros_behind_the_end_are_passed_over(tmp_path: Path) -> None:
    using(tmp_path, lambda writer: writer.sync(2))
    with events_file(tmp_path).open("ab") as file:
        file.write(bytes(4096))
    assert recovered(tmp_path) == [0, 1]


def test_a_flipped_byte_costs_the_lines_that_it_is_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    using(tmp_path / "whole", lambda writer: writer.sync(3))
    whole = events_file(tmp_path / "whole").read_bytes()
    size = len(whole) // 3
    for place in range(len(whole)):
        folder = tmp_path / str(place)
        folder.mkdir()
        path = folder / "events.1"
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x04]) + whole[place + 1 :])
        caplog.clear()
        # A line end that is none makes one line of two.
        lost = {place // size, (place + 1) // size}
        left = [n for n in range(3) if n not in lost]
        assert recovered(folder) == left, f"flipped at {place}"
        # Without its newline, the last line is as a power loss leaves it.
        assert len(caplog.records) == (place != len(whole) - 1)
        for record in caplog.records:
            assert record.levelno == logging.ERROR
            assert f"{path} is damaged in line {place // size + 1}: left out" in record.getMessage()


def test_damage_at_the_end_is_no_torn_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        using(tmp_path, lambda writer: writer.sync(3))
    paths = sorted(path for path in tmp_path.iterdir() if path.stat().st_size)
    for path, number in zip(paths, (b"[2]", b"[5]"), strict=True):
        path.write_bytes(path.read_bytes().replace(number, b"[9]") + b"torn")
    journal = Journal(tmp_path)
    journal.close()
    assert journal.is_damaged
    assert journal.events == [[0], [1], [3], [4]]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is damaged in line 3: left out, and the file is kept" for path in paths
    ]


def test_a_damaged_file_is_kept(tmp_path: Path) -> None:
    using(tmp_path, lambda writer: writer.sync(3))
    path = events_file(tmp_path)
    damaged = path.read_bytes().replace(b"[1]", b"[7]")
    path.write_bytes(damaged)

    async def story(writer: Writer) -> None:
        assert writer.journal.is_damaged
        writer.written = [0, 1, 2]
        await writer.sync(1)
        assert path.read_bytes() == damaged, "until a snapshot has what it tells, it is read again with each start"
        await writer.compact()
        await writer.sync(1)

    using(tmp_path, story)
    assert not path.exists()
    assert path.with_name(path.name + ".damaged").read_bytes() == damaged
    assert recovered(tmp_path) == [0, 1, 2, 3, 4]
    journal = Journal(tmp_path)
    journal.close()
    assert not journal.is_damaged


def test_what_is_there_twice_is_read_once(tmp_path: Path) -> None:
    using(tmp_path, lambda writer: writer.sync(3))
    lines = events_file(tmp_path).read_bytes().splitlines(keepends=True)
    (tmp_path / "events.7").write_bytes(b"".join([*lines[1:], b"torn"]))
    using(tmp_path, lambda writer: writer.sync(1))
    assert recovered(tmp_path) == [0, 1, 2, 3]


@pytest.mark.parametrize("content", [b"", b"{}", b"00000000 {}\n", b"zzz"])
def test_a_damaged_snapshot_is_named_and_not_passed_over(tmp_path: Path, content: bytes) -> None:
    using(tmp_path, lambda writer: writer.compact())
    (path,) = tmp_path.glob("snapshot.*")
    path.write_bytes(content)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StartError) as caught:
        Journal(tmp_path)
    assert str(caught.value).startswith(f"The snapshot {path} is damaged; ")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("below", [False, True])
def test_a_folder_that_is_none(tmp_path: Path, below: bool) -> None:
    file = tmp_path / "file"
    file.write_text("")
    folder = file / "journal" if below else file
    with pytest.raises(StartError) as caught:
        Journal(folder)
    assert f"The journal in {folder} cannot be used: " in str(caught.value)
    assert "CDKTR_APP_DATA_DIRECTORY" in str(caught.value)


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    for name in ("events.old", "snapshot.5.bak", "README"):
        (tmp_path / name).write_text("mine")

    async def story(writer: Writer) -> None:
        await writer.sync(1)
        await writer.compact()

    using(tmp_path, story)
    assert recovered(tmp_path) == [0]
    assert {"events.old", "snapshot.5.bak", "README"} <= {path.name for path in tmp_path.iterdir()}


# A crash, or a failing disk, at every single step.


class Steps:
    """Counts the system calls that change a journal, and lets something happen before each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.before: Callable[[str], None] | None = None
        for name in CALLS:
            monkeypatch.setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            before = self.before
            if before is not None:
                self.before = None
                try:
                    before(name)
                    self.count += 1
                finally:
                    self.before = before
            return real(*arguments, **more)

        return call


async def days(writer: Writer) -> None:
    """Events, a snapshot of a snapshot, and events behind it."""
    await writer.sync(2)
    await writer.compact()
    await writer.sync(2)
    writer.append(1)
    await writer.compact()
    await writer.sync(1)


def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    promised: list[tuple[int, int]] = []

    async def story(writer: Writer) -> None:
        def photograph(name: str) -> None:
            shutil.copytree(tmp_path / "live", tmp_path / f"crash{steps.count}")
            promised.append((writer.acknowledged, len(writer.written)))

        steps.before = photograph
        await days(writer)
        steps.before = None

    using(tmp_path / "live", story)
    assert steps.count > 20
    for number, (acknowledged, written) in enumerate(promised):
        found = recovered(tmp_path / f"crash{number}")
        assert found == list(range(len(found))), f"at step {number}"
        assert acknowledged <= len(found) <= written, f"at step {number}"


def failing_at(step: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Writer, bool]:
    """The same days with a disk that fails once, at this step; whether it came to that."""
    failed = False
    messages: set[str] = set()

    async def story(writer: Writer) -> None:
        async def insist(act: Callable[[], Coroutine[Any, Any, None]]) -> None:
            try:
                await act()
            except StoreError as error:
                messages.add(str(error))
                await writer.sync()

        def fail(name: str) -> None:
            nonlocal failed
            if steps.count == step and not failed:
                failed = True
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

        steps.before = fail
        writer.append(2)
        await insist(writer.sync)
        await insist(writer.compact)
        writer.append(2)
        await insist(writer.sync)
        writer.append(1)
        await insist(writer.compact)
        writer.append(1)
        await insist(writer.sync)
        steps.before = None

    with monkeypatch.context() as patch:
        steps = Steps(patch)
        writer = using(folder, story)
    assert messages <= {f"The journal in {folder} cannot be written: No space left on device"}
    return writer, failed


def test_a_disk_that_fails_once_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = 0
    while True:
        folder = tmp_path / str(step)
        writer, failed = failing_at(step, folder, monkeypatch)
        assert recovered(folder) == writer.written == list(range(6)), f"failed at step {step}"
        if not failed:
            break
        step += 1
    assert step > 20


def failing(error: int, times: int = -1) -> Callable[..., Any]:
    """A system call that fails, always or so often."""
    left = times

    def call(*_: Any) -> Any:
        nonlocal left
        left -= 1
        if left == -1:
            raise AssertionError("called once more than it should be")
        raise OSError(error, os.strerror(error))

    return call


@pytest.mark.parametrize("truncates", [True, False])
def test_after_a_failed_sync_everything_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truncates: bool
) -> None:
    """The kernel may take for clean what it failed to write: the same file must not be believed a second time."""

    async def story(writer: Writer) -> None:
        await writer.sync(1)
        first = events_file(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", failing(errno.EIO))
            if not truncates:
                patch.setattr(os, "ftruncate", failing(errno.EIO))
            for _ in range(5):
                with pytest.raises(StoreError, match="Input/output error"):
                    await writer.sync(1)
            told = [writer.journal.trouble]
        await writer.sync()
        told.append(writer.journal.trouble)
        assert told == [f"The journal in {tmp_path} cannot be written: Input/output error", None]
        assert (len(first.read_bytes().splitlines()) == 1) == truncates
        first.unlink()

    using(tmp_path, story)
    assert recovered(tmp_path) == [1, 2, 3, 4, 5], "but what was durable before"
    assert len(list(tmp_path.iterdir())) <= 3, "no attempt leaves a file"


def test_a_half_line_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def half(file: int, data: Any) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data[: len(data) // 2])

    async def story(writer: Writer) -> None:
        await writer.sync(2)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            patch.setattr(os, "ftruncate", failing(errno.EIO))
            with pytest.raises(StoreError, match="No space left"):
                await writer.sync(3)
        await writer.sync(1)

    using(tmp_path, story)
    assert recovered(tmp_path) == list(range(6))


def test_each_who_waits_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, bool]] = []

    def then(name: str) -> Callable[[StoreError | None], None]:
        def note(error: StoreError | None) -> None:
            told.append((name, error is None))
            if name == "broken":
                raise LookupError

        return note

    async def story(writer: Writer) -> None:
        writer.journal.when_synced(then("nothing to wait for"))
        gate = Gate(monkeypatch, "fdatasync")
        for name in ("first", "broken", "third"):
            writer.append()
            writer.journal.when_synced(then(name))
        await entered(gate.entered)
        writer.append()
        writer.journal.when_synced(then("next write"))
        gate.opened.set()
        await writer.sync()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", failing(errno.EIO, 1))
            writer.append()
            writer.journal.when_synced(then("failed"))
            with pytest.raises(StoreError):
                await writer.sync()
        await writer.sync()

    using(tmp_path, story)
    names = ["nothing to wait for", "first", "broken", "third", "next write"]
    assert told == [*((name, True) for name in names), ("failed", False)]
    assert recovered(tmp_path) == list(range(5))


def test_who_waits_is_told_only_of_what_concerns_him(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that fails, after the events were written, is no failure of those who wait for the events."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def story(writer: Writer) -> None:
        gate = Gate(monkeypatch, "fdatasync")
        writer.append(1)
        async with asyncio.TaskGroup() as group:
            compaction = group.create_task(refused(writer))
            await entered(gate.entered)
            waiter = group.create_task(writer.sync())
            monkeypatch.setattr(os, "fsync", full)
            gate.opened.set()
        assert compaction.result()
        assert waiter.exception() is None
        assert writer.journal.grown

    async def refused(writer: Writer) -> bool:
        with pytest.raises(StoreError):
            await writer.compact()
        return True

    with monkeypatch.context():
        using(tmp_path, story)
    monkeypatch.undo()
    assert recovered(tmp_path) == [0]


# A disk that is really full.


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB."""
    with small_disk(tmp_path / "disk", "64k") as folder:
        yield folder


def test_a_full_disk_and_its_end(tiny_disk: Path) -> None:
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(32 * 1024))
    text = "x" * 1000

    async def story(writer: Writer) -> None:
        async def write_on() -> None:
            for _ in range(64):
                written.append(len(written))
                writer.journal.append([written[-1], text])
                await writer.journal.sync()

        with pytest.raises(StoreError, match="No space left on device"):
            await writer.journal.compact(lambda: text * 60)
        assert [path.name for path in (tiny_disk / "journal").iterdir()] == ["events.1"], "failures leave no litter"
        with pytest.raises(StoreError, match="No space left on device"):
            await write_on()
        for _ in range(5):
            with pytest.raises(StoreError):
                await write_on()
            with pytest.raises(StoreError):
                await writer.journal.compact(lambda: text * 60)
        ballast.unlink()
        await writer.journal.sync()

    written: list[int] = []
    using(tiny_disk / "journal", story)
    assert recovered(tiny_disk / "journal") == written
