"""`cdktr service` under a real systemd: a manager of one user, in a mount namespace in which it believes to be at home.

What needs the first process of a host, the system's own units, is tried no further than `systemd-analyze` goes.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cluster import PATIENCE_S, ROOT, Cluster, Daemon
from tests.integration.conftest import NewCluster
from tests.integration.words import words_of

pytestmark = pytest.mark.integration

MANAGER = Path("/lib/systemd/systemd")

#: Runs until the file `go` is there.
SLOW = """\
name: Slow
tasks:
  a:
    name: A
    config: !Subprocess {cmd: sh, args: [-c, 'echo started; until [ -e go ]; do sleep 0.1; done; echo
        $WHERE $(ulimit -n)']}
"""


def end_of(process: int) -> None:
    """Wait until it is gone."""
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < deadline, f"process {process} is still there"
        time.sleep(0.05)


class Manager:
    """A systemd of its own; `systemctl` speaks with it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.units = cluster.folder / ".config/systemd/user"
        self.units.mkdir(parents=True)
        #: It starts as a user's manager only on a host that systemd has booted.
        enter = "mount -t tmpfs tmpfs /run && mkdir -p -m 700 /run/systemd/system /run/mine && echo ready && exec"
        self._env = {
            "HOME": str(cluster.folder),
            "PATH": os.environ["PATH"],
            "XDG_RUNTIME_DIR": "/run/mine",
            "SYSTEMD_LOG_TARGET": "console",
        }
        command = ["unshare", "--mount", "sh", "-c", f"{enter} {MANAGER} --user --unit=basic.target"]
        self.daemon = Daemon("systemd --user", command, cluster.folder, self._env)
        cluster.daemons.append(self.daemon)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`systemctl --user …`."""
        command = ["nsenter", f"--target={self.daemon.process.pid}", "--mount", "systemctl", "--user", *arguments]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=PATIENCE_S)

    def property(self, name: str, unit: str) -> str:
        """One of a unit's."""
        return self("show", "--value", "--property", name, unit).stdout.rstrip("\n")

    def await_property(self, name: str, unit: str, wanted: str) -> None:
        """Until it has this value."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self.property(name, unit)) != wanted:
            assert time.monotonic() < deadline, f"{name} of {unit} is {found}"
            time.sleep(0.05)


@pytest.fixture
def odd(new_cluster: NewCluster) -> Cluster:
    """A cluster in folders that are not easy to name."""
    cluster = new_cluster()
    cluster.workflows.rmdir()
    cluster.folder = cluster.folder.rename(cluster.folder.parent / 'my 50% of ${x}, $y\'s "größe"')
    cluster.workflows = cluster.folder / "two\nlines\t\\ z"
    cluster.workflows.mkdir()
    cluster.settings["CDKTR_APP_DATA_DIRECTORY"] = str(cluster.folder / "da ta")
    cluster.settings["CDKTR_WORKFLOW_DIR"] = f"{cluster.workflows}/."
    return cluster


@pytest.fixture
def manager(odd: Cluster) -> Iterator[Manager]:
    """A systemd that runs nothing yet."""
    if not MANAGER.exists():
        pytest.skip("there is no systemd here (Debian package systemd)")
    tried = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "x", "/run"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no /run of its own can be made here: {tried.stderr.strip()}")
    manager = Manager(odd)
    manager.daemon.wait_for("ready")
    deadline = time.monotonic() + PATIENCE_S
    while manager("is-active", "basic.target").stdout.strip() != "active":
        if manager.daemon.process.poll() is not None:
            pytest.skip(f"systemd does not run here: {manager.daemon.text}")
        assert time.monotonic() < deadline, manager.daemon.text
        time.sleep(0.05)
    yield manager
    manager("exit")


def install(cluster: Cluster, manager: Manager, kind: str) -> Path:
    """Write the unit as its words on stderr have it; its log goes to a file. Returns that."""
    said = cluster.cli("service", kind, "--user")
    assert said.returncode == 0, said.stderr
    name = re.search(r"enable --now (\S+)", said.stderr)
    assert name is not None
    assert "enable-linger" in said.stderr
    (manager.units / f"{name[1]}.service").write_text(said.stdout)
    log = cluster.folder.parent / "log"
    extra = manager.units / f"{name[1]}.service.d"
    extra.mkdir()
    (extra / "log.conf").write_text(f"[Service]\nStandardError=append:{log}\nEnvironment=WHERE=here\n")
    assert manager("daemon-reload").returncode == 0
    return log


def started(manager: Manager, log: Path, unit: str, what: str) -> re.Match[str]:
    """Start a unit, and wait until its log says that it is there."""
    done = manager("start", unit)
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + PATIENCE_S
    while not (found := re.search(what, log.read_text() if log.exists() else "")):
        assert time.monotonic() < deadline, (log.read_text() if log.exists() else "") + manager("status", unit).stdout
        time.sleep(0.05)
    return found


def test_a_pair_drains_when_systemd_stops_it(odd: Cluster, manager: Manager) -> None:
    odd.write("slow", SLOW)
    log = install(odd, manager, "pair")
    odd.port = int(started(manager, log, "cdktr", r"Principal server started on \S+:(\d+)")[1])
    main = int(manager.property("MainPID", "cdktr"))
    entries = Path(f"/proc/{main}/environ").read_text().split("\0")
    found = dict(entry.split("=", 1) for entry in entries if entry.startswith("CDKTR_"))
    assert found == {**odd.settings, "CDKTR_WORKFLOW_DIR": str(odd.workflows)}
    assert os.readlink(f"/proc/{main}/cwd") == str(odd.folder)

    run = odd.cli("task", "run", "slow").stdout.strip()
    follow = odd.spawn("logs", "tail", "--run", run)
    follow.wait_for("started")
    assert manager("stop", "--no-block", "cdktr").returncode == 0
    manager.await_property("ActiveState", "cdktr", "deactivating")
    # Its task was not told: with another KillMode it would have been.
    (odd.folder / "go").touch()
    follow.wait_for("here [0-9]+")
    manager.await_property("ActiveState", "cdktr", "inactive")
    assert manager.property("Result", "cdktr") == "success"

    odd.port = 0
    log.unlink()
    odd.port = int(started(manager, log, "cdktr", r"Principal server started on \S+:(\d+)")[1])
    assert "COMPLETED" in odd.cli("task", "show", "--run", run).stdout


def test_a_principal_that_is_killed_is_started_again_and_wrong_settings_are_not(odd: Cluster, manager: Manager) -> None:
    log = install(odd, manager, "principal")
    extra = manager.units / "cdktr-principal.service.d/quick.conf"
    extra.write_text("[Service]\nRestartSec=0\n")
    manager("daemon-reload")
    started(manager, log, "cdktr-principal", "Principal server started")
    main = int(manager.property("MainPID", "cdktr-principal"))
    assert "NoNewPrivs:\t1" in Path(f"/proc/{main}/status").read_text()
    log.unlink()
    os.kill(main, signal.SIGKILL)
    end_of(main)
    started(manager, log, "cdktr-principal", "Principal server started")
    assert manager.property("NRestarts", "cdktr-principal") == "1"
    assert manager("stop", "cdktr-principal").returncode == 0
    assert manager.property("Result", "cdktr-principal") == "success"

    extra.write_text("[Service]\nRestartSec=0\nEnvironment=CDKTR_PRINCIPAL_PORT=many\n")
    manager("daemon-reload")
    manager("start", "cdktr-principal")
    manager.await_property("ActiveState", "cdktr-principal", "failed")
    assert manager.property("ExecMainStatus", "cdktr-principal") == "2"
    assert "CDKTR_PRINCIPAL_PORT is 'many'" in log.read_text()


def test_the_words_start_this_very_file(odd: Cluster) -> None:
    """Also the one file, whose path its head hands on, and from another folder."""
    file = odd.folder / "bin $x" / "it's cdktr"
    file.parent.mkdir()
    file.write_text(f'#!/bin/sh\nexec "{shutil.which("python3")}" -c "import sys; print(sys.argv[1:])" "$0" "$@"\n')
    file.chmod(0o755)
    said = odd.cli("service", "agent", env={"_CDKTR_FILE": str(file)})
    [exec_start] = re.findall(r"^ExecStart=(.*)$", said.stdout, re.MULTILINE)
    done = subprocess.run(words_of(exec_start), capture_output=True, text=True, cwd="/")
    assert done.stdout == f"{[str(file), 'start', 'agent']}\n", done.stderr

    said = odd.cli("service", "principal")
    [exec_start] = re.findall(r"^ExecStart=(.*)$", said.stdout, re.MULTILINE)
    assert words_of(exec_start)[1:] == [str(ROOT / "cdktr.py"), "start", "principal"]
    daemon = Daemon("as the unit starts it", words_of(exec_start), odd.folder, odd.environment())
    odd.daemons.append(daemon)
    daemon.wait_for("Principal server started")


def test_what_stands_in_the_unit_and_what_does_not(new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    (cluster.folder / ".env").write_text("CDKTR_LOG_LEVEL=DEBUG\n")
    cluster.workflows.rmdir()
    said = cluster.cli("service", env={"CDKTR_RETRY_ATTEMPTS": "20", "CDKTR_DB_PATH": "data/x.db", "CDKTR_TYPO": "1"})
    written = re.findall(r"^Environment=(.*)$", said.stdout, re.MULTILINE)
    assert f"CDKTR_DB_PATH={cluster.folder}/data/x.db" in written
    assert not [each for each in written if "RETRY" in each or "LOG_LEVEL" in each or "TYPO" in each]
    assert "read at each start: CDKTR_LOG_LEVEL\n" in said.stdout
    assert "CDKTR_TYPO is not a setting" in said.stderr
    assert "There is no folder workflows here yet" in said.stderr
    assert len(re.findall("^  ", said.stderr, re.MULTILINE)) == 3
    assert cluster.cli("service", "pear").returncode == 2
