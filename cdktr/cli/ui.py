"""`cdktr ui`: the terminal UI."""

import gc
from argparse import Namespace
from contextlib import suppress

from cdktr import __version__
from cdktr.caller import Subscriber
from cdktr.cli import Exit
from cdktr.cli.common import say, settings_of
from cdktr.client import Principal
from cdktr.settings import Address, addresses
from cdktr.tui.screen.loop import run


def show(arguments: Namespace) -> int:
    """Until somebody quits. Ended by a signal it gives 128 and its number, as shells have it."""
    # What is kept has no cycles, and a key would wait while thousands of workflows are searched for some.
    gc.set_threshold(100_000, 50, 1_000)
    settings = settings_of(arguments)
    hosts = addresses(settings.connect_host, settings.principal_port)

    def listen(port: int, topic: bytes) -> Subscriber:
        return Subscriber([Address(each.host, port) for each in hosts], topic)

    interval_s = settings.tui_status_refresh_interval_ms / 1000
    signal = run(Principal.of(settings), listen, ", ".join(map(str, hosts)), __version__, interval_s)
    # What is held is not looked through once more at the end: with thousands of workflows that takes seconds.
    gc.freeze()
    if signal is None:
        return Exit.DONE
    with suppress(OSError):  # what a terminal that is gone is told is told to nobody
        say(f"cdktr: the terminal UI was ended by {signal.name}")
    return 128 + signal
