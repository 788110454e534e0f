"""Bytes become keys, and styles colours; what a terminal really shows is in tests/integration/test_tui.py."""

import io
import sys
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdktr.errors import SettingError
from cdktr.tui.screen import terminal
from cdktr.tui.screen.decode import Decoder, Mouse, Paste
from cdktr.tui.screen.scroll import WORTH, Scroll, moved, scroll
from cdktr.tui.screen.styles import look_of, looks
from cdktr.tui.view.canvas import Row, Span
from cdktr.tui.view.render import render
from tests.world import new, pressed, told, with_logs


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"", []),
        (b"jK/", ["j", "K", "/"]),
        ("é週".encode(), ["é", "週"]),
        (b"\r\n\t\x7f\x08", ["enter", "enter", "tab", "backspace", "backspace"]),
        (b"\x01\x03\x1a", ["ctrl-a", "ctrl-c", "ctrl-z"]),
        # As xterm sends them, with the keypad in either mode, and as the consoles of Linux and rxvt do.
        (b"\x1b[A\x1bOA\x1b[B\x1bOD", ["up", "up", "down", "left"]),
        (b"\x1b[H\x1bOH\x1b[1~\x1b[7~\x1b[F\x1b[4~\x1b[8~", ["home"] * 4 + ["end"] * 3),
        (b"\x1b[5~\x1b[6~\x1b[3~\x1b[2~\x1b[Z", ["pgup", "pgdn", "delete", "insert", "backtab"]),
        (b"\x1bOP\x1b[11~\x1b[[A\x1b[15~\x1b[[E\x1b[24~", ["f1", "f1", "f1", "f5", "f5", "f12"]),
        # With Shift, Ctrl or Alt held.
        (b"\x1b[1;5A\x1b[5;2~\x1b[1;2P", ["up", "pgup", "f1"]),
        (b"\x1bx", ["esc", "x"]),
        (b"\x1b\x1b[A", ["esc", "up"]),
        # What a terminal tells of itself is no key.
        (b"\x1b[?62;22cq", ["q"]),
        # Whatever is pasted is no key.
        (b"x\x1b[200~q\rr\x1b[A\x1b[201~y", ["x", Paste("q\rr\x1b[A"), "y"]),
        (b"\x1b[200~\x1b[201~", [Paste("")]),
        (b"\xff\xfea", ["a"]),
        (b"\x1b[<0;5;9M\x1b[<0;5;9m", [Mouse(4, 8, 0)]),
        (b"\x1b[<64;120;40M\x1b[<65;1;1M", [Mouse(119, 39, 64), Mouse(0, 0, 65)]),
        (b"\x1b[M !!\x1b[M#!!", [Mouse(0, 0, 0)]),
        (b"\x1b[<;M\x1b[<1;2Mq", ["q"]),
    ],
)
def test_keys(data: bytes, keys: list[str | Mouse | Paste]) -> None:
    assert Decoder().feed(data) == keys
    # In whatever pieces it comes.
    whole = Decoder()
    found = [key for number in range(len(data)) for key in whole.feed(data[number : number + 1])]
    if b"\x1b\x1b" not in data:
        assert found == keys


def test_a_pasted_text_is_bounded_and_waits_for_its_end() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x1b[200~r" + b"r" * 100_000 + b"\x1b[20") == []
    assert not decoder.is_waiting
    assert [len(each.text) for each in decoder.feed(b"1~") if isinstance(each, Paste)] == [4_096]
    # Whose end was lost keeps nobody from leaving.
    assert decoder.feed(b"\x1b[200~rrr") == []
    assert decoder.feed(b"\x03") == ["ctrl-c"]


def test_escape_is_a_key_when_nothing_follows() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.is_waiting
    assert [decoder.flush(), decoder.flush()] == [["esc"], []]
    assert decoder.feed(b"\x1b[1;") == []
    assert decoder.flush() == [], "a sequence that was cut off is no key"
    assert decoder.feed(b"q") == ["q"]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_whatever_comes_is_read(pieces: list[bytes]) -> None:
    decoder = Decoder()
    for piece in pieces:
        for key in decoder.feed(piece):
            assert key
    decoder.flush()
    assert not decoder.is_waiting
    assert decoder.feed(b"q")[-1] == "q"


def test_a_sequence_without_end_is_given_up() -> None:
    decoder = Decoder()
    decoder.feed(b"\x1b[" + b"1;" * 1000)
    assert decoder.feed(b"q")[-1] == "q"


def every_style() -> set[str]:
    found: set[str] = set()
    ways = [
        [],
        ["?"],
        ["l"],
        ["l", "t", "f2"],
        ["z"],
        ["2"],
        ["2", "enter"],
        ["2", "s"],
        ["3"],
        ["4"],
        ["r"],
        ["/"],
        [":"],
    ]
    for way, row in product(ways, range(4)):
        state, _ = pressed(told(new(120, 40)), ["down"] * row + way)
        state = with_logs(state) if state.logs is not None else state
        found |= {span.style for row in render(state).rows for span in row}
    return found


def test_every_style_has_a_look_and_none_without_colours_is_coloured() -> None:
    styles = every_style()
    assert len(styles) > 12
    for colours in (0, 8, 256):
        assert styles <= {name for name, _ in looks(colours)}
    assert {(front, back) for front, _, back in looks(0).values()} == {(7, 0)}
    assert max(max(front, back) for front, _, back in looks(8).values()) < 8


def test_a_selection_is_seen_whatever_it_lies_on() -> None:
    for colours in (0, 8, 256):
        found = looks(colours)
        for style in ("plain", "dim", "bad", "good", "title"):
            assert look_of(found, Span("x", style, lit=True)) != look_of(found, Span("x", style))


def picture(text: str) -> list[Row]:
    """A row for each character."""
    return [(Span(char),) for char in text]


@pytest.mark.parametrize(
    ("before", "after", "move"),
    [
        ("Habcdefghijf", "Hbcdefghijkf", Scroll(1, 11, 1)),
        ("Hbcdefghijkf", "Habcdefghijf", Scroll(1, 11, -1)),
        ("Habcdefghijf", "hdefghijklmf", Scroll(1, 11, 3)),
        # A bar moves along with the selection.
        ("HabcdEf", "HbcdeFf", Scroll(1, 5, 1)),
        ("Ha      f", "H a     f", None),
        ("Habcdefgf", "Hzyxwvuqf", None),
        ("Habcdefgf", "Habcdefgf", None),
        # What would be moved away is worth as much as what is moved.
        ("HaXYZbcf", "HbXYZcdf", None),
        ("", "", None),
        ("abc", "abcd", None),
    ],
)
def test_rows_that_only_moved_are_found(before: str, after: str, move: Scroll | None) -> None:
    assert scroll(picture(before), picture(after)) == move


@given(st.text("abcd ", max_size=12), st.integers(-4, 4), st.text("abcd ", max_size=12))
def test_a_move_never_costs_more_than_it_saves(before: str, by: int, new: str) -> None:
    after = (before[by:] + new if by > 0 else new + before)[: len(before)]
    if len(after) == len(before) and (move := scroll(picture(before), picture(after))) is not None:
        assert 0 <= move.top < move.beyond <= len(before)
        assert 0 < abs(move.by) < move.beyond - move.top
        then = moved(picture(before), move)
        assert len(then) == len(before)
        left = sum(row != wanted for row, wanted in zip(then, picture(after), strict=True))
        assert left + WORTH <= sum(row != wanted for row, wanted in zip(before, after, strict=True))


def test_without_a_terminal_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SettingError, match="needs a terminal"):
        terminal.check()


@pytest.mark.parametrize(
    ("environment", "is_utf8"),
    [
        ({}, False),
        ({"LANG": "C"}, False),
        ({"LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "de_DE.utf8@euro"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LANG": "C.UTF-8", "LC_ALL": "C"}, False),
        ({"LC_CTYPE": "C.UTF-8"}, True),
        ({"LC_ALL": "", "LC_CTYPE": "en_GB.UTF-8", "LANG": "C"}, True),
    ],
)
def test_the_charset_of_the_locale(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_utf8: bool) -> None:
    monkeypatch.setattr(terminal, "_first_environment", lambda: environment)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
    assert terminal._is_utf8() == is_utf8
    # What Python writes in is asked too: PYTHONIOENCODING may say otherwise.
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert not terminal._is_utf8()
