"""What comes of an agent that was killed: whoever starts next on its data folder is its heir.

The heir ends the processes that the dead agent left running, at once. When it has its principal, and the dead one
worked for the same, it reports the runs that were under way as CRASHED, in the dead one's name and behind what that had
still to tell, and delivers all of it.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cdktr.berth import SIGN_S, Berth, abandoned
from cdktr.frames import Reported
from cdktr.outbox import Outbox
from cdktr.proc import bearers, kill, members, start_time, uptime
from cdktr.records import RunStatus, RunUpdate
from cdktr.roster import Process, read_roster
from cdktr.spool import Spool
from cdktr.text import plural
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
        #: Folders that are left to others, which was said.
        self._left_alone: set[Path] = set()

    async def clear_up(self, data_folder: Path) -> list[Berth]:
        """End what dead agents left running on this host, whichever principal they worked for: nobody else sees to it.

        Returns their berths; `settle` or close them.
        """
        found = []
        for berth in abandoned(data_folder):
            if berth.folder in self._left_alone:
                berth.close()
            elif not berth.identity.is_of_this_host:
                what = "on host %s; the next agent there clears it up, or remove it if that host is gone"
                self._leave_alone(berth, what, berth.identity.host)
            else:
                await self._end_all(berth)
                found.append(berth)
        return found

    def _leave_alone(self, berth: Berth, why: str, *facts: object) -> None:
        log.warning("%s was left by an agent " + why, berth.folder, *facts)
        self._left_alone.add(berth.folder)
        berth.close()

    async def settle(self, berth: Berth, principal: str) -> bool:
        """Report and deliver what a dead agent left; True when the principal has all of it, False if it is another
        principal's. An error costs this berth alone."""
        if berth.identity.principal not in ("", principal):
            self._leave_alone(berth, "of another principal, to which the next agent of that one delivers it")
            return False
        try:
            await self._deliver(berth)
        except Exception:
            log.exception("What agent %s left in %s cannot be delivered", berth.identity.agent_id, berth.folder)
            self._left_alone.add(berth.folder)
            return False
        finally:
            berth.close()
        return True

    async def _deliver(self, berth: Berth) -> None:
        dead = berth.identity.agent_id
        runs = read_roster(berth.roster_path).runs
        ended_ms = int(berth.end_s() * 1000)
        spool = await asyncio.get_running_loop().run_in_executor(None, self._spool_of, berth.folder)
        try:
            outbox = Outbox(self._agent_id, berth.identity.source, spool, self._requester)
            if runs or not spool.is_empty:
                log.warning(
                    "Agent %s was killed, with %s under way; %d bytes that it had still to tell are delivered now",
                    *(dead, plural(len(runs), "run"), spool.size),
                )
            detail = f"agent {dead} was killed while the run was under way{_ended(berth.identity.ended)}"
            for run_id, run in runs.items():
                update = RunUpdate(run.workflow_id, run_id, RunStatus.CRASHED, ended_ms, dead, detail)
                outbox.add(Reported(run.token, update))
            outbox.save()
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(outbox.run())
                await outbox.emptied()
                sending.cancel()
            berth.leave()
        finally:
            spool.close()

    async def _end_all(self, berth: Berth) -> None:
        """End what a dead agent left running: TERM, after the grace KILL."""
        dead = berth.identity.agent_id
        groups = _groups(berth)
        told: set[int] = set()
        waited = 0.0
        while left := {pid for group in groups for pid in members(group)} | set(bearers(marker(dead))):
            if waited > self._grace + UNKILLABLE_S:
                log.error("Processes %s, which agent %s left, cannot be ended", sorted(left), dead)
                break
            number = signal.SIGTERM if waited < self._grace else signal.SIGKILL
            for pid in left if number is signal.SIGKILL else left - told:
                kill(pid, number)
            told |= left
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S
        if told:
            log.warning("Agent %s was killed: %s that it left were ended", dead, plural(len(told), "process"))
            with suppress(OSError):
                berth.write(replace(berth.identity, ended=berth.identity.ended + len(told)))


def _ended(count: int) -> str:
    return f"; {plural(count, 'process')} that it left were ended" if count else ""


def _groups(berth: Berth) -> set[int]:
    """The groups of processes that the dead agent noted, as far as they surely are not a stranger's by now."""
    if not berth.identity.is_of_these_processes:
        return set()
    died = uptime() - (time.time() - berth.last_sign_s()) + SIGN_S
    processes = read_roster(berth.roster_path).processes.values()
    return {process.pid for process in processes if _is_the_same(process, died)}


def _is_the_same(process: Process, died: float) -> bool:
    leader = start_time(process.pid)
    if leader >= 0:
        return leader <= process.noted
    # Its members are left. The number of a group is not given again while one of it lives, and the group was there when
    # its agent died: of one that came later, all members are younger.
    return any(0 <= start_time(pid) <= died for pid in members(process.pid))
