"""What the screen shows and the feed keeps fresh: follows from the state alone."""

from dataclasses import dataclass

from cdktr.tui.state.history import LOADED
from cdktr.tui.state.model import NEWEST, Data, Part, RunsTab, State, Tab

#: Runs of which the durations are drawn.
RECENT = 30


@dataclass(frozen=True, slots=True)
class Facts:
    """The state of the principal."""


@dataclass(frozen=True, slots=True)
class TheFolder:
    """Workflows and problems."""


@dataclass(frozen=True, slots=True)
class TheLatest:
    """The latest run of each workflow."""


@dataclass(frozen=True, slots=True)
class TheAgents:
    """All agents."""


@dataclass(frozen=True, slots=True)
class TheRuns:
    """A part of the history."""

    workflow_id: str = ""
    status: str = ""
    text: str = ""
    part: Part = NEWEST
    limit: int = LOADED


@dataclass(frozen=True, slots=True)
class Recent:
    """The last runs of a workflow."""

    workflow_id: str


@dataclass(frozen=True, slots=True)
class TheTasks:
    """A run and its tasks."""

    run_id: str


@dataclass(frozen=True, slots=True)
class OwnLog:
    """The principal's own log."""


Want = Facts | TheFolder | TheLatest | TheAgents | TheRuns | Recent | TheTasks | OwnLog


def shown_run(state: State) -> str:
    """The run whose states the graph of the selected workflow shows; "" for none."""
    if state.workflows.run_id:
        return state.workflows.run_id
    latest = state.data.latest.get(state.workflows.cursor.key)
    return latest.run_id if latest else ""


def selected_run(state: State) -> str:
    """The run that keys are about; "" for none."""
    if state.run is not None:
        return state.run.run_id
    if state.tab is Tab.RUNS:
        return state.runs.cursor.key
    return shown_run(state) if state.tab is Tab.WORKFLOWS else ""


def runs_want(tab: RunsTab) -> TheRuns:
    """The part of the history that the list of runs is in."""
    return TheRuns(tab.workflow_id, tab.status, tab.text, tab.part)


def wants(state: State) -> tuple[Want, ...]:
    """All of them, the most urgent first."""
    found: list[Want] = [Facts(), TheFolder(), TheLatest()]
    run_id = selected_run(state)
    if run_id:
        found.append(TheTasks(run_id))
    if state.run is not None:
        found.append(Recent(state.run.workflow_id))
    elif state.tab is Tab.WORKFLOWS and state.workflows.cursor.key and not state.workflows.cursor.key.startswith("!"):
        found.append(Recent(state.workflows.cursor.key))
    elif state.tab is Tab.RUNS:
        found.append(runs_want(state.runs))
    elif state.tab is Tab.AGENTS:
        found.append(TheAgents())
    elif state.tab is Tab.ADMIN:
        found.append(OwnLog())
    return tuple(want for want in found if _is_known(state, want))


def _is_known(state: State, want: Want) -> bool:
    """Whether the principal has the verb for it."""
    verbs = {TheRuns: "LSRUNS", Recent: "LSRUNS", TheTasks: "LSTASKRUNS", OwnLog: "LSOWNLOG", Facts: "PING"}
    return state.can(verbs.get(type(want), "PING"))


def stored(data: Data, want: Want) -> bool:
    """Whether something was told about it before."""
    if isinstance(want, TheTasks):
        return want.run_id in data.tasks
    if isinstance(want, Recent):
        return data.recent_of == want.workflow_id
    told = {Facts: data.facts, TheFolder: data.folder, TheAgents: data.agents, TheRuns: data.runs}
    return told.get(type(want), ()) is not None
