"""The durable record of what was accepted and is not history yet: a snapshot and the events after it.

Two kinds of files in one folder, each named by a generation: `snapshot.N` holds a JSON state; `events.N` the JSON
events after it, a line each, `<crc32 of the JSON, 8 hex digits> <JSON>`. A snapshot is written beside, synced and
renamed; only then are older files removed. A file is read up to its first damaged line: a torn last one, as a power
loss leaves it, was never durable; whatever else is passed over is logged.

`append` only buffers. `sync` makes durable, with one fdatasync however many callers wait for it.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zlib import crc32

from cdktr.errors import StartError, StoreError

log = logging.getLogger(__name__)


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
        #: Events taken since the last snapshot.
        self.grown = 0
        #: The state that the next flush is to write as a snapshot.
        self._wanted: Callable[[], Any] | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._generation = max(self._generations("snapshot"), default=0)
            #: The state of the newest snapshot, None for a new journal.
            self.snapshot: Any = self._read_snapshot()
            #: The events after it, oldest first.
            self.events: list[Any] = self._read_events()
            self._file = self._open_next()
        except OSError as error:
            raise StartError(
                f"The journal in {folder} cannot be used: {error.strerror}; "
                "give this user the right to write there, or set CDKTR_APP_DATA_DIRECTORY to another folder"
            ) from error

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
                "or move the folder aside to start with an empty queue"
            ) from None

    def _read_events(self) -> list[Any]:
        # A crash between a snapshot and the removal of what it replaced leaves older files: the snapshot has them.
        events: list[Any] = []
        for generation in self._generations("events"):
            if generation < self._generation:
                continue
            events += _parse_lines(self.folder / f"events.{generation}")
        return events

    def _open_next(self) -> int:
        # Never append behind a line that may be torn: each start writes a file of its own.
        number = max([*self._generations("events"), self._generation], default=0) + 1
        self._current = number
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL | os.O_CLOEXEC
        file = os.open(self.folder / f"events.{number}", flags, 0o600)
        try:
            _sync_folder(self.folder)
        except OSError:
            os.close(file)
            raise
        return file

    def append(self, event: Any) -> None:
        """Take an event for the next `sync`."""
        self._buffer.append(_line(event))
        self._appended += 1
        self.grown += 1

    async def sync(self) -> None:
        """Return when everything appended before the call is on the disk. Raises StoreError when it cannot be."""
        target = self._appended
        while self._synced < target:
            try:
                await self._flush_together()
            except StoreError:
                # It may have been a snapshot that failed, after the events were written.
                if self._synced < target:
                    raise

    async def compact(self, state: Callable[[], Any]) -> None:
        """Replace everything appended so far by `state()`, called at that moment. Raises StoreError."""
        self._wanted = state
        if self._flushing is not None:
            # That one began without it. The next takes it along, whoever starts it.
            await asyncio.wait([self._flushing])
        await self._flush_together()

    async def _flush_together(self) -> None:
        if self._flushing is None:
            # Not in a TaskGroup: whoever waits for it awaits it, and one waiter's end must not end it.
            self._flushing = asyncio.ensure_future(self._flush())  # noqa: TID251
        await asyncio.shield(self._flushing)

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        lines: list[bytes] = []
        grown, (state, self._wanted) = self.grown, (self._wanted, None)
        try:
            # The state and the events that made it are taken at one moment.
            snapshot = None if state is None else _line(state())
            (lines, self._buffer), count = (self._buffer, []), self._appended
            await loop.run_in_executor(self._thread, self._write_events, b"".join(lines))
            lines, self._synced = [], count
            if snapshot is not None:
                await loop.run_in_executor(self._thread, self._write_snapshot, snapshot)
                self.grown -= grown
        except OSError as error:
            self._buffer = lines + self._buffer
            raise StoreError(f"The journal in {self.folder} cannot be written: {error.strerror}") from error
        finally:
            self._flushing = None

    def _write_events(self, data: bytes) -> None:
        if not data:
            return
        before = os.fstat(self._file).st_size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file)
        except OSError:
            # A half-written line would hide what follows it.
            os.ftruncate(self._file, before)
            raise

    def _write_snapshot(self, line: bytes) -> None:
        # Under a name of its own until it is whole and what follows it has a file: a failure leaves things as they are.
        beside = self.folder / "snapshot.new"
        _write_durably(beside, line)
        old, self._file = self._file, self._open_next()
        os.close(old)
        beside.rename(self.folder / f"snapshot.{self._current}")
        _sync_folder(self.folder)
        self._generation = self._current
        for kind in ("snapshot", "events"):
            for number in self._generations(kind):
                if number < self._generation:
                    (self.folder / f"{kind}.{number}").unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files; call `sync` first."""
        self._thread.shutdown()
        os.close(self._file)


def _line(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":")).encode()
    return b"%08x %s\n" % (crc32(text), text)


def _parse_line(line: bytes) -> Any:
    """Raises ValueError for a line that is torn or damaged."""
    checksum, _, text = line.partition(b" ")
    if not text.endswith(b"\n") or int(checksum, 16) != crc32(text[:-1]):
        raise ValueError
    return json.loads(text)


def _parse_lines(path: Path) -> list[Any]:
    lines = path.read_bytes().splitlines(keepends=True)
    values: list[Any] = []
    for number, line in enumerate(lines, 1):
        try:
            values.append(_parse_line(line))
        except ValueError:
            if number < len(lines):
                log.error("%s is damaged in line %d; %d lines are passed over", path, number, len(lines) - number + 1)
            break
    return values


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


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
