"""`cdktr ui`: the terminal UI on a principal."""

import sys
from argparse import Namespace

from cdktr import __version__
from cdktr.cli import Exit
from cdktr.cli.common import is_terminal, settings_of, where
from cdktr.errors import SettingError
from cdktr.settings import Address


def ui(arguments: Namespace) -> int:
    """Show it until somebody quits."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise SettingError(
            "cdktr ui needs a terminal; for scripts there are `cdktr status` and `cdktr task list --json`"
        )
    from cdktr.caller import Subscriber
    from cdktr.client import Principal
    from cdktr.tui.screen.loop import run

    settings = settings_of(arguments)
    hosts = where(settings)

    def connect() -> Principal:
        return Principal(settings.connect_host, settings.principal_port, settings.timeout_s)

    def listen(port: int, topic: bytes) -> Subscriber:
        return Subscriber([Address(each.host, port) for each in hosts], topic)

    run(", ".join(map(str, hosts)), __version__, connect, listen, settings.tui_status_refresh_interval_ms / 1000)
    return Exit.DONE
