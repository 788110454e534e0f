"""The client against scripted replies: no socket, no waiting."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cdktr import client, errors
from cdktr import protocol as p
from cdktr.client import Principal, Result
from cdktr.messages import Positional, Structured
from cdktr.replies import OK, PONG, Reply, client_error, server_error, success


class Script:
    """Stands for the connection: gives one answer after the other, and keeps what was asked."""

    def __init__(self) -> None:
        self.answers: list[Reply | Exception] = []
        self.asked: list[Positional | Structured] = []
        self.time_outs: list[float] = []

    def call(self, message: bytes, timeout_s: float) -> bytes:
        """The next answer."""
        self.asked.append(p.decode(message))
        self.time_outs.append(timeout_s)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer.encode()

    def close(self) -> None:
        """Nothing to close."""


class Clock:
    """Stands for `time`: sleeping takes no time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Now."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Later."""
        self.now += seconds


@pytest.fixture
def script() -> Script:
    """What the principal says."""
    return Script()


@pytest.fixture
def principal(script: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[Principal]:
    """A client that talks to the script."""
    monkeypatch.setattr(client, "Callers", lambda host, port: script)
    with Principal(timeout_s=1.0) as made:
        yield made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The client's clock."""
    made = Clock()
    monkeypatch.setattr(client, "time", made)
    return made


def page(*numbers: int, full: bool = True) -> Reply:
    """A page of log lines with these sequences."""
    lines = [{"sequence": number} for number in numbers]
    return success({"lines": lines, "next": numbers[-1] if numbers else None, "full": full, "more": True})


def sequences(pages: Iterator[list[dict[str, Any]]]) -> list[list[int]]:
    """The sequences of the lines of each page."""
    return [[line["sequence"] for line in lines] for lines in pages]


def test_a_reply_becomes_its_value(principal: Principal, script: Script) -> None:
    script.answers = [success({"a": 1}), OK, PONG]
    assert [principal.ask(p.Ping(), rest_s=2) for _ in range(3)] == [{"a": 1}, None, None]
    assert script.time_outs == [3.0] * 3


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (client_error("No workflow exists with id x"), errors.NotFoundError),
        (client_error("There is no run x"), errors.NotFoundError),
        (client_error("No."), errors.RefusedError),
        (Reply("UNPROC", "Too much."), errors.RefusedError),
        (server_error("Full."), errors.StoreError),
        (Reply("SUCCESS", "{"), errors.ProtocolError),
        (Reply("WHAT"), errors.ProtocolError),
    ],
)
def test_a_refusal_is_raised_by_kind(
    reply: Reply, error: type[Exception], principal: Principal, script: Script
) -> None:
    script.answers = [reply]
    with pytest.raises(error):
        principal.ask(p.Ping())


def test_the_original_methods_return_results(principal: Principal, script: Script) -> None:
    script.answers = [PONG, success({}), success({"workflow_instance_id": "r"}), client_error("No.")]
    assert principal.ping() == Result(True)
    assert principal.list_workflows() == Result(True, payload={})
    assert principal.run_workflow("w", {"a": 1}) == Result(True, payload={"workflow_instance_id": "r"})
    assert principal.get_registered_agents() == Result(False, "No.")
    assert script.asked[2] == p.Trigger("w", {"a": 1}, "listener")
    script.answers = [errors.UnreachableError("Away."), success([]), success(["line"])]
    assert principal.ping() == Result(False, "Away.")
    assert principal.get_recent_workflow_statuses() == Result(True, payload=[])
    assert principal.query_logs(end_ms=5, start_ms=0, workflow_id="w", verbose=True) == Result(True, payload=["line"])
    assert script.asked[-1] == p.QueryLogs("5", "0", "w", "", "true")


def test_a_workflow_is_paused_and_resumed(principal: Principal, script: Script) -> None:
    answer = {"paused_ms": 5, "changed": True}
    script.answers = [success(answer), client_error("No workflow exists with id w")]
    assert principal.pause_workflow("w") == Result(True, payload=answer)
    assert principal.resume_workflow("w") == Result(False, "No workflow exists with id w")
    assert script.asked == [p.Pause("w"), p.Resume("w")]
    assert principal.pause_workflow(7) == Result(False, "The workflow id is a int; expected text")  # type: ignore[arg-type]


def test_a_result_is_true_when_it_is_a_success() -> None:
    assert Result(True)
    assert not Result(False, "No.", {"a": 1})


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        (None, 5561, "The host of a principal is None; expected a host, or several with commas"),
        (b"localhost", 5561, "The host of a principal is b'localhost'; expected a host"),
        ("local host", 5561, "'local host' does not say where a principal is; expected a host"),
        ("", 5561, "'' does not say where a principal is; expected a host"),
        ("localhost", "x", "The port of a principal is 'x'; expected a port number from 0 to 65535"),
        ("localhost", "5561", "The port of a principal is '5561'; expected a port number"),
        ("localhost", None, "The port of a principal is None; expected a port number"),
        ("localhost", 65536, "The port of a principal is 65536; expected a port number"),
    ],
)
def test_what_is_no_address_is_told_at_once(host: Any, port: Any, said: str) -> None:
    with pytest.raises(errors.SettingError, match=said):
        Principal(host, port)


def test_pages_go_on_until_one_is_not_full(principal: Principal, script: Script) -> None:
    script.answers = [page(1, 2), page(5), page(9, full=False)]
    assert sequences(principal.pages(p.ListLogs(limit=2, level="INFO"))) == [[1, 2], [5], [9]]
    assert [json.loads(each.encode()[7:])["after"] for each in script.asked] == [None, 2, 5]
    assert {json.loads(each.encode()[7:])["level"] for each in script.asked} == {"INFO"}


def test_pages_end_at_a_limit(principal: Principal, script: Script) -> None:
    script.answers = [page(1, 2), page(5)]
    assert sequences(principal.pages(p.ListLogs(limit=2), limit=3)) == [[1, 2], [5]]
    assert [json.loads(each.encode()[7:])["limit"] for each in script.asked] == [2, 1]
    script.answers = [page(1, 2)]
    assert sequences(principal.pages(p.ListLogs(limit=2), limit=2)) == [[1, 2]]
    script.answers = [page(full=False)]
    assert sequences(principal.pages(p.ListLogs(limit=2))) == []


@pytest.mark.usefixtures("clock")
def test_following_ends_with_the_run_and_outlives_a_restart(principal: Principal, script: Script) -> None:
    away = errors.UnreachableError("Away.")
    empty = success({"lines": [], "next": 2, "more": True})
    last = success({"lines": [], "next": 3, "more": False})
    script.answers = [page(1, 2), empty, away, away, PONG, away, PONG, page(3), last]
    assert sequences(principal.follow(p.ListLogs(workflow_instance_id="r", wait_ms=2000))) == [[1, 2], [3]]
    asked = [each for each in script.asked if not isinstance(each, p.Ping)]
    assert [json.loads(each.encode()[7:])["after"] for each in asked] == [None, 2, 2, 2, 2, 3]
    assert set(script.time_outs) == {1.0, 3.0}


@pytest.mark.usefixtures("clock")
def test_a_principal_that_goes_away_is_told_once(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "Callers", lambda host, port: script)
    away, told = errors.UnreachableError("Away."), list[bool]()
    with Principal(on_away=told.append) as principal:
        script.answers = [PONG, away, away, PONG, PONG, PONG]
        assert [principal.ask_patiently(p.Ping()) for _ in range(3)] == [None] * 3
    assert told == [True, False]


def test_patience_ends(principal: Principal, script: Script, clock: Clock) -> None:
    script.answers = [errors.UnreachableError("Away.")] * 1000
    with pytest.raises(errors.UnreachableError):
        principal.ask_patiently(p.Ping())
    assert clock.now - 1000 == pytest.approx(client.PATIENCE_S, abs=client.PAUSE_S)


@pytest.mark.usefixtures("clock")
def test_the_end_of_a_run_is_awaited_through_a_restart(principal: Principal, script: Script) -> None:
    running, ended = success({"ended_ms": None}), success({"ended_ms": 7})
    script.answers = [running, errors.UnreachableError("Away."), PONG, running, ended]
    assert principal.await_run("r") == {"ended_ms": 7}
    rests = [request.wait_ms for request in script.asked if isinstance(request, p.AwaitRun)]
    assert rests == [client.LOOK_MS, *[client.REST_MS] * 3]


def test_a_run_is_looked_at_more_often_while_it_is_queued(principal: Principal, script: Script) -> None:
    open_, ended = success({"ended_ms": None}), success({"ended_ms": 7})
    script.answers = [open_, open_, open_, ended]
    queued = iter([True, False])
    principal.await_run("r", is_queued=lambda: next(queued))
    page: dict[str, Any] = {"lines": [], "next": None, "more": True}
    last = success({**page, "more": False})
    script.answers = [success(page), success({**page, "lines": [{"sequence": 1}]}), success(page), last]
    list(principal.follow(p.ListLogs(wait_ms=client.REST_MS), is_queued=lambda: True))
    rests = [request.wait_ms for request in script.asked if isinstance(request, p.AwaitRun | p.ListLogs)]
    look, rest = client.LOOK_MS, client.REST_MS
    assert rests == [look, look, rest, rest, look, look, rest, rest]


@pytest.mark.usefixtures("clock")
def test_the_trouble_of_the_database_is_handed_on(principal: Principal, script: Script) -> None:
    told: list[str | None] = []
    script.answers = [success({"ended_ms": None, "trouble": "full"}), success({"ended_ms": 7, "trouble": None})]
    assert principal.await_run("r", told.append) == {"ended_ms": 7}
    lines = {"lines": [], "next": 2, "more": True}
    script.answers = [success(lines | {"trouble": "full"}), success(lines | {"more": False})]
    assert list(principal.follow(p.ListLogs(), told.append)) == []
    assert told == ["full", None, "full", None]
