"""A host as the one file finds it: a user with a home, and what is in the way.

    place = Place(tmp_path, file)
    with place.running() as there:
        there.ok("task", "list")

What is in the way is made with mounts in a namespace of their own, which the host that runs the tests does not see.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.cluster import PATIENCE_S, SETTINGS, Daemon

#: A user without rights.
USER = 61001
OTHER_USER = 61002

PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass
class Place:
    """Where the file is and who calls it. `folder` is the project's as seen from here, `inside` as the program sees it.
    `env` goes over that of a login; what is None is not set. `before` and `after` are what the calling shell does
    before, and the redirections; `shell` is one that reads the file by its name."""

    folder: Path
    file: str
    env: Mapping[str, str | None] = field(default_factory=dict)
    enter: Sequence[str] = ()
    inside: str | None = None
    before: str = ":"
    after: str = ""
    shell: Sequence[str] = ()

    def environment(self, **more: str | None) -> dict[str, str]:
        """As after a login, with short waits and any free ports."""
        own = {"PATH": PATH, "HOME": str(self.folder / "home"), "LANG": "C.UTF-8", **SETTINGS, **self.env, **more}
        return {name: value for name, value in own.items() if value is not None}

    def at(self, *words: str) -> list[str]:
        """A command there, in the project's folder."""
        go = ["sh", "-c", f'cd "$0" && {self.before} && exec "$@" {self.after}', self.inside or str(self.folder)]
        return [*self.enter, *go, *words]

    def command(self, *arguments: str) -> list[str]:
        """`cdktr …` there."""
        return self.at(*self.shell, self.file, *arguments)

    def run(self, *arguments: str, **env: str | None) -> "subprocess.CompletedProcess[str]":
        """Run `cdktr …` to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S * 2,
        )

    def ok(self, *arguments: str, **env: str | None) -> str:
        """The output of a `cdktr …` that must end well."""
        done = self.run(*arguments, **env)
        assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def spawn(self, *arguments: str, **env: str | None) -> Daemon:
        """Start `cdktr …`."""
        return Daemon(f"cdktr {' '.join(arguments)}", self.command(*arguments), Path("/"), self.environment(**env))

    @contextmanager
    def running(self, *arguments: str, **env: str | None) -> Iterator["Place"]:
        """A principal with an agent; the place that is connected to it. Stopped at the end, which must go well."""
        daemon = self.spawn("start", "principal", "--with-agent", *arguments, **env)
        try:
            port = daemon.wait_for(r"Principal server started on \S+:(\d+)")[1]
            daemon.wait_for(r"Agent \S+ ready")
            yield Place(self.folder, self.file, {**self.env, "CDKTR_PRINCIPAL_PORT": port}, self.enter, self.inside)
            code = daemon.stop()
            assert code == 0, daemon.text
        finally:
            daemon.stop()


class Mounts:
    """A mount namespace, made by a shell script; `enter` stands before a command that is to run in it."""

    def __init__(self, script: str, *arguments: str) -> None:
        self._command = ["unshare", "--mount", "--propagation=private", "sh", "-ec", f"{script}\necho\nread end || :"]
        self._command += ["sh", *arguments]

    def __enter__(self) -> "Mounts":
        self._holder = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        with self._holder.stdout as ready:
            assert ready.readline() == b"\n"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._holder.stdin is not None
        self._holder.stdin.close()
        self._holder.wait()

    @property
    def root(self) -> Path:
        """All files as they are seen in it, for whoever may look into a process of it."""
        return Path(f"/proc/{self._holder.pid}/root")

    @property
    def enter(self) -> list[str]:
        """The process started is the command's own."""
        return [program("nsenter"), f"--target={self._holder.pid}", "--mount", "--"]

    def enter_as(self, user: int) -> list[str]:
        """As a user without rights."""
        return [*self.enter, *as_user(user)]


def as_user(user: int) -> list[str]:
    """What stands before a command that a user without rights is to run."""
    return [program("setpriv"), f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]


def program(name: str) -> str:
    """The path of a program, which is not on the PATH of the places."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found is not None, name
    return found


def rooms(folder: Path) -> list[Path]:
    """All that was unpacked or begun below a folder."""
    return sorted(path for room in (*folder.glob("program-*"), *folder.glob(".cdktr-*")) for path in room.iterdir())
