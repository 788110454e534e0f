"""The screen of log lines: only those that are seen are looked at."""

from cdktr.text import cells, clip, width
from cdktr.tui.state.facts import LogLine
from cdktr.tui.state.loglines import body, head, rows
from cdktr.tui.state.logscreen import first_shown_at_end
from cdktr.tui.state.model import Logs, State
from cdktr.tui.state.room import log_rows
from cdktr.tui.view.canvas import CUT, Area
from cdktr.tui.view.glyphs import sign
from cdktr.tui.view.parts import note
from cdktr.tui.view.times import full

STYLES = {"ERROR": "bad", "WARNING": "warn"}


def logs_screen(area: Area, state: State) -> None:
    """The selection and the place in it, and the lines."""
    logs = state.logs
    if logs is None:
        return
    _title(area, state, logs)
    lines = area.below(1)
    if not logs.shown:
        note(lines, 1, logs.trouble or ("..." if logs.busy else _nothing(logs)), "bad" if logs.trouble else "dim")
        return
    last = first_shown_at_end(state, logs)
    top = last if logs.following else min(logs.top, last)
    y = 0
    for line in logs.shown[top:]:
        if y >= lines.height:
            break
        y += _line(lines, y, line, logs)


def _nothing(logs: Logs) -> str:
    return "No line matches." if logs.query.level or logs.since or logs.until else "No line yet."


def _title(area: Area, state: State, logs: Logs) -> None:
    area.draw(0, 0, sign(area.look, "hline") * area.width, "border")
    query = logs.query
    # An older principal does not search.
    here = "" if state.can("LSLOGS", "contains") or (logs.begins and logs.ends) else " in what is loaded"
    words = [
        f"only {query.level}" if query.level else "",
        f"from {logs.since}" if logs.since else "",
        f"until {logs.until}" if logs.until else "",
        f"/{logs.search}{here}" if logs.search else "",
        "wrapped" if logs.wrap else f"from column {logs.left + 1}" if logs.left else "",
    ]
    place = _place(state, logs)
    room = area.width - width(place[0]) - 8
    x = area.put(2, 0, " Log of ", "title", room=room)
    x = area.put(x, 0, f"{logs.title} ", "title", room=room - x)
    area.put(x, 0, "".join(f"{sign(area.look, 'sep')} {word} " for word in words if word), "dim", room=room - x)
    if place[0]:
        area.put(area.width - width(place[0]) - 4, 0, f" {place[0]} ", place[1])


def _place(state: State, logs: Logs) -> tuple[str, str]:
    """Where the screen stands; for a while, what was last remarked."""
    look = state.look
    notice = state.notice
    if notice is not None:
        return clip(
            cells(notice.text, look.unicode), state.width * 2 // 3, CUT[look.unicode]
        ), "bad" if notice.bad else "notice"
    if logs.trouble and logs.shown:
        return clip(cells(f"lags behind: {logs.trouble}", look.unicode), state.width // 2, CUT[look.unicode]), "bad"
    if logs.busy:
        return "...", "dim"
    missed = "no match" if logs.search and logs.missed == logs.search else ""
    if logs.following:
        where, style = (f"{sign(look, 'here')} following", "good") if logs.open else ("the end", "dim")
        return ", ".join(filter(None, (missed, where))), style
    if missed or not logs.shown:
        return missed, "dim"
    last = first_shown_at_end(state, logs)
    top = min(logs.top, last)
    if match := _match(state, logs, top):
        return match, "dim"
    where = "the end" if top >= last and logs.ends else "the beginning" if not top and logs.begins else ""
    return where or full(logs.shown[top].timestamp_ms), "dim"


def _match(state: State, logs: Logs, top: int) -> str:
    """Where the found line is, as far as that is known, while it is seen."""
    seen = logs.shown[top : top + log_rows(state)]
    index = next((n for n, line in enumerate(seen) if line.sequence is not None and line.sequence == logs.found), None)
    if index is None:
        return ""
    return f"match at line {top + index + 1:,}" if logs.begins else f"match at {full(seen[index].timestamp_ms)}"


def _line(area: Area, y: int, line: LogLine, logs: Logs) -> int:
    """One line; the rows that it takes."""
    unicode = area.look.unicode
    style = STYLES.get(line.level, "plain")
    found = line.sequence is not None and line.sequence == logs.found
    before = head(line, logs, unicode)
    if logs.wrap:
        pieces = rows(line, logs, area.width, unicode)
        start = 0
        for number, piece in enumerate(pieces):
            cut = max(0, min(len(before) - start, len(piece)))
            x = area.draw(0, y + number, piece[:cut], "dim", found)
            _marked(area, x, y + number, piece[cut:], style, logs.search)
            start += len(piece)
        return len(pieces)
    # With every name before it, the text would not come into view by itself.
    hidden = min(logs.left, width(before)) if logs.verbose else 0
    x = area.draw(0, y, _from_column(before, hidden), "dim", found)
    text = _from_column(body(line, unicode), logs.left - hidden)
    _marked(area.part(x, 0, area.width - x, area.height), 0, y, text, style, logs.search)
    if line.sequence is None:
        area.right(y, " not stored yet", "warn")
    return 1


def _from_column(text: str, left: int) -> str:
    if not left or text.isascii():
        return text[left:]
    for number, char in enumerate(text):
        if left <= 0:
            return text[number:]
        left -= width(char)
    return ""


def _marked(area: Area, x: int, y: int, text: str, style: str, search: str) -> None:
    """A text with what is searched for marked in it."""
    # More than a row is never seen.
    text = text[: area.width]
    low, wanted = text.lower(), search.lower()
    at = 0
    while wanted and len(low) == len(text) and (hit := low.find(wanted, at)) >= 0:
        x = area.draw(x, y, text[at:hit], style)
        x = area.draw(x, y, text[hit : hit + len(wanted)], "match")
        at = hit + len(wanted)
    area.draw(x, y, text[at:], style)
