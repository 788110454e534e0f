"""Ids that a person typed: are they known, and if not, which may have been meant?"""

from typing import Any, NoReturn

from cdktr.client import Principal
from cdktr.codec import outline_from_json
from cdktr.errors import NotFoundError, RefusedError, SettingError
from cdktr.health import problem_line
from cdktr.protocol import AwaitRun, GetWorkflow, ListCatalog, ListProblems, ListRuns, ListWorkflows
from cdktr.text import near_ids
from cdktr.workflow import Outline


def check_run(principal: Principal, run_id: str) -> Any:
    """The summary of a run. Raises NotFoundError."""
    try:
        # Known also while the database cannot be written, unlike the list of runs.
        found = principal.ask(AwaitRun(run_id))
    except NotFoundError:
        raise NotFoundError(f"There is no run {run_id!r}; `cdktr task history` shows them") from None
    found.pop("trouble", None)
    return found


def outlines(principal: Principal) -> list[Outline]:
    """What a list tells of each workflow, by id. An older principal tells more."""
    try:
        found = principal.ask(ListCatalog())["workflows"]
    except RefusedError:
        told = principal.ask(ListWorkflows())
        found = [told[name] for name in sorted(told)]
    return [outline_from_json(each) for each in found]


def definition(principal: Principal, workflow_id: str) -> Any:
    """The definition in force, as JSON has it; None where there is no such workflow."""
    try:
        return principal.ask(GetWorkflow(workflow_id))
    except NotFoundError:
        return None
    except RefusedError:
        return principal.ask(ListWorkflows()).get(workflow_id)


def check_workflow(principal: Principal, workflow_id: str) -> None:
    """Raises NotFoundError for a workflow that is not there and never ran."""
    if not definition(principal, workflow_id) and not principal.ask(ListRuns(workflow_id=workflow_id, limit=1)):
        refuse_workflow(principal, workflow_id)


def find_workflow(principal: Principal, workflow_id: str) -> Any:
    """The definition in force, as JSON has it. Raises NotFoundError."""
    return definition(principal, workflow_id) or refuse_workflow(principal, workflow_id)


def task_name(principal: Principal, workflow_id: str | None, given: str) -> str:
    """The name under which a task's lines are kept: a person may also give its id."""
    only = definition(principal, workflow_id) if workflow_id is not None else None
    chosen = [only] if only else principal.ask(ListWorkflows()).values()
    tasks = [pair for workflow in chosen for pair in workflow["dag"]["task_map"].items()]
    if given in {task["name"] for _, task in tasks}:
        return given
    names = {task["name"] for task_id, task in tasks if task_id == given}
    if len(names) > 1:
        raise SettingError(f"Several workflows have a task {given}; give --workflow too")
    return names.pop() if names else given


def refuse_workflow(principal: Principal, workflow_id: str) -> NoReturn:
    """Raise NotFoundError that says which was meant, or what is wrong with its file."""
    # A workflow's id is its path with dots.
    end = workflow_id.replace(".", "/")
    for problem in principal.ask(ListProblems()):
        if problem["path"].rpartition(".")[0].endswith(f"/{end}"):
            raise NotFoundError(f"Workflow {workflow_id} cannot be used: {problem_line(problem)}")
    known = [each.id for each in outlines(principal)]
    raise NotFoundError(f"There is no workflow {workflow_id!r}; {hint(workflow_id, known)}")


def hint(workflow_id: str, known: list[str]) -> str:
    """What to do next."""
    if near := near_ids(workflow_id, known):
        return f"did you mean {' or '.join(near)}?"
    return "`cdktr task list` shows all" if known else "the principal's workflow folder is empty"
