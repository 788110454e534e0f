"""What holds for every text and every stream."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdktr.text import CUT_MARK, LineSplitter, format_duration, parse_duration, printable, rfc3339, slug, table, width

#: Pieces that meet at the edges of lines, characters and limits.
PIECES = st.sampled_from(
    [
        b"\n",
        b"\r",
        b"\r\n",
        b"a",
        b"bc",
        b"\x00",
        b"\xff",
        b"\xc3\xa4",
        b"\xe2\x82\xac",
        b"\xf0\x9f\x98\x80",
        b"\xf0\x9f",
        b"\x80",
    ]
)
STREAMS = st.lists(PIECES, max_size=25).map(b"".join) | st.binary(max_size=60)


def fed(chunks: list[bytes], limit: int) -> list[str]:
    """The lines of a stream that comes in these chunks."""
    splitter = LineSplitter(limit)
    return [*(line for chunk in chunks for line in splitter.feed(chunk)), *splitter.close()]


def plainly(stream: bytes, limit: int) -> list[str]:
    """The same from the whole stream, line by line."""
    lines = stream.split(b"\n")
    if not lines[-1]:
        lines.pop()
    whole = [line.removesuffix(b"\r") for line in lines]
    return [line[:limit].decode("utf-8", "replace") + (CUT_MARK if len(line) > limit else "") for line in whole]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """A stream in pieces."""
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:end] for start, end in pairwise(edges)]


@settings(max_examples=400)
@given(STREAMS, st.lists(st.integers(0, 100), max_size=12), st.integers(1, 8) | st.just(1000))
def test_any_chunking_gives_the_same_lines(stream: bytes, places: list[int], limit: int) -> None:
    expected = plainly(stream, limit)
    assert fed(cut(stream, places), limit) == expected
    assert fed([stream], limit) == expected
    assert fed([bytes([byte]) for byte in stream], limit) == expected


@settings(max_examples=200)
@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])), max_size=8))
def test_text_comes_back_as_it_was(lines: list[str]) -> None:
    stream = "".join(line + "\n" for line in lines).encode()
    assert fed([stream], 10_000) == lines


@settings(max_examples=100)
@given(st.integers(0, 10**9))
def test_a_shown_duration_reads_as_about_the_same(seconds: int) -> None:
    shown = format_duration(seconds)
    assert len(shown) <= 8 or seconds >= 1000 * 86400
    # What is left out is less than a unit of the last part.
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0}[shown[-1]]
    assert 0 <= seconds - parse_duration(shown) < unit


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 999))
def test_durations_add_up(hours: int, minutes: int, ms: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{ms}ms") == pytest.approx(hours * 3600 + minutes * 60 + ms / 1000)


@settings(max_examples=100)
@given(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 253_402_300_799_999))
def test_the_milliseconds_of_an_instant_are_kept(timestamp_ms: int) -> None:
    shown = rfc3339(timestamp_ms)
    assert shown == f"{timestamp_ms}ms" or shown.endswith(f".{timestamp_ms % 1000:03d}+00:00")


@settings(max_examples=200)
@given(st.text())
def test_nothing_printable_drives_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", shown)
    assert printable(shown) == shown


#: Texts of every width: narrow, wide, and marks that have none of their own.
CELLS = st.text(st.sampled_from("ab ä日本😀\u0301\u200d\t\n\x1b"), max_size=6)


@settings(max_examples=150)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=6))
def test_the_columns_of_a_table_stand_under_each_other(rows: list[tuple[str, str, str]]) -> None:
    lines = table(["A", "B", "C"], [(f"|{a}", f"|{b}", f"|{c}") for a, b, c in rows]).split("\n")
    assert len(lines) == len(rows) + 1
    assert all(line == line.rstrip() for line in lines)
    places = {tuple(width(line[: match.start()]) for match in re.finditer(r"\|", line)) for line in lines[1:]}
    assert len(places) <= 1


@settings(max_examples=100)
@given(st.sets(st.integers(0, 10**15), min_size=2))
def test_numbers_make_different_ids(numbers: set[int]) -> None:
    assert len({slug(number) for number in numbers}) == len(numbers)
