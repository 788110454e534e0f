"""What an event of `dispatch` means in the history of its run."""

import json
from collections.abc import Mapping
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
        return _pending(facts["run"], facts.get("agent_id"))
    if change.kind not in STATUS:
        return None
    status = RunStatus(facts.get("status", STATUS[change.kind]))
    ids = (facts["workflow_id"], facts["id"])
    return RunUpdate(*ids, status, facts["at_ms"], facts.get("agent_id"), facts.get("detail"))


def _pending(run: Mapping[str, Any], agent_id: str | None) -> RunUpdate:
    params = json.dumps(run["params"]) if run["params"] else None
    ids = (run["workflow_id"], run["id"])
    return RunUpdate(*ids, RunStatus.PENDING, run["queued_ms"], agent_id, trigger=run["trigger"], params=params)
