"""A principal that is killed under load while another stands by, on the same data folder."""

import pytest

from tests.faults.conftest import Experiment
from tests.faults.trial import Trial

pytestmark = pytest.mark.integration

#: Of Linux, all of 127.0.0.0/8 is of this host.
HOSTS = ("127.0.0.1", "127.0.0.2")


def test_principal_killed_with_a_standby(trial: Trial, experiment: Experiment) -> None:
    """The standby takes over at the same ports, with all that was accepted; clients and agents go on with it."""
    trial.begin()
    standby = trial.stand_by()
    for _ in range(trial.size.faults):
        trial.moment()
        trial.kill(trial.principal)
        trial.take_over(standby)
        standby = trial.stand_by()
    assert standby.stop() == 0
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_principal_killed_with_a_standby_at_another_address(trial: Trial, experiment: Experiment) -> None:
    """Clients and agents that have a list of both addresses find whoever serves, there and back again."""
    trial.serve_at(",".join(HOSTS))
    trial.begin()
    standby = trial.stand_by(HOSTS[1])
    for number in range(trial.size.faults):
        trial.moment()
        trial.kill(trial.principal)
        trial.take_over(standby)
        standby = trial.stand_by(HOSTS[number % 2])
    assert standby.stop() == 0
    experiment.judge(trial, trial.finish())
