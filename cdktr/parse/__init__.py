"""YAML text to `Workflow`, or every problem of the file with its place.

Each reader below takes (file, node, what it is called), reports what is wrong and then returns some harmless
value: one pass finds everything, and a `Workflow` leaves this module only if nothing was found.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from math import isfinite
from typing import Any, TypeVar

from cdktr.dag import find_cycle
from cdktr.errors import DefinitionError, SettingError
from cdktr.parse.tree import MAX_BYTES, MAX_PROBLEMS, File, Node, Problem, WorkflowProblems, near, quoted, read_tree
from cdktr.parse.values import labels, start_time
from cdktr.text import parse_duration
from cdktr.workflow import PLACEHOLDER, CatchUp, Retry, RunIf, Scalar, Subprocess, Task, UvPython, Workflow

__all__ = ["ID", "ID_RULE", "MAX_BYTES", "MAX_PROBLEMS", "Problem", "WorkflowProblems", "parse_workflow"]

#: Seconds, of any duration in a file.
MAX_DURATION_S = 366 * 86400.0

#: Workflow and task ids: they become parts of file names, topics and command lines.
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
ID_RULE = "an id has up to 200 letters, digits, '_', '-' and '.', and does not begin with '-' or '.'"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COUNT = re.compile(r"[0-9]{1,6}")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_INT = re.compile(r"0|-?[1-9][0-9]{0,17}")
_FLOAT = re.compile(r"-?[0-9]+\.[0-9]+")
_FLAGS = {word: True for text in ("true", "yes", "on") for word in (text, text.title(), text.upper())}
_FLAGS |= {word: False for text in ("false", "no", "off") for word in (text, text.title(), text.upper())}
_BOOLEANS = {word: flag for word, flag in _FLAGS.items() if word.lower() in ("true", "false")}

#: What no terminal should be sent in a name, a path or a command.
_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_PROSE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
#: No process can be given the first; the second separates fields of log lines.
_NOT_IN_A_VALUE = re.compile("[\x00\x01\ud800-\udfff]")


def parse_workflow(text: str | bytes, workflow_id: str, path: str) -> Workflow:
    """The workflow in `text`. Raises WorkflowProblems, whose places are in `path`."""
    file = File(path)
    root = read_tree(file, text)
    given = _fields(file, root, "a workflow", _WORKFLOW, ("name", "tasks"))
    _check_cron(file, root, given)
    _check_templates(file, given.get("params") or {})
    if file.problems:
        raise WorkflowProblems(file.problems)
    return Workflow(id=workflow_id, path=path, **given)


# Readers of values

_Reader = Callable[[File, Node, str], Any]
#: Key in the file: the field that it fills, and how it is read.
_Table = Mapping[str, tuple[str, _Reader]]
_Kind = TypeVar("_Kind", str, list[Any], dict[str, Any])


def _take(file: File, node: Node, kind: type[_Kind], what: str, tag: str | None = None) -> _Kind | None:
    """The value of a node if it is of that kind and bears that tag; None after a problem was reported."""
    value = node.value
    if type(value) is kind and node.tag == tag and (kind is not str or not node.is_null):
        return value
    expected = {str: "text", list: "a list", dict: "a mapping"}[kind]
    file.add(node.mark, f"{what} must be {expected}, found {node.found}")
    return None


def _text(file: File, node: Node, what: str, forbidden: re.Pattern[str]) -> str | None:
    text = _take(file, node, str, what)
    bad = text and forbidden.search(text)
    if bad:
        file.add(node.mark, f"{what} holds the control character {bad[0]!r}", "remove it")
    return text


def _line(file: File, node: Node, what: str) -> str:
    """A name, a path or a command."""
    text = _text(file, node, what, _NOT_IN_A_LINE)
    if text is None:
        return ""
    if not text.strip():
        file.add(node.mark, f"{what} must not be empty")
    if "${{" in text:
        file.add(node.mark, f"{what} cannot hold '${{{{'", "parameters are filled in only in 'args' and 'env'")
    return text


def _prose(file: File, node: Node, what: str) -> str:
    return _text(file, node, what, _NOT_IN_PROSE) or ""


def _value(file: File, node: Node, what: str) -> str:
    """An argument or the value of a variable."""
    text = _text(file, node, what, _NOT_IN_A_VALUE) or ""
    if "${{" in text:
        file.templates.append(node)
    return text


def _list_of(read: _Reader) -> _Reader:
    def read_list(file: File, node: Node, what: str) -> tuple[Any, ...]:
        items, what = _take(file, node, list, what) or (), f"an item of {what}"
        return tuple([read(file, item, what) for item in items])

    return read_list


def _ids(file: File, node: Node, what: str) -> tuple[str, ...]:
    """Whether there are such tasks is for `_check_graph` to say."""
    if node.is_null:
        return ()
    items = _take(file, node, list, what) or ()
    return tuple([_take(file, item, str, f"an item of {what}") or "" for item in items])


def _flag(file: File, node: Node, what: str) -> bool:
    if not node.plain or node.value not in _FLAGS:
        file.add(node.mark, f"{what} must be true or false, found {node.found}")
    return _FLAGS.get(node.text, False)


def _count(file: File, node: Node, what: str) -> int:
    if not _COUNT.fullmatch(node.text):
        file.add(node.mark, f"{what} must be a whole number from 0 to 999999, found {node.found}")
        return 0
    return int(node.text)


def _wait(file: File, node: Node, what: str, least: float = 0.0) -> float:
    """Seconds."""
    try:
        seconds = parse_duration(node.text)
    except SettingError:
        file.add(node.mark, f"{what} must be a duration, found {node.found}", "write 90, 500ms, 5m or 1h30m")
        return 0.0
    if not least <= seconds <= MAX_DURATION_S:
        limits = f"more than 0 and at most {MAX_DURATION_S / 86400:.0f}d"
        file.add(node.mark, f"{what} must be {limits}, found {node.found}")
    return seconds


def _timeout(file: File, node: Node, what: str) -> float:
    return _wait(file, node, what, least=0.001)


def _factor(file: File, node: Node, what: str) -> float:
    number = float(node.text) if _NUMBER.fullmatch(node.text) else 0.0
    if not (number >= 1 and isfinite(number)):
        file.add(node.mark, f"{what} must be a number of at least 1, found {node.found}")
    return number


def _backoff(file: File, node: Node, what: str) -> dict[str, Any]:
    if isinstance(node.value, dict):
        return _fields(file, node, what, _BACKOFF, ("factor",))
    return {"backoff": _factor(file, node, what)}


def _one_of(kind: type[StrEnum]) -> _Reader:
    def read_word(file: File, node: Node, what: str) -> StrEnum:
        if node.text in (words := list(kind)):
            return kind(node.text)
        file.add(node.mark, f"{what} must be one of {', '.join(words)}, found {node.found}", near(node.text, words))
        return words[0]

    return read_word


def _timezone(file: File, node: Node, what: str) -> str:
    zone = _line(file, node, what)
    return zone if zone and _check_schedule(file, node, "@daily", zone) else "UTC"


def _default(file: File, node: Node, what: str) -> Scalar | None:
    """A number only if nothing of its text is lost: `1.10` and `007` are text."""
    if node.is_null:
        return None
    text = _text(file, node, what, _NOT_IN_A_VALUE) or ""
    if not node.plain:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    return _BOOLEANS.get(text, text)


# Readers of mappings


def _fields(
    file: File, node: Node, what: str, table: _Table, required: Iterable[str] = (), tag: str | None = None
) -> dict[str, Any]:
    """The fields of a mapping by its table. Those required are there even when the file lacks them."""
    given: dict[str, Any] = dict.fromkeys(table[key][0] for key in required)
    values = _take(file, node, dict, what, tag)
    if values is None:
        return given
    for name, (key, value) in values.items():
        if name in table:
            field, read = table[name]
            given[field] = read(file, value, f"'{name}'")
        else:
            _reject(file, key, what, table)
    for name in required:
        if name not in values:
            file.add(node.mark, f"{what} needs the key '{name}'")
    return given


def _reject(file: File, key: Node, what: str, table: _Table) -> None:
    if key.value in _NOT_YET:
        file.add(key.mark, f"'{key.value}' is not supported yet")
    else:
        hint = near(key.value, table) or f"known here: {', '.join(table)}"
        file.add(key.mark, f"unknown key {quoted(key.value)} in {what}", hint)


def _variables(read: _Reader, reserved: re.Pattern[str]) -> _Reader:
    """A mapping from names as the environment has them."""

    def read_variables(file: File, node: Node, what: str) -> dict[str, Any]:
        values = _take(file, node, dict, what) or {}
        for name, (key, _) in values.items():
            if not _NAME.fullmatch(name):
                hint = "a name has letters, digits and '_', and does not begin with a digit"
                file.add(key.mark, f"{quoted(name)} in {what} is not a valid name", hint)
            elif reserved.match(name):
                file.add(key.mark, f"{quoted(name)} in {what} is reserved", "choose another name")
        return {name: read(file, value, f"{quoted(name)} in {what}") for name, (_, value) in values.items()}

    return read_variables


def _config(file: File, node: Node, what: str) -> Subprocess | UvPython | None:
    if node.tag is not None and node.tag in _CONFIGS:
        kind, table, required = _CONFIGS[node.tag]
        return kind(**_fields(file, node, node.tag, table, (required,), node.tag))
    hint = near(node.tag or "", _CONFIGS)
    if isinstance(node.value, dict):
        hint = hint or next((f"add {tag}" for tag, row in _CONFIGS.items() if row[2] in node.value), "")
    file.add(node.mark, f"{what} must have the tag {' or '.join(_CONFIGS)}, found {node.found}", hint)
    return None


def _task(file: File, node: Node) -> Task:
    given = _fields(file, node, "a task", _TASK, ("name", "config"))
    config = given["config"]
    if "working_directory" in given and isinstance(config, UvPython) and config.working_directory is not None:
        mark = node.value["working_directory"][0].mark
        file.add(mark, "'working_directory' is both in the task and in its 'config'", "give it once")
    retry = {name: given.pop(name) for name in ("retries", "delay_s") if name in given} | given.pop("backoff", {})
    if retry:
        given["retry"] = Retry(**retry)
    return Task(**given)


def _tasks(file: File, node: Node, what: str) -> dict[str, Task]:
    tasks = _take(file, node, dict, what)
    if tasks is None:
        return {}
    if not tasks:
        file.add(node.mark, f"{what} is empty", "a workflow needs at least one task")
    for task_id, (key, _) in tasks.items():
        if not ID.fullmatch(task_id):
            file.add(key.mark, f"{quoted(task_id)} cannot be the id of a task", ID_RULE)
    _check_graph(file, {task_id: _depends(task) for task_id, (_, task) in tasks.items()})
    return {task_id: _task(file, task) for task_id, (_, task) in tasks.items()}


def _depends(task: Node) -> list[Node]:
    """The ids in `depends`, however wrong the rest of the task is."""
    pair = task.value.get("depends") if isinstance(task.value, dict) else None
    return [item for item in pair[1].value if item.text] if pair and isinstance(pair[1].value, list) else []


# Checks of the whole


def _check_graph(file: File, depends: Mapping[str, list[Node]]) -> None:
    graph = {task_id: _edges(file, task_id, items, depends) for task_id, items in depends.items()}
    while cycle := find_cycle({task_id: tuple(edges) for task_id, edges in graph.items()}):
        path = " -> ".join(cycle) if len(cycle) <= 20 else f"{' -> '.join(cycle[:19])} -> ... -> {cycle[-1]}"
        file.add(graph[cycle[0]][cycle[1]].mark, f"tasks depend on each other in a circle: {path}")
        graph |= {task_id: {} for task_id in cycle}


def _edges(file: File, task_id: str, items: list[Node], known: Mapping[str, Any]) -> dict[str, Node]:
    edges: dict[str, Node] = {}
    for item in items:
        name = item.text
        if name == task_id:
            file.add(item.mark, f"the task {quoted(name)} depends on itself")
        elif name in edges:
            file.add(item.mark, f"{quoted(name)} is there twice in 'depends'")
        elif name not in known:
            file.add(item.mark, f"'depends' names {quoted(name)}, which is no task of this file", near(name, known))
        else:
            edges[name] = item
    return edges


def _check_schedule(file: File, node: Node, cron: str, zone: str) -> bool:
    # Here, because most files have neither a schedule nor a zone.
    from cdktr.cron import Schedule

    try:
        Schedule.parse(cron, zone)
    except DefinitionError as error:
        file.add(node.mark, str(error))
        return False
    return True


def _check_cron(file: File, root: Node, given: Mapping[str, Any]) -> None:
    if not given.get("cron"):
        return
    _check_schedule(file, root.value["cron"][1], given["cron"], given.get("timezone", "UTC"))
    for name, default in given.get("params", {}).items():
        if default is None:
            key, _ = root.value["params"][1].value[name]
            hint = "give it a default, or remove 'cron'"
            file.add(key.mark, f"the parameter {quoted(name)} has no default, and a schedule cannot give one", hint)


def _check_templates(file: File, params: Mapping[str, Any]) -> None:
    for node in file.templates:
        for name in dict.fromkeys(PLACEHOLDER.findall(node.text)):
            if name not in params:
                hint = near(name, params) or "declare it in 'params' of the workflow"
                file.add(node.mark, f"there is no parameter {quoted(name)}", hint)
        if "${{" in PLACEHOLDER.sub(" ", node.text):
            file.add(node.mark, "'${{' begins no parameter", "write ${{ params.NAME }}")


# What a file may say

_ENV = _variables(_value, re.compile("CDKTR_"))
_PARAMS = _variables(_default, re.compile("CDKTR_|LD_|PATH$|HOME$"))
_NOT_YET = frozenset("max_active_runs overlap on_failure on_success priority".split())

_SUBPROCESS: _Table = {"cmd": ("cmd", _line), "args": ("args", _list_of(_value))}
_UV_PYTHON: _Table = {
    "script_path": ("script_path", _line),
    "packages": ("packages", _list_of(_line)),
    "is_uv_project": ("is_uv_project", _flag),
    "working_directory": ("working_directory", _line),
    "uv_path": ("uv_path", _line),
}
#: What each tag makes, of which keys, and the one that it must have.
_CONFIGS: Mapping[str, tuple[type[Subprocess | UvPython], _Table, str]] = {
    "!Subprocess": (Subprocess, _SUBPROCESS, "cmd"),
    "!UvPython": (UvPython, _UV_PYTHON, "script_path"),
}
_BACKOFF: _Table = {"factor": ("backoff", _factor), "cap": ("cap_s", _timeout)}
_TASK: _Table = {
    "name": ("name", _line),
    "description": ("description", _prose),
    "depends": ("depends", _ids),
    "config": ("config", _config),
    "env": ("env", _ENV),
    "working_directory": ("working_directory", _line),
    "timeout": ("timeout_s", _timeout),
    "retries": ("retries", _count),
    "retry_delay": ("delay_s", _wait),
    "retry_backoff": ("backoff", _backoff),
    "run_if": ("run_if", _one_of(RunIf)),
    "allow_failure": ("allow_failure", _flag),
}
_WORKFLOW: _Table = {
    "name": ("name", _line),
    "description": ("description", _prose),
    "cron": ("cron", _line),
    "start_time": ("start_time", start_time),
    "timezone": ("timezone", _timezone),
    "catch_up": ("catch_up", _one_of(CatchUp)),
    "env": ("env", _ENV),
    "params": ("params", _PARAMS),
    "timeout": ("timeout_s", _timeout),
    "requires": ("requires", labels),
    "tasks": ("tasks", _tasks),
}
