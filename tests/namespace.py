"""A network of its own on this machine: in it every port is free, and nothing outside hears of it.

    with Namespace() as there:
        subprocess.run([*there.enter, "program", "argument"])

It outlives neither this process nor the last one in it.
"""

import os
import shutil
import subprocess
from types import TracebackType

#: For whoever is not root, the network is in a user namespace too, in which they are.
_ROOT = os.geteuid() == 0


def why_not() -> str | None:
    """Why this machine cannot do it, None when it can."""
    for program, package in (("ip", "iproute2"), ("unshare", "util-linux"), ("nsenter", "util-linux")):
        if shutil.which(program) is None:
            return f"there is no `{program}` here (Debian package {package})"
    tried = subprocess.run([*_unshare(), "ip", "link", "set", "lo", "up"], capture_output=True, text=True)
    return f"this system makes no network namespaces: {tried.stderr.strip()}" if tried.returncode else None


def _unshare() -> list[str]:
    return ["unshare", "--net"] if _ROOT else ["unshare", "--net", "--map-root-user"]


class Namespace:
    """A network namespace with nothing in it but the loopback interface."""

    def __enter__(self) -> "Namespace":
        # A shell holds it until its stdin ends.
        self._holder = subprocess.Popen(
            [*_unshare(), "sh", "-ec", "ip link set lo up; echo; read end"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        with self._holder.stdout as ready:
            assert ready.readline() == b"\n"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._holder.stdin is not None
        self._holder.stdin.close()
        self._holder.wait()

    @property
    def pid(self) -> int:
        """A process in it."""
        return self._holder.pid

    @property
    def enter(self) -> list[str]:
        """What stands before a command that is to run in it; the process started is the command's own."""
        user = [] if _ROOT else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={self.pid}", *user, "--net", "--"]

    @property
    def enter_as_user(self) -> list[str]:
        """The same for a program that refuses to run as root: as nobody, or as whoever runs the tests."""
        if _ROOT:
            return [*self.enter, "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
        return [*self.enter, "unshare", "--user", f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}", "--"]


#: The user and group that own nothing, on every Linux.
NOBODY = 65534
