"""The database's file on the disk: who holds it, what becomes of it while it is open, and where it goes when damaged.

What is damaged is never overwritten: it is renamed to `<path>.damaged-<UTC time>`, with its `.wal`.

DuckDB's lock on its file is lost as soon as this process closes that file anywhere else. So `watch` opens it for as
long as DuckDB has it open and longer, and all else that is opened here is closed before DuckDB opens it.
"""

import codecs
import fcntl
import glob
import logging
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from cdktr.errors import StartError, StoreError
from cdktr.lock import take_lock

log = logging.getLogger(__name__)

#: Bytes at the head of a database that never change while it is open.
HEAD_BYTES = 4096

#: Bytes below which no file is a database.
LEAST_BYTES = 3 * HEAD_BYTES

#: How a write-ahead log begins. DuckDB takes one that begins otherwise for empty, and writes over it.
WAL_HEAD = b"\x64\x00\x62"


class DataFile:
    """The file of a database, for this process alone."""

    def __init__(self, path: str) -> None:
        """Take its lock. Raises StartError: held by another process, or no file can be made there."""
        self.path = path
        self._wal = path + ".wal"
        self._guard = path + ".lock"
        #: Whether it is known to be a database of ours: then whatever is found there is a damaged one.
        self.is_ours = os.path.exists(self._guard)
        #: Where damaged files lie, whoever found them.
        found = set(glob.glob(glob.escape(path) + ".damaged-*"))
        self.set_aside = sorted(name for name in found if name.removesuffix(".wal") not in found - {name})
        #: What other programs did to the file while it was in use, in words.
        self.losses: list[str] = []
        self._eye: int | None = None
        self._head = b""
        try:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Not DuckDB's own lock alone: see above.
            self._lock = take_lock(Path(self._guard), f"the database {path}", "CDKTR_DB_PATH")
        except OSError as error:
            raise StartError(f"The database {path} cannot be made: {error.strerror}; set CDKTR_DB_PATH") from error

    def release(self) -> None:
        """Let go of the lock."""
        if not self.is_ours:
            # It would say that the file has been ours.
            Path(self._guard).unlink(missing_ok=True)
        os.close(self._lock)

    # Before it is opened.

    def look(self) -> bool:
        """Whether there is a file. A write-ahead log that DuckDB would write over is moved aside.

        Raises StoreError for what is no file, OSError.
        """
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            found = None
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise StoreError(f"The database {self.path} is not a file; set CDKTR_DB_PATH to one")
        try:
            with open(self._wal, "rb") as wal:
                head = wal.read(HEAD_BYTES)
        except FileNotFoundError:
            head = b""
        # Zeros alone are what a power cut leaves of one that nothing was synced to.
        if head.strip(b"\0") and (found is None or not head.startswith(WAL_HEAD)):
            aside = self._new_name() + ".wal"
            os.rename(self._wal, aside)
            self.set_aside.append(aside)
            why = "its database is gone" if found is None else "its head is damaged"
            log.error("%s cannot be used, as %s: it was moved aside to %s", self._wal, why, aside)
        return found is not None

    def discard(self) -> None:
        """Remove what was just made and could not be finished: the next attempt would take it for damaged."""
        for name in (self.path, self._wal):
            Path(name).unlink(missing_ok=True)

    def move_aside(self, why: str) -> None:
        """Give the damaged file another name. Raises StoreError: no database of ours, in use, or it cannot be moved."""
        aside = self._new_name()
        try:
            if not self.is_ours and _is_foreign(self.path):
                raise StoreError(f"The file {self.path} is no database; set CDKTR_DB_PATH to another, or move it away")
            self._rename(aside)
        except OSError as error:
            what = "another program has it open" if isinstance(error, BlockingIOError) else error.strerror
            raise StoreError(f"The database {self.path} is damaged, and cannot be moved aside: {what}") from error
        self.set_aside.append(aside)
        log.error(
            "The database %s is damaged (%s): it was moved aside to %s, and the history begins anew in a fresh file. "
            "DuckDB may still read parts of what was moved aside; a backup can take its place while the principal is "
            "stopped; nothing here needs it any more",
            *(self.path, why, aside),
        )

    def _rename(self, aside: str) -> None:
        held = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(self.path, aside)
            if os.path.exists(self._wal):
                os.rename(self._wal, aside + ".wal")
        finally:
            os.close(held)

    def _new_name(self) -> str:
        stem = name = f"{self.path}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        number = 1
        while os.path.lexists(name) or os.path.lexists(name + ".wal"):
            number += 1
            name = f"{stem}-{number}"
        return name

    # While it is open.

    def watch(self) -> None:
        """Look at it by `change` from now on. Raises OSError."""
        self._eye = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self._head = os.pread(self._eye, HEAD_BYTES, 0)

    def note_loss(self, what: str) -> None:
        """Another program did this to the file; what that had, this process has not."""
        at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        self.losses.append(f"the database {self.path} was {what} by another program at {at}")
        log.error(
            "The database %s was %s by another program while it was in use: the history goes on in the file that is "
            "there now, or in a fresh one; a backup can take its place while the principal is stopped",
            *(self.path, what),
        )

    def unwatch(self) -> None:
        """Once DuckDB has closed it."""
        if self._eye is not None:
            os.close(self._eye)
            self._eye = None

    def change(self) -> str | None:
        """What another program did to the open file, None if nothing. Costs microseconds."""
        assert self._eye is not None
        here = os.fstat(self._eye)
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return "removed"
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            return "replaced"
        if os.pread(self._eye, HEAD_BYTES, 0) != self._head:
            return "overwritten"
        # How long it is says less: DuckDB itself gives back what it does not need.
        return "cut short" if here.st_size < LEAST_BYTES else None


def _is_foreign(path: str) -> bool:
    """Whether a file was plainly made by something else: it is a text."""
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        # By parts: the last character may have been cut.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return bool(text) and all(character.isprintable() or character.isspace() for character in text)
