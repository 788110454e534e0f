"""Agents, and the principal with its own log."""

from collections.abc import Sequence
from dataclasses import asdict

from cdktr.health import SPOOLED, attention, bad_files, megabytes, status_lines
from cdktr.labels import in_words
from cdktr.text import cells, format_duration, width
from cdktr.tui.state.facts import Agent, OwnLine
from cdktr.tui.state.loglines import MARKS, clock
from cdktr.tui.state.model import LinkStatus, State
from cdktr.tui.state.moves import wrapped
from cdktr.tui.state.presence import how_gone, lost_s, shown_agents, silence
from cdktr.tui.state.wants import Facts, OwnLog, TheAgents
from cdktr.tui.view.canvas import Area
from cdktr.tui.view.glyphs import sign
from cdktr.tui.view.parts import Cell, Column, broken, fact, fitted, note, rule, table_head, table_row

COLUMNS = (
    Column("AGENT", 18, 0, 2, most=40),
    Column("STATUS", 10, 0, 1, most=26),
    Column("RUNS", 5, 0, right=True),
    Column("SLOTS", 5, 0, right=True),
    Column("LAST PING", 10, 0, right=True),
    Column("VERSION", 8, 1),
    Column("TO TELL", 8, 2, right=True),
    Column("LABELS", 12, 3, 1),
)
#: Rows that its own log keeps while much needs attention.
OWN_ROWS = 5
#: The number of that column, and the columns of a screen from which it takes nothing from the others.
LABELS = len(COLUMNS) - 1
LABELLED = 144


def agents_place(area: Area, state: State) -> None:
    """One row an agent."""
    known, found = state.data.agents, shown_agents(state)
    busy = sum(agent.running for agent in known or ())
    slots = sum(agent.slots or 0 for agent in known or ())
    rule(area, 0, "Agents", right=f"{busy} of {slots} slots taken" if known else "")
    widths = fitted(COLUMNS if area.width >= LABELLED else COLUMNS[:LABELS], area.width - 5)
    table_head(area, 1, 4, COLUMNS, widths)
    rows = area.below(2)
    if not found:
        told = "No agent is registered; `cdktr start agent` starts one." if known is not None else "..."
        note(rows, 0, state.data.failed.get(TheAgents(), told))
        return
    top = state.agents.top
    for y, agent in enumerate(found[top : top + rows.height - 1]):
        _agent(rows, y, agent, state, widths)
    _labels(rows.below(rows.height - 1), next((each for each in found if each.id == state.agents.key), None), widths)


def _labels(area: Area, agent: Agent | None, widths: dict[int, int]) -> None:
    """Those of the selected agent, where its row has no room for them."""
    words = in_words(agent.labels) if agent else ""
    if agent and width(words) > widths.get(LABELS, 0):
        fact(area, 0, "labels", f"{words} ({agent.id})")


def _agent(area: Area, y: int, agent: Agent, state: State, widths: dict[int, int]) -> None:
    lit = agent.id == state.agents.key
    if lit:
        area.fill("plain", True, y)
    area.zone(0, y, area.width, "row", agent.id)
    silent = silence(state, agent)
    heard = f"{format_duration(silent) if silent >= 9.95 else f'{round(silent)}s'} ago"
    word, style = _status(agent, state, silent, heard, widths[1])
    if lit:
        area.put(0, y, ">", "key", lit)
    area.put(2, y, sign(area.look, {"bad": "away", "dim": "dot"}.get(style, "here")), style, lit)
    row: list[Cell] = [
        agent.id,
        (word, style),
        # What it held is not its any more.
        "0" if agent in state.lost else str(agent.running),
        "?" if agent.slots is None else str(agent.slots),
        heard,
        agent.version or "?",
        (megabytes(agent.spooled_bytes), "warn" if agent.spooled_bytes > SPOOLED else "dim"),
        (in_words(agent.labels), "dim"),
    ]
    table_row(area, y, 4, COLUMNS, widths, row, lit)


def _status(agent: Agent, state: State, silent: float, heard: str, columns: int) -> tuple[str, str]:
    is_let_go, limit = agent in state.lost, lost_s(state)
    if gone := how_gone(state, agent):
        return gone, "dim" if gone == "STOPPED" else "bad"
    if is_let_go and silent < limit / 3 and "agents_left" in (state.data.facts or {}):
        # So soon only one that stops is let go of; the principal tells with its next word.
        return "leaving", "dim"
    if is_let_go or silent > limit:
        whole = f"LOST, last heard {heard}"
        return whole if len(whole) <= columns else "LOST", "bad"
    if silent >= limit / 3:
        return f"silent {int(silent)}s", "warn"
    return ("RUNNING", "busy") if agent.running else ("READY", "good")


def admin_place(area: Area, state: State) -> None:
    """How the principal is, what needs attention, what it logged."""
    rule(area, 0, "Principal", state.address)
    y = 1
    facts = state.data.facts
    if facts is None:
        note(area, y, state.data.failed.get(Facts(), "..."))
        y += 1
    else:
        y = _facts(area, state)
    log = area.below(y)
    _own_log(log, state)


def _facts(area: Area, state: State) -> int:
    facts = state.data.facts or {}
    y = 1
    try:
        agents = [{"agent_id": agent.id, "uv": agent.uv} for agent in state.data.agents or ()]
        problems = [asdict(problem) for problem in state.data.folder.problems] if state.data.folder else []
        lines, warnings = status_lines(facts, agents), [*attention(facts, ()), *bad_files(problems)]
    except KeyError:
        # Another version tells other things.
        lines, warnings = [f"{name[:10]:<11}{value}" for name, value in facts.items()], []
    rows = [
        (line[:11] if not number else "", part)
        for line in lines
        for number, part in enumerate(broken(line[11:], area.width - 13))
    ]
    for name, part in rows[: max(area.height // 2, 3)]:
        area.put(1, y, name, "dim")
        area.put(12, y, part)
        y += 1
    if state.link.status is LinkStatus.AWAY:
        for row in broken(state.link.why, area.width - 4):
            area.put(1, y, f"{sign(area.look, 'away')} {row}", "bad")
            y += 1
    found = [row for warning in warnings for row in _warning(area, warning)]
    room = max(area.height - y - OWN_ROWS, area.height // 4, 1)
    if len(found) > room:
        found[room - 1 :] = ["  and more: `cdktr status` tells all of it"]
    for row in found:
        area.put(1, y, row, "warn")
        y += 1
    return y


def _warning(area: Area, text: str) -> list[str]:
    """The rows of a warning, its mark before the first."""
    rows = [row for line in text.split("\n") for row in broken(line, area.width - 4)]
    return [f"{' ' if number else sign(area.look, 'invalid')} {row}" for number, row in enumerate(rows)]


def _own_log(area: Area, state: State) -> None:
    lines = state.data.own_log
    back = min(state.admin_back, max(len(lines) - 1, 0))
    rule(area, 0, "Its own log", right=f"{back} lines back" if back else "")
    rows = area.below(1)
    if not state.can("LSOWNLOG"):
        note(rows, 0, "This principal is too old to tell what it logs.", "off")
        return
    if not lines:
        note(rows, 0, state.data.failed.get(OwnLog(), "..."))
    y = rows.height
    drawn: list[tuple[OwnLine, list[str]]] = []
    for line in reversed(lines[: len(lines) - back]):
        if y <= 0:
            break
        parts = _own_rows(rows, line) if state.admin_whole else [line.message]
        drawn.append((line, parts))
        y -= len(parts)
    # Of the first, the end is seen where not all of it has room.
    y = min(y, 0)
    for line, parts in reversed(drawn):
        y = _own_line(rows, y, line, parts)


def _own_rows(area: Area, line: OwnLine) -> list[str]:
    """The rows of a line as a whole: its lines, each broken where it has to be."""
    columns = max(area.width - len(_own_head(line)) - 2, 1)
    return [row for part in line.message.split("\n") for row in wrapped(cells(part, area.look.unicode), columns)]


def _own_head(line: OwnLine) -> str:
    return f"{clock(line.timestamp_ms)} {MARKS.get(line.level, '!')} "


def _own_line(area: Area, y: int, line: OwnLine, parts: Sequence[str]) -> int:
    style = {"ERROR": "bad", "CRITICAL": "bad", "WARNING": "warn"}.get(line.level, "plain")
    head = _own_head(line)
    area.put(1, y, head, "dim")
    x = 1 + len(head)
    for part in parts:
        area.put(x, y, part, style)
        y += 1
    return y
