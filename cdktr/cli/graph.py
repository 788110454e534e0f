"""The graph of a workflow in characters, a row a task. Placeholder."""

from collections.abc import Iterator, Mapping, Sequence


def draw(depends: Mapping[str, Sequence[str]], columns: int, boxes: bool) -> Iterator[tuple[str, str]]:
    """Rows: (drawing, task id)."""
    for task in depends:
        yield "", task
