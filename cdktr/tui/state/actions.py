"""What the keys of the places do. `ACTIONS` has a function for each action of the table of keys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from cdktr.tui.state import history, logscreen
from cdktr.tui.state.arrivals import noticed
from cdktr.tui.state.commands import Command, Copy, Quit, Redraw, Refresh, ReloadFolder, SetMouse
from cdktr.tui.state.graphmoves import next_task, selected_workflow, why_unknown
from cdktr.tui.state.history import runs_of, to_newest, to_oldest
from cdktr.tui.state.logquery import LogQuery
from cdktr.tui.state.model import (
    Ask,
    Confirm,
    Cursor,
    Field,
    Form,
    Help,
    Logs,
    Menu,
    Prompt,
    RunPage,
    State,
    Tab,
)
from cdktr.tui.state.moves import entries, move, settle
from cdktr.tui.state.pauses import pause_asked
from cdktr.tui.state.presence import shown_agents
from cdktr.tui.state.room import list_rows, log_rows
from cdktr.tui.state.starts import run_asked
from cdktr.tui.state.wants import selected_id, selected_run
from cdktr.workflow import Workflow

Result = tuple[State, tuple[Command, ...]]
Action = Callable[[State], Result]

#: What runs can be chosen by; the first is all of them.
STATUSES = ("all", "RUNNING", "PENDING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED")

#: Columns of one step sideways in the log.
SIDEWAYS = 16

FAR = 10**9

#: Characters of a file's name that are proposed: in UTF-8, with what is added to them, as many bytes as any file system
#: takes.
LONGEST_NAME = 60


# Lists.


def keys_of(state: State) -> Sequence[str]:
    """The rows of the list that has the keys, by their keys."""
    if state.run is not None:
        tasks = state.data.tasks.get(state.run.run_id)
        return task_ids(selected_workflow(state), [task.task_id for task in tasks.tasks] if tasks else [])
    if state.tab is Tab.WORKFLOWS:
        return [entry.key for entry in state.workflows.entries]
    if state.tab is Tab.RUNS:
        return [run.id for run in state.data.runs or ()]
    return [agent.id for agent in shown_agents(state)] if state.tab is Tab.AGENTS else []


def task_ids(workflow: Workflow | None, known: Sequence[str]) -> list[str]:
    """The tasks of a run: those of the definition in their order, and whatever else it had."""
    return list(dict.fromkeys([*(workflow.tasks if workflow else ()), *known]))


def cursor_of(state: State) -> Cursor:
    """Where the list that has the keys stands."""
    if state.run is not None:
        return state.run.cursor
    return {Tab.WORKFLOWS: state.workflows.cursor, Tab.RUNS: state.runs.cursor}.get(state.tab, state.agents)


def with_cursor(state: State, cursor: Cursor) -> State:
    """The state with that list standing elsewhere."""
    if state.run is not None:
        return replace(state, run=replace(state.run, cursor=cursor))
    if state.tab is Tab.WORKFLOWS:
        tab = state.workflows
        if cursor.key != tab.cursor.key:
            tab = replace(tab, run_id="", is_started=False, task="")
        return replace(state, workflows=replace(tab, cursor=cursor))
    if state.tab is Tab.RUNS:
        return replace(state, runs=replace(state.runs, cursor=cursor))
    return replace(state, agents=cursor) if state.tab is Tab.AGENTS else state


def settled(state: State) -> State:
    """Every cursor on a row that there is."""
    cursor = cursor_of(state)
    fresh = settle(cursor, keys_of(state), list_rows(state))
    return state if fresh == cursor else with_cursor(state, fresh)


def moved(state: State, by: int) -> Result:
    """The selection, or what is scrolled, some rows further down."""
    if state.logs is not None:
        return logscreen.scrolled(state, state.logs, by)
    if state.run is None and state.tab is Tab.ADMIN:
        most = max(len(state.data.own_log) - 1, 0)
        return replace(state, admin_back=max(0, min(state.admin_back - by, most))), ()
    if state.run is None and state.tab is Tab.WORKFLOWS and state.workflows.in_graph:
        return _graph_moved(state, "down" if by > 0 else "up")
    if _is_history(state):
        return history.moved(state, by), ()
    return with_cursor(state, move(cursor_of(state), keys_of(state), by, list_rows(state))), ()


def _is_history(state: State) -> bool:
    return state.run is None and state.logs is None and state.tab is Tab.RUNS


def _graph_moved(state: State, direction: str) -> Result:
    workflow = selected_workflow(state)
    if workflow is None:
        return state, ()
    task = next_task(workflow, state.workflows.task, direction)
    return replace(state, workflows=replace(state.workflows, task=task)), ()


def _page(state: State) -> int:
    return max((log_rows(state) if state.logs is not None else list_rows(state)) - 1, 1)


def _top(state: State) -> Result:
    if state.logs is not None:
        return logscreen.to_beginning(state, state.logs)
    return (to_newest(state), ()) if _is_history(state) else moved(state, -FAR)


def _bottom(state: State) -> Result:
    if state.logs is not None:
        return logscreen.to_end(state, state.logs)
    return (to_oldest(state), ()) if _is_history(state) else moved(state, FAR)


def _sideways(state: State, direction: str) -> Result:
    if state.logs is None:
        return _graph_moved(state, direction)
    left = max(0, state.logs.left + (SIDEWAYS if direction == "right" else -SIDEWAYS))
    return replace(state, logs=replace(state.logs, left=0 if state.logs.wrap else min(left, 100_000))), ()


# Going somewhere.


def to_tab(state: State, tab: Tab) -> Result:
    """Another tab; what lies over it is left."""
    state, commands = logscreen.closed(state) if state.logs is not None else (state, ())
    return settled(replace(state, tab=tab, run=None)), commands


def _enter(state: State) -> Result:
    if state.run is not None:
        return _task_logs(state, state.run.cursor.key)
    if state.tab is Tab.RUNS:
        return _open_run(state)
    if not state.workflows.in_graph:
        workflow = selected_workflow(state)
        if workflow is None:
            return (noticed(state, why) if (why := why_unknown(state)) else state), ()
        task = state.workflows.task or next(iter(workflow.tasks), "")
        return replace(state, workflows=replace(state.workflows, in_graph=True, task=task)), ()
    return _task_logs(state, state.workflows.task)


def _open_run(state: State) -> Result:
    run_id = selected_run(state)
    workflow_id = selected_id(state)
    if not run_id or not workflow_id:
        return noticed(state, "There is no run yet"), ()
    return settled(replace(state, run=RunPage(run_id, workflow_id))), ()


def _task_logs(state: State, task_id: str) -> Result:
    run_id, workflow = selected_run(state), selected_workflow(state)
    if not run_id:
        return noticed(state, "There is no run yet"), ()
    if not state.can("LSLOGS"):
        return noticed(state, CANNOT, bad=True), ()
    if workflow is None and (why := why_unknown(state)):
        return noticed(state, why), ()
    # The log knows tasks by their names.
    name = workflow.tasks[task_id].name if workflow is not None and task_id in workflow.tasks else task_id
    return logscreen.opened(state, f"{run_id} {task_id}", LogQuery(None, run_id, name or None))


def _logs(state: State) -> Result:
    run_id, workflow_id = selected_run(state), selected_id(state)
    if state.run is not None or state.tab is Tab.RUNS:
        return logscreen.opened(state, run_id, LogQuery(run_id=run_id)) if run_id else (state, ())
    return logscreen.opened(state, workflow_id, LogQuery(workflow_id)) if workflow_id else (state, ())


def _back(state: State) -> Result:
    logs, tab = state.logs, state.workflows
    if logs is not None:
        if logs.search:
            return logscreen.searched(state, logs, "")
        return logscreen.closed(state)
    if state.run is not None:
        return settled(replace(state, run=None)), ()
    if state.tab is Tab.WORKFLOWS:
        if tab.in_graph or tab.zoomed:
            return replace(state, workflows=replace(tab, in_graph=False, zoomed=False)), ()
        return (filtered(state, ""), ()) if tab.filter else (state, ())
    if state.tab is Tab.RUNS and (state.runs.workflow_id or state.runs.status or state.runs.text):
        return runs_of(state, "", ""), ()
    return state, ()


def filtered(state: State, words: str) -> State:
    """The list of workflows with other words."""
    tab = replace(state.workflows, filter=words, entries=entries(state.data.folder, words))
    return settled(replace(state, workflows=tab))


def _panel(state: State, by: int) -> Result:
    if state.tab is Tab.WORKFLOWS and state.run is None and selected_id(state):
        if not state.workflows.in_graph:
            return _enter(state)
        return replace(state, workflows=replace(state.workflows, in_graph=False, zoomed=False)), ()
    tabs = list(Tab)
    return to_tab(state, tabs[(tabs.index(state.tab) + by) % len(tabs)])


def _zoom(state: State) -> Result:
    state, _ = (state, ()) if state.workflows.in_graph else _enter(state)
    zoomed = state.workflows.in_graph and not state.workflows.zoomed
    return replace(state, workflows=replace(state.workflows, zoomed=zoomed)), ()


def _other_run(state: State, by: int) -> Result:
    """The run before or after in the recent ones of the workflow."""
    if state.data.recent_of != selected_id(state):
        return state, ()
    ids = [run.id for run in state.data.recent]
    run_id = selected_run(state)
    index = (ids.index(run_id) if run_id in ids else -1) + by
    if not 0 <= index < len(ids):
        return noticed(state, "There is no older run here" if by > 0 else "This is the latest run"), ()
    if state.run is not None:
        return settled(replace(state, run=replace(state.run, run_id=ids[index]))), ()
    # The latest is not held fast: the next run comes by itself.
    tab = replace(state.workflows, run_id=ids[index] if index else "", is_started=False)
    return replace(state, workflows=tab), ()


def _other_view(state: State) -> Result:
    return (replace(state, run=replace(state.run, graph=not state.run.graph)), ()) if state.run else (state, ())


# Doing something.

#: Said of what an old principal does not know.
CANNOT = "This principal is too old for that"


def _copy(state: State) -> Result:
    text = _selected_id(state)
    return (noticed(state, f"{text} goes to the clipboard"), (Copy(text),)) if text else (state, ())


def _selected_id(state: State) -> str:
    if state.logs is not None:
        return state.logs.query.run_id or state.logs.query.workflow_id or ""
    if state.run is not None or state.tab is Tab.RUNS or (state.tab is Tab.WORKFLOWS and state.workflows.in_graph):
        return selected_run(state)
    return state.address if state.tab is Tab.ADMIN else cursor_of(state).key.removeprefix("!")


def _mouse(state: State) -> Result:
    on = not state.look.mouse
    told = "The mouse works here" if on else "The mouse is the terminal's now"
    return noticed(replace(state, look=replace(state.look, mouse=on)), told), (SetMouse(on),)


def _ask(state: State, ask: Ask, text: str = "") -> Result:
    return replace(state, overlays=(*state.overlays, Prompt(ask, text, len(text), text))), ()


def _status(state: State) -> Result:
    at = STATUSES.index(state.runs.status) if state.runs.status in STATUSES else 0
    return replace(state, overlays=(*state.overlays, Menu("Runs that are", STATUSES, at))), ()


def _runs_asked(state: State) -> Result:
    tab = state.runs
    ask = Ask.OF_RUNS if state.can("LSRUNS", "contains") else Ask.OF_WORKFLOW
    return _ask(state, ask, tab.workflow_id or tab.text)


def _range(state: State) -> Result:
    logs = state.logs
    if logs is None:
        return state, ()
    since, until = (Field(name, text, len(text)) for name, text in (("from", logs.since), ("until", logs.until)))
    return replace(state, overlays=(*state.overlays, Form("Log lines of", (since, until)))), ()


def _save(state: State) -> Result:
    logs = state.logs
    if logs is None:
        return state, ()
    name = "".join(char if char.isalnum() or char in "-._" else "-" for char in logs.title)
    return _ask(state, Ask.SAVE, f"{name[:LONGEST_NAME] or 'cdktr'}.log")


def _in_logs(action: Callable[[State, Logs], Result]) -> Action:
    return lambda state: (state, ()) if state.logs is None else action(state, state.logs)


def _to(tab: Tab) -> Action:
    return lambda state: to_tab(state, tab)


def _wrap(state: State, logs: Logs) -> Result:
    return replace(state, logs=replace(logs, wrap=not logs.wrap, left=0)), ()


def _verbose(state: State, logs: Logs) -> Result:
    return replace(state, logs=replace(logs, verbose=not logs.verbose)), ()


def _search(state: State, logs: Logs) -> Result:
    return replace(state, overlays=(*state.overlays, Prompt(Ask.SEARCH, before=logs.search))), ()


def _quit(state: State) -> Result:
    """End; what would be lost by it is asked about."""
    if not state.saving:
        return state, (Quit(),)
    paths = ", ".join(command.path for command in state.saving)
    question = Confirm(f"Lines are still being saved in {paths}. Quit all the same?", Quit())
    return replace(state, overlays=(*state.overlays, question)), ()


ACTIONS: Mapping[str, Action] = {
    "enter": _enter,
    "run": run_asked,
    "pause": pause_asked,
    "logs": _logs,
    "open_run": _open_run,
    "follow": _in_logs(logscreen.follow_switched),
    "search": _in_logs(_search),
    "next_match": _in_logs(lambda state, logs: logscreen.next_match(state, logs, 1)),
    "previous_match": _in_logs(lambda state, logs: logscreen.next_match(state, logs, -1)),
    "level": _in_logs(logscreen.level_changed),
    "range": _range,
    "wrap": _in_logs(_wrap),
    "verbose": _in_logs(_verbose),
    "save": _save,
    "filter": lambda state: _ask(state, Ask.FILTER, state.workflows.filter),
    "of_runs": _runs_asked,
    "status": _status,
    "other_view": _other_view,
    "older": lambda state: _other_run(state, 1),
    "newer": lambda state: _other_run(state, -1),
    "zoom": _zoom,
    "whole": lambda state: (replace(state, admin_whole=not state.admin_whole), ()),
    "reload": lambda state: (noticed(state, "Reading the folder …"), (ReloadFolder(),)),
    "copy": _copy,
    "refresh": lambda state: (state, (Refresh(),)),
    "up": lambda state: moved(state, -1),
    "down": lambda state: moved(state, 1),
    "page_up": lambda state: moved(state, -_page(state)),
    "page_down": lambda state: moved(state, _page(state)),
    "top": _top,
    "bottom": _bottom,
    "left": lambda state: _sideways(state, "left"),
    "right": lambda state: _sideways(state, "right"),
    "next_panel": lambda state: _panel(state, 1),
    "previous_panel": lambda state: _panel(state, -1),
    "tab_1": _to(Tab.WORKFLOWS),
    "tab_2": _to(Tab.RUNS),
    "tab_3": _to(Tab.AGENTS),
    "tab_4": _to(Tab.ADMIN),
    "mouse": _mouse,
    "redraw": lambda state: (state, (Redraw(),)),
    "command": lambda state: _ask(state, Ask.COMMAND),
    "back": _back,
    "help": lambda state: (replace(state, overlays=(*state.overlays, Help())), ()),
    "quit": _quit,
}
