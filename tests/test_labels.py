"""What a label is."""

import pytest

from cdktr.labels import MOST_LABELS, NO_LABELS, in_words, read_labels


def test_labels_are_a_set() -> None:
    assert read_labels(["zone=eu", "gpu", "gpu"]) == {"gpu", "zone=eu"}
    assert read_labels([]) == NO_LABELS
    assert len(read_labels([f"l{n}" for n in range(MOST_LABELS)])) == MOST_LABELS
    assert read_labels(["a" * 63, "9", "a.b_c=d:e/f-g"])


WRONG: list[object] = ["", "-a", ".a", "a b", "a,b", "ä", "a" * 64, "a\n", 1, None, ["a"], {"a": "b"}]


@pytest.mark.parametrize("words", [*([word] for word in WRONG), [f"l{n}" for n in range(MOST_LABELS)]])
def test_what_is_no_label_is_refused(words: list[object]) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        read_labels(["gpu", *words])


def test_they_are_told_in_one_order() -> None:
    assert in_words({"zone=eu", "gpu"}) == "gpu, zone=eu"
    assert in_words(NO_LABELS) == ""
