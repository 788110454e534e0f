"""This process: the signals that tell it to stop, its standard streams, how many files it may open."""

import asyncio
import os
import resource
import signal
from collections.abc import Callable

from cdktr.errors import StartError

#: Open files that are ever wanted. No more: there are programs that go through all that they may have.
MOST_FILES = 65536

#: With fewer a principal does not begin: ZeroMQ ends the process where it can open none.
FEWEST_FILES = 64


def stop_signals() -> list[signal.Signals]:
    """The signals to stop at. SIGHUP is not among them when it was ignored at the start, as under `nohup`."""
    wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]


def on_stop(stop: Callable[[], None]) -> None:
    """Have the event loop call `stop` at each such signal; of SIGHUP only the first, and that only when nothing came
    before: a terminal that is closed sends it more than once, which is no second wish."""
    loop = asyncio.get_running_loop()
    told: list[signal.Signals] = []

    def receive(number: signal.Signals) -> None:
        if number != signal.SIGHUP or not told:
            told.append(number)
            stop()

    for number in stop_signals():
        loop.add_signal_handler(number, receive, number)


def fill_standard_streams() -> None:
    """Have a descriptor 0, 1 and 2: whatever is opened first would take the place of one that the caller closed, and
    what is meant for the terminal would be written into it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def raise_file_limit() -> int:
    """As many open files as are of use: each connection of an agent or client takes one. The soft limit before. Raises
    StartError when this process may not have enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FEWEST_FILES:
        raise StartError(
            f"This process may have {hard} files open, and a principal needs {FEWEST_FILES} or more; raise the hard "
            "limit of its user (`ulimit -Hn` shows it; LimitNOFILE= in a service)"
        )
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft
