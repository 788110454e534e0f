"""`cdktr task list | show | history | reload`: workflows and their runs."""

import shutil
import sys
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cdktr.cli import Exit
from cdktr.cli.common import TroubleTeller, connect, is_terminal, say, show, show_json
from cdktr.cli.logs import window
from cdktr.cli.names import check_run, check_workflow, definition, find_workflow, outlines
from cdktr.cli.show import history_table, run_lines, workflow_lines, workflows_table
from cdktr.client import Principal
from cdktr.codec import workflow_from_json
from cdktr.errors import NotFoundError, SettingError
from cdktr.health import paused_since, problem_line
from cdktr.moments import next_run, schedule_in_words
from cdktr.protocol import ClusterStatus, ListLatest, ListProblems, ListRuns, ListTaskRuns, ListWorkflows, Reload
from cdktr.text import plural
from cdktr.workflow import Workflow

#: Columns, where no terminal sets an end.
UNLIMITED = 100_000


def list_workflows(arguments: Namespace) -> int:
    """List what is in force, and what is wrong in the folder."""
    with connect(arguments) as principal:
        # For a program, the tasks and parameters too.
        whole = principal.ask(ListWorkflows()) if arguments.json else {}
        workflows = [] if arguments.json else outlines(principal)
        latest = principal.ask(ListLatest())
        problems = principal.ask(ListProblems())
        state = _state(principal)
    scheduled, paused = _is_scheduled(state), paused_since(state)
    now = datetime.now(UTC)
    if arguments.json:
        facts = [
            _facts(workflow_from_json(whole[name]), latest.get(name), now, scheduled, paused.get(name))
            for name in sorted(whole)
        ]
        show_json({"scheduler": scheduled, "workflows": facts, "problems": problems})
        return Exit.DONE
    if workflows:
        show(workflows_table(workflows, latest, now, _columns(), scheduled, paused))
    else:
        say("The workflow folder holds no workflow; `cdktr init` writes an example.")
    _tell_problems(problems)
    return Exit.DONE


def _is_scheduled(state: Mapping[str, Any]) -> bool:
    """Whether somebody looks at the schedules. A principal that does not say is from before it could be off."""
    return bool(state.get("scheduler", True))


def _state(principal: Principal) -> Any:
    """How the principal is; tells if that keeps what it showed from being complete."""
    state = principal.ask(ClusterStatus())
    TroubleTeller()(state.get("database_trouble"))
    return state


def _facts(workflow: Workflow, latest: Any, now: datetime, scheduled: bool, paused_ms: int | None) -> dict[str, Any]:
    due = next_run(workflow, now) if scheduled and paused_ms is None else None
    return {
        "id": workflow.id,
        "name": workflow.name,
        "description": workflow.description,
        "cron": workflow.cron,
        "timezone": workflow.timezone,
        "schedule": schedule_in_words(workflow),
        "next_run": due.isoformat() if due else None,
        "paused_ms": paused_ms,
        "tasks": list(workflow.tasks),
        "params": dict(workflow.params),
        "requires": list(workflow.requires),
        "latest": latest,
    }


def _columns() -> int | None:
    """Those of the terminal; None where there is none, and nothing is to be cut."""
    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None


def _tell_problems(problems: list[dict[str, Any]]) -> None:
    if problems:
        say(f"\n{plural(len(problems), 'problem')} in the workflow folder:")
        for problem in problems:
            say(problem_line(problem))


def show_workflow(arguments: Namespace) -> int:
    """Show a definition with its graph, or how a run of it went."""
    if not (arguments.workflow or arguments.run):
        raise SettingError("cdktr task show needs the id of a workflow, or --run with that of a run")
    with connect(arguments) as principal:
        if arguments.run:
            return _show_run(principal, arguments)
        found = find_workflow(principal, arguments.workflow)
        latest = principal.ask(ListLatest()).get(arguments.workflow)
        state = _state(principal)
    scheduled, paused_ms = _is_scheduled(state), paused_since(state).get(arguments.workflow)
    workflow = workflow_from_json(found)
    now = datetime.now(UTC)
    if arguments.json:
        words = schedule_in_words(workflow)
        show_json({**found, "schedule": words, "scheduler": scheduled, "paused_ms": paused_ms, "latest": latest})
    else:
        show(workflow_lines(workflow, latest, now, *_canvas(), scheduled, paused_ms))
    return Exit.DONE


def _show_run(principal: Principal, arguments: Namespace) -> int:
    summary = check_run(principal, arguments.run)
    owner = summary["workflow_id"]
    if arguments.workflow not in (None, owner):
        raise NotFoundError(f"Run {arguments.run} is not one of {arguments.workflow} but of {owner}")
    tasks = principal.ask(ListTaskRuns(arguments.run))
    _state(principal)
    if arguments.json:
        show_json({**summary, "tasks": tasks})
        return Exit.DONE
    found = definition(principal, owner) if owner else None
    show(run_lines(summary, tasks, workflow_from_json(found) if found else None, datetime.now(UTC), *_canvas()))
    return Exit.DONE


def _canvas() -> tuple[int, bool]:
    """The columns there are to draw on, and whether box characters can be shown."""
    encoding: str = getattr(sys.stdout, "encoding", None) or "ascii"
    return _columns() or UNLIMITED, encoding.lower().replace("-", "").startswith("utf")


def history(arguments: Namespace) -> int:
    """List runs."""
    filters: Mapping[str, Any] = {"workflow_id": arguments.workflow, "status": arguments.status}
    start, end = window(arguments, datetime.now(UTC), None)
    with connect(arguments) as principal:
        answer = principal.ask(ListRuns(**filters, limit=arguments.limit, start_ms=start, end_ms=end))
        found = [run for run in answer if _is_within(run, start, end)]
        if len(found) < len(answer):
            say(f"cdktr: this principal is older and knows no times: only its newest {len(answer)} runs were looked at")
        if not found and arguments.workflow:
            check_workflow(principal, arguments.workflow)
        _state(principal)
    if arguments.json:
        show_json(found)
    elif found:
        show(history_table(found, datetime.now(UTC), _columns()))
    else:
        say("No run matches.")
    return Exit.DONE


def _is_within(run: Mapping[str, Any], start_ms: int | None, end_ms: int | None) -> bool:
    """Whether it was queued or under way then, as far as is known."""
    is_late_enough = start_ms is None or run["ended_ms"] is None or run["ended_ms"] >= start_ms
    return is_late_enough and (end_ms is None or run["queued_ms"] is None or run["queued_ms"] < end_ms)


def reload(arguments: Namespace) -> int:
    """Have the folder read, and tell what changed."""
    with connect(arguments) as principal:
        # A folder of ten thousand files takes longer than a request may.
        answer = principal.ask(Reload(), rest_s=60)
    if arguments.json:
        show_json(answer)
    else:
        changes = [f"{what:<9}{name}" for what in ("added", "changed", "removed") for name in answer[what]]
        show(changes or ["Nothing changed."])
        _tell_problems(answer["problems"])
    return Exit.ENDED_BADLY if answer["problems"] else Exit.DONE
