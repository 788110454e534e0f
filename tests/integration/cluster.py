"""A principal and its agents as real processes, for the integration tests.

    def test_something(cluster: Cluster) -> None:
        cluster.write("hello", "...")
        assert cluster.cli("task", "run", "hello", "--wait").returncode == 0

Waiting is always for something that a process says; nothing here sleeps for a while and hopes.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from cdktr import protocol as p
from cdktr.client import Principal
from cdktr.messages import Request

ROOT = Path(__file__).resolve().parents[2]

#: Seconds until a process has said what is waited for, or has ended: a limit for a hanging test, not a measure.
PATIENCE_S = 30.0

#: Any free ports, and short waits.
SETTINGS = {
    "CDKTR_PRINCIPAL_HOST": "127.0.0.1",
    "CDKTR_PRINCIPAL_PORT": "0",
    "CDKTR_LOGS_LISTENING_PORT": "0",
    "CDKTR_LOGS_PUBLISHING_PORT": "0",
    "CDKTR_WORKFLOW_DIR_REFRESH_FREQUENCY_S": "3600",
    "CDKTR_TASK_KILL_GRACE_MS": "1000",
}


class Daemon:
    """A process of which everything it says is kept, and can be waited for."""

    def __init__(self, name: str, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.lines: list[str] = []
        self._said = threading.Condition()
        self._closed = False
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._said:
                self.lines.append(line.rstrip("\n"))
                self._said.notify_all()
        with self._said:
            self._closed = True
            self._said.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in what it said so far or says next; fails when it ends without it."""
        seen = 0
        with self._said:
            while True:
                for line in self.lines[seen:]:
                    if match := re.search(pattern, line):
                        return match
                seen = len(self.lines)
                if self._closed or not self._said.wait(PATIENCE_S):
                    raise AssertionError(f"{self.name} did not say {pattern!r}:\n{self.text}")

    @property
    def text(self) -> str:
        """All it said, on stdout and stderr."""
        return "\n".join(self.lines)

    def signal(self, number: int) -> None:
        """Send a signal to this process alone."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once it has ended."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def stop(self) -> int:
        """SIGTERM, and after a while SIGKILL; the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.wait()
        finally:
            if self.process.stdout is not None and not self._reader.is_alive():
                self.process.stdout.close()


class Cluster:
    """A folder with workflows and data, and the processes that were started on it."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.workflows = folder / "workflows"
        self.workflows.mkdir(parents=True, exist_ok=True)
        self.settings = {**SETTINGS, "CDKTR_APP_DATA_DIRECTORY": str(folder / "data"), **(settings or {})}
        self.daemons: list[Daemon] = []
        #: What stands before each command: nothing, or what takes it into a namespace.
        self.enter: list[str] = []
        #: Of the principal that was started last: API, log intake, log publisher.
        self.port = self.logs_in = self.logs_out = 0

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    # Processes.

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Of this process without its own settings, with those of the cluster."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CDKTR_")}
        where = {"CDKTR_PRINCIPAL_PORT": str(self.port)} if self.port else {}
        return {**inherited, "HOME": str(self.folder), **self.settings, **where, **(extra or {})}

    def spawn(self, *arguments: str, env: Mapping[str, str] | None = None) -> Daemon:
        """Start `cdktr …` in the folder and return at once."""
        command = [*self.enter, sys.executable, str(ROOT / "cdktr.py"), *arguments]
        name = f"{len(self.daemons)}: cdktr {' '.join(arguments)}"
        self.daemons.append(Daemon(name, command, self.folder, self.environment(env)))
        return self.daemons[-1]

    def start_principal(self, *arguments: str, env: Mapping[str, str] | None = None) -> Daemon:
        """Return when it answers. A second one takes the port of the first, unless told otherwise."""
        daemon = self.spawn("start", "principal", *arguments, env=env)
        self.port = int(daemon.wait_for(r"Principal server started on \S+:(\d+)")[1])
        facts = self.ask(p.Capabilities())
        self.logs_in, self.logs_out = facts["logs_listening_port"], facts["logs_publishing_port"]
        return daemon

    def start_agent(self, *arguments: str, env: Mapping[str, str] | None = None) -> Daemon:
        """Return when the principal knows it."""
        daemon = self.spawn("start", "agent", *arguments, env=env)
        daemon.wait_for(r"Agent \S+ ready")
        return daemon

    def stop(self) -> None:
        """End every process, the newest first: agents go before their principal."""
        for daemon in reversed(self.daemons):
            daemon.stop()

    @property
    def text(self) -> str:
        """What all processes said."""
        return "\n".join(f"--- {daemon.name}\n{daemon.text}" for daemon in self.daemons)

    # What a user does.

    def cli(
        self, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `cdktr …` to its end, connected to this cluster's principal."""
        return subprocess.run(
            [*self.enter, sys.executable, str(ROOT / "cdktr.py"), *arguments],
            cwd=cwd or self.folder,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S * 2,
        )

    def write(self, name: str, text: str) -> Path:
        """Write a workflow file; a running principal has read it on return."""
        path = self.workflows / (name if Path(name).suffix in (".yml", ".yaml") else f"{name}.yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if self.port:
            self.ask(p.Reload())
        return path

    def ask(self, request: Request, rest_s: float = 10.0) -> Any:
        """The value of the principal's reply."""
        with Principal("127.0.0.1", self.port) as principal:
            return principal.ask(request, rest_s)
