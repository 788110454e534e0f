"""Which run a trigger with a key made: when it is sent again, as after an answer that was lost, it makes no second."""

from collections.abc import Iterable

#: Keys that are remembered, those that were accepted last. A trigger with an older one makes a run again.
REMEMBERED = 100_000


class Keys:
    """The keys of each workflow, and the id of the run that each made."""

    def __init__(self, plain: Iterable[tuple[str, str, str]] = ()) -> None:
        """`plain` is what `plain` made."""
        #: In the order in which they were accepted.
        self._runs = {(workflow_id, key): run_id for workflow_id, key, run_id in plain}

    def __len__(self) -> int:
        return len(self._runs)

    def run_of(self, workflow_id: str, key: str) -> str | None:
        """The run that was accepted with this key, None when there is none."""
        return self._runs.get((workflow_id, key))

    def add(self, workflow_id: str, key: str, run_id: str) -> None:
        """Accept one that is new."""
        self._runs[workflow_id, key] = run_id
        if len(self._runs) > REMEMBERED:
            del self._runs[next(iter(self._runs))]

    def remove(self, workflow_id: str, key: str) -> None:
        """It was not accepted after all."""
        self._runs.pop((workflow_id, key), None)

    def plain(self) -> list[tuple[str, str, str]]:
        """As JSON has it."""
        return [(workflow_id, key, run_id) for (workflow_id, key), run_id in self._runs.items()]
