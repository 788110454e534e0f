"""The database file in trouble: held by another program, truncated, overwritten, with the principal away or running."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.check import FINAL, History, attempts
from tests.faults.conftest import Experiment
from tests.faults.load import STREAMS
from tests.faults.trial import Trial

pytestmark = pytest.mark.integration

HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.mark.thorough
@pytest.mark.seeds(1)
def test_database_held_by_another_program(trial: Trial, experiment: Experiment) -> None:
    """A principal that finds its database in other hands refuses to start and says so; nothing is lost meanwhile."""
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        trial.kill(trial.principal)
        command = [sys.executable, "-c", HOLD, str(trial.database)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            refused = trial.cluster.spawn("start", "principal")
            assert refused.wait() != 0
            assert str(trial.database) in refused.text
            assert "Traceback" not in refused.text
            trial.injected += 1
            other.communicate()
        trial.start_principal()
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
@pytest.mark.seeds(1)
def test_a_second_principal(trial: Trial, experiment: Experiment) -> None:
    """It refuses to start, says who is there already, and disturbs nothing."""
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        ports = ("CDKTR_PRINCIPAL_PORT", "CDKTR_LOGS_LISTENING_PORT", "CDKTR_LOGS_PUBLISHING_PORT")
        second = trial.cluster.spawn("start", "principal", env=dict.fromkeys(ports, "0"))
        assert second.wait() != 0
        assert str(trial.principal.process.pid) in second.text
        trial.injected += 1
    experiment.judge(trial, trial.finish())


def truncate(path: Path) -> None:
    """Half of it is gone."""
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    """With something else."""
    with open(path, "r+b") as file:
        file.write(b"This was a database once.\n" * 4000)


def empty(path: Path) -> None:
    """As a crash of the file system may leave it."""
    path.write_bytes(b"")


def copy(trial: Trial, name: str) -> Path:
    """The database as it is now, whole; the principal must be dead or stand still."""
    folder = trial.cluster.folder / name
    folder.mkdir()
    for file in trial.database.parent.glob("app.db*"):
        if file.is_file() and not file.name.endswith(".lock"):
            shutil.copy(file, folder / file.name)
    return folder / "app.db"


def reckon(trial: Trial, experiment: Experiment, old: Path, *, every_line: bool) -> None:
    """Runs that had ended may be in the damaged file alone; all others are in the new one, with what came later; and
    between them the two hold every line, but for those that went into the damaged file after it was copied."""
    trial.settle()
    for daemon in [*trial.agents, trial.principal]:
        assert daemon.stop() == 0, daemon.text
    wrong = []
    before, after = History.read(old), History.read(trial.database)
    disk = attempts(trial.load.records)
    lines = 0
    for run_id in trial.load.accepted.values():
        rows = before.runs.get(run_id, [])
        plan = trial.load.plans[run_id_plan(before, after, run_id)]
        if not rows or rows[-1]["status"] not in FINAL:
            rows = after.runs.get(run_id, [])
        if [row["status"] for row in rows][-1:] != [plan.status]:
            wrong.append(f"run {run_id} is {[row['status'] for row in rows]}, not {plan.status}")
        for step in plan.steps:
            tries = disk.get((run_id, step.id), [])
            if any((each.starts, len(each.codes)) != (1, 1) for each in tries):
                wrong.append(f"{step.id} of {run_id} did not start and end once an attempt: {tries}")
            for level in STREAMS if tries else ():
                key = (run_id, tries[0].instance, level)
                first, rest = before.lines.get(key, []), after.lines.get(key, [])
                expected = list(step.lines(level, len(tries)))
                covered = len(first) + len(rest) >= len(expected) or not every_line
                if expected[: len(first)] != first or rest != expected[len(expected) - len(rest) :] or not covered:
                    wrong.append(f"{level} of {step.id} of {run_id}: {len(first)} + {len(rest)} of {len(expected)}")
                lines += len(expected)
    experiment.record(injected=trial.injected, survived=len(trial.load.accepted) + lines, lost=len(wrong))
    assert not wrong, "\n".join(wrong[:20])


def run_id_plan(before: History, after: History, run_id: str) -> str:
    """The workflow of a run."""
    [first, *_] = [*before.runs.get(run_id, []), *after.runs.get(run_id, [])]
    return str(first["workflow_id"])


@pytest.mark.seeds(2)
@pytest.mark.parametrize(
    "damage",
    [truncate, *(pytest.param(each, marks=pytest.mark.thorough) for each in (overwrite, empty))],
    ids=lambda each: each.__name__,
)
def test_database_damaged_while_nobody_looks(
    trial: Trial, experiment: Experiment, damage: Callable[[Path], None]
) -> None:
    """The damaged file is moved aside and named, with every byte that it has; the principal starts on a fresh one, and
    what was queued or ran goes on in it."""
    trial.begin()
    trial.moment()
    trial.moment()
    trial.kill(trial.principal)
    whole = copy(trial, "whole")
    damage(trial.database)
    left = trial.database.read_bytes()
    trial.injected += 1
    trial.start_principal()
    [aside] = [path for path in trial.database.parent.glob("app.db.damaged-*") if not path.name.endswith(".wal")]
    assert aside.read_bytes() == left
    trial.principal.wait_for(aside.name)
    reckon(trial, experiment, whole, every_line=True)


def test_database_overwritten_while_it_is_in_use(trial: Trial, experiment: Experiment) -> None:
    """A principal whose file is spoilt under its hands answers on or ends visibly; with the next start all that was
    accepted and had not ended goes on."""
    trial.begin()
    trial.moment()
    trial.moment()
    trial.principal.signal(signal.SIGSTOP)
    whole = copy(trial, "whole")
    overwrite(trial.database)
    trial.injected += 1
    trial.principal.signal(signal.SIGCONT)
    trial.pass_time()
    if trial.principal.process.poll() is None:
        trial.kill(trial.principal)
    trial.start_principal()
    reckon(trial, experiment, whole, every_line=False)
