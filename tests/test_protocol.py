import inspect
import json
from typing import Any

import pytest

from cdktr import protocol as p
from cdktr.api import HANDLERS, Api
from cdktr.errors import ProtocolError
from cdktr.messages import Positional, fits, unfit
from cdktr.records import RunStatus

#: Every request of the original API, and its bytes.
ORIGINAL = (
    (p.Ping(), b"PING"),
    (p.ListWorkflows(), b"LSWORKFLOWS"),
    (p.RunTask("etl.daily"), b"RUNTASK\x01etl.daily"),
    (p.RegisterAgent("a-1"), b"REGISTERAGENT\x01a-1"),
    (p.FetchWorkflow("a-1"), b"FETCHWORKFLOW\x01a-1"),
    (
        p.AgentWorkflowStatus("a-1", "etl.daily", "jumping-monkey-0", RunStatus.RUNNING),
        b"AGENTWORKFLOWSTATUS\x01a-1\x01etl.daily\x01jumping-monkey-0\x01RUNNING",
    ),
    (
        p.AgentTaskStatus("a-1", "load", "lucky-cat-1", "jumping-monkey-0", RunStatus.FAILED),
        b"AGENTTASKSTATUS\x01a-1\x01load\x01lucky-cat-1\x01jumping-monkey-0\x01FAILED",
    ),
    (p.QueryLogs("2", "1", "w", "r", "v"), b"QUERYLOGS\x012\x011\x01w\x01r\x01v"),
    (p.QueryLogs("", "", "", ""), b"QUERYLOGS\x01\x01\x01\x01\x01"),
    (p.GetRecentStatuses(), b"GETRECENTSTATUSES"),
    (p.GetRegisteredAgents(), b"GETREGISTEREDAGENTS"),
)


@pytest.mark.parametrize(("request_", "frame"), ORIGINAL)
def test_the_original_requests_as_bytes(request_: Positional, frame: bytes) -> None:
    assert request_.encode() == frame
    assert p.decode(frame) == request_


def test_all_original_requests_are_there() -> None:
    assert {type(request) for request, _ in ORIGINAL} == {
        kind for kind in p.VERBS.values() if issubclass(kind, Positional)
    }


def test_every_verb_has_a_handler_that_takes_it() -> None:
    assert set(HANDLERS) == set(p.VERBS.values())
    for kind, handler in HANDLERS.items():
        assert getattr(Api, handler.__name__) is handler
        _, request = inspect.signature(handler).parameters.values()
        assert request.annotation is kind
    assert len(set(HANDLERS.values())) == len(HANDLERS)


def test_every_verb_is_one_word() -> None:
    assert all(verb.isupper() and verb.isalpha() and kind.verb == verb for verb, kind in p.VERBS.items())


def test_more_arguments_than_needed_are_ignored() -> None:
    assert p.decode(b"RUNTASK\x01w\x01more\x01") == p.RunTask("w")
    assert p.decode(b"PING\x01more") == p.Ping()
    assert p.decode(b"CAPABILITIES\x01{}\x01more") == p.Capabilities()


def test_the_last_argument_of_querylogs_may_be_missing() -> None:
    assert p.decode(b"QUERYLOGS\x01\x01\x01\x01") == p.QueryLogs("", "", "", "")


def test_an_argument_cannot_hold_the_separator() -> None:
    with pytest.raises(ProtocolError, match="RUNTASK holds the byte 0x01"):
        p.RunTask("a\x01b").encode()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"", "Unknown request ''; CAPABILITIES lists"),
        (b"ping", "Unknown request 'ping'"),
        (b"X" * 5000, "Unknown request '" + "X" * 40 + "'"),
        (b"\xff", "must be UTF-8"),
        (b"RUNTASK", r"RUNTASK takes 1 arguments \(workflow_id\), got 0"),
        (b"QUERYLOGS\x01\x01\x01", r"takes 4 arguments \(end_ms start_ms workflow_id workflow_instance_id\), got 3"),
        (b"AGENTWORKFLOWSTATUS\x01a\x01w\x01r\x01DONE", "'DONE' is no status; expected one of PENDING, RUNNING,"),
        (b"TRIGGER", "TRIGGER needs workflow_id"),
        (b"TRIGGER\x01", "the argument of TRIGGER is not valid JSON"),
        (b"TRIGGER\x01[]", "TRIGGER takes one JSON object"),
        (b"START\x01{}", "START needs agent_id, runs"),
        (b'AWAITRUN\x01{"workflow_instance_id":5}', "workflow_instance_id of AWAITRUN cannot be 5"),
        (b'TRIGGER\x01{"workflow_id":"w","params":{"a":null}}', "params of TRIGGER cannot be {'a': None}"),
    ],
)
def test_what_cannot_be_read(frame: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        p.decode(frame)


@pytest.mark.parametrize("depth", range(100, 1100, 25))
def test_deep_nesting_is_no_other_error(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    for text in (nested, '{"workflow_id":' + nested + "}", '{"workflow_id":"w","params":{"a":' + nested + "}}"):
        with pytest.raises(ProtocolError):
            p.decode(f"TRIGGER\x01{text}".encode())


def test_added_requests_as_bytes() -> None:
    assert p.Capabilities().encode() == b"CAPABILITIES\x01{}"
    assert p.decode(b"CAPABILITIES") == p.Capabilities()
    frame = p.Trigger("w", {"a": "\x01ü"}).encode()
    fields = b'"workflow_id":"w","params":{"a":"\\u0001\\u00fc"},"trigger":"manual","scheduled_ms":null,"key":null'
    assert frame == b"TRIGGER\x01{" + fields + b"}"
    assert p.decode(frame) == p.Trigger("w", {"a": "\x01ü"})


def test_keys_of_newer_peers_are_ignored_and_missing_ones_have_defaults() -> None:
    assert p.decode(b'LEASE\x01{"agent_id":"a","count":2,"new":[1]}') == p.LeaseWork("a", 2, 0, {})


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("x", str, True),
        (5, str, False),
        (5, int, True),
        (True, int, False),
        (5.0, int, False),
        (2**63 - 1, int, True),
        (2**63, int, False),
        (-(2**63), int, True),
        (-(2**63) - 1, int, False),
        (True, bool, True),
        (1, bool, False),
        (None, str | None, True),
        ("x", str | None, True),
        (5, str | None, False),
        (2**63, int | None, False),
        ([1, "x"], list[Any], True),
        ({}, list[Any], False),
        (["x"], list[str], True),
        (["x", 1], list[str], False),
        ("x", list[str], False),
        ({"a": "b"}, dict[str, str], True),
        ({"a": 1}, dict[str, str], False),
        ({"a": 1, "b": True, "c": 0.5, "d": "x"}, dict[str, str | int | float | bool], True),
        ({"a": [1]}, dict[str, str | int | float | bool], False),
        ([], dict[str, str], False),
    ],
)
def test_fits(value: Any, kind: Any, expected: bool) -> None:
    assert fits(value, kind) is expected


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_half_a_surrogate_pair_is_no_text(text: str) -> None:
    for fields in ({"workflow_id": text}, {"workflow_id": "w", "params": {"a": text}}):
        with pytest.raises(ProtocolError, match="cannot be"):
            p.decode(b"TRIGGER\x01" + json.dumps(fields).encode())
    # A whole pair is one character.
    assert p.decode(b'TRIGGER\x01{"workflow_id":"\\ud83d\\ude00"}') == p.Trigger("\U0001f600")


@pytest.mark.parametrize(
    "value",
    [
        *("", "x", "\ud800", True, None, [1], {}),
        *(0, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 0.5, 1e308, float("inf"), float("nan")),
    ],
    ids=repr,
)
def test_what_a_sender_can_give_is_what_a_principal_takes(value: Any) -> None:
    try:
        p.decode(p.Trigger("etl", {"x": value}).encode())
        is_taken = True
    except ProtocolError:
        is_taken = False
    assert (unfit(value) is None) is is_taken
