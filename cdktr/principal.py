"""The principal: builds the parts, keeps their loops running, stops them in order.

One event loop does all of it; the disk and the database have threads. The death of one loop ends the daemon, visibly.
"""

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cdktr.api import Api
from cdktr.catalog import Catalog, Changes
from cdktr.coordinator import Coordinator
from cdktr.errors import HeldError, ProtocolError, StartError, StoreError
from cdktr.frames import decode_log
from cdktr.journal import Journal
from cdktr.legacy import OldAgents
from cdktr.lock import take_lock
from cdktr.logs import LogHub
from cdktr.pair import AgentProcess
from cdktr.process import on_stop
from cdktr.protocol import Trigger
from cdktr.recent import Recent
from cdktr.records import FINAL_STATUSES, RunStatus
from cdktr.replies import Reply
from cdktr.scheduler import Scheduler
from cdktr.settings import ANY_ADDRESS, LOOPBACK, Address, Settings, addresses
from cdktr.store import Store
from cdktr.transport import Endpoints, Peer, own_address
from cdktr.workflow import Workflow

log = logging.getLogger(__name__)

#: In the data folder: what its principal holds.
LOCK = "principal.lock"

#: Seconds between looks for lost agents; less where the timeout is short.
CHECK_S = 1.0

#: Seconds that a stop may take before the daemon ends all the same.
STOP_S = 20.0


class _Part(Protocol):
    def close(self) -> None: ...


P = TypeVar("P", bound=_Part)


class _Stopped(Exception):
    """Ends the daemon's task group."""


class Principal:
    """One principal. `agent_arguments` are those of its own agent, None for none; `agent_umask` and `agent_files` as in
    `pair`; `catalog` has been read by a standby."""

    def __init__(
        self,
        settings: Settings,
        *,
        with_scheduler: bool,
        agent_arguments: list[str] | None,
        agent_umask: int = -1,
        agent_files: int | None = None,
        catalog: Catalog | None = None,
    ) -> None:
        """Take the locks, open journal and database, bind the ports. Raises StartError."""
        self._catalog = Catalog(Path(settings.workflow_dir)) if catalog is None else catalog
        self._settings = settings
        self._with_scheduler = with_scheduler
        self._agent_arguments = agent_arguments
        self._agent_umask = agent_umask
        self._agent_files = agent_files
        self._pair: AgentProcess | None = None
        self._stop = asyncio.Event()
        self._is_over = False
        self._refresher = ThreadPoolExecutor(1, "catalog")
        self._refreshing = asyncio.Lock()
        self._closers: list[Callable[[], None]] = []
        try:
            self._build(Path(settings.app_data_directory))
        except BaseException:
            self._close()
            raise

    def _build(self, folder: Path) -> None:
        settings = self._settings
        self._recent = self._own(Recent())
        logging.getLogger().addHandler(self._recent)
        self._lock_folder(folder)
        self._store = self._own(Store(settings.db_path))
        # Bound before anything is read that could be long: a port in use is told at once.
        self._endpoints = self._own(self._bind())
        self._hub = self._own(LogHub(self._store, self._endpoints.publish, lambda: self._endpoints.has_subscribers))
        self._journal = self._own(Journal(folder / "journal"))
        log_changes(self._catalog.refresh())
        self._coordinator = Coordinator(
            self._journal,
            self._hub,
            self._store.cursors,
            self._find,
            settings.agent_heartbeat_timeout_ms / 1000,
            lambda: self._store.highest_number() + 1,
            self._open_runs,
        )
        self._old_agents = OldAgents(self._coordinator, self._hub)
        self._api = self._own(self._make_api(folder))

    def _open_runs(self) -> Iterable[tuple[str, str]]:
        for status in set(RunStatus) - FINAL_STATUSES:
            for run in self._store.runs(status=status, limit=sys.maxsize):
                yield run["workflow_id"], run["workflow_instance_id"]

    def _own(self, part: P) -> P:
        self._closers.append(part.close)
        return part

    def _lock_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = take_lock(folder / LOCK, f"the data folder {folder}", "CDKTR_APP_DATA_DIRECTORY")
        except HeldError as error:
            raise HeldError(f"{error}, or wait for its end with --standby", error.holder) from None
        except OSError as error:
            why = _why_no_folder(folder, error)
            raise StartError(
                f"The data folder {folder} cannot be used: {why}; set CDKTR_APP_DATA_DIRECTORY to another"
            ) from error
        self._closers.append(partial(os.close, lock))

    def _bind(self) -> Endpoints:
        s = self._settings
        #: Of those in the settings, the one that is of this host.
        self._address = own_address(addresses(s.principal_host, s.principal_port))
        ports = (self._address.port, s.logs_listening_port, s.logs_publishing_port)
        return Endpoints(self._address.host, ports, self._on_request, self._on_log)

    def _make_api(self, folder: Path) -> Api:
        facts = {
            "id": _own_id(folder),
            "host": self._address.host,
            "port": self._endpoints.ports[0],
            "workflow_dir": str(Path(self._settings.workflow_dir).resolve()),
            "data_directory": self._settings.app_data_directory,
            "db_path": self._settings.db_path,
            "scheduler": self._with_scheduler,
        }
        parts = (self._coordinator, self._old_agents, self._catalog, self._store, self._hub)
        return Api(*parts, self._refresh, self._endpoints.ports, facts, self._recent)

    def _find(self, workflow_id: str) -> Workflow | None:
        return self._catalog.workflows.get(workflow_id)

    # Messages.

    def _on_request(self, peer: Peer, frames: list[bytes]) -> None:
        if self._is_over:
            # Nobody would take care of it any more; who asked asks the next principal.
            return
        send = partial(self._reply, peer)
        self._api.handle(frames, send, self._group)

    def _reply(self, peer: Peer, reply: Reply) -> bool:
        return self._endpoints.reply(peer, reply.encode())

    def _on_log(self, frame: bytes) -> None:
        try:
            self._old_agents.log(decode_log(frame))
        except ProtocolError as error:
            log.warning("A message on the log port was dropped: %s", error)

    # Loops.

    async def run(self) -> None:
        """Serve until a signal says stop."""
        on_stop(self._on_stop)
        try:
            async with asyncio.TaskGroup() as self._group:
                self._start_loops(self._group)
        except* _Stopped:
            log.info("Principal stopped")
        finally:
            self._close()

    def _start_loops(self, group: asyncio.TaskGroup) -> None:
        host, port = self._address.host, self._endpoints.ports[0]
        log.info("Principal server started on %s:%d", host, port)
        if host in ANY_ADDRESS:
            log.warning(
                "Anybody who reaches port %d of this host can use it; CDKTR_PRINCIPAL_HOST=127.0.0.1 keeps them out",
                port,
            )
        loops = [self._hub.run(), self._check(), self._persist(), self._watch_folder()]
        loops.append(self._coordinator.ledger.forget_stored())
        if self._with_scheduler:
            loops.append(self._scheduler().start_listening())
        if self._agent_arguments is not None:
            self._pair = AgentProcess([*self._where(), *self._agent_arguments], self._agent_umask, self._agent_files)
            loops.append(self._pair.run())
        for each in loops:
            group.create_task(each)
        group.create_task(self._end_when_told())

    def _where(self) -> list[str]:
        """Of its agent: it turns to whoever takes over, should this principal die."""
        host, port = self._address.host, self._endpoints.ports[0]
        own = Address(LOOPBACK if host in ANY_ADDRESS else host, port)
        others = addresses(self._settings.connect_host, self._settings.principal_port or port)
        return ["--principal-host", ",".join(str(each) for each in dict.fromkeys([own, *others]) if each.port)]

    def _scheduler(self) -> Scheduler:
        async def trigger(
            workflow_id: str, params: Mapping[str, Any], key: str | None, scheduled_ms: int | None
        ) -> None:
            request = Trigger(workflow_id, dict(params), "schedule", scheduled_ms, key)
            run_id = await self._coordinator.trigger(request)
            if run_id is not None:
                log.info("Run %s of %s triggered by its schedule", run_id, workflow_id)

        poll_s = self._settings.scheduler_start_poll_frequency_ms / 1000
        keep, skips = self._coordinator.keep, self._coordinator.skips
        return Scheduler(lambda: self._catalog.workflows, trigger, keep, skips, poll_s)

    async def _check(self) -> None:
        interval = min(CHECK_S, self._settings.agent_heartbeat_timeout_ms / 4000)
        while True:
            self._coordinator.check(interval)
            await asyncio.sleep(interval)

    async def _persist(self) -> None:
        """Fold the journal into a snapshot now and then. A full disk is told, and tried again."""
        troubled = False
        while True:
            await asyncio.sleep(self._settings.q_persistence_interval_ms / 1000)
            try:
                await self._coordinator.ledger.persist()
                troubled = False
            except StoreError as error:
                if not troubled:
                    log.error("%s; new triggers are refused until it can be", error)
                troubled = True

    async def _watch_folder(self) -> None:
        while True:
            await asyncio.sleep(self._settings.workflow_dir_refresh_frequency_s)
            await self._refresh()

    async def _refresh(self) -> Changes:
        async with self._refreshing:
            changes = await asyncio.get_running_loop().run_in_executor(self._refresher, self._catalog.refresh)
        log_changes(changes)
        if changes:
            self._coordinator.redefined()
        return changes

    # The end.

    def _on_stop(self) -> None:
        if self._stop.is_set() and self._pair is not None:
            self._pair.hurry()
        self._stop.set()

    async def _end_when_told(self) -> None:
        await self._stop.wait()
        log.info("Stopping")
        self._coordinator.stop()
        if self._pair is not None:
            await self._pair.stop()
        try:
            async with asyncio.timeout(STOP_S):
                await self._coordinator.ledger.finish()
        except (StoreError, TimeoutError) as error:
            log.error("Not everything could be stored: %s", str(error) or "the database took too long")
        self._is_over = True
        raise _Stopped

    def _close(self) -> None:
        self._refresher.shutdown(wait=False)
        while self._closers:
            try:
                self._closers.pop()()
            except Exception as error:
                # Whatever it is, the others must still be closed.
                log.error("%s", error)


def _why_no_folder(folder: Path, error: OSError) -> str:
    if isinstance(error, FileExistsError):
        return "it is no folder"
    if error.filename != str(folder / LOCK):
        return str(error.strerror)
    if not isinstance(error, PermissionError):
        return f"{LOCK}: {error.strerror}"
    return f"{LOCK} in it belongs to another user, as after a start under sudo"


def _own_id(folder: Path) -> str:
    """What names the principal of a data folder over restarts. Raises StartError."""
    path = folder / "principal.id"
    try:
        if path.exists() and (found := path.read_text(errors="replace").strip()):
            return found
        beside = path.with_suffix(".new")
        beside.write_text(secrets.token_hex(8))
        beside.replace(path)
        return path.read_text()
    except OSError as error:
        raise StartError(
            f"{path} cannot be used: {error.strerror}; make room, or set CDKTR_APP_DATA_DIRECTORY"
        ) from error


def log_changes(changes: Changes) -> None:
    """Tell what a look at the workflow folder found."""
    for problem in changes.problems:
        log.error("%s", problem)
    for what, ids in (("added", changes.added), ("changed", changes.changed), ("removed", changes.removed)):
        if ids:
            shown = ", ".join(ids[:10]) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
            log.info("Workflows %s: %s", what, shown)
