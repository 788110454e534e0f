"""The state of the terminal UI: frozen values, changed only by `update`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cdktr.tui.state.commands import Command, FetchLogs, SaveLogs
from cdktr.tui.state.facts import (
    Abilities,
    Agent,
    Folder,
    Latest,
    LogLine,
    OwnLine,
    Problem,
    Run,
    RunTasks,
)
from cdktr.tui.state.logquery import LogQuery
from cdktr.workflow import Outline, Workflow

#: Columns and rows below which nothing is drawn but a sentence.
LEAST = (60, 15)


class Tab(StrEnum):
    """The four places; the value is the title."""

    WORKFLOWS = "Workflows"
    RUNS = "Runs"
    AGENTS = "Agents"
    ADMIN = "Admin"


class LinkStatus(StrEnum):
    """How the principal is, seen from here."""

    UNKNOWN = "Connecting"
    UP = "Connected"
    AWAY = "Disconnected"


@dataclass(frozen=True, slots=True)
class Link:
    """The connection; `since` when, in seconds since the epoch, and `why` it is away."""

    status: LinkStatus = LinkStatus.UNKNOWN
    since: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What the terminal can show, and whether it reports the mouse. A `console` has the characters of old PCs alone."""

    unicode: bool = True
    console: bool = False
    colour: bool = True
    mouse: bool = True


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a list stands: the selected row by its key, which keeps its place when rows come and go; the first row."""

    key: str = ""
    index: int = 0
    top: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the list of workflows: a workflow, or a file that cannot be used."""

    key: str
    workflow: Outline | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the history: how many runs are passed over, of the newest, or of the oldest."""

    offset: int = 0
    oldest: bool = False


NEWEST = Part()


@dataclass(frozen=True, slots=True)
class Data:
    """What the principal told last; None is not known yet."""

    facts: Mapping[str, Any] | None = None
    folder: Folder | None = None
    #: Of this state of the folder, as far as they were wanted; None for what is not there.
    definitions: Mapping[str, Workflow | None] = field(default_factory=dict)
    latest: Mapping[str, Latest] = field(default_factory=dict)
    agents: tuple[Agent, ...] | None = None
    #: The loaded part of the history, which one it is, how many newer runs there are, and how many in all, if that is
    #: told.
    runs: tuple[Run, ...] | None = None
    runs_part: Part = NEWEST
    runs_newer: int = 0
    runs_total: int | None = None
    #: The last runs of the selected workflow, newest first.
    recent: tuple[Run, ...] = ()
    recent_of: str = ""
    tasks: Mapping[str, RunTasks] = field(default_factory=dict)
    own_log: tuple[OwnLine, ...] = ()
    #: Why something that is wanted is not told, by the want.
    failed: Mapping[Any, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkflowsTab:
    """The list of workflows with the graph of the selected one."""

    filter: str = ""
    entries: tuple[Entry, ...] = ()
    cursor: Cursor = Cursor()
    #: The graph has the keys, and perhaps the whole screen.
    in_graph: bool = False
    zoomed: bool = False
    #: The selected task.
    task: str = ""
    #: The run whose states the graph shows; "" is the latest.
    run_id: str = ""
    #: It is shown because it was started here, not because somebody looked for it.
    is_started: bool = False


@dataclass(frozen=True, slots=True)
class RunsTab:
    """The history of runs: of one workflow, of one status, with a text in an id. `part` of it is wanted."""

    workflow_id: str = ""
    status: str = ""
    text: str = ""
    part: Part = NEWEST
    cursor: Cursor = Cursor()
    #: The selection goes to the last row of that part when it comes, and so many rows on.
    at_end: bool = False
    owed: int = 0


@dataclass(frozen=True, slots=True)
class RunPage:
    """An opened run."""

    run_id: str
    workflow_id: str
    cursor: Cursor = Cursor()
    #: The graph in place of the timeline, where there is no room for both.
    graph: bool = False


@dataclass(frozen=True, slots=True)
class Logs:
    """The screen of log lines: `lines` is a part of the log without a gap."""

    title: str
    query: LogQuery
    #: Answers to another number are out of date.
    number: int = 0
    lines: tuple[LogLine, ...] = ()
    #: What was heard and is not stored yet: shown below them, until it comes as they did.
    heard: tuple[LogLine, ...] = ()
    #: Nothing stands before the first line, or after the last.
    begins: bool = False
    ends: bool = False
    following: bool = True
    #: The first line on the screen, when not following, and columns that are scrolled away.
    top: int = 0
    left: int = 0
    wrap: bool = False
    verbose: bool = False
    search: str = ""
    #: The sequence of the line that was found.
    found: int | None = None
    #: What was searched for in vain.
    missed: str = ""
    #: A page is under way: `fetch`, which is asked for again at `again`, in seconds since the epoch, when it failed.
    busy: bool = False
    fetch: FetchLogs | None = None
    again: float = 0.0
    #: Rows to scroll once the lines there have come.
    owed: int = 0
    #: What comes after the last line is told by itself, and how often that began: what is told of an earlier time may
    #: be late, and does not go on where the lines end now.
    live: bool = False
    turn: int = 0
    #: Lines may still come.
    open: bool = True
    #: Why there is nothing to see, or what is seen lags behind.
    trouble: str = ""
    #: The range as it was typed.
    since: str = ""
    until: str = ""

    @property
    def shown(self) -> tuple[LogLine, ...]:
        """All that there is to see."""
        return self.lines + self.heard if self.heard and self.ends else self.lines


@dataclass(frozen=True, slots=True)
class Help:
    """The table of keys."""

    top: int = 0


class Ask(StrEnum):
    """What a line of text is asked for; the value stands before it."""

    FILTER = "filter"
    OF_WORKFLOW = "workflow"
    OF_RUNS = "part of a run's or workflow's id"
    SEARCH = "search"
    SAVE = "save as"
    COMMAND = ":"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A line of text is asked for; `before` comes back on Esc."""

    ask: Ask
    text: str = ""
    at: int = 0
    before: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A line of a form."""

    name: str
    text: str = ""
    at: int = 0
    #: What stands for no text.
    default: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """Several lines of text are asked for: the parameters of a run of `workflow_id`, or without one a range of time."""

    title: str
    fields: tuple[Field, ...]
    workflow_id: str = ""
    focus: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Calendar:
    """A day is picked for a field of the form below."""

    year: int
    month: int
    day: int


@dataclass(frozen=True, slots=True)
class Menu:
    """One of several is picked: the status of the runs that are shown."""

    title: str
    options: tuple[str, ...]
    at: int = 0


@dataclass(frozen=True, slots=True)
class Confirm:
    """Something that can hurt is about to be done."""

    question: str
    command: Command


Overlay = Help | Prompt | Form | Calendar | Menu | Confirm


@dataclass(frozen=True, slots=True)
class Notice:
    """A remark that goes by itself, `until` seconds since the epoch, or with the next key."""

    text: str
    until: float
    bad: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Everything."""

    address: str = ""
    version: str = ""
    width: int = 80
    height: int = 24
    #: Seconds since the epoch.
    now: float = 0.0
    look: Look = Look()
    link: Link = Link()
    abilities: Abilities | None = None
    data: Data = Data()
    tab: Tab = Tab.WORKFLOWS
    workflows: WorkflowsTab = WorkflowsTab()
    runs: RunsTab = RunsTab()
    agents: Cursor = Cursor()
    #: Agents that the principal let go of; and whether it was here since it told of agents last.
    lost: tuple[Agent, ...] = ()
    agents_hold: bool = False
    #: Lines that the principal's own log is scrolled back.
    admin_back: int = 0
    #: Its lines are shown as a whole.
    admin_whole: bool = False
    run: RunPage | None = None
    logs: Logs | None = None
    #: How many selections of log lines were asked for: each has its number.
    asked: int = 0
    overlays: tuple[Overlay, ...] = ()
    notice: Notice | None = None
    #: Saving of log lines that is under way.
    saving: tuple[SaveLogs, ...] = ()
    #: When this UI last started a run of a workflow, in seconds since the epoch.
    started: Mapping[str, float] = field(default_factory=dict)

    @property
    def overlay(self) -> Overlay | None:
        """What lies on top."""
        return self.overlays[-1] if self.overlays else None

    @property
    def is_too_small(self) -> bool:
        """There is no room to draw."""
        return self.width < LEAST[0] or self.height < LEAST[1]

    def can(self, verb: str, argument: str = "") -> bool:
        """Whether the principal can do it; as long as that is not known, it is supposed to."""
        return self.abilities is None or self.abilities.has(verb, argument)
