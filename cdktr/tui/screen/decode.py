"""Bytes from a terminal become keys. Pure: whatever the terminal is called, these are the sequences that are in use."""

import re
from codecs import getincrementaldecoder
from typing import NamedTuple


class Mouse(NamedTuple):
    """The mouse: column and row from 0, the button as the terminal numbers it; 64 and 65 are the wheel."""

    x: int
    y: int
    button: int


class Paste(NamedTuple):
    """A text that was pasted, as the terminal marks it off from keys."""

    text: str


#: After ESC [ or ESC O.
_SEQUENCES = {
    "A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "Z": "backtab", "M": "enter",
    "P": "f1", "Q": "f2", "R": "f3", "S": "f4", "1~": "home", "2~": "insert", "3~": "delete", "4~": "end",
    "5~": "pgup", "6~": "pgdn", "7~": "home", "8~": "end", "11~": "f1", "12~": "f2", "13~": "f3", "14~": "f4",
    "15~": "f5", "17~": "f6", "18~": "f7", "19~": "f8", "20~": "f9", "21~": "f10", "23~": "f11", "24~": "f12",
    "[A": "f1", "[B": "f2", "[C": "f3", "[D": "f4", "[E": "f5",
}  # fmt: skip
_CONTROLS = {8: "backspace", 9: "tab", 10: "enter", 13: "enter", 127: "backspace", 0: "ctrl-space"}

#: A whole sequence: the mouse, as its three bytes or as numbers; or what stands between `ESC [` or `ESC O` and its end.
_WHOLE = re.compile(
    r"\x1b(?:\[M(?P<old>...)|\[<(?P<mouse>[\d;]*)(?P<state>[Mm])"
    r"|\[(?P<key>\[?[\d;?]*[ -/]*[@-LN-Z\\-~]|[\d;]+M)|O(?P<other>[\d;]*[@-~]))",
    re.DOTALL,
)
#: What may become one, when more comes.
_BEGUN = re.compile(r"\x1b(?:\[(?:M.{0,2}|<[\d;]*|\[?[\d;?]*[ -/]*)?|O[\d;]*)?", re.S)

#: Characters of a sequence that never ends, after which it is given up.
_LONGEST = 64


#: What begins a pasted text, without its ESC [, and what ends it.
_PASTE, _PASTED = "200~", "\x1b[201~"

#: Characters of a pasted text that are kept; no line takes more.
_LONGEST_PASTE = 4_096

#: The one key that ends a paste whose end was lost: it comes alone.
_GIVE_UP = b"\x03"


class Decoder:
    """Keys by their names, the mouse, or a pasted text. What is only begun waits for the rest, or for `flush`."""

    def __init__(self) -> None:
        self._utf8 = getincrementaldecoder("utf-8")("ignore")
        self._rest = ""
        #: What was pasted so far, while it goes on.
        self._pasted: str | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether what came last may be a key by itself, or the beginning of more."""
        return bool(self._rest) and self._pasted is None

    def feed(self, data: bytes) -> list[str | Mouse | Paste]:
        """What these bytes complete."""
        if self._pasted is not None and data == _GIVE_UP:
            self._pasted, self._rest = None, ""
        text = self._rest + self._utf8.decode(data)
        self._rest = ""
        found: list[str | Mouse | Paste] = []
        while text:
            if self._pasted is not None:
                text = self._paste(text, found)
            elif text[0] != "\x1b":
                found.append(_plain(text[0]))
                text = text[1:]
            elif whole := _WHOLE.match(text):
                if whole["key"] == _PASTE:
                    self._pasted = ""
                else:
                    found += _special(whole)
                text = text[whole.end() :]
            elif len(text) < _LONGEST and _BEGUN.fullmatch(text):
                self._rest = text
                break
            else:
                # ESC by itself, and then something else; a terminal sends Alt and a key like that, too.
                found.append("esc")
                text = text[1:]
        return found

    def _paste(self, text: str, found: list[str | Mouse | Paste]) -> str:
        """Go on with a pasted text; what comes after it."""
        more, end, after = text.partition(_PASTED)
        if not end:
            # Its end may have begun.
            begun = next((n for n in range(len(_PASTED) - 1, 0, -1) if text.endswith(_PASTED[:n])), 0)
            more, self._rest = text[: len(text) - begun], text[len(text) - begun :]
        self._pasted = ((self._pasted or "") + more)[:_LONGEST_PASTE]
        if end:
            found.append(Paste(self._pasted))
            self._pasted = None
        return after

    def flush(self) -> list[str | Mouse | Paste]:
        """Nothing more came: it was the key ESC, or part of a sequence that is not understood."""
        rest, self._rest = self._rest, ""
        return ["esc"] if rest in ("\x1b", "\x1b[", "\x1bO") else []


def _plain(char: str) -> str:
    code = ord(char)
    if code in _CONTROLS:
        return _CONTROLS[code]
    if code < 27:
        return f"ctrl-{chr(code + 96)}"
    return f"ctrl-{chr(code + 64).lower()}" if code < 32 else char


def _special(whole: re.Match[str]) -> list[str | Mouse]:
    if whole["old"] is not None:
        button, x, y = (ord(char) - 32 for char in whole["old"])
        return [Mouse(x - 1, y - 1, button)] if button & 3 != 3 and x > 0 and y > 0 else []
    if whole["mouse"] is not None:
        numbers = [int(part) for part in whole["mouse"].split(";") if part]
        if len(numbers) != 3 or whole["state"] == "m":
            # A button was let go.
            return []
        return [Mouse(numbers[1] - 1, numbers[2] - 1, numbers[0])]
    key: str = whole["key"] or whole["other"]
    # With Shift, Alt or Ctrl held, a number stands before the end.
    name = _SEQUENCES.get(key) or _SEQUENCES.get(re.sub(r"(^1)?;\d+", "", key))
    return [name] if name else []
