"""`cdktr status` and `cdktr agent list`: how the principal and its agents are."""

import time
from argparse import Namespace

from cdktr.cli import Exit
from cdktr.cli.common import connect, say, show, show_json
from cdktr.cli.show import agents_table
from cdktr.health import attention, bad_files, status_lines
from cdktr.protocol import ClusterStatus, GetRegisteredAgents, ListProblems, ListRuns

#: Queued runs that are named.
NAMED = 5


def status(arguments: Namespace) -> int:
    """Tell how the principal is, and what needs attention."""
    with connect(arguments) as principal:
        state = principal.ask(ClusterStatus())
        problems = principal.ask(ListProblems()) if state["problems"] else []
        waiting = principal.ask(ListRuns(status="PENDING", limit=NAMED)) if state["queued"] else []
        agents = principal.ask(GetRegisteredAgents()) if state["agents"] else []
    warnings = attention(state, waiting)
    if arguments.json:
        show_json({**state, "attention": warnings, "problem_list": problems})
        return Exit.DONE
    show(status_lines(state, agents))
    for warning in (*warnings, *bad_files(problems)):
        say(f"warning: {warning}")
    return Exit.DONE


def agents(arguments: Namespace) -> int:
    """List the agents."""
    with connect(arguments) as principal:
        found = principal.ask(GetRegisteredAgents())
    if arguments.json:
        show_json(found)
    elif found:
        show(agents_table(found, time.time()))
    else:
        say("There is no agent; `cdktr start agent` starts one.")
    return Exit.DONE
