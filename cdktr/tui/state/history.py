"""The list of runs: which part of the history is loaded; the selection stays on its run while runs are added."""

from dataclasses import replace

from cdktr.tui.state.facts import RunsPage
from cdktr.tui.state.model import NEWEST, Cursor, Data, Part, RunsTab, State
from cdktr.tui.state.moves import move
from cdktr.tui.state.room import list_rows

#: Runs that are loaded at once, and by which steps that part moves.
LOADED = 200
STEP = 100

#: Rows between the selection and the end of the loaded part at which the next part is asked for: two pages of a list.
AHEAD = 40


def runs_of(state: State, workflow_id: str, status: str, text: str = "") -> State:
    """The history of other runs."""
    return replace(state, runs=RunsTab(workflow_id, status, text), data=replace(state.data, runs=None))


def moved(state: State, by: int) -> State:
    """The selection some rows further down; the rest of the way once its part is here: no key is pressed in vain."""
    tab, keys = state.runs, [run.id for run in state.data.runs or ()]
    if state.data.runs is None:
        return replace(state, runs=replace(tab, owed=tab.owed + by))
    wanted = tab.cursor.index + tab.owed + by
    index = max(0, min(wanted, len(keys) - 1))
    cursor = move(tab.cursor, keys, index - tab.cursor.index, list_rows(state))
    state = _along(replace(state, runs=replace(tab, cursor=cursor, owed=0)))
    is_under_way = state.runs.part != state.data.runs_part
    return replace(state, runs=replace(state.runs, owed=wanted - index)) if is_under_way else state


def _along(state: State) -> State:
    """Move the loaded part of the history along with the selection."""
    tab, data = state.runs, state.data
    count = len(data.runs or ())
    if tab.part != data.runs_part:
        # The part that was asked for last is not here yet.
        return state
    if tab.cursor.index >= count - AHEAD and _is_more_below(data):
        newer = data.runs_newer + STEP
    elif tab.cursor.index < AHEAD and data.runs_newer:
        newer = data.runs_newer - STEP
    else:
        return state
    return replace(state, runs=replace(tab, part=_part(newer, data.runs_total)))


def _is_more_below(data: Data) -> bool:
    count = len(data.runs or ())
    return count >= LOADED if data.runs_total is None else data.runs_newer + count < data.runs_total


def _part(newer: int, total: int | None) -> Part:
    """The part after so many newer runs, counted from the oldest: so it stays the same when runs are added."""
    if newer <= 0:
        return NEWEST
    return Part(newer) if total is None else Part(max(total - newer - LOADED, 0), oldest=True)


def to_newest(state: State) -> State:
    """To the newest run."""
    if state.data.runs is not None and state.data.runs_part == NEWEST:
        # Also while another part is under way.
        return replace(state, runs=replace(state.runs, part=NEWEST, cursor=Cursor(), owed=0))
    return _jumped(state, replace(state.runs, part=NEWEST, at_end=False))


def to_oldest(state: State) -> State:
    """To the oldest run; of a principal that does not count them, to the oldest that is loaded."""
    data = state.data
    if not state.can("LSRUNS", "counted"):
        left = len(data.runs or ()) - 1 - state.runs.cursor.index
        return moved(replace(state, runs=replace(state.runs, owed=0)), max(left, 0))
    if data.runs is not None and not _is_more_below(data):
        last = Cursor(index=max(len(data.runs) - 1, 0))
        return replace(state, runs=replace(state.runs, part=data.runs_part, cursor=last, owed=0))
    return _jumped(state, replace(state.runs, part=Part(oldest=True), at_end=True))


def _jumped(state: State, tab: RunsTab) -> State:
    return replace(state, runs=replace(tab, cursor=Cursor(), owed=0), data=replace(state.data, runs=None))


def came(state: State, part: Part, page: RunsPage) -> State:
    """The state with a part of the history, the selection on the run on which it was, and that where it was."""
    tab, data = state.runs, state.data
    if not page.runs and part != NEWEST:
        # There are fewer than there were: of the one status, or in the database of another.
        return _jumped(state, replace(tab, part=NEWEST, at_end=False))
    fresh = replace(data, runs=page.runs, runs_newer=page.newer, runs_total=page.total, runs_part=part)
    if data.runs is None:
        cursor = Cursor(index=max(len(page.runs) - 1, 0)) if tab.at_end else tab.cursor
        return moved(replace(state, data=fresh, runs=replace(tab, cursor=cursor, at_end=False)), 0)
    index = _index(tab.cursor, data, page)
    if index >= len(page.runs) > 0 and page.total is not None and page.newer + index < page.total:
        # So many were added that it is not among these: what is shown stays until its part is here.
        return replace(state, runs=replace(tab, part=_part(page.newer + index - LOADED // 2, page.total)))
    # Who stands at the top sees what is added.
    is_top = not tab.cursor.top and not data.runs_newer and not page.newer
    top = 0 if is_top else tab.cursor.top + index - tab.cursor.index
    cursor = replace(tab.cursor, index=max(index, 0), top=max(top, 0))
    return moved(replace(state, data=fresh, runs=replace(tab, cursor=cursor)), 0)


def _index(cursor: Cursor, data: Data, page: RunsPage) -> int:
    """Where in a page the selected run is; where it would be, if it is not there."""
    found = next((number for number, run in enumerate(page.runs) if run.id == cursor.key), None)
    if found is not None:
        return found
    added = 0 if page.total is None or data.runs_total is None else page.total - data.runs_total
    return cursor.index + data.runs_newer + added - page.newer
