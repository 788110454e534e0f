"""Two hosts with a network between them, on one machine: network namespaces, and a router whose routes can be cut.

    with Network() as network:
        with network.host("a"): ...     # this thread, and the processes it starts, are on host a
        network.cut("a", "b")           # packets from a to b vanish; those from b to a arrive

Nothing outlives the processes that hold the namespaces, and those end with this one.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType

from tests import namespace
from tests.namespace import Namespace

#: The addresses of the hosts; 198.18.0.0/15 is set aside for tests of networks.
ADDRESSES = {"a": "198.18.1.2", "b": "198.18.2.2"}

CLONE_NEWNET = 0x40000000


def why_not() -> str | None:
    """Why this machine cannot do it, None when it can."""
    if os.geteuid() != 0:
        return "moving between network namespaces needs root"
    return namespace.why_not()


class Network:
    """The hosts a and b, and the router between them."""

    def __init__(self) -> None:
        self._namespaces: dict[str, Namespace] = {}
        self._end = ExitStack()

    def __enter__(self) -> "Network":
        for name in ("router", *ADDRESSES):
            self._namespaces[name] = self._end.enter_context(Namespace())
        self._run("router", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for name, address in ADDRESSES.items():
            gateway = address.rpartition(".")[0] + ".1"
            pid = self._namespaces[name].pid
            self._run("router", *f"ip link add to-{name} type veth peer name eth0 netns {pid}".split())
            self._run("router", *f"ip addr add {gateway}/24 dev to-{name}".split())
            self._run("router", *f"ip link set to-{name} up".split())
            for command in (f"addr add {address}/24 dev eth0", "link set eth0 up"):
                self._run(name, "ip", *command.split())
            self._run(name, *f"ip route add default via {gateway}".split())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.close()

    def _run(self, host: str, *command: str) -> None:
        subprocess.run([*self._namespaces[host].enter, *command], check=True, capture_output=True)

    @contextmanager
    def host(self, name: str) -> Iterator[None]:
        """This thread, and all that it starts, is on this host."""
        libc = ctypes.CDLL(None, use_errno=True)
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{self._namespaces[name].pid}/ns/net", os.O_RDONLY)
        try:
            assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(back, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        finally:
            os.close(there)
            os.close(back)

    def cut(self, source: str, target: str) -> None:
        """From now on packets from one host to the other vanish on the way."""
        self._run("router", "ip", "route", "add", "blackhole", f"{ADDRESSES[target]}/32")

    def mend(self, source: str, target: str) -> None:
        """Undo `cut`."""
        self._run("router", "ip", "route", "del", "blackhole", f"{ADDRESSES[target]}/32")
