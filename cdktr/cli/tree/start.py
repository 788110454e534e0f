"""`cdktr start`: the daemons."""

import argparse
from typing import Any

from cdktr.cli.arguments import add_client, add_noun, add_verb, count, labels, port

STANDBY = """\
One principal at a time holds a data folder. With --standby, one more waits
until the folder is free, with no port and no database open, and then takes
over: within two seconds of the other's death, also when that was stopped in
an orderly way. Stop the standby first to stop both. A principal that is only
suspended (SIGSTOP) is not dead and keeps the folder. Agents and clients find
the one that serves when CDKTR_PRINCIPAL_HOST lists the hosts of both. A
folder that two hosts share must be of a kind that has file locks across
hosts."""


def add_start(nouns: Any) -> None:
    """The words after `cdktr start`."""

    def principal(arguments: argparse.Namespace) -> int:
        from cdktr.cli import start

        return start.principal(arguments)

    def agent(arguments: argparse.Namespace) -> int:
        from cdktr.cli import start

        return start.agent(arguments)

    verbs = add_noun(nouns, "start", "start a principal or an agent")
    examples = (
        "cdktr start principal --with-agent\ncdktr start principal -p 5570 --workflow-dir /srv/workflows\n"
        "cdktr start principal --standby --principal-host alpha,beta"
    )
    what = "start a principal: scheduler, queue, history"
    made = add_verb(verbs, "principal", principal, what, STANDBY, examples)
    made.add_argument("-p", "--port", metavar="N", type=port, dest="principal_port", help="port of its API")
    bind = "address to bind, of several the first of this host (default: CDKTR_PRINCIPAL_HOST)"
    made.add_argument("--principal-host", metavar="HOSTS", help=bind)
    made.add_argument("--workflow-dir", metavar="DIR", help="folder of the workflow files")
    made.add_argument("--no-scheduler", action="store_true", help="run nothing by schedule")
    made.add_argument("--with-agent", action="store_true", help="start an agent on this host too")
    made.add_argument("--standby", action="store_true", help="wait while another holds the data folder, then take over")
    _add_slots(made, " (needs --with-agent)")
    more = "The first SIGTERM or Ctrl-C lets running work end, the second ends it."
    examples = (
        "cdktr start agent --max-concurrent 5\ncdktr start agent --principal-host 10.0.0.7\n"
        "cdktr start agent --label gpu --label zone=eu"
    )
    made = add_verb(verbs, "agent", agent, "start an agent, which runs tasks on this host", more, examples)
    _add_slots(made)
    made.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)
    add_client(made, json=False)


def _add_slots(made: argparse.ArgumentParser, more: str = "") -> None:
    """What an agent takes: how many runs, and which."""
    made.add_argument(
        "--max-concurrent",
        metavar="N",
        type=count,
        dest="agent_max_concurrency",
        help=f"runs that the agent takes at once{more}",
    )
    made.add_argument(
        "--label",
        metavar="LABEL",
        type=labels,
        action="append",
        dest="agent_labels",
        help="something that the agent has, for workflows that require it; may be repeated, or several with commas "
        f"between them{more}",
    )
