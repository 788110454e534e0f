"""`cdktr task pause | resume`: whether the clock starts a workflow."""

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from cdktr.cli import Exit
from cdktr.cli.common import connect, say, show, show_json
from cdktr.cli.names import refuse_workflow
from cdktr.client import Principal
from cdktr.errors import NotFoundError, RefusedError, UnreachableError
from cdktr.moments import when, zone
from cdktr.protocol import Pause, Resume


def pause(arguments: Namespace) -> int:
    """Keep the clock from starting workflows."""
    return _change(arguments, Pause, _paused)


def resume(arguments: Namespace) -> int:
    """Let the clock start workflows again."""
    return _change(arguments, Resume, _resumed)


def _paused(workflow_id: str, answer: dict[str, Any]) -> str:
    if answer["changed"]:
        return f"{workflow_id} is paused: its schedule starts nothing, `cdktr task run {workflow_id}` still does"
    since = answer["paused_ms"]
    return f"{workflow_id} is paused already, since {when(since)} {zone([since])}".rstrip()


def _resumed(workflow_id: str, answer: dict[str, Any]) -> str:
    if answer["changed"]:
        return f"{workflow_id} is resumed: its schedule goes on, and what passed meanwhile is not made up for"
    return f"{workflow_id} is not paused"


def _change(arguments: Namespace, kind: type[Pause] | type[Resume], tell: Callable[[str, dict[str, Any]], str]) -> int:
    """One after the other; an id that is not known keeps no other from being done."""
    answers: dict[str, Any] = {}
    code = Exit.DONE
    with connect(arguments) as principal:
        try:
            for workflow_id in dict.fromkeys(arguments.workflows):
                try:
                    answers[workflow_id] = _ask(principal, kind(workflow_id))
                except NotFoundError as error:
                    say(f"cdktr: {error}")
                    code = Exit.NOT_FOUND
                    continue
                if not arguments.json:
                    show([tell(workflow_id, answers[workflow_id])])
        finally:
            # Also when something else went wrong: what was done is done.
            if arguments.json:
                show_json(answers)
    return code


def _ask(principal: Principal, request: Pause | Resume) -> Any:
    try:
        return principal.ask(request)
    except NotFoundError:
        refuse_workflow(principal, request.workflow_id)
    except RefusedError as error:
        # It wants nothing but an id.
        raise RefusedError(
            f"{error}. This principal is older than `cdktr task pause`; start a newer cdktr there"
        ) from None
    except UnreachableError as error:
        if not error.was_asked:
            raise
        what = f"Whether that was done with {request.workflow_id} is not known"
        raise UnreachableError(f"{error}. {what}; give the same command again") from None
