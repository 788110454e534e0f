"""How a request becomes bytes: the two forms that a request can have, and JSON as the wire carries it.

A message is one frame of UTF-8 text, its arguments separated by the byte 0x01; there is no escaping. The verbs of the
original API take positional arguments (`Positional`). The verbs that were added take one JSON object (`Structured`),
in which a 0x01 cannot occur raw. Whatever cannot be read is one `ProtocolError`. Which requests there are, `protocol`
says.
"""

import json
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from math import isfinite
from types import UnionType
from typing import Any, ClassVar, NoReturn, get_args, get_origin, get_type_hints
from unicodedata import category

from cdktr.errors import ProtocolError
from cdktr.records import RunStatus

SEPARATOR = "\x01"

#: Characters of the key of a trigger.
LONGEST_KEY = 200


class Request:
    """A request; `verb` is its first word on the wire."""

    verb: ClassVar[str]

    def encode(self) -> bytes:
        """The frame. Raises ProtocolError for an argument that holds the separator."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Positional(Request):
    """A request of the original API: text arguments in the order of the fields; more than those are ignored."""

    def encode(self) -> bytes:
        """See `Request`."""
        words = [self.verb, *(str(getattr(self, f.name)) for f in _fields(type(self)))]
        if any(SEPARATOR in word for word in words):
            raise ProtocolError(f"An argument of {self.verb} holds the byte 0x01, which separates arguments")
        return SEPARATOR.join(words).encode()

    @classmethod
    def parse(cls, words: Sequence[str]) -> "Positional":
        """The request of its arguments' texts."""
        names = _fields(cls)
        needed = sum(f.default is MISSING for f in names)
        if len(words) < needed:
            expected = " ".join(f.name for f in names[:needed])
            raise ProtocolError(f"{cls.verb} takes {needed} arguments ({expected}), got {len(words)}")
        kinds = _types(cls)
        return cls(**{f.name: _read(f.name, kinds[f.name], word) for f, word in zip(names, words, strict=False)})


def _read(name: str, kind: Any, word: str) -> Any:
    if kind is not RunStatus:
        return word
    try:
        return RunStatus(word)
    except ValueError:
        raise ProtocolError(f"{word!r} is no {name}; expected one of {', '.join(RunStatus)}") from None


def named(text: str, what: str) -> str:
    """An argument that must not be empty. Raises ProtocolError."""
    if not text:
        raise ProtocolError(f"{what} is empty")
    return text


def name_of_event(key: str) -> str:
    """A key of a trigger. Raises ProtocolError."""
    if not 0 < len(key) <= LONGEST_KEY or any(category(each) == "Cc" for each in key):
        shown = reprlib.repr(key)
        raise ProtocolError(f"key cannot be {shown}; expected 1 to {LONGEST_KEY} characters, none a control character")
    return key


def unfit(value: object) -> str | None:
    """What a value is that no parameter of a trigger can have; None for one that it can: text, True, False, a finite
    number, of the whole ones those that the database can hold."""
    if isinstance(value, str):
        return None if _is_text(value) else "a text that is not Unicode"
    if isinstance(value, float):
        return None if isfinite(value) else "not a finite number"
    if not isinstance(value, int):
        return f"a {type(value).__name__}; text, numbers, True and False can be given"
    return None if isinstance(value, bool) or fits(value, int) else "a whole number of more than 64 bits"


def milliseconds(text: str, what: str, default: int) -> int:
    """A time of the original API, where nothing stands for the default. Raises ProtocolError."""
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        raise ProtocolError(f"{what} is {text[:40]!r}; expected milliseconds since the epoch") from None
    # What the database can hold.
    return max(min(number, 2**63 - 1), -(2**63))


@dataclass(frozen=True, slots=True)
class Structured(Request):
    """An added request: its fields as one JSON object. Unknown keys are ignored, so that newer peers can add some."""

    def encode(self) -> bytes:
        """See `Request`."""
        return (self.verb + SEPARATOR + dump({f.name: getattr(self, f.name) for f in _fields(type(self))})).encode()

    @classmethod
    def parse(cls, words: Sequence[str]) -> "Structured":
        """The request of the one JSON argument."""
        given = load(words[0], f"the argument of {cls.verb}") if words else {}
        if not isinstance(given, dict):
            raise ProtocolError(f"{cls.verb} takes one JSON object")
        required, tests = _shape(cls)
        if not required <= given.keys():
            missing = [f.name for f in _fields(cls) if f.name in required - given.keys()]
            raise ProtocolError(f"{cls.verb} needs {', '.join(missing)}")
        values = {name: value for name, value in given.items() if name in tests}
        for name, value in values.items():
            if not (tests[name](value) and _is_text(value)):
                raise ProtocolError(f"{name} of {cls.verb} cannot be {reprlib.repr(value)}")
        return cls(**values)


_Test = Callable[[Any], bool]

#: Of every request that was met, by verb: its fields, their types, and its `_shape`, as every message asks for them.
_FIELDS: dict[str, tuple[Field[Any], ...]] = {}
_TYPES: dict[str, dict[str, Any]] = {}
_SHAPES: dict[str, tuple[frozenset[str], dict[str, _Test]]] = {}


def _fields(kind: type[Request]) -> tuple[Field[Any], ...]:
    if kind.verb not in _FIELDS:
        _FIELDS[kind.verb] = fields(kind)  # type: ignore[arg-type]
    return _FIELDS[kind.verb]


def field_names(kind: type[Request]) -> list[str]:
    """The names of a request's arguments, in order."""
    return [f.name for f in _fields(kind)]


def _types(kind: type[Request]) -> dict[str, Any]:
    if kind.verb not in _TYPES:
        _TYPES[kind.verb] = get_type_hints(kind)
    return _TYPES[kind.verb]


def _shape(kind: type[Request]) -> tuple[frozenset[str], dict[str, _Test]]:
    """The fields that must be given, and the test that the value of each field must pass."""
    if kind.verb not in _SHAPES:
        required = frozenset(f.name for f in _fields(kind) if f.default is MISSING and f.default_factory is MISSING)
        _SHAPES[kind.verb] = required, {f.name: _test_of(_types(kind)[f.name]) for f in _fields(kind)}
    return _SHAPES[kind.verb]


def fits(value: Any, kind: Any) -> bool:
    """Is a value that was read from JSON of this type? A whole number must also be one that the database can hold."""
    return _test_of(kind)(value)


@cache
def _test_of(kind: Any) -> _Test:
    if isinstance(kind, UnionType):
        tests = [_test_of(each) for each in get_args(kind)]
        return lambda value: any(test(value) for test in tests)
    if get_origin(kind) is dict:
        inner = _test_of(get_args(kind)[1])
        return lambda value: isinstance(value, dict) and all(inner(each) for each in value.values())
    if get_origin(kind) is list:
        inner = _test_of(get_args(kind)[0])
        return lambda value: isinstance(value, list) and all(map(inner, value))
    if kind is Any:
        return lambda _: True
    if kind is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    plain = get_origin(kind) or kind
    return lambda value: isinstance(value, plain)


def _is_text(value: Any) -> bool:
    # JSON can write half a surrogate pair, which is no text: neither the database nor a process could be given it.
    # Not asked of the records of a report, which may be long, and whose texts the database replaces.
    if not value or not isinstance(value, str | dict):
        return True
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def dump(value: Any) -> str:
    """Compact JSON, ASCII only: no separator, no raw control character, valid UTF-8 whatever the strings hold."""
    return _ENCODE(value)


def load(text: str, what: str) -> Any:
    """The value of a JSON text. Raises ProtocolError that names `what` was read."""
    try:
        return _DECODE(text)
    except (ValueError, RecursionError):
        raise ProtocolError(f"{what} is not valid JSON") from None


def _no_number(_name: str) -> NoReturn:
    # Python's reader takes NaN and Infinity, which are no JSON.
    raise ValueError


def _finite(text: str) -> float:
    # To Python, 1e999 is infinite.
    if not isfinite(number := float(text)):
        raise ValueError
    return number


# Made once: `json.dumps` and `json.loads` make theirs anew for every message that is not of the default form.
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_DECODE = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite).decode


def read_text(frame: bytes) -> str:
    """The text of a frame. Raises ProtocolError."""
    try:
        return frame.decode()
    except UnicodeDecodeError:
        raise ProtocolError("A message must be UTF-8 text") from None
