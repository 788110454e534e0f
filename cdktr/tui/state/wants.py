"""What the screen shows and the feed keeps fresh: follows from the state alone."""

from dataclasses import dataclass

from cdktr.tui.state.history import LOADED
from cdktr.tui.state.model import NEWEST, Data, Form, Part, RunsTab, State, Tab

#: Which rows of the list are near the selected one.
NEAR = (1, -1, 2, -2)

#: Runs of which the durations are drawn.
RECENT = 30


@dataclass(frozen=True, slots=True)
class Facts:
    """The state of the principal."""


@dataclass(frozen=True, slots=True)
class TheFolder:
    """Workflows, without their tasks, and problems."""


@dataclass(frozen=True, slots=True)
class TheDefinition:
    """A workflow with its tasks."""

    workflow_id: str


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


Want = Facts | TheFolder | TheDefinition | TheLatest | TheAgents | TheRuns | Recent | TheTasks | OwnLog


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


def selected_id(state: State) -> str:
    """The workflow that keys are about; "" for none."""
    if state.run is not None:
        return state.run.workflow_id
    if state.tab is Tab.RUNS:
        return next((run.workflow_id for run in state.data.runs or () if run.id == state.runs.cursor.key), "")
    return _listed(state, state.workflows.cursor.index) if state.tab is Tab.WORKFLOWS else ""


def _listed(state: State, index: int) -> str:
    """The workflow of a row of the list."""
    entries = state.workflows.entries
    entry = entries[index] if 0 <= index < len(entries) else None
    return entry.key if entry is not None and entry.workflow is not None else ""


def _defined(state: State) -> list[str]:
    """Workflows whose tasks are needed now, and those next to the selected one: who goes there has them at once."""
    asked = [overlay.workflow_id for overlay in state.overlays if isinstance(overlay, Form)]
    near: list[str] = []
    if state.run is None and state.tab is Tab.WORKFLOWS:
        near = [_listed(state, state.workflows.cursor.index + step) for step in NEAR]
    return [name for name in dict.fromkeys([selected_id(state), *asked, *near]) if name]


def runs_want(tab: RunsTab) -> TheRuns:
    """The part of the history that the list of runs is in."""
    return TheRuns(tab.workflow_id, tab.status, tab.text, tab.part)


def wants(state: State) -> tuple[Want, ...]:
    """All of them, the most urgent first."""
    found: list[Want] = [Facts(), TheFolder(), *map(TheDefinition, _defined(state)), TheLatest()]
    run_id = selected_run(state)
    if run_id:
        found.append(TheTasks(run_id))
    if state.run is not None:
        found.append(Recent(state.run.workflow_id))
    elif state.tab is Tab.WORKFLOWS and (workflow_id := selected_id(state)):
        found.append(Recent(workflow_id))
    elif state.tab is Tab.RUNS:
        found.append(runs_want(state.runs))
    elif state.tab is Tab.AGENTS:
        found.append(TheAgents())
    elif state.tab is Tab.ADMIN:
        found += [OwnLog(), TheAgents()]
    return tuple(want for want in found if _is_known(state, want))


def _is_known(state: State, want: Want) -> bool:
    """Whether the principal has the verb for it."""
    verbs = {TheRuns: "LSRUNS", Recent: "LSRUNS", TheTasks: "LSTASKRUNS", OwnLog: "LSOWNLOG", Facts: "PING"}
    return state.can(verbs.get(type(want), "PING"))


def stored(data: Data, want: Want) -> bool:
    """Whether something was told about it before."""
    if isinstance(want, TheTasks):
        return want.run_id in data.tasks
    if isinstance(want, TheDefinition):
        return want.workflow_id in data.definitions
    if isinstance(want, Recent):
        return data.recent_of == want.workflow_id
    if isinstance(want, TheRuns):
        return data.runs is not None and data.runs_part == want.part
    told = {Facts: data.facts, TheFolder: data.folder, TheAgents: data.agents}
    return told.get(type(want), ()) is not None
