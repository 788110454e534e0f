"""What an event of `dispatch` means in the history of its run."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from cdktr.records import Change, RunStatus, RunUpdate

#: The status that an event means; `finished` says its own.
STATUS = {
    "started": RunStatus.RUNNING,
    "requeued": RunStatus.PENDING,
    "finished": RunStatus.CRASHED,
    "withdrawn": RunStatus.CANCELLED,
}


def update_of(change: Change) -> RunUpdate | None:
    """The change of a run's status that an event is; None for one that changes none."""
    facts = change.facts
    if change.kind in ("queued", "adopted"):
        return pending(facts["run"], facts.get("agent_id"))
    if change.kind not in STATUS:
        return None
    status = RunStatus(facts.get("status", STATUS[change.kind]))
    ids = (facts["workflow_id"], facts["id"])
    return RunUpdate(*ids, status, facts["at_ms"], facts.get("agent_id"), facts.get("detail"))


def pending(run: Mapping[str, Any], agent_id: str | None = None) -> RunUpdate:
    """The first update of a run, of its fields."""
    params = json.dumps(run["params"]) if run["params"] else None
    ids = (run["workflow_id"], run["id"])
    return RunUpdate(*ids, RunStatus.PENDING, run["queued_ms"], agent_id, trigger=run["trigger"], params=params)


#: A run of which nothing is known.
BLANK: Mapping[str, None] = dict.fromkeys(
    ("queued_ms", "started_ms", "ended_ms", "agent_id", "detail", "trigger", "params")
)


def with_updates(run: Mapping[str, Any] | None, updates: Iterable[RunUpdate]) -> dict[str, Any] | None:
    """A run as the store tells it, after updates that it does not know yet; None if there is neither.

    One that it does know changes nothing.
    """
    for update in updates:
        at_ms, final = update.timestamp_ms, update.status.is_final
        ids = {"workflow_id": update.workflow_id, "workflow_instance_id": update.workflow_instance_id}
        run = {**BLANK, **(run or {}), **ids}
        began = at_ms if update.status is RunStatus.RUNNING else None
        run |= {
            "status": update.status.value,
            "queued_ms": _least(run["queued_ms"], at_ms),
            "started_ms": _least(run["started_ms"], began),
            "ended_ms": max(at_ms, run["ended_ms"] or at_ms) if final else run["ended_ms"],
            "agent_id": update.agent_id,
            "detail": update.detail if final else run["detail"],
            "trigger": run["trigger"] or update.trigger,
            "params": run["params"] or update.params,
        }
    return None if run is None else dict(run)


def _least(*times: int | None) -> int | None:
    return min((time for time in times if time is not None), default=None)
