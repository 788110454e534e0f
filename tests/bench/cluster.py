"""A principal and an agent as processes of their own, on free ports and in a folder of their own, to be measured."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]


class Cluster:
    """`with Cluster({"name": yaml}) as cluster: …`; `slots` is the agent's concurrency."""

    def __init__(self, workflows: dict[str, str], slots: int = 5) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cdktr-bench-")
        self.folder = Path(self._folder.name)
        (self.folder / "workflows").mkdir()
        for name, text in workflows.items():
            (self.folder / "workflows" / f"{name}.yml").write_text(text)
        ports = ("CDKTR_PRINCIPAL_PORT", "CDKTR_LOGS_LISTENING_PORT", "CDKTR_LOGS_PUBLISHING_PORT")
        own = {"CDKTR_APP_DATA_DIRECTORY": str(self.folder / "data"), "CDKTR_PRINCIPAL_HOST": "127.0.0.1"}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CDKTR_")}
        self._env = clean | own | dict.fromkeys(ports, "0")
        self._slots = slots

    def __enter__(self) -> "Cluster":
        self.principal = self._start("principal")
        self.port = int(self._expect(self.principal, r"Principal server started on .*:(\d+)"))
        slots = ("--max-concurrent", str(self._slots))
        self.agent = self._start("agent", "--principal-port", str(self.port), *slots)
        self._expect(self.agent, r"Agent (\S+) ready")
        return self

    def _start(self, what: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(ROOT / "cdktr.py"), "start", what, *arguments]
        return subprocess.Popen(command, env=self._env, cwd=self.folder, stderr=subprocess.PIPE, text=True)

    def _expect(self, process: "subprocess.Popen[str]", pattern: str) -> str:
        assert process.stderr is not None
        seen = ""
        for line in process.stderr:
            seen += line
            if found := re.search(pattern, line):
                self._drain(process)
                return found[1]
        raise RuntimeError(f"{process.args!r} ended:\n{seen}")

    def _drain(self, process: "subprocess.Popen[str]") -> None:
        """Hand the rest of the log to a file, so that it never waits for a reader."""
        assert process.stderr is not None
        with open(self.folder / "log", "ab") as log:
            subprocess.Popen(["cat"], stdin=process.stderr, stdout=log)

    def __exit__(
        self, _kind: type[BaseException] | None, _value: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.stop_agent()
        self._stop(self.principal)
        self._folder.cleanup()

    def stop_agent(self) -> None:
        """From now on nothing runs."""
        if self.agent.poll() is None:
            self._stop(self.agent)

    @staticmethod
    def _stop(process: "subprocess.Popen[str]") -> None:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        assert process.stderr is not None
        process.stderr.close()
