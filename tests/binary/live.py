"""A host of some kind on which the one file is at work, with all that the examples need there."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.binary.place import PATH, Place
from tests.integration.cluster import Daemon
from tests.integration.examples import EXAMPLES, SAMPLES, WHEELS, Project, wheel_of

#: Examples with packages, which uv brings; all others run where there is a Python, or cdktr's own may be used.
OF_UV = frozenset(name for name in EXAMPLES if "!UvPython" in (SAMPLES / f"{name}.yml").read_text())

VERSION = "import sys; print(*sys.version_info[:2])"


class Live(Project):
    """The examples on such a host, by the command line; all of them are under way."""

    def __init__(self, place: Place, receiver: Daemon, pool: ThreadPoolExecutor) -> None:
        super().__init__(place.folder, receiver, "workflows/examples/data")
        self.place = place
        self._pool = pool
        self._runs: dict[str, Future[subprocess.CompletedProcess[str]]] = {}

    def start(self, label: str, example: str, **params: Any) -> None:
        given = [word for name, value in params.items() for word in ("--param", f"{name}={value}")]
        words = ["task", "run", f"examples.{example}", *given, "--follow", "--json"]
        self._runs[label] = self._pool.submit(self.place.run, *words)

    def end(self, label: str) -> dict[str, Any]:
        *_, summary = self._told(label)
        return {**summary, "tasks": {task["task_id"]: task["status"] for task in summary["tasks"]}}

    def said(self, label: str) -> str:
        *lines, _ = self._told(label)
        return "\n".join(line["payload"] for line in lines)

    def _told(self, label: str) -> list[dict[str, Any]]:
        done = self._runs[label].result()
        assert done.returncode in (0, 1), (done.stdout, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]


def tools(folder: Path) -> dict[str, str]:
    """uv and the packages of the examples, in a folder; the settings with which they are found."""
    for name in WHEELS:
        wheel_of(name, folder)
    shutil.copy(Path(sys.executable).with_name("uv"), folder)
    return {"PATH": f"{folder}:{PATH}", "UV_FIND_LINKS": str(folder), "UV_OFFLINE": "1"}


def python_of(place: Place) -> tuple[int, int] | None:
    """The version of the Python on a host, None when it has none."""
    done = subprocess.run(place.at("python3", "-c", VERSION), env=place.environment(), capture_output=True, text=True)
    if done.returncode == 127:
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


@contextmanager
def at_work(place: Place, uv: dict[str, str]) -> Iterator[Live]:
    """What a user does first, the first start included. Where there is no Python, cdktr's own may be used."""
    assert "examples/README.md" in place.ok("init", "--all")
    env = dict(uv) if python_of(place) else {"CDKTR_EMBEDDED_PYTHON": "1"}
    pool = ThreadPoolExecutor(len(EXAMPLES) + 1)
    with pool, place.running("--no-scheduler", "--max-concurrent", "30", **env) as there:
        receiver = there.spawn("listen", "workflows/examples/scripts/receiver.py", "--port", "0")
        try:
            live = Live(there, receiver, pool)
            live.start_all()
            yield live
        finally:
            receiver.stop()
