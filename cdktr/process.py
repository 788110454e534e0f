"""This process: the signals that tell it to stop, its standard streams, how many files it may open."""

import asyncio
import os
import resource
import signal
from collections.abc import Callable

from cdktr.errors import StartError

#: Open files that are ever wanted. No more: there are programs that go through all that they may have.
MOST_FILES = 65536

#: With fewer nothing begins that is to stay: ZeroMQ ends the process where it can open none.
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


def raise_file_limit(who: str) -> int:
    """As many open files as are of use: each connection of an agent or client takes one. The soft limit before, for an
    agent to get back, or what that needs at least. Raises StartError when this process may not have enough for `who` it
    is, such as "a principal"."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _check(who, hard, "hard limit", "ulimit -Hn")
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft if soft == resource.RLIM_INFINITY else max(soft, FEWEST_FILES)


def check_file_limit(who: str) -> None:
    """As `raise_file_limit`, for one that keeps its limit because what it starts gets it too."""
    _check(who, resource.getrlimit(resource.RLIMIT_NOFILE)[0], "limit", "ulimit -n")


def _check(who: str, files: int, limit: str, shown_by: str) -> None:
    if files != resource.RLIM_INFINITY and files < FEWEST_FILES:
        raise StartError(
            f"This process may have {files} files open, and {who} needs {FEWEST_FILES} or more; raise the {limit} of "
            f"its user (`{shown_by}` shows it; LimitNOFILE= in a service)"
        )
