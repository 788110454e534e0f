"""The network between a principal and its agent, cut in both directions or in one."""

import time
from collections.abc import Iterator

import pytest

from tests.faults import hosts
from tests.faults.conftest import Experiment
from tests.faults.hosts import ADDRESSES, Network
from tests.faults.trial import Trial

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(hosts.why_not() is not None, reason=f"no two hosts: {hosts.why_not()}"),
]

TO_AGENT, TO_PRINCIPAL = ("a", "b"), ("b", "a")

#: What is cut with each seed where a cut takes long.
WAYS = {1: (TO_AGENT, TO_PRINCIPAL), 2: (TO_AGENT,), 3: (TO_PRINCIPAL,)}


@pytest.fixture
def network() -> Iterator[Network]:
    """Two hosts; the test is on host a, with the principal."""
    with Network() as network, network.host("a"):
        yield network


def begin(trial: Trial, network: Network) -> None:
    """A principal here, an agent on the other host."""
    trial.settings["CDKTR_PRINCIPAL_HOST"] = "0.0.0.0"
    trial.start_principal()
    with network.host("b"):
        trial.start_agent(env={"CDKTR_PRINCIPAL_HOST": ADDRESSES["a"]})
    trial.look_on()
    trial.load.begin()


def cut(trial: Trial, network: Network, ways: tuple[tuple[str, str], ...], seconds: float) -> None:
    """Cut, and after a while mend."""
    trial.injected += 1
    for way in ways:
        network.cut(*way)
    time.sleep(seconds)  # It is the gap that is tried.
    for way in ways:
        network.mend(*way)


@pytest.mark.thorough
def test_network_cut_for_5_s(network: Network, trial: Trial, experiment: Experiment) -> None:
    """A gap shorter than the heartbeat timeout is made up for: every run ends as it should, with every line."""
    begin(trial, network)
    for _ in range(trial.size.faults):
        trial.moment()
        cut(trial, network, (TO_AGENT, TO_PRINCIPAL), 5)
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
@pytest.mark.seeds(1)
@pytest.mark.parametrize("way", [TO_AGENT, TO_PRINCIPAL], ids=["to the agent", "to the principal"])
def test_network_cut_one_way_for_5_s(
    network: Network, trial: Trial, experiment: Experiment, way: tuple[str, str]
) -> None:
    """So is a gap in one direction: what was said and not heard, or heard and not answered, is said again."""
    begin(trial, network)
    trial.moment()
    cut(trial, network, (way,), 5)
    experiment.judge(trial, trial.finish())


@pytest.mark.thorough
def test_network_cut_for_60_s(network: Network, trial: Trial, experiment: Experiment, seed: int) -> None:
    """An agent that was cut off for longer than the timeout is lost; back again, it delivers every line that it has,
    ends what is no longer its own, and works on."""
    begin(trial, network)
    trial.moment()
    trial.lost.add(trial.id_of(trial.agents[0]))
    cut(trial, network, WAYS[seed], 60)
    experiment.judge(trial, trial.finish())
