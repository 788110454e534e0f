"""The agent process of a principal: started again when it dies, ended with it."""

import asyncio
import errno
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cdktr import pair
from cdktr.pair import AgentProcess

#: Stands for `cdktr`: what it does is the test's; its arguments are those of the agent.
PROGRAM = """
import signal, sys, time
folder = {folder!r}
open(folder + "/starts", "a").write(" ".join(sys.argv[1:]) + "\\n")
{body}
"""


class Fake:
    """A stand-in for the agent's program in a folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._script = folder / "fake.py"
        monkeypatch.setattr(sys, "argv", [str(self._script)])

    def does(self, body: str) -> None:
        self._script.write_text(PROGRAM.format(folder=str(self.folder), body=body))

    def starts(self) -> list[str]:
        file = self.folder / "starts"
        return file.read_text().splitlines() if file.exists() else []

    async def until_started(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.starts()) < count:
                await asyncio.sleep(0.01)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setattr(pair, "RESTART_S", (0.01, 0.02))
    monkeypatch.setattr(pair, "REPORT_S", 0.3)
    return Fake(tmp_path, monkeypatch)


def with_agent(story: Callable[[AgentProcess], Awaitable[None]], files: int | None = None) -> None:
    async def main() -> None:
        agent = AgentProcess(["--max-concurrent", "3"], files=files)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(agent.run())
            await story(agent)

    asyncio.run(main())


def test_it_is_started_again_when_it_dies(fake: Fake) -> None:
    fake.does("sys.exit(1) if len(open(folder + '/starts').readlines()) < 3 else time.sleep(1000)")

    async def story(agent: AgentProcess) -> None:
        await fake.until_started(3)
        await agent.stop()

    with_agent(story)
    assert [line.split()[:3] for line in fake.starts()] == [["start", "agent", "--parent-fd"]] * 3
    assert fake.starts()[0].endswith("--max-concurrent 3")


def test_it_is_told_once_then_again_then_killed(fake: Fake) -> None:
    handler = "signal.signal(signal.SIGTERM, lambda *_: open(folder + '/terms', 'a').write('x'))\n"
    fake.does(handler + "open(folder + '/ready', 'w')\nwhile True: time.sleep(0.01)")

    async def story(agent: AgentProcess) -> None:
        async with asyncio.timeout(30):
            while not (fake.folder / "ready").exists():
                await asyncio.sleep(0.01)
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(agent.stop())
            while not (fake.folder / "terms").exists():
                await asyncio.sleep(0.01)
            # It has as long as it wants, until it is told again.
            await asyncio.sleep(0.5)
            assert not stopping.done()
            agent.hurry()
        assert agent._process is not None
        assert agent._process.returncode == -signal.SIGKILL

    with_agent(story)
    assert (fake.folder / "terms").read_text() == "xx"
    assert len(fake.starts()) == 1


def test_its_pipe_ends_with_the_principal(fake: Fake) -> None:
    """Closing our end, as the death of this process would, is what it sees."""
    fake.does("import os\nos.read(int(sys.argv[4]), 1)\nopen(folder + '/saw', 'w')\ntime.sleep(1000)")

    async def story(agent: AgentProcess) -> None:
        await fake.until_started(1)
        os.close(os.dup(agent._pipe))
        assert not (fake.folder / "saw").exists()
        os.dup2(os.open("/dev/null", os.O_RDONLY), agent._pipe)
        async with asyncio.timeout(30):
            while not (fake.folder / "saw").exists():
                await asyncio.sleep(0.01)
        await agent.stop()

    with_agent(story)


def test_an_agent_that_cannot_be_started_is_no_end_of_its_principal(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake.does("time.sleep(1000)")
    tries: list[int] = []
    start = AgentProcess._start

    def failing(self: AgentProcess) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        start(self)

    monkeypatch.setattr(AgentProcess, "_start", failing)

    async def story(agent: AgentProcess) -> None:
        await fake.until_started(1)
        await agent.stop()

    with_agent(story)
    assert len(tries) == 3
    assert "it cannot be started: Resource temporarily unavailable" in caplog.text


def test_one_whose_limit_of_files_cannot_be_set_works_all_the_same(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake.does("time.sleep(1000)")

    def refused(*_: object) -> tuple[int, int]:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(resource, "prlimit", refused)

    async def story(agent: AgentProcess) -> None:
        await fake.until_started(1)
        await agent.stop()

    with_agent(story, files=64)
    assert caplog.messages == [
        "The agent of this principal keeps its principal's limit of open files: Operation not permitted"
    ]
    assert len(fake.starts()) == 1


def test_one_that_cannot_be_started_leaves_no_descriptor_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdktr.pair.own_command", lambda: ["/no/such/program"])
    agent = AgentProcess([])
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        agent._start()
    assert os.listdir("/proc/self/fd") == before


def test_wrong_settings_are_not_tried_again(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    fake.does("sys.exit(2)")

    async def story(agent: AgentProcess) -> None:
        await fake.until_started(1)

    with_agent(story)
    assert len(fake.starts()) == 1
    assert "cannot work with these settings" in caplog.text
