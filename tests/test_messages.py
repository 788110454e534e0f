"""The two forms of a request, apart from which requests there are."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from cdktr.errors import ProtocolError
from cdktr.messages import LONGEST_KEY, Positional, Structured, dump, load, name_of_event, read_text
from cdktr.records import RunStatus


@dataclass(frozen=True, slots=True)
class Told(Positional):
    """Positional, with a status and an argument that may be missing."""

    verb = "TOLD"
    who: str
    status: RunStatus
    more: str = "no"


@dataclass(frozen=True, slots=True)
class Asked(Structured):
    """Structured, with a number that may be missing."""

    verb = "ASKED"
    name: str
    count: int | None = None
    lists: list[list[int]] = field(default_factory=list)
    any: list[Any] = field(default_factory=list)


def test_positional_both_ways() -> None:
    assert Told("me", RunStatus.FAILED).encode() == b"TOLD\x01me\x01FAILED\x01no"
    assert Told.parse(["me", "FAILED"]) == Told("me", RunStatus.FAILED)
    assert Told.parse(["me", "FAILED", "yes", "ignored"]) == Told("me", RunStatus.FAILED, "yes")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["me"], r"TOLD takes 2 arguments \(who status\), got 1"),
        (["me", "failed"], "'failed' is no status; expected one of PENDING"),
    ],
)
def test_what_positional_refuses(words: list[str], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        Told.parse(words)


def test_a_separator_cannot_be_sent_by_position() -> None:
    with pytest.raises(ProtocolError, match="holds the byte 0x01"):
        Told("a\x01b", RunStatus.FAILED).encode()
    assert b"\x01" not in Asked("a\x01b").encode().removeprefix(b"ASKED\x01")


def test_structured_both_ways() -> None:
    assert Asked("x", 3, [[1], []], ["x"]).encode() == b'ASKED\x01{"name":"x","count":3,"lists":[[1],[]],"any":["x"]}'
    assert Asked.parse(['{"name": "x", "lists": [[1], []], "any": [[], 1, "a"]}']) == Asked(
        "x", None, [[1], []], [[], 1, "a"]
    )
    assert Asked.parse(['{"name": "x", "newer": [1]}']) == Asked("x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "takes one JSON object"),
        ("{}", "ASKED needs name"),
        ('{"name": 3}', "name of ASKED cannot be 3"),
        ('{"name": "x", "count": true}', "count of ASKED cannot be True"),
        ('{"name": "x", "count": 9223372036854775808}', "count of ASKED cannot be"),
        ('{"name": "\\ud800"}', "name of ASKED cannot be"),
        ('{"name": "x", "lists": {}}', "lists of ASKED cannot be {}"),
        ('{"name": "x", "lists": [[1], ["a"]]}', "lists of ASKED cannot be"),
        ('{"name": "x", "any": 1}', "any of ASKED cannot be 1"),
        ('{"name": "x", "count": NaN}', "not valid JSON"),
        ('{"name": "x", "other": -1e999}', "not valid JSON"),
    ],
)
def test_what_structured_refuses(text: str, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        Asked.parse([text])


@pytest.mark.parametrize("key", ["k", "mail <7@x>", "ü " * 100, "x" * LONGEST_KEY])
def test_what_names_an_event(key: str) -> None:
    assert name_of_event(key) == key


@pytest.mark.parametrize("key", ["", "x" * (LONGEST_KEY + 1), "a\nb", "\x01", "\x7f", "\x85"])
def test_what_names_no_event(key: str) -> None:
    with pytest.raises(
        ProtocolError, match=r"key cannot be .*; expected 1 to 200 characters, none a control character"
    ):
        name_of_event(key)


def test_text_and_json() -> None:
    assert load(dump({"a": "\x01ü\n"}), "it") == {"a": "\x01ü\n"}
    assert dump("\x01ü").isascii()
    assert read_text("ü".encode()) == "ü"
    with pytest.raises(ProtocolError, match="must be UTF-8"):
        read_text(b"\xff")
