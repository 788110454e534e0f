"""The graph of a workflow's tasks: who waits for whom.

Everything that follows from `depends` alone is decided here: that ids exist, that no task waits for itself by
way of others, and in which order tasks may run. Nothing here knows what a task runs or how it ended.
No function recurses, and all of them take time in proportion to the graph: a chain may be 10,000 tasks long.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from cdktr.errors import DefinitionError


class UnknownTasksError(DefinitionError):
    """A task depends on a task that does not exist."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        #: (task, the id it names that does not exist), in the order of the file.
        self.pairs = tuple(pairs)
        super().__init__("; ".join(f"task {task!r} depends on the unknown {name!r}" for task, name in self.pairs))


class CycleError(DefinitionError):
    """Tasks wait for each other in a circle."""

    def __init__(self, path: Sequence[str]) -> None:
        #: Each task depends on the next; the first is repeated at the end.
        self.path = tuple(path)
        super().__init__(f"tasks wait for each other: {' -> '.join(self.path)}")


class Dag:
    """Task ids and what each depends on; nothing changes after construction."""

    __slots__ = ("_dependencies", "_dependents", "_levels")

    def __init__(self, depends: Mapping[str, Iterable[str]]) -> None:
        """Raises UnknownTasksError or CycleError. The order of `depends` is the order of all answers."""
        needs = {task: tuple(dict.fromkeys(names)) for task, names in depends.items()}
        unknown = [(task, name) for task, names in needs.items() for name in names if name not in needs]
        if unknown:
            raise UnknownTasksError(unknown)
        feeds = _reversed(needs)
        levels = _levels(needs, feeds)
        if len(levels) < len(needs):
            raise CycleError(_walk(needs, levels))
        self._dependencies = MappingProxyType(needs)
        self._dependents = MappingProxyType({task: tuple(names) for task, names in feeds.items()})
        self._levels = MappingProxyType(levels)

    def __len__(self) -> int:
        return len(self._dependencies)

    def __contains__(self, task: object) -> bool:
        return task in self._dependencies

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every id."""
        return tuple(self._dependencies)

    @property
    def roots(self) -> tuple[str, ...]:
        """The tasks that wait for nothing."""
        return tuple(task for task, names in self._dependencies.items() if not names)

    def dependencies(self, task: str) -> tuple[str, ...]:
        """What `task` waits for, itself."""
        return self._dependencies[task]

    def dependents(self, task: str) -> tuple[str, ...]:
        """What waits for `task`, itself."""
        return self._dependents[task]

    def layers(self) -> list[list[str]]:
        """The tasks in rows: each stands one row below the lowest of its dependencies."""
        rows: list[list[str]] = [[] for _ in range(max(self._levels.values(), default=-1) + 1)]
        for task in self._dependencies:
            rows[self._levels[task]].append(task)
        return rows

    def edges(self) -> list[tuple[str, str]]:
        """(dependency, dependent), as time flows."""
        return [(name, task) for task, names in self._dependencies.items() for name in names]


def find_cycle(depends: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """A circle `a, b, a` in which each depends on the next, if there is one; ids that do not exist are passed over."""
    needs = {task: tuple(name for name in names if name in depends) for task, names in depends.items()}
    levels = _levels(needs, _reversed(needs))
    return None if len(levels) == len(needs) else _walk(needs, levels)


def _reversed(needs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    feeds: dict[str, list[str]] = {task: [] for task in needs}
    for task, names in needs.items():
        for name in names:
            feeds[name].append(task)
    return feeds


def _levels(needs: Mapping[str, Sequence[str]], feeds: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The row of each task that can ever start; those in or below a circle are left out."""
    missing = {task: len(names) for task, names in needs.items()}
    levels = {task: 0 for task, count in missing.items() if not count}
    queue = list(levels)
    for task in queue:
        for dependent in feeds[task]:
            missing[dependent] -= 1
            if not missing[dependent]:
                levels[dependent] = levels[task] + 1
                queue.append(dependent)
    return levels


def _walk(needs: Mapping[str, Sequence[str]], levels: Mapping[str, int]) -> tuple[str, ...]:
    """A circle among the tasks without a level: each of them depends on another such task."""
    task = next(task for task in needs if task not in levels)
    path: dict[str, None] = {}
    while task not in path:
        path[task] = None
        task = next(name for name in needs[task] if name not in levels)
    circle = list(path)[list(path).index(task) :]
    order = {task: place for place, task in enumerate(needs)}
    first = circle.index(min(circle, key=order.__getitem__))
    circle = circle[first:] + circle[:first]
    return (*circle, circle[0])
