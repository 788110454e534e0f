"""What lies over a place and has the keys: a line of text, a form, a choice, a calendar, a question, the help."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from cdktr.errors import CdktrError
from cdktr.moments import moment
from cdktr.tui.state import logscreen
from cdktr.tui.state.actions import ACTIONS, STATUSES, filtered
from cdktr.tui.state.arrivals import noticed
from cdktr.tui.state.commands import Command, Quit, SaveLogs, Trigger
from cdktr.tui.state.graphmoves import workflow_named
from cdktr.tui.state.history import runs_of
from cdktr.tui.state.keys import bindings_of, where
from cdktr.tui.state.model import Ask, Calendar, Confirm, Form, Help, Menu, Overlay, Prompt, State
from cdktr.tui.state.moves import edit, insert
from cdktr.tui.state.room import overlay_rows
from cdktr.workflow import Workflow, bind_params

Result = tuple[State, tuple[Command, ...]]

#: Words of the command line of the UI, and the action of each.
COMMANDS = {"q": "quit", "quit": "quit", "help": "help", "reload": "reload", "refresh": "refresh", "mouse": "mouse"}


def put(state: State, overlay: Overlay) -> State:
    """The state with another overlay on top in place of that there is."""
    return replace(state, overlays=(*state.overlays[:-1], overlay))


def without(state: State) -> State:
    """The state without what lies on top."""
    return replace(state, overlays=state.overlays[:-1])


def key_pressed(state: State, action: str | None, key: str) -> Result:
    """A key while something lies on top: `action` is what the table says, if it says something."""
    overlay = state.overlay
    if action == "quit":
        # Whoever is asked whether to quit has said so.
        return (state, (Quit(),)) if isinstance(overlay, Confirm) else ACTIONS["quit"](state)
    if action == "close":
        return without(state), ()
    match overlay:
        case Prompt():
            return _prompt(state, overlay, action, key)
        case Form():
            return _form(state, overlay, action, key)
        case Calendar():
            return _calendar(state, overlay, action)
        case Menu():
            return _menu(state, overlay, action)
        case Confirm() if action == "yes":
            return without(state), (overlay.command,)
        case Help():
            return put(state, _help(state, overlay, action)), ()
    return state, ()


def text_pasted(state: State, text: str) -> State | None:
    """The state with a pasted text in the line that has the keys; None where there is none."""
    match state.overlay:
        case Prompt() as prompt:
            edited = insert(prompt, text)
            state = put(state, edited)
            return filtered(state, edited.text) if prompt.ask is Ask.FILTER else state
        case Form() as form:
            fields = [insert(each, text) if n == form.focus else each for n, each in enumerate(form.fields)]
            return put(state, replace(form, fields=tuple(fields), error=""))
    return None


# A line of text.


def _prompt(state: State, prompt: Prompt, action: str | None, key: str) -> Result:
    if action == "accept":
        return ACCEPT[prompt.ask](without(state), prompt.text)
    if action == "cancel":
        state = without(state)
        return (filtered(state, prompt.before) if prompt.ask is Ask.FILTER else state), ()
    if action == "earlier":
        return put(state, replace(prompt, text=prompt.before, at=len(prompt.before))), ()
    edited = _completed(state, prompt) if action == "complete" else edit(prompt, key)
    state = put(state, edited)
    return (filtered(state, edited.text) if prompt.ask is Ask.FILTER and edited.text != prompt.text else state), ()


def _completed(state: State, prompt: Prompt) -> Prompt:
    """The line with the name that it begins, as far as that is certain."""
    ids = _workflow_ids(state)
    known = {Ask.OF_WORKFLOW: ids, Ask.OF_RUNS: ids, Ask.COMMAND: list(COMMANDS)}.get(prompt.ask, [])
    found = [name for name in known if name.startswith(prompt.text)]
    if not found:
        return prompt
    first, last = min(found), max(found)
    same = next((n for n, char in enumerate(first) if last[n : n + 1] != char), len(first))
    return replace(prompt, text=first[:same], at=same)


def _of_workflow(state: State, text: str) -> Result:
    """The runs of a workflow: named, or the only one that has the text in its id."""
    text = text.strip()
    found = [each for each in _workflow_ids(state) if text and text.lower() in each.lower()]
    if text and text not in found and len(found) == 1:
        text = found[0]
    return runs_of(state, text, state.runs.status), ()


def _of_runs(state: State, text: str) -> Result:
    """The runs of a workflow that is named in full, or those with the text in their id or their workflow's."""
    text = text.strip()
    is_named = text in _workflow_ids(state)
    return runs_of(state, text if is_named else "", state.runs.status, "" if is_named else text), ()


def _workflow_ids(state: State) -> list[str]:
    return [each.id for each in state.data.folder.workflows] if state.data.folder else []


def _save_as(state: State, path: str) -> Result:
    logs = state.logs
    if logs is None or not path.strip():
        return state, ()
    return noticed(state, f"Saving to {path.strip()} …"), (SaveLogs(logs.query, path.strip(), logs.verbose),)


def _command(state: State, text: str) -> Result:
    word, _, rest = text.strip().partition(" ")
    if word in ("save", "w") and state.logs is not None:
        return _save_as(state, rest)
    action = COMMANDS.get(word)
    if action is None:
        return (noticed(state, f"There is no command {word!r}; ? shows the keys", bad=True) if word else state), ()
    return ACTIONS[action](state)


def _search(state: State, text: str) -> Result:
    return logscreen.searched(state, state.logs, text) if state.logs is not None else (state, ())


ACCEPT: Mapping[Ask, Callable[[State, str], Result]] = {
    Ask.FILTER: lambda state, text: (filtered(state, text), ()),
    Ask.OF_WORKFLOW: _of_workflow,
    Ask.OF_RUNS: _of_runs,
    Ask.SEARCH: _search,
    Ask.SAVE: _save_as,
    Ask.COMMAND: _command,
}


# A form.


def _form(state: State, form: Form, action: str | None, key: str) -> Result:
    count = len(form.fields)
    if action in ("next_field", "previous_field"):
        return put(state, replace(form, focus=(form.focus + (1 if action == "next_field" else -1)) % count)), ()
    if action == "submit":
        return _run_form(state, form) if form.workflow_id else _range_form(state, form)
    if action == "calendar":
        if form.workflow_id:
            return state, ()
        today = _local(state).date()
        return replace(state, overlays=(*state.overlays, Calendar(today.year, today.month, today.day))), ()
    fields = [edit(field, key) if n == form.focus else field for n, field in enumerate(form.fields)]
    return put(state, replace(form, fields=tuple(fields), error="")), ()


def _run_form(state: State, form: Form) -> Result:
    workflow = workflow_named(state, form.workflow_id)
    # What is left empty has its default; a text that is to be empty has no other way than a default.
    given = {field.name: field.text for field in form.fields if field.text}
    try:
        if workflow is not None:
            bind_params(workflow, given)
    except CdktrError as error:
        wrong = _wrong(workflow, form) if workflow is not None else form.focus
        field = form.fields[wrong]
        why = f"{field.name} is needed: type a value" if field.required and not field.text else str(error)
        return put(state, replace(form, focus=wrong, error=why)), ()
    return noticed(without(state), f"Starting {form.workflow_id} …"), (Trigger(form.workflow_id, given),)


def _wrong(workflow: Workflow, form: Form) -> int:
    """The first field whose text its parameter does not take."""
    for number, field in enumerate(form.fields):
        alone = {name: default for name, default in workflow.params.items() if name == field.name}
        try:
            bind_params(replace(workflow, params=alone), {field.name: field.text} if field.text else {})
        except CdktrError:
            return number
    return form.focus


def _range_form(state: State, form: Form) -> Result:
    logs = state.logs
    if logs is None:
        return without(state), ()
    since, until = (field.text.strip() for field in form.fields)
    moments = []
    for number, text in enumerate((since, until)):
        try:
            moments.append(moment(text, _now(state)) if text else None)
        except CdktrError as error:
            return put(state, replace(form, focus=number, error=str(error))), ()
    start, end = moments
    if start is not None and end is not None and end <= start:
        return put(state, replace(form, focus=1, error="The range ends before it begins")), ()
    query = replace(logs.query, start_ms=start, end_ms=end)
    return logscreen.changed(without(state), replace(logs, since=since, until=until), query)


def _now(state: State) -> datetime:
    return datetime.fromtimestamp(max(0.0, min(state.now, 2.0**33)), UTC)


def _local(state: State) -> datetime:
    return _now(state).astimezone()


# A calendar.

_DAYS = {"day_back": -1, "day_on": 1, "week_back": -7, "week_on": 7}


def _calendar(state: State, calendar: Calendar, action: str | None) -> Result:
    day = date(calendar.year, calendar.month, calendar.day)
    if action == "pick":
        return _picked(without(state), day), ()
    try:
        if action in _DAYS:
            day += timedelta(days=_DAYS[action])
        elif action in ("month_back", "month_on"):
            month = calendar.year * 12 + calendar.month - 1 + (1 if action == "month_on" else -1)
            first = date(month // 12, month % 12 + 1, 1)
            day = first.replace(day=min(calendar.day, _days_of(first)))
    except (OverflowError, ValueError):
        return state, ()
    return put(state, Calendar(day.year, day.month, day.day)), ()


def _days_of(first: date) -> int:
    return ((first + timedelta(days=32)).replace(day=1) - first).days


def _picked(state: State, day: date) -> State:
    form = state.overlay
    if not isinstance(form, Form):
        return state
    text = day.isoformat()
    fields = [replace(f, text=text, at=len(text)) if n == form.focus else f for n, f in enumerate(form.fields)]
    return put(state, replace(form, fields=tuple(fields), error=""))


# A choice, and the help.


def _menu(state: State, menu: Menu, action: str | None) -> Result:
    if action == "choose":
        status = menu.options[menu.at]
        tab = state.runs
        return runs_of(without(state), tab.workflow_id, "" if status == STATUSES[0] else status, tab.text), ()
    by = {"up": -1, "down": 1}.get(action or "", 0)
    return put(state, replace(menu, at=(menu.at + by) % len(menu.options))), ()


def _help(state: State, help: Help, action: str | None) -> Help:
    rows = overlay_rows(state)
    page = max(rows - 1, 1)
    # Besides the keys there are two titles, and a blank row between them.
    most = max(len(bindings_of(where(without(state)))) + 3 - rows, 0)
    by = {"up": -1, "down": 1, "page_up": -page, "page_down": page, "top": -most, "bottom": most}.get(action or "", 0)
    return replace(help, top=max(0, min(help.top + by, most)))
