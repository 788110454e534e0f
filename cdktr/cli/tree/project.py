"""`cdktr init`, `validate`, `config`: what needs no principal."""

import argparse
from typing import Any

from cdktr.cli.arguments import add_json, add_noun, add_verb


def add_init(nouns: Any) -> None:
    """The words after `cdktr init`."""

    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import init

        return init.init(arguments)

    more = (
        "The first examples (a greeting, a backup, a health check) need nothing but a shell.\n"
        "With --all, those that are missing in a project are added to it. No file that is\nthere is changed."
    )
    examples = "cdktr init\ncdktr init my-project --all"
    made = add_verb(nouns, "init", verb, "make a project here: a folder workflows/ with examples", more, examples)
    made.add_argument("path", metavar="PATH", nargs="?", default=".", help="folder of the project (default: this one)")
    made.add_argument("--all", action="store_true", help="all examples, with their scripts and data")


def add_validate(nouns: Any) -> None:
    """The words after `cdktr validate`."""

    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import project

        return project.validate(arguments)

    more = "Needs no principal. Exits with 1 when anything is wrong, as a check before a commit does."
    examples = "cdktr validate\ncdktr validate workflows/etl/daily.yml"
    made = add_verb(nouns, "validate", verb, "check workflow files", more, examples)
    made.add_argument("paths", metavar="PATH", nargs="*", help="files and folders (default: CDKTR_WORKFLOW_DIR)")
    add_json(made)


def add_config(nouns: Any) -> None:
    """The words after `cdktr config`."""

    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import project

        return project.config(arguments)

    verbs = add_noun(nouns, "config", "look at the settings")
    more = "A flag goes before the environment, that before .env in this folder, that before the default."
    add_json(add_verb(verbs, "list", verb, "list every setting, its value and where that is from", more))
