"""Which files a folder listener has triggered for, on the disk: what it knows after a restart.

A file of JSON lines, each synced: first whom it is about, then `["file", …]` with a version that counts no more and
`["folder", …]` with the place of a folder; the last line on a path is in force. A last line that was torn is none.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdktr.arrivals import Place, Version
from cdktr.disk import sync_folder
from cdktr.errors import StartError

#: Lines beyond twice what is known after which the file is written anew.
SPARE = 1000


@dataclass(slots=True)
class Noted:
    """What the file says."""

    counted: dict[str, Version] = field(default_factory=dict)
    folders: dict[str, Place] = field(default_factory=dict)

    def apply(self, entry: list[Any]) -> None:
        """Follow a line. Raises ValueError or TypeError for one that is none."""
        kind, path, *rest = entry
        if not isinstance(path, str) or not all(type(number) is int for number in rest):
            raise ValueError
        if kind == "file":
            self.counted[path] = Version(path, *rest)
        elif kind == "folder":
            self.folders[path] = Place(*rest)
        else:
            raise ValueError


class Notes:
    """The file of a living listener, whose lock that one holds.

    A disk that takes nothing loses nothing: what is to be noted is kept in memory, and written when it can be.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """`about` says whose notes they are, for people. Raises nothing: nothing is opened yet."""
        self.path = path
        self._head = _line([dict(about)])
        self._file = -1
        self._size = 0
        self._lines = 0
        self._owed = bytearray()

    def read(self) -> Noted | None:
        """What was noted before; None when nothing ever was. Raises StartError when it cannot be read."""
        noted = Noted()
        try:
            head, *lines = self.path.read_bytes().split(b"\n")
            if not isinstance(json.loads(head), list):
                raise ValueError
            for line in lines[:-1]:
                noted.apply(json.loads(line))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StartError(f"{self.path} cannot be read: {error.strerror}; give this user the right to") from error
        except (ValueError, TypeError, RecursionError):
            raise StartError(
                f"{self.path} is damaged, so it is not known which files have triggered a run; "
                "move it away, and start with --existing to have all that are there count, or without to have none"
            ) from None
        return noted

    def rewrite(self, counted: Iterable[Version], folders: Mapping[str, Place]) -> None:
        """Replace the file by one that says this. Raises OSError, and the one that was there is left."""
        lines = [
            *(_line(["folder", path, *place]) for path, place in folders.items()),
            *(_line(["file", *version]) for version in counted),
        ]
        beside = self.path.with_suffix(".new")
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            size = _write_all(file, self._head + b"".join(lines), 0)
            os.fsync(file)
            beside.replace(self.path)
            sync_folder(self.path.parent)
        except OSError:
            os.close(file)
            with suppress(OSError):
                beside.unlink()
            raise
        self.close()
        self._file, self._size, self._lines = file, size, len(lines)
        self._owed.clear()

    def file(self, version: Version) -> None:
        """A version counts no more; durable after the next `flush`."""
        self._owe(["file", *version])

    def folder(self, path: str, place: Place) -> None:
        """Which folder it is that has a path; durable after the next `flush`."""
        self._owe(["folder", path, *place])

    def _owe(self, entry: list[Any]) -> None:
        self._owed += _line(entry)
        self._lines += 1

    def flush(self) -> None:
        """Write what is not written yet. Raises OSError; it is tried again at the next call."""
        if not self._owed:
            return
        try:
            size = _write_all(self._file, bytes(self._owed), self._size)
            os.fsync(self._file)
        except OSError:
            # As far as that can be; what is written next begins at the same place.
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size = size
        self._owed.clear()

    def is_long(self, known: int) -> bool:
        """Whether most of it is about what is forgotten, when so much is known."""
        return self._lines > 2 * known + SPARE

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _line(entry: list[Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _write_all(file: int, data: bytes, offset: int) -> int:
    """Where it ends."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view = view[written:]
        offset += written
    return offset
