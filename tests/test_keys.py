"""Keys, against a plain dictionary."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdktr import keys
from cdktr.keys import Keys


def stored(found: Keys) -> Keys:
    """As a snapshot brings it back."""
    return Keys(json.loads(json.dumps(found.plain())))


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("vw"), st.text(max_size=2))))
def test_they_are_a_dictionary(steps: list[tuple[bool, str, str]]) -> None:
    found, expected = Keys(), dict[tuple[str, str], str]()
    for number, (is_new, workflow_id, key) in enumerate(steps):
        if is_new and (workflow_id, key) not in expected:
            found.add(workflow_id, key, str(number))
            expected[workflow_id, key] = str(number)
        elif not is_new:
            found.remove(workflow_id, key)
            expected.pop((workflow_id, key), None)
        found = stored(found)
        assert len(found) == len(expected)
        for _, workflow_id, key in steps:
            assert found.run_of(workflow_id, key) == expected.get((workflow_id, key))


def test_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "REMEMBERED", 3)
    found = Keys()
    for name in "abcd":
        found.add("w", name, name.upper())
        found = stored(found)
    assert [found.run_of("w", name) for name in "abcd"] == [None, "B", "C", "D"]
