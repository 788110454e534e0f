"""Requests to replies without a socket: every verb has its handler, every request gets one reply."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cdktr import protocol as p
from cdktr.api import HANDLERS, Api
from cdktr.catalog import Catalog
from cdktr.client import Principal
from cdktr.frames import Reported, pack
from cdktr.legacy import OldAgents
from cdktr.messages import Request, load
from cdktr.recent import Recent
from cdktr.records import LogChunk, RunStatus, RunUpdate
from cdktr.replies import REPLY_KINDS, Reply, client_error
from tests.test_coordinator import World, in_world

WORKFLOW = "name: {name}\ntasks:\n  a: {{name: A, config: !Subprocess {{cmd: 'true'}}}}\n"


class Desk:
    """An API over a world; `ask` gives the reply."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.catalog = Catalog(folder)
        self.recent = Recent()
        self.catalog.refresh()
        world.find = lambda workflow_id: self.catalog.workflows.get(workflow_id)
        old = OldAgents(world.coordinator, world.hub)

        async def reload() -> Any:
            return self.catalog.refresh()

        self.api = Api(
            world.coordinator, old, self.catalog, world.store, world.hub, reload, (1, 2, 3), {"id": "p-1"}, self.recent
        )

    async def ask(self, *frames: bytes) -> Reply:
        answered = asyncio.Event()
        replies: list[Reply] = []
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self.world.hub.run())
            async with asyncio.TaskGroup() as answering:

                def send(reply: Reply) -> bool:
                    replies.append(reply)
                    answered.set()
                    return True

                self.api.handle(list(frames), send, answering)
                await answered.wait()
            writer.cancel()
        [reply] = replies
        return reply

    async def value(self, request: Request) -> Any:
        reply = await self.ask(request.encode())
        assert reply.kind == "SUCCESS", reply
        return load(reply.payload or "", "x")


def at_desk(story: Callable[[Desk], Awaitable[None]], folder: Path) -> None:
    workflows = folder / "workflows"
    workflows.mkdir()
    (workflows / "etl.yml").write_text(WORKFLOW.format(name="ETL"))

    async def inner(world: World) -> None:
        desk = Desk(world, workflows)
        try:
            await story(desk)
        finally:
            desk.api.close()

    in_world(inner, folder / "journal")


def test_every_verb_has_a_handler_and_the_library_a_way_to_ask() -> None:
    assert set(HANDLERS) == set(p.VERBS.values())
    assert callable(Principal.ask)


def test_every_request_gets_exactly_one_reply(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        for verb in p.VERBS:
            word = verb.encode()
            for frames in ([word], [word + b"\x01"], [word, b"more"], [word + b"\x01{}"]):
                assert (await desk.ask(*frames)).kind in REPLY_KINDS

    at_desk(story, tmp_path)


def test_a_bug_is_answered_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_api: Api, _request: p.Ping) -> Reply:
        raise RuntimeError("a bug")

    async def later(_api: Api, _request: p.ListWorkflows) -> Reply:
        raise RuntimeError("another")

    monkeypatch.setitem(HANDLERS, p.Ping, broken)
    monkeypatch.setitem(HANDLERS, p.ListWorkflows, later)

    async def story(desk: Desk) -> None:
        for verb, text in ((b"PING", "a bug"), (b"LSWORKFLOWS", "another")):
            reply = await desk.ask(verb)
            assert reply.kind == "SERVERERROR"
            assert text in (reply.payload or "")

    at_desk(story, tmp_path)
    assert caplog.text.count("Traceback") == 2


def test_what_agents_have_and_what_waits_for_labels_is_told(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        for name, labels in (("train", "[gpu, zone=eu]"), ("infer", "gpu")):
            text = f"requires: {labels}\n{WORKFLOW.format(name=name)}"
            (tmp_path / "workflows" / f"{name}.yml").write_text(text)
        await desk.value(p.Reload())
        assert (await desk.value(p.ListWorkflows()))["train"]["requires"] == ["gpu", "zone=eu"]
        for name in ("train", "infer", "infer", "etl"):
            await desk.value(p.Trigger(name))
        await desk.value(p.Heartbeat("a1", 1, "1", labels=["zone=eu", "gpu"]))
        status = await desk.value(p.ClusterStatus())
        assert (status["unplaceable"], status["crowded"]) == ([], [])
        await desk.value(p.Heartbeat("a1", 1, "1", labels=["gpu"]))
        status = await desk.value(p.ClusterStatus())
        train = {"labels": ["gpu", "zone=eu"], "runs": 1, "workflows": ["train"]}
        assert (status["unplaceable"], status["crowded"]) == ([train], [])
        [lease] = (await desk.value(p.LeaseWork("a1", 1)))["leases"]
        assert lease["workflow"]["requires"] == ["gpu"]
        status = await desk.value(p.ClusterStatus())
        assert status["crowded"] == [{"labels": ["gpu"], "runs": 1, "workflows": ["infer"]}]
        [agent] = await desk.value(p.GetRegisteredAgents())
        assert agent["labels"] == ["gpu"]
        reply = await desk.ask(p.Heartbeat("a1", 1, "1", labels=["a b"]).encode())
        assert (reply.kind, "labels cannot be ['a b']" in (reply.payload or "")) == ("CLIENTERROR", True)

    at_desk(story, tmp_path)


@pytest.mark.parametrize("request_", [p.Trigger("etl"), p.RunTask("etl")])
def test_a_trigger_that_cannot_be_made_durable_is_refused_once_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: Request
) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def story(desk: Desk) -> None:
        assert (await desk.ask(request_.encode())).kind in ("OK", "SUCCESS")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", full)
            for _ in range(2):
                reply = await desk.ask(request_.encode())
                assert reply.kind == "SERVERERROR"
                assert "cannot be written: No space left on device" in (reply.payload or "")
                assert "No space left" in (await desk.value(p.ClusterStatus()))["journal_trouble"]
        await desk.world.coordinator.ledger.persist()
        assert (await desk.value(p.ClusterStatus()))["journal_trouble"] is None
        assert [run["status"] for run in await desk.value(p.ListRuns())] == ["CANCELLED", "PENDING"]

    at_desk(story, tmp_path)


def test_a_trigger_with_a_key_that_was_accepted_before(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        first = await desk.value(p.Trigger("etl", key="mail 7"))
        assert first == {"workflow_instance_id": first["workflow_instance_id"]}
        assert await desk.value(p.Trigger("etl", key="mail 7")) == first | {"repeated": True}
        assert (await desk.value(p.Trigger("etl", key="mail 8"))).keys() == first.keys()
        assert (await desk.value(p.Trigger("etl"))).keys() == first.keys()
        reply = await desk.ask(p.Trigger("etl", key="mail\n7").encode())
        assert (reply.kind, (reply.payload or "")[:28]) == ("CLIENTERROR", "key cannot be 'mail\\n7'; exp")
        assert len(await desk.value(p.ListRuns())) == 3

    at_desk(story, tmp_path)


def test_too_many_lines_are_refused_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdktr.api.MAX_LINES", 2)

    async def story(desk: Desk) -> None:
        lines = tuple(f"STDOUT {n}" for n in range(3))
        desk.world.hub.take_chunk(LogChunk("etl", "ETL", "r", "A", "t", 5, "INFO", lines))
        reply = await desk.ask(p.QueryLogs("", "0", "", "").encode())
        assert reply.kind == "UNPROC"
        assert await desk.value(p.QueryLogs("", "6", "", "")) == []

    at_desk(story, tmp_path)


def test_pages_of_log_lines(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        lines = tuple(f"STDOUT {n}" for n in range(5))
        desk.world.hub.take_chunk(LogChunk("etl", "ETL", "r", "A", "t", 5, "INFO", lines))
        seen: list[str] = []
        after: int | None = None
        for _ in range(4):
            page = await desk.value(p.ListLogs(workflow_instance_id="r", after=after, limit=2))
            seen += [line["payload"] for line in page["lines"]]
            after = page["next"]
        assert seen == list(lines)
        tail = await desk.value(p.ListLogs(workflow_instance_id="r", tail=True, limit=2))
        assert [line["payload"] for line in tail["lines"]] == list(lines[-2:])

    at_desk(story, tmp_path)


def test_a_page_of_long_lines_ends_before_it_is_too_long_for_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdktr.pages.MAX_PAGE_CHARS", 20)

    async def story(desk: Desk) -> None:
        lines = (*(f"STDOUT {n}" for n in range(5)), "STDOUT " + 50 * "x")
        desk.world.hub.take_chunk(LogChunk("etl", "ETL", "r", "A", "t", 5, "INFO", lines))
        pages: list[list[str]] = []
        page: dict[str, Any] = {"full": True, "next": None}
        while page["full"]:
            page = await desk.value(p.ListLogs(workflow_instance_id="r", after=page["next"]))
            pages.append([line["payload"] for line in page["lines"]])
        assert pages == [list(lines[:2]), list(lines[2:4]), [lines[4]], [lines[5]]]
        tail = await desk.value(p.ListLogs(workflow_instance_id="r", tail=True))
        assert [line["payload"] for line in tail["lines"]] == [lines[5]]

    at_desk(story, tmp_path)


def test_the_end_of_a_run_is_awaited_and_an_unknown_one_refused(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        reply = await desk.ask(p.AwaitRun("no-such-1", 60_000).encode())
        assert (reply.kind, reply.payload) == ("CLIENTERROR", "There is no run no-such-1")
        run_id = (await desk.value(p.Trigger("etl")))["workflow_instance_id"]
        [lease] = (await desk.value(p.LeaseWork("a1", 1)))["leases"]
        await desk.value(p.StartRuns("a1", {run_id: lease["token"]}))
        end = RunUpdate("etl", run_id, RunStatus.FAILED, 9, "a1", "failed: a")
        await desk.value(p.Report("a1", "a1/x", 0, [[1, *pack(Reported(lease["token"], end))]]))
        summary = await desk.value(p.AwaitRun(run_id, 60_000))
        assert (summary["status"], summary["detail"]) == ("FAILED", "failed: a")

    at_desk(story, tmp_path)


def test_reload_and_problems(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        folder = tmp_path / "workflows"
        (folder / "new.yml").write_text(WORKFLOW.format(name="New"))
        (folder / "bad.yml").write_text("name: Bad\ntaks: {}\n")
        answer = await desk.value(p.Reload())
        assert answer["added"] == ["new"]
        problems = await desk.value(p.ListProblems())
        assert {problem["path"].rpartition("/")[2] for problem in problems} == {"bad.yml"}
        assert 2 in {problem["line"] for problem in problems}
        assert sorted(await desk.value(p.ListWorkflows())) == ["etl", "new"]

    at_desk(story, tmp_path)


def test_workflows_in_outline_and_one_by_one(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        told = await desk.value(p.ListCatalog())
        assert told["revision"] == (await desk.value(p.ClusterStatus()))["revisions"]["workflows"]
        [outline] = told["workflows"]
        assert (outline["id"], outline["tasks"], outline["params"]) == ("etl", 1, False)
        assert await desk.value(p.GetWorkflow("etl")) == (await desk.value(p.ListWorkflows()))["etl"]
        assert await desk.ask(p.GetWorkflow("nope").encode()) == client_error("No workflow exists with id nope")

    at_desk(story, tmp_path)


def test_a_slow_database_hides_no_line_from_who_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        hub, looks = desk.world.hub, 0
        hub.take_chunk(LogChunk("etl", "ETL", "r", "A", "t", 5, "INFO", ("STDOUT late",)))
        flush = hub.flush

        async def slow(timeout_s: float) -> bool:
            nonlocal looks
            looks += 1
            return False if looks == 1 else await flush(timeout_s)

        monkeypatch.setattr(hub, "flush", slow)
        page = await desk.value(p.ListLogs(workflow_id="etl", wait_ms=60_000))
        assert [line["payload"] for line in page["lines"]] == ["STDOUT late"]
        assert looks == 2

    at_desk(story, tmp_path)


def test_a_workflow_that_is_paused_and_resumed(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        assert (await desk.value(p.ClusterStatus()))["paused"] == {}
        paused = await desk.value(p.Pause("etl"))
        assert paused["changed"] is True
        assert (await desk.value(p.ClusterStatus()))["paused"] == {"etl": paused["paused_ms"]}
        assert (await desk.value(p.Trigger("etl")))["workflow_instance_id"]
        assert await desk.value(p.Resume("etl")) == {"paused_ms": None, "changed": True}
        assert (await desk.value(p.ClusterStatus()))["paused"] == {}

    at_desk(story, tmp_path)


def test_an_unknown_workflow_is_not_paused(tmp_path: Path) -> None:
    """Who asks for a person finds what was meant, and not the principal, which has others to serve."""

    async def story(desk: Desk) -> None:
        for kind in p.Pause, p.Resume:
            reply = await desk.ask(kind("elt").encode())
            assert (reply.kind, reply.payload) == ("CLIENTERROR", "No workflow exists with id elt")

    at_desk(story, tmp_path)
