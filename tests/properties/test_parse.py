import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cdktr.dag import Dag
from cdktr.labels import LABEL
from cdktr.parse import WorkflowProblems, parse_workflow
from cdktr.workflow import CatchUp, Retry, RunIf, Subprocess, Task, UvPython, Workflow

FILES = [path.read_bytes() for path in sorted((Path(__file__).parent.parent / "data").glob("*.yml"))]
#: What a slip of the finger, or of a merge, may leave behind.
SCRAPS = [
    b":",
    b"-",
    b"\t",
    b"\n",
    b"  ",
    b"[",
    b"]",
    b"{",
    b"}",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!x ",
    b"'",
    b'"',
    b"|",
    b"~",
]
SCRAPS += [b"${{", b"---\n", b"\x00", b"\xff", b"#", b"%", b"depends: [a]\n", b"name:", b"\xe2\x80\xa8", b"? "]


def parses_or_complains(text: str | bytes) -> None:
    try:
        workflow = parse_workflow(text, "w", "w.yml")
    except WorkflowProblems as error:
        problems = error.problems
    else:
        Dag({task_id: task.depends for task_id, task in workflow.tasks.items()})
        return
    assert problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)
    assert "".join(map(str, problems)).isprintable()


@given(st.text())
def test_any_text(text: str) -> None:
    parses_or_complains(text)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    parses_or_complains(data)


@given(st.lists(st.sampled_from([*SCRAPS, b"tasks:", b"config: !Subprocess", b"cmd: x", b"a:"])).map(b"".join))
def test_scraps_of_yaml(data: bytes) -> None:
    parses_or_complains(data)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An example in which pieces were removed, doubled or put in."""
    data = draw(st.sampled_from(FILES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 12)))
        data = data[:start] + draw(st.sampled_from([b"", data[start:end] * 2, *SCRAPS])) + data[end:]
    return data


@given(damaged())
def test_damaged_files(data: bytes) -> None:
    parses_or_complains(data)


ids = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
lines = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(
    lambda text: bool(text.strip()) and "${{" not in text
)
values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x01")).filter(
    lambda text: "${{" not in text
)
envs = st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True), values, max_size=2)
durations = st.integers(1, 10**6).map(float)
configs = st.builds(Subprocess, lines, st.lists(values, max_size=3).map(tuple)) | st.builds(
    UvPython, lines, st.none() | st.lists(lines, max_size=2).map(tuple), st.none() | st.booleans(), st.none(), st.none()
)
retries = st.builds(Retry, st.integers(0, 9), durations, st.integers(1, 4).map(float), durations)


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    tasks: dict[str, Task] = {}
    for task_id in draw(st.lists(ids, min_size=1, max_size=4, unique=True)):
        depends = draw(st.lists(st.sampled_from(list(tasks)), unique=True)) if tasks else []
        tasks[task_id] = Task(
            draw(lines),
            draw(configs),
            draw(st.none() | lines),
            tuple(depends),
            draw(envs),
            draw(st.none() | lines),
            draw(st.none() | durations),
            draw(retries),
            draw(st.sampled_from(RunIf)),
            draw(st.booleans()),
        )
    start = draw(st.none() | st.datetimes(datetime(1971, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
    params = draw(st.dictionaries(ids.filter(str.isidentifier), st.none() | values | st.integers(-9, 9), max_size=2))
    reserved = ("PATH", "HOME", "LD_", "CDKTR_")
    params = {name: value for name, value in params.items() if not name.startswith(reserved)}
    return Workflow(
        "w",
        draw(lines),
        tasks,
        "w.yml",
        draw(st.none() | lines),
        None,
        start,
        "UTC",
        draw(envs),
        params,
        draw(durations),
        draw(st.sampled_from(CatchUp)),
        tuple(sorted(draw(st.sets(st.from_regex(LABEL, fullmatch=True), max_size=3)))),
    )


def mapping(fields: dict[str, Any], tag: str = "") -> str:
    """YAML on one line; a key whose value is None is left out."""
    inner = ", ".join(f"{key}: {value}" for key, value in fields.items() if value is not None)
    return f"{tag} {{{inner}}}"


def text(value: object) -> str | None:
    """Text, lists and mappings of text as JSON writes them, which YAML reads too but for its surrogates."""
    if value is None:
        return None
    return re.sub(r"[^\x20-\x7e]", lambda match: f"\\U{ord(match[0]):08x}", json.dumps(value, ensure_ascii=False))


def task_text(task: Task) -> str:
    config, retry = task.config, task.retry
    if isinstance(config, Subprocess):
        inner = mapping({"cmd": text(config.cmd), "args": text(config.args)}, "!Subprocess")
    else:
        fields = {"script_path": config.script_path, "packages": config.packages, "is_uv_project": config.is_uv_project}
        inner = mapping({key: text(value) for key, value in fields.items()}, "!UvPython")
    return mapping(
        {
            "name": text(task.name),
            "config": inner,
            "description": text(task.description),
            "depends": text(task.depends),
            "env": text(task.env),
            "working_directory": text(task.working_directory),
            "timeout": task.timeout_s,
            "retries": retry.retries,
            "retry_delay": retry.delay_s,
            "retry_backoff": mapping({"factor": retry.backoff, "cap": retry.cap_s}),
            "run_if": task.run_if,
            "allow_failure": text(task.allow_failure),
        }
    )


def workflow_text(workflow: Workflow) -> str:
    fields = {
        "name": text(workflow.name),
        "description": text(workflow.description),
        "start_time": workflow.start_time and workflow.start_time.isoformat(),
        "timezone": workflow.timezone,
        "catch_up": workflow.catch_up.value,
        "env": text(workflow.env),
        "params": text(workflow.params),
        "timeout": workflow.timeout_s,
        "requires": text(workflow.requires),
    }
    rows = [f"{key}: {value}\n" for key, value in fields.items() if value is not None]
    return "".join(rows) + "tasks:\n" + "".join(f"  {key}:{task_text(task)}\n" for key, task in workflow.tasks.items())


@given(workflows())
def test_what_was_written_is_what_is_read(workflow: Workflow) -> None:
    assert parse_workflow(workflow_text(workflow), "w", "w.yml") == workflow
