"""What the verbs share: settings, the connection, and how something is printed."""

import json
import os
import pwd
import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdktr.settings import Settings, addresses, load
from cdktr.text import printable

if TYPE_CHECKING:
    from cdktr.client import Principal

#: Flags whose names are those of settings.
FLAGS = ("principal_host", "principal_port", "agent_max_concurrency", "agent_labels", "workflow_dir")


def settings_of(arguments: Namespace) -> Settings:
    """The settings in force. Names that look like settings and are none are told on stderr."""
    given = {name: getattr(arguments, name, None) for name in FLAGS}
    loaded = load({name: ",".join(value) if isinstance(value, list) else value for name, value in given.items()})
    for warning in loaded.warnings:
        say(f"cdktr: {warning}")
    return loaded.settings


def connect(arguments: Namespace) -> "Principal":
    """A connection to the principal that the settings and flags name."""
    from cdktr.client import Principal

    settings = settings_of(arguments)
    where = addresses(settings.connect_host, settings.principal_port)

    def tell(away: bool) -> None:
        told = ", ".join(map(str, where))
        what = f"no principal answers at {told}; waiting for it" if away else "the principal is back"
        say(f"cdktr: {what}")

    return Principal.of(settings, tell)


class TroubleTeller:
    """Tells on stderr that the principal's database is in trouble, once, and once that it is well again."""

    def __init__(self) -> None:
        self._is_told = False

    def __call__(self, trouble: str | None) -> None:
        """What a reply says of it."""
        if trouble is not None and not self._is_told:
            say(f"cdktr: the principal's database is in trouble, what is shown lags behind: {trouble}")
        elif trouble is None and self._is_told:
            say("cdktr: the principal's database is well again")
        self._is_told = trouble is not None


def own_user() -> str:
    """The name of the user that this process runs as, or where it has none, the number."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


class WaitTeller:
    """Tells on stderr why a run that is still queued waits: once, and again when the reason has changed."""

    def __init__(self, principal: "Principal", run_id: str) -> None:
        self._principal = principal
        self._run_id = run_id
        self._told = ""

    def __call__(self) -> bool:
        """Whether it is still queued."""
        from cdktr.health import why_waiting
        from cdktr.protocol import AwaitRun, ClusterStatus

        run = self._principal.ask_patiently(AwaitRun(self._run_id))
        if run["status"] != "PENDING":
            return False
        why = why_waiting(self._principal.ask_patiently(ClusterStatus()), run["workflow_id"])
        if why != self._told:
            say(f"cdktr: {self._run_id} is still queued: {why}")
        self._told = why
        return True


def say(text: str) -> None:
    """A remark for the person, after what was printed so far."""
    if sys.stdout is not None:
        sys.stdout.flush()
    print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)


def show(lines: Iterable[str]) -> None:
    """What was asked for. Control characters are made visible."""
    for line in lines:
        print(printable(line))


def show_json(value: Any) -> None:
    """What was asked for, as one JSON document."""
    print(json.dumps(value, indent=2))


def is_terminal(stream: Any) -> bool:
    """Whether a person looks at it."""
    return stream is not None and stream.isatty()


def write_new(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file that is not there yet, with these permissions less the umask. Raises OSError that names the file,
    of which nothing is left then."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        path.unlink(missing_ok=True)
        # A write that fails does not say to which file.
        raise OSError(error.errno, error.strerror, str(path)) from error
