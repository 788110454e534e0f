"""Failures and their words."""

import inspect

import pytest

from cdktr import errors
from cdktr.errors import CdktrError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_says_something_without_being_told(kind: type[CdktrError]) -> None:
    assert issubclass(kind, CdktrError)
    message = str(kind())
    assert kind.__doc__ is not None
    assert kind.__doc__.startswith(message)
    assert message
    assert "\n" not in message


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_says_what_it_is_told(kind: type[CdktrError]) -> None:
    assert str(kind("no disk")) == "no disk"
    assert kind("no disk").args == ("no disk",)


def test_an_error_without_words_is_its_name() -> None:
    """As all are when docstrings are stripped."""

    class MutedError(CdktrError):
        pass

    assert str(MutedError()) == "MutedError"


def test_there_are_few_kinds() -> None:
    assert len(KINDS) <= 12
