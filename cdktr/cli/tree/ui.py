"""`cdktr ui`: the terminal UI."""

import argparse
from typing import Any

from cdktr.cli.arguments import add_client, add_verb

MORE = """\
Shows workflows with their graphs, runs with their timelines, log lines, agents
and the principal, and keeps all of it fresh; starts runs. `?` lists the keys,
`q` quits. Works over ssh, from 60 columns and 15 rows on, without colours under
NO_COLOR, and without Unicode where the locale has none. It stays when the
principal goes away, and goes on when that is back."""


def add_ui(nouns: Any) -> None:
    """The words after `cdktr ui`."""

    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import ui

        return ui.show(arguments)

    examples = "cdktr ui\ncdktr ui --principal-host 10.0.0.7"
    made = add_verb(nouns, "ui", verb, "look at everything, and start runs, in the terminal", MORE, examples)
    add_client(made, json=False)
