"""Every request. The law: only this, `messages`, `replies` and `frames` know how what is on the wire looks as bytes.

Each party builds a request as a value and `encode`s it; the principal `decode`s it; `VERBS` lists them all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cdktr.errors import ProtocolError
from cdktr.messages import SEPARATOR, Positional, Structured, field_names, read_text
from cdktr.records import RunStatus

#: The version of the added verbs; a peer asks for it by CAPABILITIES.
PROTOCOL_VERSION = 1

#: What an agent tells of the uv of its host: the path, and the version once it is known, or why there is none.
UV_FACTS = ("path", "version", "trouble")

#: Characters of each.
LONGEST_FACT = 2000


# The original API.


@dataclass(frozen=True, slots=True)
class Ping(Positional):
    """Are you there? Answered PONG."""

    verb = "PING"


@dataclass(frozen=True, slots=True)
class ListWorkflows(Positional):
    """Answered by an object, workflow id -> Workflow."""

    verb = "LSWORKFLOWS"


@dataclass(frozen=True, slots=True)
class RunTask(Positional):
    """Trigger a run; answered OK, without its id."""

    verb = "RUNTASK"
    workflow_id: str


@dataclass(frozen=True, slots=True)
class RegisterAgent(Positional):
    """Registration of an agent, and its heartbeat."""

    verb = "REGISTERAGENT"
    agent_id: str


@dataclass(frozen=True, slots=True)
class FetchWorkflow(Positional):
    """Answered at once: a Workflow when there is work, else OK."""

    verb = "FETCHWORKFLOW"
    agent_id: str


@dataclass(frozen=True, slots=True)
class AgentWorkflowStatus(Positional):
    """An agent reports on a run."""

    verb = "AGENTWORKFLOWSTATUS"
    agent_id: str
    workflow_id: str
    workflow_instance_id: str
    status: RunStatus


@dataclass(frozen=True, slots=True)
class AgentTaskStatus(Positional):
    """An agent reports on a task."""

    verb = "AGENTTASKSTATUS"
    agent_id: str
    task_id: str
    task_instance_id: str
    workflow_instance_id: str
    status: RunStatus


@dataclass(frozen=True, slots=True)
class QueryLogs(Positional):
    """Formatted log lines of start <= t < end, in milliseconds; empty means the default. Note the order."""

    verb = "QUERYLOGS"
    end_ms: str
    start_ms: str
    workflow_id: str
    workflow_instance_id: str
    verbose: str = ""


@dataclass(frozen=True, slots=True)
class GetRecentStatuses(Positional):
    """The latest status of each of the ten most recently active workflows."""

    verb = "GETRECENTSTATUSES"


@dataclass(frozen=True, slots=True)
class GetRegisteredAgents(Positional):
    """The registered agents."""

    verb = "GETREGISTEREDAGENTS"


# What we add.


@dataclass(frozen=True, slots=True)
class Capabilities(Structured):
    """Answered by the principal's version, its verbs and the ports of its log sockets."""

    verb = "CAPABILITIES"


@dataclass(frozen=True, slots=True)
class Trigger(Structured):
    """Trigger a run; answered by {"workflow_instance_id"}, null when `scheduled_ms` was accepted before.

    `key`, 1 to 200 characters without control characters, names the event that the run is for. When it was accepted
    before for this workflow, nothing is triggered, and the answer is the run of that time, with {"repeated": true}.
    """

    verb = "TRIGGER"
    workflow_id: str
    params: dict[str, str | int | float | bool] = field(default_factory=dict)
    trigger: str = "manual"
    scheduled_ms: int | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat(Structured):
    """An agent is alive and holds these runs (id -> token).

    Answered by {"lost": [ids it must let go], "principal": what names the principal, over restarts}.
    """

    verb = "HEARTBEAT"
    agent_id: str
    slots: int
    version: str
    holding: dict[str, str] = field(default_factory=dict)
    #: The agent stops: nobody need wait for it.
    leaving: bool = False
    #: Its heir says so: it did not stop, it was killed.
    killed: bool = False
    #: What it keeps because it is not stored here yet, and how many lines had to give way to that.
    spooled_bytes: int = 0
    dropped_lines: int = 0
    #: Some of UV_FACTS.
    uv: dict[str, str] = field(default_factory=dict)
    #: Of what it holds, the runs that have ended: their end is in what it keeps.
    ended: list[str] = field(default_factory=list)
    #: What it takes is what requires none, or some of these alone.
    labels: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LeaseWork(Structured):
    """An agent takes up to `count` runs; rests at the principal until there is one or `wait_ms` is over.

    `holding` is as in Heartbeat. Answered by {"leases": [...], "lost": [...]}.
    """

    verb = "LEASE"
    agent_id: str
    count: int
    wait_ms: int = 0
    holding: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StartRuns(Structured):
    """An agent is about to start leased runs (id -> token); answered by {"granted": [ids]}."""

    verb = "START"
    agent_id: str
    runs: dict[str, str]


@dataclass(frozen=True, slots=True)
class Report(Structured):
    """What an agent read and saw, in order: each record as `frames.pack` makes it, its number before it.

    The numbers of one `source` (an agent process) grow from 1, with gaps; `after` is that of the record before the
    first of these. Answered, once all of it is stored, by {"stored": number of the last}; sent again after a loss it
    changes nothing.
    """

    verb = "REPORT"
    agent_id: str
    source: str
    after: int
    records: list[Any]


def encode_report(agent_id: str, source: str, after: int, lines: Iterable[bytes]) -> bytes:
    """The frame of a Report of which each record is a JSON text already."""
    empty = Report(agent_id, source, after, []).encode()
    return empty.removesuffix(b"]}") + b",".join(lines) + b"]}"


@dataclass(frozen=True, slots=True)
class AwaitRun(Structured):
    """Rests until the run has ended or `wait_ms` is over; answered by its summary, as ListRuns has it."""

    verb = "AWAITRUN"
    workflow_instance_id: str
    wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class ListRuns(Structured):
    """The history of runs, newest first: one object a run.

    `start_ms` and `end_ms` ask for those that were queued or under way at some time of start <= t < end, `contains` for
    those with a text in their id or their workflow's, in capitals or not. With `oldest` the `offset` is counted from
    the oldest run, so that a page stays the same when runs are added. With `counted` answered by {"runs": [...],
    "total": how many there are on all pages}.
    """

    verb = "LSRUNS"
    workflow_id: str | None = None
    workflow_instance_id: str | None = None
    status: str | None = None
    limit: int = 50
    offset: int = 0
    start_ms: int | None = None
    end_ms: int | None = None
    contains: str | None = None
    oldest: bool = False
    counted: bool = False


@dataclass(frozen=True, slots=True)
class ListLatest(Structured):
    """The latest run of every workflow that ever ran: workflow id -> {workflow_instance_id, status, timestamp_ms}."""

    verb = "LSLATEST"


@dataclass(frozen=True, slots=True)
class ListTaskRuns(Structured):
    """The tasks of one run: one object a task."""

    verb = "LSTASKRUNS"
    workflow_instance_id: str


@dataclass(frozen=True, slots=True)
class ListLogs(Structured):
    """Log lines as objects, oldest first, with their `sequence`.

    `after` is the sequence of the last line seen; `tail` asks for the last lines instead, and `before` for none from
    that sequence on. `contains` is a text that stands in the line after the name of its stream, in capitals or not.
    When there is no line yet, the request rests for `wait_ms`. Answered by {"lines": [...], "next": sequence to go on
    from, "full": the page ended before the lines that there are, "more": it did, or lines may come}.
    """

    verb = "LSLOGS"
    workflow_id: str | None = None
    workflow_instance_id: str | None = None
    task_name: str | None = None
    status: str | None = None
    level: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    after: int | None = None
    limit: int = 10_000
    tail: bool = False
    wait_ms: int = 0
    before: int | None = None
    contains: str | None = None


@dataclass(frozen=True, slots=True)
class ListOwnLog(Structured):
    """The principal's own log, as far as it is in memory: the last `limit` lines, or the first of those after `after`.

    Answered by {"lines": [{sequence, timestamp_ms, level, logger, message}], "next": sequence to go on from}.
    """

    verb = "LSOWNLOG"
    after: int | None = None
    limit: int = 1_000


@dataclass(frozen=True, slots=True)
class ClusterStatus(Structured):
    """The principal's own state: version, uptime, queue, leases, agents, problems.

    `now_ms` is its clock, by which the last word of each agent is told, and `heartbeat_timeout_ms` the silence after
    which it gives one up.
    `agents_left` are the agents that stopped of late, `agents_killed` those that were killed, as their heirs told.
    `revisions` are numbers that differ when something changed since:
    a status of a run or task, the workflow folder.
    """

    verb = "STATUS"


@dataclass(frozen=True, slots=True)
class Pause(Structured):
    """The clock does not trigger a workflow from now on; whoever else triggers it still may.

    Answered, once durable, by {"paused_ms": since when it is paused, "changed": whether it was not before}.
    """

    verb = "PAUSE"
    workflow_id: str


@dataclass(frozen=True, slots=True)
class Resume(Structured):
    """The clock triggers a workflow again, for what is due from now on; answered as Pause, `paused_ms` null."""

    verb = "RESUME"
    workflow_id: str


@dataclass(frozen=True, slots=True)
class ListProblems(Structured):
    """What is wrong in the workflow folder: one object a problem."""

    verb = "LSPROBLEMS"


@dataclass(frozen=True, slots=True)
class ListCatalog(Structured):
    """What a list tells of each workflow, as `codec.outline_to_json` has it; of a large folder a small part of its
    definitions.

    Answered by {"revision": the number of this state of the folder, as in STATUS, "workflows": [...], by id}.
    """

    verb = "LSCATALOG"


@dataclass(frozen=True, slots=True)
class GetWorkflow(Structured):
    """One definition in force, as LSWORKFLOWS has it."""

    verb = "GETWORKFLOW"
    workflow_id: str


@dataclass(frozen=True, slots=True)
class Reload(Structured):
    """Read the workflow folder now; answered by the ids that were added, changed, removed and the problems."""

    verb = "RELOAD"


#: Every request there is, by verb.
VERBS: dict[str, type[Positional] | type[Structured]] = {
    kind.verb: kind
    for kind in (
        *(Ping, ListWorkflows, RunTask, RegisterAgent, FetchWorkflow, AgentWorkflowStatus, AgentTaskStatus),
        *(QueryLogs, GetRecentStatuses, GetRegisteredAgents),
        *(Capabilities, Trigger, Heartbeat, LeaseWork, StartRuns, Report, AwaitRun, ListRuns, ListLatest, ListTaskRuns),
        *(ListLogs, ListOwnLog, ClusterStatus, ListProblems, ListCatalog, GetWorkflow, Reload, Pause, Resume),
    )
}


def arguments() -> dict[str, list[str]]:
    """The names of what may be given to each added verb."""
    return {verb: field_names(kind) for verb, kind in VERBS.items() if issubclass(kind, Structured)}


def decode(frame: bytes) -> Positional | Structured:
    """The request of a frame. Raises ProtocolError."""
    verb, *words = read_text(frame).split(SEPARATOR)
    kind = VERBS.get(verb)
    if kind is None:
        raise ProtocolError(f"Unknown request {verb[:40]!r}; CAPABILITIES lists those there are")
    return kind.parse(words)
