"""The frozen program's folder and environment; what the head does for it is in tests/binary."""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cdktr import bundle

ROOT = Path(__file__).resolve().parents[1]

#: A process that holds a folder until its stdin ends.
HOLDER = "import sys; from cdktr.bundle import hold; print(hold(sys.argv[1]), flush=True); sys.stdin.read()"


# The environment


def test_what_the_loader_set_is_undone() -> None:
    env = {"A": "1", "_PYI_X": "1", "_MEIPASS2": "/m", "LD_LIBRARY_PATH": "/m", "LD_LIBRARY_PATH_ORIG": "/own"}
    assert bundle.without_loader(env) == {"A": "1", "LD_LIBRARY_PATH": "/own"}
    del env["LD_LIBRARY_PATH_ORIG"]
    assert bundle.without_loader(env) == {"A": "1"}
    assert bundle.without_loader({"LD_LIBRARY_PATH": "/own"}) == {"LD_LIBRARY_PATH": "/own"}


def test_what_the_shell_did_is_undone() -> None:
    env = {
        bundle.ENVIRONMENT: "A=1\nB=two\1lines\nBASH_FUNC_f%%=() { x=1; }\nEMPTY=\nSHLVL=3",
        bundle.FILE: "/opt/cdktr",
        "A": "2",
        "B": "two\nlines",
        "PWD": "/",
        "SHLVL": "4",
        "_PYI_X": "1",
    }
    bundle.restore(env)
    own = {"A": "1", "B": "two\nlines", "BASH_FUNC_f%%": "() { x=1; }", "EMPTY": "", "SHLVL": "3"}
    assert env == {**own, bundle.FILE: "/opt/cdktr"}


def test_an_environment_survives_a_start_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"A": "1\n2", "BASH_FUNC_f%%": "()", "VIRTUAL_ENV": "/v"}
    assert bundle.own_environment(env) == env
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    given = bundle.own_environment(env)
    # As the loader and its first steps do.
    del given["VIRTUAL_ENV"]
    given |= {"_PYI_ARCHIVE_FILE": "/x", "LD_LIBRARY_PATH": "/x"}
    bundle.restore(given)
    assert given == env


def test_how_it_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["tests/../cdktr.py", "start"])
    assert bundle.own_command() == [sys.executable, str(ROOT / "cdktr.py")]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert bundle.own_command() == [sys.executable]


def test_which_file_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(bundle.FILE, raising=False)
    assert bundle.file() is None
    monkeypatch.setenv(bundle.FILE, "/opt/cdktr")
    assert bundle.file() == "/opt/cdktr"


# The folder


def make_version(room: Path, name: str, age_s: float = 2 * bundle.UNUSED_S) -> Path:
    """A version that was last used so many seconds ago."""
    folder = room / name
    folder.mkdir(parents=True)
    (folder / bundle.LOCK).write_text("held\n")
    (folder / "cdktr").write_text("")
    for path in (folder / bundle.LOCK, folder):
        os.utime(path, (time.time() - age_s,) * 2)
    return folder


@pytest.fixture
def holders() -> Iterator[list["subprocess.Popen[bytes]"]]:
    running: list[subprocess.Popen[bytes]] = []
    yield running
    for process in running:
        process.communicate()


def hold_elsewhere(folder: Path, holders: list["subprocess.Popen[bytes]"]) -> None:
    command = [sys.executable, "-c", HOLDER, str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holders.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"True\n"


def test_what_nobody_uses_is_removed(tmp_path: Path, holders: list["subprocess.Popen[bytes]"]) -> None:
    room = tmp_path / "program-1"
    own = make_version(room, "own")
    make_version(room, "old")
    lately = make_version(room, "lately", age_s=60)
    used = make_version(room, "used")
    hold_elsewhere(used, holders)
    # That was a start, and so a use; a process may go on for longer than is thought of as lately.
    os.utime(used / bundle.LOCK, (0, 0))
    make_version(room, ".abc.host.123")
    unpacking = make_version(room, ".abc.host.124", age_s=5)
    bundle.remove_unused(str(own))
    assert sorted(room.iterdir()) == sorted([own, lately, used, unpacking])
    holders.pop().communicate()
    bundle.remove_unused(str(own))
    assert sorted(room.iterdir()) == sorted([own, lately, unpacking])


def test_a_start_is_a_use(tmp_path: Path, holders: list["subprocess.Popen[bytes]"]) -> None:
    old = make_version(tmp_path / "room", "old")
    hold_elsewhere(old, holders)
    assert time.time() - (old / bundle.LOCK).stat().st_mtime < bundle.UNUSED_S / 2


def test_a_child_has_no_part_in_it(tmp_path: Path) -> None:
    """Else a task that goes on would keep a version."""
    version = make_version(tmp_path / "room", "x")
    child = "import subprocess; print(subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL).pid)"
    command = [sys.executable, "-c", HOLDER.replace("sys.stdin.read()", child), str(version)]
    said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=30).stdout.split()
    try:
        assert said[0] == b"True"
        with (version / bundle.LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(int(said[1]), 9)


def test_it_takes_no_standard_stream(tmp_path: Path) -> None:
    version = make_version(tmp_path / "room", "x")
    program = "import os, sys; from cdktr.bundle import hold; os.close(0); hold(sys.argv[1]); os.fstat(0)"
    done = subprocess.run([sys.executable, "-c", program, str(version)], cwd=ROOT, capture_output=True, text=True)
    assert "Bad file descriptor" in done.stderr


def test_a_folder_that_was_not_unpacked_is_not_held(tmp_path: Path) -> None:
    assert not bundle.hold(str(tmp_path))


# What was unpacked


def make_unpacked(room: Path, name: str = ".new") -> tuple[Path, Path]:
    """A folder as the head unpacks it, and the one that it is to become."""
    new = room / name
    (new / "_internal").mkdir(parents=True)
    files = {"cdktr": b"program", "_internal/large.so": b"x" * bundle.SYNCED_SIZE, "_internal/empty": b""}
    lines = [f"{hashlib.sha256(data).hexdigest()} {len(data)} {name}\n" for name, data in files.items()]
    for path, data in files.items():
        (new / path).write_bytes(data)
    (new / "_internal" / "link.so").symlink_to("large.so")
    manifest = "".join([*lines, "link large.so _internal/link.so\n"]).encode()
    (new / bundle.MANIFEST).write_bytes(manifest)
    (new / bundle.LOCK).write_text("held\n")
    os.utime(new / bundle.LOCK, (0, 0))
    return new, room / hashlib.sha256(manifest).hexdigest()[:16]


def test_what_is_whole_gets_its_name(tmp_path: Path) -> None:
    new, folder = make_unpacked(tmp_path)
    assert bundle.settle(str(new), str(folder)) is None
    assert not new.exists()
    assert (folder / "cdktr").read_bytes() == b"program"
    # Nobody has started it yet, and it is not old for that.
    bundle.remove_unused(str(tmp_path / "other"))
    assert folder.exists()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda new: (new / "cdktr").write_bytes(b"Program"), "cdktr is not as it was packed"),
        (lambda new: (new / bundle.MANIFEST).write_bytes(b""), "the file was changed while it was unpacked"),
    ],
)
def test_what_is_not_as_packed_gets_no_name(tmp_path: Path, harm: Callable[[Path], object], said: str) -> None:
    new, folder = make_unpacked(tmp_path)
    harm(new)
    assert (bundle.settle(str(new), str(folder)) or "").startswith(said)
    assert not folder.exists()


def test_who_was_faster_is_left_alone(tmp_path: Path) -> None:
    new, folder = make_unpacked(tmp_path)
    assert bundle.settle(str(new), str(folder)) is None
    number = folder.stat().st_ino
    again, _ = make_unpacked(tmp_path)
    assert bundle.settle(str(again), str(folder)) is None
    assert folder.stat().st_ino == number


def test_a_torn_one_gives_way(tmp_path: Path) -> None:
    new, folder = make_unpacked(tmp_path)
    assert bundle.settle(str(new), str(folder)) is None
    (folder / "_internal" / "large.so").write_bytes(b"")
    again, _ = make_unpacked(tmp_path)
    assert bundle.settle(str(again), str(folder)) is None
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert (folder / "_internal" / "large.so").stat().st_size == bundle.SYNCED_SIZE
