"""The colours of the styles that frames speak of. Each style means something that a sign or a word says as well."""

from asciimatics.screen import Screen

from cdktr.tui.view.canvas import Span

#: Colour of the text, attribute, colour behind it.
Look = tuple[int, int, int]

_DEFAULT = Screen.COLOUR_DEFAULT
_NORMAL, _BOLD, _REVERSE, _UNDERLINE = Screen.A_NORMAL, Screen.A_BOLD, Screen.A_REVERSE, Screen.A_UNDERLINE
_BLACK, _RED, _GREEN, _YELLOW = Screen.COLOUR_BLACK, Screen.COLOUR_RED, Screen.COLOUR_GREEN, Screen.COLOUR_YELLOW
_BLUE, _CYAN, _WHITE, _GREY = Screen.COLOUR_BLUE, Screen.COLOUR_CYAN, Screen.COLOUR_WHITE, 8

_COLOURS: dict[str, Look] = {
    "plain": (_DEFAULT, _NORMAL, _DEFAULT),
    "dim": (_GREY, _NORMAL, _DEFAULT),
    "hint": (_GREY, _NORMAL, _DEFAULT),
    "off": (_GREY, _NORMAL, _DEFAULT),
    "border": (_GREY, _NORMAL, _DEFAULT),
    "wire": (_GREY, _NORMAL, _DEFAULT),
    "title": (_DEFAULT, _BOLD, _DEFAULT),
    "key": (_CYAN, _BOLD, _DEFAULT),
    "input": (_DEFAULT, _UNDERLINE, _DEFAULT),
    "good": (_GREEN, _NORMAL, _DEFAULT),
    "bad": (_RED, _BOLD, _DEFAULT),
    "warn": (_YELLOW, _NORMAL, _DEFAULT),
    "busy": (_CYAN, _NORMAL, _DEFAULT),
    "bar": (_BLUE, _NORMAL, _DEFAULT),
    "notice": (_CYAN, _BOLD, _DEFAULT),
    "match": (_BLACK, _NORMAL, _YELLOW),
    "tab": (_DEFAULT, _NORMAL, _DEFAULT),
    "tab on": (_DEFAULT, _BOLD, _DEFAULT),
    "header": (_WHITE, _NORMAL, _BLUE),
    "header title": (_WHITE, _BOLD, _BLUE),
    "header good": (_WHITE, _BOLD, _BLUE),
    "header warn": (_BLACK, _NORMAL, _YELLOW),
    "header bad": (_WHITE, _BOLD, _RED),
}

#: Without colours; the rest is plain.
_ATTRIBUTES = {
    **dict.fromkeys(("title", "key", "bad", "tab on", "notice"), _BOLD),
    **dict.fromkeys(("header", "header title", "header good", "header warn", "header bad", "match"), _REVERSE),
    "input": _UNDERLINE,
}


def looks(colours: int) -> dict[str, Look]:
    """How each style looks on a terminal with so many colours; fewer than eight are none."""
    if colours < 8:
        return {name: (_WHITE, _ATTRIBUTES.get(name, _NORMAL), _BLACK) for name in _COLOURS}
    grey = _GREY if colours > _GREY else _DEFAULT
    return {
        name: (grey if front == _GREY else front, attribute, back)
        for name, (front, attribute, back) in _COLOURS.items()
    }


def look_of(looks: dict[str, Look], span: Span) -> Look:
    """How a span looks; the bar of a selection is in reverse, whatever it lies on."""
    front, attribute, back = looks.get(span.style) or looks["plain"]
    return (front, _REVERSE, back) if span.lit else (front, attribute, back)
