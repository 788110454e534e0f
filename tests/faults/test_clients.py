"""Clients that come and go by the thousand."""

import os

import pytest

from tests.faults.conftest import Experiment
from tests.integration.conftest import NewCluster
from tests.integration.wire import Wire, eventually

pytestmark = pytest.mark.integration

CLIENTS = 2000


def test_thousands_of_clients_leave_no_descriptor_behind(new_cluster: NewCluster, experiment: Experiment) -> None:
    """2,000 clients in a row, each with a connection of its own, are all answered, and the principal holds no more
    files and sockets than before."""
    cluster = new_cluster()
    principal = cluster.start_principal()
    folder = f"/proc/{principal.process.pid}/fd"
    with Wire((cluster.port, cluster.logs_in, cluster.logs_out)) as wire:

        def at_rest() -> bool:
            assert wire.ask("PING") == b"PONG"
            return len(os.listdir(folder)) <= before

        assert wire.ask("LSWORKFLOWS") != b""
        before = len(os.listdir(folder))
        for _ in range(CLIENTS):
            assert wire.ask("PING") == b"PONG"
        eventually(at_rest, f"back to {before} descriptors")
    experiment.record(injected=CLIENTS, survived=CLIENTS)
