"""The colours of the styles that frames speak of. Each style means something that a sign or a word says as well."""

from asciimatics.screen import Screen

from cdktr.tui.view.canvas import Span

#: Colour of the text, attribute, colour behind it.
Look = tuple[int, int, int]

_DEFAULT = Screen.COLOUR_DEFAULT
_NORMAL, _BOLD, _REVERSE, _UNDERLINE = Screen.A_NORMAL, Screen.A_BOLD, Screen.A_REVERSE, Screen.A_UNDERLINE
_BLACK, _WHITE = Screen.COLOUR_BLACK, Screen.COLOUR_WHITE

#: Of each style: its colour of 256, its colour of 8, its attribute. The default is that of the terminal.
_TEXTS: dict[str, tuple[int, int, int]] = {
    "plain": (_DEFAULT, _DEFAULT, _NORMAL),
    "dim": (245, _DEFAULT, _NORMAL),
    "hint": (245, _DEFAULT, _NORMAL),
    "off": (242, _DEFAULT, _NORMAL),
    "border": (240, _DEFAULT, _NORMAL),
    "wire": (247, _DEFAULT, _NORMAL),
    "title": (_DEFAULT, _DEFAULT, _BOLD),
    "key": (44, Screen.COLOUR_CYAN, _BOLD),
    "input": (_DEFAULT, _DEFAULT, _UNDERLINE),
    "good": (71, Screen.COLOUR_GREEN, _NORMAL),
    "bad": (203, Screen.COLOUR_RED, _BOLD),
    "warn": (179, Screen.COLOUR_YELLOW, _NORMAL),
    "busy": (75, Screen.COLOUR_CYAN, _BOLD),
    "bar": (67, Screen.COLOUR_BLUE, _NORMAL),
    "notice": (44, Screen.COLOUR_CYAN, _BOLD),
    "match": (_DEFAULT, _DEFAULT, _REVERSE),
    "tab": (245, _DEFAULT, _NORMAL),
    "tab on": (_DEFAULT, _DEFAULT, _BOLD),
}

#: Of 256 colours: behind the header and a selection, and the text there that would have the terminal's colour, which
#: may be dark.
_BEHIND_HEADER, _BEHIND_SELECTION, _LIGHT = 236, 238, 254


def looks(colours: int) -> dict[tuple[str, bool], Look]:
    """How each style looks on a terminal with so many colours, plain and selected; fewer than eight are none."""
    found = {}
    for name, texts in _TEXTS.items():
        for lit in (False, True):
            found[name, lit] = _look(*texts, colours, _BEHIND_SELECTION if lit else None)
    for name in ("header", "header title", "header good", "header bad", "header warn", "header dim"):
        texts = _TEXTS.get(name.partition(" ")[2], _TEXTS["plain"])
        for lit in (False, True):
            found[name, lit] = _look(*texts, colours, _BEHIND_HEADER)
    return found


def _look(many: int, few: int, attribute: int, colours: int, behind: int | None) -> Look:
    if colours >= 256:
        if behind is None:
            return many, attribute, _DEFAULT
        return _LIGHT if many == _DEFAULT else many, attribute, behind
    attribute = attribute if behind is None else _REVERSE
    return (few, attribute, _DEFAULT) if colours >= 8 else (_WHITE, attribute, _BLACK)


def look_of(looks: dict[tuple[str, bool], Look], span: Span) -> Look:
    """How a span looks."""
    return looks.get((span.style, span.lit)) or looks["plain", span.lit]
