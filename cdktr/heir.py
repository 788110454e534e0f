"""What comes of an agent that was killed: whoever starts next on its data folder is its heir.

The heir ends the processes that the dead agent left running, reports the runs that it had under way as CRASHED, in the
dead one's name and behind what that had still to tell, delivers all of it, and tells the principal that it is gone.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from cdktr.berth import Berth, abandoned
from cdktr.frames import Reported
from cdktr.outbox import Outbox
from cdktr.proc import bearers, boot_id, kill, members, start_time
from cdktr.records import RunStatus, RunUpdate
from cdktr.roster import Process, UnderWay, read_roster
from cdktr.spool import Spool
from cdktr.transport import Requester

log = logging.getLogger(__name__)

#: Seconds between looks at whether a process is gone.
LOOK_S = 0.05

#: Seconds after SIGKILL until what is still there is left alone.
UNKILLABLE_S = 5.0


def marker(agent_id: str) -> str:
    """What every process that an agent starts carries in its environment."""
    return f"CDKTR_AGENT_ID={agent_id}"


class Heir:
    """Settles the affairs of dead agents for the one with `agent_id`. `grace_s` is that between TERM and KILL."""

    def __init__(self, agent_id: str, requester: Requester, spool_of: Callable[[Path], Spool], grace_s: float) -> None:
        self._agent_id = agent_id
        self._requester = requester
        self._spool_of = spool_of
        self._grace = grace_s
        #: Folders that were left to others, which was said.
        self._told: set[Path] = set()

    def find(self, data_folder: Path, principal: str) -> list[Berth]:
        """The berths of dead agents of the same principal; the others are left to their own heirs."""
        mine = []
        for berth in abandoned(data_folder):
            if why := self._why_not(berth, principal):
                if berth.folder not in self._told:
                    log.warning("%s was left by an agent of another %s", berth.folder, why)
                self._told.add(berth.folder)
                berth.close()
            else:
                mine.append(berth)
        return mine

    @staticmethod
    def _why_not(berth: Berth, principal: str) -> str | None:
        if berth.identity.principal not in ("", principal):
            return "principal; the next agent of that one clears it up"
        if not berth.identity.is_of_this_host:
            return f"host, {berth.identity.host}: the next agent there clears it up, or remove it if the host is gone"
        return None

    async def settle(self, berth: Berth) -> None:
        """End, report and deliver what a dead agent left; returns when the principal has all of it."""
        dead = berth.identity.agent_id
        under_way = read_roster(berth.roster_path)
        ended = await self._end_all(dead, under_way.processes.values())
        spool = await asyncio.get_running_loop().run_in_executor(None, self._spool_of, berth.folder)
        try:
            if under_way.runs or ended or not spool.is_empty:
                log.warning(
                    "Agent %s was killed: it had %d runs under way; %d processes that it left were ended, "
                    "%d bytes that it had still to tell are delivered now",
                    *(dead, len(under_way.runs), ended, spool.size),
                )
            outbox = Outbox(self._agent_id, berth.identity.source, spool, self._requester)
            await self._deliver(outbox, dead, under_way)
            berth.leave()
        finally:
            spool.close()
            berth.close()

    async def _deliver(self, outbox: Outbox, dead: str, under_way: UnderWay) -> None:
        detail = f"agent {dead} was killed while the run was under way; agent {self._agent_id} ended what it left"
        now_ms = time.time_ns() // 1_000_000
        for run_id, run in under_way.runs.items():
            update = RunUpdate(run.workflow_id, run_id, RunStatus.CRASHED, now_ms, dead, detail)
            outbox.add(Reported(run.token, update))
        outbox.save()
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(outbox.run())
            await outbox.emptied()
            sending.cancel()

    async def _end_all(self, dead: str, processes: Collection[Process]) -> int:
        """End what a dead agent left running: TERM, after the grace KILL. Returns how many processes that were."""
        told: set[int] = set()
        waited = 0.0
        while left := _left(dead, processes):
            if waited > self._grace + UNKILLABLE_S:
                log.error("Processes %s, which agent %s left, cannot be ended", sorted(left), dead)
                break
            number = signal.SIGTERM if waited < self._grace else signal.SIGKILL
            for pid in left if number is signal.SIGKILL else left - told:
                kill(pid, number)
            told |= left
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S
        return len(told)


def _left(dead: str, processes: Iterable[Process]) -> set[int]:
    """What still runs: whoever carries the dead agent's name, and the groups of the processes that it noted."""
    left = set(bearers(marker(dead)))
    boot = boot_id()
    for process in processes:
        # The number alone could be a stranger's by now.
        if process.boot == boot and 0 <= start_time(process.pid) <= process.noted:
            left |= set(members(process.pid))
    return left
