"""The terminal UI with a principal of another version, which may tell anything anywhere: the screen stays."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdktr import protocol as p
from cdktr.caller import Subscriber
from cdktr.client import Principal
from cdktr.codec import outline_to_json, workflow_to_json
from cdktr.errors import CdktrError, RefusedError
from cdktr.messages import Request
from cdktr.tui.feed import actions, logs, poll
from cdktr.tui.state import commands as c
from cdktr.tui.state import events as e
from cdktr.tui.state.model import State
from cdktr.tui.state.update import update
from cdktr.tui.state.wants import stored, wants
from cdktr.tui.view.render import render
from tests.world import AGENTS, FACTS, LATEST, NOW_MS, OWN_LOG, PROBLEMS, RUNS, TASKS, WORKFLOWS, lines, new


def _run(run: Any) -> dict[str, Any]:
    return {"workflow_instance_id": run.id, **{name: value for name, value in asdict(run).items() if name != "id"}}


#: What a principal of today answers, a few rows of each.
REPLIES: dict[str, Any] = {
    "CAPABILITIES": {
        "version": "0.1.0",
        "verbs": sorted(p.VERBS),
        "arguments": p.arguments(),
        "logs_publishing_port": 5563,
    },
    "STATUS": {**FACTS, "revisions": {"runs": 3, "workflows": 1}, "database_set_aside": ["/x"], "database_losses": []},
    "PING": None,
    "LSCATALOG": {"revision": 1, "workflows": list(map(outline_to_json, WORKFLOWS))},
    "GETWORKFLOW": workflow_to_json(WORKFLOWS[1]),
    "LSWORKFLOWS": {each.id: workflow_to_json(each) for each in WORKFLOWS[:2]},
    "LSPROBLEMS": list(map(asdict, PROBLEMS)),
    "LSLATEST": {
        name: {"workflow_instance_id": each.run_id, "status": each.status, "timestamp_ms": each.at_ms}
        for name, each in LATEST.items()
    },
    "GETRECENTSTATUSES": [
        {"workflow_id": "backup", "workflow_instance_id": "r-1", "status": "COMPLETED", "timestamp_ms": NOW_MS}
    ],
    "GETREGISTEREDAGENTS": [
        {
            "agent_id": each.id,
            "last_ping_timestamp": each.last_ping_ms * 1000,
            "running_tasks": each.running,
            "slots": each.slots,
            "version": each.version,
            "spooled_bytes": each.spooled_bytes,
            "dropped_lines": 0,
        }
        for each in AGENTS
    ],
    "LSRUNS": list(map(_run, RUNS[:4])),
    "LSTASKRUNS": [{"task_instance_id": each.instance_id, **asdict(each)} for each in TASKS],
    "LSOWNLOG": {"lines": list(map(asdict, OWN_LOG[:5])), "next": 5},
    "LSLOGS": {
        "lines": [{**asdict(each), "workflow_instance_id": each.run_id} for each in lines(0, 5)],
        "next": 4,
        "full": False,
        "more": True,
        "trouble": None,
    },
    "TRIGGER": {"workflow_instance_id": "jumping-monkey-94"},
    "RELOAD": {"added": ["a"], "changed": [], "removed": [], "problems": []},
}

#: Anything that JSON can say, and what is most likely to be taken for something else.
anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([10**400, -(10**30), 2**63, 0, -1]),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
        st.sampled_from(["soon", "\ud800", "2026-01-31T02:00", "9999-12-31T23:59:59-12:00", "* * * * * *", "UTC"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=4,
)


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each part of a reply."""
    yield way
    parts: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in parts:
        yield from places(each, (*way, key))


def changed(value: Any, way: tuple[Any, ...], other: Any) -> Any:
    """A reply with another part there."""
    if not way:
        return other
    value = deepcopy(value)
    part = value
    for key in way[:-1]:
        part = part[key]
    part[way[-1]] = other
    return value


class Odd:
    """A principal that answers by a table, as it comes over the wire."""

    def __init__(self, replies: dict[str, Any]) -> None:
        self._replies = {verb: json.loads(json.dumps(reply)) for verb, reply in replies.items()}

    def ask(self, request: Request, rest_s: float = 0.0) -> Any:
        if request.verb not in self._replies:
            raise RefusedError(f"Unknown request {request.verb!r}")
        return self._replies[request.verb]


class Session:
    """A terminal UI whose threads take turns."""

    def __init__(self, odd: Odd) -> None:
        self._principal = cast(Principal, odd)
        self._told: list[Any] = []
        self.state = new(100, 40)
        self._board = poll.Board()
        self._front = poll.Front(self._principal, 1.0, self._board, self._told.append)
        self._lanes = [poll.Wanted(self._principal, lane, self._board, self._told.append) for lane in poll.Lane]

    def look(self) -> None:
        """All that is wanted is asked for and told."""
        wanted = wants(self.state)
        self._board.want(wanted, frozenset(want for want in wanted if not stored(self.state.data, want)))
        try:
            self._front.look()
        except CdktrError as error:
            self._told.append(e.Away(str(error)))
        for lane in self._lanes:
            lane.look(self._board.order)
        self._take()

    def press(self, key: str) -> None:
        """A key, and what comes of it."""
        self._do(e.Key(key))
        self._take()
        self.look()

    def _take(self) -> None:
        told, self._told[:] = list(self._told), []
        for event in told:
            self._do(event)

    def _do(self, event: e.Event) -> None:
        self.state, commands = update(self.state, event)
        show(self.state)
        for command in commands:
            self._obey(command)

    def _obey(self, command: c.Command) -> None:
        match command:
            case c.FetchLogs():
                pages = logs.Pages(self._principal, self._told.append)
                pages.fetch(command)
                self._told.append(pages.one())
            case c.FollowLogs():
                tail = logs.Tail(self._principal, no_ear, self._told.append)
                request = p.ListLogs(**logs.request_of(command.query))
                try:
                    self._told.append(tail._next(command, request, request)[0])
                except CdktrError as error:
                    self._told.append(e.LogsFailed(command.number, str(error)))
            case c.Trigger() | c.ReloadFolder():
                actions.perform(self._principal, command, actions.Drafts(), self._told.append)


def no_ear(_port: int, _topic: bytes) -> Subscriber:
    """Nothing is published."""
    raise RefusedError


def show(state: State) -> None:
    """It can be drawn."""
    frame = render(state)
    assert len(frame.rows) == state.height


def visit(replies: dict[str, Any]) -> Session:
    """Go everywhere."""
    session = Session(Odd(replies))
    session.look()
    for key in "j enter o v l esc esc esc 2 j enter esc 3 4 1 r esc R".split():
        session.press(key)
    session.look()
    return session


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "MODESTY", -1)
    monkeypatch.setattr(actions, "RETRY_S", 0.0)


OLD = {verb: reply for verb, reply in REPLIES.items() if verb in ("PING", "LSWORKFLOWS", "GETRECENTSTATUSES")}


def test_a_principal_of_today_is_understood() -> None:
    session = visit(REPLIES)
    assert session.state.data.failed == {}
    assert session.state.data.definitions
    assert visit(OLD).state.data.failed == {}


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_whatever_a_principal_answers_the_screen_stays(data: st.DataObject) -> None:
    replies = dict(OLD if data.draw(st.booleans()) and data.draw(st.booleans()) else REPLIES)
    for _ in range(data.draw(st.integers(1, 3))):
        verb = data.draw(st.sampled_from(sorted(replies)))
        way = data.draw(st.sampled_from(list(places(replies[verb]))))
        replies[verb] = changed(replies[verb], way, data.draw(anything))
    visit(replies)
