"""An event listener: whatever waits for something to happen, and then has a workflow run.

    class Mail(EventListener):
        def start_listening(self):
            while True:
                self.run_workflow("read.mail", {"sender": next_mail().sender})

The principal's own scheduler is one, whose event is the time.
"""

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, cast

from cdktr.client import Principal, Result
from cdktr.settings import load

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Answer = TypeVar("Answer", default=Result)
else:
    from typing import TypeVar

    Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

#: Held while a listener makes its principal, which several threads may ask for first.
_MAKING = threading.Lock()


class EventListener(Generic[Answer]):
    """The base of event listeners. A subclass has `start_listening`, and calls `run_workflow` for each event.

    `Answer` is what that returns: a `Result`, but for a listener with another way to its principal.
    """

    @property
    def principal(self) -> Principal:
        """The principal that runs the workflows. A subclass may set it; else it is made at its first use, of the
        settings `CDKTR_PRINCIPAL_HOST` and `CDKTR_PRINCIPAL_PORT`. Raises SettingError for those that are wrong."""
        with _MAKING:
            made: Principal | None = self.__dict__.get("principal")
            if made is None:
                loaded = load()
                for warning in loaded.warnings:
                    log.warning("%s", warning)
                made = self.__dict__["principal"] = Principal.of(loaded.settings)
            return made

    @principal.setter
    def principal(self, principal: Principal) -> None:
        self.__dict__["principal"] = principal

    def run_workflow(self, workflow_id: str, params: Mapping[str, Any] | None = None, key: str | None = None) -> Answer:
        """Have a workflow run. Whatever the principal or the network does is told in the result, and never raised.

        `params` and `key` as in `Principal.run_workflow`: an event that may be seen twice, as after a restart, needs a
        key that tells it from others, and then makes one run.
        """
        return cast(Answer, self.principal.run_workflow(workflow_id, params, key))

    def start_listening(self) -> Any:
        """Wait for events, as a rule for ever. It may be `async def`. Raises NotImplementedError here."""
        raise NotImplementedError(
            f"Subclasses must implement start_listening(): {type(self).__name__} does not say what it waits for; "
            "its start_listening() calls self.run_workflow(workflow_id) for each event"
        )
