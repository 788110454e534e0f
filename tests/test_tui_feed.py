"""What the terminal UI asks a principal for, and what it tells of the answers; the principal's words are given here."""

import os
import threading
from collections import deque
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar, cast, get_args

import pytest

from cdktr import protocol as p
from cdktr.caller import Subscriber
from cdktr.client import Principal
from cdktr.codec import outline_to_json, workflow_to_json
from cdktr.errors import NotFoundError, ProtocolError, RefusedError, StoreError, UnreachableError
from cdktr.frames import encode_log
from cdktr.messages import Request
from cdktr.records import LogRecord
from cdktr.tui.feed import actions, feed, logs, poll
from cdktr.tui.feed.ask import FACTS as KNOWN
from cdktr.tui.feed.ask import KINDS, ORIGINAL, Questions, abilities
from cdktr.tui.feed.checked import checked, has_kind
from cdktr.tui.state import commands as c
from cdktr.tui.state import wants as w
from cdktr.tui.state.events import (
    Arrived,
    Away,
    Event,
    Exists,
    Failed,
    LogNews,
    LogPage,
    LogsFailed,
    Saving,
    Told,
    Triggered,
    Up,
)
from cdktr.tui.state.facts import Abilities, Folder, Latest, RunsPage, run_of
from cdktr.tui.state.history import LOADED
from cdktr.tui.state.logquery import PAGE, LogQuery, Place
from cdktr.tui.state.model import Part
from cdktr.workflow import Outline, Workflow
from tests import world
from tests.world import ETL

FACTS = {"pid": 7, "host": "h", "uptime_s": 1.0, "running": 0, "queued": 0, "revisions": {"runs": 1, "workflows": 1}}
ABLE = {"version": "9", "verbs": sorted(p.VERBS), "arguments": {"LSLOGS": ["before"]}}
RUN = {"workflow_instance_id": "run-1", "workflow_id": "w", "status": "COMPLETED", "queued_ms": 5}
WHOLE = workflow_to_json(ETL)
LATEST = {"w": {"workflow_instance_id": "run-1", "status": "COMPLETED", "timestamp_ms": 5}}
AWAY = UnreachableError("No principal answers at h:1 (Connection refused)")
SILENT = UnreachableError("The principal at h:1 did not answer in 3 s", was_asked=True)
#: Seconds that a thread may take.
PATIENCE_S = 30.0


def line(number: int) -> dict[str, Any]:
    names = ("workflow_id", "workflow_name", "workflow_instance_id", "task_name", "task_instance_id", "level")
    return {**dict.fromkeys(names, "x"), "timestamp_ms": 0, "sequence": number, "payload": f"STDOUT {number}"}


def each(*answers: Any) -> deque[Any]:
    """Answers of which each is used once."""
    return deque(answers)


class Fake:
    """Answers by the table: a value, an error, `each` of some of these once, or what makes one."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"CAPABILITIES": ABLE, "STATUS": FACTS, **answers}
        self.asked: list[Request] = []

    def ask(self, request: Request, rest_s: float = 0.0) -> Any:
        self.asked.append(request)
        answer = self.answers.get(request.verb, RefusedError(f"Unknown request {request.verb!r}"))
        if isinstance(answer, deque):
            answer = answer.popleft()
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pages(self, request: p.ListLogs) -> Any:
        yield [line(1), line(2)]
        yield [line(3)]

    @property
    def principal(self) -> Principal:
        return cast(Principal, self)

    def verbs(self) -> list[str]:
        """What was asked since the last call."""
        asked, self.asked = self.asked, []
        return [request.verb for request in asked]


# What is wanted.


def test_an_original_principal_is_asked_what_it_knows() -> None:
    recent = [{"workflow_id": "w", **LATEST["w"]}]
    fake = Fake(
        CAPABILITIES=RefusedError("What?"), PING=None, GETRECENTSTATUSES=recent, LSWORKFLOWS={"etl.daily": WHOLE}
    )
    able = abilities(fake.ask)
    assert able == ORIGINAL
    assert able.has("RUNTASK")
    assert not able.has("TRIGGER")
    questions = Questions(fake.ask, able)
    assert questions.answer(w.Facts()) == {}
    assert questions.answer(w.TheLatest()) == {"w": Latest("run-1", "COMPLETED", 5)}
    assert questions.answer(w.TheFolder()) == Folder((Outline.of(ETL),), (), 1)
    assert questions.answer(w.TheDefinition("etl.daily")) == ETL
    assert questions.answer(w.TheDefinition("gone")) is None
    assert fake.verbs() == ["CAPABILITIES", "PING", "GETRECENTSTATUSES", "LSWORKFLOWS"], "one of them is not asked for"
    assert questions.answer(w.TheFolder()).revision == 1
    fake.answers["LSWORKFLOWS"] = {"etl.daily": {**WHOLE, "description": "Another"}}
    assert questions.answer(w.TheFolder()).revision == 2, "the list is the same, a definition is not"


def test_a_list_is_asked_for_without_the_definitions_and_these_one_by_one() -> None:
    catalog = {"revision": 7, "workflows": [outline_to_json(ETL), {"id": "odd"}, 5]}
    fake = Fake(LSCATALOG=catalog, LSPROBLEMS=[], GETWORKFLOW=each(WHOLE, NotFoundError("No workflow exists")))
    questions = Questions(fake.ask, abilities(fake.ask))
    folder = questions.answer(w.TheFolder())
    assert (folder.workflows, folder.revision) == ((Outline.of(ETL),), 7)
    assert [problem.path for problem in folder.problems] == ["odd", "5"], "one that cannot be read hides no other"
    assert questions.answer(w.TheDefinition("etl.daily")) == ETL
    assert questions.answer(w.TheDefinition("gone")) is None
    assert fake.verbs() == ["CAPABILITIES", "LSCATALOG", "LSPROBLEMS", "GETWORKFLOW", "GETWORKFLOW"]


def test_a_fact_of_another_kind_is_taken_as_not_told() -> None:
    odd = {"queued": "many", "stopping": None, "new": ["whatever"], "uptime_s": 10**400, "database_trouble": None}
    questions = Questions(Fake(STATUS={**FACTS, **odd}).ask, Abilities("9", frozenset({"STATUS"})))
    told = questions.answer(w.Facts())
    assert told.items() >= {"pid": 7, "new": ["whatever"], "database_trouble": None}.items()
    assert not {"queued", "stopping", "uptime_s"} & told.keys()


@pytest.mark.parametrize(("ahead_s", "told_s"), [(-3600, -3600.0), (-1, 0.0), (1, 0.0), (90, 90.0)])
def test_a_clock_that_is_another_is_noticed(monkeypatch: pytest.MonkeyPatch, ahead_s: int, told_s: float) -> None:
    monkeypatch.setattr("cdktr.tui.feed.ask.time.time", lambda: 1_000_000.25)
    fake = Fake(STATUS={**FACTS, "now_ms": 1_000_000_000 + ahead_s * 1000})
    told = Questions(fake.ask, Abilities("9", frozenset({"STATUS"}))).answer(w.Facts())
    assert told["ahead_s"] == told_s
    assert "now_ms" not in told, "which would be another each time"


def test_of_each_fact_it_is_known_what_it_is() -> None:
    for name, value in {**world.FACTS, **FACTS}.items():
        assert has_kind(value, KNOWN[name]), name


def test_a_part_of_the_history_is_asked_for_as_the_principal_can() -> None:
    able = Abilities("9", frozenset(p.VERBS), {"LSRUNS": frozenset({"counted", "oldest", "contains"})})
    fake = Fake(LSRUNS={"runs": [RUN, RUN], "total": 700})
    answer = Questions(fake.ask, able).answer
    found = (run_of(RUN), run_of(RUN))
    assert answer(w.TheRuns("w", "FAILED", "key", Part(300, oldest=True))) == RunsPage(found, 398, 700)
    asked = p.ListRuns("w", None, "FAILED", LOADED, 300, contains="key", oldest=True, counted=True)
    assert fake.asked == [asked]
    assert answer(w.TheRuns(part=Part(5))) == RunsPage(found, 5, 700)
    # An older one has a list alone.
    old = Fake(LSRUNS=[RUN])
    assert Questions(old.ask, Abilities("8", frozenset(p.VERBS))).answer(w.TheRuns()) == RunsPage(found[:1])
    assert old.asked == [p.ListRuns(limit=LOADED)]


def test_the_own_log_grows_from_page_to_page() -> None:
    def of(*numbers: int) -> dict[str, Any]:
        found = [{"sequence": n, "timestamp_ms": n, "level": "INFO", "message": str(n)} for n in numbers]
        return {"lines": found, "next": numbers[-1] if numbers else 2}

    fake = Fake(LSOWNLOG=each(of(1, 2), of(), of(3)))
    questions = Questions(fake.ask, abilities(fake.ask))
    sizes = [len(questions.answer(w.OwnLog())) for _ in range(3)]
    assert sizes == [2, 2, 3]
    assert [request.after for request in fake.asked if isinstance(request, p.ListOwnLog)] == [None, 2, 2]


class Polled:
    """What keeps things fresh, of which each round is made by hand: a look at the principal, then each lane in turn."""

    def __init__(self, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(poll, "MODESTY", -1)
        self.told: list[Event | BaseException] = []
        self.board = poll.Board()
        self.front = poll.Front(fake.principal, 1.0, self.board, self.told.append)
        self.lanes = [poll.Wanted(fake.principal, lane, self.board, self.told.append) for lane in poll.Lane]

    def look(self, *wants: w.Want, missing: frozenset[w.Want] = frozenset()) -> list[Event | BaseException]:
        """What a round tells."""
        self.told.clear()
        self.board.want(wants, missing)
        while self.front.look() == 0.0:
            pass
        for lane in self.lanes:
            lane.look(self.board.order)
        return list(self.told)


def test_what_did_not_change_is_neither_asked_for_nor_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(LSLATEST=LATEST, LSRUNS=each([RUN], [RUN], [RUN], []), GETREGISTEREDAGENTS=[])
    polled = Polled(fake, monkeypatch)
    wanted = (w.Facts(), w.TheLatest(), w.TheRuns())
    assert [type(event) for event in polled.look(*wanted)] == [Up, Arrived, Arrived, Arrived]
    assert fake.verbs() == ["CAPABILITIES", "STATUS", "LSLATEST", "LSRUNS"]
    fake.answers["STATUS"] = {**FACTS, "uptime_s": 2.0}
    assert polled.look(*wanted) == []
    assert fake.verbs() == ["STATUS"]
    # What went missing is asked for and told again.
    assert [event.want for event in polled.look(*wanted, missing=frozenset({w.TheRuns()}))] == [w.TheRuns()]  # type: ignore[union-attr]
    assert fake.verbs() == ["STATUS", "LSRUNS"]
    # A status was taken: both lists are asked for, and the same answer is not told.
    fake.answers["STATUS"] = {**FACTS, "uptime_s": 3.0, "revisions": {"runs": 2, "workflows": 1}}
    assert [event.want for event in polled.look(*wanted)] == [w.Facts()]  # type: ignore[union-attr]
    assert fake.verbs() == ["STATUS", "LSLATEST", "LSRUNS"]
    # Another process, which counts anew.
    fake.answers["STATUS"] = {**FACTS, "uptime_s": 4.0, "pid": 8, "revisions": {"runs": 2, "workflows": 1}}
    assert [event.want for event in polled.look(*wanted)] == [w.Facts(), w.TheRuns()]  # type: ignore[union-attr]
    # Agents have no number: they are always asked for.
    polled.look(w.TheAgents())
    fake.verbs()
    assert polled.look(w.TheAgents()) == []
    assert fake.verbs() == ["STATUS", "GETREGISTEREDAGENTS"]


def test_a_restart_between_two_looks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the number of the process is the same, and so may be what it counts."""
    fake = Fake(LSLATEST=each(LATEST, {}), STATUS=each({**FACTS, "uptime_s": 90.0}, FACTS, FACTS))
    polled = Polled(fake, monkeypatch)
    polled.look(w.TheLatest())
    fake.verbs()
    assert polled.look(w.TheLatest())[-1] == Arrived(w.TheLatest(), {})
    assert fake.verbs() == ["STATUS", "CAPABILITIES", "STATUS", "LSLATEST"]


@pytest.mark.parametrize("odd", [None, [], {}, {"version": 9, "verbs": None}, StoreError("It is lost")])
def test_whoever_answers_oddly_is_no_principal(monkeypatch: pytest.MonkeyPatch, odd: object) -> None:
    polled = Polled(Fake(CAPABILITIES=odd), monkeypatch)

    def sleep(_: float) -> None:
        raise Enough

    monkeypatch.setattr("cdktr.tui.feed.poll.time.sleep", sleep)
    with pytest.raises(Enough):
        polled.front.run()
    [away] = polled.told
    assert isinstance(away, Away)


@pytest.mark.parametrize("odd", [None, [], {}, {"lines": [{}]}, 5])
def test_what_cannot_be_read_is_told(odd: object) -> None:
    fake = Fake(TRIGGER=odd, RELOAD=odd, LSLOGS=odd)
    for command in (c.Trigger("w", {}), c.ReloadFolder()):
        event = done(fake, command)
        assert isinstance(event, Told)
        assert event.text.startswith("The principal's reply cannot be read")
    with pytest.raises(ProtocolError):
        logs.Tail(fake.principal, Ear, lambda _: None)._next(FOLLOW, p.ListLogs(), p.ListLogs())
    told: SimpleQueue[Any] = SimpleQueue()
    pages = logs.Pages(fake.principal, told.put)
    pages.fetch(c.FetchLogs(3, QUERY, Place.TAIL))
    threading.Thread(target=pages.run, daemon=True).start()
    assert isinstance(told.get(timeout=PATIENCE_S), LogsFailed)


def test_what_was_not_told_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(LSLATEST=each(StoreError("The disk is full"), LATEST))
    polled = Polled(fake, monkeypatch)
    assert polled.look(w.TheLatest())[-1] == Failed(w.TheLatest(), "The disk is full")
    assert isinstance(polled.look(w.TheLatest())[-1], Arrived)


def test_a_question_that_takes_long_is_not_asked_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(GETREGISTEREDAGENTS=[])
    polled = Polled(fake, monkeypatch)
    monkeypatch.setattr(poll, "MODESTY", 1e9)
    polled.look(w.TheAgents())
    polled.look(w.TheAgents())
    assert fake.verbs().count("GETREGISTEREDAGENTS") == 1


def test_what_nobody_says_anything_of_is_asked_less_than_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "MODESTY", 1e9)
    for name, again in (("CHANGED_S", ["LSLATEST"]), ("UNKNOWN_S", ["GETREGISTEREDAGENTS"])):
        with monkeypatch.context() as patch:
            patch.setattr(poll, name, 0.0)
            fake = Fake(LSLATEST=LATEST, GETREGISTEREDAGENTS=[])
            polled = Polled(fake, monkeypatch)
            patch.setattr(poll, "MODESTY", 1e9)
            polled.look(w.TheLatest(), w.TheAgents())
            fake.verbs()
            fake.answers["STATUS"] = {**FACTS, "revisions": {"runs": 2, "workflows": 1}}
            polled.look(w.TheLatest(), w.TheAgents())
            assert [verb for verb in fake.verbs() if verb != "STATUS"] == again


def test_a_slow_query_of_the_history_keeps_nothing_else_waiting() -> None:
    """Neither how the principal is, nor a definition, nor the agents."""
    free = threading.Event()

    def slow(_: Request) -> Any:
        assert free.wait(PATIENCE_S)
        return [RUN]

    catalog = {"revision": 1, "workflows": []}
    fake = Fake(LSRUNS=slow, LSCATALOG=catalog, LSPROBLEMS=[], GETWORKFLOW=WHOLE, GETREGISTEREDAGENTS=[])
    told: SimpleQueue[Any] = SimpleQueue()
    ui = feed.Feed(fake.principal, cast(Any, None), 0.01, told.put)
    ui.want((w.Facts(), w.TheRuns(), w.TheAgents(), w.TheDefinition("etl.daily")), frozenset())
    ui.start()
    names = [next_one(told) for _ in range(4)]
    assert sorted(names) == ["Facts", "TheAgents", "TheDefinition", "Up"]
    fake.answers["STATUS"] = {**FACTS, "queued": 1}
    assert next_one(told) == "Facts"
    free.set()
    assert next_one(told) == "TheRuns"
    # Ends the thread that would go on looking.
    fake.answers["STATUS"] = LookupError("a bug")
    assert next_one(told) == "LookupError"


def next_one(told: SimpleQueue[Any]) -> str:
    """What is told next, by its name."""
    event = told.get(timeout=PATIENCE_S)
    return type(event.want if isinstance(event, Arrived) else event).__name__


def test_each_want_has_a_type_and_goes_where_what_it_needs_comes_from() -> None:
    assert set(get_args(w.Want)) == set(KINDS)
    definition = w.TheDefinition("a")
    assert poll.lane_of(definition) is poll.lane_of(w.TheFolder()) is not poll.lane_of(w.TheRuns())


def test_a_query_that_is_not_answered_does_not_mean_that_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    polled = Polled(Fake(LSLATEST=SILENT), monkeypatch)
    assert polled.look(w.TheLatest())[-1] == Failed(w.TheLatest(), str(SILENT))
    assert not any(isinstance(event, Away) for event in polled.told)


def test_what_is_wanted_no_more_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody goes down the list while the first of what was wanted is answered."""

    def moving(_: Request) -> Any:
        polled.board.want((w.TheDefinition("c"),), frozenset())
        return WHOLE

    fake = Fake(GETWORKFLOW=moving)
    polled = Polled(fake, monkeypatch)
    polled.look(w.TheDefinition("a"), w.TheDefinition("b"))
    assert [each.workflow_id for each in fake.asked if isinstance(each, p.GetWorkflow)] == ["a"]


def test_more_is_asked_while_something_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(STATUS=each(FACTS, {**FACTS, "running": 1}, {**FACTS, "queued": 1}))
    polled = Polled(fake, monkeypatch)
    assert [polled.front.look() for _ in range(3)] == [1.0, 0.25, 0.25]


class Enough(Exception):
    """Ends an endless loop."""


def test_away_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(CAPABILITIES=each(AWAY, AWAY, ABLE), STATUS=each(FACTS, AWAY), PING=AWAY)
    polled = Polled(fake, monkeypatch)
    pauses = iter([None, None, Enough()])

    def sleep(_: float) -> None:
        if error := next(pauses):
            raise error

    monkeypatch.setattr("cdktr.tui.feed.poll.time.sleep", sleep)
    monkeypatch.setattr(polled.front._wake, "wait", lambda _: True)
    with pytest.raises(Enough):
        polled.front.run()
    assert [type(event) for event in polled.told] == [Away, Away, Up, Arrived, Away]
    assert polled.told[0] == Away(str(AWAY))


def test_one_that_is_held_up_is_not_taken_for_an_old_one() -> None:
    """It was stopped, and goes on just after nobody waited for it any more."""
    fake = Fake(CAPABILITIES=each(SILENT, ABLE), PING=None)
    with pytest.raises(UnreachableError):
        abilities(fake.ask)
    assert fake.verbs() == ["CAPABILITIES"]
    assert abilities(fake.ask).has("TRIGGER")


def test_what_it_can_do_is_asked_anew_with_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = {"revision": 1, "workflows": []}
    able = each(RefusedError("What?"), ABLE)
    fake = Fake(CAPABILITIES=able, PING=None, LSWORKFLOWS={}, LSCATALOG=catalog, LSPROBLEMS=[])
    polled = Polled(fake, monkeypatch)
    assert polled.look(w.TheFolder())[0] == Up(ORIGINAL)
    fake.verbs()
    polled.front.hurry(everything=True)
    [up, *_] = polled.look(w.TheFolder())
    assert isinstance(up, Up)
    assert up.abilities.has("TRIGGER")
    assert fake.verbs() == ["CAPABILITIES", "STATUS", "LSCATALOG", "LSPROBLEMS"]


def test_an_error_in_a_thread_is_told() -> None:
    told: SimpleQueue[Event | BaseException] = SimpleQueue()
    error = LookupError("a bug")

    def work() -> None:
        raise error

    feed.spawn(work, told.put)
    assert told.get(timeout=PATIENCE_S) is error


ODD_TASK = replace(ETL.tasks["clean"], depends=cast(tuple[str, ...], (5,)))


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [
        (Latest("r", "s", "soon"), Latest, "at_ms of a Latest is 'soon'"),  # type: ignore[arg-type]
        ((Latest("r", "s", True),), tuple[Latest, ...], "at_ms of a Latest is True"),
        ({"w": 2**63}, dict[str, int], "it holds {'w': 9223372036854775808}"),
        ({1: "w"}, dict[str, Any], "it holds {1: 'w'}"),
        ([1], tuple[int, ...], r"it holds \[1\]"),
        ("1", int | float | None, "it holds '1'"),
        (replace(ETL, tasks={"a": ODD_TASK}), Workflow, r"depends of a Task is \(5,\)"),
    ],
)
def test_what_is_not_as_its_type_says(value: Any, kind: Any, why: str) -> None:
    with pytest.raises(TypeError, match=f"^{why}$"):
        checked(value, kind)


def test_what_is_as_its_type_says() -> None:
    right: list[tuple[Any, Any]] = [(ETL, Workflow), (None, Workflow | None), (3, float), ({}, dict[str, int])]
    for value, kind in right:
        assert checked(value, kind) is value


# What is done.


def done(fake: Fake, command: actions.Asked) -> Event:
    told: list[Event] = []
    actions.perform(fake.principal, command, actions.Drafts(), told.append)
    [event] = [each for each in told if not isinstance(each, Saving)]
    return event


def test_a_run_is_started_once_however_often_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "RETRY_S", 0.0)
    fake = Fake(TRIGGER=each(SILENT, AWAY, {"workflow_instance_id": "run-1"}))
    assert done(fake, c.Trigger("w", {"a": "b"})) == Triggered("w", "run-1")
    first = fake.asked[0]
    assert isinstance(first, p.Trigger)
    assert (first.params, first.trigger) == ({"a": "b"}, "manual")
    assert first.key
    assert fake.asked == [first] * 3


def test_a_run_that_could_not_be_asked_for_is_not_tried_again() -> None:
    fake = Fake(TRIGGER=AWAY)
    assert done(fake, c.Trigger("w", {})) == Told(str(AWAY), bad=True)


def test_whether_a_run_was_started_may_stay_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "PATIENCE_S", 0.0)
    event = done(Fake(TRIGGER=SILENT), c.Trigger("w", {}))
    assert isinstance(event, Told)
    assert event.text.startswith("No answer on starting w: it may run all the same")


def test_a_run_of_an_original_principal_and_a_refusal() -> None:
    fake = Fake(CAPABILITIES=RefusedError("What?"), RUNTASK=None)
    assert done(fake, c.Trigger("w", {})) == Triggered("w", "")
    why = "The parameter b of w is not known"
    assert done(Fake(TRIGGER=RefusedError(why)), c.Trigger("w", {})) == Told(why, bad=True)


def test_the_folder_is_read() -> None:
    answer: dict[str, list[Any]] = {"added": ["a"], "changed": [], "removed": ["b", "c"], "problems": []}
    assert done(Fake(RELOAD=answer), c.ReloadFolder()) == Told("Folder read: 1 added, 2 removed")
    answer["problems"] = [{}, {}]
    told = Told("Folder read: 1 added, 2 removed; 2 problems", bad=True)
    assert done(Fake(RELOAD=answer), c.ReloadFolder()) == told


def test_a_workflow_is_paused_and_resumed() -> None:
    fake = Fake(PAUSE={"paused_ms": 5, "changed": True}, RESUME=RefusedError("No workflow exists with id w"))
    assert done(fake, c.SetPaused("w", True)) == Told("w is paused")
    assert done(fake, c.SetPaused("w", False)) == Told("No workflow exists with id w", bad=True)
    assert fake.asked == [p.Pause("w"), p.Resume("w")]


def test_lines_are_saved_and_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "some.log"
    command = c.SaveLogs(LogQuery(), str(path))
    assert done(Fake(), command) == Told(f"3 lines saved in {path}", done=command)
    assert [text.rpartition(" ")[2] for text in path.read_text().splitlines()] == ["1", "2", "3"]
    path.write_text("mine")
    save = c.SaveLogs(LogQuery(), str(path))
    assert done(Fake(), save) == Exists(save)
    assert path.read_text() == "mine"
    assert isinstance(done(Fake(), c.SaveLogs(LogQuery(), str(path), replace=True)), Told)
    assert len(path.read_text().splitlines()) == 3
    nowhere = tmp_path / "none" / "some.log"
    command = c.SaveLogs(LogQuery(), str(nowhere))
    assert done(Fake(), command) == Told(f"{nowhere} cannot be written: No such file or directory", True, command)
    assert [found.name for found in tmp_path.iterdir()] == ["some.log"], "nothing half written is left"


def test_it_is_told_how_far_the_saving_is(tmp_path: Path) -> None:
    class Long(Fake):
        def pages(self, request: p.ListLogs) -> Any:
            yield from ([line(n), line(n + 1)] for n in (1, 3, 5))

    command = c.SaveLogs(LogQuery(), str(tmp_path / "some.log"))
    told: list[Event] = []
    actions.perform(Long().principal, command, actions.Drafts(), told.append)
    assert told[:-1] == [Saving(command, 2), Saving(command, 4)]
    assert told[-1] == Told(f"6 lines saved in {command.path}", done=command)


def test_lines_are_saved_where_a_link_leads_and_over_nothing_but_a_file(tmp_path: Path) -> None:
    path, link, pipe = tmp_path / "there" / "run.log", tmp_path / "link.log", tmp_path / "pipe"
    path.parent.mkdir()
    link.symlink_to(path)
    os.mkfifo(pipe)
    assert isinstance(done(Fake(), c.SaveLogs(LogQuery(), str(link), replace=True)), Told)
    assert link.is_symlink()
    assert len(path.read_text("utf-8").splitlines()) == 3
    told = done(Fake(), c.SaveLogs(LogQuery(), str(pipe), replace=True))
    assert isinstance(told, Told)
    assert told.bad
    assert "is no file" in told.text
    assert pipe.is_fifo()


def test_what_is_half_saved_goes_with_the_ui(tmp_path: Path) -> None:
    found: list[list[str]] = []
    path = tmp_path / "some.log"
    path.write_text("mine")

    class Ending(Fake):
        def pages(self, request: p.ListLogs) -> Any:
            yield [line(1)]
            found.append([each.suffix for each in sorted(tmp_path.iterdir())])
            ui.end()
            found.append([each.suffix for each in sorted(tmp_path.iterdir())])
            yield [line(2)]

    fake = Ending()
    ends: SimpleQueue[Event | BaseException] = SimpleQueue()
    ui = feed.Feed(fake.principal, cast(Any, None), 1.0, ends.put)
    for _ in range(2):
        ui.do(c.SaveLogs(LogQuery(), str(path), replace=True))
        while isinstance(end := ends.get(timeout=PATIENCE_S), Saving):
            pass
        assert isinstance(end, Told)
        assert end.bad
    assert found == [[".log", ".part"], [".log"]], "nothing is begun any more"
    assert path.read_text() == "mine"


@pytest.mark.parametrize("path", ["x" * 300, "~nobody-of-this-name/some.log", "/", "."])
def test_a_path_that_is_none_is_told(path: str) -> None:
    told = done(Fake(), c.SaveLogs(LogQuery(), path))
    assert isinstance(told, Told)
    assert told.bad
    assert path in told.text


# Log lines.

QUERY = LogQuery(workflow_id="w", level="ERROR")
FOLLOW = c.FollowLogs(3, QUERY, 9, 2)


def answer(*numbers: int, full: bool = False, more: bool = True, trouble: str | None = None) -> dict[str, Any]:
    lines = [line(number) for number in numbers]
    return {"lines": lines, "next": numbers[-1] if numbers else None, "full": full, "more": more, "trouble": trouble}


@pytest.mark.parametrize(
    ("place", "asked"),
    [
        (Place.TAIL, {"tail": True}),
        (Place.HEAD, {}),
        (Place.BEFORE, {"before": 5, "tail": True}),
        (Place.AFTER, {"after": 5}),
    ],
)
def test_a_page(place: Place, asked: dict[str, Any]) -> None:
    fake = Fake(LSLOGS=answer(1, 2, full=True))
    page = logs.Pages(fake.principal, print)._page(c.FetchLogs(3, QUERY, place, 5))
    assert (page.number, page.place, page.full, page.open, page.sequence) == (3, place, True, True, 5)
    assert [found.sequence for found in page.lines] == [1, 2]
    assert fake.asked == [p.ListLogs("w", level="ERROR", limit=PAGE, **asked)]


def test_the_lines_around_a_match() -> None:
    fake = Fake(LSLOGS=each(answer(50), answer(48, 49), answer(50, 51)))
    page = logs.Pages(fake.principal, print)._page(c.FetchLogs(3, QUERY, Place.MATCH_AFTER, 5, "needle"))
    assert ([found.sequence for found in page.lines], page.found) == ([48, 49, 50, 51], 50)
    match, before, after = fake.asked
    assert isinstance(match, p.ListLogs)
    assert (match.after, match.contains, match.limit, match.tail) == (5, "needle", 1, False)
    assert isinstance(before, p.ListLogs)
    assert isinstance(after, p.ListLogs)
    assert (before.before, before.tail, after.after) == (50, True, 49)
    fake = Fake(LSLOGS=answer())
    page = logs.Pages(fake.principal, print)._page(c.FetchLogs(3, QUERY, Place.MATCH_BEFORE, 5, "needle"))
    assert (page.lines, page.found) == ((), None)
    [match] = fake.asked
    assert isinstance(match, p.ListLogs)
    assert (match.before, match.tail) == (5, True)


class Ear(Subscriber):
    """Hears what is to be heard, once."""

    frames: ClassVar[list[bytes]] = []

    def __init__(self, port: int, topic: bytes) -> None:
        self.asked = (port, topic)

    def receive(self, wait_s: float) -> list[bytes]:
        """All of it."""
        found, self.frames[:] = list(self.frames), []
        return found

    def close(self) -> None:
        """There is nothing to close."""


def followed(monkeypatch: pytest.MonkeyPatch, *answers: Any, after: int | None = 9) -> tuple[list[Any], list[Request]]:
    """What following tells, and what it asks."""
    monkeypatch.setattr(logs, "PACE_S", 0.0)
    monkeypatch.setattr(logs, "RETRY_S", 0.0)
    monkeypatch.setattr(logs, "LISTEN_S", 0.05)
    fake, told = Fake(LSLOGS=each(*answers), CAPABILITIES={"logs_publishing_port": 7}), list[Any]()
    tail = logs.Tail(fake.principal, Ear, told.append)
    tail._followed = command = c.FollowLogs(3, QUERY, after, 1)
    tail._follow(command)
    return told, fake.asked


def test_each_line_that_comes_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, nothing = answer(more=False), {**answer(), "next": 11}
    told, asked = followed(monkeypatch, answer(10, 11), nothing, AWAY, answer(12), ended)
    numbers = [[found.sequence for found in news.lines] for news in told]
    assert numbers == [[10, 11], [12], []]
    assert [news.open for news in told] == [True, True, False]
    assert [request.after for request in asked if isinstance(request, p.ListLogs)] == [9, 11, 11, 11, 12]
    assert all(request.wait_ms for request in asked if isinstance(request, p.ListLogs))


def test_what_was_looked_through_is_not_looked_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _, asked = followed(monkeypatch, {**answer(), "next": 70}, answer(more=False))
    assert [request.after for request in asked if isinstance(request, p.ListLogs)] == [9, 70]


def test_of_more_than_anybody_reads_the_newest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told, asked = followed(monkeypatch, answer(10, 11, full=True), answer(98, 99, full=True), answer(more=False))
    assert [(news.jumped, [found.sequence for found in news.lines]) for news in told] == [(True, [98, 99]), (False, [])]
    assert asked[1] == p.ListLogs("w", level="ERROR", limit=PAGE, tail=True)
    last = asked[2]
    assert isinstance(last, p.ListLogs)
    assert last.after == 99


def test_trouble_is_told_when_it_comes_and_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    full = answer(trouble="full")
    told, _ = followed(monkeypatch, full, full, answer(), StoreError("It is lost"), answer(), answer(more=False))
    troubles = [event.why if isinstance(event, LogsFailed) else event.trouble for event in told]
    assert troubles == ["full", "", "It is lost", "", ""]
    assert all(isinstance(event, LogNews | LogsFailed) for event in told)


def test_what_is_not_stored_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    record = LogRecord("w", "W", "r", "t", "t-1", 5, "ERROR", "STDOUT hi")
    others = [record._replace(workflow_id="v"), record._replace(level="INFO")]
    Ear.frames[:] = [b"noise", *map(encode_log, [record, *others])]
    told, _ = followed(monkeypatch, answer(trouble="full"), answer(10), answer(more=False))
    found = [(news.trouble, len(news.lines), [heard.text for heard in news.heard]) for news in told]
    assert found == [("full", 0, []), ("full", 0, ["hi"]), ("", 1, []), ("", 0, [])]


def test_what_nobody_follows_any_more_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    tail: logs.Tail

    def late(_: Request) -> dict[str, Any]:
        tail.stop()
        return answer(10)

    fake = Fake(LSLOGS=late)
    tail = logs.Tail(fake.principal, Ear, told.append)
    tail._followed = command = FOLLOW
    tail._follow(command)
    assert (told, len(fake.asked)) == ([], 1)


def test_of_selections_that_follow_each_other_at_once_only_the_last_is_asked_for() -> None:
    """Else a key that is held down would leave a connection, which rests, for each of them."""
    fake, told = Fake(LSLOGS=answer(10, more=False)), SimpleQueue[Any]()
    tail = logs.Tail(fake.principal, Ear, told.put)
    for number in range(20):
        tail.follow(c.FollowLogs(number, QUERY, number, 1))
    told.get(timeout=PATIENCE_S)
    assert [request.after for request in fake.asked if isinstance(request, p.ListLogs)] == [19]


def test_of_the_pages_that_wait_the_last_is_fetched() -> None:
    told: list[Any] = []

    def tell(event: Any) -> None:
        told.append(event)
        if len(told) == 2:
            raise Enough

    fake = Fake(LSLOGS=each(AWAY, answer(1)))
    pages = logs.Pages(fake.principal, tell)
    for number in (1, 2):
        pages.fetch(c.FetchLogs(number, QUERY, Place.TAIL))

    def again(event: Any) -> None:
        tell(event)
        pages.fetch(c.FetchLogs(3, QUERY, Place.TAIL))

    pages._tell = again
    with pytest.raises(Enough):
        pages.run()
    failed, page = told
    assert failed == LogsFailed(2, str(AWAY))
    assert isinstance(page, LogPage)
    assert page.number == 3
