"""Which uv an agent has: the real one, one that comes later, one that does not work."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from cdktr import uvwatch
from cdktr.executor import Executor
from cdktr.protocol import LONGEST_FACT, Heartbeat, decode
from cdktr.text import CUT_MARK
from cdktr.uv import find_uv
from cdktr.uvwatch import UvWatch


def make_uv(folder: Path, script: str) -> Path:
    path = folder / "uv"
    folder.mkdir(exist_ok=True)
    path.with_name("new").write_text(f"#!/bin/sh\n{script}\n")
    path.with_name("new").chmod(0o755)
    path.with_name("new").replace(path)
    return path


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """That of an agent which looks often, and whose interpreter stands where no uv is."""
    monkeypatch.setattr(uvwatch, "LOOK_S", 0.02)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "alone" / "python"))
    return {"HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "bin")}


def watching(env: dict[str, str], *steps: tuple[Callable[[], object], Callable[[dict[str, str]], bool]]) -> UvWatch:
    """Do each step, and wait until the facts are as it says."""

    async def main() -> UvWatch:
        watch = UvWatch(Executor(65536, 0.3), env)
        assert watch.facts == {}
        await watch.look()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            running = group.create_task(watch.run())
            for act, is_so in steps:
                act()
                while not is_so(watch.facts):
                    await asyncio.sleep(0.01)
            running.cancel()
        return watch

    return asyncio.run(main())


def nothing() -> None:
    pass


def test_the_real_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    folder = Path(sys.executable).parent
    watch = watching(dict(os.environ), (nothing, lambda facts: "version" in facts))
    assert watch.facts == {"path": f"{folder}/uv", "version": version("uv")}
    assert caplog.messages == [f"uv: {folder}/uv"]


def test_it_comes_later_is_upgraded_breaks_and_goes(
    env: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    looks: list[str] = []

    def counted(uv_path: str | None, env: Mapping[str, str]) -> str:
        looks.append("again")
        return find_uv(uv_path, env)

    monkeypatch.setattr(uvwatch, "find_uv", counted)
    folder = tmp_path / "bin"
    path = folder / "uv"
    asked = tmp_path / "asked"
    trouble = f"{path} does not tell its version: exit code 3"

    def is_version(number: str) -> Callable[[dict[str, str]], bool]:
        return lambda facts: facts == {"path": str(path), "version": number}

    # Asked once for each: a look that finds the same one starts nothing.
    once = f"echo x >> {asked}; echo 'uv 1.0 (of the test)'"
    watching(
        env,
        (nothing, lambda facts: str(facts.get("trouble")).startswith(f"looked in {tmp_path}/alone, {folder}, ")),
        (lambda: make_uv(folder, once), is_version("1.0")),
        (looks.clear, lambda _: len(looks) > 3),
        (lambda: make_uv(folder, "echo uv 2.0"), is_version("2.0")),
        (lambda: make_uv(folder, "exit 3"), lambda facts: facts == {"path": str(path), "trouble": trouble}),
        (path.unlink, lambda facts: facts.keys() == {"trouble"}),
    )
    assert asked.read_text() == "x\n"
    absent = "There is no uv here: !UvPython tasks that need one will fail, and tell where it was sought"
    assert caplog.messages == [absent, *[f"uv: {path}"] * 3, trouble, absent]


def test_one_of_another_processor_and_one_that_hangs(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvwatch, "ANSWER_S", 0.2)
    path = make_uv(tmp_path / "bin", "")
    path.write_bytes(b"\x7fELF of nowhere")
    watch = watching(env, (nothing, lambda facts: "trouble" in facts))
    assert "it is no program" in watch.facts["trouble"]
    make_uv(tmp_path / "bin", "while :; do :; done")
    watch = watching(env, (nothing, lambda facts: "trouble" in facts))
    assert watch.facts["trouble"] == f"{path} does not tell its version: timed out after 0.2s"


def test_a_disk_that_does_not_answer_is_waited_for_by_nobody_at_the_end(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    looks: list[str] = []

    def slow(uv_path: str | None, env: Mapping[str, str]) -> str:
        looks.append("begun")
        answers.wait(10)
        looks.append("ended")
        return find_uv(uv_path, env)

    monkeypatch.setattr(uvwatch, "find_uv", slow)

    async def main() -> UvWatch:
        watch = UvWatch(Executor(65536, 0.3), env)
        # The second goes on with the first.
        for _ in range(2):
            await watch.look(0.01)
        return watch

    watch = asyncio.run(main())
    assert looks == ["begun"]
    assert watch.facts == {}
    answers.set()

    async def later() -> dict[str, str]:
        watch = UvWatch(Executor(65536, 0.3), env)
        answers.clear()
        await watch.look(0.01)
        answers.set()
        await watch.look()
        return watch.facts

    path = make_uv(tmp_path / "bin", "")
    assert asyncio.run(later()) == {"path": str(path)}


def test_a_folder_whose_name_is_no_text_and_a_long_path(env: dict[str, str], tmp_path: Path) -> None:
    """A heartbeat can carry what is told; uv is started by the name that it has."""
    folder = tmp_path / "x\udcff"
    env["PATH"] = os.pathsep.join([str(folder), *(f"{tmp_path}/{number}" for number in range(1000))])

    def is_cut(facts: dict[str, str]) -> bool:
        decode(Heartbeat("a", 1, "1", uv=facts).encode())
        said = facts.get("trouble", "")
        return f", {tmp_path}/x?, " in said and len(said) == LONGEST_FACT + len(CUT_MARK)

    shown = f"{tmp_path}/x?/uv"
    trouble = f"{shown} does not tell its version: exit code 3"
    watching(
        env,
        (nothing, is_cut),
        (lambda: make_uv(folder, "echo uv 1.0"), lambda facts: facts == {"path": shown, "version": "1.0"}),
        (lambda: make_uv(folder, "exit 3"), lambda facts: facts == {"path": shown, "trouble": trouble}),
    )
