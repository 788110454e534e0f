"""The words and flags of the command line. Nothing is done here, and nothing heavy is imported.

A module a noun; only that of the noun which a command line names is loaded.
"""

from collections.abc import Sequence
from importlib import import_module

from cdktr import __version__
from cdktr.cli import MEANINGS
from cdktr.cli.arguments import Parser, show_help

#: Each command and the module that adds its words, in the order of the help.
COMMANDS = {
    "init": "project",
    "ui": "ui",
    "start": "start",
    "task": "task",
    "logs": "logs",
    "agent": "state",
    "listen": "listen",
    "status": "state",
    "validate": "project",
    "config": "project",
    "import": "imports",
    "service": "service",
    "completion": "service",
    "licenses": "service",
}


def parser(argv: Sequence[str]) -> Parser:
    """The tree, or as much of it as this command line needs. A parsed command line has its verb in `verb`."""
    top = Parser(
        prog="cdktr",
        description="cdktr runs workflows: commands that depend on each other, on a schedule or when asked for.",
        epilog=_epilog(),
    )
    top.add_argument("-V", "--version", action="version", version=f"cdktr {__version__}", help="show the version")
    top.set_defaults(verb=lambda _: show_help(top))
    nouns = top.add_subparsers(metavar="COMMAND", title="commands")
    word = argv[0] if argv else ""
    for name in [word] if word in COMMANDS else COMMANDS:
        getattr(import_module(f"cdktr.cli.tree.{COMMANDS[name]}"), f"add_{name}")(nouns)
    return top


def _epilog() -> str:
    codes = "\n".join(f"  {code:<5}{meaning}" for code, meaning in MEANINGS.items())
    return (
        f"exit codes:\n{codes}\n\n"
        "first steps:\n"
        "  cdktr init\n"
        "  cdktr start principal --with-agent\n"
        "  cdktr task run hello --follow      (in another terminal)\n\n"
        "Every command explains itself: cdktr task run --help"
    )
