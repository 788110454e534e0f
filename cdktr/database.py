"""DuckDB: the connection to one database, which can be lost and made again, and what its failures mean.

A connection is lost when a checkpoint finds no room, which invalidates it, or when its file is damaged, overwritten,
removed or replaced under it. It is then closed and made again, beneath its readers; a damaged file gives way to a
fresh one (see `datafile`). No other module knows DuckDB's words.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import duckdb

from cdktr.datafile import DataFile
from cdktr.errors import StartError, StoreError

log = logging.getLogger(__name__)

Connection: TypeAlias = duckdb.DuckDBPyConnection

MEMORY = ":memory:"

#: DuckDB's own cache and work memory for a file; for `:memory:`, where it holds the whole history.
MEMORY_LIMIT = "256MB"
MEMORY_LIMIT_IN_MEMORY = "50%"

#: Times that one transaction or query is tried, each on a new connection.
ATTEMPTS = 3

#: Rows handed over at once: the interpreter stands still meanwhile.
SLICE = 2048

#: What only a damaged file makes DuckDB say.
_DAMAGE = ("Corrupt", "not a valid DuckDB database file", "Could not read enough bytes", "Failure while replaying WAL")

#: What it says besides when the file is in order.
_NO_DAMAGE = ("No space left", "Out of Memory", "out of memory", "Could not write", "Permission denied", "Cannot open")

_OTHER_VERSION = "another version of DuckDB wrote it: use the cdktr that did, or set CDKTR_DB_PATH to another file"

#: What DuckDB says -> what can be done.
_ADVICE = (
    ("Could not set lock", "close the other program that has it open"),
    ("storage version", _OTHER_VERSION),
    ("Storage Version", _OTHER_VERSION),
    ("Permission denied", "give this user the right to read and write it, or set CDKTR_DB_PATH to another file"),
    ("Read-only", "make it writable, or set CDKTR_DB_PATH to another file"),
    ("duckdb_extension", "it is a database of another kind: set CDKTR_DB_PATH to another file"),
    ("No space left", "make room on its disk"),
)


class BadValueError(StoreError):
    """A value is none that the database can hold."""


class Database:
    """A database of this process alone; `path` may be `:memory:`. `prepare` is given each new connection first."""

    def __init__(self, path: str, prepare: Callable[[Connection], None]) -> None:
        """Open or create. Raises StartError: held by another process, not writable, no database, of another version."""
        self._path = path
        self._prepare = prepare
        self._file = None if path == MEMORY else DataFile(path)
        self._connection: Connection | None = None
        #: Counts the connections that were lost.
        self._lost = 0
        #: Whether the last transaction may be in the file although it failed.
        self._in_doubt = False
        #: The damage that readers met, in DuckDB's words.
        self._damage: set[str] = set()
        self._cursors: set[Connection] = set()
        self._turn = threading.Condition(threading.RLock())
        self._is_changing = False
        self._writing = threading.RLock()
        try:
            self._open()
        except BaseException as error:
            self._release()
            if isinstance(error, StoreError):
                raise StartError(str(error)) from error
            raise

    @property
    def set_aside(self) -> list[str]:
        """Where damaged files lie."""
        return [] if self._file is None else self._file.set_aside

    @property
    def losses(self) -> list[str]:
        """What other programs did to the file while it was in use, in words."""
        return [] if self._file is None else self._file.losses

    # The connection.

    def _open(self) -> None:
        """Connect; a damaged file is moved aside. Raises StoreError."""
        try:
            try:
                self._connect()
            except duckdb.Error as error:
                if self._file is None or not _is_damage(error, opening=True):
                    raise
                self._file.move_aside(_first_line(error))
                self._connect()
        except duckdb.Error as error:
            raise StoreError(f"The database {self._path} cannot be opened: {_explain(error)}") from error
        except OSError as error:
            raise StoreError(f"The database {self._path} cannot be used: {error.strerror}") from error
        if self._file is not None:
            self._file.is_ours = True

    def _connect(self) -> None:
        is_new = self._file is not None and not self._file.look()
        connection = None
        try:
            connection = _connection(self._path)
            self._prepare(connection)
            if self._file is not None:
                self._file.watch()
        except BaseException:
            if connection is not None:
                connection.close()
            if self._file is not None:
                self._file.unwatch()
                if is_new:
                    self._file.discard()
            raise
        self._connection = connection

    def _reopen(self, *, fold: bool = False) -> None:
        """Close and open, when no reader is at work: each is interrupted, and tries again. Raises StoreError."""
        with self._turn:
            self._is_changing = True
            try:
                self._disconnect(fold=fold)
                self._open()
            finally:
                self._is_changing = False
                self._turn.notify_all()

    def _disconnect(self, *, fold: bool = False) -> None:
        """Close; `fold` has the write-ahead log folded into the file, or what was that file, before."""
        self._lost += 1
        with self._turn:
            while self._cursors:
                for cursor in self._cursors:
                    cursor.interrupt()
                # Again soon: one may just have been about to begin.
                self._turn.wait(0.05)
            if self._connection is not None:
                with suppress(duckdb.Error):
                    if fold:
                        self._connection.execute("CHECKPOINT")
                self._connection.close()
            self._connection = None
            if self._file is not None:
                self._file.unwatch()

    def _mend(self, lost: int) -> None:
        """Make a new connection, unless that was done since `lost`."""
        with self._writing:
            if lost == self._lost:
                self._reopen()

    # Work.

    def transact(self, work: Callable[[Connection], None], is_done: Callable[[], bool]) -> None:
        """Do `work` in one transaction, once. Raises BadValueError, StoreError.

        A transaction that failed may be in the file all the same ("COMMIT succeeded, but the checkpoint failed"): so
        after every failure `is_done` is asked before it is tried again, here or by the next call.
        """
        with self._writing:
            for attempt in range(ATTEMPTS):
                if self._connection is None:
                    self._reopen()
                if self._in_doubt and is_done():
                    self._in_doubt = False
                    return
                self._in_doubt = True
                try:
                    self._once(work)
                except duckdb.Error as error:
                    self._recover(error, attempt)
                    continue
                what = None if self._file is None else self._file.change()
                if what is None:
                    self._in_doubt = False
                    return
                assert self._file is not None
                self._file.note_loss(what)
                # The log of a file that is gone must not meet the one that is there now.
                self._reopen(fold=what in ("removed", "replaced"))
        raise StoreError(f"The database {self._path} changes faster than it can be written")

    def _once(self, work: Callable[[Connection], None]) -> None:
        assert self._connection is not None
        self._connection.execute("BEGIN")
        work(self._connection)
        self._connection.execute("COMMIT")

    def _recover(self, error: duckdb.Error, attempt: int) -> None:
        """Make another attempt possible; raises StoreError if none makes sense now."""
        is_lost = _is_lost(error)
        if not is_lost:
            self._rollback()
        elif attempt and _is_damage(error) and self._file is not None:
            # Found in order when it was opened again, and yet it cannot be written.
            self._disconnect()
            self._file.move_aside(_first_line(error))
            self._reopen()
        else:
            self._reopen()
        if is_lost and attempt < ATTEMPTS - 1:
            return
        kind = BadValueError if isinstance(error, _BAD_VALUE) else StoreError
        advice = _explain(error)
        if self._path == MEMORY and isinstance(error, duckdb.OutOfMemoryException):
            advice = f"its history fills {MEMORY_LIMIT_IN_MEMORY} of the memory; set CDKTR_DB_PATH to a file"
        raise kind(f"The database {self._path} cannot be written: {advice}") from error

    def _rollback(self) -> None:
        assert self._connection is not None
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.TransactionException:
            # A COMMIT that failed has done so.
            pass
        except duckdb.Error:
            self._disconnect()

    def query(self, sql: str, values: Mapping[str, Any] | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The names of the columns, and the rows. From any thread; a change of connection is survived.

        Raises StoreError.
        """
        mended = 0
        while True:
            lost = self._lost
            try:
                with self._reading() as cursor:
                    cursor.execute(sql, values)
                    return [column[0] for column in cursor.description or ()], cursor.fetchall()
            except duckdb.Error as error:
                if lost != self._lost:
                    continue
                if mended == ATTEMPTS or not self._is_worth_mending(error):
                    raise StoreError(f"The database {self._path} cannot be read: {_first_line(error)}") from error
                mended += 1
                self._mend(lost)

    def _is_worth_mending(self, error: duckdb.Error) -> bool:
        """Whether a new connection may read what this one cannot. A damaged part is looked at anew once."""
        text = _first_line(error)
        if not _is_damage(error):
            return isinstance(error, duckdb.FatalException | duckdb.InternalException)
        if text in self._damage:
            return False
        self._damage.add(text)
        log.error("A part of the database %s cannot be read, it is damaged: %s", self._path, text)
        return True

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._connection is None:
            self._mend(self._lost)
        with self._turn:
            while self._is_changing:
                self._turn.wait()
            if self._connection is None:
                raise StoreError(f"The database {self._path} cannot be opened now; `cdktr status` tells why")
            cursor = self._connection.cursor()
            self._cursors.add(cursor)
        try:
            yield cursor
        finally:
            with self._turn:
                with suppress(duckdb.Error):
                    cursor.close()
                self._cursors.discard(cursor)
                self._turn.notify_all()

    def close(self) -> None:
        """Close the file and let go of it."""
        with self._writing:
            self._disconnect(fold=True)
        self._release()

    def _release(self) -> None:
        if self._file is not None:
            self._file.release()


def _connection(path: str) -> Connection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "threads": 2,
        "async_threads": 0,
        "memory_limit": MEMORY_LIMIT_IN_MEMORY if path == MEMORY else MEMORY_LIMIT,
        "temp_directory": "" if path == MEMORY else path + ".tmp",
    }
    if path != MEMORY:
        config["storage_compatibility_version"] = "v1.3.0"
    connection = duckdb.connect(path, config=config)
    # After the options above, which it would forbid.
    connection.execute("SET enable_external_access = false")
    # Nothing must be written to a file in trouble when it is closed: see `_disconnect`.
    connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    connection.execute("SET lock_configuration = true")
    return connection


_BAD_VALUE = (duckdb.InvalidInputException, duckdb.ConversionException)


def append(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Add rows to these columns of a table. Raises DuckDB's own errors, for `transact`."""
    appender = connection.appender(table, columns=list(columns))
    try:
        for start in range(0, len(rows), SLICE):
            appender.append_rows(rows[start : start + SLICE])
        appender.flush()
    except duckdb.Error:
        appender.clear()
        raise


def refusal(connection: Connection, work: Callable[[], None]) -> str | None:
    """What DuckDB says against work that is undone again; None if nothing."""
    connection.execute("BEGIN")
    try:
        work()
    except (duckdb.IntegrityError, duckdb.ProgrammingError, duckdb.NotSupportedError) as error:
        return _first_line(error)
    finally:
        connection.execute("ROLLBACK")
    return None


def _is_damage(error: duckdb.Error, *, opening: bool = False) -> bool:
    text = str(error)
    # A value that is told of may say anything.
    if isinstance(error, _BAD_VALUE) or any(words in text for words in _NO_DAMAGE):
        return False
    broken = (duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)
    return any(words in text for words in _DAMAGE) or (opening and isinstance(error, broken))


def _is_lost(error: duckdb.Error) -> bool:
    return isinstance(error, duckdb.FatalException | duckdb.InternalException) or _is_damage(error)


def _explain(error: duckdb.Error) -> str:
    text = _first_line(error)
    return "; ".join((text, *(advice for words, advice in _ADVICE if words in text)))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
