"""Starting a run, and what is asked before."""

from dataclasses import replace

from cdktr.tui.state.arrivals import noticed
from cdktr.tui.state.commands import Command, Trigger
from cdktr.tui.state.graphmoves import selected_workflow, why_unknown
from cdktr.tui.state.model import Confirm, Field, Form, State
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
        if why := _why_ask(state, workflow_id):
            question = Confirm(f"A run of {workflow_id} {why}. Start another?", command)
            return replace(state, overlays=(*state.overlays, question)), ()
        return noticed(state, f"Starting {workflow_id} …"), (command,)
    fields = tuple(
        Field(name, default="" if value is None else scalar_text(value), required=value is None)
        for name, value in workflow.params.items()
    )
    form = Form(f"Run {workflow.id}", fields, workflow.id)
    return replace(state, overlays=(*state.overlays, form)), ()


def _why_ask(state: State, workflow_id: str) -> str:
    """Why one more run of a workflow may be one too many; "" when nothing speaks of it. A form is asked in any case."""
    if state.now - state.started.get(workflow_id, 0.0) < JUST_NOW_S:
        return "was just started"
    latest = state.data.latest.get(workflow_id)
    known = [run.status for run in (*(state.data.runs or ()), *state.data.recent) if run.workflow_id == workflow_id]
    return "is under way" if {"RUNNING", "PENDING"} & {latest.status if latest else "", *known} else ""
