"""Which workflows are paused: their schedules trigger nothing, neither then nor later for the times that passed."""

from collections.abc import Mapping


class Pauses:
    """The pauses of all workflows, by their ids. Times are milliseconds since the epoch."""

    def __init__(self, plain: Mapping[str, Mapping[str, int]] | None = None) -> None:
        """`plain` is what `plain` made."""
        found = plain or {}
        #: Workflow id -> since when it is paused.
        self.since: dict[str, int] = dict(found.get("since", {}))
        #: When the last pause of each ended.
        self._resumed: dict[str, int] = dict(found.get("resumed", {}))

    def begin(self, workflow_id: str, at_ms: int) -> None:
        """It is paused."""
        self.since[workflow_id] = at_ms

    def end(self, workflow_id: str, at_ms: int | None) -> None:
        """It is not paused any more; None: it never was. Raises KeyError for one that is not paused."""
        del self.since[workflow_id]
        if at_ms is not None:
            self._resumed[workflow_id] = at_ms

    def skips(self, workflow_id: str, time: int, now: int) -> bool:
        """Whether a scheduled time passes without a run. An end that is still to come, as the clock was set back, says
        nothing: it must not silence the schedule until that time comes again."""
        return workflow_id in self.since or time <= self._resumed.get(workflow_id, time - 1) <= now

    def plain(self) -> dict[str, dict[str, int]]:
        """As JSON has it."""
        return {"since": dict(self.since), "resumed": dict(self._resumed)}
