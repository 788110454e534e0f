"""The history, in DuckDB. The law: all SQL stands here, beside its schema, and every value of it is bound.

Insert-only tables, without keys or indexes. One connection writes, from one thread; readers take a cursor each and
fetch to the end. `sequence` orders everything by its arrival at the principal and never goes back, as clocks do.
What the original implementation wrote is carried on with: see `_adopt`.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from cdktr.batch import CHUNK, SCHEMA, Batch
from cdktr.errors import StartError, StoreError, UnprocessableError
from cdktr.lock import take_lock
from cdktr.records import FINAL_STATUSES, LogRecord

MEMORY = ":memory:"

#: DuckDB's own cache and work memory.
MEMORY_LIMIT = "256MB"

#: Rows handed over at once: the interpreter stands still meanwhile.
SLICE = 2048

ORDERED = tuple(table for table, columns in SCHEMA.items() if "sequence" in columns)

_FINAL = ", ".join(f"'{status}'" for status in sorted(FINAL_STATUSES))

_RUNS = f"""
SELECT workflow_id, workflow_instance_id, arg_max(status, sequence) AS status, min(timestamp_ms) AS queued_ms,
       min(timestamp_ms) FILTER (status = 'RUNNING') AS started_ms,
       max(timestamp_ms) FILTER (status IN ({_FINAL})) AS ended_ms,
       arg_max_null(agent_id, sequence) AS agent_id, arg_max(detail, sequence) FILTER (status IN ({_FINAL})) AS detail,
       max(trigger) AS trigger, max(params) AS params
FROM workflow_run_status
WHERE ($workflow IS NULL OR workflow_id = $workflow) AND ($run IS NULL OR workflow_instance_id = $run)
GROUP BY ALL HAVING $status IS NULL OR arg_max(status, sequence) = $status
ORDER BY min(sequence) DESC LIMIT $limit OFFSET $offset
"""

# Whoever reported on the tasks of a CRASHED run is gone: what it left open ended with the run.
_TASKS = f"""
WITH run AS (
    SELECT arg_max(status, sequence) AS verdict, max(timestamp_ms) AS at_ms
    FROM workflow_run_status WHERE workflow_instance_id = $run
), task AS (
    SELECT task_id, task_instance_id, arg_max(status, sequence) AS last,
           min(timestamp_ms) FILTER (status = 'RUNNING') AS started_ms,
           max(timestamp_ms) FILTER (status IN ({_FINAL})) AS ended_ms,
           max(attempt) AS attempt, arg_max_null(exit_code, sequence) AS exit_code,
           arg_max_null(detail, sequence) AS detail, min(sequence) AS place
    FROM task_run_status WHERE workflow_instance_id = $run GROUP BY task_id, task_instance_id
), seen AS (SELECT *, coalesce(verdict = 'CRASHED', false) AND last NOT IN ({_FINAL}) AS is_left FROM task, run)
SELECT task_id, task_instance_id,
       CASE WHEN NOT is_left THEN last WHEN last = 'RUNNING' THEN 'CRASHED' ELSE 'CANCELLED' END AS status,
       started_ms, CASE WHEN is_left THEN at_ms ELSE ended_ms END AS ended_ms, attempt, exit_code, detail
FROM seen ORDER BY place
"""

_LATEST = """
SELECT workflow_id, arg_max(workflow_instance_id, sequence) AS workflow_instance_id,
       arg_max(status, sequence) AS status, arg_max(timestamp_ms, sequence) AS timestamp_ms
FROM workflow_run_status GROUP BY workflow_id ORDER BY max(sequence) DESC LIMIT $limit
"""

#: What a log line can be asked for: name -> condition. Only those asked for stand in a query, so that DuckDB can leave
#: out by its statistics what they exclude.
_LOG_CONDITIONS = {
    "start": "timestamp_ms >= $start",
    "end": "timestamp_ms < $end",
    "workflow": "workflow_id = $workflow",
    "run": "workflow_instance_id = $run",
    "task": "task_name = $task",
    "level": "level = $level",
    "status": """workflow_instance_id IN (SELECT workflow_instance_id FROM workflow_run_status
                 GROUP BY workflow_instance_id HAVING arg_max(status, sequence) = $status)""",
    "first": "sequence >= $first",
    "beyond": "sequence < $beyond",
}

#: Bytes of payload that one answer without pages holds at most.
MAX_ANSWER_BYTES = 64 * 1024 * 1024

#: The columns of a log line.
LINE = ", ".join(LogRecord._fields)

#: Bytes of payload that a page of log lines loads at most, beside its last line.
PAGE_BYTES = 16 * 1024 * 1024

#: Sequence numbers that one look for a page of log lines spans at first; each further look spans more.
_SPAN = 100_000
_SPAN_GROWTH = 8

# The database splits the text itself, ten times as fast as rows can be handed over, and without the interpreter's lock.
_UNPACK = """
INSERT INTO logstore
SELECT workflow_id, workflow_name, workflow_instance_id, task_name, task_instance_id, timestamp_ms, level,
       unnest(parts), sequence + unnest(range(len(parts)))
FROM (SELECT *, string_split(lines, chr(10)) AS parts FROM chunk)
"""


def _where(asked: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The WHERE of the log conditions that are asked for, and their values."""
    values = {name: value for name, value in asked.items() if value is not None}
    return "WHERE " + " AND ".join(_LOG_CONDITIONS[name] for name in values), values


def _definition(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


class Store:
    """The database file, held by this process alone. `path` may be `:memory:`."""

    def __init__(self, path: str) -> None:
        """Open or create. Raises StartError: held by another process, damaged, or not writable."""
        self._path = path
        self._lock = _lock(path)
        self._writing = threading.Lock()
        try:
            self._connection = self._open()
            self._adopt()
        except BaseException:
            self._unlock()
            raise
        #: The number for the next row.
        self.next_sequence: int = 1 + max(
            self._one(f"SELECT coalesce(max(sequence), -1) FROM {name}") for name in ORDERED
        )
        self._lowest = int(self._one("SELECT coalesce(min(sequence), 0) FROM logstore"))
        #: The last report stored from each source.
        self.cursors: dict[str, int] = dict(self._rows("SELECT source, max(report) FROM report_cursor GROUP BY source"))

    def _open(self) -> duckdb.DuckDBPyConnection:
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": 2,
            "async_threads": 0,
            "memory_limit": MEMORY_LIMIT,
        }
        if self._path != MEMORY:
            config |= {"temp_directory": self._path + ".tmp", "storage_compatibility_version": "v1.3.0"}
        try:
            connection = duckdb.connect(self._path, config=config)
            # After the options above, which they would forbid.
            for option in ("autoload_known_extensions", "autoinstall_known_extensions", "enable_external_access"):
                connection.execute(f"SET {option} = false")
            connection.execute("SET lock_configuration = true")
            connection.execute(f"CREATE TEMP TABLE chunk ({_definition(CHUNK)})")
        except duckdb.Error as error:
            raise StartError(
                f"The database {self._path} cannot be opened: {_first_line(error)}; if another program has it open "
                "close that, if the file is damaged move it aside and start again"
            ) from error
        return connection

    def _adopt(self) -> None:
        """Create what is missing; widen the tables of the original implementation, whose statuses are an ENUM."""
        try:
            for table, columns in SCHEMA.items():
                self._connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({_definition(columns)})")
                self._widen(table, columns)
        except duckdb.Error as error:
            raise StartError(f"The database {self._path} cannot be used: {_first_line(error)}") from error

    def _widen(self, table: str, columns: Mapping[str, str]) -> None:
        found = {name: kind for name, kind, *_ in self._rows(f"DESCRIBE {table}")}
        if str(found.get("status", "")).startswith("ENUM"):
            self._connection.execute(f"ALTER TABLE {table} ALTER COLUMN status TYPE TEXT")
        missing = [name for name in columns if name not in found]
        for name in missing:
            self._connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")
        if "sequence" in columns and self._rows(f"SELECT 1 FROM {table} WHERE sequence IS NULL LIMIT 1"):
            # Before everything that comes, in the order in which it was written. Asked of the rows, not of `missing`:
            # a start may have been cut short just here.
            self._connection.execute(f"UPDATE {table} SET sequence = rowid - (SELECT count(*) FROM {table})")

    def write(self, batch: Batch) -> None:
        """Store a batch, all of it or nothing. Raises StoreError. For one thread."""
        with self._writing:
            try:
                self._write(batch.rows)
            except (duckdb.InvalidInputException, duckdb.ConversionException):
                # A text that is not valid Unicode, a number that is none: one such row must not hold up all others.
                self._rollback()
                self._retry({table: [_clean(table, row) for row in rows] for table, rows in batch.rows.items()})
            except duckdb.Error as error:
                self._rollback()
                raise StoreError(f"The database {self._path} cannot be written: {_first_line(error)}") from error

    def _retry(self, rows: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
        try:
            self._write(rows)
        except duckdb.Error as error:
            self._rollback()
            raise StoreError(f"The database {self._path} cannot be written: {_first_line(error)}") from error

    def _write(self, tables: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
        self._connection.execute("BEGIN")
        for table, rows in tables.items():
            if rows:
                self._append(table, rows)
        if tables["chunk"]:
            self._connection.execute(_UNPACK)
            self._connection.execute("TRUNCATE chunk")
        self._connection.execute("COMMIT")

    def _append(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        appender = self._connection.appender(table)
        try:
            for start in range(0, len(rows), SLICE):
                appender.append_rows(rows[start : start + SLICE])
            appender.flush()
        except duckdb.Error:
            appender.clear()
            raise

    def _rollback(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error:
            # A failed checkpoint invalidates the connection: only a new one goes on.
            self._connection.close()
            try:
                self._connection = self._open()
            except StartError as error:
                raise StoreError(str(error)) from error

    # Queries: each may be called from any thread.

    def runs(
        self,
        workflow_id: str | None = None,
        run_id: str | None = None,
        status: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[dict[str, Any]]:
        """Runs, newest first, with their latest status and times."""
        names = {"workflow": workflow_id, "run": run_id, "status": status, "limit": limit, "offset": offset}
        return self._objects(_RUNS, names)

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a run with their latest status, in the order in which they were first heard of."""
        return self._objects(_TASKS, {"run": run_id})

    def latest(self, limit: int) -> list[dict[str, Any]]:
        """The latest status of each workflow, most recently active first."""
        return self._objects(_LATEST, {"limit": limit})

    def logs(
        self, start_ms: int, end_ms: int, workflow_id: str | None, run_id: str | None, limit: int
    ) -> list[LogRecord]:
        """Log lines of start <= t < end, oldest first. Raises UnprocessableError for more than fits into an answer."""
        where, values = _where({"start": start_ms, "end": end_ms, "workflow": workflow_id, "run": run_id})
        size = self._rows(f"SELECT coalesce(sum(strlen(payload)), 0) FROM logstore {where}", values)[0][0]
        if size > MAX_ANSWER_BYTES:
            raise UnprocessableError(f"{size} bytes of lines match; narrow the window or name a run")
        sql = f"SELECT {LINE} FROM logstore {where} ORDER BY timestamp_ms, sequence LIMIT $limit"
        return [LogRecord(*row) for row in self._rows(sql, {**values, "limit": limit})]

    def log_page(self, filters: Mapping[str, Any], limit: int, *, newest: bool) -> list[dict[str, Any]]:
        """Log lines with their sequence, ascending: the first `limit` that match, or with `newest` the last.

        `filters` has workflow, run, task, level, status, start, end, after; None matches all. No more than about
        `PAGE_BYTES` are loaded, but at least one line. Most pages lie close together: the table is looked through piece
        by piece, from the side that is asked for.
        """
        after = filters["after"]
        low = self._lowest if after is None else max(after + 1, self._lowest)
        beyond = self._highest() + 1
        asked = {name: value for name, value in filters.items() if name != "after"}
        found: list[dict[str, Any]] = []
        span, room = _SPAN, PAGE_BYTES
        while low < beyond and len(found) < limit and room > 0:
            piece = (max(beyond - span, low), beyond) if newest else (low, min(low + span, beyond))
            lines, room = self._piece(asked, piece, limit - len(found), room, "DESC" if newest else "ASC")
            found += lines
            low, beyond = (low, piece[0]) if newest else (piece[1], beyond)
            span *= _SPAN_GROWTH
        return found[::-1] if newest else found

    def _piece(
        self, asked: Mapping[str, Any], piece: tuple[int, int], limit: int, room: int, order: str
    ) -> tuple[list[dict[str, Any]], int]:
        """The lines of a piece of the table, and how many bytes of `room` they leave."""
        where, values = _where({**asked, "first": piece[0], "beyond": piece[1]})
        rest = f"FROM logstore {where} ORDER BY sequence {order} LIMIT $limit"
        count = 0
        for (size,) in self._rows(f"SELECT strlen(payload) {rest}", {**values, "limit": limit}):
            count += 1
            room -= size
            if room <= 0:
                break
        return self._objects(f"SELECT * {rest}", {**values, "limit": count}) if count else [], room

    def _highest(self) -> int:
        return int(self._one("SELECT coalesce(max(sequence), -1) FROM logstore"))

    def highest_number(self) -> int:
        """The highest number at the end of an instance id, -1 when there is none."""
        ids = (f"SELECT {column} AS id FROM {table}" for table, column in _ID_COLUMNS)
        number = "try_cast(regexp_extract(id, '-([0-9]+)$', 1) AS BIGINT)"
        return int(self._one(f"SELECT coalesce(max({number}), -1) FROM ({' UNION ALL '.join(ids)})"))

    def _objects(self, sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._reading() as cursor:
            cursor.execute(sql, values)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with self._reading() as cursor:
            return cursor.execute(sql, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            with self._connection.cursor() as cursor:
                yield cursor
        except duckdb.Error as error:
            raise StoreError(f"The database {self._path} cannot be read: {_first_line(error)}") from error

    def _one(self, sql: str) -> Any:
        return self._rows(sql)[0][0]

    def close(self) -> None:
        """Close the file and let go of it."""
        with self._writing:
            self._connection.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


_ID_COLUMNS = (
    ("workflow_run_status", "workflow_instance_id"),
    ("task_run_status", "task_instance_id"),
    ("logstore", "task_instance_id"),
)


def _clean(table: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
    kinds = CHUNK.values() if table == "chunk" else SCHEMA[table].values()
    return tuple(_CLEAN[kind](value) for kind, value in zip(kinds, row, strict=True))


def _clean_text(value: Any) -> str | None:
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def _clean_number(value: Any) -> int | None:
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else None


_CLEAN: Mapping[str, Callable[[Any], str | int | None]] = {"TEXT": _clean_text, "BIGINT": _clean_number}


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _lock(path: str) -> int | None:
    # Not DuckDB's own lock alone: that one is lost as soon as this process closes the file anywhere else.
    if path == MEMORY:
        return None
    try:
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return take_lock(Path(path + ".lock"), f"the database {path}", "CDKTR_DB_PATH")
    except OSError as error:
        raise StartError(f"The database {path} cannot be made: {error.strerror}; set CDKTR_DB_PATH") from error
