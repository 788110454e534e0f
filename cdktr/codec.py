"""The shape of a Workflow in the API's JSON, both ways.

The keys of the original API stand unchanged; ours are added beside them, never inside `config`. The graph is there
twice, as `task_map` and as the indexed `inner`, because existing readers use either.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cdktr.errors import ProtocolError
from cdktr.workflow import Assignment, CatchUp, Outline, Retry, RunIf, Subprocess, Task, UvPython, Workflow

#: Stands for "no start time": existing agents refuse a Workflow without one.
NO_START_TIME = "1970-01-01T00:00:00+00:00"


def workflow_to_json(workflow: Workflow) -> dict[str, Any]:
    """The JSON object of a workflow."""
    return {
        "id": workflow.id,
        "name": workflow.name,
        "description": workflow.description,
        "path": workflow.path,
        "cron": workflow.cron,
        "start_time": workflow.start_time.isoformat() if workflow.start_time else NO_START_TIME,
        "dag": _dag_to_json(workflow),
        "timezone": workflow.timezone,
        "catch_up": workflow.catch_up.value,
        "env": dict(workflow.env),
        "params": dict(workflow.params),
        "timeout_s": workflow.timeout_s,
        "requires": list(workflow.requires),
    }


def _dag_to_json(workflow: Workflow) -> dict[str, Any]:
    index = {task_id: number for number, task_id in enumerate(workflow.tasks)}
    edges = [[index[d], index[task_id], 0] for task_id, task in workflow.tasks.items() for d in task.depends]
    return {
        "name": workflow.name,
        "first_tasks": [task_id for task_id, task in workflow.tasks.items() if not task.depends],
        "task_map": {task_id: _task_to_json(task) for task_id, task in workflow.tasks.items()},
        "task_id_node_ix_map": index,
        "inner": {"nodes": list(index), "node_holes": [], "edge_property": "directed", "edges": edges},
    }


def _task_to_json(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "description": task.description,
        "depends": list(task.depends) or None,
        "config": _config_to_json(task.config),
        "env": dict(task.env),
        "working_directory": task.working_directory,
        "timeout_s": task.timeout_s,
        "retries": task.retry.retries,
        "retry_delay_s": task.retry.delay_s,
        "retry_backoff": task.retry.backoff,
        "retry_cap_s": task.retry.cap_s,
        "run_if": task.run_if.value,
        "allow_failure": task.allow_failure,
    }


def _config_to_json(config: Subprocess | UvPython) -> dict[str, Any]:
    if isinstance(config, Subprocess):
        return {"Subprocess": {"cmd": config.cmd, "args": list(config.args)}}
    return {
        "UvPython": {
            "script_path": config.script_path,
            "is_uv_project": config.is_uv_project,
            "packages": None if config.packages is None else list(config.packages),
            "uv_path": config.uv_path,
            "working_directory": config.working_directory,
        }
    }


def workflow_from_json(value: Mapping[str, Any]) -> Workflow:
    """The workflow of a JSON object. Keys of ours may be missing. Raises ProtocolError."""
    try:
        return Workflow(
            id=value["id"],
            name=value["name"],
            tasks={task_id: _task_from_json(task) for task_id, task in value["dag"]["task_map"].items()},
            path=value.get("path") or "",
            description=value.get("description"),
            cron=value.get("cron"),
            start_time=_start_time(value.get("start_time")),
            timezone=value.get("timezone") or "UTC",
            catch_up=CatchUp(value.get("catch_up") or CatchUp.NONE),
            env=value.get("env") or {},
            params=value.get("params") or {},
            timeout_s=value.get("timeout_s"),
            requires=tuple(value.get("requires") or ()),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"A workflow cannot be read from its JSON: {error!r}") from None


def outline_to_json(workflow: Workflow) -> dict[str, Any]:
    """The JSON object of what a list tells of a workflow."""
    outline = Outline.of(workflow)
    return {
        "id": outline.id,
        "name": outline.name,
        "path": outline.path,
        "cron": outline.cron,
        "start_time": outline.start_time.isoformat() if outline.start_time else None,
        "timezone": outline.timezone,
        "tasks": outline.tasks,
        "params": outline.has_params,
    }


def outline_from_json(value: Mapping[str, Any]) -> Outline:
    """The outline of such an object, or of that of a whole workflow. Raises ProtocolError."""
    try:
        return Outline(
            id=value["id"],
            name=value["name"],
            path=value.get("path") or "",
            cron=value.get("cron"),
            start_time=_start_time(value.get("start_time")),
            timezone=value.get("timezone") or "UTC",
            tasks=len(value["dag"]["task_map"]) if "dag" in value else value["tasks"],
            has_params=bool(value.get("params")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"A workflow cannot be read from its JSON: {error!r}") from None


def assignment_to_json(job: Assignment) -> dict[str, Any]:
    """The JSON object of a run that is handed to an agent."""
    return {
        "workflow": workflow_to_json(job.workflow),
        "workflow_instance_id": job.run_id,
        "token": job.token,
        "first_number": job.first_number,
        "params": dict(job.params),
    }


def assignment_from_json(value: Mapping[str, Any]) -> Assignment:
    """The run of a JSON object. Raises ProtocolError."""
    try:
        workflow = workflow_from_json(value["workflow"])
        names = ("workflow_instance_id", "token", "first_number", "params")
        return Assignment(workflow, *(value[name] for name in names))
    except (KeyError, TypeError) as error:
        raise ProtocolError(f"An assignment cannot be read from its JSON: {error!r}") from None


def _start_time(text: str | None) -> datetime | None:
    """Raises ValueError for what is no instant."""
    if not text or text == NO_START_TIME:
        return None
    start = datetime.fromisoformat(text)
    if start.tzinfo is None:
        raise ValueError(f"the start time {text} has no zone")
    return start


def _task_from_json(value: Mapping[str, Any]) -> Task:
    default = Retry()
    return Task(
        name=value["name"],
        config=_config_from_json(value["config"]),
        description=value.get("description"),
        depends=tuple(value.get("depends") or ()),
        env=value.get("env") or {},
        working_directory=value.get("working_directory"),
        timeout_s=value.get("timeout_s"),
        retry=Retry(
            value.get("retries", default.retries),
            value.get("retry_delay_s", default.delay_s),
            value.get("retry_backoff", default.backoff),
            value.get("retry_cap_s", default.cap_s),
        ),
        run_if=RunIf(value.get("run_if", RunIf.ALL_SUCCEEDED)),
        allow_failure=value.get("allow_failure", False),
    )


def _config_from_json(value: Mapping[str, Any]) -> Subprocess | UvPython:
    [(kind, body)] = value.items()
    if kind == "Subprocess":
        return Subprocess(body["cmd"], tuple(body.get("args") or ()))
    packages = body.get("packages")
    return {"UvPython": UvPython}[kind](
        body["script_path"],
        None if packages is None else tuple(packages),
        body.get("is_uv_project"),
        body.get("working_directory"),
        body.get("uv_path"),
    )
