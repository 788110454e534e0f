"""What keys and answers do to the state of the terminal UI."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cdktr.protocol import VERBS
from cdktr.tui.state import commands as c
from cdktr.tui.state import events as e
from cdktr.tui.state import wants as w
from cdktr.tui.state.actions import ACTIONS, STATUSES
from cdktr.tui.state.facts import Abilities, Folder, Latest, Run
from cdktr.tui.state.history import LOADED, STEP
from cdktr.tui.state.keys import FULL, KEYS, PLACES, Where, binding_of
from cdktr.tui.state.logquery import WINDOW, LogQuery, Place
from cdktr.tui.state.model import NEWEST, Ask, Calendar, Confirm, Form, Part, Prompt, State, Tab
from cdktr.tui.state.moves import edit, settle, wrapped
from cdktr.tui.state.update import update
from cdktr.tui.state.wants import runs_want
from cdktr.tui.view.overlays import help_lines
from cdktr.tui.view.render import render
from cdktr.workflow import Outline
from tests.world import (
    AGENTS,
    ALL,
    FACTS,
    LATEST,
    NOW_S,
    RUNS,
    WORKFLOWS,
    lines,
    new,
    page_of,
    pressed,
    told,
    with_logs,
)

ETL = ["g", "j", "j", "j"]


def after(keys: Sequence[str], state: State | None = None) -> tuple[State, list[c.Command]]:
    """The state after keys, and what was to be done."""
    return pressed(told(new()) if state is None else state, keys)


def logs(keys: Sequence[str] = (), count: int = 60) -> tuple[State, list[c.Command]]:
    """The log screen of a workflow after keys."""
    return after(keys, with_logs(after([*ETL, "l"])[0], count))


# Keys.


def test_each_key_has_one_meaning_in_each_place() -> None:
    seen = [(place, key) for binding in KEYS for place in binding.where for key in binding.keys]
    assert len(seen) == len(set(seen))
    for place in Where:
        assert binding_of(place, "ctrl-c") is not None


def test_each_action_of_the_places_is_there() -> None:
    assert {binding.action for binding in KEYS if binding.where & FULL} == set(ACTIONS)


def test_the_keys_that_users_know() -> None:
    """Arrows and j k, r, q, Tab, ?."""
    state = told(new())
    assert update(state, e.Key("down"))[0].workflows == update(state, e.Key("j"))[0].workflows
    assert update(state, e.Key("q"))[1] == (c.Quit(),)
    assert after(["tab"])[0].workflows.in_graph
    assert not after(["tab", "backtab"])[0].workflows.in_graph
    assert after(["?"])[0].overlays


def page_rows() -> list[str]:
    """The keys as docs/ui.md has them: those of each place, then those of all places."""
    every = [binding for binding in KEYS if binding.where >= PLACES]
    rows = []
    for place in Where:
        own = [binding for binding in KEYS if place in binding.where and binding not in every]
        rows += ["| " + place + " | |", "|---|---|"]
        rows += [f"| {' '.join(f'`{key}`' for key in each.keys)} | {each.help} |" for each in own] + [""]
    rows += ["| Everywhere but in a form or a question | |", "|---|---|"]
    return [*rows, *(f"| {' '.join(f'`{key}`' for key in each.keys)} | {each.help} |" for each in every)]


def test_the_page_has_every_key() -> None:
    page = (Path(__file__).parent.parent / "docs" / "ui.md").read_text(encoding="utf-8")
    assert page.partition("## Keys\n\n")[2] == "\n".join(page_rows()) + "\n"


# Lists.


def test_the_selection_stays_on_its_row_when_rows_come_and_go() -> None:
    state, _ = after(ETL)
    assert state.workflows.cursor.key == "etl.daily"
    outlines = tuple(map(Outline.of, WORKFLOWS))
    more = (replace(outlines[0], id="aaa"), *outlines)
    state, _ = update(state, e.Arrived(w.TheFolder(), Folder(more)))
    assert state.workflows.cursor.key == "etl.daily"
    state, _ = update(state, e.Arrived(w.TheFolder(), Folder((outlines[0], outlines[-1]))))
    assert state.workflows.cursor.key == "reports.weekly"
    state, _ = update(state, e.Arrived(w.TheFolder(), Folder()))
    assert state.workflows.cursor.key == ""


def undefined(keys: Sequence[str]) -> State:
    """The state after keys, while no definition is known."""
    state, _ = after(keys)
    return replace(state, data=replace(state.data, definitions={}))


def test_the_definitions_near_the_selection_are_wanted_and_a_change_of_the_folder_asks_for_them_anew() -> None:
    state, _ = after(ETL)
    names = ["etl.daily", "health", "backup", "hello"]
    assert [want.workflow_id for want in w.wants(state) if isinstance(want, w.TheDefinition)] == names
    kept = {each.id: each for each in WORKFLOWS}
    state = replace(state, data=replace(state.data, definitions=kept))
    folder = replace(state.data.folder or Folder(), revision=2)
    state, _ = update(state, e.Arrived(w.TheFolder(), folder))
    assert set(state.data.definitions) == set(names), "of what is on the screen the last one stays until the next comes"
    changed = replace(WORKFLOWS[1], description="Another")
    state, _ = update(state, e.Arrived(w.TheDefinition("etl.daily"), changed))
    assert "Another" in render(state).text
    assert w.TheDefinition("etl.daily") in w.wants(after(["2", "enter"], state)[0]), "that of an opened run"
    form, _ = after([*ETL, "r"])
    assert w.TheDefinition("etl.daily") in w.wants(replace(form, tab=Tab.ADMIN)), "that of a form"


def test_what_needs_a_definition_waits_for_it_and_what_does_not_is_done() -> None:
    for keys, key in ((ETL, "r"), (ETL, "enter"), (["2", "enter"], "enter")):
        state, _ = update(undefined(keys), e.Key(key))
        assert state.notice is not None
        assert state.notice.text == "etl.daily is still being asked for; press it again"
        assert not state.overlays
    state = undefined(ETL)
    state, _ = update(state, e.Failed(w.TheDefinition("etl.daily"), "It cannot be read"))
    state, _ = update(state, e.Key("r"))
    assert state.notice is not None
    assert state.notice.text == "It cannot be read"
    assert update(undefined(["g", "j", "j"]), e.Key("r"))[1] == (c.Trigger("backup", {}),)


def test_why_something_is_not_told_stands_for_that_alone() -> None:
    state, _ = after(["2", "enter"])
    state = replace(state, data=replace(state.data, tasks={}))
    assert state.run is not None
    shown = w.TheTasks(state.run.run_id)
    late = e.Failed(w.TheTasks(RUNS[5].id), "Of another run")
    assert update(state, late)[0] == state
    state, _ = update(state, e.Failed(shown, "Of this run"))
    assert state.data.failed == {shown: "Of this run"}
    for event in (e.Key("esc"), e.Key("4"), e.Arrived(w.TheLatest(), LATEST)):
        state, _ = update(state, event)
    assert state.data.failed == {}, "nobody wants it any more"


def test_a_list_scrolls_no_further_than_it_must() -> None:
    keys = [str(n) for n in range(100)]
    cursor = settle(replace(told(new()).workflows.cursor, key="50", index=50, top=0), keys, 10)
    assert (cursor.key, cursor.top) == ("50", 41)
    assert settle(replace(cursor, key="45", index=45), keys, 10).top == 41
    assert settle(replace(cursor, key="40", index=40), keys, 10).top == 40


def test_the_filter_is_live_and_goes_back() -> None:
    state, _ = after(["/", "w", "e", "e", "k"])
    assert [entry.key for entry in state.workflows.entries] == ["reports.weekly"]
    assert len(after(["esc"], state)[0].workflows.entries) == 7
    state, _ = after(["enter"], state)
    assert state.workflows.filter == "week"
    assert after(["esc"], state)[0].workflows.filter == ""


MANY = tuple(Run(f"r{n}", "w", "COMPLETED", 1) for n in range(10 * STEP))


def in_history(runs: Sequence[Run] = MANY, counted: bool = True) -> State:
    """The list of runs of a principal that has these, newest first."""
    state, _ = update(told(new()), e.Key("2"))
    if not counted:
        state, _ = update(state, e.Up(Abilities("0.1.0", frozenset(VERBS))))
    return fed(replace(state, data=replace(state.data, runs=None)), runs, counted)


def fed(state: State, runs: Sequence[Run] = MANY, counted: bool = True) -> State:
    """The state after it was told of the part of the history that it wants."""
    want = runs_want(state.runs)
    return update(state, e.Arrived(want, page_of(runs, want, counted)))[0]


def rows(state: State) -> list[str]:
    """The runs on the screen."""
    return re.findall(r"\b(?:r|new)\d\S*", render(state).text)


def test_the_history_is_paged_without_a_gap() -> None:
    state = in_history()
    assert "1 of 1,000" in render(state).text
    for number in range(1, len(MANY)):
        state, _ = update(state, e.Key("j"))
        assert state.runs.cursor.key == f"r{number}", "the next part is there before it is needed"
        before = rows(state)
        state = fed(state)
        assert rows(state) == before, "another part moves no row"
    assert "1,000 of 1,000" in render(state).text
    assert update(state, e.Key("j"))[0] == state
    for number in range(len(MANY) - 2, -1, -1):
        state = fed(update(state, e.Key("k"))[0])
        assert state.runs.cursor.key == f"r{number}"
    assert state.runs.part == NEWEST


def test_both_ends_of_the_history_are_a_key_away() -> None:
    state, _ = update(in_history(), e.Key("G"))
    assert w.TheRuns(part=Part(oldest=True)) in w.wants(state)
    state = fed(state)
    assert state.runs.cursor.key == "r999"
    assert "1,000 of 1,000" in render(state).text
    assert update(state, e.Key("G"))[0] == state, "it is there"
    assert update(state, e.Key("k"))[0].runs.cursor.key == "r998"
    state, _ = update(state, e.Key("g"))
    assert w.TheRuns() in w.wants(state)
    assert fed(state).runs.cursor.key == "r0"
    # Who thinks better of it.
    there_and_back, _ = update(update(in_history(), e.Key("G"))[0], e.Key("g"))
    assert fed(there_and_back).runs.cursor.key == "r0"
    # A short one needs no question.
    short = MANY[:30]
    assert update(in_history(short), e.Key("G"))[0].runs.cursor.key == "r29"


@pytest.mark.parametrize(
    "keys", ["G" + "U" * 20 + "k", "Gkk", "D" * 30 + "U" * 3, "D" * 30 + "gjj", "D" * 12 + "k" * 150 + "D" * 9]
)
def test_every_key_counts_however_late_the_runs_come(keys: str) -> None:
    def reached(late: int) -> str:
        state = in_history()
        for number, key in enumerate(keys):
            state, _ = update(state, e.Key({"U": "pgup", "D": "pgdn"}.get(key, key)))
            state = fed(state) if number % late == late - 1 else state
        for _ in range(20):
            state = fed(state)
        return state.runs.cursor.key

    assert reached(1) == reached(7) == reached(1000)


def test_the_selection_stays_on_its_run_however_many_are_added() -> None:
    state, runs = in_history(), MANY
    for _ in range(5):
        state, _ = update(state, e.Key("j"))
    for added in (1, 30, 100, 500):
        runs = (*(Run(f"new{added}-{n}", "w", "RUNNING", 1) for n in range(added)), *runs)
        state = fed(state, runs)
        part = state.runs.part
        # Whoever moves on while its part is under way changes nothing in that.
        for key in ("pgdn", "pgdn", "pgup", "pgup"):
            state, _ = update(state, e.Key(key))
        assert added < 500 or state.runs.part == part
        state = fed(state, runs)
        assert state.runs.cursor.key == "r5"
        at = [run.id for run in runs].index("r5")
        assert f"{at + 1:,} of {len(runs):,}" in render(state).text
    # In the middle the rows do not move, whatever is added on top.
    before, part = rows(state), state.runs.part
    runs = (*(Run(f"last-{n}", "w", "RUNNING", 1) for n in range(150)), *runs)
    state = fed(state, runs)
    assert (rows(state), state.runs.part) == (before, part)


def test_a_history_that_is_shorter_than_it_was_is_shown_all_the_same() -> None:
    state = in_history()
    for _ in range(20):
        state = fed(update(state, e.Key("pgdn"))[0])
    assert state.runs.part.oldest
    for left in (MANY[:150], ()):
        state = fed(fed(state, left), left)
        assert rows(state) == [run.id for run in left[: len(rows(state))]]
        assert ("1 of 150" in render(state).text) == bool(left)
    assert "Nothing ran yet." in render(state).text


def test_an_older_principal_does_not_count_its_runs() -> None:
    state, _ = update(in_history(counted=False), e.Key("G"))
    assert state.runs.cursor.key == f"r{LOADED - 1}"
    assert w.TheRuns(part=Part(STEP)) in w.wants(state)
    assert " of " not in render(state).text.splitlines()[2]
    for key in ("j", "pgdn", "G"):
        state, _ = update(state, e.Key(key))
    state = fed(state, counted=False)
    assert "newer rows above" in render(state).text
    assert state.runs.cursor.key == f"r{LOADED - 1}", "no run is passed over while a part is under way"
    state, _ = update(state, e.Key("g"))
    assert fed(state, counted=False).runs.cursor.key == "r0"


def test_the_help_is_scrolled_as_far_as_it_goes() -> None:
    state, _ = after(["?", "G"])
    assert f" {len(help_lines(state, Where.WORKFLOWS))}/" in render(state).text
    assert render(after(["k"], state)[0]) != render(state), "no key is pressed in vain"


def test_runs_are_filtered_by_workflow_and_status() -> None:
    state, _ = after(["2", "/", *"etl", "tab", "enter"])
    assert w.TheRuns("etl.daily") in w.wants(state)
    state, _ = after(["s", *["j"] * STATUSES.index("FAILED"), "enter"], state)
    assert w.TheRuns("etl.daily", "FAILED") in w.wants(state)
    assert {run.status for run in state.data.runs or ()} == {"FAILED"}
    assert after(["esc"], state)[0].runs == after(["2"])[0].runs


def test_runs_are_found_by_a_part_of_an_id() -> None:
    state, _ = after(["2", "/", *"key-9", "enter"])
    assert w.TheRuns(text="key-9") in w.wants(state)
    assert [run.id for run in state.data.runs or ()] == [f"jumping-monkey-{n}" for n in (93, 92, 91, 90)]
    assert '"key-9" in an id' in render(state).text
    assert "1 of 4" in render(state).text
    state, _ = after(["s", *["j"] * STATUSES.index("FAILED"), "enter"], state)
    assert w.TheRuns("", "FAILED", "key-9") in w.wants(state)
    assert after(["esc"], state)[0].runs == after(["2"])[0].runs
    # An older principal knows whole ids of workflows alone: the prompt says so.
    old, _ = update(state, e.Up(Abilities("0.1.0", frozenset(VERBS))))
    assert w.TheRuns("", "FAILED") in w.wants(old)
    for key in ("esc", "/", *"et"):
        old, _ = update(old, e.Key(key))
    assert " workflow: et" in render(old).text
    assert update(old, e.Key("enter"))[0].runs.workflow_id == "etl.daily"


# Runs.


def test_a_workflow_without_params_is_run_at_once() -> None:
    state, commands = after(["g", "j", "j", "r"])
    assert commands == [c.Trigger("backup", {})]
    state, done = update(state, e.Triggered("backup", "brave-heron-13"))
    assert done == (), "what changed by it, the principal tells"
    assert w.TheTasks("brave-heron-13") in w.wants(state)
    assert state.notice is not None
    assert "brave-heron-13" in state.notice.text


def test_a_pause_and_its_end_are_asked_about() -> None:
    state, commands = after(["g", "j", "j", "p"])
    assert commands == []
    assert isinstance(state.overlay, Confirm)
    assert state.overlay.question == "Pause the schedule of backup? By hand it still runs."
    assert after(["n"], state)[1] == []
    state, commands = after(["y"], state)
    assert commands == [c.SetPaused("backup", True)]
    state, commands = after(["G", "enter", "p", "y"], state)
    assert commands == [c.SetPaused("reports.weekly", False)], "that is the one which is paused"
    state, commands = after(["g", "p"])
    assert commands == []
    assert state.overlay is None
    assert state.notice is not None
    assert state.notice.text == "There is no workflow to pause here"


def test_an_older_principal_cannot_pause() -> None:
    old = replace(ALL, verbs=ALL.verbs - {"PAUSE"})
    state, _ = update(after(["g", "j", "j"])[0], e.Up(old))
    state, commands = update(state, e.Key("p"))
    assert (commands, state.overlay) == ((), None)
    assert state.notice is not None
    assert state.notice.text == "This principal is too old for that"


def test_one_run_too_many_is_asked_about() -> None:
    state, commands = after(["g", "j", "j", "r", "r", "r"])
    assert commands == [c.Trigger("backup", {})]
    assert isinstance(state.overlay, Confirm)
    assert after(["y"], state)[1] == [c.Trigger("backup", {})]
    state, _ = update(after(["n"], state)[0], e.Tick(NOW_S + 60))
    assert after(["r"], state)[1] == [c.Trigger("backup", {})]
    latest = {"backup": Latest("brave-heron-13", "PENDING", 5)}
    state, _ = update(state, e.Arrived(w.TheLatest(), latest))
    state, _ = update(state, e.Key("r"))
    assert isinstance(state.overlay, Confirm)
    assert state.overlay.question == "A run of backup is under way. Start another?"
    # It ends while the question stands, whatever a list of long ago says.
    old = Run("brave-heron-13", "backup", "RUNNING")
    state = replace(state, data=replace(state.data, runs=(old,)))
    latest = {"backup": Latest("brave-heron-13", "COMPLETED", 6)}
    state, _ = update(state, e.Arrived(w.TheLatest(), latest))
    assert isinstance(state.overlay, Confirm)
    assert state.overlay.question == "A run of backup has ended by now. Start another?"
    assert after(["y"], state)[1] == [c.Trigger("backup", {})]
    assert after(["n", "r"], state)[1] == [c.Trigger("backup", {})]


def test_pasted_text_is_not_taken_for_keys() -> None:
    state, _ = after(["g", "j", "j"])
    state, commands = update(state, e.Pasted("error: retry later\n"))
    assert commands == ()
    assert state.notice is not None
    assert state.notice.text == "pasted text is not taken for keys"
    state, _ = update(after(["/"], state)[0], e.Pasted("we\r\n\x1b\x07ek"))
    assert isinstance(state.overlay, Prompt)
    assert state.overlay.text == "week"
    assert [entry.key for entry in state.workflows.entries] == ["reports.weekly"]
    state, _ = update(after([*ETL, "r"])[0], e.Pasted("a" * 5_000))
    assert isinstance(state.overlay, Form)
    assert [len(field.text) for field in state.overlay.fields] == [1_000, 0, 0]


def test_params_are_asked_for_and_checked() -> None:
    state, commands = after([*ETL, "r", "enter"])
    assert commands == []
    assert isinstance(state.overlay, Form)
    assert state.overlay.error == "target is needed: type a value"
    assert state.overlay.focus == 2, "where it is wrong"
    state, commands = after(["h", "up", "x", "enter"], state)
    assert isinstance(state.overlay, Form)
    assert "limit of workflow etl.daily must be a whole number" in state.overlay.error
    state, commands = after(["backspace", "5", "enter"], state)
    assert commands == [c.Trigger("etl.daily", {"limit": "5", "target": "h"})]
    assert state.overlay is None


def test_a_run_is_opened_and_its_neighbours_too() -> None:
    state, _ = after(["2", "enter"])
    assert state.run is not None
    assert w.TheTasks(RUNS[0].id) in w.wants(state)
    state, _ = after(["[", "["], state)
    assert state.run is not None
    assert state.run.run_id == RUNS[2].id
    assert after(["]"], state)[0].run == replace(state.run, run_id=RUNS[1].id)
    assert after(["esc"], state)[0].run is None


def test_the_graph_is_walked_as_it_is_drawn() -> None:
    state, _ = after([*ETL, "enter", "right"])
    assert state.workflows.task == "clean"
    assert after(["right", "down", "right"], state)[0].workflows.task == "load"
    _, commands = after(["enter"], state)
    assert commands[-1] == c.FetchLogs(1, LogQuery(None, RUNS[0].id, "Clean"), Place.TAIL)


def test_the_graph_shows_an_older_run_until_another_workflow_is_chosen() -> None:
    state, _ = after([*ETL, "["])
    assert w.shown_run(state) == RUNS[1].id
    assert w.shown_run(after(["]"], state)[0]) == RUNS[0].id
    assert after(["k"], state)[0].workflows.run_id == ""


def test_a_run_that_was_started_is_shown_until_a_later_one_begins() -> None:
    state, _ = after(ETL)
    state, _ = update(state, e.Triggered("etl.daily", "new-1"))
    assert w.shown_run(state) == "new-1"
    for run_id in ("new-1", "new-2"):
        latest = {**LATEST, "etl.daily": Latest(run_id, "RUNNING", 5)}
        state, _ = update(state, e.Arrived(w.TheLatest(), latest))
        assert w.shown_run(state) == run_id
    state, _ = update(state, e.Triggered("etl.daily", "new-2"))
    assert state.workflows.run_id == "", "it was the latest before"


def test_a_run_that_was_started_gives_way_to_later_ones_even_if_it_never_was_the_latest() -> None:
    state, _ = update(after(ETL)[0], e.Triggered("etl.daily", "new-1"))
    # One that was queued just before came first.
    state, _ = update(state, e.Arrived(w.TheLatest(), {"etl.daily": Latest("new-0", "RUNNING", 5)}))
    recent = [replace(RUNS[0], id=f"new-{number}") for number in (2, 1, 0)]
    state, _ = update(state, e.Arrived(w.Recent("etl.daily"), tuple(recent)))
    assert w.shown_run(state) == "new-1"
    newest = {"etl.daily": Latest("new-2", "RUNNING", 5)}
    assert w.shown_run(update(state, e.Arrived(w.TheLatest(), newest))[0]) == "new-2"
    # Whoever goes back to it stays there.
    for key in ("[", "]"):
        state, _ = update(state, e.Key(key))
    assert w.shown_run(update(state, e.Arrived(w.TheLatest(), newest))[0]) == "new-1"


def test_what_hurts_is_asked_first() -> None:
    state, commands = logs(["s", "enter"])
    saved = c.SaveLogs(LogQuery("etl.daily"), "etl.daily.log")
    assert commands == [saved]
    # Whatever is on the screen by now: the lines that were asked for are those that are saved.
    state, _ = update(after(["L"], state)[0], e.Exists(saved))
    assert isinstance(state.overlay, Confirm)
    assert after(["n"], state)[1] == []
    assert after(["y"], state)[1] == [c.SaveLogs(LogQuery("etl.daily"), "etl.daily.log", replace=True)]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ([*ETL, "y"], "etl.daily"),
        (["2", "j", "y"], RUNS[1].id),
        (["3", "y"], "web1-4f2a"),
        (["2", "enter", "y"], RUNS[0].id),
        (["3", "4", "y"], "127.0.0.1:5561"),
    ],
)
def test_the_id_that_is_copied(keys: list[str], text: str) -> None:
    assert after(keys)[1] == [c.Copy(text)]


def test_commands_by_name() -> None:
    assert after([":", "q", "enter"])[1] == [c.Quit()]
    assert after([":", "r", "e", "l", "tab", "enter"])[1] == [c.ReloadFolder()]
    state, commands = after([":", "x", "enter"])
    assert commands == []
    assert state.notice is not None
    assert state.notice.bad
    assert logs([":", *"save a.log", "enter"])[1] == [c.SaveLogs(LogQuery("etl.daily"), "a.log")]


def test_the_mouse_is_left_to_the_terminal_and_taken_back() -> None:
    state, commands = after(["m", "m"])
    assert commands == [c.SetMouse(False), c.SetMouse(True)]
    assert state.look.mouse


def test_clicks() -> None:
    state = told(new())
    state, _ = update(state, e.Click("row", "backup"))
    assert state.workflows.cursor.key == "backup"
    state, _ = update(state, e.Click("task", "copy"))
    assert (state.workflows.in_graph, state.workflows.task) == (True, "copy")
    state, _ = update(state, e.Click("tab", Tab.RUNS))
    state = told(state)
    state, _ = update(state, e.Click("row", RUNS[3].id))
    assert state.run is None
    state, _ = update(state, e.Click("row", RUNS[3].id))
    assert state.run is not None
    assert update(state, e.Click("key", "q"))[1] == (c.Quit(),)


# The principal, and what it tells.


def test_what_comes_too_late_is_not_shown() -> None:
    state, _ = after(["3"])
    late = e.Arrived(w.TheRuns(), RUNS)
    assert update(state, late)[0] == state


def test_the_time_away_is_counted_from_its_beginning() -> None:
    state, _ = update(told(new()), e.Away("gone"))
    state, _ = update(state, e.Tick(NOW_S + 10))
    state, _ = update(state, e.Away("still gone"))
    assert (state.link.since, state.link.why) == (NOW_S, "still gone")
    assert update(state, e.Up(ALL))[0].link.since == NOW_S + 10


def test_an_agent_that_vanished_is_kept_for_a_while() -> None:
    state, _ = after(["3"])
    state, _ = update(state, e.Arrived(w.TheAgents(), AGENTS[2:]))
    assert [agent.id for agent in state.lost] == ["web1-4f2a", "web2-91cc"]
    assert after(["G", "y"], state)[1] == [c.Copy("web2-91cc")]
    state, _ = update(state, e.Arrived(w.TheAgents(), AGENTS[1:]))
    assert [agent.id for agent in state.lost] == ["web1-4f2a"]
    state, _ = update(state, e.Tick(NOW_S + 590))
    assert "LOST, last heard 9m51s ago" in render(replace(state, width=120)).text
    assert update(state, e.Tick(NOW_S + 600))[0].lost == ()


def test_an_agent_that_was_stopped_is_not_called_lost() -> None:
    state, _ = after(["3"])
    state, _ = update(state, e.Arrived(w.TheAgents(), AGENTS[1:]))
    # The principal has let go of it and has not said why.
    assert re.search(r"web1-4f2a +leaving", render(state).text)
    state, _ = update(state, e.Arrived(w.Facts(), {**FACTS, "agents_left": ["web1-4f2a", "web2-91cc"]}))
    text = render(state).text
    assert re.search(r"\. web1-4f2a +STOPPED|· web1-4f2a +STOPPED", text)
    assert re.search(r"web2-91cc +LOST", text), "this one is registered, and silent"
    # Another that vanished is lost; an older principal does not tell the difference.
    state, _ = update(state, e.Arrived(w.TheAgents(), AGENTS[2:]))
    gone, _ = update(state, e.Arrived(w.Facts(), {**FACTS, "agents_left": ["web1-4f2a"]}))
    assert re.search(r"web2-91cc +LOST", render(gone).text)
    killed, _ = update(state, e.Arrived(w.Facts(), {**FACTS, "agents_killed": ["web1-4f2a"]}))
    assert re.search(r"web1-4f2a +KILLED +0 +5", render(killed).text), "and what it held is not its any more"
    old = {name: value for name, value in FACTS.items() if name != "agents_left"}
    state, _ = update(state, e.Arrived(w.Facts(), old))
    assert re.search(r"web1-4f2a +LOST", render(state).text)


def test_agents_that_have_not_come_back_to_a_principal_are_not_called_lost() -> None:
    state, _ = after(["3"])
    state, _ = update(state, e.Away("gone"))
    state, _ = update(state, e.Up(ALL))
    state, _ = update(state, e.Arrived(w.TheAgents(), ()))
    assert state.lost == ()


def test_a_remark_goes_by_itself() -> None:
    state, _ = update(told(new()), e.Told("Saved"))
    assert state.notice is not None
    assert update(state, e.Tick(NOW_S + 100))[0].notice is None


def test_nothing_is_done_unseen() -> None:
    state, _ = update(told(new()), e.Resize(40, 10))
    assert update(state, e.Key("r")) == (state, ())
    assert update(state, e.Key("q"))[1] == (c.Quit(),)
    state, _ = update(state, e.Resize(80, 24))
    assert state == told(new())


# Log lines.


def test_a_log_is_opened_at_its_end_and_followed() -> None:
    state, commands = after([*ETL, "l"])
    assert commands == [c.StopLogs(), c.FetchLogs(1, LogQuery("etl.daily"), Place.TAIL)]
    state, followed = update(state, e.LogPage(1, Place.TAIL, lines(10, 40), full=True))
    assert followed == (c.FollowLogs(1, LogQuery("etl.daily"), 39, 1),)
    state, _ = update(state, e.LogNews(1, lines(40, 45), turn=1))
    assert state.logs is not None
    assert [line.sequence for line in state.logs.lines] == list(range(10, 45))


def test_answers_to_an_earlier_log_are_dropped() -> None:
    state, _ = after([*ETL, "l", "esc", "l"])
    assert state.logs is not None
    assert update(state, e.LogPage(1, Place.TAIL, lines(0, 5), full=False))[0] == state
    assert update(state, e.LogsFailed(1, "gone"))[0] == state


def test_pages_are_asked_for_before_the_edge_is_reached() -> None:
    state, _ = after([*ETL, "l"])
    state, _ = update(state, e.LogPage(1, Place.TAIL, lines(500, 700), full=True))
    state, commands = update(state, e.Key("up"))
    assert commands == (c.FetchLogs(1, LogQuery("etl.daily"), Place.BEFORE, 500),)
    assert state.logs is not None
    top = state.logs.lines[state.logs.top]
    state, _ = update(state, e.LogPage(1, Place.BEFORE, lines(0, 500), full=False, sequence=500))
    assert state.logs is not None
    assert state.logs.begins
    assert state.logs.lines[state.logs.top] == top


def test_an_old_principal_is_not_asked_for_what_it_does_not_know() -> None:
    state, _ = after([*ETL, "l"])
    state, _ = update(state, e.Up(replace(ALL, arguments={})))
    state, _ = update(state, e.LogPage(1, Place.TAIL, lines(500, 700), full=True))
    assert update(state, e.Key("up"))[1] == ()


def test_a_flood_is_jumped_over_and_no_more_is_held_than_a_window() -> None:
    state, _ = logs()
    state, _ = update(state, e.LogNews(1, lines(90_000, 92_000), jumped=True, turn=1))
    assert state.logs is not None
    assert state.logs.lines[0].sequence == 90_000
    for first in range(92_000, 99_000, 1_000):
        state, _ = update(state, e.LogNews(1, lines(first, first + 1_000), turn=1))
    assert state.logs is not None
    assert len(state.logs.lines) == WINDOW
    assert not state.logs.begins


def test_late_news_of_an_end_that_was_left_change_nothing() -> None:
    """They were told before somebody went elsewhere, and come when the end is held and followed again."""
    state, _ = logs(["f"])
    late = e.LogNews(1, lines(60, 70), turn=1)
    state, _ = update(state, e.LogNews(1, lines(90_000, 92_000), jumped=True, turn=1))
    state, asked = update(state, e.Key("down"))
    assert asked == (c.FetchLogs(1, LogQuery("etl.daily"), Place.AFTER, 59),)
    state, followed = update(state, e.LogPage(1, Place.AFTER, lines(60, 75), full=False, sequence=59))
    assert followed == (c.FollowLogs(1, LogQuery("etl.daily"), 74, 2),)
    assert update(state, late)[0] == state
    state, _ = update(state, replace(late, lines=lines(75, 80), turn=2))
    assert state.logs is not None
    assert [line.sequence for line in state.logs.lines] == list(range(80))


def test_who_reads_is_not_disturbed_by_a_flood() -> None:
    state, _ = logs(["f"])
    assert state.logs is not None
    top = state.logs.top
    state, commands = update(state, e.LogNews(1, lines(90_000, 92_000), jumped=True, turn=1))
    assert commands == (c.StopLogs(),)
    assert state.logs is not None
    assert (state.logs.top, len(state.logs.lines)) == (top, 60)
    state, commands = update(state, e.Key("down"))
    assert commands[-1:] in ((), (c.FetchLogs(1, LogQuery("etl.daily"), Place.AFTER, 59),))


def test_what_is_heard_stands_below_until_it_is_stored() -> None:
    state, _ = logs()
    heard = tuple(replace(line, sequence=None) for line in lines(60, 62))
    state, _ = update(state, e.LogNews(1, (), trouble="disk full", heard=heard, turn=1))
    assert state.logs is not None
    assert state.logs.shown[-2:] == heard
    assert "not stored yet" in render(state).text
    state, _ = update(state, e.LogNews(1, lines(60, 63), turn=1))
    assert state.logs is not None
    assert [line.sequence for line in state.logs.shown] == list(range(63))


def test_search_goes_on_at_the_principal() -> None:
    state, _ = after([*ETL, "l"])
    state, _ = update(state, e.LogPage(1, Place.TAIL, lines(500, 700), full=True))
    state, commands = after(["/", *"row 699", "enter"], state)
    assert state.logs is not None
    assert state.logs.found == 699
    state, commands = after(["/", *"row 7 ", "enter"], state)
    assert commands[-1] == c.FetchLogs(2, LogQuery("etl.daily"), Place.MATCH_AFTER, None, "row 7 ")
    state, commands = after(["N"], state)
    assert commands[-1] == c.FetchLogs(3, LogQuery("etl.daily"), Place.MATCH_BEFORE, 500, "row 7 ")
    state, _ = update(state, e.LogPage(3, Place.MATCH_BEFORE, lines(0, 40), full=True, found=7, sequence=500))
    assert state.logs is not None
    assert state.logs.lines[state.logs.top].sequence == 0
    assert state.logs.found == 7
    state, _ = after(["esc"], state)
    assert state.logs is not None
    assert state.logs.search == ""
    assert after(["esc"], state)[0].logs is None


def test_search_goes_round() -> None:
    state, commands = logs(["/", *"row 7 ", "enter"])
    assert commands == []
    assert state.logs is not None
    assert state.logs.found == 7
    assert state.notice is not None
    assert state.notice.text == "from the beginning"
    state, _ = after(["N"], state)
    assert (state.notice or e.Told("")).text == "from the end"
    state, _ = after(["/"], state)
    assert isinstance(state.overlay, Prompt)
    assert state.overlay.text == ""
    assert after(["up"], state)[0].overlay == Prompt(Ask.SEARCH, "row 7 ", 6, "row 7 ")
    state, _ = after([*"nowhere", "enter"], state)
    assert "'nowhere' is not found" in render(state).text


def test_search_goes_round_at_the_principal_and_once() -> None:
    state, _ = after([*ETL, "l"])
    state, _ = update(state, e.LogPage(1, Place.HEAD, lines(0, 200), full=True))
    state, commands = after(["G", "g", "/", *"nowhere", "enter"], state)
    assert state.logs is not None
    number = state.logs.number
    assert commands[-1] == c.FetchLogs(number, LogQuery("etl.daily"), Place.MATCH_AFTER, 199, "nowhere")
    state, commands_ = update(state, e.LogPage(number, Place.MATCH_AFTER, (), full=False, sequence=199))
    assert commands_[-1] == c.FetchLogs(number + 1, LogQuery("etl.daily"), Place.MATCH_AFTER, None, "nowhere")
    state, commands_ = update(state, e.LogPage(number + 1, Place.MATCH_AFTER, (), full=False))
    assert commands_ == ()
    assert "'nowhere' is not found" in render(state).text


def test_an_old_principal_leaves_what_is_loaded_to_search() -> None:
    state, _ = logs()
    old, _ = update(state, e.Up(Abilities("0.1.0", frozenset(VERBS))))
    for key in ("/", *"row 31", "enter"):
        old, commands = update(old, e.Key(key))
        assert commands == ()
    assert old.logs is not None
    assert old.logs.found == 31
    old = replace(old, logs=replace(old.logs, begins=False))
    assert "/row 31 in what is loaded" in render(old).text
    for key in ("/", *"nowhere", "enter", "n", "N"):
        old, commands = update(old, e.Key(key))
        assert commands == ()
    assert "'nowhere' is not found in what is loaded here" in render(old).text


def test_saved_lines_are_told_until_somebody_sees_it_and_not_lost_unasked() -> None:
    state, commands = logs(["s", "enter"])
    save = commands[-1]
    assert isinstance(save, c.SaveLogs)
    for way in (["q"], ["ctrl-c"], ["/", "ctrl-c"]):
        asked, commands = after(way, state)
        assert commands == []
        assert f"still being saved in {save.path}" in render(asked).text
        assert after(["n"], asked)[0].overlays == asked.overlays[:-1]
        assert after(["y"], asked)[1] == after(["ctrl-c"], asked)[1] == [c.Quit()]
    far, _ = update(state, e.Saving(save, 230_000))
    assert f"Saving to {save.path} … 230,000 lines" in render(far).text
    other, _ = update(far, e.Told("Folder read: nothing changed"))
    assert "Folder read" in render(update(other, e.Saving(save, 235_000))[0]).text
    # A file that is there already has to be asked about; then it goes on.
    state, _ = update(state, e.Exists(save))
    assert after(["n", "q"], state)[1] == [c.Quit()]
    assert update(state, e.Saving(save, 5))[0] == state, "it does not go on"
    state, commands = after(["y"], state)
    assert commands == [replace(save, replace=True)]
    assert after(["q"], state)[1] == []
    state, _ = update(state, e.Told("60 lines saved in x", done=replace(save, replace=True)))
    state, _ = update(state, e.Tick(NOW_S + 3600))
    assert "60 lines saved in x" in render(state).text
    assert "60 lines saved in x" not in render(after(["k"], state)[0]).text
    assert after(["q"], state)[1] == [c.Quit()]


def test_another_level_keeps_the_place() -> None:
    state, commands = logs(["g", *["j"] * 10, "L"])
    assert commands[-1] == c.FetchLogs(2, LogQuery("etl.daily", level="ERROR"), Place.AFTER, 9)
    state, commands_ = update(state, e.LogPage(2, Place.AFTER, lines(20, 60), full=False, sequence=9))
    assert state.logs is not None
    assert state.logs.lines[state.logs.top].sequence == 20
    before = c.FetchLogs(2, LogQuery("etl.daily", level="ERROR"), Place.BEFORE, 20)
    assert commands_ == (c.FollowLogs(2, LogQuery("etl.daily", level="ERROR"), 59, 2), before)
    state, _ = update(state, e.LogPage(2, Place.BEFORE, lines(5, 8), full=False, sequence=20))
    assert state.logs is not None
    assert state.logs.lines[state.logs.top].sequence == 20
    # Where nothing follows, the end is near.
    state, commands = after(["L"], state)
    state, commands_ = update(state, e.LogPage(3, Place.AFTER, (), full=False, sequence=19))
    assert commands_[-1] == c.FetchLogs(4, LogQuery("etl.daily", level="WARNING"), Place.TAIL)


def test_only_one_level() -> None:
    _, commands = logs(["L"])
    assert commands[-1] == c.FetchLogs(2, LogQuery("etl.daily", level="ERROR"), Place.TAIL)
    assert logs(["L"] * 4)[1][-1] == c.FetchLogs(5, LogQuery("etl.daily"), Place.TAIL)


def test_a_range_of_time() -> None:
    state, commands = logs(["t", *"-2h", "tab", *"-1h", "enter"])
    start, end = round((NOW_S - 7200) * 1000), round((NOW_S - 3600) * 1000)
    assert commands[-1] == c.FetchLogs(2, LogQuery("etl.daily", start_ms=start, end_ms=end), Place.HEAD)
    assert state.logs is not None
    assert not state.logs.following
    state, _ = logs(["t", *"nonsense", "enter"])
    assert isinstance(state.overlay, Form)
    assert "is no time" in state.overlay.error
    state, _ = logs(["t", *"-1h", "tab", *"-2h", "enter"])
    assert isinstance(state.overlay, Form)
    assert "ends before it begins" in state.overlay.error


@pytest.mark.usefixtures("utc")
def test_a_day_is_picked_from_the_calendar() -> None:
    state, _ = logs(["t", "f2"])
    assert state.overlay == Calendar(2026, 1, 31)
    assert after(["pgup"], state)[0].overlay == Calendar(2025, 12, 31)
    assert after(["pgdn"], state)[0].overlay == Calendar(2026, 2, 28)
    state, _ = after(["up", "left", "enter"], state)
    assert isinstance(state.overlay, Form)
    assert state.overlay.fields[0].text == "2026-01-23"


def test_a_log_that_could_not_be_had_is_asked_for_again_by_itself() -> None:
    state, _ = after([*ETL, "l"])
    asked = c.FetchLogs(1, LogQuery("etl.daily"), Place.TAIL)
    state, _ = update(state, e.LogsFailed(1, "The database cannot be read"))
    assert "The database cannot be read" in render(state).text
    assert update(state, e.Tick(NOW_S + 1))[1] == ()
    state, commands = update(state, e.Tick(NOW_S + 3))
    assert commands == (asked,)
    assert update(state, e.Tick(NOW_S + 9))[1] == (), "it is under way"
    state, _ = update(state, e.LogsFailed(1, "The principal does not answer"))
    away, _ = update(state, e.Away("The principal does not answer"))
    assert update(away, e.Tick(NOW_S + 99))[1] == (), "nobody is there to ask"
    state, commands = update(away, e.Up(ALL))
    assert commands == (asked,)
    state, _ = update(state, e.LogPage(1, Place.TAIL, lines(0, 9), full=False))
    assert state.logs is not None
    assert (state.logs.trouble, len(state.logs.lines)) == ("", 9)
    assert update(state, e.Tick(NOW_S + 999))[1] == ()


def test_whoever_moves_on_is_not_carried_away_by_what_comes_later() -> None:
    state, _ = after([*ETL, "l"])
    state, _ = update(state, e.LogPage(1, Place.TAIL, lines(1_000, 2_000), full=True))
    for key in ("/", "x", "y", "z", "enter"):
        state, commands = update(state, e.Key(key))
    assert [command.contains for command in commands if isinstance(command, c.FetchLogs)] == ["xyz"]
    state, _ = update(state, e.LogsFailed(2, "The database cannot be read"))
    state, _ = update(state, e.Key("k"))
    assert update(state, e.Tick(NOW_S + 99))[1] == ()


def page_before_or_after(asked: c.FetchLogs) -> e.LogPage:
    """The page of a log of 4,300 lines, of which 300 come at a time."""
    at = asked.sequence or 0
    before = asked.place is Place.BEFORE
    some = lines(max(at - 300, 0), at) if before else lines(at + 1, min(at + 301, 4_300))
    full = bool(some) and some[0 if before else -1].sequence != (0 if before else 4_299)
    return e.LogPage(asked.number, asked.place, some, full, sequence=asked.sequence)


def reached(keys: Sequence[str], late: int) -> int | None:
    """The line at the top of the screen after keys, when each page comes so many keys after it was asked for."""
    state, _ = after([*ETL, "l"])
    state, commands = update(state, e.LogPage(1, Place.TAIL, lines(4_000, 4_300), full=True))
    due: dict[int, c.FetchLogs] = {}
    for number, key in enumerate([*keys, *[""] * (10 * late + 10)]):
        state, commands = update(state, e.Key(key))
        while commands or number in due:
            due.update((number + late, each) for each in commands if isinstance(each, c.FetchLogs))
            state, commands = update(state, page_before_or_after(due.pop(number))) if number in due else (state, ())
    assert state.logs is not None
    assert not state.logs.busy
    return state.logs.lines[state.logs.top].sequence


@pytest.mark.parametrize(
    "keys",
    [["pgup"] * 40, ["k"] * 130 + ["pgup"] * 70 + ["j"] * 7, ["pgup"] * 99 + ["pgdn"] * 20, ["pgup"] * 230],
)
def test_every_key_counts_however_late_the_lines_come(keys: Sequence[str]) -> None:
    assert reached(keys, 0) == reached(keys, 3) == reached(keys, 50)


def test_what_is_held_goes_on_when_another_part_cannot_be_had() -> None:
    """Nothing but the beginning was asked for: the end is held still, and what comes after it is told."""
    state, _ = after([*ETL, "l"])
    state, _ = update(state, e.LogPage(1, Place.TAIL, lines(1_000, 2_000), full=True))
    state, commands = update(state, e.Key("g"))
    assert commands == (c.StopLogs(), c.FetchLogs(2, LogQuery("etl.daily"), Place.HEAD))
    state, commands = update(state, e.LogsFailed(2, "No principal answers"))
    assert commands == (c.FollowLogs(2, LogQuery("etl.daily"), 1_999, 2),)
    # That is asked for again, when somebody is there who may know.
    assert update(state, e.Up(ALL))[1] == (c.FetchLogs(2, LogQuery("etl.daily"), Place.HEAD),)
    # The end was asked for, and is not held.
    state, _ = update(state, e.LogNews(2, lines(2_000, 3_000), jumped=True, turn=2))
    state, commands = update(state, e.Key("G"))
    assert commands == (c.StopLogs(), c.FetchLogs(3, LogQuery("etl.daily"), Place.TAIL))
    state, commands = update(state, e.LogsFailed(3, "No principal answers"))
    assert commands == ()
    assert update(state, e.Up(ALL))[1] == (c.FetchLogs(3, LogQuery("etl.daily"), Place.TAIL),)


def test_a_page_before_a_line_does_not_end_a_log() -> None:
    state, _ = after([*ETL, "l"])
    state, _ = update(state, e.LogPage(1, Place.TAIL, lines(1_000, 2_000), full=True))
    state, _ = update(state, e.LogPage(1, Place.BEFORE, lines(0, 1_000), full=False, open=False, sequence=1_000))
    assert state.logs is not None
    assert (state.logs.begins, state.logs.ends, state.logs.live, state.logs.open) == (True, True, True, True)


# Text.


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("a b", "a b"),
        (["a", "b", "left", "c"], "acb"),
        (["a", "b", "home", "delete"], "b"),
        (["a", "backspace", "backspace"], ""),
        ([*"one two", "ctrl-w"], "one "),
        ([*"abc", "left", "ctrl-u"], "c"),
        ([*"abc", "left", "ctrl-k"], "ab"),
        (["up", "\x00", "f9"], ""),
    ],
)
def test_editing(keys: Sequence[str], text: str) -> None:
    line = Prompt(ask=after(["/"])[0].overlays[0].ask)  # type: ignore[union-attr]
    for key in keys:
        line = edit(line, key)
    assert line.text == text


def test_wrapping_keeps_wide_characters_whole() -> None:
    assert wrapped("日本語", 5) == ["日本", "語"]
    assert wrapped("abcdef", 4) == ["abcd", "ef"]
    assert wrapped("", 4) == [""]
