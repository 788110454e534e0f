"""The principal's API: a table, request -> handler. Handlers read and decide by the parts they are given.

A handler returns its reply, or awaits what it needs first: the database's thread, or an event that the request rests
for. What only waits for the journal's disk is `Accepted`: it costs no task, as there may be thousands a second.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cdktr import __version__
from cdktr import protocol as p
from cdktr.catalog import Catalog, Changes
from cdktr.codec import workflow_to_json
from cdktr.coordinator import Accepted, Coordinator
from cdktr.errors import CdktrError, ProtocolError, StoreError, UnprocessableError
from cdktr.legacy import OldAgents
from cdktr.listing import Listing
from cdktr.logs import MAX_WAITING_BYTES, LogHub
from cdktr.messages import Request, milliseconds, name_of_event, named
from cdktr.pages import page_size, run_filters
from cdktr.reading import Reading
from cdktr.recent import Recent
from cdktr.replies import OK, PONG, Reply, client_error, server_error, success
from cdktr.store import Store
from cdktr.text import format_log

log = logging.getLogger(__name__)

#: Milliseconds: QUERYLOGS without a start looks back this far.
DEFAULT_WINDOW_MS = 24 * 3600 * 1000

#: Lines that one QUERYLOGS answers; more is refused, not cut.
MAX_LINES = 250_000

#: Workflows that GETRECENTSTATUSES tells of.
RECENT = 10

#: Sets of labels that runs wait for of which STATUS tells, those for which most wait.
MOST_WAITS = 100

Send = Callable[[Reply], bool]


@dataclass(frozen=True, slots=True)
class HandedOut:
    """A reply that hands something out, which is taken back when its peer is gone."""

    reply: Reply
    take_back: Callable[[], None]


@dataclass(frozen=True, slots=True)
class OnceDurable:
    """A reply that may leave once everything decided so far is durable; what must not be if it cannot."""

    reply: Reply
    accepted: Accepted


class Api:
    """Answers requests. `reload` reads the workflow folder; `ports` are API, log intake, log output, as bound."""

    def __init__(
        self,
        coordinator: Coordinator,
        old_agents: OldAgents,
        catalog: Catalog,
        store: Store,
        hub: LogHub,
        reload: Callable[[], Awaitable[Changes]],
        ports: tuple[int, int, int],
        facts: Mapping[str, Any],
        recent: Recent,
    ) -> None:
        self._coordinator = coordinator
        self._old = old_agents
        self._catalog = catalog
        self._store = store
        self._hub = hub
        self._reload = reload
        self._ports = ports
        self._facts = facts
        self._recent = recent
        self._began = time.monotonic()
        self._reading = Reading(coordinator, store, hub)
        self._listing = Listing(catalog, self._reading.in_thread)

    def handle(self, frames: list[bytes], send: Send, group: asyncio.TaskGroup) -> None:
        """Answer one request, now or later; always exactly once."""
        try:
            request = self._decode(frames)
            result = HANDLERS[type(request)](self, request)
            if isinstance(result, OnceDurable):
                self._coordinator.when_durable(partial(self._told, result, send))
                return
            if not isinstance(result, Reply):
                group.create_task(self._later(result, send))
                return
        except Exception as error:
            result = _error_reply(error)
        send(result)

    @staticmethod
    def _decode(frames: list[bytes]) -> Request:
        if len(frames) != 1:
            raise ProtocolError(f"A request is one frame, not {len(frames)}")
        return p.decode(frames[0])

    def _told(self, result: OnceDurable, send: Send, error: StoreError | None) -> None:
        if error is not None:
            self._coordinator.withdraw(result.accepted)
        send(result.reply if error is None else _error_reply(error))

    @staticmethod
    async def _later(result: Awaitable[Reply | HandedOut], send: Send) -> None:
        try:
            reply = await result
        except Exception as error:
            reply = _error_reply(error)
        if isinstance(reply, Reply):
            send(reply)
        elif not send(reply.reply):
            reply.take_back()

    # The original API.

    def ping(self, _: p.Ping) -> Reply:
        """Alive."""
        return PONG

    async def list_workflows(self, _: p.ListWorkflows) -> Reply:
        """All definitions in force."""
        return await self._listing.whole()

    def run_task(self, request: p.RunTask) -> OnceDurable:
        """Trigger a run with default parameters."""
        return OnceDurable(OK, self._coordinator.accept(p.Trigger(request.workflow_id)))

    def register_agent(self, request: p.RegisterAgent) -> Reply:
        """Registration or heartbeat."""
        self._old.register(named(request.agent_id, "agent_id"))
        return OK

    async def fetch_workflow(self, request: p.FetchWorkflow) -> Reply | HandedOut:
        """Work for an old agent, or OK."""
        fetched = await self._old.fetch(named(request.agent_id, "agent_id"))
        if fetched is None:
            return OK
        run_id, workflow = fetched
        take_back = partial(self._coordinator.undelivered, request.agent_id, [run_id])
        return HandedOut(success(workflow_to_json(workflow)), take_back)

    async def agent_workflow_status(self, request: p.AgentWorkflowStatus) -> Reply:
        """An old agent reports on a run."""
        ids = (named(request.agent_id, "agent_id"), request.workflow_id)
        await self._old.run_status(*ids, named(request.workflow_instance_id, "workflow_instance_id"), request.status)
        return OK

    def agent_task_status(self, request: p.AgentTaskStatus) -> Reply:
        """An old agent reports on a task."""
        ids = (request.agent_id, request.task_id, request.task_instance_id, request.workflow_instance_id)
        self._old.task_status(*ids, request.status)
        return OK

    async def query_logs(self, request: p.QueryLogs) -> Reply:
        """Formatted lines of a window."""
        end = milliseconds(request.end_ms, "end_ms", int(time.time() * 1000))
        start = milliseconds(request.start_ms, "start_ms", end - DEFAULT_WINDOW_MS)

        def query() -> Reply:
            filters = (request.workflow_id or None, request.workflow_instance_id or None)
            records = self._store.logs(start, end, *filters, MAX_LINES + 1)
            if len(records) > MAX_LINES:
                raise UnprocessableError(f"More than {MAX_LINES} lines match; narrow the window or name a run")
            return success([format_log(record, bool(request.verbose)) for record in records])

        return await self._reading.fresh(query)

    async def recent_statuses(self, _: p.GetRecentStatuses) -> Reply:
        """The latest status of the most recently active workflows."""
        return await self._reading.fresh(lambda: success(self._store.recent(RECENT)))

    def registered_agents(self, _: p.GetRegisteredAgents) -> Reply:
        """The agents; slots and version are ours."""
        return success(
            [
                {
                    "agent_id": agent.agent_id,
                    "last_ping_timestamp": agent.last_ping_us,
                    "running_tasks": agent.running,
                    "slots": agent.slots,
                    "version": agent.version,
                    "spooled_bytes": agent.spooled_bytes,
                    "dropped_lines": agent.dropped_lines,
                    "labels": sorted(agent.labels),
                    "uv": agent.uv,
                }
                for agent in self._coordinator.dispatch.agent_infos()
            ]
        )

    # What we add.

    def capabilities(self, _: p.Capabilities) -> Reply:
        """Version, verbs and their arguments, ports."""
        api, logs_in, logs_out = self._ports
        return success(
            {
                "version": __version__,
                "protocol": p.PROTOCOL_VERSION,
                "verbs": sorted(p.VERBS),
                "arguments": p.arguments(),
                "principal_port": api,
                "logs_listening_port": logs_in,
                "logs_publishing_port": logs_out,
            }
        )

    def trigger(self, request: p.Trigger) -> OnceDurable:
        """Trigger a run and tell its id."""
        if request.key is not None:
            name_of_event(request.key)
        accepted = self._coordinator.accept(request)
        answer = {"workflow_instance_id": accepted.run_id}
        return OnceDurable(success(answer | {"repeated": True} if accepted.repeated else answer), accepted)

    def heartbeat(self, request: p.Heartbeat) -> Reply:
        """An agent is alive."""
        return success({**self._coordinator.heartbeat(request), "principal": self._facts["id"]})

    async def lease(self, request: p.LeaseWork) -> Reply | HandedOut:
        """Work for an agent; rests."""
        answer = await self._coordinator.lease(request)
        run_ids = [lease["workflow_instance_id"] for lease in answer["leases"]]
        return HandedOut(success(answer), partial(self._coordinator.undelivered, request.agent_id, run_ids))

    def start(self, request: p.StartRuns) -> Reply:
        """An agent is about to start runs."""
        return success(self._coordinator.start(request))

    async def report(self, request: p.Report) -> Reply:
        """What an agent saw; answered when stored."""
        return success(await self._coordinator.report(request))

    async def await_run(self, request: p.AwaitRun) -> Reply:
        """The run's summary, once it has ended."""
        return success(await self._reading.run_end(request))

    async def list_runs(self, request: p.ListRuns) -> Reply:
        """The history of runs."""
        page = (run_filters(request), page_size(request.limit), max(request.offset, 0))
        found, total = await self._reading.fresh(lambda: self._store.run_page(*page, oldest=request.oldest))
        return success({"runs": found, "total": total} if request.counted else found)

    async def list_latest(self, _: p.ListLatest) -> Reply:
        """The latest run of every workflow."""
        found = await self._reading.fresh(self._store.latest)
        return success({each.pop("workflow_id"): each for each in found})

    async def list_task_runs(self, request: p.ListTaskRuns) -> Reply:
        """The tasks of a run."""
        return await self._reading.fresh(lambda: success(self._store.tasks(request.workflow_instance_id)))

    async def list_logs(self, request: p.ListLogs) -> Reply:
        """A page of log lines; rests until there is one, or the one run that is asked for has ended."""
        return success(await self._reading.lines(request))

    def cluster_status(self, _: p.ClusterStatus) -> Reply:
        """How the principal is."""
        dispatch = self._coordinator.dispatch
        unplaceable, crowded = self._coordinator.handout.held_up()
        return success(
            {
                "version": __version__,
                "pid": os.getpid(),
                "uptime_s": round(time.monotonic() - self._began, 3),
                "workflows": len(self._catalog.workflows),
                "problems": len(self._catalog.problems),
                "queued": len(dispatch.queued),
                "running": sum(not dispatch.is_over(lease) for lease in dispatch.leases.values()),
                "ended_unstored": sum(map(dispatch.is_over, dispatch.leases.values())),
                "agents": len(dispatch.agents),
                "now_ms": int(time.time() * 1000),
                "heartbeat_timeout_ms": round(dispatch.agents.timeout_s * 1000),
                "agents_left": dispatch.agents.left(int(time.time() * 1000)),
                "agents_killed": dispatch.agents.left(int(time.time() * 1000), killed=True),
                "free_slots": _free_slots(dispatch.agent_infos()),
                "unplaceable": [waits.plain() for waits in unplaceable[:MOST_WAITS]],
                "crowded": [waits.plain() for waits in crowded[:MOST_WAITS]],
                "unstored_rows": self._hub.unstored,
                "unstored_bytes": self._hub.unstored_bytes,
                "unstored_bytes_limit": MAX_WAITING_BYTES,
                "database_set_aside": self._store.set_aside,
                "database_losses": self._store.losses,
                "database_trouble": self._hub.trouble,
                "journal_trouble": self._coordinator.ledger.trouble,
                "dropped_lines": self._hub.dropped,
                "agents_spooled_bytes": sum(agent.spooled_bytes for agent in dispatch.agents.values()),
                "agents_dropped_lines": sum(agent.dropped_lines for agent in dispatch.agents.values()),
                "stopping": self._coordinator.is_stopping,
                "paused": dispatch.pauses.since,
                "revisions": {"runs": self._hub.statuses, "workflows": self._catalog.revision},
                **self._facts,
            }
        )

    def list_own_log(self, request: p.ListOwnLog) -> Reply:
        """What the principal itself has to say."""
        return success(self._recent.page(request.after, page_size(request.limit)))

    async def list_catalog(self, _: p.ListCatalog) -> Reply:
        """What a list tells of each workflow."""
        return await self._listing.outlines()

    def get_workflow(self, request: p.GetWorkflow) -> Reply:
        """One definition in force."""
        return self._listing.one(request.workflow_id)

    def list_problems(self, _: p.ListProblems) -> Reply:
        """What is wrong in the workflow folder."""
        return success(self._listing.problems())

    async def reload(self, _: p.Reload) -> Reply:
        """Read the workflow folder now."""
        changes = await self._reload()
        ids = {"added": changes.added, "changed": changes.changed, "removed": changes.removed}
        return success({name: sorted(found) for name, found in ids.items()} | {"problems": self._listing.problems()})

    async def pause(self, request: p.Pause) -> Reply:
        """Keep the clock from triggering a workflow."""
        return success(await self._coordinator.pause(request.workflow_id))

    async def resume(self, request: p.Resume) -> Reply:
        """Let the clock trigger a workflow again."""
        return success(await self._coordinator.resume(request.workflow_id))

    def close(self) -> None:
        """End the readers' threads."""
        self._reading.close()


#: Every request's handler; a test holds it against `protocol.VERBS`.
HANDLERS: dict[type[Request], Callable[[Api, Any], "Reply | OnceDurable | Awaitable[Reply | HandedOut]"]] = {
    p.Ping: Api.ping,
    p.ListWorkflows: Api.list_workflows,
    p.RunTask: Api.run_task,
    p.RegisterAgent: Api.register_agent,
    p.FetchWorkflow: Api.fetch_workflow,
    p.AgentWorkflowStatus: Api.agent_workflow_status,
    p.AgentTaskStatus: Api.agent_task_status,
    p.QueryLogs: Api.query_logs,
    p.GetRecentStatuses: Api.recent_statuses,
    p.GetRegisteredAgents: Api.registered_agents,
    p.Capabilities: Api.capabilities,
    p.Trigger: Api.trigger,
    p.Heartbeat: Api.heartbeat,
    p.LeaseWork: Api.lease,
    p.StartRuns: Api.start,
    p.Report: Api.report,
    p.AwaitRun: Api.await_run,
    p.ListRuns: Api.list_runs,
    p.ListLatest: Api.list_latest,
    p.ListTaskRuns: Api.list_task_runs,
    p.ListLogs: Api.list_logs,
    p.ListOwnLog: Api.list_own_log,
    p.ClusterStatus: Api.cluster_status,
    p.ListCatalog: Api.list_catalog,
    p.GetWorkflow: Api.get_workflow,
    p.ListProblems: Api.list_problems,
    p.Reload: Api.reload,
    p.Pause: Api.pause,
    p.Resume: Api.resume,
}


def _error_reply(error: Exception) -> Reply:
    if isinstance(error, UnprocessableError):
        return Reply("UNPROC", str(error))
    if isinstance(error, StoreError):
        return server_error(error)
    if isinstance(error, CdktrError):
        return client_error(error)
    log.error("A request could not be answered", exc_info=error)
    return server_error(f"An error inside the principal: {error!r}; its log has the details")


def _free_slots(agents: list[Any]) -> int:
    return sum(max(agent.slots - agent.running, 0) for agent in agents if agent.slots is not None)
