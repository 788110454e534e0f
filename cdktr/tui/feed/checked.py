"""Values made of replies, held against their types: a principal of another version may tell what is not expected.

The state and the view rely on types. What does not have them ends here, as a reply that cannot be read.
"""

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints, is_typeddict

T = TypeVar("T")

_Test = Callable[[Any], bool]


def checked(value: T, kind: Any) -> T:
    """The value. Raises TypeError, which names the part that is not as its type says."""
    if not has_kind(value, kind):
        raise TypeError(f"it holds {reprlib.repr(value)}")
    return value


def has_kind(value: object, kind: Any) -> bool:
    """Whether a value is as its type says. Raises TypeError where a part of a dataclass is not."""
    return _test_of(kind)(value)


@cache
def _test_of(kind: Any) -> _Test:
    """Kinds as the facts of a principal and workflows have them: unions, tuples, lists and mappings of one kind,
    objects whose keys are known, dataclasses, plain ones."""
    made, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, UnionType):
        tests = [_test_of(each) for each in inner]
        return lambda value: any(test(value) for test in tests)
    if made in (tuple, list):
        each_test = _test_of(inner[0])
        return lambda value: isinstance(value, made) and all(map(each_test, value))
    if made is not None and issubclass(made, Mapping):
        key_test, value_test = map(_test_of, inner)
        return lambda value: (
            isinstance(value, Mapping) and all(map(key_test, value)) and all(map(value_test, value.values()))
        )
    if is_typeddict(kind):
        named = {name: _test_of(each) for name, each in get_type_hints(kind).items()}
        return lambda value: (
            isinstance(value, dict) and all(name in value and test(value[name]) for name, test in named.items())
        )
    if is_dataclass(kind):
        return _test_of_fields(kind)
    return _PLAIN.get(kind) or (lambda value: isinstance(value, kind))


def _test_of_fields(kind: Any) -> _Test:
    hints = get_type_hints(kind)
    tests = [(field.name, _test_of(hints[field.name])) for field in fields(kind)]

    def test(value: Any) -> bool:
        if not isinstance(value, kind):
            return False
        for name, is_right in tests:
            if not is_right(found := getattr(value, name)):
                raise TypeError(f"{name} of a {kind.__name__} is {reprlib.repr(found)}")
        return True

    return test


def _is_whole(value: Any) -> bool:
    # What a calendar, a database and a float can do without more ado.
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


_PLAIN: Mapping[Any, _Test] = {
    Any: lambda _: True,
    None: lambda value: value is None,
    NoneType: lambda value: value is None,
    int: _is_whole,
    float: lambda value: isinstance(value, float) or _is_whole(value),
}
