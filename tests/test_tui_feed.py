"""What the feed asks for, and what it tells; with a principal that answers from a script."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cdktr import protocol as p
from cdktr.caller import Subscriber
from cdktr.client import Principal
from cdktr.codec import workflow_to_json
from cdktr.errors import RefusedError, StoreError, UnreachableError
from cdktr.frames import encode_log
from cdktr.messages import Request
from cdktr.records import LogRecord
from cdktr.tui.feed.ask import ANSWERS, ORIGINAL
from cdktr.tui.feed.feed import Feed
from cdktr.tui.feed.logs import Follower, fetch, save
from cdktr.tui.feed.poller import Poller
from cdktr.tui.state import commands as c
from cdktr.tui.state import events as e
from cdktr.tui.state import wants as w
from cdktr.tui.state.facts import Folder
from cdktr.tui.state.logquery import PAGE, LogQuery, Place
from tests.world import ETL

RUN = {"workflow_instance_id": "r1", "workflow_id": "etl.daily", "status": "RUNNING", "queued_ms": 1}
TASK = {"task_id": "a", "task_instance_id": "t1", "status": "RUNNING"}
AGENT = {"agent_id": "a1", "last_ping_timestamp": 5_000_000, "running_tasks": 1}

Answer = Any


class Told(Principal):
    """A principal that answers each verb by a value, a function of the request, or an error."""

    def __init__(self, **answers: Answer) -> None:
        self.asked: list[Request] = []
        self.answers: dict[str, Answer] = {
            "PING": None,
            "CAPABILITIES": {"version": "1", "verbs": list(p.VERBS), "arguments": {"LSLOGS": ["before"]}},
            "STATUS": {"running": 0, "revisions": {"runs": "a", "workflows": "a"}},
            "LSWORKFLOWS": {"etl.daily": workflow_to_json(ETL), "bad": {}},
            "LSPROBLEMS": [{"path": "x.yml", "line": 1, "column": 2, "message": "wrong", "hint": ""}],
            "LSLATEST": {"etl.daily": {"workflow_instance_id": "r1", "status": "RUNNING", "timestamp_ms": 1}},
            "LSRUNS": [RUN],
            "LSTASKRUNS": [TASK],
            "GETREGISTEREDAGENTS": [AGENT],
            "LSOWNLOG": {"lines": [{"sequence": 1, "timestamp_ms": 2, "level": "INFO", "message": "hi"}]},
            **answers,
        }

    def ask(self, request: Request, rest_s: float = 0.0) -> Any:
        """The scripted answer."""
        self.asked.append(request)
        answer = self.answers[request.verb]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def close(self) -> None:
        """There is no connection."""

    def verbs(self) -> list[str]:
        """What was asked for since the last time."""
        found, self.asked = [request.verb for request in self.asked], []
        return found


WANTS = (w.Facts(), w.TheFolder(), w.TheLatest(), w.TheTasks("r1"), w.Recent("etl.daily"))


def polling(principal: Principal, wants: tuple[w.Want, ...] = WANTS) -> tuple[Poller, list[Any]]:
    """A poller without its thread, and what it tells."""
    told: list[Any] = []
    made = Poller(principal, 1.0, told.append)
    made.want(wants)
    return made, told


def test_each_want_is_answered() -> None:
    assert set(ANSWERS) == set(w.Want.__args__)
    told: list[Any]
    every = (*WANTS, w.TheAgents(), w.TheRuns("x", "FAILED", 100), w.OwnLog())
    made, told = polling(Told(), every)
    made._look()
    assert isinstance(told[0], e.Up)
    assert told[0].abilities.has("LSLOGS", "before")
    assert not told[0].abilities.has("LSLOGS", "contains")
    assert [event.want for event in told[1:]] == list(every)
    folder = next(event.value for event in told[1:] if isinstance(event.want, w.TheFolder))
    assert folder.workflows == (ETL,)
    assert [problem.path for problem in folder.problems] == ["bad", "x.yml"]


def test_only_what_has_changed_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("cdktr.tui.feed.poller.time.monotonic", lambda: clock[0])
    principal = Told()
    made, _ = polling(principal)
    made._look()
    principal.verbs()
    clock[0] = 100.0
    assert made._look() == 1.0
    assert principal.verbs() == ["STATUS"]
    principal.answers["STATUS"] = {"running": 1, "revisions": {"runs": "b", "workflows": "a"}}
    assert made._look() == 0.25
    assert principal.verbs() == ["STATUS", "LSLATEST", "LSRUNS", "LSTASKRUNS", "LSRUNS"]
    principal.answers["STATUS"] = {"running": 1, "revisions": {"runs": "c", "workflows": "a"}}
    clock[0] = 100.1
    made._look()
    # Lists wait for their time, the run that is looked at does not.
    assert principal.verbs() == ["STATUS", "LSRUNS", "LSTASKRUNS"]
    made.refresh()
    made._look()
    assert "LSWORKFLOWS" in principal.verbs()


def test_a_principal_that_is_away_and_back() -> None:
    principal = Told(STATUS=UnreachableError("gone"))
    made, told = polling(principal, (w.Facts(),))
    made._look()
    assert told[-1] == e.Away("gone")
    principal.answers["STATUS"] = {}
    made._look()
    assert isinstance(told[-2], e.Up)
    assert told[-1] == e.Arrived(w.Facts(), {})


@pytest.mark.parametrize(
    "answers", [{"CAPABILITIES": RefusedError("Unknown request")}, {"CAPABILITIES": UnreachableError("silent")}]
)
def test_an_original_principal(answers: dict[str, Answer]) -> None:
    recent = [{"workflow_id": "a", "workflow_instance_id": "r", "status": "FAILED", "timestamp_ms": 1}]
    principal = Told(**answers, GETRECENTSTATUSES=recent)
    made, told = polling(principal, (w.Facts(), w.TheFolder(), w.TheLatest()))
    made._look()
    assert told[0] == e.Up(ORIGINAL)
    assert told[3].value["a"].status == "FAILED"
    assert set(principal.verbs()) <= ORIGINAL.verbs | {"CAPABILITIES"}


def test_what_cannot_be_told_is_told() -> None:
    made, told = polling(Told(LSLATEST=StoreError("the database is locked")), (w.TheLatest(), w.TheFolder()))
    made._look()
    assert told[1] == e.Failed(w.TheLatest(), "the database is locked")
    assert isinstance(told[2].value, Folder)


def test_a_reply_that_cannot_be_read_is_no_crash() -> None:
    made, told = polling(Told(LSRUNS=[{}]), (w.Recent("x"),))
    made._look()
    assert isinstance(told[-1], e.Away)
    assert "cannot be read" in told[-1].why


# Log lines.


def line(number: int) -> dict[str, Any]:
    """A line as LSLOGS tells it."""
    names = ("workflow_id", "workflow_name", "workflow_instance_id", "task_name", "task_instance_id")
    return {**dict.fromkeys(names, "x"), "timestamp_ms": 1, "level": "INFO", "payload": "STDOUT hi", "sequence": number}


def page(*numbers: int, full: bool = False, more: bool = True) -> dict[str, Any]:
    """A reply to LSLOGS."""
    return {"lines": [line(n) for n in numbers], "next": numbers[-1] if numbers else None, "full": full, "more": more}


@pytest.mark.parametrize(
    ("place", "more"),
    [
        (Place.TAIL, {"tail": True}),
        (Place.HEAD, {}),
        (Place.BEFORE, {"tail": True, "before": 7}),
        (Place.AFTER, {"after": 7}),
    ],
)
def test_a_page_of_log_lines(place: Place, more: dict[str, Any]) -> None:
    principal = Told(LSLOGS=page(1, 2, full=True))
    query = LogQuery("w", "r", "t", "ERROR", 1, 2)
    told = fetch(principal, c.FetchLogs(5, query, place, 7))
    assert principal.asked == [replace(p.ListLogs("w", "r", "t", None, "ERROR", 1, 2, limit=PAGE), **more)]
    assert isinstance(told, e.LogPage)
    assert [each.sequence for each in told.lines] == [1, 2]
    assert (told.number, told.full, told.sequence) == (5, True, 7)


def test_a_match_comes_with_what_is_around_it() -> None:
    def lines_of(request: Any) -> Any:
        if request.contains:
            return page(50)
        return page(49, 50) if request.tail else page(51, 52)

    principal = Told(LSLOGS=lines_of)
    told = fetch(principal, c.FetchLogs(5, LogQuery("w"), Place.MATCH_AFTER, 7, "x"))
    assert isinstance(told, e.LogPage)
    assert (told.found, [each.sequence for each in told.lines]) == (50, [49, 50, 51, 52])
    none = fetch(Told(LSLOGS=page()), c.FetchLogs(5, LogQuery("w"), Place.MATCH_BEFORE, 7, "x"))
    assert isinstance(none, e.LogPage)
    assert none.found is None


def test_log_lines_that_cannot_be_had() -> None:
    told = fetch(Told(LSLOGS=UnreachableError("gone")), c.FetchLogs(5, LogQuery("w"), Place.TAIL))
    assert told == e.LogsFailed(5, "gone")


def scripted(*answers: Answer) -> Callable[[Request], Any]:
    """One answer after the other."""
    left = list(answers)

    def answer(_: Request) -> Any:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return answer


def test_following_goes_on_where_it_was_through_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdktr.tui.feed.logs.RETRY_S", 0.0)
    monkeypatch.setattr("cdktr.tui.feed.logs.PAUSE_S", 0.0)
    gone, last = UnreachableError("gone"), page(more=False)
    principal = Told(LSLOGS=scripted(page(4, 5), gone, {**page(), "next": 5}, page(6), last))
    told: list[e.Event] = []
    Follower(principal, c.FollowLogs(3, LogQuery("w"), 3), told.append, Ear).run()
    assert [request.after for request in principal.asked if isinstance(request, p.ListLogs)] == [3, 5, 5, 5, 6]
    assert all(isinstance(event, e.LogNews) and event.number == 3 for event in told)
    assert [line.sequence for event in told if isinstance(event, e.LogNews) for line in event.lines] == [4, 5, 6]
    assert isinstance(told[-1], e.LogNews)
    assert not told[-1].open


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


def test_what_is_not_stored_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdktr.tui.feed.logs.LISTEN_S", 0.05)
    record = LogRecord("w", "W", "r", "t", "t-1", 5, "INFO", "STDOUT hi")
    others = [record._replace(workflow_id="v"), record._replace(level="ERROR"), record._replace(task_name="u")]
    Ear.frames[:] = [b"noise", *map(encode_log, [record, *others])]
    trouble = {**page(), "next": 3, "trouble": "disk full"}
    answers = scripted(trouble, {**page(4), "trouble": None}, page(more=False))
    principal = Told(LSLOGS=answers, CAPABILITIES={"logs_publishing_port": 7})
    told: list[Any] = []
    Follower(principal, c.FollowLogs(3, LogQuery("w", None, "t", "INFO"), 3), told.append, Ear).run()
    assert [(event.trouble, len(event.lines), [line.text for line in event.heard]) for event in told] == [
        ("disk full", 0, []),
        ("disk full", 0, ["hi"]),
        ("", 1, []),
        ("", 0, []),
    ]


def test_a_flood_is_jumped_over() -> None:
    principal = Told(LSLOGS=scripted(page(4, 5, full=True), page(90, 91), page(more=False)))
    told: list[Any] = []
    Follower(principal, c.FollowLogs(3, LogQuery("w"), 3), told.append, Ear).run()
    assert (told[0].jumped, [line.sequence for line in told[0].lines]) == (True, [90, 91])
    assert not told[1].jumped


def test_nothing_is_told_after_a_stop() -> None:
    follower: Follower

    def answer(_: Request) -> Any:
        follower.stop()
        return page(1)

    told: list[e.Event] = []
    follower = Follower(Told(LSLOGS=answer), c.FollowLogs(3, LogQuery("w"), None), told.append, Ear)
    follower.run()
    assert told == []


def test_lines_are_saved_and_no_file_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    asked = c.SaveLogs(LogQuery("w"), str(path))
    told = save(Told(LSLOGS=scripted(page(1, 2, full=True), page(3))), asked)
    assert told == e.Told(f"Saved 3 lines to {path}")
    assert len(path.read_text().splitlines()) == 3
    assert save(Told(LSLOGS=page(1)), asked) == e.Exists(str(path))
    assert save(Told(LSLOGS=page(1)), replace(asked, replace=True)) == e.Told(f"Saved 1 line to {path}")
    bad = save(Told(LSLOGS=page(1)), replace(asked, path=str(tmp_path / "no" / "a.log")))
    assert bad == e.Told(f"{tmp_path}/no/a.log cannot be written: No such file or directory", bad=True)
    cut = save(Told(LSLOGS=scripted(page(1, full=True), UnreachableError("gone"))), replace(asked, replace=True))
    assert cut == e.Told(f"{path} is not complete: gone", bad=True)


# Threads.


class Post:
    """Takes events from threads."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._news = threading.Condition()

    def __call__(self, event: Any) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def wait_for(self, test: Callable[[Any], bool]) -> Any:
        """The first event that passes a test."""
        with self._news:
            assert self._news.wait_for(lambda: any(map(test, self.events)), 30), self.events
        return next(event for event in self.events if test(event))


def fed(do: Callable[[Feed, Post], None], **answers: Answer) -> None:
    """A feed in which something is done."""
    post = Post()
    feed = Feed(lambda: Told(**answers), Ear, 1.0, post)
    feed.start()
    try:
        do(feed, post)
    finally:
        feed.close()


def test_errands() -> None:
    def do(feed: Feed, post: Post) -> None:
        feed.do(c.Trigger("etl.daily", {"a": "b"}))
        assert post.wait_for(lambda event: isinstance(event, e.Triggered)) == e.Triggered("etl.daily", "r9")
        feed.do(c.ReloadFolder())
        told = post.wait_for(lambda event: isinstance(event, e.Told))
        assert told == e.Told("Folder read: 1 added, 1 problem", bad=True)
        feed.do(c.FetchLogs(1, LogQuery("w"), Place.TAIL))
        post.wait_for(lambda event: isinstance(event, e.LogPage))
        feed.do(c.FollowLogs(1, LogQuery("w"), 1))
        post.wait_for(lambda event: isinstance(event, e.LogNews))
        feed.do(c.StopLogs())

    reloaded = {"added": ["a"], "changed": [], "removed": [], "problems": [{}]}
    fed(do, TRIGGER={"workflow_instance_id": "r9"}, RELOAD=reloaded, LSLOGS=page(2, more=False))


def test_an_errand_that_fails_is_told() -> None:
    def do(feed: Feed, post: Post) -> None:
        feed.do(c.Trigger("x", {}))
        told = post.wait_for(lambda event: isinstance(event, e.Told))
        assert told == e.Told("No workflow exists with id x", bad=True)

    fed(do, TRIGGER=RefusedError("No workflow exists with id x"))


def test_a_thread_that_dies_is_no_secret() -> None:
    def do(feed: Feed, post: Post) -> None:
        feed.want((w.Facts(),))
        assert str(post.wait_for(lambda event: isinstance(event, Exception))) == "a bug"

    fed(do, STATUS=ZeroDivisionError("a bug"))
