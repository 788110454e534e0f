"""YAML text to a tree of nodes that know their place.

The text is read as a stream of events, so no nesting can exhaust a stack; aliases cannot multiply without limit;
and every scalar keeps the text that was written (`007` stays "007"). Knows nothing of workflows.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, NoReturn

import yaml

from cdktr.errors import DefinitionError

#: Bytes of a file.
MAX_BYTES = 1024 * 1024
#: Lists and mappings inside each other.
MAX_DEPTH = 32
#: Values in a file, those counted again that an alias repeats. A task has about ten.
MAX_NODES = 200_000
#: Reading stops here: more would not be read by anybody.
MAX_PROBLEMS = 100

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
#: Not allowed in YAML at all, unless escaped.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")

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


class Node:
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
            return f"the tag {quoted(self.tag)}"
        if isinstance(self.value, str):
            return "nothing" if self.is_null else quoted(self.value)
        return "a list" if isinstance(self.value, list) else "a mapping"


class File:
    """The problems found so far, and what can be judged only at the end."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems: list[Problem] = []
        #: Values in which parameters are filled in.
        self.templates: list[Node] = []

    def add(self, mark: _Mark, message: str, hint: str = "") -> None:
        """Note a problem. Raises WorkflowProblems when there are enough of them."""
        self.problems.append(Problem(self.path, mark.line + 1, mark.column + 1, message, hint))
        if len(self.problems) >= MAX_PROBLEMS:
            raise WorkflowProblems(self.problems) from None

    def stop(self, mark: _Mark, message: str, hint: str = "") -> NoReturn:
        """Note a problem after which nothing more can be read. Raises WorkflowProblems."""
        self.add(mark, message, hint)
        raise WorkflowProblems(self.problems) from None


def read_tree(file: File, text: str | bytes) -> Node:
    """The one document of the file. Raises WorkflowProblems."""
    return _compose(file, _decode(file, text))


def _decode(file: File, text: str | bytes) -> str:
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


def _compose(file: File, text: str) -> Node:
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

    def __init__(self, file: File) -> None:
        #: The documents: one or none.
        self.roots: list[Node] = []
        self._file = file
        #: What is not closed yet, outermost first: the node, its items, and the nodes counted before it.
        self._open: list[tuple[Node, list[Node], int]] = []
        #: Where the next node belongs. In a mapping, keys and values take turns.
        self._items = self.roots
        self._anchors: dict[str, Node] = {}
        self._count = 0

    def read(self, text: str) -> None:
        """Fill `roots`. Raises yaml.YAMLError, and WorkflowProblems where a limit is passed."""
        loader = _LOADER(text)
        try:
            # The hot loop of this module: two thirds of all events are scalars.
            for event in iter(loader.get_event, None):
                if type(event) is yaml.ScalarEvent:
                    node = Node(event, event.value, event.tag, event.implicit[0])
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
        self._open.append((Node(event, self._items, event.tag), self._items, self._count))
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
            self._file.stop(event.start_mark, message, near(event.anchor, self._anchors))
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


def _mapping(file: File, items: list[Node]) -> dict[str, tuple[Node, Node]]:
    fields: dict[str, tuple[Node, Node]] = {}
    merged: list[Node] = []
    for key, value in zip(items[::2], items[1::2], strict=True):
        name = key.value
        if not isinstance(name, str):
            file.add(key.mark, f"a key must be text, found {key.found}")
        elif name == "<<" and key.plain:
            merged += value.value if isinstance(value.value, list) else [value]
        elif name in fields:
            file.add(
                key.mark, f"the key {quoted(name)} is there twice", f"first on line {fields[name][0].mark.line + 1}"
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


def quoted(text: str) -> str:
    """`text` as a message shows it: short, and with its control characters escaped."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def near(word: str, known: Iterable[str]) -> str:
    """The hint to a name that looks like `word`, if there is one."""
    close = get_close_matches(word[:100], known, 1)
    return f"did you mean {quoted(str(close[0]))}?" if close else ""
