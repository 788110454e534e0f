"""What the feed tells becomes part of the state, if it is still wanted."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from cdktr.tui.state import logscreen
from cdktr.tui.state.commands import Command, SaveLogs
from cdktr.tui.state.events import Arrived, Away, Failed, Saving, Told, Triggered, Up
from cdktr.tui.state.history import came, runs_of
from cdktr.tui.state.logscreen import REMARK_S
from cdktr.tui.state.model import Cursor, Data, Link, LinkStatus, Notice, State
from cdktr.tui.state.moves import entries
from cdktr.tui.state.wants import (
    Facts,
    OwnLog,
    Recent,
    TheAgents,
    TheDefinition,
    TheFolder,
    TheLatest,
    TheRuns,
    TheTasks,
    Want,
    wants,
)

Result = tuple[State, tuple[Command, ...]]

Value = TypeVar("Value")

#: Runs whose tasks, and workflows whose definitions, are remembered, so that going back to one shows it at once.
REMEMBERED = 20


def came_up(state: State, event: Up) -> Result:
    """The principal answers. A log that is followed goes on by itself; one that could not be had is asked for again."""
    was_away = state.link.status is LinkStatus.AWAY
    state = replace(state, abilities=event.abilities, link=Link(LinkStatus.UP, state.now))
    if was_away:
        state = noticed(state, "The principal is back")
    tab = state.runs
    if (tab.text or tab.part.oldest) and not state.can("LSRUNS", "counted"):
        # Another one, which is too old for what was shown of the last.
        state = runs_of(state, tab.workflow_id, tab.status)
    logs = state.logs
    if logs is None or not (was_away or logs.trouble):
        return state, ()
    return logscreen.gone_on(state, logs)


def went_away(state: State, event: Away) -> Result:
    """The principal does not answer; what is known stays on the screen."""
    since = state.link.since if state.link.status is LinkStatus.AWAY else state.now
    return replace(state, link=Link(LinkStatus.AWAY, since, event.why)), ()


def arrived(state: State, event: Arrived) -> Result:
    """What was wanted."""
    wanted = wants(state)
    if event.want not in wanted:
        return state, ()
    failed = {want: why for want, why in state.data.failed.items() if want in wanted and want != event.want}
    state = replace(state, data=replace(state.data, failed=failed))
    if isinstance(event.want, TheRuns):
        return came(state, event.want.part, event.value), ()
    data = STORE[type(event.want)](state.data, event.want, event.value)
    state = replace(state, data=data)
    if isinstance(event.want, TheFolder):
        found = entries(state.data.folder, state.workflows.filter)
        # Those that are wanted stay on the screen until they are told anew.
        kept = {name: each for name, each in data.definitions.items() if TheDefinition(name) in wanted}
        data = replace(state.data, definitions=kept)
        state = replace(state, data=data, workflows=replace(state.workflows, entries=found))
        if not state.workflows.cursor.key:
            # Not on what is wrong, as long as nobody looks for that.
            first = next((n for n, entry in enumerate(found) if entry.workflow is not None), 0)
            state = replace(state, workflows=replace(state.workflows, cursor=Cursor(index=first)))
    return _let_go(state), ()


def _let_go(state: State) -> State:
    """A run is not held fast once it is the latest, and one that was started here not once a later one is known: the
    next one comes by itself."""
    tab = state.workflows
    latest = state.data.latest.get(tab.cursor.key)
    if latest is None or not tab.run_id:
        return state
    is_over = latest.run_id == tab.run_id
    if tab.is_started and state.data.recent_of == tab.cursor.key:
        # What is called the latest may have been so before it was started.
        until = [run.id for run in state.data.recent]
        is_over |= tab.run_id in until and latest.run_id in until[: until.index(tab.run_id)]
    return replace(state, workflows=replace(tab, run_id="", is_started=False)) if is_over else state


def _tasks(data: Data, want: Any, value: Any) -> Data:
    return replace(data, tasks=_remembered(data.tasks, want.run_id, value))


def _definition(data: Data, want: Any, value: Any) -> Data:
    return replace(data, definitions=_remembered(data.definitions, want.workflow_id, value))


def _remembered(known: Mapping[str, Value], key: str, value: Value) -> Mapping[str, Value]:
    """With one more, and without those that were told longest ago."""
    kept = [(other, each) for other, each in known.items() if other != key][-REMEMBERED:]
    return dict([*kept, (key, value)])


STORE: dict[type[Want], Callable[[Data, Any, Any], Data]] = {
    Facts: lambda data, _, value: replace(data, facts=value),
    TheFolder: lambda data, _, value: replace(data, folder=value),
    TheDefinition: _definition,
    TheLatest: lambda data, _, value: replace(data, latest=value),
    TheAgents: lambda data, _, value: replace(data, agents=value),
    Recent: lambda data, want, value: replace(data, recent=value, recent_of=want.workflow_id),
    TheTasks: _tasks,
    OwnLog: lambda data, _, value: replace(data, own_log=value),
}


def failed(state: State, event: Failed) -> Result:
    """What is wanted cannot be told."""
    wanted = wants(state)
    if event.want not in wanted:
        return state, ()
    known = {want: why for want, why in state.data.failed.items() if want in wanted}
    return replace(state, data=replace(state.data, failed={**known, event.want: event.why})), ()


def triggered(state: State, event: Triggered) -> Result:
    """A run was accepted: the graph turns to it."""
    told = f"Started {event.run_id}" if event.run_id else f"Started {event.workflow_id}"
    state = noticed(state, told)
    if event.workflow_id == state.workflows.cursor.key:
        state = _let_go(replace(state, workflows=replace(state.workflows, run_id=event.run_id, is_started=True)))
    return state, ()


def told(state: State, event: Told) -> Result:
    """Something that was asked for is done, or not."""
    state = noticed(state, event.text, event.bad)
    if event.done is not None and state.notice is not None:
        # It took longer than somebody looks on: it stands until a key is pressed.
        state = replace(saved(state, event.done), notice=replace(state.notice, until=math.inf))
    return state, ()


def goes_on(state: State, event: Saving) -> Result:
    """How far the saving of log lines is, unless something else is being told."""
    what = f"Saving to {event.command.path} …"
    is_free = state.notice is None or state.notice.text.startswith(what)
    if event.command not in state.saving or not is_free:
        return state, ()
    return noticed(state, f"{what} {event.lines:,} lines"), ()


def saved(state: State, command: SaveLogs) -> State:
    """The state after log lines were saved, or not."""
    return replace(state, saving=tuple(each for each in state.saving if each != command))


def noticed(state: State, text: str, bad: bool = False) -> State:
    """The state with a remark."""
    return replace(state, notice=Notice(text, state.now + REMARK_S * (2 if bad else 1), bad))
