"""kill -9 of the principal and of agents, under load: what was accepted is there once, whoever died meanwhile."""

import time

import pytest

from cdktr.client import Principal
from tests.faults.conftest import Experiment
from tests.faults.load import SLEEPER, TINY
from tests.faults.trial import Trial, until

pytestmark = pytest.mark.integration

#: An agent that is dead is soon known to be; one that has much to do is not taken for dead.
TIMEOUT = {"CDKTR_AGENT_HEARTBEAT_TIMEOUT_MS": "5000"}


def test_principal_killed_under_load(trial: Trial, experiment: Experiment) -> None:
    """A principal that is killed at any moment comes back with every run, and every line of an agent that lives."""
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        trial.kill(trial.principal)
        trial.start_principal()
    experiment.judge(trial, trial.finish())


def test_principal_killed_before_it_answers(trial: Trial, experiment: Experiment) -> None:
    """A trigger under way when the principal is killed makes one run or none; one that was answered makes one."""
    trial.begin()
    for _ in range(trial.size.faults):
        end = trial.load.burst()
        time.sleep(trial.chance.uniform(0.05, 0.3))
        trial.kill(trial.principal)
        end()
        trial.start_principal()
    assert trial.load.unanswered
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_principal_killed_after_it_answered(trial: Trial, experiment: Experiment) -> None:
    """A trigger that was answered is there, even if the answer was the last that the principal did."""
    trial.begin()
    for number in range(3 * trial.size.faults):
        with Principal("127.0.0.1", trial.cluster.port) as client:
            assert trial.load.trigger(client, TINY.id, f"last.{number}")
            trial.kill(trial.principal)
        trial.start_principal()
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_principal_killed_while_it_writes_the_database(trial: Trial, experiment: Experiment) -> None:
    """A transaction that was cut short is made again, whole, from the journal and from what the agents still have."""
    trial.begin()
    log = trial.database.with_name("app.db.wal")

    def size() -> int:
        return log.stat().st_size if log.exists() else 0

    for _ in range(trial.size.faults):
        trial.moment()
        before, deadline = size(), time.monotonic() + 5
        while size() == before and time.monotonic() < deadline:
            pass
        trial.kill(trial.principal)
        trial.start_principal()
    experiment.judge(trial, trial.finish())


def test_agent_killed_mid_task(trial: Trial, experiment: Experiment) -> None:
    """Its runs CRASHED or wait for another agent, none is started twice, and no line that was shown is missing."""
    trial.settings.update(TIMEOUT)
    trial.begin()
    trial.start_agent("second")
    for number in range(trial.size.faults):
        trial.moment()
        trial.kill(trial.chance.choice(trial.living))
        trial.start_agent(f"next{number}")
    trial.settle()
    trial.await_orphans()
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_principal_and_agent_killed_at_once(trial: Trial, experiment: Experiment) -> None:
    """Nothing that was accepted is lost or run twice, and what the dead agent ran CRASHED, whether the next agent has
    its data folder or another; once there is one on its folder, every line that was shown is there."""
    trial.settings.update(TIMEOUT)
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        both = [trial.principal, trial.living[0]]
        trial.chance.shuffle(both)
        for daemon in both:
            trial.kill(daemon)
        trial.start_principal()
        trial.start_agent("agent" if trial.chance.random() < 0.5 else "another")
    trial.settle()
    trial.settle_estates()
    trial.await_orphans()
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_the_next_agent_delivers_what_a_killed_one_had_read(trial: Trial, experiment: Experiment) -> None:
    """Agent and principal are killed; every line that was shown live before is stored when both are back."""
    trial.settings.update(TIMEOUT)
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        trial.kill(trial.principal)
        time.sleep(trial.chance.uniform(0, 0.5))
        trial.kill(trial.living[0])
        trial.start_principal()
        trial.start_agent()
    experiment.judge(trial, trial.finish())


def start_sleeper(trial: Trial, mark: str) -> None:
    """Return when a task runs that ends only when it is ended."""
    with Principal("127.0.0.1", trial.cluster.port) as client:
        assert trial.load.trigger(client, SLEEPER.id, mark)
    until(lambda: list(trial.load.records.glob(f"{trial.load.accepted[mark]}.*")), "its start")


@pytest.mark.thorough
def test_the_next_agent_ends_what_a_killed_one_left_running(trial: Trial, experiment: Experiment) -> None:
    """Tasks of a dead agent are ended by the next on its data folder, and by it alone; their runs CRASHED."""
    trial.settings.update(TIMEOUT)
    trial.begin()
    trial.moment()
    start_sleeper(trial, "sleeper")
    trial.kill(trial.living[0])
    trial.start_agent()
    trial.settle()
    trial.await_orphans()
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_a_killed_agent_whose_successor_is_killed_too(trial: Trial, experiment: Experiment) -> None:
    """Whoever comes last settles the affairs of both, wherever the second was with those of the first."""
    trial.settings.update(TIMEOUT)
    trial.begin()
    for number in range(trial.size.faults):
        trial.moment()
        start_sleeper(trial, f"sleeper.{number}")
        if is_away := trial.chance.random() < 0.5:
            trial.kill(trial.principal)
        trial.kill(trial.living[0])
        for _ in range(2):
            successor = trial.begin_agent()
            trial.pass_time()
            trial.kill(successor)
        if is_away:
            trial.start_principal()
        trial.start_agent()
    experiment.judge(trial, trial.finish())
