"""What an agent tells, as bytes: log messages of the original API, and the records of a report. The other half of
`protocol`, under the same law.
"""

import reprlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

from cdktr.errors import ProtocolError
from cdktr.messages import SEPARATOR, fits
from cdktr.records import LogChunk, LogRecord, RunStatus, RunUpdate, TaskUpdate

#: Stands for a raw separator inside a text on the PUB socket, whose readers may split at every one.
SEPARATOR_SHOWN = "\u2401"

# Log messages, one line each, as on the PUSH and PUB sockets.


def encode_log(record: LogRecord) -> bytes:
    """One log line as a message; raw separators in the texts are shown as U+2401."""
    words = [str(word).replace(SEPARATOR, SEPARATOR_SHOWN) for word in record]
    return SEPARATOR.join(words).encode("utf-8", "replace")


def decode_log(frame: bytes) -> LogRecord:
    """The log line of a message. The payload, which comes last, may hold anything. Raises ProtocolError."""
    words = frame.decode("utf-8", "replace").split(SEPARATOR, 7)
    if len(words) != 8:
        raise ProtocolError(f"A log message has 8 fields, not {len(words)}")
    try:
        timestamp = int(words[5])
    except ValueError:
        raise ProtocolError(f"{words[5][:40]!r} is no timestamp") from None
    if not fits(timestamp, int):
        raise ProtocolError(f"{timestamp} is no timestamp")
    return LogRecord(words[0], words[1], words[2], words[3], words[4], timestamp, words[6], words[7])


def encode_chunk(chunk: LogChunk) -> list[bytes]:
    """`encode_log` of every line of a chunk, its head made once."""
    names = (
        chunk.workflow_id,
        chunk.workflow_name,
        chunk.workflow_instance_id,
        chunk.task_name,
        chunk.task_instance_id,
    )
    empty = encode_log(LogRecord(*names, chunk.timestamp_ms, chunk.level, ""))
    lines = (payload.replace(SEPARATOR, SEPARATOR_SHOWN) for payload in chunk.payloads)
    return [empty + line.encode("utf-8", "replace") for line in lines]


# The records of a report.


#: The fields of what a report holds, in order.
_NAMES: dict[type, tuple[str, ...]] = {
    kind: tuple(f.name for f in fields(kind)) for kind in (LogChunk, TaskUpdate, RunUpdate)
}
_TYPES: dict[type, dict[str, Any]] = {kind: get_type_hints(kind) for kind in (TaskUpdate, RunUpdate)}


#: What stands where lines of a task were that gave way at their agent.
GAVE_WAY = "cdktr: %d lines of this task are missing here: the agent's spool was full (CDKTR_AGENT_SPOOL_LIMIT_MB)"

#: What the lines of a task share: workflow id and name, run, task name and instance.
_Head = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Reported:
    """A change of status as an agent reports it, with the token of the lease that gives it the right to."""

    token: str
    update: TaskUpdate | RunUpdate


def pack(record: LogChunk | Reported) -> list[Any]:
    """A record of a report as JSON-able value; in the report its number stands before it."""
    if isinstance(record, LogChunk):
        return ["logs", *(getattr(record, name) for name in _NAMES[LogChunk])]
    kind = "task" if isinstance(record.update, TaskUpdate) else "run"
    return [kind, record.token, *(getattr(record.update, name) for name in _NAMES[type(record.update)])]


def numbered(raw: Any) -> tuple[int, list[Any]]:
    """The number of a record in a report, and the record. Raises ProtocolError."""
    if not isinstance(raw, list) or not raw or not fits(raw[0], int):
        raise ProtocolError(f"A record of REPORT has no number: {reprlib.repr(raw)}")
    return raw[0], raw[1:]


def unpack(raw: Any) -> LogChunk | Reported:
    """The record of what `pack` made; what a later version may add at its end is left out. Raises ProtocolError."""
    try:
        kind, *values = raw
        if kind == "logs":
            return _chunk(*values[: len(_NAMES[LogChunk])])
        token, *values = values
        type_ = {"task": TaskUpdate, "run": RunUpdate}[kind]
        return Reported(_string(token), _checked_update(type_(*values[: len(_NAMES[type_])])))
    except (TypeError, ValueError, KeyError):
        raise ProtocolError(f"A record of REPORT cannot be read: {reprlib.repr(raw)}") from None


def abridge(records: Sequence[list[Any]], running: frozenset[str]) -> tuple[list[list[Any]], int]:
    """Numbered packed records without the log lines of runs that are not `running`, and how many lines that were.

    Where a task's last lines were stands, under their number, how many of them are missing.
    """
    lost: Counter[_Head] = Counter()
    ends: dict[_Head, int] = {}
    for number, *record in records:
        if (head := _head(record)) is not None and head[2] not in running:
            lost[head] += len(record[-1])
            ends[head] = number
    kept: list[list[Any]] = []
    for number, *record in records:
        head = _head(record)
        if head is None or head not in lost:
            kept.append([number, *record])
        elif ends[head] == number:
            mark = LogChunk(*head, record[6], "WARNING", (GAVE_WAY % lost[head],))
            kept.append([number, *pack(mark)])
    return kept, lost.total()


def _head(record: Sequence[Any]) -> "_Head | None":
    """Whose lines these are; None for what is no lines of a task."""
    if record[0] != "logs" or record[7] == "WARNING":
        return None
    workflow_id, workflow_name, run_id, task_name, task_instance_id = record[1:6]
    return workflow_id, workflow_name, run_id, task_name, task_instance_id


def _chunk(*values: Any) -> LogChunk:
    workflow_id, workflow_name, run_id, task_name, task_instance_id, timestamp, level, payloads = values
    names = (workflow_id, workflow_name, run_id, task_name, task_instance_id, level)
    if not fits(timestamp, int) or not isinstance(payloads, list):
        raise TypeError
    if not all(isinstance(text, str) for text in (*names, *payloads)):
        raise TypeError
    return LogChunk(*names[:5], timestamp, level, tuple(payloads))


def _checked_update(update: TaskUpdate | RunUpdate) -> TaskUpdate | RunUpdate:
    checked = replace(update, status=RunStatus(update.status))
    # One value that a column cannot hold would keep everything that is stored with it out of the database.
    if not all(fits(getattr(checked, name), kind) for name, kind in _TYPES[type(checked)].items()):
        raise TypeError
    return checked


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
