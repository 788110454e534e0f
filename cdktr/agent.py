"""The agent: asks the principal for runs while it has free slots, drives them, reports.

The first SIGTERM or SIGINT drains: nothing new is taken, what runs ends, everything is delivered. The second ends the
tasks. An agent that loses its principal goes on with what it has and delivers later.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from cdktr import __version__
from cdktr.berth import Berth, take_berth
from cdktr.codec import assignment_from_json
from cdktr.driver import Driver
from cdktr.errors import ProtocolError, RefusedError, UnreachableError
from cdktr.executor import Executor, base_environment
from cdktr.frames import Reported
from cdktr.heir import Heir
from cdktr.labels import in_words
from cdktr.messages import Structured, load
from cdktr.outbox import Outbox
from cdktr.process import on_stop
from cdktr.protocol import Heartbeat, LeaseWork, StartRuns
from cdktr.records import RunStatus, RunUpdate
from cdktr.replies import decode_reply
from cdktr.roster import Roster
from cdktr.settings import Settings
from cdktr.spool import Spool
from cdktr.text import format_duration
from cdktr.transport import Requester
from cdktr.uvwatch import FIRST_S, UvWatch
from cdktr.workflow import Assignment

log = logging.getLogger(__name__)

#: Seconds between two heartbeats; less where the timeout is short.
HEARTBEAT_S = 5.0

#: Milliseconds that a request for work rests at the principal.
REST_MS = 20_000

#: Seconds before the next attempt after the principal refused or was away.
PAUSE_S = 0.5

#: Seconds between two lines on a principal that is waited for at the start.
REMIND_S = 60.0

#: Seconds that a stopping agent waits for a principal that is away to take what is left; a second signal ends that.
DELIVER_S = 600.0
HURRY_S = 5.0


#: A principal that is away, or is none that this agent understands.
AWAY = (UnreachableError, RefusedError, ProtocolError)


class _Stopped(Exception):
    """Ends the daemon's task group."""


class Agent:
    """One agent process. `parent` is a descriptor at whose end of file the agent stops, as at SIGTERM."""

    def __init__(self, settings: Settings, host: str, port: int, parent: int | None = None) -> None:
        self.id = f"{socket.gethostname()}-{secrets.token_hex(3)}"
        self._settings = settings
        self._labels = sorted(settings.labels)
        self._data_folder = Path(settings.app_data_directory)
        self._berth = take_berth(self._data_folder, self.id, f"{self.id}/{secrets.token_hex(4)}")
        self._requester = Requester(host, port)
        self._address = self._requester.address
        self._roster = Roster(self._berth.roster_path)
        grace_s = settings.task_kill_grace_ms / 1000
        self._executor = Executor(
            settings.log_line_limit_bytes, grace_s, on_spawn=self._roster.process, on_gone=self._roster.exited
        )
        self._outbox = Outbox(
            *(self.id, self._berth.identity.source, self._new_spool(self._berth.folder), self._requester),
            on_full=lambda full: self._executor.read(not full),
            running=lambda: frozenset(self._drivers),
        )
        self._heir = Heir(self.id, self._requester, self._new_spool, grace_s)
        self._env = base_environment()
        self._uv = UvWatch(self._executor, self._env)
        #: Leased runs, from their arrival until their end is stored: id -> token.
        self._holding: dict[str, str] = {}
        self._drivers: dict[str, Driver] = {}
        #: Of those that it holds, the ones whose end is not stored yet.
        self._ended_runs: set[str] = set()
        self._draining = asyncio.Event()
        self._changed = asyncio.Event()
        self._hurried = asyncio.Event()
        self._is_registered = False
        self._parent = parent
        #: The task that rests now: for work, or for a connection.
        self._resting: asyncio.Task[Any] | None = None

    def _new_spool(self, folder: Path) -> Spool:
        return Spool(folder, self._settings.agent_spool_limit_mb * 1024 * 1024)

    async def run(self) -> None:
        """Work until stopped. Raises UnreachableError when there is no principal at the start."""
        self._listen_for_stop()
        try:
            # What dead agents left running is ended whether there is a principal or not.
            for berth in await self._heir.clear_up(self._data_folder):
                berth.close()
            await self._resting_on(self._uv.look(FIRST_S))
            await self._resting_on(self._register())
            if self._is_registered:
                await self._work()
        finally:
            self._requester.close()
            self._close_berth()

    def _close_berth(self) -> None:
        self._roster.close()
        spool = self._outbox.spool
        spool.close()
        if spool.is_empty and not self._drivers:
            self._berth.leave()
        else:
            log.error("What could not be delivered is kept in %s, for the next agent on this data folder", spool.folder)
            self._berth.close()

    async def _work(self) -> None:
        labels = f", with {in_words(self._labels)}" if self._labels else ""
        log.info("Agent %s ready for %d runs at once%s", self.id, self._settings.agent_max_concurrency, labels)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.run())
                group.create_task(self._inherit(group))
                group.create_task(self._beat())
                group.create_task(self._uv.run())
                self._fetching = group.create_task(self._fetch(group))
                group.create_task(self._end_when_drained())
        except* _Stopped:
            if self._parent is None:  # else its principal says so, in the same log
                log.info("Agent %s stopped", self.id)

    async def _inherit(self, group: asyncio.TaskGroup) -> None:
        """Settle what dead agents left, now and whenever another dies."""
        while True:
            for berth in await self._heir.clear_up(self._data_folder):
                group.create_task(self._settle(berth))
            await asyncio.sleep(HEARTBEAT_S)

    async def _settle(self, berth: Berth) -> None:
        if await self._heir.settle(berth, self._berth.identity.principal):
            with contextlib.suppress(*AWAY):
                # So that nobody waits for its heartbeat.
                await self._ask(Heartbeat(berth.identity.agent_id, 0, __version__, {}, leaving=True, killed=True))

    def _listen_for_stop(self) -> None:
        on_stop(self.stop)
        if self._parent is not None:
            asyncio.get_running_loop().add_reader(self._parent, self._orphaned)

    def _orphaned(self) -> None:
        assert self._parent is not None
        if not os.read(self._parent, 1):
            asyncio.get_running_loop().remove_reader(self._parent)
            log.warning("The principal that started this agent is gone: finishing what runs, then stopping")
            self._drain()

    def _drain(self) -> None:
        self._draining.set()
        self._changed.set()
        if self._resting is not None:
            self._resting.cancel()

    def stop(self) -> None:
        """First: take nothing new and end when all is done. Again: end the tasks."""
        if not self._draining.is_set():
            if self._drivers:
                log.info("Stopping: %d runs go on to their end; a second signal ends them", len(self._drivers))
            self._drain()
            return
        if self._drivers:
            log.warning("Ending %d runs", len(self._drivers))
        self._hurried.set()
        for driver in list(self._drivers.values()):
            driver.end(RunStatus.CRASHED, f"agent {self.id} was stopped while the run was under way")

    async def _register(self) -> None:
        attempts = self._settings.retry_attempts + 1
        limit = format_duration(attempts * self._settings.timeout_s)
        began = told = time.monotonic()
        for attempt in range(1, attempts + 1):
            try:
                async with asyncio.timeout(self._settings.timeout_s):
                    await self._requester.connected()
                answer = await self._ask(self._heartbeat())
                self._berth.write(replace(self._berth.identity, principal=str(answer.get("principal", ""))))
                self._is_registered = True
                return
            except (UnreachableError, TimeoutError):
                now = time.monotonic()
                if attempt == 1:
                    why = await self._requester.why_away()
                    log.warning("No principal answers at %s; waiting for it, at most %s", why, limit)
                elif now - told >= REMIND_S:
                    told = now
                    facts = (await self._requester.why_away(), format_duration(now - began), limit)
                    log.warning("Still no principal at %s after %s of %s", *facts)
        raise UnreachableError(
            f"No principal answered at {await self._requester.why_away()} in {attempts} attempts; start one with "
            "`cdktr start principal`, or set CDKTR_PRINCIPAL_HOST and CDKTR_PRINCIPAL_PORT"
        )

    async def _ask(self, request: Structured, extra_s: float = 0) -> Any:
        """The value of a SUCCESS reply. Raises UnreachableError, RefusedError."""
        reply = decode_reply(await self._requester.request(request.encode(), self._settings.timeout_s + extra_s))
        if reply.kind != "SUCCESS":
            raise RefusedError(f"The principal refused {request.verb}: {reply.payload}")
        return load(reply.payload or "", f"the reply to {request.verb}")

    def _heartbeat(self) -> Heartbeat:
        slots = 0 if self._draining.is_set() else self._settings.agent_max_concurrency
        spool, ended = self._outbox.spool, sorted(self._ended_runs)
        told = Heartbeat(self.id, slots, __version__, dict(self._holding), ended=ended, labels=self._labels)
        return replace(told, spooled_bytes=spool.unstored, dropped_lines=spool.dropped, uv=self._uv.facts)

    async def _beat(self) -> None:
        """Heartbeats, at least three in a timeout; at once after the connection came back."""
        interval = min(HEARTBEAT_S, self._settings.agent_heartbeat_timeout_ms / 3000)
        away = False
        while True:
            self._executor.reap()
            self._berth.sign()
            try:
                self._let_go((await self._ask(self._heartbeat()))["lost"])
                if away:
                    log.info("The principal at %s is back", self._address)
                away = False
                await asyncio.sleep(interval)
            except AWAY as error:
                if not away:
                    log.warning("%s; runs go on, what they say is kept", error)
                away = True
                await asyncio.sleep(PAUSE_S)
                await self._requester.connected()

    def _let_go(self, lost: list[str]) -> None:
        """End runs that the principal has given up or given to others."""
        for run_id in lost:
            if driver := self._drivers.get(run_id):
                log.warning("Run %s is no longer this agent's: ending it", run_id)
                driver.end(RunStatus.CRASHED, f"agent {self.id} had lost the run")

    async def _fetch(self, group: asyncio.TaskGroup) -> None:
        """Take runs while there are free slots."""
        while not self._draining.is_set():
            free = self._settings.agent_max_concurrency - len(self._drivers)
            if free <= 0:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                await self._take(free, group)
            except AWAY as error:
                log.debug("No work: %s", error)
                await asyncio.sleep(PAUSE_S)
                await self._resting_on(self._requester.connected())
        # Replaces the request that may still rest at the principal, so that it hands this agent nothing more.
        with contextlib.suppress(*AWAY):
            await self._ask(LeaseWork(self.id, 0, 0, dict(self._holding)))

    async def _take(self, free: int, group: asyncio.TaskGroup) -> None:
        request = LeaseWork(self.id, free, REST_MS, dict(self._holding))
        answer = await self._resting_on(self._ask(request, REST_MS / 1000)) or {"leases": [], "lost": []}
        self._let_go(answer["lost"])
        jobs = [job for lease in answer["leases"] if (job := self._read(lease)) is not None]
        if jobs and not self._draining.is_set():
            await self._start(jobs, group)

    def _read(self, lease: dict[str, Any]) -> Assignment | None:
        """None, and the run has FAILED, for what only another version can read: the others are not to suffer."""
        try:
            return assignment_from_json(lease)
        except ProtocolError as error:
            log.error("%s", error)
            now_ms = time.time_ns() // 1_000_000
            run_id, token = str(lease.get("workflow_instance_id")), str(lease.get("token"))
            update = RunUpdate("", run_id, RunStatus.FAILED, now_ms, self.id, f"agent {self.id}: {error}")
            self._outbox.add(Reported(token, update))
            return None

    async def _resting_on(self, what: Coroutine[Any, Any, Any]) -> Any:
        """The result of what may take long; None as soon as the agent shall stop."""
        if self._draining.is_set():
            what.close()
            return None
        self._resting = asyncio.current_task()
        try:
            return await what
        except asyncio.CancelledError:
            if not self._draining.is_set() or self._resting is None or self._resting.uncancel():
                raise
            return None
        finally:
            self._resting = None

    async def _start(self, jobs: list[Assignment], group: asyncio.TaskGroup) -> None:
        """Start what was leased, once the principal knows that it starts."""
        self._holding |= {job.run_id: job.token for job in jobs}
        try:
            answer = await self._ask(StartRuns(self.id, {job.run_id: job.token for job in jobs}))
        except AWAY:
            # Perhaps it heard, perhaps not: the run was not started, and the next heartbeat says so.
            for job in jobs:
                del self._holding[job.run_id]
            raise
        for job in jobs:
            if job.run_id in answer["granted"]:
                self._drive(job, group)
            else:
                del self._holding[job.run_id]

    def _drive(self, job: Assignment, group: asyncio.TaskGroup) -> None:
        slots = self._settings.agent_max_concurrency
        embedded = self._settings.embedded_python
        driver = Driver(job, self.id, slots, self._executor, self._env, self._outbox.add, embedded_python=embedded)
        self._drivers[job.run_id] = driver
        self._roster.run(job.run_id, job.workflow.id, job.token)
        log.info("Run %s of %s starts", job.run_id, job.workflow.id)
        group.create_task(self._see_through(driver, job)).add_done_callback(partial(self._ended, job.run_id))

    async def _see_through(self, driver: Driver, job: Assignment) -> None:
        """An error of ours in one run must not end the others, nor leave this one without an end."""
        try:
            end = await driver.drive()
            why = f" ({end.detail})" if end.detail else ""
            log.info("Run %s of %s ended: %s%s", job.run_id, job.workflow.id, end.status, why)
        except Exception as error:
            log.exception("An error inside the agent ended run %s", job.run_id)
            detail = f"an error inside agent {self.id}: {error!r}; its log has the details"
            now_ms = time.time_ns() // 1_000_000
            update = RunUpdate(job.workflow.id, job.run_id, RunStatus.CRASHED, now_ms, self.id, detail)
            self._outbox.add(Reported(job.token, update))

    def _ended(self, run_id: str, _task: "asyncio.Task[None]") -> None:
        del self._drivers[run_id]
        # In this order: an heir must not call a run crashed whose end is known.
        self._outbox.save()
        self._roster.ended(run_id)
        self._changed.set()
        self._ended_runs.add(run_id)
        self._outbox.when_stored(partial(self._forget, run_id))

    def _forget(self, run_id: str) -> None:
        del self._holding[run_id]
        self._ended_runs.discard(run_id)

    async def _end_when_drained(self) -> None:
        await self._draining.wait()
        # It may be starting its last runs, and what it asks must not come after the farewell; but a principal that is
        # away is not waited for.
        await asyncio.wait([self._fetching], timeout=self._settings.timeout_s)
        while self._drivers:
            self._changed.clear()
            await self._changed.wait()
        await self._deliver()
        await self._leave()
        raise _Stopped

    async def _deliver(self) -> None:
        """Have the principal take what is left: for long when it is away, for a moment after a second signal."""
        async with asyncio.TaskGroup() as group:
            emptied = group.create_task(self._outbox.emptied())
            hurried = group.create_task(self._hurried.wait())
            if not (await asyncio.wait({emptied, hurried}, timeout=HURRY_S, return_when=asyncio.FIRST_COMPLETED))[0]:
                limit = format_duration(DELIVER_S)
                log.warning("What ran is still to be delivered; waiting, at most %s or until a second signal", limit)
            await asyncio.wait({emptied, hurried}, timeout=DELIVER_S, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({emptied}, timeout=HURRY_S)
            hurried.cancel()
            if not emptied.done():
                log.warning("The principal at %s is away: the end of what ran could not be delivered", self._address)
                emptied.cancel()

    async def _leave(self) -> None:
        """Tell the principal that this agent is gone, so that nobody waits for its heartbeat."""
        try:
            await self._ask(Heartbeat(self.id, 0, __version__, {}, leaving=True))
        except AWAY:
            pass
