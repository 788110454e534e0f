"""The history, in DuckDB. The law: all SQL stands here, beside its schema, and every value of it is bound.

Insert-only tables, without keys or indexes. One connection writes, from one thread; readers take a cursor each and
fetch to the end. `sequence` orders everything by its arrival at the principal and never goes back, as clocks do.
What the original implementation wrote is carried on with: see `_adopt`.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cdktr import questions
from cdktr.batch import CHUNK, SCHEMA, Batch, clean
from cdktr.database import MEMORY as MEMORY
from cdktr.database import BadValueError, Connection, Database, append, refusal
from cdktr.errors import StoreError, UnprocessableError
from cdktr.records import LogRecord

ORDERED = tuple(table for table, columns in SCHEMA.items() if "sequence" in columns)

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
_UNPACK = f"""
INSERT INTO logstore ({", ".join(SCHEMA["logstore"])})
SELECT workflow_id, workflow_name, workflow_instance_id, task_name, task_instance_id, timestamp_ms, level,
       unnest(parts), sequence + unnest(range(len(parts)))
FROM (SELECT *, string_split(lines, chr(10)) AS parts FROM chunk)
"""


#: The columns that may be empty.
_EMPTY = frozenset({"agent_id", "detail", "trigger", "params", "attempt", "exit_code"})

#: Our names of types -> DuckDB's.
_KINDS = {"TEXT": "VARCHAR", "BIGINT": "BIGINT"}


def _definition(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


class Store:
    """The database file, held by this process alone. `path` may be `:memory:`."""

    def __init__(self, path: str) -> None:
        """Open or create. Raises StartError: held by another process, not writable, made by something else."""
        self._path = path
        #: The last report stored from each source.
        self.cursors: dict[str, int] = {}
        #: How often the database had to begin anew, without what it knew of the runs.
        self.renewals = 0
        #: The number for the next row, as of the start.
        self.next_sequence = 0
        self._lowest = 0
        self._is_open = False
        self._database = Database(path, self._adopt)
        self._is_open = True
        if not self.next_sequence and self.set_aside:
            self.renewals = 1
            # Beyond whatever the damaged file held: who follows lines goes on after the last number seen.
            self.next_sequence = time.time_ns() // 1000

    @property
    def set_aside(self) -> list[str]:
        """Where damaged files lie."""
        return self._database.set_aside

    @property
    def losses(self) -> list[str]:
        """What other programs did to the file while it was in use, in words."""
        return self._database.losses

    def _adopt(self, connection: Connection) -> None:
        """Make a connection ready: create what is missing, widen the tables of the original implementation.

        A file that took the place of another learns which reports are stored: they were, and are not sent again.
        Raises StoreError for tables that cannot be used.
        """
        connection.execute(f"CREATE TEMP TABLE chunk ({_definition(CHUNK)})")
        for table, columns in SCHEMA.items():
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({_definition(columns)})")
            self._widen(connection, table, columns)
        found = dict(_all(connection, "SELECT source, max(report) FROM report_cursor GROUP BY source"))
        missing = [row for row in self.cursors.items() if row[1] > found.get(row[0], -1)]
        if missing:
            append(connection, "report_cursor", tuple(SCHEMA["report_cursor"]), missing)
        self.cursors = found | dict(missing)
        self._lowest = int(_all(connection, "SELECT coalesce(min(sequence), 0) FROM logstore")[0][0])
        if self._is_open and not _all(connection, "SELECT 1 FROM workflow_run_status LIMIT 1"):
            self.renewals += 1
        for table in ORDERED:
            [(highest,)] = _all(connection, f"SELECT coalesce(max(sequence), -1) FROM {table}")
            self.next_sequence = max(self.next_sequence, highest + 1)

    def _widen(self, connection: Connection, table: str, columns: Mapping[str, str]) -> None:
        found = {name: kind for name, kind, *_ in _all(connection, f"DESCRIBE {table}")}
        # The original's are of an ENUM.
        if found.get("status", "").startswith("ENUM"):
            connection.execute(f"ALTER TABLE {table} ALTER COLUMN status TYPE TEXT")
            found["status"] = "VARCHAR"
        missing = [name for name in columns if name not in found]
        for name in missing:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")
        self._check(connection, table, {name: found[name] for name in columns if name in found})
        if "sequence" in columns and _all(connection, f"SELECT 1 FROM {table} WHERE sequence IS NULL LIMIT 1"):
            # Before everything that comes, in the order in which it was written. Asked of the rows, not of `missing`:
            # a start may have been cut short just here.
            connection.execute(f"UPDATE {table} SET sequence = rowid - (SELECT count(*) FROM {table})")

    def _check(self, connection: Connection, table: str, found: Mapping[str, str]) -> None:
        """Whether rows can be added: who changed a table by hand is told now. Columns of others do no harm."""
        for name, kind in found.items():
            wanted = _KINDS[SCHEMA[table][name]]
            if kind != wanted:
                raise StoreError(
                    f"The database {self._path} cannot be used: the column {name} of {table} is of type {kind}; "
                    f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {wanted} mends it"
                )
        row = tuple(None if name in _EMPTY else "" if kind == "TEXT" else 0 for name, kind in SCHEMA[table].items())
        if why := refusal(connection, lambda: append(connection, table, tuple(SCHEMA[table]), [row, row])):
            raise StoreError(
                f"The database {self._path} cannot be used: {table} was changed, and takes no rows any more: {why}"
            )

    def write(self, batch: Batch) -> None:
        """Store a batch, all of it or nothing, and once. Raises StoreError. For one thread."""

        def is_stored() -> bool:
            return self._has(batch)

        try:
            self._database.transact(lambda connection: _write(connection, batch.rows), is_stored)
        except BadValueError:
            # A text that is not valid Unicode, a number that is none: one such row must not hold up all others.
            rows = {table: [clean(table, row) for row in rows] for table, rows in batch.rows.items()}
            self._database.transact(lambda connection: _write(connection, rows), is_stored)
        for source, report in batch.cursors:
            self.cursors[source] = max(report, self.cursors.get(source, -1))

    def _has(self, batch: Batch) -> bool:
        """Whether a batch is stored: then each of its rows is. One without numbered rows may be written twice."""
        for table, rows in batch.rows.items():
            if rows and table != "report_cursor":
                columns = tuple(CHUNK if table == "chunk" else SCHEMA[table])
                facts = dict(zip(columns, clean(table, rows[0]), strict=True))
                values = {"run": facts["workflow_instance_id"], "number": facts["sequence"]}
                sql = "SELECT 1 FROM {} WHERE sequence = $number AND workflow_instance_id IS NOT DISTINCT FROM $run"
                return bool(self._rows(sql.format("logstore" if table == "chunk" else table), values))
        return False

    # Queries: each may be called from any thread.

    def runs(
        self,
        workflow_id: str | None = None,
        run_id: str | None = None,
        status: str | None = None,
        limit: int = 50,
        offset: int = 0,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> list[dict[str, Any]]:
        """Runs, newest first, with their latest status and times; those that were queued or under way in the window."""
        filters = {"workflow": workflow_id, "run": run_id, "status": status, "start": start_ms, "end": end_ms}
        return self.run_page(filters, limit, offset)[0]

    def run_page(
        self, filters: Mapping[str, Any], limit: int, offset: int, *, oldest: bool = False
    ) -> tuple[list[dict[str, Any]], int]:
        """Runs, newest first, and how many there are on all pages.

        `filters` has the conditions; None matches all. `offset` runs are passed over: the newest, or the `oldest`.
        """
        sql, values = questions.runs(filters, oldest=oldest)
        found = self._objects(sql, values | {"limit": limit, "offset": offset})
        total = [run.pop("total") for run in found]
        if not found and offset > 0:
            # Beyond the end; there may be others.
            return [], self.run_page(filters, 1, 0)[1]
        return found, total[0] if total else 0

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a run with their latest status, in the order in which they were first heard of."""
        return self._objects(questions.TASKS, {"run": run_id})

    def latest(self) -> list[dict[str, Any]]:
        """The newest run of each workflow, as `runs` has them, with its latest status and when that came about."""
        return self._objects(questions.LATEST, {})

    def recent(self, limit: int) -> list[dict[str, Any]]:
        """The latest status of each workflow, of whichever run, most recently active first."""
        return self._objects(questions.RECENT, {"limit": limit})

    def logs(
        self, start_ms: int, end_ms: int, workflow_id: str | None, run_id: str | None, limit: int
    ) -> list[LogRecord]:
        """Log lines of start <= t < end, oldest first. Raises UnprocessableError for more than fits into an answer."""
        where, values = questions.lines_where(
            {"start": start_ms, "end": end_ms, "workflow": workflow_id, "run": run_id}
        )
        size = self._rows(f"SELECT coalesce(sum(strlen(payload)), 0) FROM logstore {where}", values)[0][0]
        if size > MAX_ANSWER_BYTES:
            raise UnprocessableError(f"{size} bytes of lines match; narrow the window or name a run")
        sql = f"SELECT {LINE} FROM logstore {where} ORDER BY timestamp_ms, sequence LIMIT $limit"
        return [LogRecord(*row) for row in self._rows(sql, {**values, "limit": limit})]

    def log_page(self, filters: Mapping[str, Any], limit: int, *, newest: bool) -> list[dict[str, Any]]:
        """Log lines with their sequence, ascending: the first `limit` that match, or with `newest` the last.

        `filters` has the conditions, `after` and `before`; None matches all. No more than about
        `PAGE_BYTES` are loaded, but at least one line. Most pages lie close together: the table is looked through piece
        by piece, from the side that is asked for.
        """
        after, before = filters["after"], filters["before"]
        low = self._lowest if after is None else max(after + 1, self._lowest)
        beyond = self._highest() + 1
        if before is not None:
            beyond = min(before, beyond)
        asked = {name: value for name, value in filters.items() if name not in ("after", "before")}
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
        where, values = questions.lines_where({**asked, "first": piece[0], "beyond": piece[1]})
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

    def pending_ids(self) -> list[str]:
        """The runs of which the history knows how they came about."""
        sql = "SELECT workflow_instance_id FROM workflow_run_status WHERE trigger IS NOT NULL"
        return [row[0] for row in self._rows(sql)]

    def highest_number(self) -> int:
        """The highest number at the end of an instance id, -1 when there is none."""
        ids = (f"SELECT {column} AS id FROM {table}" for table, column in _ID_COLUMNS)
        number = "try_cast(regexp_extract(id, '-([0-9]+)$', 1) AS BIGINT)"
        return int(self._one(f"SELECT coalesce(max({number}), -1) FROM ({' UNION ALL '.join(ids)})"))

    def _objects(self, sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        names, rows = self._database.query(sql, values)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._database.query(sql, values)[1]

    def _one(self, sql: str) -> Any:
        return self._rows(sql)[0][0]

    def close(self) -> None:
        """Close the file and let go of it."""
        self._database.close()


_ID_COLUMNS = (
    ("workflow_run_status", "workflow_instance_id"),
    ("task_run_status", "task_instance_id"),
    ("logstore", "task_instance_id"),
)


def _all(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        return cursor.execute(sql).fetchall()


def _write(connection: Connection, tables: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
    for table, rows in tables.items():
        if rows:
            append(connection, table, tuple(CHUNK if table == "chunk" else SCHEMA[table]), rows)
    if tables["chunk"]:
        connection.execute(_UNPACK)
        connection.execute("TRUNCATE chunk")
