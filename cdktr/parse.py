"""YAML text to `Workflow`, or every problem of the file with its place.

The text is read as a stream of events into a small tree of our own: no nesting can exhaust a stack, aliases
cannot multiply without limit, and every scalar keeps the text that was written (`007` stays "007").

Each reader below takes (file, node, what it is called), reports what is wrong and then returns some harmless
value: one pass finds everything, and a `Workflow` leaves this module only if nothing was found.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from math import isfinite
from typing import Any, ClassVar, NoReturn, TypeVar

import yaml

from cdktr.dag import find_cycle
from cdktr.errors import DefinitionError, SettingError
from cdktr.text import parse_duration
from cdktr.workflow import PLACEHOLDER, Retry, RunIf, Scalar, Subprocess, Task, UvPython, Workflow

#: Bytes of a file.
MAX_BYTES = 1024 * 1024
#: Lists and mappings inside each other.
MAX_DEPTH = 32
#: Values in a file, those counted again that an alias repeats. A task has about ten.
MAX_NODES = 200_000
#: Reading stops here: more would not be read by anybody.
MAX_PROBLEMS = 100
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
_BEFORE_OFFSET = re.compile(r"\s+(?=[Zz+-])")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_FLAGS = {word: True for text in ("true", "yes", "on") for word in (text, text.title(), text.upper())}
_FLAGS |= {word: False for text in ("false", "no", "off") for word in (text, text.title(), text.upper())}
_BOOLEANS = {word: flag for word, flag in _FLAGS.items() if word.lower() in ("true", "false")}

#: Not allowed in YAML at all, unless escaped.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
#: What no terminal should be sent in a name, a path or a command.
_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_IN_PROSE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
#: No process can be given the first; the second separates fields of log lines.
_NOT_IN_A_VALUE = re.compile("[\x00\x01\ud800-\udfff]")

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: A place, by `line` and `column` from 0. Its class depends on the parser.
_Mark = Any
_CORE_TAGS = {"!"} | {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a file. Lines and columns count from 1; line 0 stands for the file as a whole."""

    path: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        return f"{place}: {self.message}" + (f"; {self.hint}" if self.hint else "")


class WorkflowProblems(DefinitionError):
    """A workflow file is wrong."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        #: In the order of their places, each once.
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda problem: (problem.line, problem.column)))
        super().__init__("\n".join(map(str, self.problems)))


class _Node:
    """A value of the file: text, a list of nodes, or a mapping from a key's text to the nodes of key and value."""

    __slots__ = ("anchor", "mark", "plain", "size", "tag", "value")

    def __init__(self, event: Any, value: Any, tag: str | None, plain: bool = False) -> None:
        self.value = value
        self.mark: _Mark = event.start_mark
        self.anchor: str | None = event.anchor
        self.tag = None if tag is None or tag in _CORE_TAGS else tag
        #: Written without quotes, so that `null` or `true` are not just text.
        self.plain = plain and tag is None
        #: The nodes in it, itself included.
        self.size = 1

    @property
    def is_null(self) -> bool:
        """Whether nothing was written, or YAML's word for it."""
        return self.plain and self.value in _NULLS

    @property
    def text(self) -> str:
        """What was written; empty for all that is not text."""
        return self.value if isinstance(self.value, str) and not self.is_null and self.tag is None else ""

    @property
    def found(self) -> str:
        """What a person would call it."""
        if self.tag is not None:
            return f"the tag {_quoted(self.tag)}"
        if isinstance(self.value, str):
            return "nothing" if self.is_null else _quoted(self.value)
        return "a list" if isinstance(self.value, list) else "a mapping"


class _File:
    """The problems found so far, and what can be judged only at the end."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[Problem] = []
        #: Values in which parameters are filled in.
        self.templates: list[_Node] = []

    def add(self, mark: _Mark, message: str, hint: str = "") -> None:
        """Note a problem. Raises WorkflowProblems when there are enough of them."""
        self.problems.append(Problem(self.path, mark.line + 1, mark.column + 1, message, hint))
        if len(self.problems) >= MAX_PROBLEMS:
            raise WorkflowProblems(self.problems) from None

    def stop(self, mark: _Mark, message: str, hint: str = "") -> NoReturn:
        """Note a problem after which nothing more can be read. Raises WorkflowProblems."""
        self.add(mark, message, hint)
        raise WorkflowProblems(self.problems) from None


def parse_workflow(text: str | bytes, workflow_id: str, path: str) -> Workflow:
    """The workflow in `text`. Raises WorkflowProblems, whose places are in `path`."""
    file = _File(path)
    root = _compose(file, _decode(file, text))
    given = _fields(file, root, "a workflow", _WORKFLOW, ("name", "tasks"))
    _check_cron(file, root, given)
    _check_templates(file, given.get("params") or {})
    if file.problems:
        raise WorkflowProblems(file.problems)
    return Workflow(id=workflow_id, path=path, **given)


# Text to tree


def _decode(file: _File, text: str | bytes) -> str:
    try:
        data = text.encode() if isinstance(text, str) else text
        if len(data) > MAX_BYTES:
            file.stop(_mark(""), f"the file is larger than {MAX_BYTES} bytes")
        text = data.decode().removeprefix("\ufeff")
    except UnicodeError as error:
        before = error.object[: error.start] if isinstance(error, UnicodeEncodeError | UnicodeDecodeError) else ""
        file.stop(_mark(before.decode() if isinstance(before, bytes) else before), "the file is not UTF-8 text")
    bad = _UNPRINTABLE.search(text)
    if bad:
        file.stop(_mark(text[: bad.start()]), f"the file holds the character {bad[0]!r}", "remove it")
    return text


def _mark(before: str) -> _Mark:
    """The place at the end of `before`."""
    return yaml.Mark("", 0, before.count("\n"), len(before) - before.rfind("\n") - 1, None, 0)


def _compose(file: _File, text: str) -> _Node:
    tree = _Tree(file)
    try:
        tree.read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or _mark("")
        context = f" ({error.context})" if error.context else ""
        file.stop(mark, f"not valid YAML: {error.problem}{context}", _syntax_hint(text, mark))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        file.stop(_mark(""), f"not valid YAML: {str(error).partition(chr(10))[0]}")
    if not tree.roots or tree.roots[0].is_null:
        file.stop(_mark(""), "the file is empty", "a workflow needs 'name' and 'tasks'")
    return tree.roots[0]


def _syntax_hint(text: str, mark: _Mark) -> str:
    line = text.split("\n")[mark.line :][:1] or [""]
    if line[0][: mark.column + 1].endswith("\t"):
        return "indent with spaces, not tabs"
    return "put text with '${{' in quotes" if "${{" in line[0] else ""


class _Tree:
    """Nodes from events, within the limits."""

    def __init__(self, file: _File) -> None:
        #: The documents: one or none.
        self.roots: list[_Node] = []
        self._file = file
        #: What is not closed yet, outermost first: the node, its items, and the nodes counted before it.
        self._open: list[tuple[_Node, list[_Node], int]] = []
        #: Where the next node belongs. In a mapping, keys and values take turns.
        self._items = self.roots
        self._anchors: dict[str, _Node] = {}
        self._count = 0

    def read(self, text: str) -> None:
        """Fill `roots`. Raises yaml.YAMLError, and WorkflowProblems where a limit is passed."""
        loader = _LOADER(text)
        try:
            # The hot loop of this module: two thirds of all events are scalars.
            for event in iter(loader.get_event, None):
                if type(event) is yaml.ScalarEvent:
                    node = _Node(event, event.value, event.tag, event.implicit[0])
                    self._count += 1
                    self._items.append(node)
                    if node.anchor:
                        self._anchors[node.anchor] = node
                elif handle := self._HANDLERS.get(type(event)):
                    handle(self, event)
        finally:
            loader.dispose()

    def _document(self, event: Any) -> None:
        if self.roots:
            self._file.stop(event.start_mark, "a second document begins here", "a file holds one workflow")

    def _begin(self, event: Any) -> None:
        if len(self._open) == MAX_DEPTH:
            self._file.stop(event.start_mark, f"lists and mappings are nested more than {MAX_DEPTH} deep")
        self._items = []
        self._open.append((_Node(event, self._items, event.tag), self._items, self._count))
        self._count += 1

    def _end(self, event: Any) -> None:
        node, items, before = self._open.pop()
        node.size = self._count - before
        if type(event) is yaml.MappingEndEvent:
            node.value = _mapping(self._file, items)
        self._items = self._open[-1][1] if self._open else self.roots
        self._items.append(node)
        if node.anchor:
            self._anchors[node.anchor] = node

    def _repeat(self, event: Any) -> None:
        node = self._anchors.get(event.anchor)
        if node is None:
            message = f"the alias *{event.anchor} does not follow what it names"
            self._file.stop(event.start_mark, message, _near(event.anchor, self._anchors))
        self._count += node.size
        if self._count > MAX_NODES:
            self._file.stop(
                event.start_mark, f"with what its aliases repeat, the file has more than {MAX_NODES} values"
            )
        self._items.append(node)

    # Of the class: bound methods in each tree would be a cycle, which keeps it in memory.
    _HANDLERS: ClassVar[dict[type, Callable[["_Tree", Any], None]]] = {
        yaml.DocumentStartEvent: _document,
        yaml.MappingStartEvent: _begin,
        yaml.SequenceStartEvent: _begin,
        yaml.MappingEndEvent: _end,
        yaml.SequenceEndEvent: _end,
        yaml.AliasEvent: _repeat,
    }


def _mapping(file: _File, items: list[_Node]) -> dict[str, tuple[_Node, _Node]]:
    fields: dict[str, tuple[_Node, _Node]] = {}
    merged: list[_Node] = []
    for key, value in zip(items[::2], items[1::2], strict=True):
        name = key.value
        if not isinstance(name, str):
            file.add(key.mark, f"a key must be text, found {key.found}")
        elif name == "<<" and key.plain:
            merged += value.value if isinstance(value.value, list) else [value]
        elif name in fields:
            file.add(
                key.mark, f"the key {_quoted(name)} is there twice", f"first on line {fields[name][0].mark.line + 1}"
            )
        else:
            fields[name] = key, value
    for node in merged:
        if isinstance(node.value, dict):
            # The mapping's own keys win, then the first that is merged.
            for name, pair in node.value.items():
                fields.setdefault(name, pair)
        else:
            file.add(node.mark, f"'<<' takes mappings, found {node.found}")
    return fields


# Readers of values

_Reader = Callable[[_File, _Node, str], Any]
#: Key in the file: the field that it fills, and how it is read.
_Table = Mapping[str, tuple[str, _Reader]]
_Kind = TypeVar("_Kind", str, list[Any], dict[str, Any])


def _take(file: _File, node: _Node, kind: type[_Kind], what: str, tag: str | None = None) -> _Kind | None:
    """The value of a node if it is of that kind and bears that tag; None after a problem was reported."""
    value = node.value
    if type(value) is kind and node.tag == tag and (kind is not str or not node.plain or value not in _NULLS):
        return value
    expected = {str: "text", list: "a list", dict: "a mapping"}[kind]
    file.add(node.mark, f"{what} must be {expected}, found {node.found}")
    return None


def _text(file: _File, node: _Node, what: str, forbidden: re.Pattern[str]) -> str | None:
    text = _take(file, node, str, what)
    bad = text and forbidden.search(text)
    if bad:
        file.add(node.mark, f"{what} holds the control character {bad[0]!r}", "remove it")
    return text


def _line(file: _File, node: _Node, what: str) -> str:
    """A name, a path or a command."""
    text = _text(file, node, what, _NOT_IN_A_LINE)
    if text is None:
        return ""
    if not text.strip():
        file.add(node.mark, f"{what} must not be empty")
    if "${{" in text:
        file.add(node.mark, f"{what} cannot hold '${{{{'", "parameters are filled in only in 'args' and 'env'")
    return text


def _prose(file: _File, node: _Node, what: str) -> str:
    return _text(file, node, what, _NOT_IN_PROSE) or ""


def _value(file: _File, node: _Node, what: str) -> str:
    """An argument or the value of a variable."""
    text = _text(file, node, what, _NOT_IN_A_VALUE) or ""
    if "${{" in text:
        file.templates.append(node)
    return text


def _list_of(read: _Reader) -> _Reader:
    def read_list(file: _File, node: _Node, what: str) -> tuple[Any, ...]:
        items, what = _take(file, node, list, what) or (), f"an item of {what}"
        return tuple([read(file, item, what) for item in items])

    return read_list


def _ids(file: _File, node: _Node, what: str) -> tuple[str, ...]:
    """Whether there are such tasks is for `_check_graph` to say."""
    if node.is_null:
        return ()
    items = _take(file, node, list, what) or ()
    return tuple([_take(file, item, str, f"an item of {what}") or "" for item in items])


def _flag(file: _File, node: _Node, what: str) -> bool:
    if not node.plain or node.value not in _FLAGS:
        file.add(node.mark, f"{what} must be true or false, found {node.found}")
    return _FLAGS.get(node.text, False)


def _count(file: _File, node: _Node, what: str) -> int:
    if not _COUNT.fullmatch(node.text):
        file.add(node.mark, f"{what} must be a whole number from 0 to 999999, found {node.found}")
        return 0
    return int(node.text)


def _wait(file: _File, node: _Node, what: str, least: float = 0.0) -> float:
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


def _timeout(file: _File, node: _Node, what: str) -> float:
    return _wait(file, node, what, least=0.001)


def _factor(file: _File, node: _Node, what: str) -> float:
    number = float(node.text) if _NUMBER.fullmatch(node.text) else 0.0
    if not (number >= 1 and isfinite(number)):
        file.add(node.mark, f"{what} must be a number of at least 1, found {node.found}")
    return number


def _backoff(file: _File, node: _Node, what: str) -> dict[str, Any]:
    if isinstance(node.value, dict):
        return _fields(file, node, what, _BACKOFF, ("factor",))
    return {"backoff": _factor(file, node, what)}


def _run_if(file: _File, node: _Node, what: str) -> RunIf:
    if node.text not in list(RunIf):
        message = f"{what} must be one of {', '.join(RunIf)}, found {node.found}"
        file.add(node.mark, message, _near(node.text, list(RunIf)))
        return RunIf.ALL_SUCCEEDED
    return RunIf(node.text)


def _start_time(file: _File, node: _Node, what: str) -> datetime | None:
    """An ISO 8601 time; without an offset it is UTC."""
    try:
        # YAML allows a space before the offset.
        time = datetime.fromisoformat(_BEFORE_OFFSET.sub("", node.text.strip()))
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        file.add(node.mark, f"{what} must be a time such as 2025-01-20T02:00:00+00:00, found {node.found}")
        return None


def _timezone(file: _File, node: _Node, what: str) -> str:
    zone = _line(file, node, what)
    return zone if zone and _check_schedule(file, node, "@daily", zone) else "UTC"


def _default(file: _File, node: _Node, what: str) -> Scalar | None:
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
    file: _File, node: _Node, what: str, table: _Table, required: Iterable[str] = (), tag: str | None = None
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


def _reject(file: _File, key: _Node, what: str, table: _Table) -> None:
    if key.value in _NOT_YET:
        file.add(key.mark, f"'{key.value}' is not supported yet")
    else:
        hint = _near(key.value, table) or f"known here: {', '.join(table)}"
        file.add(key.mark, f"unknown key {_quoted(key.value)} in {what}", hint)


def _variables(read: _Reader, reserved: re.Pattern[str]) -> _Reader:
    """A mapping from names as the environment has them."""

    def read_variables(file: _File, node: _Node, what: str) -> dict[str, Any]:
        values = _take(file, node, dict, what) or {}
        for name, (key, _) in values.items():
            if not _NAME.fullmatch(name):
                hint = "a name has letters, digits and '_', and does not begin with a digit"
                file.add(key.mark, f"{_quoted(name)} in {what} is not a valid name", hint)
            elif reserved.match(name):
                file.add(key.mark, f"{_quoted(name)} in {what} is reserved", "choose another name")
        return {name: read(file, value, f"{_quoted(name)} in {what}") for name, (_, value) in values.items()}

    return read_variables


def _config(file: _File, node: _Node, what: str) -> Subprocess | UvPython | None:
    if node.tag is not None and node.tag in _CONFIGS:
        kind, table, required = _CONFIGS[node.tag]
        return kind(**_fields(file, node, node.tag, table, (required,), node.tag))
    hint = _near(node.tag or "", _CONFIGS)
    if isinstance(node.value, dict):
        hint = hint or next((f"add {tag}" for tag, row in _CONFIGS.items() if row[2] in node.value), "")
    file.add(node.mark, f"{what} must have the tag {' or '.join(_CONFIGS)}, found {node.found}", hint)
    return None


def _task(file: _File, node: _Node) -> Task:
    given = _fields(file, node, "a task", _TASK, ("name", "config"))
    config = given["config"]
    if "working_directory" in given and isinstance(config, UvPython) and config.working_directory is not None:
        mark = node.value["working_directory"][0].mark
        file.add(mark, "'working_directory' is both in the task and in its 'config'", "give it once")
    retry = {name: given.pop(name) for name in ("retries", "delay_s") if name in given} | given.pop("backoff", {})
    if retry:
        given["retry"] = Retry(**retry)
    return Task(**given)


def _tasks(file: _File, node: _Node, what: str) -> dict[str, Task]:
    tasks = _take(file, node, dict, what)
    if tasks is None:
        return {}
    if not tasks:
        file.add(node.mark, f"{what} is empty", "a workflow needs at least one task")
    for task_id, (key, _) in tasks.items():
        if not ID.fullmatch(task_id):
            file.add(key.mark, f"{_quoted(task_id)} cannot be the id of a task", ID_RULE)
    _check_graph(file, {task_id: _depends(task) for task_id, (_, task) in tasks.items()})
    return {task_id: _task(file, task) for task_id, (_, task) in tasks.items()}


def _depends(task: _Node) -> list[_Node]:
    """The ids in `depends`, however wrong the rest of the task is."""
    pair = task.value.get("depends") if isinstance(task.value, dict) else None
    return [item for item in pair[1].value if item.text] if pair and isinstance(pair[1].value, list) else []


# Checks of the whole


def _check_graph(file: _File, depends: Mapping[str, list[_Node]]) -> None:
    graph = {task_id: _edges(file, task_id, items, depends) for task_id, items in depends.items()}
    while cycle := find_cycle({task_id: tuple(edges) for task_id, edges in graph.items()}):
        path = " -> ".join(cycle) if len(cycle) <= 20 else f"{' -> '.join(cycle[:19])} -> ... -> {cycle[-1]}"
        file.add(graph[cycle[0]][cycle[1]].mark, f"tasks depend on each other in a circle: {path}")
        graph |= {task_id: {} for task_id in cycle}


def _edges(file: _File, task_id: str, items: list[_Node], known: Mapping[str, Any]) -> dict[str, _Node]:
    edges: dict[str, _Node] = {}
    for item in items:
        name = item.text
        if name == task_id:
            file.add(item.mark, f"the task {_quoted(name)} depends on itself")
        elif name in edges:
            file.add(item.mark, f"{_quoted(name)} is there twice in 'depends'")
        elif name not in known:
            file.add(item.mark, f"'depends' names {_quoted(name)}, which is no task of this file", _near(name, known))
        else:
            edges[name] = item
    return edges


def _check_schedule(file: _File, node: _Node, cron: str, zone: str) -> bool:
    # Here, because most files have neither a schedule nor a zone.
    from cdktr.cron import Schedule

    try:
        Schedule.parse(cron, zone)
    except DefinitionError as error:
        file.add(node.mark, str(error))
        return False
    return True


def _check_cron(file: _File, root: _Node, given: Mapping[str, Any]) -> None:
    if not given.get("cron"):
        return
    _check_schedule(file, root.value["cron"][1], given["cron"], given.get("timezone", "UTC"))
    for name, default in given.get("params", {}).items():
        if default is None:
            key, _ = root.value["params"][1].value[name]
            hint = "give it a default, or remove 'cron'"
            file.add(key.mark, f"the parameter {_quoted(name)} has no default, and a schedule cannot give one", hint)


def _check_templates(file: _File, params: Mapping[str, Any]) -> None:
    for node in file.templates:
        for name in dict.fromkeys(PLACEHOLDER.findall(node.text)):
            if name not in params:
                hint = _near(name, params) or "declare it in 'params' of the workflow"
                file.add(node.mark, f"there is no parameter {_quoted(name)}", hint)
        if "${{" in PLACEHOLDER.sub(" ", node.text):
            file.add(node.mark, "'${{' begins no parameter", "write ${{ params.NAME }}")


def _quoted(text: str) -> str:
    """`text` as a message shows it: short, and with its control characters escaped."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _near(word: str, known: Iterable[str]) -> str:
    """The hint to a name that looks like `word`, if there is one."""
    near = get_close_matches(word[:100], known, 1)
    return f"did you mean {_quoted(str(near[0]))}?" if near else ""


# What a file may say

_ENV = _variables(_value, re.compile("CDKTR_"))
_PARAMS = _variables(_default, re.compile("CDKTR_|LD_|PATH$|HOME$"))
_NOT_YET = frozenset("max_active_runs overlap catch_up on_failure on_success requires priority".split())

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
    "run_if": ("run_if", _run_if),
    "allow_failure": ("allow_failure", _flag),
}
_WORKFLOW: _Table = {
    "name": ("name", _line),
    "description": ("description", _prose),
    "cron": ("cron", _line),
    "start_time": ("start_time", _start_time),
    "timezone": ("timezone", _timezone),
    "env": ("env", _ENV),
    "params": ("params", _PARAMS),
    "timeout": ("timeout_s", _timeout),
    "tasks": ("tasks", _tasks),
}
