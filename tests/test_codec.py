import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from cdktr.codec import (
    NO_START_TIME,
    assignment_from_json,
    assignment_to_json,
    outline_from_json,
    outline_to_json,
    workflow_from_json,
    workflow_to_json,
)
from cdktr.errors import ProtocolError
from cdktr.workflow import Assignment, CatchUp, Outline, Retry, RunIf, Subprocess, Task, UvPython, Workflow

DAILY = Workflow(
    id="etl.daily",
    name="Daily",
    path="workflows/etl/daily.yml",
    cron="0 0 2 * * *",
    start_time=datetime(2025, 1, 20, 12, 30, tzinfo=UTC),
    tasks={
        "extract": Task("Extract", Subprocess("echo", ("hi",))),
        "load": Task("Load", UvPython("load.py", ("pandas>=2",)), depends=("extract",)),
        "other": Task("Other", Subprocess("true")),
        "join": Task("Join", Subprocess("true"), depends=("other", "load")),
    },
)

#: Everything that a definition can say.
FULL = Workflow(
    id="full",
    name="Full",
    description="All of it",
    path="full.yml",
    cron="0 2 * * *",
    start_time=datetime(2025, 1, 20, 12, 30, 0, 5, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    timezone="Europe/Berlin",
    env={"A": "1"},
    params={"text": "x", "whole": 3, "part": 0.5, "flag": False, "must": None},
    timeout_s=7200.0,
    catch_up=CatchUp.LATEST,
    requires=("gpu", "zone=eu"),
    tasks={
        "one": Task(
            "One",
            Subprocess("sh", ("-c", "${{ params.text }}", "")),
            description="First",
            env={"B": "\x01\0ü"},
            working_directory="/srv",
            timeout_s=1.5,
            retry=Retry(3, 0.5, 2.0, 600.0),
            run_if=RunIf.ALL_DONE,
            allow_failure=True,
        ),
        "two": Task("Two", UvPython("two.py", (), True, "/srv", "/usr/bin/uv"), depends=("one",)),
    },
)

#: As an agent of the original API gets it, and as another principal may send it: without any key of ours.
ORIGINAL: dict[str, Any] = {
    "id": "etl.daily",
    "name": "Daily",
    "description": None,
    "path": "workflows/etl/daily.yml",
    "cron": "0 0 2 * * *",
    "start_time": "2025-01-20T12:30:00+00:00",
    "dag": {
        "name": "Daily",
        "first_tasks": ["extract", "other"],
        "task_map": {
            "extract": {
                "name": "Extract",
                "description": None,
                "depends": None,
                "config": {"Subprocess": {"cmd": "echo", "args": ["hi"]}},
            },
            "load": {
                "name": "Load",
                "description": None,
                "depends": ["extract"],
                "config": {
                    "UvPython": {
                        "script_path": "load.py",
                        "is_uv_project": None,
                        "packages": ["pandas>=2"],
                        "uv_path": None,
                        "working_directory": None,
                    }
                },
            },
            "other": {
                "name": "Other",
                "description": None,
                "depends": None,
                "config": {"Subprocess": {"cmd": "true", "args": []}},
            },
            "join": {
                "name": "Join",
                "description": None,
                "depends": ["other", "load"],
                "config": {"Subprocess": {"cmd": "true", "args": []}},
            },
        },
        "task_id_node_ix_map": {"extract": 0, "load": 1, "other": 2, "join": 3},
        "inner": {
            "nodes": ["extract", "load", "other", "join"],
            "node_holes": [],
            "edge_property": "directed",
            "edges": [[0, 1, 0], [2, 3, 0], [1, 3, 0]],
        },
    },
}


def shared(ours: Any, theirs: Any) -> Any:
    """What of `ours` stands under the keys that `theirs` has too, but all of what must not grow."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        kept = {key: shared(value, theirs[key]) for key, value in ours.items() if key in theirs and key != "config"}
        return kept | ({"config": ours["config"]} if "config" in ours else {})
    return ours


def test_the_original_shape_is_all_there() -> None:
    assert shared(workflow_to_json(DAILY), ORIGINAL) == ORIGINAL


def test_the_original_shape_is_enough() -> None:
    assert workflow_from_json(ORIGINAL) == DAILY


@pytest.mark.parametrize("workflow", [DAILY, FULL])
def test_nothing_is_lost_on_the_way(workflow: Workflow) -> None:
    back = workflow_from_json(json.loads(json.dumps(workflow_to_json(workflow))))
    assert back == workflow
    assert list(back.tasks) == list(workflow.tasks)


def test_no_start_time_is_the_epoch_on_the_wire() -> None:
    value = workflow_to_json(replace(DAILY, start_time=None))
    assert value["start_time"] == NO_START_TIME == "1970-01-01T00:00:00+00:00"
    assert workflow_from_json(value).start_time is None
    assert workflow_from_json(value | {"start_time": None}).start_time is None


def test_absent_is_null_and_arguments_are_always_a_list() -> None:
    value = workflow_to_json(Workflow("w", "W", {"t": Task("T", Subprocess("true"))}))
    assert (value["description"], value["cron"]) == (None, None)
    assert value["dag"]["task_map"]["t"]["depends"] is None
    assert value["dag"]["task_map"]["t"]["config"] == {"Subprocess": {"cmd": "true", "args": []}}
    [config] = [task["config"] for task in workflow_to_json(FULL)["dag"]["task_map"].values()][1:]
    assert list(config) == ["UvPython"]


def with_task(**changes: Any) -> dict[str, Any]:
    task = ORIGINAL["dag"]["task_map"]["extract"] | changes
    return ORIGINAL | {"dag": ORIGINAL["dag"] | {"task_map": {"extract": task}}}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in ORIGINAL.items() if name != key}


@pytest.mark.parametrize(
    "value",
    [
        {},
        without("id"),
        without("name"),
        without("dag"),
        ORIGINAL | {"dag": None},
        ORIGINAL | {"dag": {}},
        ORIGINAL | {"dag": {"task_map": []}},
        ORIGINAL | {"dag": {"task_map": {"a": None}}},
        ORIGINAL | {"start_time": "yesterday"},
        ORIGINAL | {"start_time": 5},
        with_task(config=None),
        with_task(config={}),
        with_task(config={"Subprocess": {}}),
        with_task(config={"Subprocess": None}),
        with_task(config={"Docker": {"script_path": "x"}}),
        with_task(config={"Subprocess": {"cmd": "a"}, "UvPython": {"script_path": "b"}}),
        with_task(config={"UvPython": {"packages": 5, "script_path": "x"}}),
        with_task(depends=5),
        with_task(run_if="never"),
        ORIGINAL | {"catch_up": "never"},
        with_task(run_if=[]),
    ],
)
def test_what_is_no_workflow(value: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match="A workflow cannot be read"):
        workflow_from_json(value)


def test_an_assignment_both_ways() -> None:
    workflow = Workflow("etl", "ETL", {"a": Task("A", Subprocess("true"))})
    job = Assignment(workflow, "calm-otter-1", "secret", 7, {"day": "monday"})
    assert assignment_from_json(assignment_to_json(job)) == job


@pytest.mark.parametrize("missing", ["workflow", "workflow_instance_id", "token", "first_number", "params"])
def test_an_assignment_with_something_missing(missing: str) -> None:
    workflow = Workflow("etl", "ETL", {"a": Task("A", Subprocess("true"))})
    value = assignment_to_json(Assignment(workflow, "calm-otter-1", "secret", 7, {}))
    del value[missing]
    with pytest.raises(ProtocolError, match=missing):
        assignment_from_json(value)


@pytest.mark.parametrize("workflow", [DAILY, FULL])
def test_an_outline_is_the_same_of_a_definition_and_of_what_a_list_tells(workflow: Workflow) -> None:
    told = json.loads(json.dumps(outline_to_json(workflow)))
    assert outline_from_json(told) == outline_from_json(workflow_to_json(workflow)) == Outline.of(workflow)
    assert "dag" not in told


@pytest.mark.parametrize("odd", [None, [], {}, {"id": "a"}, {"id": "a", "name": "A", "tasks": 1, "start_time": "soon"}])
def test_an_outline_that_cannot_be_read(odd: Any) -> None:
    with pytest.raises(ProtocolError):
        outline_from_json(odd)
