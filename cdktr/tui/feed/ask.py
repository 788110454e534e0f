"""From what is wanted to requests, and from the replies to what the state keeps; an older principal is asked less."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cdktr import protocol as p
from cdktr.client import QUERY_S
from cdktr.codec import outline_from_json, workflow_from_json
from cdktr.dag import Dag
from cdktr.errors import NotFoundError, ProtocolError, RefusedError
from cdktr.health import Waiting
from cdktr.messages import Request, Structured
from cdktr.tui.feed.checked import checked, has_kind
from cdktr.tui.state import wants as w
from cdktr.tui.state.facts import (
    Abilities,
    Agent,
    Folder,
    Latest,
    OwnLine,
    Problem,
    Run,
    RunsPage,
    RunTasks,
    agent_of,
    own_line_of,
    problem_of,
    run_of,
    task_of,
)
from cdktr.workflow import Outline, Workflow

#: Asks the principal; the second argument is how many seconds beyond the usual time-out it may take.
Ask = Callable[[Request, float], Any]

#: What a principal can do that does not tell: one of cdktr 0.0.14.
ORIGINAL = Abilities("", frozenset(verb for verb, kind in p.VERBS.items() if not issubclass(kind, Structured)))

#: Lines of the principal's own log that are kept.
OWN_LINES = 2_000

#: Which of the principal's revisions says whether the answer to a want may have changed; others are always asked.
REVISION_OF: dict[type[w.Want], str] = {
    w.TheFolder: "workflows",
    w.TheDefinition: "workflows",
    w.TheLatest: "runs",
    w.TheRuns: "runs",
    w.Recent: "runs",
    w.TheTasks: "runs",
}


#: Seconds by which two clocks may differ without anybody's notice.
SKEW_S = 3.0


#: What the answer to each want is.
KINDS: dict[type[w.Want], Any] = {
    w.Facts: dict[str, Any],
    w.TheFolder: Folder,
    w.TheDefinition: Workflow | None,
    w.TheLatest: dict[str, Latest],
    w.TheAgents: tuple[Agent, ...],
    w.TheRuns: RunsPage,
    w.Recent: tuple[Run, ...],
    w.TheTasks: RunTasks,
    w.OwnLog: tuple[OwnLine, ...],
}


#: What is known of what a principal tells of itself: whatever of it is not of this kind is taken as not told.
FACTS: dict[str, Any] = {
    **dict.fromkeys(("version", "host", "workflow_dir", "db_path", "data_directory"), str),
    **dict.fromkeys(("database_trouble", "journal_trouble"), str | None),
    **dict.fromkeys(("scheduler", "stopping"), bool),
    **dict.fromkeys(("pid", "port", "workflows", "problems", "queued", "running", "ended_unstored", "agents"), int),
    **dict.fromkeys(("free_slots", "unstored_rows", "unstored_bytes", "unstored_bytes_limit", "dropped_lines"), int),
    **dict.fromkeys(("agents_spooled_bytes", "agents_dropped_lines"), int),
    **dict.fromkeys(("database_set_aside", "database_losses", "agents_left", "agents_killed"), list[str]),
    **dict.fromkeys(("now_ms", "heartbeat_timeout_ms"), int),
    **dict.fromkeys(("uptime_s", "ahead_s"), float),
    "revisions": dict[str, int],
    "paused": dict[str, int],
    **dict.fromkeys(("unplaceable", "crowded"), list[Waiting]),
}


def _ahead(seconds: float) -> float:
    """How far the principal's clock is ahead of ours, where that is more than its answer may take."""
    return float(round(seconds)) if abs(seconds) > SKEW_S else 0.0


@contextmanager
def understood() -> Iterator[None]:
    """Where replies are read. Raises ProtocolError for one that is not as expected: another version may be there."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"The principal's reply cannot be read: {error!r}") from None


def abilities(ask: Ask) -> Abilities:
    """What the principal can do. Raises CdktrError, also for a reply that is not as expected.

    Only one that refuses the word is an old one: one that says nothing may be held up, and know it as soon as it wakes.
    """
    try:
        told = ask(p.Capabilities(), 0)
    except RefusedError:
        return ORIGINAL
    with understood():
        arguments = {verb: frozenset(names) for verb, names in told.get("arguments", {}).items()}
        return Abilities(str(told["version"]), frozenset(told["verbs"]), arguments)


class Questions:
    """Answers wants of one principal, as it can; for one thread."""

    def __init__(self, ask: Ask, able: Abilities) -> None:
        self._ask = ask
        self._able = able
        self._own_log: tuple[OwnLine, ...] = ()
        self._after: int | None = None
        #: All definitions, of a principal that tells no less, and how often they were others.
        self._whole: dict[str, Any] | None = None
        self._changes = 0

    def answer(self, want: w.Want) -> Any:
        """What the state keeps of it. Raises CdktrError, also for a reply that is not as expected."""
        with understood():
            return checked(self._answer(want), KINDS[type(want)])

    def _answer(self, want: w.Want) -> Any:
        match want:
            case w.Facts():
                return self._facts()
            case w.TheFolder():
                return self._folder()
            case w.TheDefinition(workflow_id):
                return self._definition(workflow_id)
            case w.TheLatest():
                return self._latest()
            case w.TheAgents():
                return tuple(agent_of(each) for each in self._ask(p.GetRegisteredAgents(), 0))
            case w.TheRuns():
                return self._history(want)
            case w.Recent(workflow_id):
                return self._runs(p.ListRuns(workflow_id, limit=w.RECENT))
            case w.TheTasks(run_id):
                return self._tasks(run_id)
            case w.OwnLog():
                return self._own_lines()

    def _facts(self) -> dict[str, Any]:
        if self._able.has("STATUS"):
            told = checked(self._ask(p.ClusterStatus(), 0), dict[str, Any])
            found = {name: value for name, value in told.items() if has_kind(value, FACTS.get(name, Any))}
            if "now_ms" in found:
                # What it is at this moment is no fact that lasts.
                found["ahead_s"] = _ahead(found.pop("now_ms") / 1000 - time.time())
            return found
        self._ask(p.Ping(), 0)
        return {}

    def _folder(self) -> Folder:
        if self._able.has("LSCATALOG"):
            told = self._ask(p.ListCatalog(), QUERY_S)
            found, revision = told["workflows"], told["revision"]
        else:
            whole = self._all()
            found, revision = [whole[name] for name in sorted(whole)], self._changes
        told = self._ask(p.ListProblems(), 0) if self._able.has("LSPROBLEMS") else []
        problems = list(map(problem_of, told))
        workflows = []
        for each in found:
            try:
                with understood():
                    workflows.append(checked(outline_from_json(each), Outline))
            except ProtocolError as error:
                name = each.get("id") if isinstance(each, dict) else each
                problems.append(Problem(str(name), str(error)))
        return Folder(tuple(workflows), tuple(problems), revision)

    def _all(self) -> dict[str, Any]:
        """The definitions, where a principal cannot tell less. They are kept, to tell one of them."""
        whole = dict(self._ask(p.ListWorkflows(), QUERY_S))
        if whole != self._whole:
            self._whole = whole
            self._changes += 1
        return whole

    def _definition(self, workflow_id: str) -> Workflow | None:
        if self._able.has("GETWORKFLOW"):
            try:
                found = self._ask(p.GetWorkflow(workflow_id), 0)
            except NotFoundError:
                return None
        else:
            found = (self._all() if self._whole is None else self._whole).get(workflow_id)
            if found is None:
                return None
        workflow = workflow_from_json(found)
        # One that does not fit together cannot be drawn.
        Dag({task_id: task.depends for task_id, task in workflow.tasks.items()})
        return workflow

    def _latest(self) -> dict[str, Latest]:
        if self._able.has("LSLATEST"):
            found = self._ask(p.ListLatest(), QUERY_S)
        else:
            found = {each["workflow_id"]: each for each in self._ask(p.GetRecentStatuses(), QUERY_S)}
        return {
            name: Latest(each["workflow_instance_id"], each["status"], each["timestamp_ms"])
            for name, each in found.items()
        }

    def _runs(self, request: p.ListRuns) -> tuple[Run, ...]:
        return tuple(map(run_of, self._ask(request, QUERY_S)))

    def _history(self, want: w.TheRuns) -> RunsPage:
        part = want.part
        request = p.ListRuns(want.workflow_id or None, None, want.status or None, want.limit, part.offset)
        if not self._able.has("LSRUNS", "counted"):
            return RunsPage(self._runs(request), part.offset)
        asked = replace(request, contains=want.text or None, oldest=part.oldest, counted=True)
        told = self._ask(asked, QUERY_S)
        runs, total = tuple(map(run_of, told["runs"])), int(told["total"])
        return RunsPage(runs, max(total - part.offset - len(runs), 0) if part.oldest else part.offset, total)

    def _tasks(self, run_id: str) -> RunTasks:
        runs = self._runs(p.ListRuns(workflow_instance_id=run_id, limit=1))
        tasks = self._ask(p.ListTaskRuns(run_id), QUERY_S)
        return RunTasks(runs[0] if runs else None, tuple(map(task_of, tasks)))

    def _own_lines(self) -> tuple[OwnLine, ...]:
        told = self._ask(p.ListOwnLog(self._after), 0)
        self._after = told["next"]
        if told["lines"]:
            self._own_log = (*self._own_log, *map(own_line_of, told["lines"]))[-OWN_LINES:]
        return self._own_log
