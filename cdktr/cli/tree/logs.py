"""`cdktr logs`: what tasks print."""

import argparse
from typing import Any

from cdktr.cli.arguments import add_client, add_noun, add_status_filter, add_verb, add_window, whole

LEVELS = {"DEBUG": "DEBUG", "INFO": "INFO", "WARN": "WARNING", "WARNING": "WARNING", "ERROR": "ERROR"}

FIRST = "print the first N that match; `logs tail -n N` shows the last"

#: Log lines that one page of the API holds at most.
MAX_TAIL = 10_000


def add_logs(nouns: Any) -> None:
    """The words after `cdktr logs`."""
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
    add_status_filter(made)
    made.add_argument(
        "--level", metavar="L", type=lambda text: LEVELS.get(text.upper(), text), choices=sorted(set(LEVELS.values())),
        help="only lines of this level: INFO (stdout), ERROR (stderr), WARNING",
    )  # fmt: skip
    add_window(made)
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
