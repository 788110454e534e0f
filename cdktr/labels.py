"""Labels: what an agent has and a workflow requires, such as `gpu` or `zone=eu`. Their order means nothing."""

import re
from collections.abc import Collection, Iterable

#: What one looks like.
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=:/-]{0,62}")
RULE = "a label has up to 63 letters, digits, '.', '_', '=', ':', '/' and '-', and begins with a letter or a digit"

#: Of one agent, and of one workflow.
MOST_LABELS = 32

Labels = frozenset[str]

#: What every agent has, and what most workflows require.
NO_LABELS: Labels = frozenset()


def read_labels(words: Collection[object]) -> Labels:
    """Raises ValueError for what is no label, and for too many."""
    found = [word for word in words if isinstance(word, str) and LABEL.fullmatch(word)]
    labels = frozenset(found)
    if len(found) < len(words) or len(labels) > MOST_LABELS:
        raise ValueError
    return labels


def in_words(labels: Iterable[str]) -> str:
    """`gpu, zone=eu`, sorted."""
    return ", ".join(sorted(labels))
