"""What the listeners that come with cdktr have in common: a trigger that tells what went wrong by its kind."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cdktr.listener import EventListener
from cdktr.protocol import Trigger


class Triggered(NamedTuple):
    """The run that an event made; `repeated` when it was the same event before."""

    run_id: str
    repeated: bool


class ReadyListener(EventListener[Triggered]):
    """As its base, but what goes wrong is raised, so that it is known who must act."""

    def run_workflow(
        self, workflow_id: str, params: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Triggered:
        """See `EventListener`. Raises UnreachableError, NotFoundError, RefusedError, StoreError."""
        answer = self.principal.ask(Trigger(workflow_id, dict(params or {}), "listener", key=key))
        return Triggered(answer["workflow_instance_id"], answer.get("repeated", False))

    def stop(self) -> None:
        """Have `start_listening` return soon, from whatever thread."""
        raise NotImplementedError
