"""What travels through the system and ends in the database: statuses, log records, agents; what the queue holds.

Plain frozen values. `protocol` turns them into bytes, `store` into rows; they know of neither.
All times are milliseconds since the Unix epoch, UTC, unless the name says otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, NamedTuple

from cdktr.labels import NO_LABELS, Labels


class RunStatus(StrEnum):
    """The state of a run or of one task of it."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CRASHED = "CRASHED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """True when nothing can follow this status."""
        return self in FINAL_STATUSES


#: The statuses that end a run or a task.
FINAL_STATUSES = frozenset(
    {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CRASHED, RunStatus.SKIPPED, RunStatus.CANCELLED}
)


@dataclass(frozen=True, slots=True)
class RunUpdate:
    """One change of a run's status."""

    workflow_id: str
    workflow_instance_id: str
    status: RunStatus
    timestamp_ms: int
    agent_id: str | None = None
    #: Why, in words for a person: "agent web1-4f2a was lost".
    detail: str | None = None
    #: What triggered the run ("manual", "schedule", …); only on its first update.
    trigger: str | None = None
    #: The parameters given at the trigger, as a JSON object; only on the first update.
    params: str | None = None


@dataclass(frozen=True, slots=True)
class TaskUpdate:
    """One change of the status of one task of a run."""

    task_id: str
    task_instance_id: str
    workflow_instance_id: str
    status: RunStatus
    timestamp_ms: int
    agent_id: str | None = None
    #: Counts from 1; a retry is the next attempt of the same task instance.
    attempt: int = 1
    exit_code: int | None = None
    detail: str | None = None


class LogRecord(NamedTuple):
    """One log line, in the order of the columns of `logstore` and of the wire."""

    workflow_id: str
    workflow_name: str
    workflow_instance_id: str
    task_name: str
    task_instance_id: str
    timestamp_ms: int
    #: INFO for a line of stdout, ERROR for one of stderr, WARNING between.
    level: str
    #: A task's line begins "STDOUT " or "STDERR ".
    payload: str


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Lines read together from one stream of one task; they share everything but their payloads."""

    workflow_id: str
    workflow_name: str
    workflow_instance_id: str
    task_name: str
    task_instance_id: str
    timestamp_ms: int
    level: str
    payloads: tuple[str, ...]

    def records(self) -> list[LogRecord]:
        """One `LogRecord` a line, in order."""
        head = (
            self.workflow_id,
            self.workflow_name,
            self.workflow_instance_id,
            self.task_name,
            self.task_instance_id,
            self.timestamp_ms,
            self.level,
        )
        return [LogRecord(*head, payload) for payload in self.payloads]


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent as the principal sees it."""

    agent_id: str
    last_ping_us: int
    #: Runs that it holds a lease for.
    running: int
    #: Runs that it takes at once; None for an agent that never said.
    slots: int | None = None
    version: str | None = None
    #: What it keeps because the principal has not stored it yet.
    spooled_bytes: int = 0
    #: Log lines that had to give way to that.
    dropped_lines: int = 0
    labels: Labels = NO_LABELS
    #: The uv of its host: "path" and "version", or "trouble". None for an agent that does not tell.
    uv: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that was accepted and waits for an agent."""

    id: str
    workflow_id: str
    params: Mapping[str, Any] = field(default_factory=dict)
    trigger: str = "manual"
    #: The scheduled time that it is for, milliseconds; None for any other trigger.
    scheduled_ms: int | None = None
    queued_ms: int = 0
    #: How many agents were lost that had it and had not started it.
    deliveries: int = 0
    #: Its place in the queue, which it keeps: the order of acceptance.
    number: int = 0
    #: What names the event that triggered it, None when nothing does.
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """A run in the hands of an agent. Only who holds the token may report on it."""

    run: QueuedRun
    agent_id: str
    token: str
    #: The run's tasks are numbered from here.
    first_number: int
    #: True, False, or None: unknown, because the principal restarted since it was handed out.
    started: bool | None = False
    #: When it started, milliseconds; None as long as that is not known.
    started_ms: int | None = None
    #: An agent of the old API, which knows neither tokens nor our ids.
    legacy: bool = False
    #: The instance id which such an agent made for it.
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One event: what happened to which run, as JSON-able facts."""

    kind: str
    #: What `apply` needs, and what the history tells: `workflow_id`, `agent_id`, `at_ms`, `detail`.
    facts: Mapping[str, Any]


_FIELDS = {kind: tuple(f.name for f in fields(kind)) for kind in (QueuedRun, Lease)}


def plain(value: QueuedRun | Lease) -> dict[str, Any]:
    """The fields by name. Not `asdict`, which copies what is in them: a snapshot has thousands of these."""
    return {name: getattr(value, name) for name in _FIELDS[type(value)]}
