"""What one transaction adds to the history: rows by table, and the columns that the tables have."""

from collections.abc import Iterable, Mapping
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

    def add_logs(self, records: Iterable[LogRecord], first: int) -> int:
        """Add log lines numbered from `first`; returns the next number."""
        before = len(self.logs)
        self.logs += [(*record, number) for number, record in enumerate(records, first)]
        return first + len(self.logs) - before

    def add_chunk(self, chunk: LogChunk, first: int) -> int:
        """Add lines numbered from `first`; returns the next number."""
        text = "\n".join(chunk.payloads)
        count = len(chunk.payloads)
        if text.count("\n") != count - 1:
            # A line with a line end in it, which only a foreign client can make.
            return self.add_logs(chunk.records(), first)
        names = (chunk.workflow_id, chunk.workflow_name, chunk.workflow_instance_id, chunk.task_name)
        self.chunks.append((*names, chunk.task_instance_id, chunk.timestamp_ms, chunk.level, text, first))
        self.chunk_lines += count
        return first + count

    def add_run(self, update: RunUpdate, number: int) -> None:
        """Add a run's change of status."""
        self.runs.append((*_RUN(update), number))

    def add_task(self, update: TaskUpdate, number: int) -> None:
        """Add a task's change of status."""
        self.tasks.append((*_TASK(update), number))

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

    def __len__(self) -> int:
        """Rows in all, each line of a chunk counted."""
        return sum(map(len, self.rows.values())) - len(self.chunks) + self.chunk_lines


#: The values of an update, in the order of its fields, which is that of the columns.
_RUN, _TASK = (attrgetter(*(f.name for f in fields(kind))) for kind in (RunUpdate, TaskUpdate))
