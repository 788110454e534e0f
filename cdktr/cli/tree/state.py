"""`cdktr agent`, `status`: how everything is."""

import argparse
from typing import Any

from cdktr.cli.arguments import add_client, add_noun, add_verb


def add_agent(nouns: Any) -> None:
    """The words after `cdktr agent`."""

    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import state

        return state.agents(arguments)

    verbs = add_noun(nouns, "agent", "look at agents")
    add_client(add_verb(verbs, "list", verb, "list the agents that the principal knows"))


def add_status(nouns: Any) -> None:
    """The words after `cdktr status`."""

    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import state

        return state.status(arguments)

    more = "Exits with 0 when the principal answers. Says why something that is queued does not run."
    add_client(add_verb(nouns, "status", verb, "show how the principal is, and what needs attention", more))
