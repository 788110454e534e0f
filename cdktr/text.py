"""Text for people and from pipes: durations, times, log lines, tables, ids, and the splitter of byte streams.

Pure: returns text, prints nothing.
"""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from unicodedata import category, east_asian_width

from cdktr.errors import SettingError
from cdktr.records import LogRecord

#: Ends what was cut at its limit.
CUT_MARK = " …[cut]"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)?")
#: C0, DEL and C1 controls, which a terminal would obey.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != 9}

#: Categories of characters without a column of their own: marks, and formats such as the zero-width joiner.
_INVISIBLE = ("Mn", "Me", "Cf")

#: Characters of a text of which is remembered how it is shown: a screen shows the same ones again and again.
REMEMBERED = 200

#: Characters that terminals disagree about, in whether they take one column, two or none.
_DOUBTFUL = re.compile(
    "[\u1160-\u11ff\u2630-\u2637\u268a-\u268f\u302e\u302f\u3164\u4dc0-\u4dff\ud7b0-\ud7ff\uffa0"
    "\U00016ff0\U00016ff1\U0001d300-\U0001d37f\U0001f1e6-\U0001f1ff]"
)

# The words of the instance ids. Short, friendly, and none that reads oddly in an incident report.
_ADJECTIVES = (
    "amber brave bright brisk calm clever cosy crisp eager early fair fancy fast fine fleet fond free fresh gentle "
    "glad golden good grand green happy hardy jolly jumping keen kind lively loyal lucky merry mild neat nimble noble "
    "patient plain polite proud quick quiet rapid ready silent silver smart snug solid spry steady sunny sure swift "
    "tidy trim trusty vivid warm wise witty"
).split()
_NOUNS = (
    "badger beaver bee bison bittern canary cat cobra condor crane crow deer dingo dove duck eagle egret elk falcon "
    "ferret finch fox gecko goose grouse gull hare hawk heron horse ibis impala jackal jay kestrel kite koala lark "
    "lemur lion llama lynx magpie marten mole monkey moose newt orca oriole osprey otter owl panda puffin quail raven "
    "robin seal stoat stork swan tapir teal tern thrush tiger toad vole wombat wren yak zebra"
).split()


def slug(number: int) -> str:
    """The instance id of a number, such as `jumping-monkey-0`: unique because the number is."""
    # A multiplier coprime to the table sizes spreads neighbours, so that ids of one hour look different.
    mixed = number * 7919 + 12345
    adjective = _ADJECTIVES[mixed % len(_ADJECTIVES)]
    noun = _NOUNS[mixed // len(_ADJECTIVES) % len(_NOUNS)]
    return f"{adjective}-{noun}-{number}"


def parse_duration(text: str) -> float:
    """Seconds of `90`, `1.5h`, `1h30m`, `500ms`. Raises SettingError that says what is expected."""
    compact = text.strip().lower()
    parts = _DURATION.findall(compact)
    if not compact or "".join(number + unit for number, unit in parts) != compact or _bare_inside(parts):
        raise SettingError(f"{text!r} is no duration; expected something like 90, 30s, 5m, 1h30m or 2d")
    seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if not math.isfinite(seconds):
        raise SettingError(f"{text[:20]!r}… is too long for a duration")
    return seconds


def _bare_inside(parts: Sequence[tuple[str, str]]) -> bool:
    return len(parts) > 1 and any(not unit for _, unit in parts)


def format_duration(seconds: float) -> str:
    """`0.4s`, `12s`, `3m05s`, `2h10m`, `4d03h`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def rfc3339(timestamp_ms: int) -> str:
    """`2026-01-31T02:00:00.123+00:00`. A time that no calendar holds is shown as its number."""
    try:
        whole = datetime.fromtimestamp(timestamp_ms // 1000, UTC)
        return whole.replace(microsecond=timestamp_ms % 1000 * 1000).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return f"{timestamp_ms}ms"


def format_log(record: LogRecord, verbose: bool = False) -> str:
    """A log line as the API has always shown it; the verbose form names workflow and task too."""
    head = f"[{rfc3339(record.timestamp_ms)} {record.level}]"
    if verbose:
        run = f"{record.workflow_name}={record.workflow_instance_id}"
        return f"{head} [{run} / {record.task_name}={record.task_instance_id}] {record.payload}"
    return f"{head} [{record.workflow_instance_id}/{record.task_instance_id}] {record.payload}"


def printable(text: str) -> str:
    """`text` with control characters made visible, so that no log line drives the reader's terminal."""
    return text.translate(_CONTROLS)


def width(text: str) -> int:
    """Columns of a terminal that `text` takes: wide characters count two, combining and invisible ones none."""
    if text.isascii():
        return len(text)
    return _wide(text) if len(text) <= REMEMBERED else sum(map(_columns, text))


@lru_cache(maxsize=4096)
def _wide(text: str) -> int:
    return sum(map(_columns, text))


@cache
def _columns(char: str) -> int:
    return 0 if category(char) in _INVISIBLE else 2 if east_asian_width(char) in "WF" else 1


def cells(text: str, unicode: bool = True) -> str:
    """`text` as a grid of columns can show it: each character takes one, or two where it is wide, on every terminal.

    Controls are made visible, tabs and blanks of any kind are plain blanks, marks that have no column of their own are
    left out, and what is no character, or of which terminals disagree how wide it is, is replaced. Without `unicode`
    only ASCII is left.
    """
    if text.isascii() and text.isprintable():
        return text
    return _shown(text, unicode) if len(text) <= REMEMBERED else _made(text, unicode)


@lru_cache(maxsize=4096)
def _shown(text: str, unicode: bool) -> str:
    return _made(text, unicode)


def _made(text: str, unicode: bool) -> str:
    text = printable(text.expandtabs(8))
    if not text.isascii():
        text = "".join(_cell(char) for char in _DOUBTFUL.sub("\ufffd", text))
    return text if unicode else "".join(char if char.isascii() else "?" * width(char) for char in text)


def _cell(char: str) -> str:
    kind = category(char)
    if kind in _INVISIBLE or kind == "Mc":
        return ""
    if kind in ("Zl", "Zp"):
        return f"\\u{ord(char):04x}"
    if kind == "Zs":
        # Blanks that Python does not call printable.
        return " " * width(char)
    return "\ufffd" if kind in ("Cn", "Co", "Cs") else char


def bounded(text: str, most: int) -> str:
    """`text` as valid Unicode, with at most so many characters of it; what is cut off is told by `CUT_MARK`."""
    cut = text if len(text) <= most else text[:most] + CUT_MARK
    return cut.encode("utf-8", "replace").decode()


def clip(text: str, columns: int, end: str = "…") -> str:
    """`text` in at most so many columns; what is cut off is told by `end`."""
    if width(text) <= columns:
        return text
    room = columns - width(end)
    if room < 0:
        return ""
    if text.isascii():
        return text[:room] + end
    taken = 0
    for number, char in enumerate(text):
        taken += width(char)
        if taken > room:
            return text[:number] + end
    return text


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell, two spaces apart, no trailing blanks."""
    cells = [list(head), *([printable(cell).replace("\t", " ") for cell in row] for row in rows)]
    widths = [max(width(row[column]) for row in cells) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = (cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join(line(row) for row in cells)


class LineSplitter:
    """Bytes in, in any chunks; whole lines of text out, the same for every chunking.

    Lines end at LF; one CR before it is dropped. Invalid UTF-8 becomes U+FFFD. A line longer than `limit` bytes is
    cut there, marked with `CUT_MARK`, and the rest of it dropped, so that memory is bounded.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        #: The begun line: at most `limit` + 2 bytes, which suffice to tell whether it is too long without its CR.
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *ended, rest = data.split(b"\n")
        lines: list[str] = []
        if ended:
            self._extend(ended[0])
            lines = [self._take(), *self._decode_all(ended[1:])]
        self._extend(rest)
        return lines

    def close(self) -> list[str]:
        """What is left when the stream ends: at most one line."""
        return [self._take()] if self._rest else []

    def _extend(self, data: bytes) -> None:
        self._rest += data[: self._limit + 2 - len(self._rest)]

    def _take(self) -> str:
        line = self._decode(bytes(self._rest))
        self._rest.clear()
        return line

    def _decode(self, line: bytes) -> str:
        line = line.removesuffix(b"\r")
        text = line[: self._limit].decode("utf-8", "replace")
        return text if len(line) <= self._limit else text + CUT_MARK

    def _decode_all(self, lines: list[bytes]) -> list[str]:
        # One decode for the whole chunk where nothing needs care: a flood of short lines is the case that counts.
        joined = b"\n".join(lines)
        if not lines or b"\r" in joined or max(map(len, lines)) > self._limit:
            return [self._decode(line) for line in lines]
        return joined.decode("utf-8", "replace").split("\n")


def near_ids(written: str, known: Sequence[str]) -> list[str]:
    """The ids of workflows that may have been meant by one that is not known, at most three, the likeliest first."""
    from difflib import get_close_matches

    ends = [each for each in known if each.endswith(f".{written}")]
    return list(dict.fromkeys(ends + get_close_matches(written[:200], known, 3)))[:3]


def plural(count: int, noun: str) -> str:
    """`1 run`, `2 runs`, `2 processes`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{'es' if noun.endswith('s') else 's'}"
