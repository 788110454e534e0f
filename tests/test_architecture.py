"""The shape of the repository: the rules of ARCHITECTURE.md, each proven to catch what it forbids.

A check takes the root of a tree and returns what is wrong in it, one sentence each. It is run over this repository,
over a small tree that is in order, and over the same tree with one thing broken.
"""

import ast
import fnmatch
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: The modules of cdktr/ by layer, as in ARCHITECTURE.md; a name may be a package, whose files are then one unit.
LAYERS: Mapping[str, tuple[str, ...]] = {
    "0 vocabulary": ("errors", "labels", "settings", "records"),
    "1 pure core": (
        *("workflow", "dag", "cron", "text", "moments", "graph", "health", "parse", "run", "times", "keys"),
        *("presence", "dispatch", "history", "codec", "messages", "protocol", "frames", "pages", "batch", "crontab"),
        *("arrivals", "rate", "signing", "systemd", "pauses", "lanes", "replies", "questions"),
    ),
    "2 edges": (
        *("catalog", "disk", "journal", "lock", "process", "recent", "datafile", "database", "store", "caller"),
        *("client", "transport", "bundle", "proc", "executor", "uv", "uvwatch", "components", "spool", "roster"),
        "berth",
    ),
    "3 daemons": (
        *("logs", "reports", "ledger", "handout", "coordinator", "legacy", "reading", "listing", "api", "listener"),
        *("scheduler", "pair", "principal", "standby", "outbox", "driver", "heir", "agent"),
    ),
    "4 surfaces": ("listeners", "tui/state", "tui/view", "tui/feed", "tui/screen", "cli"),
}
#: The core, and what the terminal UI decides and draws.
PURE = frozenset({*LAYERS["1 pure core"], "tui/state", "tui/view"})
LAYER_OF = {module: number for number, modules in enumerate(LAYERS.values()) for module in modules}

#: Which neighbours of its own layer a module may import.
BESIDE: Mapping[str, frozenset[str]] = {
    "settings": frozenset({"errors", "labels"}),
    "records": frozenset({"labels"}),
    "moments": frozenset({"cron", "text", "workflow"}),
    "graph": frozenset({"dag"}),
    "health": frozenset({"text"}),
    "parse": frozenset({"workflow", "dag", "cron", "text"}),
    "crontab": frozenset({"cron", "parse"}),
    "run": frozenset({"dag", "workflow"}),
    "dispatch": frozenset({"text", "times", "keys", "presence", "pauses", "lanes"}),
    "codec": frozenset({"workflow"}),
    "protocol": frozenset({"messages"}),
    "replies": frozenset({"messages"}),
    "lanes": frozenset({"health"}),
    "pages": frozenset({"protocol"}),
    "frames": frozenset({"messages"}),
    "journal": frozenset({"disk"}),
    "datafile": frozenset({"lock"}),
    "database": frozenset({"datafile"}),
    "store": frozenset({"database"}),
    "client": frozenset({"caller"}),
    "transport": frozenset({"caller"}),
    "reports": frozenset({"logs"}),
    "ledger": frozenset({"logs"}),
    "handout": frozenset({"ledger"}),
    "coordinator": frozenset({"logs", "reports", "ledger", "handout"}),
    "legacy": frozenset({"logs", "ledger", "coordinator"}),
    "reading": frozenset({"logs", "coordinator"}),
    "api": frozenset({"logs", "coordinator", "legacy", "reading", "listing"}),
    "scheduler": frozenset({"listener"}),
    "principal": frozenset({"logs", "coordinator", "legacy", "api", "scheduler", "pair"}),
    "executor": frozenset({"bundle", "proc"}),
    "uv": frozenset({"bundle"}),
    "uvwatch": frozenset({"executor", "uv"}),
    "roster": frozenset({"proc"}),
    "berth": frozenset({"lock", "proc"}),
    "heir": frozenset({"outbox"}),
    "agent": frozenset({"outbox", "driver", "heir"}),
    "tui/view": frozenset({"tui/state"}),
    "tui/feed": frozenset({"tui/state"}),
    "tui/screen": frozenset({"tui/state", "tui/view", "tui/feed"}),
    "cli": frozenset({"listeners", "tui/screen"}),
}

#: Which modules may import a library; one that is not named here may be imported nowhere.
LIBRARIES: Mapping[str, frozenset[str]] = {
    "zmq": frozenset({"transport", "caller"}),
    "duckdb": frozenset({"database"}),
    "yaml": frozenset({"parse"}),
    "asciimatics": frozenset({"tui/screen"}),
    "typing_extensions": frozenset({"listener"}),  # for type checkers only
}

#: What must not be loaded when a module is, neither directly nor through others: it costs time or is not installed.
UNLOADED: Mapping[str, frozenset[str]] = {
    "cdktr.agent": frozenset({"cdktr.store", "cdktr.dispatch", "duckdb", "asciimatics"}),
    "cdktr.client": frozenset({"cdktr.store", "duckdb", "yaml", "asciimatics"}),
    "cdktr.listener": frozenset({"cdktr.store", "duckdb", "yaml", "asciimatics", "typing_extensions"}),
    "cdktr.cli": frozenset({"zmq", "duckdb", "yaml", "asciimatics"}),
}

#: The modules that may look at the environment: its reader, the one that hands it on to tasks, the one that undoes what
#: the start of the frozen program did to it, and the one that knows the terminal, whose name is there.
ENVIRONMENT_READERS = frozenset({"settings", "executor", "bundle", "tui/screen"})
ENVIRONMENT = re.compile(r"os\.(environb?|getenvb?|putenv|unsetenv)\b")

#: Files, sockets, threads, processes, clocks and chance.
IMPURE = frozenset(
    "asyncio concurrent io logging multiprocessing os pathlib random secrets select selectors shutil signal socket "
    "subprocess tempfile threading time uuid".split()
)
IMPURE_CALLS = re.compile(r"(open|input|(\w+\.)*(datetime|date)\.(now|utcnow|today))")

#: Lines. What is longer has more than one responsibility.
LONGEST_MODULE = 400

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")  # cdktr/ only, so not found here


@dataclass(frozen=True)
class Source:
    """One file of cdktr/: what it is called on import, and the module of the table that it belongs to."""

    path: str
    dotted: str
    unit: str
    text: str
    tree: ast.Module


@dataclass(frozen=True)
class Import:
    """One imported name, fully dotted; `at_load` when importing the file imports it too."""

    name: str
    line: int
    at_load: bool

    @property
    def library(self) -> str:
        """The first part of the name."""
        return self.name.partition(".")[0]


def unit_of(dotted: str) -> str:
    """The module of the table that `cdktr.x.y` is in or names something of; "" for cdktr itself."""
    parts = dotted.split(".")[1:]
    candidates = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in candidates if name in LAYER_OF), "/".join(parts[:1]))


@cache
def parsed(text: str) -> ast.Module:
    """The tree of a file, for every check that asks for it."""
    return ast.parse(text)


def sources(root: Path) -> Iterator[Source]:
    """Every file of the package; one with nothing but a docstring, as a folder's __init__.py may be, is none."""
    for path in sorted((root / "cdktr").rglob("*.py")):
        relative = path.relative_to(root)
        dotted = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        text = path.read_text("utf-8")
        tree = parsed(text)
        if path.name != "__init__.py" or len(tree.body) > 1 or unit_of(dotted) in LAYER_OF:
            yield Source(relative.as_posix(), dotted, "" if dotted == "cdktr" else unit_of(dotted), text, tree)


def imports(tree: ast.Module) -> Iterator[Import]:
    """Every import, at whatever depth."""

    def visit(node: ast.AST, at_load: bool) -> Iterator[Import]:
        match node:
            case ast.Import():
                yield from (Import(alias.name, node.lineno, at_load) for alias in node.names)
            case ast.ImportFrom():
                module = "." * node.level + (node.module or "")
                yield from (Import(f"{module}.{alias.name}", node.lineno, at_load) for alias in node.names)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                at_load = False
            case ast.If() if ast.unparse(node.test).endswith("TYPE_CHECKING"):
                at_load = False
        for child in ast.iter_child_nodes(node):
            yield from visit(child, at_load)

    return visit(tree, True)


def table_of(page: str) -> dict[str, tuple[str, ...]]:
    """The module table of ARCHITECTURE.md: bold rows are layers, the others modules."""
    layers: dict[str, list[str]] = {}
    rows = page.partition("| module | responsibility | must not |")[2].splitlines()[2:]
    for row in rows:
        if not row.startswith("|"):
            break
        first = row.split("|")[1].strip()
        if first.startswith("**"):
            layers[first.strip("*")] = []
        else:
            list(layers.values())[-1].append(first.strip("`"))
    return {layer: tuple(modules) for layer, modules in layers.items()}


def page_agrees(root: Path) -> Iterator[str]:
    """ARCHITECTURE.md and LAYERS say the same."""
    page = table_of((root / "ARCHITECTURE.md").read_text("utf-8"))
    for layer in sorted(LAYERS.keys() | page.keys()):
        here, there = set(LAYERS.get(layer, ())), set(page.get(layer, ()))
        if here != there:
            yield f"layer {layer}: only in the test {sorted(here - there)}, only in the page {sorted(there - here)}"


def modules_are_in_the_table(root: Path) -> Iterator[str]:
    """A module is in the table, and what is in the table is a module."""
    units = {source.unit for source in sources(root)} - {""}
    yield from (f"{unit} is in cdktr/ and not in the table" for unit in sorted(units - LAYER_OF.keys()))
    yield from (f"{unit} is in the table and not in cdktr/" for unit in sorted(LAYER_OF.keys() - units))


def imports_go_up(root: Path) -> Iterator[str]:
    """A module imports from the layers above it in the table, and from the neighbours that it may know."""
    for source in sources(root):
        for imported in imports(source.tree):
            where = f"{source.path}:{imported.line}"
            if imported.name.startswith("."):
                yield f"{where} imports relatively"
            elif imported.library == "cdktr" and not may_import(source.unit, imported.name):
                yield f"{where} imports {imported.name}"


def may_import(unit: str, name: str) -> bool:
    """Whether a module may import the name `cdktr…`; of the package itself that is only the version, and it has
    nothing but what programs import."""
    target = unit_of(name)
    if not unit:
        return target in ("client", "listener")
    if target not in LAYER_OF:
        return name == "cdktr.__version__"
    own = LAYER_OF.get(unit, len(LAYERS))  # what is not in the table is an offence of its own
    return target == unit or LAYER_OF[target] < own or target in BESIDE.get(unit, ())


def libraries_stay_in_their_module(root: Path) -> Iterator[str]:
    """Each library has one module that knows it."""
    for source in sources(root):
        for imported in imports(source.tree):
            library = imported.library
            known = library in sys.stdlib_module_names or library in ("cdktr", "")
            if not known and source.unit not in LIBRARIES.get(library, ()):
                yield f"{source.path}:{imported.line} imports {library}"


def loading_stays_light(root: Path) -> Iterator[str]:
    """What UNLOADED names is not loaded, by whatever way."""
    by_name = {source.dotted: source for source in sources(root)}

    def loaded_by(name: str) -> Iterator[str]:
        parts = name.split(".")
        if parts[0] != "cdktr":
            yield parts[0]
        yield from (part for n in range(len(parts)) if (part := ".".join(parts[: n + 1])) in by_name)

    for start, heavy in UNLOADED.items():
        way = dict.fromkeys(loaded_by(start), start)
        pending = list(way)
        while pending:
            source = by_name.get(name := pending.pop())
            for imported in imports(source.tree) if source else ():
                for found in loaded_by(imported.name) if imported.at_load else ():
                    if found not in way:
                        way[found] = f"{way[name]} > {found}"
                        pending.append(found)
        yield from (f"{start} loads {name}: {way[name]}" for name in sorted(heavy & way.keys()))


def core_is_pure(root: Path) -> Iterator[str]:
    """What is pure has no file, socket, thread, clock or chance."""
    for source in sources(root):
        if source.unit not in PURE:
            continue
        for imported in imports(source.tree):
            if imported.library in IMPURE and not imported.name.startswith("pathlib.Pure"):
                yield f"{source.path}:{imported.line} imports {imported.name}"
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and IMPURE_CALLS.fullmatch(called := ast.unparse(node.func)):
                yield f"{source.path}:{node.lineno} calls {called}"


def environment_is_read_once(root: Path) -> Iterator[str]:
    """The environment is read by the settings; the executor hands it on."""
    for source in sources(root):
        if source.unit in ENVIRONMENT_READERS:
            continue
        names = ((imported.name, imported.line) for imported in imports(source.tree))
        uses = ((ast.unparse(n), n.lineno) for n in ast.walk(source.tree) if isinstance(n, ast.Attribute))
        for name, line in chain(names, uses):
            if ENVIRONMENT.fullmatch(name):
                yield f"{source.path}:{line} uses {name}"


def modules_have_tests(root: Path) -> Iterator[str]:
    """Each module has its test file, so that its tests are found without searching."""
    for unit in sorted({source.unit for source in sources(root)} - {""}):
        test = f"tests/test_{unit.replace('/', '_')}.py"
        if not (root / test).is_file():
            yield f"{unit} has no {test}"


def public_names_are_explained(root: Path) -> Iterator[str]:
    """Every module, and every public class, function and method, has a docstring."""

    def unexplained(node: ast.Module | ast.ClassDef) -> Iterator[tuple[str, int]]:
        for child in node.body:
            if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in child.decorator_list}
            if child.name.startswith("_") or decorators & {"overload", "override", "setter"}:
                continue
            if not ast.get_docstring(child):
                yield child.name, child.lineno
            if isinstance(child, ast.ClassDef):
                yield from unexplained(child)

    for source in sources(root):
        if not ast.get_docstring(source.tree):
            yield f"{source.path} has no docstring"
        yield from (f"{source.path}:{line} {name} has no docstring" for name, line in unexplained(source.tree))


def modules_are_short(root: Path) -> Iterator[str]:
    """No file is longer than LONGEST_MODULE."""
    for source in sources(root):
        if (lines := len(source.text.splitlines())) > LONGEST_MODULE:
            yield f"{source.path} has {lines} lines"


def only_the_cli_prints(root: Path) -> Iterator[str]:
    """Whoever has something to say returns or logs it."""
    for source in sources(root):
        for node in ast.walk(source.tree) if source.unit != "cli" else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                yield f"{source.path}:{node.lineno} prints"


def nothing_is_left_open(root: Path) -> Iterator[str]:
    """What is not done is not in the code."""
    for source in sources(root):
        for number, line in enumerate(source.text.splitlines(), 1):
            if mark := UNFINISHED.search(line):
                yield f"{source.path}:{number} says {mark[0]}"


def recipe_is_tracked(root: Path) -> Iterator[str]:
    """No ignore rule hides build/cdktr.spec, as common ones for build/ and *.spec would."""
    for rule in (root / ".gitignore").read_text("utf-8").split():
        pattern = rule.strip("/")
        if any(fnmatch.fnmatch(part, pattern) for part in ("build", "cdktr.spec", "build/cdktr.spec")):
            yield f".gitignore hides build/cdktr.spec by {rule}"


def lock_is_complete(root: Path) -> Iterator[str]:
    """Each direct pin is in the lock file, all there have hashes, and no place of download is written down."""
    lock = (root / "requirements.lock").read_text("utf-8")
    locked = dict(re.findall(r"^([\w.-]+==\S+)( \\\n +--hash=sha256:)?", lock, re.MULTILINE))
    for pin in re.findall(r"^[^#\s]\S*", (root / "requirements.in").read_text("utf-8"), re.MULTILINE):
        if pin.lower() not in locked:
            yield f"requirements.lock has no {pin}; run make lock"
    yield from (f"{pin} has no hash" for pin, digest in locked.items() if not digest)
    yield from (f"requirements.lock holds {found}" for found in re.findall(r"\S+://\S+|^ *--(?!hash)\S+", lock, re.M))


Check = Callable[[Path], Iterator[str]]

CHECKS: tuple[Check, ...] = (
    page_agrees,
    modules_are_in_the_table,
    imports_go_up,
    libraries_stay_in_their_module,
    loading_stays_light,
    core_is_pure,
    environment_is_read_once,
    modules_have_tests,
    public_names_are_explained,
    modules_are_short,
    only_the_cli_prints,
    nothing_is_left_open,
    recipe_is_tracked,
    lock_is_complete,
)


@pytest.mark.parametrize("check", CHECKS)
def test_the_repository_keeps_the_rule(check: Check) -> None:
    assert list(check(ROOT)) == []


def make_tree(root: Path, changes: Mapping[str, str | None]) -> Path:
    """A tree that keeps every rule, with some files replaced, added or (None) left out."""
    rows = chain.from_iterable((f"**{layer}**", *(f"`{m}`" for m in modules)) for layer, modules in LAYERS.items())
    files: dict[str, str | None] = {
        "ARCHITECTURE.md": "| module | responsibility | must not |\n|---|---|---|\n"
        + "".join(f"| {row} | | |\n" for row in rows)
        + "\n| word | meaning |\n",
        ".gitignore": "/dist/\n",
        "requirements.in": "# Pins.\nPyZMQ==1.0\n",
        "requirements.lock": f"pyzmq==1.0 \\\n    --hash=sha256:{'0' * 64}\n",
        "cdktr/__init__.py": '"""A package."""\n__version__ = "1"\n',
    }
    for module in LAYER_OF:
        folder = "/__init__" if module == "cli" else ""
        files[f"cdktr/{module}{folder}.py"] = f'"""The {module}."""\n'
        files[f"tests/test_{module.replace('/', '_')}.py"] = ""
    for name, text in {**files, **changes}.items():
        if text is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, "utf-8")
    return root


def code(module: str, text: str) -> dict[str, str | None]:
    """One file of cdktr/, whose second line begins `text`."""
    return {f"cdktr/{module}.py": f'"""A module."""\n{text}\n'}


#: Files in order: what looks like an offence and is none.
HARMLESS: tuple[dict[str, str | None], ...] = (
    code("settings", "import os\nfrom cdktr.errors import CdktrError\nHOME = os.environ['HOME']"),
    code("executor", "import os\nfrom os import environ"),
    code("parse", "import yaml\nfrom cdktr import dag\nfrom cdktr.cron import Cron"),
    code("run", "from pathlib import PurePath\nfrom datetime import datetime, UTC\nfrom re import compile"),
    code("cli/__init__", "from cdktr.cli import verbs") | code("cli/verbs", "print('hello')"),
    code("cli/__init__", "def main():\n    '''Start.'''\n    from cdktr.principal import Principal"),
    code("agent", "from cdktr.executor import Executor\nfrom cdktr import __version__"),
    code("__init__", "def __getattr__(name):\n    from cdktr import client, listener"),
    code("records", "class _Private: ...\ndef _helper(): ...\ndef outer():\n    'Known.'\n    def inner(): ..."),
    {"cdktr/plugins/__init__.py": '"""Only a folder."""\n'},
    code("logs", "\n" * (LONGEST_MODULE - 2)),
    {".gitignore": "/.venv/\n__pycache__/\n"},
)


@pytest.mark.parametrize("files", [{}, *HARMLESS])
def test_a_tree_in_order_passes_every_check(files: dict[str, str | None], tmp_path: Path) -> None:
    tree = make_tree(tmp_path, files)
    assert {check.__name__: found for check in CHECKS if (found := list(check(tree)))} == {}


#: An offence, and the sentence that the check must find for it.
OFFENCES: tuple[tuple[Check, dict[str, str | None], str], ...] = (
    (page_agrees, {"ARCHITECTURE.md": "# Nothing\n"}, "layer 0 vocabulary: only in the test"),
    (modules_are_in_the_table, code("extra", "X = 1"), "extra is in cdktr/ and not in the table"),
    (modules_are_in_the_table, code("x/y", "X = 1"), "x is in cdktr/ and not in the table"),
    (modules_are_in_the_table, {"cdktr/dag.py": None}, "dag is in the table and not in cdktr/"),
    (imports_go_up, code("dag", "from cdktr.store import Store"), "cdktr/dag.py:2 imports cdktr.store.Store"),
    (imports_go_up, code("dag", "from cdktr import agent"), "cdktr/dag.py:2 imports cdktr.agent"),
    (imports_go_up, code("dag", "import cdktr.client"), "cdktr/dag.py:2 imports cdktr.client"),
    (imports_go_up, code("dag", "from cdktr.run import Run"), "cdktr/dag.py:2 imports cdktr.run.Run"),
    (imports_go_up, code("logs", "def f():\n    from cdktr import cli"), "cdktr/logs.py:3 imports cdktr.cli"),
    (imports_go_up, code("agent", "from cdktr import logs"), "cdktr/agent.py:2 imports cdktr.logs"),
    (imports_go_up, code("agent", "from cdktr import Principal"), "cdktr/agent.py:2 imports cdktr.Principal"),
    (imports_go_up, code("errors", "import cdktr.records"), "cdktr/errors.py:2 imports cdktr.records"),
    (imports_go_up, code("dag", "from .errors import X"), "cdktr/dag.py:2 imports relatively"),
    (imports_go_up, code("__init__", "from cdktr.agent import A"), "cdktr/__init__.py:2 imports cdktr.agent.A"),
    (libraries_stay_in_their_module, code("agent", "import zmq.asyncio"), "cdktr/agent.py:2 imports zmq"),
    (libraries_stay_in_their_module, code("cli/a", "import duckdb"), "cdktr/cli/a.py:2 imports duckdb"),
    (libraries_stay_in_their_module, code("tui/view", "import asciimatics"), "cdktr/tui/view.py:2 imports asciimatics"),
    (libraries_stay_in_their_module, code("store", "import numpy"), "cdktr/store.py:2 imports numpy"),
    (
        loading_stays_light,
        code("agent", "from cdktr import catalog") | code("catalog", "from cdktr.store import Store"),
        "cdktr.agent loads cdktr.store: cdktr.agent > cdktr.catalog > cdktr.store",
    ),
    (
        loading_stays_light,
        code("client", "import cdktr.parse") | code("parse", "import yaml"),
        "cdktr.client loads yaml: cdktr.client > cdktr.parse > yaml",
    ),
    (
        loading_stays_light,
        code("__init__", "import cdktr.transport") | code("transport", "import zmq"),
        "cdktr.cli loads zmq: cdktr.cli > cdktr.transport > zmq",
    ),
    (core_is_pure, code("run", "import asyncio"), "cdktr/run.py:2 imports asyncio"),
    (core_is_pure, code("run", "from time import monotonic"), "cdktr/run.py:2 imports time.monotonic"),
    (core_is_pure, code("text", "from pathlib import Path"), "cdktr/text.py:2 imports pathlib.Path"),
    (core_is_pure, code("parse", "def f():\n    open('x')"), "cdktr/parse.py:3 calls open"),
    (core_is_pure, code("tui/state", "import threading"), "cdktr/tui/state.py:2 imports threading"),
    (core_is_pure, code("tui/view", "import time"), "cdktr/tui/view.py:2 imports time"),
    (core_is_pure, code("cron", "X = datetime.now(UTC)"), "cdktr/cron.py:2 calls datetime.now"),
    (core_is_pure, code("cron", "X = datetime.date.today()"), "cdktr/cron.py:2 calls datetime.date.today"),
    (environment_is_read_once, code("logs", "X = os.environ.get('A')"), "cdktr/logs.py:2 uses os.environ"),
    (environment_is_read_once, code("logs", "X = os.getenv('A')"), "cdktr/logs.py:2 uses os.getenv"),
    (environment_is_read_once, code("logs", "from os import environ"), "cdktr/logs.py:2 uses os.environ"),
    (modules_have_tests, {"tests/test_dag.py": None}, "dag has no tests/test_dag.py"),
    (public_names_are_explained, {"cdktr/dag.py": "X = 1\n"}, "cdktr/dag.py has no docstring"),
    (public_names_are_explained, code("dag", "async def f(): ..."), "cdktr/dag.py:2 f has no docstring"),
    (public_names_are_explained, code("dag", "class A: ..."), "cdktr/dag.py:2 A has no docstring"),
    (
        public_names_are_explained,
        code("dag", "class A:\n    'Known.'\n    def f(self): ..."),
        "cdktr/dag.py:4 f has no docstring",
    ),
    (modules_are_short, code("logs", "\n" * (LONGEST_MODULE - 1)), "cdktr/logs.py has 401 lines"),
    (only_the_cli_prints, code("logs", "print('hello')"), "cdktr/logs.py:2 prints"),
    (nothing_is_left_open, code("logs", "# TODO: more"), "cdktr/logs.py:2 says TODO"),
    (recipe_is_tracked, {".gitignore": "build/\n"}, ".gitignore hides build/cdktr.spec by build/"),
    (recipe_is_tracked, {".gitignore": "*.spec\n"}, ".gitignore hides build/cdktr.spec by *.spec"),
    (lock_is_complete, {"requirements.in": "duckdb==2\n"}, "requirements.lock has no duckdb==2; run make lock"),
    (lock_is_complete, {"requirements.lock": "pyzmq==1.0\n"}, "pyzmq==1.0 has no hash"),
    (lock_is_complete, {"requirements.lock": "--index-url x\n"}, "requirements.lock holds --index-url"),
    (lock_is_complete, {"requirements.lock": "# file:///x\n"}, "requirements.lock holds file:///x"),
)


@pytest.mark.parametrize(("check", "changes", "sentence"), OFFENCES)
def test_an_offence_is_found(check: Check, changes: dict[str, str | None], sentence: str, tmp_path: Path) -> None:
    found = list(check(make_tree(tmp_path, changes)))
    assert [text for text in found if text.startswith(sentence)], found


def test_every_check_has_an_offence() -> None:
    assert {check for check, _, _ in OFFENCES} == set(CHECKS)
