"""The durable record of what was accepted and is not history yet: a snapshot and the events after it.

Two kinds of files in one folder, each named by a generation: `snapshot.N` holds a JSON state; `events.N` the JSON
events after it, a line each, `<crc32 of the JSON, 8 hex digits> <JSON>`. A snapshot is written beside, synced and
renamed; only then are older files removed.

An event is a list that begins with its number, each higher than the one before: what a failing disk made the journal
write twice is read once. The end of a file behind its last newline is torn, as a power loss leaves it, and was never
durable. Any other damaged line is left out, and what follows it is read: it is an error in the log, and its file is
kept when its time is over, as `events.N.damaged`.

`append` only buffers. One fdatasync makes durable what all who wait appended.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

from cdktr.disk import sync_folder, sync_parents
from cdktr.errors import StartError, StoreError

log = logging.getLogger(__name__)

#: Made once, as there is a line a trigger.
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


#: Told that something is durable (None), or why it is not.
Then = Callable[[StoreError | None], None]


class Journal:
    """The journal of one folder, open for one process (its owner holds the lock)."""

    def __init__(self, folder: Path) -> None:
        """Open or create. Raises StartError when the folder cannot be used or a snapshot in it is damaged."""
        self.folder = folder
        self._thread = ThreadPoolExecutor(1, "journal")
        self._buffer: list[bytes] = []
        self._synced = 0
        self._appended = 0
        self._flushing: asyncio.Future[None] | None = None
        #: Who waits until so many events are durable, oldest first.
        self._waiting: list[tuple[int, Then]] = []
        #: The states that the next flush is to write as a snapshot, the last of them, and who waits for that.
        self._wanted: list[tuple[Callable[[], Any], asyncio.Future[None]]] = []
        #: Events taken since the last snapshot.
        self.grown = 0
        #: Why the disk does not take the events, None while it does.
        self.trouble: str | None = None
        #: Files with a damaged line.
        self._damaged: set[Path] = set()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._generation = max(self._generations("snapshot"), default=0)
            #: The state of the newest snapshot, None for a new journal.
            self.snapshot: Any = self._read_snapshot()
            #: The events after it, oldest first.
            self.events: list[Any] = self._read_events()
            #: None after a failure that leaves the file in doubt, until the next write.
            self._file: int | None = self._open_next()
            if self.snapshot is None and not self.events:
                sync_parents(folder)
        except OSError as error:
            raise StartError(
                f"The journal in {folder} cannot be used: {error.strerror}; "
                "give this user the right to write there, or set CDKTR_APP_DATA_DIRECTORY to another folder"
            ) from error

    @property
    def is_damaged(self) -> bool:
        """Were there lines that could not be read? Then an event may not fit those before it."""
        return bool(self._damaged)

    def _generations(self, kind: str) -> list[int]:
        names = (path.name.removeprefix(f"{kind}.") for path in self.folder.glob(f"{kind}.*"))
        return sorted(int(name) for name in names if name.isdigit())

    def _read_snapshot(self) -> Any:
        path = self.folder / f"snapshot.{self._generation}"
        if not path.exists():
            return None
        try:
            return _parse_line(path.read_bytes())
        except ValueError:
            raise StartError(
                f"The snapshot {path} is damaged; restore it from a backup, "
                f"or move {self.folder} aside to start with an empty queue"
            ) from None

    def _read_events(self) -> list[Any]:
        # A crash between a snapshot and the removal of what it replaced leaves older files: the snapshot has them.
        events: list[Any] = []
        last = -1
        for generation in self._generations("events"):
            if generation < self._generation:
                continue
            for event in self._read_lines(self.folder / f"events.{generation}"):
                if event[0] > last:
                    events.append(event)
                    last = event[0]
        return events

    def _read_lines(self, path: Path) -> Iterable[Any]:
        # Without what is torn; zeros behind the end are that too.
        whole, newline, _ = path.read_bytes().rpartition(b"\n")
        damaged: list[int] = []
        for number, line in enumerate((whole + newline).splitlines(keepends=True), 1):
            try:
                event = _parse_line(line)
            except ValueError:
                damaged.append(number)
                continue
            self._leave_out(path, damaged)
            damaged.clear()
            yield event
        self._leave_out(path, damaged)

    def _leave_out(self, path: Path, lines: Sequence[int]) -> None:
        if lines:
            numbers = f"line {lines[0]}" if len(lines) == 1 else f"lines {lines[0]} to {lines[-1]}"
            log.error("%s is damaged in %s: left out, and the file is kept", path, numbers)
            self._damaged.add(path)

    def _open_next(self) -> int:
        # Never append behind a line that may be torn: each start writes a file of its own.
        number = max([*self._generations("events"), self._generation], default=0) + 1
        path = self.folder / f"events.{number}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            sync_folder(self.folder)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._current = number
        return file

    def append(self, event: list[Any]) -> None:
        """Take an event for the next write."""
        self._buffer.append(_line(event))
        self._appended += 1
        self.grown += 1

    def when_synced(self, then: Then) -> None:
        """Call `then` once, with None when everything appended so far is on the disk, or with the reason why it could
        not be written: at once or later, from the event loop."""
        if self._synced >= self._appended:
            _tell(then, None)
            return
        self._waiting.append((self._appended, then))
        self._start()

    async def sync(self) -> None:
        """Return when everything appended before the call is on the disk. Raises StoreError when it cannot be."""
        if self._synced < self._appended:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.when_synced(partial(_settle, done))
            await done

    async def compact(self, state: Callable[[], Any]) -> None:
        """Replace everything appended so far by `state()`, called at that moment. Raises StoreError."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted.append((state, done))
        self._start()
        await done

    def _start(self) -> None:
        # One at a time: who comes during a write shares the next.
        if self._flushing is None:
            # Not in a TaskGroup: it tells those who wait itself how it went, and ends with none of them.
            self._flushing = asyncio.ensure_future(self._flush())  # noqa: TID251

    async def _flush(self) -> None:
        wanted, self._wanted = self._wanted, []
        try:
            await self._flush_events([state for state, _ in wanted][-1:])
        except Exception as error:
            for _, done in wanted:
                _settle(done, error)
        else:
            for _, done in wanted:
                _settle(done, None)
        self._flushing = None
        if self._wanted or self._waiting:
            self._start()

    async def _flush_events(self, states: list[Callable[[], Any]]) -> None:
        loop = asyncio.get_running_loop()
        # The state and the events that made it are taken at one moment.
        try:
            snapshots, failure = [_line(state()) for state in states], None
        except Exception as error:
            snapshots, failure = [], error
        (lines, self._buffer), count, grown = (self._buffer, []), self._appended, self.grown
        try:
            await loop.run_in_executor(self._thread, self._write_events, b"".join(lines))
        except Exception as error:
            self._buffer = lines + self._buffer
            raise self._failed(count, error) from error
        self._synced = count
        self.trouble = None
        self._release(count, None)
        if failure is not None:
            raise failure
        for snapshot in snapshots:
            try:
                await loop.run_in_executor(self._thread, self._write_snapshot, snapshot)
            except OSError as error:
                raise self._error(error) from error
            self.grown -= grown

    def _failed(self, count: int, error: Exception) -> StoreError:
        failure = self._error(error)
        self.trouble = str(failure)
        self._release(count, failure)
        return failure

    def _error(self, error: Exception) -> StoreError:
        return StoreError(f"The journal in {self.folder} cannot be written: {getattr(error, 'strerror', error)}")

    def _release(self, count: int, error: StoreError | None) -> None:
        """Tell those who wait for no more than `count` events."""
        waiting, self._waiting = self._waiting, []
        # Whoever is told may append, and wait again.
        for target, then in waiting:
            if target <= count:
                _tell(then, error)
        self._waiting = [each for each in waiting if each[0] > count] + self._waiting

    def _write_events(self, data: bytes) -> None:
        if not data:
            return
        if self._file is None:
            self._file = self._open_next()
        before = os.fstat(self._file).st_size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file)
        except OSError:
            self._abandon(self._file, before)
            raise

    def _abandon(self, file: int, size: int) -> None:
        """Leave a file after a failure with what was durable in it; all the rest is written to another."""
        # Not tried again in the same file. Where the truncation fails as well, a half-written line would run into the
        # next. And after a failed fdatasync the kernel takes the pages for clean: a second one would report success
        # for what never reached the disk.
        self._file = None
        with suppress(OSError):
            os.ftruncate(file, size)
        with suppress(OSError):
            os.close(file)
        if not size:
            # A disk that stays full must not fill the folder with empty files.
            with suppress(OSError):
                (self.folder / f"events.{self._current}").unlink()

    def _write_snapshot(self, line: bytes) -> None:
        # Under a name of its own until it is whole and what follows it has a file: a failure leaves things as they are.
        beside = self.folder / "snapshot.new"
        _write_durably(beside, line)
        old, self._file = self._file, self._open_next()
        if old is not None:
            os.close(old)
        beside.rename(self.folder / f"snapshot.{self._current}")
        sync_folder(self.folder)
        self._generation = self._current
        for kind in ("snapshot", "events"):
            for number in self._generations(kind):
                if number < self._generation:
                    self._remove(self.folder / f"{kind}.{number}")

    def _remove(self, path: Path) -> None:
        if path in self._damaged:
            path.rename(f"{path}.damaged")
            self._damaged.discard(path)
        else:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files; call `sync` first."""
        self._thread.shutdown()
        if self._file is not None:
            os.close(self._file)


def _line(value: Any) -> bytes:
    text = _ENCODE(value).encode()
    return b"%08x %s\n" % (crc32(text), text)


def _parse_line(line: bytes) -> Any:
    """Raises ValueError for a line that is torn or damaged."""
    checksum, _, text = line.partition(b" ")
    if not text.endswith(b"\n") or int(checksum, 16) != crc32(text[:-1]):
        raise ValueError
    return json.loads(text)


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    # Who waited may have gone.
    if not done.done():
        done.set_result(None) if error is None else done.set_exception(error)


def _tell(then: Then, error: StoreError | None) -> None:
    try:
        then(error)
    except Exception as bug:
        # The others must hear of it all the same.
        log.error("What was to follow a write to the journal failed", exc_info=bug)


def _write_durably(path: Path, data: bytes) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        # On a full disk the half of it would only take room.
        path.unlink(missing_ok=True)
        raise
