"""Signs: for all of Unicode, for the console of Linux, which has the characters of old PCs, and for ASCII."""

from cdktr.tui.state.model import Look

#: Status -> its sign in each set, and its style.
_STATUSES = {
    "COMPLETED": ("✓√+", "good"),
    "FAILED": ("✗xx", "bad"),
    "CRASHED": ("!!!", "bad"),
    "RUNNING": ("●•*", "busy"),
    "PENDING": ("○○o", "plain"),
    "WAITING": ("◌○o", "plain"),
    "SKIPPED": ("»»-", "dim"),
    "CANCELLED": ("×##", "warn"),
}
_OTHERS = {
    "arrow": "►►>",
    "up": "▲▲^",
    "down": "▼▼v",
    "dot": "···",
    "hline": "──-",
    "vline": "││|",
    "sep": "··-",
    "full": "███",
    "unknown": "·· ",
    "invalid": "!!!",
    "paused": "‖║=",
    "away": "✗xx",
    "here": "●•*",
}
#: Pieces of lines: of each direction of `layout`, from the first on, 0, 1 or 2 as it is absent, thin or thick.
_WIRES = " ╵╹╶└┖╺┕┗╷│╿┌├┞┍┝┡╻╽┃┎┟┠┏┢┣╴┘┚─┴┸╼┶┺┐┤┦┬┼╀┮┾╄┒┧┨┰╁╂┲╆╊╸┙┛╾┵┹━┷┻┑┥┩┭┽╃┯┿╇┓┪┫┱╅╉┳╈╋"
#: Thick ones for the console, by directions; where a thick line meets a thin one it has none.
_DOUBLE = {
    1: "║", 4: "║", 5: "║", 2: "═", 8: "═", 10: "═", 3: "╚", 9: "╝", 6: "╔", 12: "╗", 7: "╠", 13: "╣", 14: "╦",
    11: "╩", 15: "╬",
}  # fmt: skip
_PLAIN_WIRES = {1: "|#", 4: "|#", 5: "|#", 2: "-=", 8: "-=", 10: "-=", 0: "  "}


def _of(look: Look, signs: str) -> str:
    return signs[2 if not look.unicode else 1 if look.console else 0]


def status(look: Look, name: str | None) -> tuple[str, str]:
    """The sign of a status and its style; none is a dot."""
    if name is None:
        return sign(look, "unknown"), "dim"
    signs, style = _STATUSES.get(name, ("???", "plain"))
    return _of(look, signs), style


def sign(look: Look, name: str) -> str:
    """One of the other signs."""
    signs = _OTHERS[name]
    return "." if name in ("dot", "unknown") and not look.unicode else _of(look, signs)


def wire(look: Look, directions: int, thick: int = 0) -> str:
    """The piece of a line that goes in these directions; which of them are thick."""
    if not look.unicode:
        return _PLAIN_WIRES.get(directions, "++")[thick == directions]
    if look.console and thick:
        if thick == directions:
            return _DOUBLE[directions]
        thick = 0
    return _WIRES[sum(((directions >> n & 1) + (thick >> n & 1)) * 3**n for n in range(4))]


def bar(look: Look, eighths: int) -> str:
    """A cell filled from below."""
    if look.unicode and not look.console:
        return " ▁▂▃▄▅▆▇█"[max(0, min(eighths, 8))]
    return " " if eighths < 3 else _of(look, "███" if eighths > 5 else "▄▄▄") if look.unicode else "#"


#: What a stretch of the timeline is made of: ended well, ended badly, under way.
_STRETCH = {"good": "██=", "bad": "▓▓x", "busy": "░░>", "dim": "──-"}


def stretch(look: Look, style: str) -> str:
    """A cell of the timeline."""
    return _of(look, _STRETCH.get(style, _STRETCH["dim"]))
