"""Readers of values that need none of the others: (file, node, what it is called) as in `cdktr.parse`."""

import re
from datetime import UTC, datetime

from cdktr.labels import LABEL, MOST_LABELS, RULE
from cdktr.parse.tree import File, Node, quoted

_BEFORE_OFFSET = re.compile(r"(?<!\s)\s++(?=[Zz+-])")


def start_time(file: File, node: Node, what: str) -> datetime | None:
    """An ISO 8601 time; without an offset it is UTC."""
    try:
        # YAML allows a space before the offset.
        time = datetime.fromisoformat(_BEFORE_OFFSET.sub("", node.text.strip()))
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        file.add(node.mark, f"{what} must be a time such as 2025-01-20T02:00:00+00:00, found {node.found}")
        return None


def labels(file: File, node: Node, what: str) -> tuple[str, ...]:
    """Those of a list, or the one of a text, sorted."""
    listed = isinstance(node.value, list) and node.tag is None
    found: set[str] = set()
    for item in node.value if listed else [node]:
        label = item.text
        if not LABEL.fullmatch(label):
            expected = f"an item of {what} must be a label" if listed else f"{what} must be a label or a list of them"
            file.add(item.mark, f"{expected}, found {item.found}", _hint(item))
        elif label in found:
            file.add(item.mark, f"{quoted(label)} is there twice in {what}")
        found.add(label)
    if len(found) > MOST_LABELS:
        file.add(node.mark, f"{what} has {len(found)} labels, and no agent has more than {MOST_LABELS}")
    return tuple(sorted(found))


def _hint(node: Node) -> str:
    pairs = node.value.items() if isinstance(node.value, dict) else ()
    near = [f"{name}={value.text}" for name, (_, value) in pairs]
    return f"write {near[0]}" if near and LABEL.fullmatch(near[0]) else RULE
