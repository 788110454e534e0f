"""The build of the portable interpreter: what it keeps, and what it says where it cannot be made."""

import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


class Build:
    """The script in a folder of its own, its two long steps replaced by notes of them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "work"
        self.script = folder / "interpreter.py"
        self.script.write_text((ROOT / "build/interpreter.py").read_text())
        self.lock = folder / "requirements.lock"
        self.lock.write_text("duckdb==2.0.0\n")
        self._monkeypatch = monkeypatch

    def main(self, *options: str, fails: bool = False) -> list[str]:
        """Run it; the steps that it took."""
        steps = list[str]()

        def step(name: str) -> None:
            steps.append(name)
            (self.folder / name).mkdir(exist_ok=True)
            if fails:
                raise SystemExit("no network")

        try:
            self.begin(step, *options)
        except SystemExit:
            assert fails
        return steps

    def begin(self, step: Callable[[str], None] = lambda _: None, *options: str) -> None:
        """Run it, whatever comes of it."""
        module = loaded(self.script)
        self._monkeypatch.setattr(module, "LOCK", self.lock)
        self._monkeypatch.setattr(module, "fetch", lambda _: step("sources"))
        self._monkeypatch.setattr(module, "build", lambda _: step("python"))
        self._monkeypatch.setattr(sys, "argv", ["interpreter.py", *options, str(self.folder)])
        module.main()


def loaded(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("interpreter", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    return Build(tmp_path, monkeypatch)


def test_what_is_there_is_kept(build: Build) -> None:
    assert build.main("--fetch", fails=True) == ["sources"]
    assert build.main("--fetch") == ["sources"]
    assert build.main("--fetch") == []
    assert build.main(fails=True) == ["python"]
    assert build.main() == ["python"]
    assert build.main() == []


def test_other_versions_of_packages_are_fetched_and_nothing_is_compiled(build: Build) -> None:
    build.main()
    build.lock.write_text("duckdb==2.0.1\n")
    assert build.main() == ["sources"]


def test_another_recipe_begins_anew(build: Build) -> None:
    build.main()
    (build.folder / "out").mkdir()
    build.script.write_text(build.script.read_text() + "# changed\n")
    assert build.main("--fetch") == ["sources"]
    assert not (build.folder / "out").exists()
    assert build.main() == ["python"]


@pytest.mark.parametrize("recipe", [None, "Eggs, flour, milk\n"])
def test_what_it_did_not_make_is_not_removed(build: Build, recipe: str | None) -> None:
    """As in `make release PORTABLE=$HOME`."""
    (build.folder / "lib").mkdir(parents=True)
    (build.folder / "lib/thesis").write_text("years of work")
    if recipe is not None:
        (build.folder / "recipe").write_text(recipe)
    before = sorted(build.folder.rglob("*"))
    with pytest.raises(SystemExit, match="work holds something that this build did not make: it is left alone"):
        build.begin()
    assert sorted(build.folder.rglob("*")) == before
    assert (build.folder / "lib/thesis").read_text() == "years of work"


def test_a_link_in_its_folder_is_removed_and_not_followed(build: Build, tmp_path: Path) -> None:
    build.main()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (build.folder / "link").symlink_to(tmp_path / "kept")
    build.script.write_text(build.script.read_text() + "# changed\n")
    build.main()
    assert not (build.folder / "link").is_symlink()
    assert (tmp_path / "kept/file").exists()


def test_a_file_is_no_folder_for_it(build: Build) -> None:
    build.folder.write_text("mine")
    with pytest.raises(SystemExit, match=r"work cannot be emptied for the portable interpreter: .*File exists"):
        build.begin()
    assert build.folder.read_text() == "mine"


def test_where_it_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded(ROOT / "build/interpreter.py")
    monkeypatch.setattr(module.platform, "machine", lambda: "riscv64")
    with pytest.raises(module.NotHereError, match="is for x86_64 and built on it; this host is riscv64"):
        module.fetch(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    with pytest.raises(module.NotHereError, match=re.escape("sudo apt-get install python3.11")):
        module.fetch(tmp_path)


@pytest.mark.parametrize(("system", "error"), [("ubuntu", "NotHereError"), ("debian", "SystemExit")])
def test_a_system_without_debians_archive(system: str, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Debian has one: if none is found there, the search is wrong."""
    module = loaded(ROOT / "build/interpreter.py")
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "deb http://archive.invalid/ubuntu noble main\n")
    monkeypatch.setattr(module.platform, "freedesktop_os_release", lambda: {"ID": system})
    with pytest.raises((module.NotHereError, SystemExit), match="names no Debian archive") as raised:
        module.mirror()
    assert raised.type.__name__ == error


RETRYING = "WARNING: Retrying after connection broken by 'NewConnectionError(Errno -3)': /simple/ziglang/\n"
NONE_FITS = "ERROR: Could not find a version that satisfies the requirement ziglang==0.17.1 (from versions: {})"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (RETRYING + NONE_FITS.format("none"), "NotHereError"),
        ("E: Failed to fetch it  Temporary failure resolving 'archive.invalid'", "NotHereError"),
        ("E: Failed to fetch it  Could not connect to archive.invalid:80, connection timed out", "NotHereError"),
        ("no such wheel", "SystemExit"),
        # The network was there in the end.
        (RETRYING + NONE_FITS.format("0.16.0, 0.17.0"), "SystemExit"),
        (RETRYING + "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "SystemExit"),
        ("E: The repository is not signed. Could not connect to another:80", "SystemExit"),
    ],
)
def test_what_failed_is_the_network_or_the_recipe(said: str, error: str, tmp_path: Path) -> None:
    module, log = loaded(ROOT / "build/interpreter.py"), tmp_path / "log"
    # What an earlier command met says nothing of this one.
    log.write_text("Could not resolve 'archive.invalid'\n")
    with pytest.raises((module.NotHereError, SystemExit), match=r"exit code 3; all of it is in .*log$") as raised:
        module.run(["sh", "-c", 'echo "$1"; exit 3', "sh", said], tmp_path, os.environ, log)
    assert raised.type.__name__ == error
    assert str(raised.value).startswith(said + "\n\nsh -c ")


def test_its_exit_code_says_whether_it_is_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["interpreter.py", "--fetch", str(tmp_path / "work")])
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(SystemExit) as raised:
        runpy.run_path(str(ROOT / "build/interpreter.py"), run_name="__main__")
    assert raised.value.code == 75


@pytest.mark.parametrize(
    ("tools", "fetched", "code", "made"),
    [
        (0, 0, 0, ["release WITH_UV=1", "release release-check"]),
        (0, 75, 0, ["binary WITH_UV=1", "binary binary-check"]),
        (2, 0, 0, ["binary WITH_UV=1", "binary binary-check"]),
        (0, 1, 1, []),
    ],
)
def test_ci_does_without_it_only_where_it_cannot_be_had(
    tools: int, fetched: int, code: int, made: list[str], tmp_path: Path
) -> None:
    programs = {
        "bin/make": f'echo "$*" >>log\ncase $1 in release-tools) exit {tools} ;; esac',
        ".venv/bin/python": f"exit {fetched}",
        # Nobody who may install anything.
        "bin/id": "echo 1000",
    }
    for name, script in programs.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    done = subprocess.run(["bash", tmp_path / ".ci/run"], env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    calls = (tmp_path / "log").read_text().splitlines()
    assert calls[:2] == ["test", "release-tools"]
    assert [call for call in calls[2:] if not call.startswith("test-binary ")] == made


@pytest.mark.parametrize(
    ("files", "with_uv"),
    [
        ("_internal/base.zip _internal/uv manifest", 1),
        ("_internal/base.zip _internal/uv", 1),
        ("_internal/base.zip _internal/uv-0.9.dist-info/RECORD manifest", 0),
        ("_internal/base.zip manifest", 0),
    ],
)
def test_another_build_has_uv_in_it_where_the_file_has(files: str, with_uv: int, tmp_path: Path) -> None:
    """A release with uv and one without are never compared."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    file = tmp_path / "dist/cdktr-linux-x86_64"
    file.parent.mkdir()
    file.write_bytes(f"#!/bin/sh\nhash=1\nfiles='{files}'\n".encode() + b"\x1f\x8b\xff\n files='_internal/uv'\n")
    command = ["make", "--dry-run", "MAKE=another", "STAMP=", "release-check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [asked] = re.findall(r"^another .*$", done.stdout, re.MULTILINE)
    assert asked.split()[-2:] == [f"WITH_UV={with_uv}", "release"]
