"""A definition and what a run makes of it: parameters, environment, waits."""

import pytest

from cdktr.errors import DefinitionError
from cdktr.workflow import (
    Retry,
    Scalar,
    Subprocess,
    Task,
    UvPython,
    Workflow,
    bind_params,
    fill,
    resolve,
    scalar_text,
)


def with_params(**params: Scalar | None) -> Workflow:
    """A workflow with these, and their defaults."""
    return Workflow("etl", "ETL", {}, params=params)


# Parameters.


@pytest.mark.parametrize(
    ("default", "given", "text"),
    [
        ("x", "y", "y"),
        ("x", 3, "3"),
        ("x", True, "true"),
        ("x", "", ""),
        ("3", "three", "three"),
        (3, "4", "4"),
        (3, 4, "4"),
        (3, "07", "7"),
        (3, -1, "-1"),
        (1.5, "2.25", "2.25"),
        (1.5, 2, "2.0"),
        (1.5, 1e-7, "1e-07"),
        (True, "false", "false"),
        (True, "FALSE", "false"),
        (True, False, "false"),
        (None, "anything", "anything"),
        (None, 3, "3"),
        (None, False, "false"),
    ],
)
def test_a_given_value_reads_as_the_type_of_the_default(default: Scalar | None, given: Scalar, text: str) -> None:
    assert bind_params(with_params(p=default), {"p": given}) == {"p": text}


@pytest.mark.parametrize(
    ("default", "given", "kind"),
    [
        (3, "x", "a whole number"),
        (3, "1.5", "a whole number"),
        (3, 1.5, "a whole number"),
        (3, True, "a whole number"),
        (3, "", "a whole number"),
        (1.5, "x", "a number"),
        (1.5, True, "a number"),
        (True, "yes", "true or false"),
        (True, 1, "true or false"),
        (False, "", "true or false"),
    ],
)
def test_a_value_of_another_type_is_refused(default: Scalar, given: Scalar, kind: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        bind_params(with_params(day=default), {"day": given})
    assert str(caught.value) == f"Parameter day of workflow etl must be {kind}, not {scalar_text(given)!r}"


def test_defaults_hold_where_nothing_is_given() -> None:
    workflow = with_params(a="x", b=3, c=True, d=0.5)
    assert bind_params(workflow, {"b": 4}) == {"a": "x", "b": "4", "c": "true", "d": "0.5"}


def test_a_parameter_without_default_must_be_given() -> None:
    with pytest.raises(DefinitionError, match="Workflow etl needs the parameter day; give --param day=VALUE"):
        bind_params(with_params(day=None), {})


@pytest.mark.parametrize(
    ("params", "known"), [({}, "none"), ({"day": "x", "hour": 1}, "day, hour")], ids=["none", "some"]
)
def test_an_unknown_parameter_is_refused(params: dict[str, Scalar | None], known: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        bind_params(with_params(**params), {"dya": "x", "zzz": "y"})
    assert str(caught.value) == f"Workflow etl has no parameter dya; it has: {known}"


def test_a_value_fit_for_no_environment_is_refused() -> None:
    with pytest.raises(DefinitionError, match="day of workflow etl holds a NUL"):
        bind_params(with_params(day="x"), {"day": "a\0b"})


# Placeholders.


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("${{ params.day }}", "monday"),
        ("${{params.day}}/${{  params.n  }}", "monday/3"),
        ("${{ params.trick }}", "${{ params.day }}"),
        (
            "${{ env.day }} ${ params.day } $day {{ params.day }}",
            "${{ env.day }} ${ params.day } $day {{ params.day }}",
        ),
        ("$${{ params.n }}", "$3"),
        (r"${{ params.back }}", r"\1\g<0>"),
    ],
)
def test_placeholders(text: str, filled: str) -> None:
    params = {"day": "monday", "n": "3", "trick": "${{ params.day }}", "back": r"\1\g<0>"}
    assert fill(text, params) == filled


def test_a_placeholder_without_parameter() -> None:
    with pytest.raises(DefinitionError, match=r"no parameter dya for \$\{\{ params.dya \}\}"):
        fill("${{ params.dya }}", {"day": "x"})


def test_a_task_ready_to_run() -> None:
    task = Task(
        "Load",
        Subprocess("load", ("--day", "${{ params.day }}", "x${{ params.day }}x")),
        env={"both": "task", "T": "${{ params.day }}", "day": "task's"},
        working_directory="/srv/${{ params.day }}",
    )
    workflow = Workflow("w", "W", {"load": task}, env={"both": "workflow", "W": "w-${{ params.day }}", "n": "workflow"})
    ready = resolve(workflow, "load", {"day": "monday", "n": "3"})
    assert ready.config == Subprocess("load", ("--day", "monday", "xmondayx"))
    assert ready.env == {"both": "task", "W": "w-monday", "n": "3", "T": "monday", "day": "task's"}
    assert (ready.name, ready.working_directory) == ("Load", "/srv/${{ params.day }}")
    assert task.config == Subprocess("load", ("--day", "${{ params.day }}", "x${{ params.day }}x")), "unchanged"


def test_a_script_keeps_its_configuration() -> None:
    config = UvPython("a.py", packages=("x",))
    workflow = Workflow("w", "W", {"t": Task("T", config, env={"A": "${{ params.a }}"})})
    ready = resolve(workflow, "t", {"a": "1"})
    assert ready.config == config
    assert ready.env == {"a": "1", "A": "1"}


@pytest.mark.parametrize("where", ["args", "env", "workflow env"])
def test_a_task_with_an_unknown_placeholder(where: str) -> None:
    text = "${{ params.nothing }}"
    task = Task("T", Subprocess("x", (text if where == "args" else "",)), env={"A": text if where == "env" else ""})
    workflow = Workflow("w", "W", {"t": task}, env={"B": text if where == "workflow env" else ""})
    with pytest.raises(DefinitionError, match="no parameter nothing"):
        resolve(workflow, "t", {})


# Retries.


@pytest.mark.parametrize(
    ("retry", "waits"),
    [
        (Retry(3), [0, 0, 0]),
        (Retry(3, delay_s=5), [5, 5, 5]),
        (Retry(4, delay_s=1, backoff=2), [1, 2, 4, 8]),
        (Retry(4, delay_s=1, backoff=3, cap_s=10), [1, 3, 9, 10]),
        (Retry(2, delay_s=60, cap_s=10), [10, 10]),
        (Retry(3, delay_s=8, backoff=0.5), [8, 4, 2]),
        (Retry(3, delay_s=3000, backoff=2), [3000, 3600, 3600]),
    ],
)
def test_the_wait_before_each_attempt(retry: Retry, waits: list[float]) -> None:
    assert [retry.delay_before(attempt) for attempt in range(2, 2 + len(waits))] == waits


@pytest.mark.parametrize(
    ("retry", "wait"),
    [
        (Retry(9999, delay_s=1.0, backoff=10.0, cap_s=60), 60),
        (Retry(9999, delay_s=1, backoff=3, cap_s=60), 60),
        (Retry(9999, delay_s=0.0, backoff=10.0), 0),
        (Retry(9999, delay_s=8, backoff=0.5), 0),
    ],
)
def test_the_wait_after_thousands_of_attempts(retry: Retry, wait: float) -> None:
    assert retry.delay_before(9999) == wait
