"""What the verbs share: settings, the connection, and how something is printed."""

import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cdktr.errors import SettingError
from cdktr.settings import Address, Settings, addresses, load
from cdktr.text import printable

if TYPE_CHECKING:
    from cdktr.client import Principal

#: Flags whose names are those of settings.
FLAGS = ("principal_host", "principal_port", "agent_max_concurrency", "workflow_dir")


def settings_of(arguments: Namespace) -> Settings:
    """The settings in force. Names that look like settings and are none are told on stderr."""
    loaded = load({name: getattr(arguments, name, None) for name in FLAGS})
    for warning in loaded.warnings:
        say(f"cdktr: {warning}")
    return loaded.settings


def where(settings: Settings) -> tuple[Address, ...]:
    """Where principals may be. Raises SettingError."""
    found = addresses(settings.connect_host, settings.principal_port)
    if not all(address.port for address in found):
        raise SettingError("CDKTR_PRINCIPAL_PORT is 0, which is no port to connect to; give --principal-port")
    return found


def connect(arguments: Namespace) -> "Principal":
    """A connection to the principal that the settings and flags name."""
    from cdktr.client import Principal

    settings = settings_of(arguments)
    told = ", ".join(map(str, where(settings)))

    def tell(away: bool) -> None:
        what = f"no principal answers at {told}; waiting for it" if away else "the principal is back"
        say(f"cdktr: {what}")

    return Principal(settings.connect_host, settings.principal_port, settings.timeout_s, tell)


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
