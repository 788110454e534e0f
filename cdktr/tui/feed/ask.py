"""From what is wanted to requests, and from the replies to what the state keeps; an older principal is asked less."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cdktr import protocol as p
from cdktr.client import QUERY_S
from cdktr.codec import workflow_from_json
from cdktr.errors import ProtocolError, RefusedError
from cdktr.messages import Request, Structured
from cdktr.tui.state import wants as w
from cdktr.tui.state.facts import (
    Abilities,
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

#: Asks the principal; the second argument is how many seconds beyond the usual time-out it may take.
Ask = Callable[[Request, float], Any]

#: What a principal can do that does not tell: one of cdktr 0.0.14.
ORIGINAL = Abilities("", frozenset(verb for verb, kind in p.VERBS.items() if not issubclass(kind, Structured)))

#: Lines of the principal's own log that are kept.
OWN_LINES = 2_000

#: Which of the principal's revisions says whether the answer to a want may have changed; others are always asked.
REVISION_OF: dict[type[w.Want], str] = {
    w.TheFolder: "workflows",
    w.TheLatest: "runs",
    w.TheRuns: "runs",
    w.Recent: "runs",
    w.TheTasks: "runs",
}


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

    def answer(self, want: w.Want) -> Any:
        """What the state keeps of it. Raises CdktrError, also for a reply that is not as expected."""
        with understood():
            return self._answer(want)

    def _answer(self, want: w.Want) -> Any:
        match want:
            case w.Facts():
                return self._facts()
            case w.TheFolder():
                return self._folder()
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
            return dict(self._ask(p.ClusterStatus(), 0))
        self._ask(p.Ping(), 0)
        return {}

    def _folder(self) -> Folder:
        found = self._ask(p.ListWorkflows(), QUERY_S)
        told = self._ask(p.ListProblems(), 0) if self._able.has("LSPROBLEMS") else []
        problems = list(map(problem_of, told))
        workflows = []
        for name in sorted(found):
            try:
                workflows.append(workflow_from_json(found[name]))
            except ProtocolError as error:
                problems.append(Problem(name, str(error)))
        return Folder(tuple(workflows), tuple(problems))

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
