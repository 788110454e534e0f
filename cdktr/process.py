"""This process: the signals that tell it to stop, how many files it may open."""

import resource
import signal

#: Open files that are ever wanted. No more: there are programs that go through all that they may have.
MOST_FILES = 65536


def stop_signals() -> list[signal.Signals]:
    """The signals to stop at. SIGHUP is not among them when it was ignored at the start, as under `nohup`."""
    wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]


def raise_file_limit() -> None:
    """As many open files as are of use: each connection of an agent or client takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
