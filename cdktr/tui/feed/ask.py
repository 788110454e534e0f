"""Which requests answer a want, and what their replies become. Reads leniently: principals of all versions answer."""

from collections.abc import Callable, Mapping
from typing import Any

from cdktr import protocol as p
from cdktr.client import QUERY_S, Principal
from cdktr.codec import workflow_from_json
from cdktr.errors import ProtocolError, RefusedError, UnreachableError
from cdktr.messages import Positional
from cdktr.tui.state import wants as w
from cdktr.tui.state.facts import (
    Abilities,
    Folder,
    Latest,
    OwnLine,
    Problem,
    RunTasks,
    agent_of,
    own_line_of,
    problem_of,
    run_of,
    task_of,
)

#: What a principal knows that does not know CAPABILITIES.
ORIGINAL = Abilities("0.0.14", frozenset(verb for verb, kind in p.VERBS.items() if issubclass(kind, Positional)))

#: Lines of its own log that are asked for.
OWN_LINES = 1_000


def abilities(principal: Principal) -> Abilities:
    """What the principal can do. Raises UnreachableError."""
    try:
        found = principal.ask(p.Capabilities())
    except UnreachableError:
        # It may be silent about what it does not know.
        principal.ask(p.Ping())
        return ORIGINAL
    except RefusedError:
        return ORIGINAL
    arguments = found.get("arguments") or {}
    return Abilities(
        str(found.get("version", "?")),
        frozenset(found.get("verbs") or ()),
        {verb: frozenset(names) for verb, names in arguments.items()},
    )


def _facts(principal: Principal, _: w.Facts, can: Abilities) -> Mapping[str, Any]:
    if not can.has("STATUS"):
        principal.ask(p.Ping())
        return {}
    found: Mapping[str, Any] = principal.ask(p.ClusterStatus())
    return found


def _folder(principal: Principal, _: w.TheFolder, can: Abilities) -> Folder:
    found = principal.ask(p.ListWorkflows(), QUERY_S)
    problems: list[Problem] = []
    workflows = []
    for name in sorted(found):
        try:
            workflows.append(workflow_from_json(found[name]))
        except ProtocolError as error:
            problems.append(Problem(name, str(error)))
    if can.has("LSPROBLEMS"):
        problems += map(problem_of, principal.ask(p.ListProblems()))
    return Folder(tuple(workflows), tuple(problems))


def _latest(principal: Principal, _: w.TheLatest, can: Abilities) -> Mapping[str, Latest]:
    if can.has("LSLATEST"):
        found = principal.ask(p.ListLatest(), QUERY_S)
    else:
        found = {each["workflow_id"]: each for each in principal.ask(p.GetRecentStatuses())}
    names = ("workflow_instance_id", "status", "timestamp_ms")
    return {name: Latest(*(each[key] for key in names)) for name, each in found.items()}


def _agents(principal: Principal, _: w.TheAgents, _can: Abilities) -> tuple[Any, ...]:
    return tuple(map(agent_of, principal.ask(p.GetRegisteredAgents())))


def _runs(principal: Principal, want: w.TheRuns, _can: Abilities) -> tuple[Any, ...]:
    request = p.ListRuns(want.workflow_id or None, None, want.status or None, want.limit, want.offset)
    return tuple(map(run_of, principal.ask(request, QUERY_S)))


def _recent(principal: Principal, want: w.Recent, _can: Abilities) -> tuple[Any, ...]:
    return tuple(map(run_of, principal.ask(p.ListRuns(want.workflow_id, limit=w.RECENT), QUERY_S)))


def _tasks(principal: Principal, want: w.TheTasks, _can: Abilities) -> RunTasks:
    runs = principal.ask(p.ListRuns(workflow_instance_id=want.run_id, limit=1), QUERY_S)
    tasks = principal.ask(p.ListTaskRuns(want.run_id), QUERY_S)
    return RunTasks(run_of(runs[0]) if runs else None, tuple(map(task_of, tasks)))


def _own_log(principal: Principal, _: w.OwnLog, _can: Abilities) -> tuple[OwnLine, ...]:
    return tuple(map(own_line_of, principal.ask(p.ListOwnLog(limit=OWN_LINES))["lines"]))


ANSWERS: Mapping[type[w.Want], Callable[[Principal, Any, Abilities], Any]] = {
    w.Facts: _facts,
    w.TheFolder: _folder,
    w.TheLatest: _latest,
    w.TheAgents: _agents,
    w.TheRuns: _runs,
    w.Recent: _recent,
    w.TheTasks: _tasks,
    w.OwnLog: _own_log,
}


def answer(principal: Principal, want: w.Want, can: Abilities) -> Any:
    """What is wanted. Raises CdktrError; ProtocolError for a reply that cannot be read."""
    try:
        return ANSWERS[type(want)](principal, want, can)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"The reply of the principal cannot be read: {error!r}") from None
