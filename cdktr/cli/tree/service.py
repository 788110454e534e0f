"""`cdktr service`, `completion`, `licenses`: the program itself, and how it becomes part of its host."""

import argparse
from typing import Any

from cdktr.cli.arguments import add_json, add_verb

#: As in `systemd.KINDS`, which need not be loaded to print a help text; a test compares them.
KINDS = ("principal", "agent", "pair")
#: As in `completion.SCRIPTS`, likewise.
SHELLS = ("bash", "zsh", "fish")

SERVICE = """\
Prints a unit that starts this very file, in this folder, as the user who calls
it and with the settings that are in force here. Those of the environment are
written into the unit, those of .env stay there. What to do with it is told on
stderr.

pair is a principal with an agent, for one host. A unit of the system starts
with the host; with --user it is one of your own systemd, for which nobody has
to be root."""

COMPLETION = """\
It completes commands, flags, statuses and files, and asks the principal for the
ids of workflows and runs. Where to put it is told on stderr."""


def add_service(nouns: Any) -> None:
    """The words after `cdktr service`."""

    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import service

        return service.service(arguments)

    examples = "cdktr service pair --user\ncd /srv/etl && CDKTR_PRINCIPAL_PORT=5570 cdktr service principal"
    made = add_verb(nouns, "service", verb, "print a unit for systemd", SERVICE, examples)
    kinds = ", ".join(KINDS)
    made.add_argument("kind", metavar="KIND", nargs="?", choices=KINDS, default="pair", help=f"{kinds} (default: pair)")
    made.add_argument("--user", action="store_true", help="one of your own systemd")


def add_completion(nouns: Any) -> None:
    """The words after `cdktr completion`."""

    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import completion

        return completion.completion(arguments)

    examples = "cdktr completion bash"
    made = add_verb(nouns, "completion", verb, "print the completion of a shell", COMPLETION, examples)
    made.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def add_licenses(nouns: Any) -> None:
    """The words after `cdktr licenses`."""

    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import licenses

        return licenses.licenses(arguments)

    examples = "cdktr licenses\ncdktr licenses libzmq"
    made = add_verb(nouns, "licenses", verb, "list what this program is made of, and its licences", "", examples)
    made.add_argument("name", metavar="NAME", nargs="?", help="print the licence of this part")
    add_json(made)
