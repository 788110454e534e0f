"""What an agent has to tell, on its disk, until the principal has stored it. The law: a record that was taken here is
handed out again and again, in order, until it is acknowledged; only `give_way` drops any, and that is counted.

A record is a line of JSON, `[number,…]`, its number higher than that of the record before. A folder holds segments,
`<number of the first record>.records`; the last one is written to, one that is acknowledged is removed. A line that
was torn, as a power cut leaves it, is passed over when the folder is opened again.

Nothing is synced: what was written survives the death of the agent, not that of its host, with which the tasks die.
While the disk takes nothing, what comes is kept in memory, up to a bound, and written when it can be.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdktr.errors import StartError
from cdktr.messages import dump

log = logging.getLogger(__name__)

#: Bytes of a segment: what is removed at once, and what `give_way` writes anew.
SEGMENT = 4 * 1024 * 1024

#: Bytes beyond which the last segment is replaced once all of it is acknowledged.
STALE = 64 * 1024

#: Bytes that are kept in memory while the disk takes nothing.
MEMORY = 32 * 1024 * 1024

#: Seconds between attempts to write to a disk that took nothing.
RETRY_S = 1.0

#: The share of the limit below which there is room again.
ROOM = 0.9

#: Seconds that `give_way` takes at once, about.
TURN_S = 0.05

SUFFIX = ".records"

#: Numbered records become fewer: (records, runs that go on) -> (records, how many lines gave way). See `frames`.
Abridge = Callable[[Sequence[list[Any]], frozenset[str]], tuple[list[list[Any]], int]]


class _Segment:
    """A part of the spool: a file, or `data` in memory while the disk takes nothing."""

    def __init__(self, path: Path, before: int) -> None:
        self.path = path
        self.size = 0
        #: The number of its last record; that of the one before it while it is empty.
        self.last = before
        self.data: bytearray | None = None
        #: Open while it is the one that is written to.
        self.file = -1
        #: The runs that went on when it was last abridged.
        self.tried: frozenset[str] | None = None

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes. Raises OSError."""
        if self.data is not None:
            return bytes(self.data[offset : offset + count])
        if self.file >= 0:
            return os.pread(self.file, count, offset)
        with open(self.path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), count, offset)

    def write(self, data: bytes) -> None:
        """Add to the file, all or nothing. Raises OSError."""
        try:
            _write_all(self.file, data)
        except OSError:
            # As far as that can be: until the end of this process it is `size` that counts, and then a torn line is.
            with suppress(OSError):
                os.ftruncate(self.file, self.size)
            raise

    def open(self) -> None:
        """Begin the file. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self.file = os.open(self.path, flags, 0o600)

    def close(self) -> None:
        """Let go of the file."""
        if self.file >= 0:
            os.close(self.file)
            self.file = -1


@dataclass(frozen=True, slots=True)
class Parcel:
    """Records that lie together, as JSON texts. `after` is the number of the record before them, `last` of their last;
    `size` their bytes."""

    after: int
    last: int
    lines: list[bytes]
    size: int
    #: Where they end.
    segment: _Segment
    offset: int


class Spool:
    """The spool in `folder`, which its owner has locked. `limit` is the size in bytes that it is to have at most: who
    adds to it looks at `is_full`."""

    def __init__(self, folder: Path, limit: int, now: Callable[[], float] = time.monotonic) -> None:
        """Open what is there, or begin. Raises StartError when the folder cannot be used."""
        self.folder = folder
        self.limit = limit
        self._now = now
        #: The number of the last record, and of the last one that is acknowledged.
        self.last = self.stored = 0
        #: Bytes kept, on the disk and in memory.
        self.size = 0
        #: Lines that gave way.
        self.dropped = 0
        #: Why the disk takes nothing, None while it does.
        self.trouble: str | None = None
        self._retry_at = 0.0
        self._buffer: list[bytes] = []
        self._segments: list[_Segment] = []
        try:
            self._load()
        except OSError as error:
            raise StartError(
                f"The spool in {folder} cannot be used: {error.strerror}; "
                "give this user the right to write there, or set CDKTR_APP_DATA_DIRECTORY to another folder"
            ) from error
        #: Where the acknowledged records end, in the first segment.
        self._stored_to = 0
        #: What is handed out next: a segment's place, and the offset in it.
        self._place = self._offset = 0
        #: The number of the last record that was handed out, since the last `rewind` and ever.
        self._sent = self._ever_sent = self.stored

    def _load(self) -> None:
        found = sorted((int(path.stem), path) for path in self.folder.glob("*" + SUFFIX) if path.stem.isdigit())
        self.last = self.stored = found[0][0] - 1 if found else 0
        for first, path in found:
            self.last = max(self.last, first - 1)
            segment = _Segment(path, self.last)
            data = b"".join(self._sound(path))
            lost = path.stat().st_size - len(data)
            if lost:
                log.error("%s is damaged: %d bytes of it are passed over", path, lost)
                _replace(path, data)
            segment.size, segment.last = len(data), self.last
            self.size += segment.size
            if data:
                self._segments.append(segment)
            else:
                path.unlink()
        segment = _Segment(self._path(), self.last)
        segment.open()
        self._segments.append(segment)

    def _path(self) -> Path:
        return self.folder / f"{self.last + 1}{SUFFIX}"

    def _sound(self, path: Path) -> Iterator[bytes]:
        """The lines of a file that are records, in order; `last` follows them."""
        with open(path, "rb") as file:
            for line in file:
                try:
                    number = json.loads(line)[0]
                except (ValueError, RecursionError, TypeError, LookupError):
                    continue
                if line.endswith(b"\n") and isinstance(number, int) and number > self.last:
                    self.last = number
                    yield line

    # What comes.

    def add(self, record: list[Any]) -> int:
        """Take a record, for the next `flush`; returns its number."""
        self.last += 1
        self._buffer.append(b"[%d,%b\n" % (self.last, dump(record)[1:].encode()))
        return self.last

    def flush(self) -> None:
        """Write what came. What the disk does not take stays in memory."""
        data = b"".join(self._buffer)
        self._buffer.clear()
        segment = self._segments[-1]
        if data and segment.data is None:
            segment = self._written(segment, data)
        if segment.data is not None:
            segment.data += data
            segment.size, segment.last = len(segment.data), self.last
            self._persist(segment)
        self.size += len(data)

    def _written(self, segment: _Segment, data: bytes) -> _Segment:
        """Where `data` has been written, or must be kept because it cannot be."""
        try:
            if segment.size >= SEGMENT:
                segment = self._begin(segment)
            segment.write(data)
        except OSError as error:
            self._fail(error)
            if segment.size:
                segment.close()
                segment = _Segment(self.folder / f"{segment.last + 1}{SUFFIX}", segment.last)
                self._segments.append(segment)
            segment.close()
            segment.data = bytearray()
        else:
            segment.size += len(data)
            segment.last = self.last
        return segment

    def _begin(self, old: _Segment) -> _Segment:
        """A new last segment. Raises OSError, and then the old one stays it."""
        segment = _Segment(self.folder / f"{old.last + 1}{SUFFIX}", old.last)
        segment.open()
        old.close()
        self._segments.append(segment)
        return segment

    def _persist(self, segment: _Segment) -> None:
        if self._now() < self._retry_at:
            return
        assert segment.data is not None
        try:
            segment.open()
            _write_all(segment.file, segment.data)
        except OSError as error:
            segment.close()
            self._fail(error)
            return
        segment.data = None
        self.trouble = None
        log.info("The spool in %s can be written again", self.folder)

    def _fail(self, error: OSError) -> None:
        self._retry_at = self._now() + RETRY_S
        if self.trouble is None:
            log.error("The spool in %s cannot be written: %s; what comes waits in memory", self.folder, error.strerror)
        self.trouble = f"the spool in {self.folder} cannot be written: {error.strerror}"

    @property
    def is_full(self) -> bool:
        """True when no more should be added."""
        return self.size > self.limit or self._in_memory > MEMORY

    @property
    def has_room(self) -> bool:
        """True when there is so much room that more can be added for a while."""
        return self.size < self.limit * ROOM and self._in_memory < MEMORY * ROOM

    @property
    def _in_memory(self) -> int:
        data = self._segments[-1].data
        return 0 if data is None else len(data)

    # What goes.

    @property
    def is_empty(self) -> bool:
        """True when all is acknowledged."""
        return self.stored >= self.last

    @property
    def unstored(self) -> int:
        """Bytes that are written and not acknowledged."""
        return 0 if self.is_empty else self.size - self._stored_to

    def take(self, room: int) -> Parcel | None:
        """The next records that were not handed out, about `room` bytes, at least one; None when there is none."""
        while True:
            segment = self._segments[self._place]
            if self._offset < segment.size:
                try:
                    return self._parcel(segment, room)
                except OSError as error:
                    log.error("%s cannot be read, what is in it is lost: %s", segment.path, error.strerror)
                    self._offset = segment.size
            elif self._place + 1 < len(self._segments):
                self._place += 1
                self._offset = 0
            else:
                if not self._buffer and self._sent == self.stored:
                    # All that is left was lost with a file: there is nothing more to wait for.
                    self.stored = self._sent = self.last
                return None

    def _parcel(self, segment: _Segment, room: int) -> Parcel:
        data = b""
        while not (cut := data.rfind(b"\n") + 1):
            data = segment.read(self._offset, min(room, segment.size - self._offset))
            if not data or (len(data) == segment.size - self._offset and not data.endswith(b"\n")):
                raise OSError(0, "it is shorter than it was")
            room *= 2
        lines = data[:cut].split(b"\n")[:-1]
        self._offset += cut
        after, self._sent = self._sent, _number(lines[-1])
        self._ever_sent = max(self._ever_sent, self._sent)
        return Parcel(after, self._sent, lines, cut, segment, self._offset)

    def rewind(self) -> None:
        """Hand out everything again that is not acknowledged."""
        self._place, self._offset, self._sent = 0, self._stored_to, self.stored

    def forget(self, parcel: Parcel) -> None:
        """This parcel, and all before it, is stored."""
        self.stored = parcel.last
        while self._segments[0] is not parcel.segment:
            self._remove_first()
        self._stored_to = parcel.offset
        if parcel.offset < parcel.segment.size:
            return
        if len(self._segments) == 1 and parcel.segment.size >= STALE:
            with suppress(OSError):
                self._begin(parcel.segment)
        if len(self._segments) > 1:
            self._remove_first()

    def _remove_first(self) -> None:
        segment = self._segments.pop(0)
        segment.close()
        with suppress(OSError):
            segment.path.unlink()
        self.size -= segment.size
        self._stored_to = 0
        if self._place:
            self._place -= 1
        else:
            self._offset = 0

    def give_way(self, abridge: Abridge, running: frozenset[str]) -> bool:
        """Make room where the limit is passed: lines of runs that are not `running`, oldest first, as `abridge` does.
        What was ever handed out stays, for the principal may have it.

        True when there is more to look at: then call it again, after a turn of the event loop.
        """
        began = self._now()
        for segment in self._segments[:-1]:
            if self.size < self.limit * ROOM:
                return False
            done = segment.tried is not None and segment.tried <= running
            if segment.last > self._ever_sent and not done:
                if self._now() - began > TURN_S:
                    return True
                with suppress(OSError):
                    self._abridge(segment, abridge, running)
        return False

    def _abridge(self, segment: _Segment, abridge: Abridge, running: frozenset[str]) -> None:
        lines = segment.read(0, segment.size).splitlines(keepends=True)
        sent = sum(_number(line) <= self._ever_sent for line in lines)
        records, dropped = abridge([json.loads(line) for line in lines[sent:]], running)
        segment.tried = running
        if not dropped:
            return
        data = b"".join(lines[:sent]) + b"".join(dump(record).encode() + b"\n" for record in records)
        _replace(segment.path, data)
        self.size += len(data) - segment.size
        segment.size = len(data)
        self.dropped += dropped

    def close(self) -> None:
        """Let go of the files; what is kept stays there."""
        for segment in self._segments:
            segment.close()


def _number(line: bytes) -> int:
    return int(line[1 : line.index(b",")])


def _write_all(file: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_suffix(".new")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise
