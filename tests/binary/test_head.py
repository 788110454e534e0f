"""The head of the one file: unpacked once, whoever calls it and however, and whatever gets in the way."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cdktr import __version__
from tests.binary.conftest import carries_uv, needs_root
from tests.binary.place import OTHER_USER, USER, Mounts, Place, as_user, rooms

VERSION = f"cdktr {__version__}\n"

PACK = Path(__file__).resolve().parents[2] / "build" / "pack.py"

SHELLS = (["dash"], ["bash", "--posix"], ["bash"], ["busybox", "ash"], ["mksh"], ["ksh93"])


def head_of(file: Path) -> str:
    data = file.read_bytes()
    offset = re.search(rb"^offset=(\d+)$", data[:4096], re.MULTILINE)
    assert offset is not None
    return data[: int(offset[1]) - 1].decode()


def test_shellcheck_finds_nothing(binary: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("there is no shellcheck here (Debian package shellcheck)")
    done = subprocess.run(["shellcheck", "--shell=sh", "-"], input=head_of(binary), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_it_is_small_and_its_sum_is_right(binary: Path, unpacked: Path) -> None:
    assert binary.stat().st_size <= (60_000_000 if carries_uv(unpacked) else 40_000_000)
    done = subprocess.run(["sha256sum", "--check", f"{binary.name}.sha256"], cwd=binary.parent, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_in_every_shell(place: Place, shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"there is no {shell[0]} here")
    place.shell = shell
    # What a shell might lose or understand.
    arguments = ["", "a b\n*$(x) \"'", "ü"]
    (place.folder / "show.py").write_text("import sys; print(sys.argv[1:]); sys.exit()")
    for _ in range(2):
        assert place.ok("listen", "show.py", *arguments) == f"{arguments}\n"
    assert len(rooms(place.folder / "home" / ".cdktr")) == 1


def test_the_second_start_starts_no_other_process(place: Place) -> None:
    if shutil.which("strace") is None:
        pytest.skip("there is no strace here (Debian package strace)")
    place.ok("--version")
    log = place.folder / "trace"
    command = ["strace", "-f", "-e", "trace=execve,fork,vfork,clone,clone3", "-o", str(log), place.file, "--version"]
    subprocess.run(command, env=place.environment(), check=True, stdout=subprocess.DEVNULL)
    calls = re.findall(r"^\d+ +(\w+)\(\"?([^\",]*)", log.read_text(), re.MULTILINE)
    # The file, the program, and the loader's own second start of that.
    assert [name for name, _ in calls] == ["execve"] * 3, calls


def test_however_it_is_called(place: Place, file: Path) -> None:
    for name in ("with a space", "línk", "new\nline"):
        (file.parent / name).symlink_to("cdktr")
        place.file = str(file.parent / name)
        assert place.ok("--version") == VERSION
    (place.folder / "cdktr").symlink_to(file)
    for called in ("./cdktr", "../bin/cdktr"):
        place.file = called
        assert place.ok("--version") == VERSION
    place.file = "cdktr"
    assert place.ok("--version", PATH=f"{file.parent}:/usr/bin:/bin") == VERSION
    place.file = "sh"
    assert place.ok("cdktr", "--version") == VERSION
    assert len(rooms(place.folder / "home" / ".cdktr")) == 1


def test_from_a_folder_that_is_gone(place: Place) -> None:
    place.before = "mkdir gone && cd gone && rmdir ../gone"
    for _ in range(2):
        assert place.ok("--version") == VERSION


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_with_streams_closed(place: Place, closed: str) -> None:
    place.after = closed
    for _ in range(2):
        done = place.run("--version")
        assert done.returncode == 0
        assert done.stdout == ("" if ">&-" in closed.split() else VERSION)


@pytest.mark.parametrize("said", ["$HOME/data", "${HOME}/data", "~/data", "data"])
def test_where_the_data_are(place: Place, said: str) -> None:
    """As the settings read it."""
    place.env = {**place.env, "CDKTR_APP_DATA_DIRECTORY": said}
    place.ok("--version")
    base = place.folder if said == "data" else place.folder / "home"
    assert len(rooms(base / "data")) == 1


def test_without_a_home_it_goes_beside_the_file(place: Place, file: Path) -> None:
    for _ in range(2):
        assert place.ok("--version", HOME=None) == VERSION
    [folder] = rooms(file.parent)
    assert folder.parent.name == f".cdktr-{os.geteuid()}"
    assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_its_exit_code_and_signals_are_the_programs(place: Place) -> None:
    assert place.run("task", "list", CDKTR_PRINCIPAL_PORT="1").returncode == 3
    daemon = place.spawn("start", "principal")
    try:
        daemon.wait_for("Principal server started")
        # One process: that which was started.
        assert Path(os.readlink(f"/proc/{daemon.process.pid}/exe")).name == "cdktr"
    finally:
        code = daemon.stop()
    assert code == 0


def test_the_umask_is_the_callers(place: Place) -> None:
    place.before = "umask 027"
    place.ok("init")
    assert (place.folder / "workflows").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("length", [-1, 20_000_000, 60_000])
def test_a_file_that_is_not_whole(place: Place, file: Path, length: int) -> None:
    size = file.stat().st_size
    wanted = size - 1 if length < 0 else length
    os.truncate(file, wanted)
    done = place.run("--version")
    assert done.returncode == 5
    assert done.stderr == f"cdktr: {file} is not whole: it has {wanted} bytes of {size}. Copy it here once more.\n"
    assert not (place.folder / "home" / ".cdktr").exists()


def test_a_file_with_a_wrong_byte(place: Place, file: Path) -> None:
    with file.open("r+b") as data:
        data.seek(20_000_000)
        data.write(b"cdktr")
    done = place.run("--version")
    assert done.returncode == 5
    assert "no folder serves" in done.stderr
    assert rooms(place.folder / "home" / ".cdktr") == rooms(file.parent) == []


def test_a_file_for_another_processor(place: Place, file: Path) -> None:
    data, pattern = file.read_bytes(), rb"(?m)^machine=\w+"
    file.write_bytes(re.sub(pattern, lambda found: b"machine=".ljust(len(found[0]), b"m"), data, count=1))
    done = place.run("--version")
    assert done.returncode == 5
    assert f"and this host is {os.uname().machine}" in done.stderr


HARMS: dict[str, Callable[[Path], object]] = {
    "no program": lambda folder: (folder / "cdktr").unlink(),
    "empty library": lambda folder: os.truncate(next((folder / "_internal").glob("libpython*")), 0),
    "no library": lambda folder: shutil.rmtree(folder / "_internal" / "zmq"),
    "not executable": lambda folder: (folder / "cdktr").chmod(0o600),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_torn_folder_is_made_again(place: Place, harm: str) -> None:
    place.ok("--version")
    [folder] = rooms(place.folder / "home" / ".cdktr")
    before = sorted((path, path.lstat().st_size) for path in folder.rglob("*"))
    HARMS[harm](folder)
    assert place.ok("--version") == VERSION
    assert sorted((path, path.lstat().st_size) for path in folder.rglob("*")) == before
    assert rooms(place.folder / "home" / ".cdktr") == [folder]


def test_ten_first_starts_at_once(place: Place) -> None:
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(lambda _: place.ok("--version"), range(10))) == [VERSION] * 10
    assert len(rooms(place.folder / "home" / ".cdktr")) == 1


def test_killed_at_any_moment(place: Place) -> None:
    began = time.monotonic()
    place.ok("--version")
    took = time.monotonic() - began
    for moment in range(5):
        shutil.rmtree(place.folder / "home" / ".cdktr", ignore_errors=True)
        command, env = place.command("--version"), place.environment()
        process = subprocess.Popen(command, env=env, start_new_session=True, stdout=subprocess.DEVNULL)
        time.sleep(took * moment / 4)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert place.ok("--version") == VERSION
        # What was left is gone as well.
        assert len(rooms(place.folder / "home" / ".cdktr")) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_while_it_unpacks(place: Place, number: signal.Signals) -> None:
    command, env = place.command("--version"), place.environment()
    process = subprocess.Popen(command, env=env, start_new_session=True)
    data = place.folder / "home" / ".cdktr"
    while not rooms(data):
        time.sleep(0.001)
    os.killpg(process.pid, number)
    assert process.wait() in (128 + number, -number)
    # What it made for itself is gone as well.
    assert not data.exists()


@needs_root
def test_a_folder_of_somebody_elses_is_not_trusted(place: Place, file: Path) -> None:
    """Who may write beside the file has put a program there for others to run."""
    place.ok("--version", HOME=None)
    [folder] = rooms(file.parent)
    (folder / "cdktr").write_text("#!/bin/sh\necho stolen\n")
    for owner, mode in ((USER, folder.parent), (USER, folder), (USER, folder / "cdktr")):
        os.chown(mode, owner, owner)
        assert place.ok("--version", HOME=None) == VERSION
        os.chown(mode, 0, 0)
    # The name is taken, and another is found.
    os.chown(folder.parent, USER, USER)
    assert place.ok("--version", HOME=None) == VERSION
    # A link to a folder of one's own is no better.
    moved = file.parent / "moved"
    os.chown(folder.parent, 0, 0)
    folder.parent.rename(moved)
    folder.parent.symlink_to(moved)
    assert place.ok("--version", HOME=None) == VERSION


@needs_root
def test_two_users_of_one_file(place: Place, file: Path) -> None:
    """Neither has a home in which they may write, nor may they write beside the file."""
    with Mounts("mount -t tmpfs -o size=300m,mode=1777 none /var/tmp") as mounts:
        for user in (USER, OTHER_USER, USER):
            there = Place(place.folder, str(file), {"HOME": "/nonexistent"}, mounts.enter_as(user))
            assert there.ok("--version") == VERSION
        seen = subprocess.run([*mounts.enter, "ls", "-A", "/var/tmp"], capture_output=True, text=True, check=True)
    assert seen.stdout.split() == [f".cdktr-{USER}", f".cdktr-{OTHER_USER}"]


@needs_root
def test_root_with_the_home_of_another(place: Place, file: Path) -> None:
    """As under `sudo`: nothing of root's gets in the way of its owner, who could put another program there for root."""
    home = place.folder / "home"
    for path in (home, file.parent):
        os.chown(path, USER, USER)
    for _ in range(2):
        assert place.ok("--version") == VERSION
        assert list(home.iterdir()) == []
    user = Place(place.folder, str(file), {}, as_user(USER))
    assert user.ok("--version") == VERSION
    assert [path.parent.name for path in rooms(home / ".cdktr")] == [f"program-{USER}"]
    assert place.ok("--version") == VERSION
    assert len(rooms(home / ".cdktr")) == 1
    # As a principal of root's would leave it.
    (home / ".cdktr" / "principal.lock").touch(0o600)
    refused = user.run("start", "principal")
    assert refused.returncode == 5
    assert f"The data folder {home}/.cdktr cannot be used: principal.lock in it belongs to another" in refused.stderr


@needs_root
def test_a_data_folder_of_another(place: Place, file: Path) -> None:
    data = place.folder / "data"
    data.mkdir()
    data.chmod(0o777)
    os.chown(data, OTHER_USER, OTHER_USER)
    os.chown(file.parent, USER, USER)
    user = Place(place.folder, str(file), {"CDKTR_APP_DATA_DIRECTORY": str(data)}, as_user(USER))
    assert user.ok("--version") == VERSION
    assert list(data.iterdir()) == []
    assert len(rooms(file.parent)) == 1


@needs_root
def test_no_room_anywhere(place: Place, file: Path) -> None:
    """Nothing half made is left behind, and what to do is told."""
    script = 'for each in "$@"; do mount -t tmpfs -o size=60m,mode=1777 none "$each"; done'
    home = place.folder / "home"
    beside = place.folder / "small"
    beside.mkdir()
    with Mounts(f"{script}\ncp {file} {beside}/cdktr", str(home), str(beside), "/var/tmp") as mounts:
        there = Place(place.folder, str(beside / "cdktr"), {}, mounts.enter)
        done = there.run("--version")
        used = subprocess.run([*mounts.enter, "find", home, beside, "/var/tmp"], capture_output=True, text=True)
    assert done.returncode == 5
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == "cdktr: It must be unpacked once, and no folder serves for that:"
    for line, folder in zip(lines[1:4], (f"{home}/.cdktr", beside, "/var/tmp"), strict=True):
        assert re.fullmatch(rf"  {folder}: there is no room for it; it needs \d+ MB", line)
    assert lines[4].startswith("Set CDKTR_APP_DATA_DIRECTORY to a folder with room for ")
    assert set(used.stdout.split()) == {*map(str, (home, beside, beside / "cdktr")), "/var/tmp"}


def test_a_limit_of_the_size_of_files(place: Place) -> None:
    place.before = "ulimit -f 2000"
    done = place.run("--version")
    assert done.returncode == 5
    assert done.stderr.count(": its files are larger than this user may write (ulimit -f)\n") == 3


def test_what_it_made_is_removed_where_it_cannot_be_unpacked(place: Place, file: Path) -> None:
    """And nothing else: neither what was there, nor what the environment has under names that the head uses."""
    place.before = "ulimit -f 2000"
    (place.folder / "there").mkdir()
    kept = place.folder / "kept"
    kept.mkdir()
    (kept / "mine").touch()
    names: dict[str, str | None] = dict.fromkeys(("new", "own", "kept", "room"), str(kept))
    for data in ("there/a/b", "a/b/c"):
        assert place.run("--version", CDKTR_APP_DATA_DIRECTORY=data, **names).returncode == 5
    # No folder can be made there: the place fails before anything is.
    (place.folder / "taken").touch()
    assert place.run("--version", CDKTR_APP_DATA_DIRECTORY="taken", **names).returncode == 5
    assert sorted(path.name for path in place.folder.rglob("*")) == ["home", "kept", "mine", "taken", "there"]
    assert list(file.parent.iterdir()) == [file]


def test_a_relative_folder_from_the_root(place: Place) -> None:
    data = place.folder / "data"
    place.before, place.inside = "ulimit -f 2000", "/"
    done = place.run("--version", CDKTR_APP_DATA_DIRECTORY=str(data).lstrip("/"))
    assert done.stderr.splitlines()[1].startswith(f"  {data}: its files are larger")


def packed(program: bytes, folder: Path, file: Path) -> None:
    """Make the file one of this program alone."""
    folder.mkdir()
    (folder / "cdktr").write_bytes(program)
    (folder / "cdktr").chmod(0o755)
    done = subprocess.run([sys.executable, str(PACK), str(folder), str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    file.with_name(f"{file.name}.sha256").unlink()


OLD_HOST = (
    "library is older than this file needs ({}): take the file that `make release` makes, for glibc 2.28 and newer.\n"
)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/lib/libc.so.6: version `GLIBC_2.38' not found (required by x)", f"C {OLD_HOST.format('GLIBC_2.38')}"),
        ("/lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found", f"C++ {OLD_HOST.format('GLIBCXX_3.4.30')}"),
    ],
)
def test_a_host_that_is_too_old(place: Place, file: Path, said: str, told: str) -> None:
    """In place of the program one that says what the loader would."""
    script = f"#!/bin/sh\n# /lib64/ld-linux-x86-64.so.2\ncat >&2 <<'END'\n{said}\nEND\nexit 1\n"
    packed(script.encode(), file.parent / "x", file)
    shutil.rmtree(file.parent / "x")
    done = place.run("--version")
    assert (done.returncode, done.stderr) == (5, f"cdktr: This host's {told}")
    assert list((place.folder / "home").iterdir()) == []
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_program_that_the_system_does_not_start(place: Place, file: Path, unpacked: Path, shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"there is no {shell[0]} here")
    place.shell = shell
    program = bytearray((unpacked / "cdktr").read_bytes())
    # Of no processor at all.
    program[18:20] = b"\xfe\xfe"
    packed(bytes(program), file.parent / "x", file)
    shutil.rmtree(file.parent / "x")
    done = place.run("--version")
    assert done.returncode == 5
    assert done.stderr.startswith(f"cdktr: This host calls itself {os.uname().machine} and does not run programs for")
    assert done.stderr.count("\n") == 1
    assert list((place.folder / "home").iterdir()) == []
    assert list(file.parent.iterdir()) == [file]


@needs_root
def test_a_full_home_is_passed_over(place: Place, file: Path) -> None:
    home = place.folder / "home"
    with Mounts('mount -t tmpfs -o size=60m none "$1"', str(home)) as mounts:
        there = Place(place.folder, str(file), {}, mounts.enter)
        assert there.ok("--version") == VERSION
    assert len(rooms(file.parent)) == 1


@needs_root
def test_each_place_tells_its_own_reason(place: Place, file: Path) -> None:
    script = """
    mount -t tmpfs -o noexec,mode=1777 none "$1"
    mount --bind "$2" "$2"
    mount -o remount,ro,bind "$2"
    mount -t tmpfs -o size=10m,mode=1777 none /var/tmp"""
    home = place.folder / "home"
    with Mounts(script, str(home), str(file.parent)) as mounts:
        done = Place(place.folder, str(file), {}, mounts.enter_as(USER)).run("--version")
    assert done.returncode == 5
    reasons = [line.partition(": ")[2] for line in done.stderr.splitlines()[1:4]]
    assert reasons[0] == "programs may not be started from there (it is mounted noexec)"
    assert reasons[1] in ("it can only be read", "this user may not write there")
    assert reasons[2].startswith("there is no room for it; it needs ")
