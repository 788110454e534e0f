"""One experiment: a cluster under load, what breaks it, and the reckoning at its end."""

import os
import random
import re
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cdktr import protocol as p
from cdktr.client import Principal
from tests.faults.check import Findings, History, check
from tests.faults.load import Load, Size
from tests.faults.witness import Witness
from tests.integration.cluster import Cluster, Daemon

#: Seconds until what is waited for has come: a limit for a hanging test, not a measure.
PATIENCE_S = 120.0

READY = r"Agent (\S+) ready"

#: A variable that every process of an experiment carries, so that none is left behind unseen.
MARK = "FAULT_EXPERIMENT"


def until(done: Callable[[], Any], what: str) -> Any:
    """What `done` returns once that is true; fails after a long while."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := done()):
        assert time.monotonic() < deadline, f"not yet: {what}"
        time.sleep(0.02)
    return found


def free_ports(count: int, chance: random.Random) -> list[int]:
    """Ports that the system hands to nobody by itself: a principal that comes back wants its own again."""
    found: list[int] = []
    while len(found) < count:
        port = chance.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def marked(mark: str) -> list[int]:
    """The processes that carry the mark; zombies are none."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


class Trial:
    """See the module. `chance` decides all that is left to chance, but for the order in which processes run."""

    def __init__(self, new_cluster: Callable[..., Cluster], seed: int, size: Size) -> None:
        self.chance = random.Random(seed)
        self.size = size
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        # Not from `chance`: two runs of the suite on one machine are not to want the same.
        ports = free_ports(3, random.Random())
        names = ("CDKTR_PRINCIPAL_PORT", "CDKTR_LOGS_LISTENING_PORT", "CDKTR_LOGS_PUBLISHING_PORT")
        settings = dict(zip(names, map(str, ports), strict=True))
        self.cluster = new_cluster(**settings, **{MARK: self.mark})
        self.settings = self.cluster.settings
        self.load = Load(self.cluster.folder, ports[0], self.chance, size)
        self.load.write()
        #: Where the principal may be: a list as in CDKTR_PRINCIPAL_HOST.
        self._hosts = "127.0.0.1"
        self._witness = Witness(self._hosts, ports[0], ports[2])
        #: The file of the history.
        self.database = self.cluster.folder / "data" / "app.db"
        self.principal: Daemon
        self.agents: list[Daemon] = []
        #: Ids of agents that stood still or were cut off for long, and of those that were killed.
        self.lost: set[str] = set()
        self.killed: set[str] = set()
        self.injected = 0
        self._begun = 0

    # Processes.

    def place_database(self, path: Path) -> None:
        """Have it elsewhere; to be called first."""
        self.database = path
        self.settings["CDKTR_DB_PATH"] = str(path)

    def start_principal(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        """The first, or one that follows one that is dead."""
        self.principal = self.cluster.start_principal(*arguments, env=env)

    def serve_at(self, hosts: str) -> None:
        """Have principals at several addresses; to be called first."""
        self.settings["CDKTR_PRINCIPAL_HOST"] = self.load.host = self._witness.hosts = self._hosts = hosts

    def stand_by(self, host: str | None = None) -> Daemon:
        """A principal that waits for the end of this one, to serve at `host`."""
        env = {} if host is None else {"CDKTR_PRINCIPAL_HOST": host}
        standby = self.cluster.spawn("start", "principal", "--standby", env=env)
        standby.wait_for(rf"Standing by: process {self.principal.process.pid} on ")
        return standby

    def take_over(self, standby: Daemon) -> None:
        """Return when it serves in place of the principal, which is dead."""
        standby.wait_for("Principal server started")
        self.principal = standby

    def start_agent(self, folder: str = "agent", env: Mapping[str, str] | None = None) -> Daemon:
        """An agent with a data folder of its own, that the principal knows."""
        agent = self.begin_agent(folder, env)
        self.id_of(agent)
        return agent

    def begin_agent(self, folder: str = "agent", env: Mapping[str, str] | None = None) -> Daemon:
        """The same, as soon as there is a process."""
        own = {"CDKTR_APP_DATA_DIRECTORY": str(self.cluster.folder / folder)}
        self.agents.append(self.cluster.spawn("start", "agent", "--max-concurrent", "5", env={**own, **(env or {})}))
        return self.agents[-1]

    @property
    def living(self) -> list[Daemon]:
        """The agents that run."""
        return [agent for agent in self.agents if agent.process.poll() is None]

    def await_orphans(self) -> None:
        """Return when what dead agents left running has ended."""
        own = {daemon.process.pid for daemon in self.cluster.daemons}
        until(lambda: own.issuperset(marked(self.mark)), "the end of orphans")

    def settle_estates(self) -> None:
        """Have what dead agents left cleared up, in each data folder by an agent of it; return when nothing is left."""

        def left() -> list[Path]:
            alive = {self.id_of(agent) for agent in self.living}
            return [each for each in self.cluster.folder.glob("*/agents/*") if each.is_dir() and each.name not in alive]

        for folder in {each.parents[1].name for each in left()}:
            self.start_agent(folder)
        until(lambda: not left(), "the end of what dead agents left")

    @staticmethod
    def id_of(agent: Daemon) -> str:
        """The name under which the principal knows it."""
        return agent.wait_for(READY)[1]

    def kill(self, daemon: Daemon) -> None:
        """kill -9."""
        self.injected += 1
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        # One that was not ready has run nothing.
        if daemon in self.agents and (ready := re.search(READY, daemon.text)):
            self.killed.add(ready[1])

    def pause(self, daemons: Sequence[Daemon], seconds: float) -> None:
        """SIGSTOP, and after a while SIGCONT, in any order."""
        self.injected += 1
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for daemon in self.chance.sample(daemons, len(daemons)):
                daemon.signal(number)
            if number is signal.SIGSTOP:
                time.sleep(seconds)  # It is the pause that is tried.

    # The course of an experiment.

    def begin(self) -> None:
        """Principal, agent, those who look on, those who trigger."""
        self.start_principal()
        self.start_agent()
        self.look_on()
        self.load.begin()

    def look_on(self) -> None:
        """From now on what is shown is remembered."""
        self._witness.__enter__()

    def moment(self) -> None:
        """Return at a random moment of the work, some tasks further than at the last one."""
        target = self._begun + self.chance.randint(3, 25)
        until(lambda: self.load.begun >= target or self.is_over, "more tasks")
        self._begun = self.load.begun
        time.sleep(self.chance.uniform(0, 0.3))

    def pass_time(self) -> None:
        """Let things go on for a moment: what happens in it is left to chance."""
        time.sleep(self.chance.uniform(0.2, 2))

    @property
    def is_over(self) -> bool:
        """True when nothing is to come any more."""
        return self.load.is_over and self.is_idle()

    def is_idle(self) -> bool:
        """True when nothing is queued and nothing runs."""
        with Principal(self._hosts, self.cluster.port) as principal:
            status = principal.ask(p.ClusterStatus())
        return not status["queued"] and not status["running"]

    def settle(self) -> None:
        """Return when all triggers are answered and all runs have ended."""
        self.load.join()
        until(self.is_idle, "the end of all runs")

    def finish(self) -> Findings:
        """Wait for the end of all runs, stop what runs as a user does, and reckon: see `check`."""
        self.settle()
        self._witness.__exit__(None, None, None)
        for daemon in [*self.agents, self.principal]:
            if daemon.process.poll() is None:
                assert daemon.stop() == 0, daemon.text
        told, history = self._witness.told, History.read(self.database)
        findings = check(self.load, history, told, self.lost, self.killed)
        findings.wrong += [f"process {pid} was left behind" for pid in marked(self.mark)]
        for daemon in self.cluster.daemons:
            if "Traceback" in daemon.text:
                findings.wrong.append(f"{daemon.name} has a traceback:\n{daemon.text}")
        return findings

    def close(self) -> None:
        """Leave nothing behind, whatever became of the experiment."""
        self._witness.__exit__(AssertionError, None, None)
        self.cluster.stop()
        for pid in marked(self.mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
