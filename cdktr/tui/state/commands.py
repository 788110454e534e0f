"""What `update` wants done. The screen does what concerns the terminal, the feed the rest."""

from collections.abc import Mapping
from dataclasses import dataclass

from cdktr.tui.state.logquery import LogQuery, Place


@dataclass(frozen=True, slots=True)
class Quit:
    """End."""


@dataclass(frozen=True, slots=True)
class Redraw:
    """Paint everything anew: something else wrote on the terminal."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Put a text into the clipboard of the terminal."""

    text: str


@dataclass(frozen=True, slots=True)
class SetMouse:
    """Have the mouse reported, or leave it to the terminal, which copies with it."""

    on: bool


@dataclass(frozen=True, slots=True)
class Refresh:
    """Ask for everything anew, now."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Start a run."""

    workflow_id: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SetPaused:
    """Pause a workflow, or resume it."""

    workflow_id: str
    paused: bool


@dataclass(frozen=True, slots=True)
class ReloadFolder:
    """Have the workflow folder read."""


@dataclass(frozen=True, slots=True)
class FetchLogs:
    """A page of log lines; `sequence` is the line that `place` speaks of, `contains` what is searched."""

    number: int
    query: LogQuery
    place: Place
    sequence: int | None = None
    contains: str = ""


@dataclass(frozen=True, slots=True)
class FollowLogs:
    """Tell of each line after this one."""

    number: int
    query: LogQuery
    after: int | None
    #: What is told has it too: an earlier one may be late.
    turn: int


@dataclass(frozen=True, slots=True)
class StopLogs:
    """Nobody follows any more."""


@dataclass(frozen=True, slots=True)
class SaveLogs:
    """Write all lines of a selection to a file."""

    query: LogQuery
    path: str
    verbose: bool = False
    replace: bool = False


Command = (
    Quit
    | Redraw
    | Copy
    | SetMouse
    | Refresh
    | Trigger
    | SetPaused
    | ReloadFolder
    | FetchLogs
    | FollowLogs
    | StopLogs
    | SaveLogs
)
