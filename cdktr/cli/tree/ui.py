"""`cdktr ui`: the terminal UI."""

import argparse
from typing import Any

from cdktr.cli.arguments import add_client, add_verb


def add_ui(nouns: Any) -> None:
    """The words after `cdktr ui`."""

    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import ui

        return ui.ui(arguments)

    more = (
        "Workflows and their graphs, runs, log lines, agents. The last row has the keys that work,\n"
        "`?` shows them all, `q` quits. Without colour under NO_COLOR, with ASCII alone where the locale is not UTF-8."
    )
    examples = "cdktr ui\ncdktr ui --principal-host 10.0.0.7"
    add_client(add_verb(nouns, "ui", verb, "watch and run workflows in the terminal", more, examples), json=False)
