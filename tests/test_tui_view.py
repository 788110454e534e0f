"""Screens, held against pictures of them in data/screens/; `pytest --rewrite-screens` paints those anew."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdktr.caller import SILENT
from cdktr.text import width
from cdktr.tui.state import events as e
from cdktr.tui.state import wants as w
from cdktr.tui.state.facts import Abilities, Folder, OwnLine, Run, RunTasks
from cdktr.tui.state.layout import MOST_TASKS
from cdktr.tui.state.model import Cursor, Link, LinkStatus, Look, State
from cdktr.tui.state.update import update
from cdktr.tui.view.glyphs import wire
from cdktr.tui.view.render import render
from cdktr.tui.view.times import due_in
from cdktr.tui.view.workflows import run_line
from cdktr.workflow import Outline, Workflow
from tests.world import AGENTS, ALL, FACTS, NOW_MS, NOW_S, PROBLEMS, RUNS, new, pressed, task, told, with_logs

SCREENS = Path(__file__).parent / "data" / "screens"

#: What is on the screen, and the keys that lead there.
PICTURES: dict[str, Sequence[str]] = {
    "workflows": ["g", "j", "j", "j"],
    "graph": ["g", "j", "j", "j", "enter", "right", "down"],
    "zoomed": ["g", "j", "j", "j", "z"],
    "invalid": ["g"],
    "filter": ["/", "e", "t"],
    "paused": ["g", "j", "j", "j", "j", "j", "j"],
    "pause": ["g", "j", "j", "j", "p"],
    "params": ["g", "j", "j", "j", "r", "tab", "7"],
    "runs": ["2", "j"],
    "status": ["2", "s", "j", "j"],
    "run": ["2", "enter", "j"],
    "agents": ["3"],
    "admin": ["4"],
    "logs": ["g", "j", "j", "j", "l"],
    "range": ["g", "j", "j", "j", "l", "t", "-", "2", "h", "f2"],
    "help": ["?"],
}
SIZES = ((80, 24), (200, 60), (60, 15))


@pytest.fixture(autouse=True)
def _utc(utc: None) -> None:
    """Pictures are of one zone."""


def screen(keys: Sequence[str], columns: int = 80, rows: int = 24, look: Look | None = None) -> State:
    """The state after some keys; log lines come when their screen opens."""
    state = replace(told(new(columns, rows)), look=look or Look())
    for key in keys:
        before = state.logs
        state, _ = pressed(state, [key])
        if before is None and state.logs is not None:
            state = with_logs(state)
    return state


def text_of(state: State) -> str:
    """The screen without styles, after a look at its shape."""
    frame = render(state)
    assert len(frame.rows) == state.height
    assert {sum(width(span.text) for span in row) for row in frame.rows} == {state.width}
    return frame.text


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", PICTURES)
def test_a_screen(name: str, size: tuple[int, int], request: pytest.FixtureRequest) -> None:
    text = text_of(screen(PICTURES[name], *size)) + "\n"
    path = SCREENS / f"{name}-{size[0]}x{size[1]}.txt"
    if request.config.getoption("--rewrite-screens"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text("utf-8")


@pytest.mark.parametrize("name", PICTURES)
def test_a_screen_in_ascii_is_ascii(name: str) -> None:
    assert text_of(screen(PICTURES[name], 100, 30, Look(unicode=False, colour=False))).isascii()


def test_a_console_is_asked_for_nothing_that_it_lacks() -> None:
    found = {char for name in PICTURES for char in text_of(screen(PICTURES[name], look=Look(console=True)))}
    # What the code page 437 of old PCs has, the signs below 32 too; the ellipsis and the dash are in each such font.
    lacking = {char for char in found if char not in "…–•○►▲▼←→↑↓" and not _in_cp437(char)}
    assert {char for char in lacking if not ("\u3000" < char < "\ua000")} == set()


def _in_cp437(char: str) -> bool:
    try:
        return bool(char.encode("cp437"))
    except UnicodeEncodeError:
        return False


def test_colour_is_never_the_only_sign() -> None:
    """Statuses that differ are drawn differently, and what is selected is marked."""
    text = text_of(screen(["2"]))
    marks = {row.split()[-1] if row.startswith(">") else row.split()[0] for row in text.splitlines()[4:-1] if row}
    assert {"✗", "✓", "!"} <= marks
    for name in ("workflows", "graph", "runs", "run", "agents", "status"):
        assert ">" in text_of(screen(PICTURES[name]))


def test_a_terminal_that_is_too_small_is_told_so() -> None:
    text = text_of(screen([], 59, 15))
    assert "59 x 15" in text
    assert "60 x 15" in text
    assert text_of(screen([], 1, 1)) == "…"
    assert render(replace(new(), width=0, height=0)).rows == ()


def test_the_graph_of_an_older_run_tells_how_many_are_newer() -> None:
    state = screen(["g", "j", "j", "j", "[", "["], 100, 30)
    assert state.workflows.run_id == RUNS[2].id
    assert f"{RUNS[2].id} (2 newer: ]) " in text_of(state)
    elsewhere = replace(state, data=replace(state.data, recent=RUNS[:2]))
    assert f"{RUNS[2].id} (not the latest) " in text_of(elsewhere)
    assert "newer:" not in text_of(screen(["g", "j", "j", "j", "[", "]"], 100, 30))


def test_a_principal_that_is_away() -> None:
    state, _ = update(screen([]), e.Away("No principal answers at 127.0.0.1:5561 (Connection refused)"))
    state, _ = update(state, e.Tick(NOW_S + 12))
    text = text_of(state)
    assert "Disconnected 12s: connection refused" in text.splitlines()[0]
    assert "etl.daily" in text
    state, _ = update(state, e.Up(ALL))
    assert "Connected" in text_of(state).splitlines()[0]
    assert "The principal is back" in text_of(state)


@pytest.mark.parametrize("columns", [60, 120])
def test_what_was_told_before_a_principal_went_away_has_its_time(columns: int) -> None:
    state, _ = update(screen(["4"], columns), e.Away("No principal answers"))
    state, _ = update(state, e.Tick(NOW_S + 600))
    row = text_of(state).splitlines()[1]
    assert row.endswith("as of 14:03:00"), "which the facts below are of"
    assert "4 Admin]" in row
    assert "as of 01-31" in text_of(update(state, e.Tick(NOW_S + 86_400))[0])
    state, _ = update(state, e.Up(ALL))
    assert "as of" not in text_of(update(state, e.Tick(NOW_S + 86_500))[0])


def test_a_long_remark_leaves_the_tabs_where_they_are() -> None:
    told = "The workflow hello was not started: its file is not there any more"
    state, _ = update(screen([]), e.Told(told, bad=True))
    assert text_of(state).splitlines()[-2] == f" {told}"
    assert "[1 Workflows]  2 Runs   3 Agents   4 Admin" in text_of(state)
    longer, _ = update(state, e.Told(" ".join([told] * 2), bad=True))
    assert " ".join(text_of(longer).split()).count(told) == 2
    state, _ = update(state, e.Told("Saved"))
    assert "[1 Workflows]" in text_of(state)


def test_a_form_offers_what_it_has() -> None:
    text = text_of(screen(PICTURES["params"]))
    assert "(needed)" in text
    assert "calendar" not in text.splitlines()[-1]
    assert "calendar" in text_of(screen(PICTURES["range"][:-1])).splitlines()[-1]


def test_what_is_wrong_in_a_form_is_told_in_full() -> None:
    state = screen(["g", "j", "j", "j", "r", "tab", *"seven of them", "tab", *"here", "enter"], 60, 15)
    inside = [row.split("│")[1].strip() for row in text_of(state).splitlines() if row.count("│") >= 2]
    told = "Parameter limit of workflow etl.daily must be a whole number, not 'seven of them'"
    assert " ".join(inside).endswith(told)
    assert text_of(screen(["l", "t"], 60, 15)).count("a time, or how long ago: -2h, 90m; F2: calendar ") == 1


def test_what_needs_attention_is_told_in_full() -> None:
    state = screen(["4"])
    uv = {"path": "/usr/local/bin/uv", "trouble": "/usr/local/bin/uv does not tell its version: exit code 1"}
    agents = [replace(agent, uv=uv) for agent in state.data.agents or ()]
    text = text_of(replace(state, data=replace(state.data, agents=tuple(agents))))
    words = " ".join(text.split())
    assert "no schedule starts it until `cdktr task resume` ! 2 problems in the workflow folder:" in words
    assert "w/health.yml:7:5: unknown key 'dependencies'; did you mean 'depends'?" in words
    assert "uv none on web1-4f2a, web2-91cc, old-7: /usr/local/bin/uv does not tell its version:" in words
    many = tuple(replace(PROBLEMS[0], line=n) for n in range(1, 99))
    folder = replace(state.data.folder or Folder(), problems=many)
    text = text_of(replace(state, data=replace(state.data, folder=folder)))
    assert "and more: `cdktr status` tells all of it" in text
    assert "Its own log" in text


def test_a_line_of_the_own_log_can_be_seen_as_a_whole() -> None:
    state = screen(["4"])
    line = OwnLine(99, NOW_MS, "ERROR", "begins " + "goes on " * 20 + "ends\nTraceback: here")
    state = replace(state, data=replace(state.data, own_log=(*state.data.own_log, line)))
    assert " ends" not in text_of(state)
    for key in ("enter", "right"):
        text = text_of(update(state, e.Key(key))[0])
        assert re.search(r"goes on ends$", text, re.MULTILINE)
        assert text.splitlines()[-2].strip() == "Traceback: here"
    assert " ends" not in text_of(pressed(state, ["enter", "enter"])[0])
    short = update(replace(state, height=15, data=replace(state.data, folder=None)), e.Key("enter"))[0]
    assert text_of(short).splitlines()[-2].strip() == "Traceback: here", "of what has no room the end is seen"


def test_a_title_has_the_room_that_there_is() -> None:
    run = Run("r", "w", "COMPLETED", NOW_MS - 305_800, NOW_MS - 305_800, NOW_MS - 300_000)
    assert run_line(run, new(), 24) == "✓ COMPLETED 5.8s, 5m ago"
    assert run_line(run, new(), 23) == "✓ COMPLETED, 5m ago"


def test_what_an_agent_has_is_told_where_there_is_room() -> None:
    for columns in (60, 80, 143):
        rows = text_of(screen(["3"], columns)).splitlines()
        assert "LABELS" not in rows[3]
        assert rows[-2].split("  ", 1)[0].strip() == "labels"
        assert "gpu, zone=eu (web1-4f2a)" in rows[-2]
        assert "labels" not in text_of(screen(["3", "j"], columns)), "it has none"
    rows = text_of(screen(["3"], 144)).splitlines()
    assert "LABELS" in rows[3]
    assert "gpu, zone=eu" in rows[4]
    assert not rows[-2].strip()


@pytest.mark.parametrize(
    ("unplaceable", "told"),
    [
        ([], "● Connected  "),
        ([{"labels": ["gpu", "zone=eu"], "runs": 3, "workflows": ["w"]}], "3 wait for gpu, zone=eu  "),
        ([{"labels": ["a" * 63], "runs": 1, "workflows": ["w"]}], "1 waits for labels  "),
        ([{"labels": [x], "runs": 1, "workflows": ["w"]} for x in "ab"], "2 wait for labels  "),
    ],
)
@pytest.mark.parametrize("columns", [80, 200])
def test_runs_that_nobody_can_take_are_told(columns: int, unplaceable: list[Any], told: str) -> None:
    state = screen(["4"], columns)
    facts = {**(state.data.facts or {}), "queued": 3, "unplaceable": unplaceable}
    text = text_of(replace(state, data=replace(state.data, facts=facts)))
    head = text.splitlines()[0]
    assert told in head
    assert "queue 3  running 1  agents 3  " in head, "which count most while something waits"
    assert ("v0.1.0" in head) == (columns == 200 or not unplaceable)
    assert ("for an agent with" in text) == bool(unplaceable)


def test_a_long_address_gives_way_to_what_is_told_of_the_principal() -> None:
    for address in ("scheduler-1.production.example.org:5561", "10.0.0.1:5561, 10.0.0.2:5561"):
        state = replace(screen([]), address=address)
        head = text_of(state).splitlines()[0]
        assert f"{address[:12]}" in head
        assert "● Connected  queue 0  running 1  agents 3  v0.1.0  14:03" in head
        assert address in text_of(replace(state, width=200)).splitlines()[0]


@pytest.mark.parametrize(
    ("why", "cause"),
    [
        ("No principal answers at 10.0.0.1:5561 (no such host), b:1 (Connection refused); see", "no such host, conn"),
        ("The principal at 127.0.0.1:5561 did not answer in 5 s; it is stopped", "did not answer in 5 s"),
        ("The principal at 127.0.0.1:5561 ended the connection", "ended the connection"),
        ("No connection to 127.0.0.1:5561 can be made here: Too many open files", "too many open files"),
        ("Whatever else", "Whatever else"),
        (f"No principal answers at 127.0.0.1:5561 ({SILENT}); one is there", SILENT),
    ],
)
def test_why_a_principal_is_away_is_told_without_its_address(why: str, cause: str) -> None:
    state, _ = update(screen([]), e.Away(why))
    assert f"127.0.0.1:5561  ✗ Disconnected 0s: {cause}" in text_of(state).splitlines()[0]


def test_the_footer_offers_what_can_be_done() -> None:
    invalid = text_of(screen(["g"], 120)).splitlines()[-1]
    assert invalid.split() == "/ filter R reload y copy id ? help q quit".split()
    assert "enter graph  r run" in text_of(screen(["g", "j", "j"], 120)).splitlines()[-1]
    for rows, offered in ((24, True), (60, False)):
        assert (" v graph" in text_of(screen(["2", "enter"], 80, rows)).splitlines()[-1]) == offered
    unknown = screen(["2", "enter"])
    unknown = replace(unknown, data=replace(unknown.data, definitions={}))
    assert " v graph" not in text_of(unknown), "there is none to be drawn"
    none = screen(["2"])
    none = replace(none, data=replace(none.data, runs=()), runs=replace(none.runs, cursor=Cursor()))
    assert "enter" not in text_of(none).splitlines()[-1]


def test_nothing_is_known_yet() -> None:
    text = text_of(new())
    assert "Connecting" in text
    assert text_of(update(new(), e.Key("2"))[0])


def test_what_an_old_principal_cannot_do_is_grey() -> None:
    verbs = frozenset({"PING", "LSWORKFLOWS", "RUNTASK", "GETRECENTSTATUSES", "GETREGISTEREDAGENTS"})
    state, _ = update(screen([]), e.Up(Abilities("0.0.14", verbs)))
    frame = render(state)
    assert any(span.style == "off" for span in frame.rows[-1])
    assert "(l logs)" in frame.text
    assert "(r run)" not in frame.text
    state, commands = update(state, e.Key("l"))
    assert commands == ()
    assert "too old" in render(state).text
    admin, _ = update(state, e.Key("4"))
    assert "too old to tell what it logs" in render(admin).text


def test_control_characters_in_a_log_are_shown_and_not_obeyed() -> None:
    text = text_of(screen(["g", "j", "j", "j", "l", "g"]))
    assert "\\x1b[31mred\\x1b[0m and a bell \\x07" in text
    assert "日本語のログ行 – wide, e combining, zero" in text
    assert "\x1b" not in text


def test_a_match_is_marked() -> None:
    state = screen(["g", "j", "j", "j", "l", "/", *"ROW 41", "enter"])
    marked = [span.text for row in render(state).rows for span in row if span.style == "match"]
    assert marked == ["row 41"]


def test_what_came_of_a_search_is_told() -> None:
    keys = ["g", "j", "j", "j", "l", "/"]
    state = screen([*keys, *"ROW 41", "enter"])
    assert text_of(state).splitlines()[1].endswith(" match at line 42 ──")
    state = replace(state, logs=replace(state.logs, begins=False)) if state.logs else state
    assert re.search(r" match at 2026-01-31 14:02:01\S* ──$", text_of(state).splitlines()[1])
    assert "match" not in text_of(pressed(state, ["g"])[0]).splitlines()[1]
    state = update(screen([*keys, *"nowhere", "enter"]), e.Tick(NOW_S + 60))[0]
    assert text_of(state).splitlines()[1].endswith(" no match, ● following ──")
    state, _ = update(state, e.Key("f"))
    assert text_of(state).splitlines()[1].endswith("─ no match ──")
    empty = replace(state, logs=replace(state.logs, lines=(), missed="")) if state.logs else state
    assert text_of(empty).splitlines()[1].endswith("─────")


def test_a_long_line_is_wrapped_or_scrolled() -> None:
    keys = ["g", "j", "j", "j", "l", "g"]
    assert text_of(screen([*keys, "w"])).count("a long line") > text_of(screen(keys)).count("a long line")
    state = screen([*keys, "v"])
    assert "row 10 of" not in text_of(state)
    assert "row 10 of" in text_of(pressed(state, ["right"] * 4)[0])
    assert "from column 17" in text_of(screen([*keys, "right"]))


def test_a_graph_of_too_many_tasks_is_a_list() -> None:
    from cdktr.tui.state.facts import Folder
    from cdktr.workflow import Outline, Workflow

    tasks = {"first": task("First"), **{f"t{n}": task(f"T{n}", "first") for n in range(MOST_TASKS)}}
    many = Workflow("many", "Many", tasks)
    state, _ = update(told(new()), e.Arrived(w.TheFolder(), Folder((Outline.of(many),))))
    state, _ = update(state, e.Arrived(w.TheDefinition("many"), many))
    assert "├─►" in text_of(state)
    state, _ = update(state, e.Key("enter"))
    for _ in range(40):
        state, _ = update(state, e.Key("down"))
    assert state.workflows.task == "t39"
    assert ">· t39" in text_of(state)


@pytest.mark.parametrize("unicode", [True, False])
def test_rows_whose_lines_would_share_a_cell_tell_in_words_what_they_wait_for(unicode: bool) -> None:
    more = {f"x{n}": task("X") for n in range(MOST_TASKS)}
    shifted = {**{f"a{n}": task("A") for n in range(3)}, "b": task("B", "a0", "a1"), "c": task("C", "a1", "a2")}
    shifted["d"] = task("D", "b", "a0")
    many = Workflow("many", "Many", {**shifted, **more})
    state, _ = update(told(new()), e.Arrived(w.TheFolder(), Folder((Outline.of(many),))))
    state, _ = update(state, e.Arrived(w.TheDefinition("many"), many))
    state = replace(state, look=Look(unicode=unicode))
    for key in ("enter", *["down"] * 200):
        state, _ = update(state, e.Key(key))
    text = text_of(state)
    assert "after b, a0" in text
    assert "after a1, a2" in text
    assert "┼" not in text


def test_a_line_is_thick_where_it_is_said_to_be() -> None:
    for directions in range(16):
        for thick in range(16):
            if thick & ~directions:
                continue
            name = unicodedata.name(wire(Look(), directions, thick))
            assert ("HEAVY" in name) == (thick > 0), name
            assert ("LIGHT" in name) == (0 < directions != thick), name
            plain = wire(Look(unicode=False), directions, thick)
            assert plain.isascii()
            assert (plain in "=#") == (thick == directions and directions in (1, 2, 4, 8, 5, 10))
    assert [wire(Look(), 15, thick) for thick in (1, 2, 4, 8)] == list("╀┾╁┽")
    assert wire(Look(console=True), 15, 15) == "╬"
    assert wire(Look(console=True), 15, 5) == "┼"


def test_details_that_are_on_their_way() -> None:
    """What the list knows stands there, and where the graph will be, that it comes; or why it does not."""
    state = screen(PICTURES["workflows"])
    state = replace(state, data=replace(state.data, definitions={}))
    right = "\n".join(row.partition("│")[2] for row in text_of(state).splitlines())
    assert "daily at 02:00" in right
    assert "jumping-monkey-93" in right
    assert "..." in right
    assert "extract_orders" not in right
    state, _ = update(state, e.Failed(w.TheDefinition("etl.daily"), "It cannot be read"))
    assert "It cannot be read" in text_of(state)
    zoomed = replace(state, workflows=replace(state.workflows, in_graph=True, zoomed=True))
    assert "It cannot be read" in text_of(zoomed)


def test_an_agent_that_falls_silent_is_not_called_ready() -> None:
    state, _ = update(screen(["3"]), e.Tick(NOW_S + 16))
    old, web1 = (next(row for row in text_of(state).splitlines() if name in row) for name in ("old-7", "web1"))
    assert "silent 20s" in old
    assert "silent 17s" in web1
    assert any(span.style == "warn" and "silent" in span.text for row in render(state).rows for span in row)


@pytest.mark.parametrize("ahead_s", [-3600, -90, 0, 90, 3600])
def test_clocks_that_differ_make_no_agent_silent(ahead_s: int) -> None:
    here = screen(["3"])
    agents = tuple(replace(agent, last_ping_ms=agent.last_ping_ms + ahead_s * 1000) for agent in AGENTS)
    state, _ = update(here, e.Arrived(w.Facts(), {**FACTS, "ahead_s": float(ahead_s)}))
    state, _ = update(state, e.Arrived(w.TheAgents(), agents))
    assert text_of(state) == text_of(here)
    # When an agent is lost, the principal says.
    patient = {**FACTS, "ahead_s": float(ahead_s), "heartbeat_timeout_ms": 60_000}
    state, _ = update(state, e.Arrived(w.Facts(), patient))
    assert re.search(r"web2-91cc +silent 48s", text_of(state))


def test_a_schedule_of_seconds_is_told_in_seconds() -> None:
    now = datetime(2026, 1, 31, 14, 3, 3, tzinfo=UTC)
    quick, slow = (Outline("w", "W", cron=cron) for cron in ("*/10 * * * * *", "0 * * * * *"))
    assert due_in(quick, now) == "in 7s"
    assert due_in(slow, now) == "in <1m", "a screen on which nothing happens stands still"
    state, _ = update(screen([]), e.Arrived(w.TheFolder(), Folder((quick,))))
    assert ", in 10s" in text_of(replace(state, width=200))


def test_a_run_that_is_over_ended_so_long_ago() -> None:
    run = Run("r", "w", "FAILED", NOW_MS - 24_000, NOW_MS - 24_000, NOW_MS - 2_000)
    assert run_line(run, new()) == "✗ FAILED 22s, 2.0s ago"
    assert run_line(replace(run, ended_ms=NOW_MS - 23_960), new()).startswith("✗ FAILED 40 ms, ")


def test_zones_lie_where_they_are_drawn() -> None:
    frame = render(screen([]))
    rows = frame.text.splitlines()
    for zone in frame.zones:
        if zone.target == "tab":
            assert zone.key in rows[zone.y][zone.x : zone.x + zone.width]
    assert {zone.target for zone in frame.zones} == {"tab", "row", "task", "key"}


def test_trouble_of_the_database_is_told_in_the_header() -> None:
    state = screen([])
    facts = {**(state.data.facts or {}), "database_trouble": "disk full"}
    state = replace(state, data=replace(state.data, facts=facts), link=Link(LinkStatus.UP))
    assert "its database is in trouble" in text_of(state)


def test_a_queued_run_says_why_it_waits_and_has_no_timeline() -> None:
    waits = {"labels": ["gpu"], "runs": 1, "workflows": ["etl.daily"]}
    queued = replace(RUNS[0], status="PENDING", started_ms=None, agent_id=None)
    for unplaceable, why in (([waits], "for an agent with gpu"), ([], "no agent has a free slot")):
        state, _ = pressed(told(new(160, 24)), ["2"])
        facts = {**FACTS, "queued": 1, "free_slots": 0, "unplaceable": unplaceable}
        runs = (queued, *(state.data.runs or ())[1:])
        state = replace(state, data=replace(state.data, facts=facts, runs=runs))
        row = next(row for row in text_of(state).splitlines() if queued.id in row)
        assert why[:10] in row
        state, _ = update(replace(state, width=80), e.Key("enter"))
        state = replace(state, data=replace(state.data, tasks={queued.id: RunTasks(queued, ())}))
        text = text_of(state)
        assert re.search(rf"^ waits +.*{why}", text, re.MULTILINE)
        head = next(row for row in text.splitlines() if "TASK " in row)
        assert head.rstrip().endswith("EXIT"), "there is no time to tell of"


def test_of_many_tasks_it_is_told_which_are_seen() -> None:
    many = Workflow("etl.daily", "Daily ETL", {f"t{n}": task(f"T{n}") for n in range(100)})
    for size in ((60, 15), (80, 24), (200, 60)):
        state, _ = pressed(told(new(*size)), ["2", "enter"])
        failed = replace(RUNS[0], status="FAILED", ended_ms=NOW_MS, detail="failed: load", params='{"day": 1}')
        kept = {RUNS[0].id: RunTasks(failed, ())}
        folder, known = Folder((Outline.of(many),)), {many.id: many}
        state = replace(state, data=replace(state.data, folder=folder, definitions=known, tasks=kept))
        for key in ("j", *["pgdn"] * 3, "G", "k"):
            state, _ = update(state, e.Key(key))
            text = render(state).text
            first, last = map(int, re.search(r" (\d+)-(\d+) of 100 ", text).groups())  # type: ignore[union-attr]
            seen = [int(number) for number in re.findall(r"^ *>? *· t(\d+)\b", text, re.MULTILINE)]
            assert seen == list(range(first - 1, last))
            assert re.search(rf"> · {state.run.cursor.key if state.run else ''}\b", text)
    assert " of 6 " not in render(pressed(told(new()), ["2", "enter"])[0]).text
