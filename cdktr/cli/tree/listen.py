"""`cdktr listen`: event listeners."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cdktr.cli.arguments import add_noun, add_verb

#: What stands for the file of a listener of one's own, in the help and in the tree.
SCRIPT = "SCRIPT.py"

#: Words after `cdktr listen` that name no file; `./folder` is a file of that name.
WORDS = ("folder", "webhook")

MORE = """\
A script runs as `python SCRIPT.py ARGS…` would run it, and imports EventListener
and Principal from cdktr; all that follows its name are its own arguments. When
it ends without having started a listener, and defines one, that one is made
without arguments and started.

It ends with 0 at SIGTERM and Ctrl-C, with the code that it gives to sys.exit(),
and with 1 when it raises, is no Python, or has nothing to start. Its log lines
go to stderr. CDKTR_PRINCIPAL_HOST and CDKTR_PRINCIPAL_PORT say where the
principal of a listener is that names none itself."""


def add_listen(nouns: Any) -> None:
    """The words after `cdktr listen`."""

    def script(arguments: argparse.Namespace) -> int:
        from cdktr.cli import listen

        return listen.script(arguments)

    verbs = add_noun(nouns, "listen", "run an event listener")
    examples = "cdktr listen mail.py\nCDKTR_PRINCIPAL_HOST=10.0.0.7 cdktr listen mail.py --folder inbox"
    made = add_verb(verbs, SCRIPT, script, "run an event listener of your own", MORE, examples)
    made.usage = "%(prog)s [ARGS…]"
    made.add_argument("script", metavar=SCRIPT, help="a file of Python")
    rest = made.add_argument("arguments", metavar="ARGS", nargs=argparse.REMAINDER, help="its own arguments")
    rest.required = False


def with_script(argv: Sequence[str]) -> Sequence[str]:
    """The command line with the word that stands for a script before the file of one."""
    if len(argv) < 2 or argv[0] != "listen" or argv[1].startswith("-") or argv[1] in WORDS:
        return argv
    if argv[1] == SCRIPT and not Path(SCRIPT).exists():
        # As it stands in the help.
        return argv
    return [argv[0], SCRIPT, *argv[1:]]
