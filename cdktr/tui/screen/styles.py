"""Which colours and attributes the meanings have. Each has a sign or a word too, so none of this is needed."""

from asciimatics.screen import Screen

_DEFAULT = Screen.COLOUR_DEFAULT
_BOLD, _REVERSE, _UNDERLINE = Screen.A_BOLD, Screen.A_REVERSE, Screen.A_UNDERLINE
#: Not A_NORMAL, which writes twice that nothing is special.
_NORMAL = 0

#: (colour, attribute, background), as asciimatics prints them.
Ink = tuple[int, int, int]

#: Of each meaning: its colour of 256 and of 8 (None: that of the terminal), and its attribute.
_MEANINGS: dict[str, tuple[int | None, int | None, int]] = {
    "plain": (None, None, _NORMAL),
    "dim": (245, None, _NORMAL),
    "off": (240, None, _NORMAL),
    "border": (240, None, _NORMAL),
    "wire": (247, None, _NORMAL),
    "title": (None, None, _BOLD),
    "key": (44, 6, _BOLD),
    "good": (71, 2, _NORMAL),
    "bad": (203, 1, _BOLD),
    "warn": (179, 3, _NORMAL),
    "busy": (75, 6, _BOLD),
    "bar": (67, 4, _NORMAL),
    "notice": (71, 2, _NORMAL),
    "match": (None, None, _REVERSE),
    "input": (None, None, _UNDERLINE),
    "hint": (245, None, _NORMAL),
    "tab": (245, None, _NORMAL),
    "on": (None, None, _BOLD),
    "header": (None, None, _NORMAL),
}

#: Backgrounds, of 256 colours: the header, and what is selected.
_HEADER, _LIT = 236, 238


def ink(style: str, lit: bool, colours: int) -> Ink:
    """How a style is printed on a terminal of so many colours; a style may be several meanings, the last counts."""
    words = style.split()
    many, few, attribute = _MEANINGS.get(words[-1] if words else "plain", _MEANINGS["plain"])
    if colours >= 256:
        background = _LIT if lit else _HEADER if words[:1] == ["header"] else _DEFAULT
        colour = _DEFAULT if many is None else many
        if background != _DEFAULT and colour == _DEFAULT:
            # Not every terminal is light on dark: beside a background of ours stands a colour of ours.
            colour = 254
        return colour, _BOLD if lit else attribute, background
    attribute = _REVERSE if lit else attribute
    if colours < 8:
        return _DEFAULT, attribute, _DEFAULT
    return _DEFAULT if few is None else few, attribute, _DEFAULT
