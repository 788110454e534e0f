"""What every place has around it: the header, the tabs, the footer."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cdktr.labels import in_words
from cdktr.text import cells, format_duration, width
from cdktr.tui.state.keys import Binding, Where, bindings_of, is_able, where
from cdktr.tui.state.model import Form, LinkStatus, State, Tab
from cdktr.tui.state.wants import selected_id, selected_run
from cdktr.tui.view.canvas import Area
from cdktr.tui.view.glyphs import sign
from cdktr.tui.view.parts import broken
from cdktr.tui.view.runs import has_other_view
from cdktr.tui.view.times import now_of, short

#: How keys are written.
NAMES = {
    "enter": "enter", "esc": "esc", "up": "↑", "down": "↓", "left": "←", "right": "→", "pgup": "PgUp", "pgdn": "PgDn",
    "tab": "tab", "backtab": "shift-tab", "home": "Home", "end": "End",
}  # fmt: skip
_PLAIN = {"up": "Up", "down": "Down", "left": "Left", "right": "Right"}

#: Columns of labels that the header has room for.
LABELS = 24

#: Columns to which a longer address gives way.
ADDRESS = 18

#: Rows that a long remark has at most.
REMARK = 3

#: What the footer always has room for.
LASTING = ("help", "quit")


def key_name(key: str, unicode: bool) -> str:
    """A key as it is written for people."""
    return (NAMES if unicode else {**NAMES, **_PLAIN}).get(key, key)


def header(area: Area, state: State) -> None:
    """The principal and how it is; what it has to do; the clock."""
    area.fill("header")
    clock = now_of(state).astimezone().strftime("%H:%M")
    told = _Told("cdktr ", min(width(state.address), max(area.width // 3, ADDRESS)), *_link(state), [clock])
    # What is wrong with the connection comes first.
    if state.link.status is LinkStatus.UP:
        told = _fitting(state, told._replace(address=width(state.address)), area.width)
    elif told.size > area.width:
        told = told._replace(name="")
        told = told if told.size <= area.width else told._replace(counts=[])
    x = area.put(1, 0, told.name, "header title")
    end = area.right(0, f"{'  '.join(told.counts)} ", "header") if told.counts else area.width
    x = area.put(x, 0, state.address, "header", room=told.address)
    area.put(x + 2, 0, told.texts[0], f"header {told.style}", room=end - x - (3 if told.counts else 2))


class _Told(NamedTuple):
    """What the header tells: the columns of the address, ways to say how the connection is, the longest first."""

    name: str
    address: int
    texts: Sequence[str]
    style: str
    counts: Sequence[str]

    @property
    def size(self) -> int:
        counts = sum(width(count) + 2 for count in self.counts)
        return 1 + len(self.name) + self.address + 2 + width(self.texts[0]) + counts + 1


def _fitting(state: State, told: _Told, columns: int) -> _Told:
    """As much as there is room for: the counts stay longest, but for the clock."""
    version = [f"v{state.abilities.version}"] if state.abilities and state.abilities.version else []
    counts = _counts(state)
    for number, more in ((n, more) for n in range(len(told.texts)) for more in (version, ())):
        for name in (told.name, ""):
            tried = told._replace(name=name, texts=told.texts[number:], counts=[*counts, *more, *told.counts])
            if (room := columns - tried.size + told.address) >= min(told.address, ADDRESS):
                return tried._replace(address=min(told.address, room))
    while counts and tried.size > columns:
        counts.pop()
        tried = tried._replace(counts=[*counts, *told.counts])
    return tried._replace(address=max(min(told.address, tried.address + columns - tried.size), 12))


def _counts(state: State) -> list[str]:
    facts = state.data.facts or {}
    return [f"{name} {facts[key]}" for name, key in _COUNTS if isinstance(facts.get(key), int)]


_COUNTS = (("queue", "queued"), ("running", "running"), ("agents", "agents"))


def _link(state: State) -> tuple[Sequence[str], str]:
    """How the connection is, the longest way to say it first; the style."""
    words, mark, style = _words(state)
    return [f"{sign(state.look, mark)} {text}" for text in words], style


def _words(state: State) -> tuple[Sequence[str], str, str]:
    link = state.link
    if link.status is LinkStatus.UP:
        trouble = next(
            (name for name in ("database_trouble", "journal_trouble") if (state.data.facts or {}).get(name)), ""
        )
        if (state.data.facts or {}).get("stopping"):
            return ["Stopping"], "away", "warn"
        if trouble:
            what = f"{trouble.partition('_')[0]} is in trouble"
            return [f"{link.status}, its {what}", f"its {what}"], "away", "bad"
        if lacking := _lacking(state):
            return [f"{link.status}, {lacking[0]}", *lacking], "here", "warn"
        return [str(link.status)], "here", "good"
    if link.status is LinkStatus.UNKNOWN:
        return [f"{link.status} ..."], "unknown", "dim"
    lasts = format_duration(max(round(state.now - link.since), 0)) if state.now - link.since >= 1 else "0s"
    return [f"{link.status} {lasts.replace('.0s', 's')}: {_cause(link.why)}"], "away", "bad"


def _cause(why: str) -> str:
    """Why the principal is away, without its address, which stands before it."""
    found = next((match for match in (each.fullmatch(why) for each in _CAUSES) if match), None)
    if found is None:
        return why
    causes = re.findall(r"\(([^()]+)\)", found[1]) or [found[1]]
    return ", ".join(f"{cause[:1].lower()}{cause[1:]}" for cause in dict.fromkeys(causes))


def _lacking(state: State) -> Sequence[str]:
    """That runs wait for labels which no agent has, and the same without naming them."""
    found: Sequence[Mapping[str, Any]] = (state.data.facts or {}).get("unplaceable", ())
    runs = sum(waits["runs"] for waits in found)
    labels = in_words(found[0]["labels"]) if len(found) == 1 else ""
    wait = f"{runs:,} {'waits' if runs == 1 else 'wait'} for"
    named = [f"{wait} {labels}"] if 0 < len(labels) <= LABELS else []
    return [*named, f"{wait} labels"] if runs else []


#: What is said of a principal that does not answer: the cause, or of several addresses those of all; advice after it.
_CAUSES = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"No principal answers at ([^()]*\([^()]+\)(?:, [^()]*\([^()]+\))*)(?:;.*)?",
        r"The principal at \S+ ((?:did not answer|ended the connection)[^;]*)(?:;.*)?",
        r"No connection to \S+ can be made here: (.+)",
    )
)


def tabs(area: Area, state: State) -> None:
    """The places, and at the end what was last remarked, or of when all that is shown is."""
    notice = None if _is_long(area, state) else state.notice
    x = 1
    for number, tab in enumerate(Tab, 1):
        here = tab is state.tab
        text = f"[{number} {tab}]" if here else f" {number} {tab} "
        area.zone(x, 0, len(text), "tab", tab)
        x = area.put(x, 0, text, "tab on" if here else "tab") + 1
    part = area.part(x, 0, area.width - x - 1, 1)
    if notice is not None:
        part.right(0, notice.text, "bad" if notice.bad else "notice")
    elif state.link.status is LinkStatus.AWAY and state.data.facts is not None:
        part.right(0, f"as of {short(round(state.link.since * 1000), now_of(state))}", "bad")


def _is_long(area: Area, state: State) -> bool:
    """Whether the last remark has no room beside the places."""
    taken = 1 + sum(len(tab) + 5 for tab in Tab)
    return state.notice is not None and width(cells(state.notice.text)) > area.width - taken - 1


def remark(area: Area, state: State) -> None:
    """The last remark in the last rows of a place, for a while, where it has no room beside the tabs."""
    notice = state.notice
    if notice is None or not _is_long(area, state):
        return
    rows = broken(notice.text, area.width - 2)[:REMARK]
    part = area.below(area.height - len(rows))
    part.fill()
    for y, row in enumerate(rows):
        part.put(1, y, row, "bad" if notice.bad else "notice")


def footer(area: Area, state: State) -> None:
    """The keys that work here and now; in brackets those for which the principal is too old."""
    place = where(state)
    shown = [binding for binding in bindings_of(place) if binding.label and not _is_vain(state, binding)]
    lasting = [binding for binding in shown if binding.action in LASTING] if place not in _OVER else []
    end = area.width - sum(_size(state, binding) + 2 for binding in lasting)
    x = 1
    for binding in (each for each in shown if each not in lasting):
        if x + _size(state, binding) + 1 > end:
            break
        x = _binding(area, state, binding, x) + 2
    x = end
    for binding in lasting:
        x = _binding(area, state, binding, x) + 2


#: What needs a workflow to be selected, a file that cannot be used being none; and what needs a run.
_OF_WORKFLOW = frozenset({"enter", "run", "logs", "open_run", "pause", "older", "newer", "zoom"})
_OF_RUN = frozenset({"enter", "run", "logs"})


def _is_vain(state: State, binding: Binding) -> bool:
    """Whether a key does nothing as things are."""
    match where(state):
        case Where.FORM:
            # No day is asked for in the form of a run.
            return binding.action == "calendar" and isinstance(state.overlay, Form) and bool(state.overlay.workflow_id)
        case Where.WORKFLOWS:
            return binding.action in _OF_WORKFLOW and not selected_id(state)
        case Where.RUNS:
            return binding.action in _OF_RUN and not selected_run(state)
        case Where.RUN:
            return binding.action == "other_view" and not has_other_view(state)
    return False


_OVER = frozenset(Where) - frozenset(
    {Where.WORKFLOWS, Where.GRAPH, Where.RUNS, Where.RUN, Where.AGENTS, Where.ADMIN, Where.LOGS}
)


def _texts(state: State, binding: Binding) -> tuple[str, str]:
    name = key_name(binding.keys[0], state.look.unicode)
    return (name, binding.label) if is_able(state, binding) else (f"({name}", f"{binding.label})")


def _size(state: State, binding: Binding) -> int:
    name, label = _texts(state, binding)
    return width(cells(name)) + 1 + width(label)


def _binding(area: Area, state: State, binding: Binding, x: int) -> int:
    name, label = _texts(state, binding)
    able = is_able(state, binding)
    area.zone(x, 0, _size(state, binding), "key", binding.keys[0])
    x = area.put(x, 0, name, "key" if able else "off")
    return area.put(x + 1, 0, label, "dim" if able else "off")


def too_small(area: Area, state: State, least: tuple[int, int]) -> None:
    """What is said when there is no room."""
    lines = [
        f"This terminal has {state.width} x {state.height};",
        f"cdktr ui needs {least[0]} x {least[1]}.",
        "Make it larger, or press q.",
    ]
    for number, line in enumerate(lines):
        area.put(0, number, line)
