"""A full disk under the database, under the journal, under the agent's data: work goes on or is refused in words, and
is stored as soon as there is room."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sized
from pathlib import Path

import pytest

from cdktr import protocol as p
from cdktr.client import Principal
from tests.faults.conftest import Experiment
from tests.faults.load import TINY
from tests.faults.trial import Trial, until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("mount") is None, reason="a small disk needs root to mount it"
    ),
]


class Disk:
    """A small file system of its own on a folder."""

    def __init__(self, folder: Path, size: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)], check=True)
        self._folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """To the last byte."""
        with open(self._ballast, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                while True:
                    try:
                        file.write(bytes(size))
                    except OSError:
                        break

    def clear(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Take it away, even if a process still uses it."""
        subprocess.run(["umount", "-l", str(self._folder)], check=True)


@pytest.fixture
def disks() -> Iterator[list[Disk]]:
    """Small disks; they are gone after the test."""
    made: list[Disk] = []
    yield made
    for disk in made:
        disk.unmount()


def trouble(trial: Trial) -> object:
    """What the principal says of its database; None when all is well."""
    return trial.cluster.ask(p.ClusterStatus())["database_trouble"]


def try_triggers(trial: Trial, told: Sized) -> None:
    """Trigger tiny runs until clients were told this some times more."""
    target = len(told) + 5
    with Principal("127.0.0.1", trial.cluster.port) as client:

        def enough() -> bool:
            trial.load.trigger(client, TINY.id, f"tiny.{time.monotonic_ns()}")
            return len(told) >= target

        until(enough, "five more of these answers")


def test_disk_full_under_the_database(disks: list[Disk], trial: Trial, experiment: Experiment) -> None:
    """Triggers are answered and tasks run on, `status` tells the trouble; once there is room all of it is stored."""
    disks.append(disk := Disk(trial.cluster.folder / "database", "200m"))
    trial.place_database(trial.cluster.folder / "database" / "app.db")
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        if trial.is_over:
            break
        disk.fill()
        trial.injected += 1
        until(lambda: trouble(trial) or trial.is_over, "the trouble")
        try_triggers(trial, trial.load.accepted)
        disk.clear()
        until(lambda: trouble(trial) is None, "the end of the trouble")
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_principal_killed_with_a_full_disk_under_the_database(
    disks: list[Disk], trial: Trial, experiment: Experiment
) -> None:
    """What waited for the database is not lost with the process that held it: it comes again from journal and agent."""
    disks.append(disk := Disk(trial.cluster.folder / "database", "200m"))
    trial.place_database(trial.cluster.folder / "database" / "app.db")
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        if trial.is_over:
            break
        disk.fill()
        trial.injected += 1
        until(lambda: trouble(trial) or trial.is_over, "the trouble")
        trial.moment()
        trial.kill(trial.principal)
        disk.clear()
        trial.start_principal()
    experiment.judge(trial, trial.finish())


def test_disk_full_under_the_journal(disks: list[Disk], trial: Trial, experiment: Experiment) -> None:
    """A trigger that cannot be made durable is refused, and never runs; what runs goes on. Later all is as before."""
    disks.append(disk := Disk(trial.cluster.folder / "data" / "journal", "1m"))
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        disk.fill()
        trial.injected += 1
        try_triggers(trial, trial.load.refused)
        disk.clear()
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_disk_full_under_the_agent(disks: list[Disk], trial: Trial, experiment: Experiment) -> None:
    """An agent whose disk is full delivers all the same, as long as its principal is there."""
    disks.append(disk := Disk(trial.cluster.folder / "agent", "4m"))
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        disk.fill()
        trial.injected += 1
        trial.moment()
        disk.clear()
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_disk_full_under_the_agent_without_a_principal(disks: list[Disk], trial: Trial, experiment: Experiment) -> None:
    """Tasks of an agent that can keep nothing more wait for their principal, and lose no line."""
    disks.append(disk := Disk(trial.cluster.folder / "agent", "4m"))
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        trial.kill(trial.principal)
        disk.fill()
        trial.injected += 1
        trial.pass_time()
        trial.start_principal()
        trial.pass_time()
        disk.clear()
    experiment.judge(trial, trial.finish())
