"""What becomes of the state. Every event may come in every state."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cdktr.tui.state import arrivals, logscreen
from cdktr.tui.state import events as e
from cdktr.tui.state.actions import ACTIONS, CANNOT, cursor_of, keys_of, moved, settled, to_tab, with_cursor
from cdktr.tui.state.arrivals import noticed
from cdktr.tui.state.commands import Command, Quit, SaveLogs, Trigger
from cdktr.tui.state.keys import Where, binding_of, is_able, where
from cdktr.tui.state.model import Confirm, State, Tab
from cdktr.tui.state.overlays import key_pressed, text_pasted
from cdktr.tui.state.presence import forgotten, let_go
from cdktr.tui.state.starts import asked_anew
from cdktr.tui.state.wants import TheAgents

Result = tuple[State, tuple[Command, ...]]

#: Rows of one step of the wheel.
WHEEL = 3


def update(state: State, event: e.Event) -> Result:
    """The state after an event, and what is to be done."""
    state, commands = HANDLERS[type(event)](state, event)
    for command in commands:
        if isinstance(command, Trigger):
            state = replace(state, started={**state.started, command.workflow_id: state.now})
        elif isinstance(command, SaveLogs):
            state = replace(state, saving=(*state.saving, command))
    return asked_anew(settled(state)), commands


def _key(state: State, event: e.Key) -> Result:
    place = where(state)
    binding = binding_of(place, event.name)
    if state.is_too_small:
        # What is not seen is not changed.
        return (state, (Quit(),)) if binding is not None and binding.action == "quit" else (state, ())
    if state.overlay is not None:
        return key_pressed(state, binding.action if binding is not None else None, event.name)
    if binding is None:
        return state, ()
    if not is_able(state, binding):
        return noticed(state, CANNOT, bad=True), ()
    return ACTIONS[binding.action](replace(state, notice=None))


def _pasted(state: State, event: e.Pasted) -> Result:
    if state.is_too_small:
        return state, ()
    changed = text_pasted(state, event.text)
    return noticed(state, "pasted text is not taken for keys") if changed is None else changed, ()


def _click(state: State, event: e.Click) -> Result:
    if event.target == "key":
        return _key(state, e.Key(event.key))
    if state.overlay is not None:
        return state, ()
    if event.target == "tab":
        return to_tab(state, Tab(event.key)) if event.key in list(Tab) else (state, ())
    if event.target == "task" and state.run is None and state.logs is None and state.tab is Tab.WORKFLOWS:
        return _task_clicked(state, event.key)
    keys = keys_of(state)
    if event.target != "row" or state.logs is not None or event.key not in keys:
        return state, ()
    if cursor_of(state).key == event.key and where(state) in (Where.RUNS, Where.RUN):
        # A second click goes in.
        return ACTIONS["enter"](state)
    state = with_cursor(state, replace(cursor_of(state), key=event.key, index=keys.index(event.key)))
    return replace(state, workflows=replace(state.workflows, in_graph=False)), ()


def _task_clicked(state: State, task_id: str) -> Result:
    if state.workflows.in_graph and state.workflows.task == task_id:
        return ACTIONS["enter"](state)
    return replace(state, workflows=replace(state.workflows, in_graph=True, task=task_id)), ()


def _wheel(state: State, event: e.Wheel) -> Result:
    if state.overlay is not None:
        return key_pressed(state, "down" if event.by > 0 else "up", "")
    return moved(state, event.by * (WHEEL if state.logs is not None or state.tab is Tab.ADMIN else 1))


def _resize(state: State, event: e.Resize) -> Result:
    return replace(state, width=max(event.width, 0), height=max(event.height, 0)), ()


def _tick(state: State, event: e.Tick) -> Result:
    notice = state.notice
    state = replace(state, now=event.now, notice=notice if notice and event.now < notice.until else None)
    return logscreen.tried_again(forgotten(state))


def _arrived(state: State, event: e.Arrived) -> Result:
    after, commands = arrivals.arrived(state, event)
    is_told = after is not state and isinstance(event.want, TheAgents)
    return (let_go(state, after) if is_told else after), commands


def _away(state: State, event: e.Away) -> Result:
    return arrivals.went_away(replace(state, agents_hold=False), event)


def _exists(state: State, event: e.Exists) -> Result:
    question = Confirm(f"{event.command.path} exists. Replace it?", replace(event.command, replace=True))
    state = arrivals.saved(state, event.command)
    return replace(state, overlays=(*state.overlays, question)), ()


HANDLERS: dict[type[e.Event], Callable[[State, Any], Result]] = {
    e.Key: _key,
    e.Pasted: _pasted,
    e.Click: _click,
    e.Wheel: _wheel,
    e.Resize: _resize,
    e.Tick: _tick,
    e.Up: arrivals.came_up,
    e.Away: _away,
    e.Arrived: _arrived,
    e.Failed: arrivals.failed,
    e.Triggered: arrivals.triggered,
    e.Told: arrivals.told,
    e.Saving: arrivals.goes_on,
    e.Exists: _exists,
    e.LogPage: logscreen.page_came,
    e.LogNews: logscreen.news_came,
    e.LogsFailed: logscreen.failed,
}
