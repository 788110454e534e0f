"""The principal as Python sees it: one method a request, for any number of threads. Needs nothing but pyzmq.

`Principal` has the methods of the original `python-cdktr`, which return a `Result`; and `ask`, which the command line
uses, which returns the value or raises.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cdktr import protocol as p
from cdktr.caller import Callers
from cdktr.errors import CdktrError, NotFoundError, RefusedError, SettingError, StoreError, UnreachableError
from cdktr.messages import Request, load, unfit
from cdktr.replies import decode_reply
from cdktr.settings import HOSTS, PORT, Settings, addresses

#: Milliseconds that one request rests at the principal at most; longer waits ask again.
REST_MS = 20_000

#: Milliseconds of rest after which it is asked whether a run is still queued.
LOOK_MS = 2_000

#: Seconds that a query of the history may take beyond the time-out of a request.
QUERY_S = 30.0

#: Seconds that a wait for a run outlives its principal: a restart takes less.
PATIENCE_S = 30.0

#: Seconds between attempts to find it again.
PAUSE_S = 0.25


#: Told why the principal's database cannot be written, None while it can.
OnTrouble = Callable[[str | None], None]

#: Asked now and then while nothing comes of a run: whether it is still queued. Who is asked tells why.
IsQueued = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a request: `payload` when `success`, else `error` in words. It is true when it is a success."""

    success: bool
    error: str | None = None
    payload: Any = None

    def __bool__(self) -> bool:
        return self.success


def _not_sendable(workflow_id: object, params: object, key: object) -> str | None:
    """What is wrong with what somebody wants to trigger, where it has no form on the wire."""
    for what, value in ("The workflow id", workflow_id), (f"The key for {workflow_id}", "" if key is None else key):
        if not isinstance(value, str):
            return f"{what} is a {type(value).__name__}; expected text"
    given = {} if params is None else params
    if not isinstance(given, Mapping):
        return f"The parameters of {workflow_id} are a {type(given).__name__}; expected names with their values"
    for name, value in given.items():
        what = f"The parameter {name!r} of {workflow_id}"
        if not isinstance(name, str):
            return f"{what} has a {type(name).__name__} as its name; expected text"
        if (wrong := unfit(value)) is not None:
            return f"{what} is {wrong}"
    return None


def _no_address(host: object, port: object) -> str | None:
    """What is wrong with where a principal is said to be, but for what a list of hosts says."""
    if not isinstance(host, str):
        return f"The host of a principal is {host!r}; expected {HOSTS.expected}"
    if not isinstance(port, int) or not 0 <= port <= 65535:
        return f"The port of a principal is {port!r}; expected {PORT.expected}"
    return None


class Principal:
    """A principal. May be used by several threads at once: one that rests at the principal keeps no other waiting."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 5561,
        timeout_s: float = 3.0,
        on_away: Callable[[bool], None] | None = None,
    ) -> None:
        """`host` may be a list, as in `CDKTR_PRINCIPAL_HOST`: the one that answers is used, and found again elsewhere.

        `on_away` is told True when the principal is waited for, and False when it is back. Raises SettingError for what
        is no host or no port.
        """
        if (wrong := _no_address(host, port)) is not None:
            raise SettingError(wrong)
        self._callers = Callers(host, port)
        self._timeout_s = timeout_s
        self._on_away = on_away

    @classmethod
    def of(cls, settings: Settings, on_away: Callable[[bool], None] | None = None) -> "Principal":
        """The one that the settings name. Raises SettingError."""
        if not all(address.port for address in addresses(settings.connect_host, settings.principal_port)):
            raise SettingError("CDKTR_PRINCIPAL_PORT is 0, which is no port to connect to; say which one it is")
        return cls(settings.connect_host, settings.principal_port, settings.timeout_s, on_away)

    def __enter__(self) -> "Principal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections; one that another thread waits for, when that has its answer."""
        self._callers.close()

    # The original library's methods.

    def ping(self) -> Result:
        """Is it there?"""
        return self._result(p.Ping())

    def list_workflows(self) -> Result:
        """Workflow id -> Workflow, as JSON objects."""
        return self._result(p.ListWorkflows())

    def run_workflow(self, workflow_id: str, params: Mapping[str, Any] | None = None, key: str | None = None) -> Result:
        """Trigger a run; the payload is {"workflow_instance_id": …}. Values of `params` are text, numbers, True, False.

        `key`, at most 200 characters, names the event that the run is for: however often it is sent for this workflow,
        it makes one run. The payload then has the id of that run, and `"repeated": True`.
        """
        if wrong := _not_sendable(workflow_id, params, key):
            return Result(False, wrong)
        return self._result(p.Trigger(workflow_id, dict(params or {}), "listener", key=key))

    def pause_workflow(self, workflow_id: str) -> Result:
        """Its schedule does not trigger it from now on, `run_workflow` still does. The payload is {"paused_ms": since
        when, "changed": whether it was not paused before}."""
        return self._result_of_id(p.Pause, workflow_id)

    def resume_workflow(self, workflow_id: str) -> Result:
        """Its schedule triggers it again, for what is due from now on. The payload as for `pause_workflow`."""
        return self._result_of_id(p.Resume, workflow_id)

    def query_logs(
        self,
        end_ms: int | None = None,
        start_ms: int | None = None,
        workflow_id: str | None = None,
        workflow_instance_id: str | None = None,
        verbose: bool = False,
    ) -> Result:
        """Formatted log lines of start <= t < end; without times, of the last 24 hours."""
        end, start = ("" if ms is None else str(ms) for ms in (end_ms, start_ms))
        ids = (workflow_id or "", workflow_instance_id or "")
        return self._result(p.QueryLogs(end, start, *ids, "true" if verbose else ""))

    def get_recent_workflow_statuses(self) -> Result:
        """The latest status of the ten most recently active workflows."""
        return self._result(p.GetRecentStatuses())

    def get_registered_agents(self) -> Result:
        """The registered agents."""
        return self._result(p.GetRegisteredAgents())

    def _result_of_id(self, kind: type[p.Pause] | type[p.Resume], workflow_id: str) -> Result:
        wrong = _not_sendable(workflow_id, None, None)
        return Result(False, wrong) if wrong else self._result(kind(workflow_id))

    def _result(self, request: Request) -> Result:
        try:
            return Result(True, payload=self.ask(request))
        except CdktrError as error:
            return Result(False, str(error))

    # For the command line.

    def ask(self, request: Request, rest_s: float = 0.0) -> Any:
        """The reply's value; None for OK and PONG. `rest_s` is how long the request may rest on top of the timeout.

        Raises UnreachableError, RefusedError (the request is at fault), NotFoundError, StoreError (the principal is).
        """
        reply = decode_reply(self._callers.call(request.encode(), self._timeout_s + rest_s))
        if reply.kind == "SUCCESS":
            return load(reply.payload or "", f"the reply to {request.verb}")
        if reply.payload is None:
            return None
        if reply.kind == "SERVERERROR":
            raise StoreError(reply.payload)
        if reply.payload.startswith(("No workflow exists", "There is no run")):
            raise NotFoundError(reply.payload)
        raise RefusedError(reply.payload)

    def ask_patiently(self, request: Request, rest_s: float = 0.0) -> Any:
        """As `ask`, through a restart of the principal. Only for requests that change nothing: it may ask again."""
        deadline = None
        while True:
            try:
                if deadline is not None:
                    # What is asked for may rest: that it is back is told at once.
                    self.ask(p.Ping())
                    self._tell_away(False)
                    deadline = None
                return self.ask(request, rest_s)
            except UnreachableError:
                now = time.monotonic()
                if deadline is None:
                    deadline = now + PATIENCE_S
                    self._tell_away(True)
                if now >= deadline:
                    raise
                time.sleep(PAUSE_S)

    def _tell_away(self, away: bool) -> None:
        if self._on_away is not None:
            self._on_away(away)

    def await_run(self, run_id: str, on_trouble: OnTrouble | None = None, is_queued: IsQueued = lambda: False) -> Any:
        """The summary of a run once it has ended, however long that takes, and through restarts of the principal.

        `on_trouble` is told with each reply how the principal's database is.
        """
        rest_ms = LOOK_MS
        while True:
            summary = self.ask_patiently(p.AwaitRun(run_id, rest_ms), rest_ms / 1000)
            if on_trouble is not None:
                on_trouble(summary.pop("trouble", None))
            if summary["ended_ms"] is not None:
                return summary
            rest_ms = LOOK_MS if rest_ms == LOOK_MS and is_queued() else REST_MS

    def pages(
        self, request: p.ListLogs, limit: int | None = None, on_trouble: OnTrouble | None = None
    ) -> Iterator[list[dict[str, Any]]]:
        """The log lines there are, at most `limit` of them, a page of `request.limit` at a time.

        `on_trouble` as for `await_run`.
        """
        left = limit
        while left is None or left > 0:
            size = request.limit if left is None else min(request.limit, left)
            page = self.ask(replace(request, limit=size), QUERY_S)
            if on_trouble is not None:
                on_trouble(page.get("trouble"))
            if page["lines"]:
                yield page["lines"]
            if not page["full"]:
                return
            left = None if left is None else left - len(page["lines"])
            request = replace(request, after=page["next"])

    def follow(
        self, request: p.ListLogs, on_trouble: OnTrouble | None = None, is_queued: IsQueued = lambda: False
    ) -> Iterator[list[dict[str, Any]]]:
        """Log lines as they come, each once, through restarts of the principal; ends with the run that is asked for.

        `on_trouble` and `is_queued` as for `await_run`.
        """
        more, wait_ms = True, request.wait_ms
        request = replace(request, wait_ms=min(wait_ms, LOOK_MS))
        while more:
            page = self.ask_patiently(request, request.wait_ms / 1000)
            if on_trouble is not None:
                on_trouble(page.get("trouble"))
            if page["lines"]:
                yield page["lines"]
            request, more = replace(request, after=page["next"]), page["more"]
            if more and request.wait_ms != wait_ms and (page["lines"] or not is_queued()):
                request = replace(request, wait_ms=wait_ms)
