"""kill -9 of the principal and of agents, under load: what was accepted is there once, whoever died meanwhile."""

import pytest

from tests.faults.conftest import Experiment
from tests.faults.trial import Trial

pytestmark = pytest.mark.integration


def test_principal_killed_under_load(trial: Trial, experiment: Experiment) -> None:
    """A principal that is killed at any moment comes back with every run, and every line of an agent that lives."""
    trial.begin()
    for _ in range(trial.size.faults):
        trial.moment()
        trial.kill(trial.principal)
        trial.start_principal()
    experiment.judge(trial, trial.finish())
