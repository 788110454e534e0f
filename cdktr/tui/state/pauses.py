"""Pausing the selected workflow, or resuming it: both are asked about."""

from dataclasses import replace

from cdktr.health import paused_since
from cdktr.tui.state.arrivals import noticed
from cdktr.tui.state.commands import Command, SetPaused
from cdktr.tui.state.model import Confirm, State
from cdktr.tui.state.wants import selected_id

Result = tuple[State, tuple[Command, ...]]


def paused_ms(state: State, workflow_id: str) -> int | None:
    """Since when a workflow is paused, in milliseconds; None when it is not."""
    return paused_since(state.data.facts or {}).get(workflow_id)


def pause_asked(state: State) -> Result:
    """Ask whether the selected workflow is to be paused, or to go on."""
    workflow_id = selected_id(state)
    if not workflow_id:
        return noticed(state, "There is no workflow to pause here", bad=True), ()
    is_paused = paused_ms(state, workflow_id) is not None
    question = f"Resume the schedule of {workflow_id}?"
    if not is_paused:
        question = f"Pause the schedule of {workflow_id}? By hand it still runs."
    asked = Confirm(question, SetPaused(workflow_id, not is_paused))
    return replace(state, overlays=(*state.overlays, asked)), ()
