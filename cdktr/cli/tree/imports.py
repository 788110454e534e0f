"""`cdktr import`: what others have, as workflow files."""

import argparse
from typing import Any

from cdktr.cli.arguments import add_json, add_noun, add_verb

MORE = """\
Writes a workflow file for each entry: its schedule, its command, and the
variables and the comment above it. A file that is there already is never
changed, so it can be done again. What is not carried over is told, with the
line and what to do instead, and then the exit code is 1; what differs from cron
is told too.

Without FILE it is your own crontab, as `crontab -l` shows it. FILE may be `-`
for the standard input, or a folder such as /etc/cron.d. The crontab itself is
left as it is: take the entries out of it, or both will run them."""


def add_import(nouns: Any) -> None:
    """The words after `cdktr import`."""

    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import imports

        return imports.crontab(arguments)

    verbs = add_noun(nouns, "import", "make workflow files of what you have")
    examples = (
        "cdktr import crontab --dry-run\ncdktr import crontab /etc/crontab\n"
        "ssh old-host crontab -l | cdktr import crontab - --timezone Europe/Berlin"
    )
    made = add_verb(verbs, "crontab", verb, "make workflow files of the entries of a crontab", MORE, examples)
    made.add_argument("file", metavar="FILE", nargs="?", help="a crontab, a folder of them, or - (default: your own)")
    made.add_argument("--into", metavar="DIR", help="folder for the files (default: cron in CDKTR_WORKFLOW_DIR)")
    made.add_argument("--timezone", metavar="ZONE", help="zone of the schedules (default: that of this host)")
    made.add_argument(
        "--system", action=argparse.BooleanOptionalAction, default=None,
        help="whether each entry names a user before its command (default: for files in /etc)",
    )  # fmt: skip
    made.add_argument("--dry-run", action="store_true", help="show the files and write nothing")
    add_json(made)
