"""The agent against a scripted principal: what it asks, when, and what it does with odd answers."""

import asyncio
import dataclasses
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdktr import agent as agent_module
from cdktr import protocol as p
from cdktr.agent import Agent
from cdktr.codec import workflow_to_json
from cdktr.driver import Driver
from cdktr.errors import UnreachableError
from cdktr.frames import Reported, numbered, unpack
from cdktr.messages import Request
from cdktr.records import RunStatus, RunUpdate
from cdktr.replies import success
from cdktr.settings import load
from cdktr.transport import Endpoints, Peer
from cdktr.workflow import Subprocess, Task, Workflow

ONE = Workflow("one", "One", {"a": Task("A", Subprocess("true"))})


class Script:
    """A principal that does what the test says; everything that it was asked is kept."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.leases: list[dict[str, Any]] = []
        self.lost: list[str] = []
        self.grants = True
        self.ended: asyncio.Queue[RunUpdate] = asyncio.Queue()
        self._resting: list[Peer] = []
        self.endpoints = Endpoints("127.0.0.1", (0, 0, 0), self._on_request, lambda _frame: None)

    def give(self, run_id: str) -> None:
        """Hand out a run, to a request that rests or to the next."""
        lease = {"workflow": workflow_to_json(ONE), "workflow_instance_id": run_id, "token": f"t-{run_id}"}
        self.leases.append({**lease, "first_number": 0, "params": {}})
        while self._resting:
            self._answer_lease(self._resting.pop())

    def kinds(self) -> list[str]:
        return [request.verb for request in self.asked]

    def _on_request(self, peer: Peer, frames: list[bytes]) -> None:
        request = p.decode(frames[0])
        self.asked.append(request)
        if isinstance(request, p.LeaseWork):
            if self.leases or not request.count:
                self._answer_lease(peer)
            else:
                self._resting.append(peer)
        else:
            self.endpoints.reply(peer, success(self._answer(request)).encode())

    def _answer_lease(self, peer: Peer) -> None:
        leases, self.leases = self.leases, []
        self.endpoints.reply(peer, success({"leases": leases, "lost": []}).encode())

    def _answer(self, request: Request) -> Any:
        if isinstance(request, p.StartRuns):
            return {"granted": list(request.runs) if self.grants else []}
        if isinstance(request, p.Report):
            for record in (unpack(numbered(raw)[1]) for raw in request.records):
                if isinstance(record, Reported) and isinstance(record.update, RunUpdate):
                    self.ended.put_nowait(record.update)
            return {"stored": request.records[-1][0]}
        return {"lost": self.lost}


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path) -> Iterator[Path]:
    """Where the agents of a test keep what they keep."""
    SETTINGS["app_data_directory"] = str(tmp_path)
    yield tmp_path
    SETTINGS.clear()


#: Of every agent.
SETTINGS: dict[str, Any] = {}


def play(
    story: Callable[[Script, Agent], Awaitable[None]], script_of: Callable[[], Script] = Script, **changes: Any
) -> Script:
    """Run an agent against a script until the story is told, then stop it."""

    async def main() -> Script:
        script = script_of()
        base = dataclasses.replace(load(environ={}).settings, **SETTINGS)
        settings = dataclasses.replace(base, agent_heartbeat_timeout_ms=300, **changes)
        agent = Agent(settings, "127.0.0.1", script.endpoints.ports[0])
        try:
            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                running = group.create_task(agent.run())
                await story(script, agent)
                agent.stop()
                await running
        finally:
            script.endpoints.close()
        return script

    return asyncio.run(main())


def test_it_registers_fetches_starts_reports_and_leaves() -> None:
    async def story(script: Script, _agent: Agent) -> None:
        script.give("r-1")
        assert (await script.ended.get()).status is RunStatus.COMPLETED

    script = play(story)
    kinds = list(dict.fromkeys(script.kinds()))
    assert kinds[0] == "HEARTBEAT"
    assert kinds.index("LEASE") < kinds.index("START") < kinds.index("REPORT")
    last = script.asked[-1]
    assert isinstance(last, p.Heartbeat)
    assert last.leaving
    assert not last.killed


def test_it_tells_what_it_has_from_the_beginning() -> None:
    async def story(script: Script, _agent: Agent) -> None:
        while script.kinds().count("HEARTBEAT") < 3:
            await asyncio.sleep(0.01)

    script = play(story, agent_labels="gpu,zone=eu")
    told = [request.labels for request in script.asked if isinstance(request, p.Heartbeat) and not request.leaving]
    assert told == [["gpu", "zone=eu"]] * len(told)


def test_a_disk_in_path_that_does_not_answer_holds_up_neither_its_start_nor_its_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers, looks = threading.Event(), list[str]()

    def slow(_path: str | None, _env: Mapping[str, str]) -> str:
        looks.append("begun")
        answers.wait(10)
        looks.append("ended")
        return "/uv"

    async def stopped(_script: Script, _agent: Agent) -> None:
        while not looks:
            await asyncio.sleep(0.01)

    async def registered(script: Script, _agent: Agent) -> None:
        while script.kinds().count("HEARTBEAT") < 2:
            await asyncio.sleep(0.01)

    monkeypatch.setattr("cdktr.uvwatch.find_uv", slow)
    monkeypatch.setattr(agent_module, "FIRST_S", 1000)
    assert play(stopped).asked == []
    monkeypatch.setattr(agent_module, "FIRST_S", 0.01)
    script = play(registered)
    assert all(not request.uv for request in script.asked if isinstance(request, p.Heartbeat))
    assert looks == ["begun"] * 2
    answers.set()


class Slow(Script):
    """Reports are stored only once a heartbeat told of a run that has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Peer, list[bytes]]] = []
        self.told: list[p.Heartbeat] = []

    def _on_request(self, peer: Peer, frames: list[bytes]) -> None:
        request = p.decode(frames[0])
        if isinstance(request, p.Report) and not self.told:
            self.held.append((peer, frames))
            return
        super()._on_request(peer, frames)
        if isinstance(request, p.Heartbeat) and request.ended:
            self.told.append(request)
            for each in self.held:
                super()._on_request(*each)
            self.held = []


def test_it_tells_which_of_its_runs_have_ended_though_that_is_not_stored() -> None:
    async def story(script: Script, _agent: Agent) -> None:
        script.give("r-1")
        await script.ended.get()

    script = play(story, Slow)
    assert isinstance(script, Slow)
    assert (script.told[0].ended, script.told[0].holding) == (["r-1"], {"r-1": "t-r-1"})


def test_it_asks_for_no_more_than_its_free_slots_and_not_without_one() -> None:
    async def story(script: Script, _agent: Agent) -> None:
        for number in range(4):
            script.give(f"r-{number}")
        for _ in range(4):
            await script.ended.get()

    script = play(story, agent_max_concurrency=2)
    assert {request.count for request in script.asked if isinstance(request, p.LeaseWork)} <= {0, 1, 2}
    assert min(r.count for r in script.asked if isinstance(r, p.LeaseWork) if r.wait_ms) >= 1


def test_what_is_not_granted_is_not_started() -> None:
    async def story(script: Script, agent: Agent) -> None:
        script.grants = False
        script.give("r-1")
        script.give("r-2")
        while script.kinds().count("START") < 1:
            await asyncio.sleep(0.01)
        while not isinstance(script.asked[-1], p.LeaseWork):
            await asyncio.sleep(0.01)
        assert agent._holding == {}

    assert "REPORT" not in play(story).kinds()


def test_it_names_what_it_holds_until_its_end_is_stored() -> None:
    async def story(script: Script, agent: Agent) -> None:
        script.give("r-1")
        await script.ended.get()
        while agent._holding:
            await asyncio.sleep(0.01)

    script = play(story)
    later = [r.holding for r in script.asked if isinstance(r, p.LeaseWork)]
    assert {"r-1": "t-r-1"} in later or {} in later
    assert later[-1] == {}


def test_an_error_inside_the_agent_ends_one_run_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Driver):
        async def drive(self) -> RunUpdate:
            if self._job.run_id == "r-1":
                raise RuntimeError("a bug")
            return await super().drive()

    monkeypatch.setattr(agent_module, "Driver", Broken)

    async def story(script: Script, _agent: Agent) -> None:
        script.give("r-1")
        end = await script.ended.get()
        assert (end.workflow_instance_id, end.status) == ("r-1", RunStatus.CRASHED)
        assert "RuntimeError('a bug')" in str(end.detail)
        script.give("r-2")
        assert (await script.ended.get()).status is RunStatus.COMPLETED

    play(story)


def test_without_a_principal_it_says_why_and_for_how_long_it_waits_and_gives_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        base = dataclasses.replace(load(environ={}).settings, **SETTINGS)
        settings = dataclasses.replace(base, retry_attempts=2, default_zmq_timeout_ms=50)
        agent = Agent(settings, "127.0.0.1", 1)
        why = r"127\.0\.0\.1:1 \(Connection refused\)"
        with pytest.raises(UnreachableError, match=rf"No principal answered at {why} in 3 attempts; start one with"):
            await agent.run()

    monkeypatch.setattr(agent_module, "REMIND_S", 0.0)
    asyncio.run(main())
    first, *again = (record.message for record in caplog.records)
    assert first == "No principal answers at 127.0.0.1:1 (Connection refused); waiting for it, at most 0.2s"
    assert len(again) == 2
    assert re.fullmatch(
        r"Still no principal at 127\.0\.0\.1:1 \(Connection refused\) after \d+\.\ds of 0\.2s", again[0]
    )


def berths(data_folder: Path) -> list[Path]:
    return [path for path in (data_folder / "agents").iterdir() if path.is_dir()]


def test_it_has_a_folder_while_it_lives_and_leaves_none_behind(data_folder: Path) -> None:
    async def story(script: Script, agent: Agent) -> None:
        script.give("r-1")
        await script.ended.get()
        [folder] = berths(data_folder)
        assert folder.name == agent.id
        assert "secret" not in (folder / "agent.json").read_text()

    play(story)
    assert berths(data_folder) == []


def test_what_cannot_be_delivered_is_kept_for_the_next(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(agent_module, "DELIVER_S", 0.1)
    monkeypatch.setattr(agent_module, "HURRY_S", 0.05)

    class Deaf(Script):
        """Takes no report."""

        def _answer(self, request: Request) -> Any:
            return {} if isinstance(request, p.Report) else super()._answer(request)

    async def first(script: Script, agent: Agent) -> None:
        script.give("r-1")
        while "REPORT" not in script.kinds():
            await asyncio.sleep(0.01)

    play(first, script_of=Deaf)
    waits = "What ran is still to be delivered; waiting, at most 0.1s or until a second signal"
    assert waits in [record.message for record in caplog.records]
    [left] = berths(data_folder)

    async def second(script: Script, agent: Agent) -> None:
        assert (await script.ended.get()).workflow_instance_id == "r-1"
        while left.exists():
            await asyncio.sleep(0.01)

    script = play(second)
    sources = {request.source for request in script.asked if isinstance(request, p.Report)}
    assert len(sources) == 1
    assert sources.pop().startswith(left.name + "/")
    gone = next(r for r in script.asked if isinstance(r, p.Heartbeat) and r.leaving)
    assert (gone.agent_id, gone.killed) == (left.name, True)
