"""Starting a run, and what is asked before."""

from dataclasses import replace

from cdktr.tui.state.arrivals import noticed
from cdktr.tui.state.commands import Command, Trigger
from cdktr.tui.state.graphmoves import selected_workflow, why_unknown
from cdktr.tui.state.model import Confirm, Field, Form, State, Tab
from cdktr.tui.state.wants import selected_id
from cdktr.workflow import scalar_text

Result = tuple[State, tuple[Command, ...]]

#: Seconds after the start of a run in which another one is asked about.
JUST_NOW_S = 10.0


def run_asked(state: State) -> Result:
    """Start a run of the selected workflow: its parameters are asked for, and whether one more is meant."""
    workflow_id = selected_id(state)
    listed = state.data.folder.workflows if state.data.folder else ()
    outline = next((each for each in listed if each.id == workflow_id), None)
    if outline is None:
        return noticed(state, "There is no workflow to run here", bad=True), ()
    workflow = selected_workflow(state) if outline.has_params else None
    if outline.has_params and workflow is None:
        return noticed(state, why_unknown(state) or f"{workflow_id} is gone", bad=True), ()
    if workflow is None or not workflow.params:
        command = Trigger(workflow_id, {})
        if _why_ask(state, workflow_id):
            question = Confirm(_question(state, workflow_id), command)
            return replace(state, overlays=(*state.overlays, question)), ()
        return noticed(state, f"Starting {workflow_id} …"), (command,)
    fields = tuple(
        Field(name, default="" if value is None else scalar_text(value), required=value is None)
        for name, value in workflow.params.items()
    )
    form = Form(f"Run {workflow.id}", fields, workflow.id)
    return replace(state, overlays=(*state.overlays, form)), ()


def asked_anew(state: State) -> State:
    """The state with the question that is open, if it is this one, as things are now."""
    overlay = state.overlay
    if not isinstance(overlay, Confirm) or not isinstance(overlay.command, Trigger):
        return state
    question = _question(state, overlay.command.workflow_id)
    if question == overlay.question:
        return state
    return replace(state, overlays=(*state.overlays[:-1], replace(overlay, question=question)))


def _question(state: State, workflow_id: str) -> str:
    return f"A run of {workflow_id} {_why_ask(state, workflow_id) or 'has ended by now'}. Start another?"


def _why_ask(state: State, workflow_id: str) -> str:
    """Why one more run of a workflow may be one too many; "" when nothing speaks of it. A form is asked in any case."""
    if state.now - state.started.get(workflow_id, 0.0) < JUST_NOW_S:
        return "was just started"
    latest = state.data.latest.get(workflow_id)
    # Of the lists, only the one that is kept fresh now.
    fresh = (state.data.runs or ()) if state.tab is Tab.RUNS and state.run is None else state.data.recent
    known = [run.status for run in fresh if run.workflow_id == workflow_id]
    return "is under way" if {"RUNNING", "PENDING"} & {latest.status if latest else "", *known} else ""
