"""The terminal UI under everything that can happen to it, in any order."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cdktr.text import width
from cdktr.tui.state import events as e
from cdktr.tui.state import wants as w
from cdktr.tui.state.commands import Command, FetchLogs, FollowLogs, Quit, SaveLogs, StopLogs
from cdktr.tui.state.facts import (
    Abilities,
    Agent,
    Folder,
    Latest,
    LogLine,
    OwnLine,
    Problem,
    Run,
    RunsPage,
    RunTasks,
    TaskRun,
)
from cdktr.tui.state.keys import KEYS
from cdktr.tui.state.logquery import WINDOW, LogQuery, Place
from cdktr.tui.state.logscreen import opened
from cdktr.tui.state.model import Look, RunsTab, State
from cdktr.tui.state.update import HANDLERS, update
from cdktr.tui.view.render import render
from cdktr.workflow import Outline, Subprocess, Task, Workflow
from tests.world import ALL, NOW_MS, NOW_S, answer, lines, new, page_of, pressed, told, with_logs

#: Texts that break frames: wide, combining, without width, controls, no characters at all; and ordinary ones.
wild = st.one_of(
    st.sampled_from(
        ["etl.daily", "a", "", "日本語", "e\u0301\u0301", "\x1b[31mred", "\u200b\u200d", "👩‍👩‍👧", "\ud800", "a\nb\tc"]
    ),
    st.text(max_size=12),
)
times = st.one_of(st.none(), st.integers(NOW_MS - 10**9, NOW_MS + 10**7), st.sampled_from([0, -(2**62), 2**62]))
statuses = st.sampled_from(["COMPLETED", "FAILED", "RUNNING", "PENDING", "CRASHED", "SKIPPED", "CANCELLED", "NEW ONE"])
keys = st.one_of(st.sampled_from(sorted({key for binding in KEYS for key in binding.keys})), st.characters(), wild)
texts = st.one_of(st.none(), wild)

runs = st.builds(Run, wild, wild, statuses, times, times, times, texts, texts, texts, texts)
task_runs = st.builds(
    TaskRun,
    wild,
    wild,
    statuses,
    times,
    times,
    st.one_of(st.none(), st.integers(0, 99)),
    st.one_of(st.none(), st.integers()),
    texts,
)


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """A workflow whose tasks depend on those before them."""
    names = draw(st.lists(wild, min_size=1, max_size=7, unique=True))
    tasks = {}
    for number, name in enumerate(names):
        needs = draw(st.lists(st.sampled_from(names[:number]), unique=True)) if number else []
        tasks[name] = Task(draw(wild), Subprocess(draw(wild), (draw(wild),)), depends=tuple(needs))
    params = draw(st.dictionaries(wild, st.one_of(st.none(), wild, st.integers(), st.booleans()), max_size=3))
    cron = draw(st.sampled_from([None, "0 0 2 * * *", "*/5 * * * * *", "nonsense", "0 0 0 1 1 *"]))
    zone = draw(st.sampled_from(["UTC", "Europe/Berlin"]))
    return Workflow(draw(wild), draw(wild), tasks, draw(wild), draw(texts), cron, None, zone, params=params)


problems = st.builds(Problem, wild, wild, st.one_of(st.none(), st.integers(0, 9)), st.integers(0, 9), texts)
agents = st.builds(
    Agent, wild, st.integers(0, NOW_MS), st.integers(0, 99), st.one_of(st.none(), st.integers(0, 99)), texts
)
log_lines = st.builds(LogLine, st.integers(0, 10**6), st.integers(0, NOW_MS), wild, wild, wild, wild, wild, wild, wild)
own_lines = st.builds(OwnLine, st.integers(0, 99), st.integers(0, NOW_MS), wild, wild)

#: What a principal may tell of each want.
answers: dict[type[Any], st.SearchStrategy[Any]] = {
    w.Facts: st.builds(
        lambda facts, paused: {**facts, "paused": paused},
        st.dictionaries(st.sampled_from(["queued", "running", "version", "stopping"]), st.integers(0, 9)),
        st.one_of(st.none(), st.integers(0, 9), st.dictionaries(wild, times, max_size=3)),
    ),
    w.TheFolder: st.builds(
        Folder,
        st.lists(workflows().map(Outline.of), max_size=4).map(tuple),
        st.lists(problems, max_size=2).map(tuple),
        st.integers(0, 3),
    ),
    w.TheDefinition: st.one_of(st.none(), workflows()),
    w.TheLatest: st.dictionaries(wild, st.builds(Latest, wild, statuses, st.integers(0, NOW_MS)), max_size=3),
    w.TheAgents: st.lists(agents, max_size=4).map(tuple),
    w.TheRuns: st.builds(
        RunsPage, st.lists(runs, max_size=6).map(tuple), st.integers(0, 9), st.one_of(st.none(), st.integers(0, 20))
    ),
    w.Recent: st.lists(runs, max_size=6).map(tuple),
    w.TheTasks: st.builds(RunTasks, st.one_of(st.none(), runs), st.lists(task_runs, max_size=6).map(tuple)),
    w.OwnLog: st.lists(own_lines, max_size=5).map(tuple),
}


@st.composite
def events(draw: st.DrawFn, state: State) -> e.Event:
    """Anything that may happen now: mostly keys, and answers to what is wanted."""
    kind = draw(st.sampled_from([e.Key, e.Key, e.Key, e.Arrived, *HANDLERS]))
    number = state.logs.number if state.logs is not None else draw(st.integers(0, 3))
    page = st.lists(log_lines, max_size=5).map(tuple)
    match kind.__name__:
        case "Key":
            return e.Key(draw(keys))
        case "Pasted":
            return e.Pasted(draw(wild))
        case "Click":
            return e.Click(draw(st.sampled_from(["row", "tab", "key", "task", "x"])), draw(st.one_of(wild, keys)))
        case "Wheel":
            return e.Wheel("row", draw(st.sampled_from([-1, 1])))
        case "Resize":
            return e.Resize(draw(st.integers(0, 130)), draw(st.integers(0, 50)))
        case "Tick":
            return e.Tick(state.now + draw(st.floats(0, 100)))
        case "Up":
            return e.Up(draw(st.sampled_from([ALL, Abilities("0", frozenset({"PING", "LSWORKFLOWS"}))])))
        case "Arrived" | "Failed" as name:
            want = draw(st.sampled_from(w.wants(state)))
            if name == "Failed":
                return e.Failed(want, draw(wild))
            return e.Arrived(want, draw(st.one_of(st.just(answer(want)), answers[type(want)])))
        case "LogPage":
            found = draw(st.one_of(st.none(), st.integers(0, 60)))
            some = draw(st.one_of(page, st.integers(0, 60).map(lambda n: lines(n, n + 30))))
            return e.LogPage(
                number, draw(st.sampled_from(Place)), some, draw(st.booleans()), draw(st.booleans()), "", found
            )
        case "LogNews":
            turn = state.logs.turn if state.logs is not None and draw(st.booleans()) else draw(st.integers(0, 3))
            return e.LogNews(number, draw(page), draw(st.booleans()), draw(st.booleans()), draw(wild), turn=turn)
        case "LogsFailed":
            return e.LogsFailed(number, draw(wild))
        case "Triggered":
            return e.Triggered(draw(wild), draw(wild))
        case "Told":
            return e.Told(draw(wild), draw(st.booleans()))
        case "Exists":
            command = SaveLogs(LogQuery(), draw(wild))
            return e.Exists(command) if draw(st.booleans()) else e.Saving(command, 7)
    return e.Away(draw(wild))


def check(state: State, commands: tuple[Command, ...]) -> None:
    """What holds in every state."""
    frame = render(state)
    assert len(frame.rows) == state.height
    for row in frame.rows:
        assert sum(width(span.text) for span in row) == state.width
        text = "".join(span.text for span in row)
        assert text.isprintable()
        assert state.look.unicode or text.isascii()
    assert len(commands) <= 3
    if state.logs is not None:
        assert len(state.logs.lines) <= WINDOW
        assert state.logs.top >= 0
        # What is told by itself goes on where the held lines end.
        assert not state.logs.live or state.logs.ends


@given(st.data(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_whatever_happens_there_is_a_next_state_that_can_be_drawn(data: st.DataObject, unicode: bool) -> None:
    state = replace(new(), look=Look(unicode=unicode))
    if data.draw(st.booleans()):
        state = told(state)
    for _ in range(data.draw(st.integers(1, 12))):
        state, commands = update(state, data.draw(events(state)))
        check(state, commands)


def states_of_every_place() -> dict[str, State]:
    """A state for each place and overlay, by the keys that lead there."""
    ways = ["", "enter", "2", "2 enter", "3", "4", "?", "/", "2 /", "2 s", ":", "g j j j r"]
    found = {way: pressed(told(new()), way.split())[0] for way in ways}
    logs = with_logs(pressed(told(new()), ["g", "j", "j", "j", "l"])[0])
    found |= {f"logs {way}": pressed(logs, way.split())[0] for way in ("", "/", "t", "t f2", "s", "f")}
    found["exists"] = update(logs, e.Exists(SaveLogs(LogQuery(), "a.log")))[0]
    found["nothing"] = new()
    found["small"] = replace(told(new()), width=20, height=5)
    return found


def test_every_key_in_every_place_is_answered() -> None:
    """Not by chance: all of them."""
    names = sorted({key for binding in KEYS for key in binding.keys} | set("xXä\x00€") | {"f9", "", "\ud800"})
    for state in states_of_every_place().values():
        for name in names:
            after, commands = update(state, e.Key(name))
            check(after, commands)


def test_ctrl_c_quits_from_everywhere() -> None:
    for way, state in states_of_every_place().items():
        assert update(state, e.Key("ctrl-c"))[1] == (Quit(),), way


class Server:
    """A log of numbered lines, of which pages are asked for, as the feed asks the principal."""

    def __init__(self, count: int) -> None:
        self.lines = list(lines(0, count))
        self.followed: FollowLogs | None = None

    def page(self, asked: FetchLogs, size: int) -> e.LogPage:
        """The answer."""
        at = -1 if asked.sequence is None else asked.sequence
        found = None
        match asked.place:
            case Place.TAIL:
                some = self.lines[-size:]
                full = len(self.lines) > size
            case Place.HEAD | Place.AFTER:
                some = [line for line in self.lines if (line.sequence or 0) > at][:size]
                full = bool(some) and some[-1] != self.lines[-1]
            case Place.BEFORE:
                some = [line for line in self.lines if (line.sequence or 0) < at][-size:]
                full = bool(some) and some[0] != self.lines[0]
            case _:
                some, full = [], False
        return e.LogPage(asked.number, asked.place, tuple(some), full, found=found, sequence=asked.sequence)

    def news(self, size: int) -> e.LogNews | None:
        """What came since, for who follows."""
        if self.followed is None:
            return None
        after = -1 if self.followed.after is None else self.followed.after
        some = [line for line in self.lines if (line.sequence or 0) > after]
        if not some:
            return None
        jumped = len(some) > size
        some = some[-size:]
        self.followed = replace(self.followed, after=some[-1].sequence)
        return e.LogNews(self.followed.number, tuple(some), jumped, turn=self.followed.turn)


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_what_is_held_of_a_log_has_no_gap_and_no_line_twice(data: st.DataObject) -> None:
    """Whatever is pressed, however answers and new lines come in between."""
    server = Server(data.draw(st.integers(0, 300)))
    state, commands = opened(replace(told(new()), now=NOW_S), "x", LogQuery("etl.daily"))
    asked: list[FetchLogs] = []
    late: list[e.LogNews] = []
    size = data.draw(st.sampled_from([7, 50, 1000]))
    for _ in range(data.draw(st.integers(1, 40))):
        for command in commands:
            if isinstance(command, FetchLogs):
                asked.append(command)
            elif isinstance(command, FollowLogs):
                server.followed = command
            elif isinstance(command, StopLogs):
                server.followed = None
        step = data.draw(st.sampled_from(["key", "key", "answer", "answer", "grow", "news", "told"]))
        commands = ()
        if step == "key":
            key = data.draw(st.sampled_from(["up", "down", "pgup", "pgdn", "g", "G", "f", "w", "pgup", "pgdn"]))
            state, commands = update(state, e.Key(key))
        elif step == "answer" and asked:
            state, commands = update(state, server.page(asked.pop(0), size))
        elif step == "grow":
            server.lines += lines(len(server.lines), len(server.lines) + data.draw(st.integers(1, 80)))
        elif step == "news" and (news := server.news(size)) is not None:
            # The thread that tells it may be late, and another one follows by then; its own are in order.
            late.append(news)
        elif step == "told" and late:
            state, commands = update(state, late.pop(0))
        assert state.logs is not None
        held = [line.sequence or 0 for line in state.logs.lines]
        assert not held or held == list(range(held[0], held[0] + len(held)))
        check(state, commands)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_held_of_the_history_is_a_part_of_it_and_the_selection_stays(data: st.DataObject) -> None:
    """Whatever is pressed, however late answers come and however many runs are added in between."""
    runs = [Run(f"r{n}", "w", "COMPLETED", 1) for n in range(data.draw(st.sampled_from([0, 30, 250, 1000])))][::-1]
    state, _ = update(told(new()), e.Key("2"))
    state = replace(state, data=replace(state.data, runs=None), runs=RunsTab())
    late: list[e.Arrived] = []
    for _ in range(data.draw(st.integers(1, 40))):
        selected, rows, owed = state.runs.cursor.key, state.data.runs, state.runs.owed
        step = data.draw(st.sampled_from(["key", "key", "ask", "answer", "answer", "grow"]))
        if step == "key":
            state, _ = update(state, e.Key(data.draw(st.sampled_from(["j", "k", "pgup", "pgdn", "g", "G"]))))
        elif step == "grow":
            first = len(runs)
            runs = [Run(f"r{first + n}", "w", "RUNNING", 1) for n in range(data.draw(st.integers(1, 300)))][::-1] + runs
        elif step == "ask":
            want = w.runs_want(state.runs)
            late.append(e.Arrived(want, page_of(runs, want)))
        elif late:
            state, _ = update(state, late.pop(0))
            if rows is not None and selected and not owed:
                assert state.runs.cursor.key == selected
        held = [run.id for run in state.data.runs or ()]
        total, newer = state.data.runs_total, state.data.runs_newer
        if held and total is not None:
            assert held == [f"r{total - 1 - newer - n}" for n in range(len(held))]
        check(state, ())
    # In the end it is where it says it is.
    for _ in range(9):
        want = w.runs_want(state.runs)
        state, _ = update(state, e.Arrived(want, page_of(runs, want)))
    if runs:
        at = [run.id for run in runs].index(state.runs.cursor.key)
        assert f" {at + 1:,} of {len(runs):,} " in render(state).text
