"""The words and flags of the command line. Nothing is done here, and nothing heavy is imported."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from cdktr import __version__
from cdktr.cli import MEANINGS
from cdktr.cli.arguments import Parser, add_client, add_json, add_noun, add_verb, count, port, show_help, whole

#: As `records.RunStatus`, which need not be loaded to print a help text; a test compares them.
STATUSES = ("PENDING", "RUNNING", "WAITING", "COMPLETED", "FAILED", "CRASHED", "SKIPPED", "CANCELLED")
LEVELS = {"DEBUG": "DEBUG", "INFO": "INFO", "WARN": "WARNING", "WARNING": "WARNING", "ERROR": "ERROR"}

TIMES = "a time such as 2026-01-31T02:00 (local unless it says otherwise), or how long ago, such as 90m"

FIRST = "print the first N that match; `logs tail -n N` shows the last"

STANDBY = """\
One principal at a time holds a data folder. With --standby, one more waits
until the folder is free, with no port and no database open, and then takes
over: within two seconds of the other's death, also when that was stopped in
an orderly way. Stop the standby first to stop both. A principal that is only
suspended (SIGSTOP) is not dead and keeps the folder. Agents and clients find
the one that serves when CDKTR_PRINCIPAL_HOST lists the hosts of both. A
folder that two hosts share must be of a kind that has file locks across
hosts."""

#: Log lines that one page of the API holds at most.
MAX_TAIL = 10_000


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
    for add in [COMMANDS[word]] if word in COMMANDS else COMMANDS.values():
        add(nouns)
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


# The commands, in the order of their help.


def _add_init(nouns: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import project

        return project.init(arguments)

    made = add_verb(nouns, "init", verb, "make a project here: a folder workflows/ with an example")
    made.add_argument("path", metavar="PATH", nargs="?", default=".", help="folder of the project (default: this one)")


def _add_start(nouns: Any) -> None:
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
    _add_max_concurrent(made, " (needs --with-agent)")
    more = "The first SIGTERM or Ctrl-C lets running work end, the second ends it."
    examples = "cdktr start agent --max-concurrent 5\ncdktr start agent --principal-host 10.0.0.7"
    made = add_verb(verbs, "agent", agent, "start an agent, which runs tasks on this host", more, examples)
    _add_max_concurrent(made)
    made.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)
    add_client(made, json=False)


def _add_max_concurrent(made: argparse.ArgumentParser, more: str = "") -> None:
    made.add_argument(
        "--max-concurrent",
        metavar="N",
        type=count,
        dest="agent_max_concurrency",
        help=f"runs that the agent takes at once{more}",
    )


def _add_task(nouns: Any) -> None:
    verbs = add_noun(nouns, "task", "list, run and look at workflows")
    _add_task_list(verbs)
    _add_task_run(verbs)
    _add_task_show(verbs)
    _add_task_history(verbs)
    _add_task_reload(verbs)


def _add_task_list(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import look

        return look.list_workflows(arguments)

    add_client(add_verb(verbs, "list", verb, "list the workflows: schedule, next run, last result"))


def _add_task_run(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import run

        return run.run(arguments)

    more = (
        "Prints the id of the run on stdout and everything else on stderr, but for the log lines of --follow.\n"
        "With --wait or --follow the exit code is 0 when the run is COMPLETED, else 1; Ctrl-C stops the\n"
        "waiting and not the run."
    )
    examples = (
        "cdktr task run hello --follow\n"
        "cdktr task run etl.daily --param day=2026-01-31 --param full=true --wait\n"
        "cdktr task run etl.daily --params-file parameters.json"
    )
    made = add_verb(verbs, "run", verb, "run a workflow now", more, examples)
    made.add_argument("workflow", metavar="WORKFLOW", help="its id, as `cdktr task list` shows it")
    made.add_argument("--param", metavar="K=V", action="append", default=[], help="a parameter; may be repeated")
    made.add_argument("--params-file", metavar="FILE", help="a JSON object of parameters; --param goes before it")
    made.add_argument("--wait", action="store_true", help="wait for the end of the run")
    made.add_argument("--follow", action="store_true", help="print its log lines as they come, until its end")
    add_client(made)


def _add_task_show(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import look

        return look.show_workflow(arguments)

    more = "With --run also how that run went: the status of every task, attempts, exit code, duration and detail."
    examples = "cdktr task show etl.daily\ncdktr task show --run jumping-monkey-7"
    made = add_verb(verbs, "show", verb, "show a workflow and the graph of its tasks", more, examples)
    made.add_argument("workflow", metavar="WORKFLOW", nargs="?", help="its id; may be left out with --run")
    made.add_argument("--run", metavar="ID", help="a run of it, as `cdktr task history` shows them")
    add_client(made)


def _add_task_history(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import look

        return look.history(arguments)

    more = "The tasks of one run: cdktr task show --run ID."
    examples = "cdktr task history --limit 5\ncdktr task history etl.daily --status FAILED"
    made = add_verb(verbs, "history", verb, "list runs, the newest first", more, examples)
    made.add_argument("workflow", metavar="WORKFLOW", nargs="?", help="only runs of this workflow")
    _add_status_filter(made)
    made.add_argument("--limit", metavar="N", type=count, default=20, help="how many (default: 20)")
    add_client(made)


def _add_status_filter(made: argparse.ArgumentParser) -> None:
    meaning = f"only of runs whose status is this: {', '.join(STATUSES)}"
    made.add_argument("--status", metavar="S", type=str.upper, choices=STATUSES, help=meaning)


def _add_task_reload(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import look

        return look.reload(arguments)

    more = "Exits with 1 when a file is wrong; the last good version of it stays in force."
    add_client(add_verb(verbs, "reload", verb, "have the principal read the workflow folder now", more))


def _add_logs(nouns: Any) -> None:
    verbs = add_noun(nouns, "logs", "query and follow what tasks print")
    _add_logs_query(verbs)
    _add_logs_tail(verbs)


def _add_logs_query(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import logs

        return logs.query(arguments)

    more = "Without a time: the last 24 hours, or with --run all of that run."
    examples = (
        "cdktr logs query --workflow etl.daily --last 1h\n"
        "cdktr logs query --status FAILED --level ERROR\n"
        "cdktr logs query --since 2026-01-31T02:00 --until 2026-01-31T03:00 --json"
    )
    made = add_verb(verbs, "query", verb, "print log lines, the oldest first", more, examples)
    _add_log_filters(made)
    made.add_argument("--task", metavar="TASK", help="only of this task, by its id or its name")
    _add_status_filter(made)
    made.add_argument(
        "--level", metavar="L", type=lambda text: LEVELS.get(text.upper(), text), choices=sorted(set(LEVELS.values())),
        help="only lines of this level: INFO (stdout), ERROR (stderr), WARNING",
    )  # fmt: skip
    window = made.add_mutually_exclusive_group()
    window.add_argument("--last", metavar="1h", help="how far to look back")
    window.add_argument("--since", metavar="T", help=TIMES)
    made.add_argument("--until", metavar="T", help="the same, for the end")
    made.add_argument("--limit", metavar="N", type=whole(1, 10**9, "a whole number"), help=FIRST)
    add_client(made)


def _add_log_filters(made: argparse.ArgumentParser) -> None:
    made.add_argument("--workflow", metavar="W", help="only of this workflow")
    made.add_argument("--run", metavar="ID", help="only of this run")
    made.add_argument("--verbose", action="store_true", help="name workflow and task in each line")


def _add_logs_tail(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import logs

        return logs.tail(arguments)

    more = "With --run it ends when the run has ended, else with Ctrl-C."
    examples = "cdktr logs tail -n 100 --workflow etl.daily\ncdktr logs tail --run jumping-monkey-7"
    made = add_verb(verbs, "tail", verb, "print the last log lines, and new ones as they come", more, examples)
    _add_log_filters(made)
    lines = whole(0, MAX_TAIL, "a whole number")
    made.add_argument("-n", "--lines", metavar="N", type=lines, default=20, help="lines to begin with (default: 20)")
    made.add_argument("--no-follow", action="store_true", help="stop after those")
    add_client(made)


def _add_agent(nouns: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import state

        return state.agents(arguments)

    verbs = add_noun(nouns, "agent", "look at agents")
    add_client(add_verb(verbs, "list", verb, "list the agents that the principal knows"))


def _add_status(nouns: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import state

        return state.status(arguments)

    more = "Exits with 0 when the principal answers. Says why something that is queued does not run."
    add_client(add_verb(nouns, "status", verb, "show how the principal is, and what needs attention", more))


def _add_validate(nouns: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import project

        return project.validate(arguments)

    more = "Needs no principal. Exits with 1 when anything is wrong, as a check before a commit does."
    examples = "cdktr validate\ncdktr validate workflows/etl/daily.yml"
    made = add_verb(nouns, "validate", verb, "check workflow files", more, examples)
    made.add_argument("paths", metavar="PATH", nargs="*", help="files and folders (default: CDKTR_WORKFLOW_DIR)")
    add_json(made)


def _add_config(nouns: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import project

        return project.config(arguments)

    verbs = add_noun(nouns, "config", "look at the settings")
    more = "A flag goes before the environment, that before .env in this folder, that before the default."
    add_json(add_verb(verbs, "list", verb, "list every setting, its value and where that is from", more))


#: In the order of the help.
COMMANDS: dict[str, Callable[[Any], None]] = {
    "init": _add_init,
    "start": _add_start,
    "task": _add_task,
    "logs": _add_logs,
    "agent": _add_agent,
    "status": _add_status,
    "validate": _add_validate,
    "config": _add_config,
}
