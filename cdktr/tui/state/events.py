"""What can happen to the terminal UI."""

from dataclasses import dataclass
from typing import Any

from cdktr.tui.state.commands import SaveLogs
from cdktr.tui.state.facts import Abilities, LogLine
from cdktr.tui.state.logquery import Place
from cdktr.tui.state.wants import Want


@dataclass(frozen=True, slots=True)
class Key:
    """A key: a character, or a name such as `up`, `enter`, `ctrl-c`, `f5`."""

    name: str


@dataclass(frozen=True, slots=True)
class Pasted:
    """A text that was pasted; it may have line breaks and controls."""

    text: str


@dataclass(frozen=True, slots=True)
class Click:
    """The mouse on a zone of the frame."""

    target: str
    key: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """The wheel, in steps downwards."""

    target: str
    by: int


@dataclass(frozen=True, slots=True)
class Resize:
    """The terminal has another size."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes: seconds since the epoch."""

    now: float


@dataclass(frozen=True, slots=True)
class Up:
    """The principal answers, and can do this."""

    abilities: Abilities


@dataclass(frozen=True, slots=True)
class Away:
    """The principal does not answer."""

    why: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """What was wanted."""

    want: Want
    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """What was wanted cannot be told."""

    want: Want
    why: str


@dataclass(frozen=True, slots=True)
class Triggered:
    """A run was accepted; an old principal does not tell its id."""

    workflow_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Told:
    """Something that was asked for is done, or not: `done` is what takes so long that somebody may look away."""

    text: str
    bad: bool = False
    done: SaveLogs | None = None


@dataclass(frozen=True, slots=True)
class Saving:
    """So many log lines are saved, and more follow."""

    command: SaveLogs
    lines: int


@dataclass(frozen=True, slots=True)
class Exists:
    """The file that lines are to be saved in is there already."""

    command: SaveLogs


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page of log lines. `full`: there are more in its direction; `open`: lines may still come."""

    number: int
    place: Place
    lines: tuple[LogLine, ...]
    full: bool
    open: bool = True
    trouble: str = ""
    #: The line that was searched for.
    found: int | None = None
    #: The line that the place speaks of, as in the question.
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class LogNews:
    """Lines that came after the last; with `jumped` they are the newest, and what is between them was passed over.

    `heard` are lines that are not stored yet.
    """

    number: int
    lines: tuple[LogLine, ...]
    jumped: bool = False
    open: bool = True
    trouble: str = ""
    heard: tuple[LogLine, ...] = ()
    #: As in `FollowLogs`.
    turn: int = 0


@dataclass(frozen=True, slots=True)
class LogsFailed:
    """Log lines cannot be had."""

    number: int
    why: str


Event = (
    Key
    | Pasted
    | Click
    | Wheel
    | Resize
    | Tick
    | Up
    | Away
    | Arrived
    | Failed
    | Triggered
    | Told
    | Saving
    | Exists
    | LogPage
    | LogNews
    | LogsFailed
)
