"""What one transaction adds to the history: rows by table, and the columns that the tables have."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from cdktr.records import LogChunk, LogRecord, RunUpdate, TaskUpdate

#: column -> type, in order. The first columns of a table are the original API's and keep their names.
SCHEMA: Mapping[str, Mapping[str, str]] = {
    "logstore": {
        "workflow_id": "TEXT",
        "workflow_name": "TEXT",
        "workflow_instance_id": "TEXT",
        "task_name": "TEXT",
        "task_instance_id": "TEXT",
        "timestamp_ms": "BIGINT",
        "level": "TEXT",
        "payload": "TEXT",
        "sequence": "BIGINT",
    },
    "workflow_run_status": {
        "workflow_id": "TEXT",
        "workflow_instance_id": "TEXT",
        "status": "TEXT",
        "timestamp_ms": "BIGINT",
        "agent_id": "TEXT",
        "detail": "TEXT",
        "trigger": "TEXT",
        "params": "TEXT",
        "sequence": "BIGINT",
    },
    "task_run_status": {
        "task_id": "TEXT",
        "task_instance_id": "TEXT",
        "workflow_instance_id": "TEXT",
        "status": "TEXT",
        "timestamp_ms": "BIGINT",
        "agent_id": "TEXT",
        "attempt": "BIGINT",
        "exit_code": "BIGINT",
        "detail": "TEXT",
        "sequence": "BIGINT",
    },
    # The last report taken from each agent process: what came before it is here already.
    "report_cursor": {"source": "TEXT", "report": "BIGINT"},
    # What was refused, and other facts about runs that are no status of theirs.
    "run_event": {
        "workflow_instance_id": "TEXT",
        "timestamp_ms": "BIGINT",
        "kind": "TEXT",
        "detail": "TEXT",
        "sequence": "BIGINT",
    },
}

#: A temporary table of chunks on their way into `logstore`: its columns, but the first line's number and all the lines.
CHUNK = {"lines" if name == "payload" else name: kind for name, kind in SCHEMA["logstore"].items()}


#: Bytes of memory that a row is taken to need beside its longer texts; a text up to `SHORT` characters is not counted.
ROW_BYTES = 300
SHORT = 100


@dataclass(slots=True)
class Batch:
    """Rows for one transaction, each numbered when it came."""

    logs: list[tuple[Any, ...]] = field(default_factory=list)
    #: Lines that came together, as one text each.
    chunks: list[tuple[Any, ...]] = field(default_factory=list)
    #: How many lines those are.
    chunk_lines: int = 0
    runs: list[tuple[Any, ...]] = field(default_factory=list)
    tasks: list[tuple[Any, ...]] = field(default_factory=list)
    cursors: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    #: Bytes of memory that it takes, about.
    size: int = 0

    def add_logs(self, records: Iterable[LogRecord], first: int) -> int:
        """Add log lines numbered from `first`; returns the next number."""
        before = len(self.logs)
        self.logs += [(*record, number) for number, record in enumerate(records, first)]
        added = self.logs[before:]
        self.size += sum(map(_size, added))
        return first + len(added)

    def add_chunk(self, chunk: LogChunk, first: int) -> int:
        """Add lines numbered from `first`; returns the next number."""
        text = "\n".join(chunk.payloads)
        count = len(chunk.payloads)
        if text.count("\n") != count - 1:
            # A line with a line end in it, which only a foreign client can make.
            return self.add_logs(chunk.records(), first)
        names = (chunk.workflow_id, chunk.workflow_name, chunk.workflow_instance_id, chunk.task_name)
        self.chunks.append((*names, chunk.task_instance_id, chunk.timestamp_ms, chunk.level, text, first))
        self.size += ROW_BYTES + sys.getsizeof(text)
        self.chunk_lines += count
        return first + count

    def add_run(self, update: RunUpdate, number: int) -> None:
        """Add a run's change of status."""
        self._add(self.runs, (*_RUN(update), number))

    def add_task(self, update: TaskUpdate, number: int) -> None:
        """Add a task's change of status."""
        self._add(self.tasks, (*_TASK(update), number))

    def add_event(self, run_id: str, timestamp_ms: int, kind: str, detail: str, number: int) -> None:
        """Add a fact about a run that is no status."""
        self._add(self.events, (run_id, timestamp_ms, kind, detail, number))

    def _add(self, rows: list[tuple[Any, ...]], row: tuple[Any, ...]) -> None:
        rows.append(row)
        self.size += _size(row)

    @property
    def statuses(self) -> int:
        """Rows other than log lines and cursors."""
        return len(self.runs) + len(self.tasks) + len(self.events)

    @property
    def rows(self) -> Mapping[str, list[tuple[Any, ...]]]:
        """The rows by table; chunks last."""
        rows = (self.logs, self.runs, self.tasks, self.cursors, self.events, self.chunks)
        return dict(zip((*SCHEMA, "chunk"), rows, strict=True))

    def extend(self, other: "Batch") -> None:
        """Add the rows of a later batch."""
        for table, rows in self.rows.items():
            rows.extend(other.rows[table])
        self.chunk_lines += other.chunk_lines
        self.size += other.size

    def __len__(self) -> int:
        """Rows in all, each line of a chunk counted."""
        return sum(map(len, self.rows.values())) - len(self.chunks) + self.chunk_lines


#: The values of an update, in the order of its fields, which is that of the columns.
_RUN, _TASK = (attrgetter(*(f.name for f in fields(kind))) for kind in (RunUpdate, TaskUpdate))


def _size(row: tuple[Any, ...]) -> int:
    return ROW_BYTES + sum(sys.getsizeof(value) for value in row if isinstance(value, str) and len(value) > SHORT)


def clean(table: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row with nothing in it that no database takes: texts that are valid Unicode, numbers of 64 bits."""
    kinds = CHUNK.values() if table == "chunk" else SCHEMA[table].values()
    return tuple(_CLEAN[kind](value) for kind, value in zip(kinds, row, strict=True))


def _clean_text(value: Any) -> str | None:
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def _clean_number(value: Any) -> int | None:
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else None


_CLEAN: Mapping[str, Callable[[Any], str | int | None]] = {"TEXT": _clean_text, "BIGINT": _clean_number}
