"""Every failure that a caller can act upon, named by who must act.

The first line of a class's docstring is its message when none is given. A message says what happened,
to what, and what to do next; the command line prints it as it stands, without a traceback.
"""


class CdktrError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or type(self).__name__).strip().splitlines()[0])


class SettingError(CdktrError):
    """A setting or an argument has a value that cannot be used; `cdktr config list` shows them all."""


class NotFoundError(CdktrError):
    """There is nothing of that name; `cdktr task list` shows the workflows."""


def no_workflow(workflow_id: str) -> NotFoundError:
    """That there is no workflow of an id, in the words of the original API."""
    return NotFoundError(f"No workflow exists with id {workflow_id}")


class DefinitionError(CdktrError):
    """A workflow definition is wrong; `cdktr validate` shows where."""


class ProtocolError(CdktrError):
    """A message does not follow the protocol."""


class RefusedError(CdktrError):
    """The principal refused the request."""


class UnprocessableError(CdktrError):
    """The request is right, and cannot be answered as it is."""


class UnreachableError(CdktrError):
    """The principal did not answer; is it running? `cdktr start principal` starts one.

    `was_asked`: it got the request, so whether it did what was asked is not known.
    """

    def __init__(self, message: str | None = None, was_asked: bool = False) -> None:
        super().__init__(message)
        self.was_asked = was_asked


class StartError(CdktrError):
    """The process cannot start here."""


class HeldError(StartError):
    """Another process holds what this one needs; `holder` says who and what."""

    def __init__(self, message: str | None = None, holder: str = "") -> None:
        super().__init__(message)
        self.holder = holder


class StoreError(CdktrError):
    """The database cannot be used."""


class IllegalTransition(CdktrError):
    """A state machine was asked for a move that its table does not hold."""
