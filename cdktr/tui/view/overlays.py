"""What lies over a place."""

import calendar as months
from datetime import date

from cdktr.text import cells, width
from cdktr.tui.state.keys import FULL, Binding, Where, bindings_of, is_able, where
from cdktr.tui.state.model import Ask, Calendar, Confirm, Form, Help, Menu, Overlay, Prompt, State
from cdktr.tui.view.canvas import Area
from cdktr.tui.view.frame import key_name
from cdktr.tui.view.parts import box, broken, middle
from cdktr.tui.view.times import now_of

#: What a range of time may be told by.
HINT = "a time, or how long ago: -2h, 90m; F2: calendar"


def overlay(area: Area, state: State, shown: Overlay, below: State) -> None:
    """Draw one; `below` is the state without it."""
    match shown:
        case Help():
            _help(area, state, shown, where(below))
        case Prompt():
            _prompt(area, shown)
        case Form():
            _form(area, shown)
        case Calendar():
            _calendar(area, shown, now_of(state).astimezone().date())
        case Menu():
            _menu(area, shown)
        case Confirm():
            _confirm(area, shown)


def _field(area: Area, x: int, y: int, text: str, at: int, focused: bool, room: int) -> None:
    """A text that is being edited, with its cursor; scrolled so that this is seen."""
    unicode = area.look.unicode
    before, after = cells(text[:at], unicode), cells(text[at:], unicode)
    while width(before) >= room:
        before = before[1:]
    part = area.part(x, y, room, 1)
    part.fill("input")
    end = part.draw(0, 0, before, "input")
    end = part.draw(end, 0, after, "input")
    if focused:
        here = after[:1] or " "
        part.draw(width(before), 0, here, "input", True)


def _prompt(area: Area, prompt: Prompt) -> None:
    """In the last row but the footer."""
    line = area.part(0, area.height - 2, area.width, 1)
    line.fill("input")
    label = prompt.ask if prompt.ask is Ask.COMMAND else f"{prompt.ask}: "
    x = line.put(1, 0, label, "title")
    _field(line, x, 0, prompt.text, prompt.at, True, area.width - x - 1)


def _form(area: Area, form: Form) -> None:
    label = max(width(cells(field.name)) for field in form.fields)
    columns = max(40, min(area.width - 4, max(label + 44, width(HINT) + 4)))
    notes = broken(form.error or ("" if form.workflow_id else HINT), columns - 4)
    below = len(notes) + (1 if form.error else 0)
    inside = box(middle(area, columns, len(form.fields) + 3 + max(below, 1)), form.title)
    room = max(inside.height - 1 - below, 1)
    top = max(0, form.focus - room + 1)
    label = min(label, inside.width // 2)
    for y, field in enumerate(form.fields[top : top + room], 1):
        here = y - 1 + top == form.focus
        inside.put(0, y, ">" if here else " ", "key")
        inside.put(2, y, field.name, "plain" if here else "dim", room=label)
        x = label + 4
        _field(inside, x, y, field.text, field.at, here, inside.width - x)
        if not field.text and (hint := "(needed)" if field.required else field.default):
            inside.put(x + (2 if here else 0), y, hint, "hint")
    for y, row in enumerate(notes, inside.height - len(notes)):
        inside.put(0, y, row, "bad" if form.error else "dim")


def _calendar(area: Area, shown: Calendar, today: date) -> None:
    title = f"{months.month_name[shown.month]} {shown.year}"
    inside = box(middle(area, 26, 10), title)
    inside.put(0, 0, "Mo Tu We Th Fr Sa Su", "dim")
    for y, week in enumerate(months.Calendar().monthdayscalendar(shown.year, shown.month), 1):
        for x, day in enumerate(week):
            if day:
                here = day == shown.day
                is_today = (shown.year, shown.month, day) == (today.year, today.month, today.day)
                inside.put(x * 3, y, f"{day:2}", "key" if is_today else "plain", here)
                if here:
                    inside.put(x * 3 - 1, y, ">", "key")


def _menu(area: Area, menu: Menu) -> None:
    columns = max(map(len, (*menu.options, menu.title))) + 8
    inside = box(middle(area, columns, len(menu.options) + 2), menu.title)
    top = max(0, menu.at - inside.height + 1)
    for y, option in enumerate(menu.options[top : top + inside.height]):
        here = y + top == menu.at
        inside.put(0, y, f"{'>' if here else ' '} {option}", "plain", here)


def _confirm(area: Area, shown: Confirm) -> None:
    room = area.width - 8
    rows = broken(shown.question, room)
    columns = max(20, *(min(width(row), room) for row in rows))
    inside = box(middle(area, columns + 4, len(rows) + 4), "Really?")
    for y, row in enumerate(rows, 1):
        inside.put(0, y, row)


# The help.


def _help(area: Area, state: State, shown: Help, place: Where) -> None:
    lines = help_lines(state, place)
    inside = box(middle(area, 74, min(len(lines) + 2, area.height - 2)), "Keys")
    top = max(0, min(shown.top, len(lines) - inside.height))
    for y, (keys, text, style) in enumerate(lines[top : top + inside.height]):
        inside.put(0, y, keys, "key" if style == "plain" else style)
        inside.put(18, y, text, style)
    if len(lines) > inside.height:
        inside.right(inside.height - 1, f" {top + inside.height}/{len(lines)} ", "dim")


def help_lines(state: State, place: Where) -> list[tuple[str, str, str]]:
    """(keys, what they do, style): those of this place, then those of every place, then the other places."""
    here = bindings_of(place)
    every = [each for each in here if each.where >= FULL - {Where.LOGS}]
    found = [(str(place), "", "title"), *(_help_line(state, each) for each in here if each not in every)]
    found += [("", "", "plain"), ("Everywhere", "", "title"), *(_help_line(state, each) for each in every)]
    return found


def _help_line(state: State, binding: Binding) -> tuple[str, str, str]:
    keys = " ".join(key_name(key, state.look.unicode) for key in binding.keys)
    able = is_able(state, binding)
    return keys, binding.help if able else f"({binding.help}: this principal is too old)", "plain" if able else "off"
