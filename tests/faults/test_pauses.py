"""Processes that stand still for longer than the heartbeat timeout, as a machine that was paused does."""

import pytest

from tests.faults.conftest import Experiment
from tests.faults.trial import Trial

pytestmark = pytest.mark.integration

TIMEOUT_S = 3.0

TIMEOUT = {"CDKTR_AGENT_HEARTBEAT_TIMEOUT_MS": str(int(TIMEOUT_S * 1000))}


@pytest.mark.thorough
def test_principal_stopped_for_longer_than_the_timeout(trial: Trial, experiment: Experiment) -> None:
    """A principal that stood still calls no agent lost for it: every run ends as it should, with every line."""
    trial.settings.update(TIMEOUT)
    trial.begin()
    trial.start_agent("second")
    for _ in range(trial.size.faults):
        trial.moment()
        trial.pause([trial.principal], 1.5 * TIMEOUT_S)
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_agent_stopped_for_longer_than_the_timeout(trial: Trial, experiment: Experiment) -> None:
    """Its runs CRASHED, the others go on; back again, it ends what is no longer its own, and changes no verdict."""
    trial.settings.update(TIMEOUT)
    trial.begin()
    trial.start_agent("second")
    for _ in range(trial.size.faults):
        trial.moment()
        agent = trial.chance.choice(trial.living)
        trial.lost.add(trial.id_of(agent))
        trial.pause([agent], 1.5 * TIMEOUT_S)
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_all_stopped_for_longer_than_the_timeout(trial: Trial, experiment: Experiment) -> None:
    """A machine that was paused, with all that is on it, goes on where it was."""
    trial.settings.update(TIMEOUT)
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        trial.pause([trial.principal, *trial.living], 1.5 * TIMEOUT_S)
    experiment.judge(trial, trial.finish())
