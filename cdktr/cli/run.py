"""`cdktr task run`: trigger a run, and wait for it."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cdktr.cli import Exit
from cdktr.cli.common import TroubleTeller, WaitTeller, connect, is_terminal, say, show_json
from cdktr.cli.logs import PAGE, writer
from cdktr.cli.names import definition, refuse_workflow
from cdktr.cli.show import outcome
from cdktr.client import REST_MS, Principal
from cdktr.codec import workflow_from_json
from cdktr.errors import DefinitionError, NotFoundError, RefusedError, SettingError, StoreError, UnreachableError
from cdktr.protocol import ListLogs, ListTaskRuns, Trigger
from cdktr.workflow import bind_params


def run(arguments: Namespace) -> int:
    """Trigger a run, and with --wait or --follow stay until its end."""
    params = read_params(arguments.params_file, arguments.param)
    with connect(arguments) as principal:
        run_id = _trigger(principal, arguments.workflow, params)
        if not arguments.wait and not arguments.follow:
            _tell(run_id, arguments.json)
            return Exit.DONE
        if not arguments.json:
            print(run_id, flush=True)
        tell, is_queued = TroubleTeller(), WaitTeller(principal, run_id)
        try:
            if arguments.follow:
                request = ListLogs(workflow_instance_id=run_id, limit=PAGE, wait_ms=REST_MS)
                write = writer(arguments.json, of_one_run=is_terminal(sys.stdout))
                for lines in principal.follow(request, tell, is_queued):
                    write(lines)
            return _end(principal.await_run(run_id, tell, is_queued), principal, arguments.json, tell)
        except KeyboardInterrupt:
            say(f"The run goes on: `cdktr logs tail --run {run_id}`, `cdktr task show --run {run_id}`")
            raise


def read_params(file: str | None, pairs: Sequence[str]) -> dict[str, Any]:
    """The parameters of --params-file, with those of --param over them. Raises SettingError."""
    params = _from_file(file) if file is not None else {}
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise SettingError(f"--param {pair!r} is not K=V; expected something like --param day=2026-01-31")
        if name in given:
            raise SettingError(f"--param {name} is given twice, as {given[name]!r} and as {value!r}; give it once")
        given[name] = value
    return params | given


def _from_file(file: str) -> dict[str, Any]:
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"--params-file {file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SettingError(f"--params-file {file} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise SettingError(f'--params-file {file} must hold an object such as {{"day": "2026-01-31"}}')
    for name, value in found.items():
        if not isinstance(value, str | int | float):
            raise SettingError(f"--params-file {file}: {name} must be a text, a number, true or false")
    return found


def _trigger(principal: Principal, workflow_id: str, params: dict[str, Any]) -> str:
    try:
        answer = principal.ask(Trigger(workflow_id, params))
    except NotFoundError:
        refuse_workflow(principal, workflow_id)
    except RefusedError:
        _blame_params(definition(principal, workflow_id), params)
        raise
    except UnreachableError as error:
        if not error.was_asked:
            raise
        raise UnreachableError(
            f"{error}. Whether the run was accepted is not known: `cdktr task history {workflow_id}` shows it, "
            "once the principal answers"
        ) from None
    run_id: str = answer["workflow_instance_id"]
    return run_id


def _blame_params(found: Any, params: dict[str, Any]) -> None:
    """Raises SettingError if it was the parameters that the principal refused."""
    try:
        if found:
            bind_params(workflow_from_json(found), params)
    except DefinitionError as error:
        raise SettingError(str(error)) from None


def _tell(run_id: str, as_json: bool) -> None:
    if as_json:
        show_json({"workflow_instance_id": run_id})
        return
    print(run_id, flush=True)
    if is_terminal(sys.stderr):
        say(f"Accepted. Its output: `cdktr logs tail --run {run_id}`, later `cdktr logs query --run {run_id}`")


def _end(summary: dict[str, Any], principal: Principal, as_json: bool, tell: TroubleTeller) -> int:
    """Tell how the run has ended; the exit code says it too."""
    try:
        tasks = principal.ask_patiently(ListTaskRuns(summary["workflow_instance_id"]))
    except StoreError as error:
        # How the run ended is known all the same.
        tell(str(error))
        tasks = []
    if as_json:
        print(json.dumps({**summary, "tasks": tasks}), flush=True)
    else:
        say("\n".join(outcome(summary, tasks)))
    return Exit.DONE if summary["status"] == "COMPLETED" else Exit.ENDED_BADLY
