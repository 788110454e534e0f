"""`cdktr task`: workflows and their runs."""

import argparse
from typing import Any

from cdktr.cli.arguments import add_client, add_noun, add_status_filter, add_verb, add_window, count


def add_task(nouns: Any) -> None:
    """The words after `cdktr task`."""
    verbs = add_noun(nouns, "task", "list, run and look at workflows")
    _add_task_list(verbs)
    _add_task_run(verbs)
    _add_task_show(verbs)
    _add_task_history(verbs)
    _add_task_pause(verbs)
    _add_task_resume(verbs)
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
    made.add_argument(
        "--follow",
        action="store_true",
        help="print its log lines as they come, until its end (on a terminal with the name of their task alone)",
    )
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

    more = (
        "With a time: those that were queued or under way then, whenever they began.\n"
        "The tasks of one run: cdktr task show --run ID."
    )
    examples = (
        "cdktr task history --limit 5\n"
        "cdktr task history etl.daily --status FAILED --last 1d\n"
        "cdktr task history --since 2026-01-31 --until 2026-02-01"
    )
    made = add_verb(verbs, "history", verb, "list runs, the newest first", more, examples)
    made.add_argument("workflow", metavar="WORKFLOW", nargs="?", help="only runs of this workflow")
    add_status_filter(made)
    add_window(made)
    made.add_argument("--limit", metavar="N", type=count, default=20, help="how many (default: 20)")
    add_client(made)


def _add_task_pause(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import pause

        return pause.pause(arguments)

    more = (
        "The clock does not start them until they are resumed, over restarts of the principal. Whoever starts them\n"
        "by hand, by the API or by a listener still can; what is queued or under way goes on."
    )
    made = add_verb(verbs, "pause", verb, "keep workflows from running by their schedule", more)
    _add_workflows(made)


def _add_task_resume(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import pause

        return pause.resume(arguments)

    more = "Times that passed meanwhile are not made up for, whatever `catch_up` says."
    _add_workflows(add_verb(verbs, "resume", verb, "let paused workflows run by their schedule again", more))


def _add_workflows(made: argparse.ArgumentParser) -> None:
    made.add_argument("workflows", metavar="WORKFLOW", nargs="+", help="their ids, as `cdktr task list` shows them")
    add_client(made)


def _add_task_reload(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import look

        return look.reload(arguments)

    more = "Exits with 1 when a file is wrong; the last good version of it stays in force."
    add_client(add_verb(verbs, "reload", verb, "have the principal read the workflow folder now", more))
