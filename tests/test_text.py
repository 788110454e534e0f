"""Text for people and from pipes, by example."""

import pytest

from cdktr.errors import SettingError
from cdktr.records import LogRecord
from cdktr.text import (
    CUT_MARK,
    LineSplitter,
    bounded,
    cells,
    clip,
    format_duration,
    format_log,
    parse_duration,
    printable,
    rfc3339,
    slug,
    table,
    width,
)


def lines_of(*chunks: bytes, limit: int = 8) -> list[str]:
    """What a splitter makes of these."""
    splitter = LineSplitter(limit)
    return [*(line for chunk in chunks for line in splitter.feed(chunk)), *splitter.close()]


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b""], []),
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"one\ntwo"], ["one", "two"]),
        ([b"o", b"n", b"e\nt", b"wo"], ["one", "two"]),
        ([b"\n\n"], ["", ""]),
        ([b"a\r\nb\r", b"\nc"], ["a", "b", "c"]),
        ([b"a\rb\n"], ["a\rb"]),
        ([b"a\r\r\n"], ["a\r"]),
        ([b"12345678\n"], ["12345678"]),
        ([b"12345678\r\n"], ["12345678"]),
        ([b"12345678", b"\r", b"\n"], ["12345678"]),
        ([b"123456789\n1\n"], ["12345678" + CUT_MARK, "1"]),
        ([b"1234", b"56789", b"0", b"\n1\n"], ["12345678" + CUT_MARK, "1"]),
        ([b"123456789"], ["12345678" + CUT_MARK]),
        ([b"a\xffb\n"], ["a\ufffdb"]),
        ([b"\xc3", b"\xa4\n"], ["ä"]),
        ([b"\xf0\x9f", b"\x98", b"\x80\nx"], ["😀", "x"]),
        ([b"\xe2\x82\nx\n"], ["\ufffd", "x"]),
        ([b"a\x00b\x01c\n"], ["a\x00b\x01c"]),
        ([b"a\x0bb\x0cc\xc2\x85d\n"], ["a\x0bb\x0cc\x85d"]),
    ],
)
def test_lines(chunks: list[bytes], lines: list[str]) -> None:
    assert lines_of(*chunks) == lines


def test_a_line_without_end_takes_no_memory() -> None:
    splitter = LineSplitter(100)
    for _ in range(1000):
        assert splitter.feed(b"x" * 1000) == []
    assert len(splitter._rest) <= 102
    assert splitter.feed(b"\nok\n") == ["x" * 100 + CUT_MARK, "ok"]


def test_a_splitter_gives_its_rest_once() -> None:
    splitter = LineSplitter(8)
    splitter.feed(b"rest")
    assert splitter.close() == ["rest"]
    assert splitter.close() == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1w", 604800),
        ("500ms", 0.5),
        ("1m500ms", 60.5),
        (" 5M ", 300),
        ("0.5h", 1800),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", " ", "m", "-5", "5 m", "1h30", "30m1", "1.5.5s", "5x", "1e3", "inf", "nan", "1,5s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(SettingError, match="expected something like 90, 30s, 5m") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


def test_a_duration_beyond_all_numbers() -> None:
    with pytest.raises(SettingError, match="too long"):
        parse_duration("9" * 400)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"),
        (0, "0.0s"),
        (0.04, "0.0s"),
        (0.44, "0.4s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (185, "3m05s"),
        (3599.6, "1h00m"),
        (7800, "2h10m"),
        (86399.9, "1d00h"),
        (356400, "4d03h"),
    ],
)
def test_durations_are_shown(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("timestamp_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000+00:00"),
        (1_769_824_800_123, "2026-01-31T02:00:00.123+00:00"),
        (-1, "1969-12-31T23:59:59.999+00:00"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999+00:00"),
        (253_402_300_800_000, "253402300800000ms"),
        (2**62, f"{2**62}ms"),
        (-(2**62), f"-{2**62}ms"),
    ],
)
def test_instants_are_shown(timestamp_ms: int, text: str) -> None:
    assert rfc3339(timestamp_ms) == text


RECORD = LogRecord("etl", "ETL", "warm-owl-1", "load", "calm-elk-2", 1_769_824_800_123, "INFO", "STDOUT 3 rows\x1b")


@pytest.mark.parametrize(
    ("verbose", "line"),
    [
        (False, "[2026-01-31T02:00:00.123+00:00 INFO] [warm-owl-1/calm-elk-2] STDOUT 3 rows\x1b"),
        (True, "[2026-01-31T02:00:00.123+00:00 INFO] [ETL=warm-owl-1 / load=calm-elk-2] STDOUT 3 rows\x1b"),
    ],
)
def test_log_lines(verbose: bool, line: str) -> None:
    assert format_log(RECORD, verbose) == line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext ä 😀", "plain\ttext ä 😀"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\r\nb\x00\x7f\x9b", "a\\x0d\\x0ab\\x00\\x7f\\x9b"),
    ],
)
def test_control_characters_are_made_visible(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("abc", 3),
        ("größe", 5),
        ("日本", 4),
        ("e\u0301", 1),
        ("😀", 2),
        ("a\u200db", 2),
        ("กำ", 2),
        ("❤\ufe0f", 1),
    ],
)
def test_columns_of_a_text(text: str, columns: int) -> None:
    assert width(text) == columns


def test_a_table() -> None:
    rows = [["daily", "日本", "x"], ["a\nb", "e\u0301t\u0301", ""], ["a\tb", "", "last"]]
    assert table(["NAME", "CITY", "N"], rows).split("\n") == [
        "NAME    CITY  N",
        "daily   日本  x",
        "a\\x0ab  e\u0301t\u0301",
        "a b           last",
    ]


def test_a_table_without_rows() -> None:
    assert table(["NAME", "N"], []) == "NAME  N"


def test_ids_read_well_and_differ() -> None:
    names = [slug(number) for number in range(2000)]
    assert len(set(names)) == len(names)
    assert all(name.rsplit("-", 1)[1] == str(number) for number, name in enumerate(names))
    assert all(name.isascii() and name == name.lower() and len(name.split("-")) == 3 for name in names)
    assert len({name.rsplit("-", 1)[0] for name in names[:50]}) == 50, "neighbours look different"
    assert slug(0) == names[0], "the same for ever: they are kept in files"


def test_a_cell_is_as_wide_as_the_terminal_library_takes_it_to_be() -> None:
    wcwidth = pytest.importorskip("wcwidth").wcwidth
    shown = {char for code in range(256, 0x110000) for char in cells(chr(code))}
    assert [hex(ord(char)) for char in shown if width(char) != wcwidth(char)] == []
    assert {width(char) for char in shown} == {1, 2}


@pytest.mark.parametrize(
    ("text", "shown", "plain"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb", "a\\x1b[31mb"),
        ("\ta", "        a", "        a"),
        ("a\u00a0b\u3000c", "a b  c", "a b  c"),
        ("e\u0301\u200b", "e", "e"),
        ("日本", "日本", "????"),
        ("é\ud800", "é\ufffd", "??"),
        ("\u2028\u2630", "\\u2028\ufffd", "\\u2028?"),
    ],
)
def test_cells(text: str, shown: str, plain: str) -> None:
    assert cells(text) == shown
    assert cells(text, unicode=False) == plain


@pytest.mark.parametrize(
    ("text", "columns", "cut"),
    [
        ("abcd", 4, "abcd"),
        ("abcde", 4, "abc…"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("ab", 1, "…"),
        ("ab", 0, ""),
    ],
)
def test_a_text_is_clipped(text: str, columns: int, cut: str) -> None:
    assert clip(text, columns) == cut


def test_a_bounded_text() -> None:
    assert bounded("abcd", 4) == "abcd"
    assert bounded("abcde", 4) == "abcd" + CUT_MARK
    assert bounded("a\udcffü", 4) == "a?ü"
