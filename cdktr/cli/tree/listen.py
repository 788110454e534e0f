"""`cdktr listen`: event listeners."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cdktr.cli.arguments import add_client, add_noun, add_verb, address, count, port, seconds, whole

#: What stands for the file of a listener of one's own, in the help and in the tree.
SCRIPT = "SCRIPT.py"

#: Words after `cdktr listen` that name no file; `./folder` is a file of that name.
WORDS = ("folder", "webhook")

MORE = """\
A script runs as `python SCRIPT.py ARGS…` would run it, and imports EventListener
and Principal from cdktr; all that follows its name are its own arguments. When
it ends without having started a listener, and defines one, that one is made
without arguments and started; but not beside threads or processes that it left
running, which may start one.

It ends with 0 at SIGTERM and Ctrl-C, with the code that it gives to sys.exit(),
and with 1 when it raises, is no Python, or has nothing to start. Its log lines
go to stderr, warnings and what is worse, unless it sets up `logging`.
CDKTR_PRINCIPAL_HOST and CDKTR_PRINCIPAL_PORT say where the principal of a
listener is that names none itself."""


PARAM = "a parameter of every run; may be repeated"

FOLDER = """\
A file counts once its size and time of change have stayed the same for
--settle; each version of it makes one run, also across restarts: what has
counted is noted in CDKTR_APP_DATA_DIRECTORY. Files that are there at the very
first start do not count. Links do not count, and are not followed. Hidden
files, and .part, .tmp, .swp, ~, are left out unless a --pattern is about them.
In the value of a --param, {path} is the file with its folder, {name} and
{folder} are these alone.

A name is whatever its sender chose: in `sh -c` write "$file", in quotes, for the
parameter file, and never ${{ params.file }}, which the shell would run."""

WEBHOOK = """\
POST /trigger/WORKFLOW runs it; the body is nothing, or JSON such as
{"params": {"day": "2026-01-31"}, "key": "order-7"}. A request is signed:
X-Cdktr-Timestamp holds the unix seconds, X-Cdktr-Signature sha256= and, in
hex, HMAC-SHA256 of <seconds>.<workflow>.<body> with the secret. It is good for
five minutes and makes one run, however often it is sent; one with a "key" is
the same event as any other with that key. GET /health needs no signature.
With --github it is the forge's signature that counts, and no other.

A value is whatever its sender chose: in `sh -c` write "$day", in quotes, for the
parameter day, and never ${{ params.day }}, which the shell would run.

The secret is in --secret-file or CDKTR_WEBHOOK_SECRET. There is no TLS: have
a proxy in front for whatever is not this host."""


def add_listen(nouns: Any) -> None:
    """The words after `cdktr listen`."""

    def script(arguments: argparse.Namespace) -> int:
        from cdktr.cli import listen

        return listen.script(arguments)

    verbs = add_noun(nouns, "listen", "run an event listener")
    examples = "cdktr listen mail.py\nCDKTR_PRINCIPAL_HOST=10.0.0.7 cdktr listen mail.py --folder inbox"
    made = add_verb(verbs, SCRIPT, script, "run an event listener of your own", MORE, examples)
    made.usage = "%(prog)s [ARGS…]"
    made.add_argument("script", metavar=SCRIPT, help="a file of Python")
    rest = made.add_argument("arguments", metavar="ARGS", nargs=argparse.REMAINDER, help="its own arguments")
    rest.required = False
    _add_folder(verbs)
    _add_webhook(verbs)


def _add_folder(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import ready

        return ready.folder(arguments)

    examples = (
        "cdktr listen folder /srv/incoming etl.daily --param file={path}\n"
        "cdktr listen folder incoming etl.daily --pattern '*.csv' --recursive --settle 10s"
    )
    made = add_verb(verbs, "folder", verb, "run a workflow for each new or changed file", FOLDER, examples)
    made.add_argument("path", metavar="PATH", help="the folder")
    made.add_argument("workflow", metavar="WORKFLOW", help="its id, as `cdktr task list` shows it")
    made.add_argument("--param", metavar="K=V", action="append", default=[], help=PARAM)
    made.add_argument(
        "--pattern",
        metavar="P",
        action="append",
        default=[],
        help="only files of such a name, as '*.csv'; may be repeated",
    )
    made.add_argument("--recursive", action="store_true", help="look into the folders in it, too")
    made.add_argument("--existing", action="store_true", help="what is there at the very first start counts, too")
    made.add_argument("--interval", metavar="T", type=seconds, default=1.0, help="time between two looks (default: 1s)")
    made.add_argument(
        "--settle", metavar="T", type=seconds, default=2.0, help="how long a file must stay the same (default: 2s)"
    )
    add_client(made, json=False)


def _add_webhook(verbs: Any) -> None:
    def verb(arguments: argparse.Namespace) -> int:
        from cdktr.cli import ready

        return ready.webhook(arguments)

    examples = (
        "cdktr listen webhook --secret-file webhook.secret\n"
        "cdktr listen webhook --port 9000 --workflow deploy --github --secret-file github.secret"
    )
    made = add_verb(verbs, "webhook", verb, "run workflows for signed HTTP requests", WEBHOOK, examples)
    made.add_argument(
        "--bind", metavar="ADDRESS", type=address, default="127.0.0.1", help="address to bind (default: 127.0.0.1)"
    )
    made.add_argument("--port", metavar="N", type=port, default=8080, help="its port; 0: any (default: 8080)")
    made.add_argument("--secret-file", metavar="FILE", help="holds the secret; only its owner and group may read it")
    made.add_argument(
        "--workflow",
        metavar="W",
        action="append",
        default=[],
        help="only this workflow may be triggered; may be repeated",
    )
    made.add_argument("--param", metavar="K=V", action="append", default=[], help=PARAM)
    made.add_argument(
        "--github",
        action="store_true",
        help="take the signatures of GitHub and Gitea, and no others (needs one --workflow)",
    )
    made.add_argument(
        "--rate",
        metavar="N",
        type=count,
        default=60,
        help="signed requests for one workflow a minute, and others of one client; ten times that of all (default: 60)",
    )
    made.add_argument(
        "--max-body", metavar="BYTES", type=whole(2, 16 * 1024 * 1024, "a number of bytes"), default=64 * 1024,
        help="longest body (default: 65536)",
    )  # fmt: skip
    add_client(made, json=False)


def with_script(argv: Sequence[str]) -> Sequence[str]:
    """The command line with the word that stands for a script before the file of one."""
    if len(argv) < 2 or argv[0] != "listen" or argv[1].startswith("-") or argv[1] in WORDS:
        return argv
    if argv[1] == SCRIPT and not Path(SCRIPT).exists():
        # As it stands in the help.
        return argv
    return [argv[0], SCRIPT, *argv[1:]]
