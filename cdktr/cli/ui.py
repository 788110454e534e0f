"""`cdktr ui`: the terminal UI."""

import time
from argparse import Namespace

from cdktr import __version__
from cdktr.cli import Exit
from cdktr.cli.common import say, settings_of
from cdktr.client import Principal
from cdktr.settings import addresses
from cdktr.tui.feed.feed import Feed
from cdktr.tui.screen.loop import Loop
from cdktr.tui.screen.terminal import Terminal
from cdktr.tui.state.model import State


def show(arguments: Namespace) -> int:
    """Until somebody quits."""
    settings = settings_of(arguments)
    terminal = Terminal()
    principal = Principal.of(settings)
    where = ", ".join(map(str, addresses(settings.connect_host, settings.principal_port)))
    columns, rows = terminal.size
    state = State(where, __version__, columns, rows, time.time(), terminal.look)
    interval_s = settings.tui_status_refresh_interval_ms / 1000
    signal = Loop(terminal, state, lambda tell: Feed(principal, interval_s, tell)).run()
    if signal is not None:
        say(f"cdktr: the terminal UI was ended by {signal}")
    return Exit.DONE
