"""What the principal told, as the terminal UI keeps it. Read leniently: an older principal leaves things out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdktr.workflow import Outline

#: Statuses that end a run or a task, and those of them that need a look.
OVER = frozenset({"COMPLETED", "FAILED", "CRASHED", "SKIPPED", "CANCELLED"})
BAD = frozenset({"FAILED", "CRASHED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a principal can do; `arguments` are those of its added verbs, where it tells them."""

    version: str
    verbs: frozenset[str]
    arguments: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def has(self, verb: str, argument: str = "") -> bool:
        """Whether it knows a verb, and an argument of it."""
        return verb in self.verbs and (not argument or argument in self.arguments.get(verb, ()))


@dataclass(frozen=True, slots=True)
class Run:
    """A run. Times are milliseconds since the epoch."""

    id: str
    workflow_id: str
    status: str
    queued_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    agent_id: str | None = None
    detail: str | None = None
    trigger: str | None = None
    #: As a JSON text.
    params: str | None = None

    @property
    def is_over(self) -> bool:
        """Nothing follows."""
        return self.status in OVER


@dataclass(frozen=True, slots=True)
class RunsPage:
    """A part of the history, newest first: how many runs are newer, and if that is told, how many there are in all."""

    runs: tuple[Run, ...]
    newer: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True)
class TaskRun:
    """A task of a run."""

    task_id: str
    instance_id: str
    status: str
    started_ms: int | None = None
    ended_ms: int | None = None
    attempt: int | None = None
    exit_code: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class RunTasks:
    """A run with its tasks; no run when the principal knows none of that id."""

    run: Run | None
    tasks: tuple[TaskRun, ...]


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest run of a workflow."""

    run_id: str
    status: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent as the principal sees it."""

    id: str
    last_ping_ms: int
    running: int
    slots: int | None = None
    version: str | None = None
    spooled_bytes: int = 0
    dropped_lines: int = 0
    labels: tuple[str, ...] = ()
    #: As in a heartbeat.
    uv: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a workflow file."""

    path: str
    message: str
    line: int | None = None
    column: int | None = None
    hint: str | None = None

    @property
    def place(self) -> str:
        """`path:line:column`."""
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Folder:
    """The workflow folder: what is in force, and what is wrong."""

    workflows: tuple[Outline, ...] = ()
    problems: tuple[Problem, ...] = ()
    #: Another one where a definition may have changed.
    revision: int = 0


@dataclass(frozen=True, slots=True)
class OwnLine:
    """A line of the principal's own log."""

    sequence: int
    timestamp_ms: int
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a task printed. Without a `sequence` it is not stored yet."""

    sequence: int | None
    timestamp_ms: int
    level: str
    workflow_id: str
    workflow_name: str
    run_id: str
    task_name: str
    task_instance_id: str
    payload: str

    @property
    def text(self) -> str:
        """What the task printed, without the name of the stream."""
        return self.payload[7:] if self.payload.startswith(("STDOUT ", "STDERR ")) else self.payload


def run_of(value: Mapping[str, Any]) -> Run:
    """The run of an object of LSRUNS."""
    times = (value.get(f"{name}_ms") for name in ("queued", "started", "ended"))
    rest = (value.get(name) for name in ("agent_id", "detail", "trigger", "params"))
    return Run(value["workflow_instance_id"], value["workflow_id"] or "", value["status"], *times, *rest)


def task_of(value: Mapping[str, Any]) -> TaskRun:
    """The task of an object of LSTASKRUNS."""
    names = ("started_ms", "ended_ms", "attempt", "exit_code", "detail")
    rest = (value.get(name) for name in names)
    return TaskRun(value["task_id"], value["task_instance_id"], value["status"], *rest)


def agent_of(value: Mapping[str, Any]) -> Agent:
    """The agent of an object of GETREGISTEREDAGENTS."""
    return Agent(
        value["agent_id"],
        value["last_ping_timestamp"] // 1000,
        value["running_tasks"],
        value.get("slots"),
        value.get("version"),
        value.get("spooled_bytes", 0),
        value.get("dropped_lines", 0),
        tuple(value.get("labels", ())),
        value.get("uv"),
    )


def problem_of(value: Mapping[str, Any]) -> Problem:
    """The problem of an object of LSPROBLEMS."""
    return Problem(*(value.get(name) for name in ("path", "message", "line", "column", "hint")))  # type: ignore[arg-type]


def log_line_of(value: Mapping[str, Any]) -> LogLine:
    """The line of an object of LSLOGS."""
    ids = ("workflow_id", "workflow_name", "workflow_instance_id", "task_name", "task_instance_id", "payload")
    return LogLine(*(value[name] for name in ("sequence", "timestamp_ms", "level", *ids)))


def own_line_of(value: Mapping[str, Any]) -> OwnLine:
    """The line of an object of LSOWNLOG."""
    return OwnLine(*(value[name] for name in ("sequence", "timestamp_ms", "level", "message")))
