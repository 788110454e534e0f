"""What a user does first, on hosts of all kinds: init, start, run, logs, stop."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.binary.conftest import needs_root
from tests.binary.place import USER, Mounts, Place, as_user, program, rooms
from tests.namespace import Namespace, why_not

ROOT = Path(__file__).resolve().parents[2]

#: Releases of Debian, with their C library.
RELEASES = {"bookworm": (2, 36), "bullseye": (2, 31)}


def test_an_ordinary_host(place: Place) -> None:
    place.story()


def test_no_network(place: Place) -> None:
    if (why := why_not()) is not None:
        pytest.skip(why)
    with Namespace() as network:
        there = Place(place.folder, place.file, {}, [program(network.enter[0]), *network.enter[1:]])
        there.story()


@pytest.mark.parametrize("name", ["My Files", "Größe und Ñandú", '日本 \'n "more" $HOME'])
def test_a_home_with_an_odd_name(place: Place, name: str) -> None:
    home = place.folder / name
    home.mkdir()
    there = Place(home, place.file, {"HOME": str(home)})
    there.story()
    assert len(rooms(home / ".cdktr")) == 1


@needs_root
def test_a_home_that_can_only_be_read(place: Place, file: Path) -> None:
    """Its data must go elsewhere; the program goes beside the file by itself."""
    home = place.folder / "home"
    data = place.folder / "data"
    for path in (place.folder, file.parent):
        os.chown(path, USER, USER)
    with Mounts('mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"', str(home)) as mounts:
        there = Place(place.folder, str(file), {}, mounts.enter_as(USER))
        there.ok("--version")
        assert len(rooms(file.parent)) == 1
        Place(place.folder, str(file), {"CDKTR_APP_DATA_DIRECTORY": str(data)}, there.enter).story()


@needs_root
def test_a_user_without_rights(place: Place) -> None:
    for path in (place.folder, place.folder / "home"):
        os.chown(path, USER, USER)
    Place(place.folder, place.file, {}, as_user(USER)).story()


def needs_of(folder: Path) -> tuple[int, int]:
    """The C library that the files of a program need."""
    found = [(0, 0)]
    for path in folder.rglob("*"):
        if path.is_file() and path.read_bytes()[:4] == b"\x7fELF":
            names = subprocess.run(["objdump", "-T", path], capture_output=True, text=True).stdout
            found += [(int(a), int(b)) for a, b in re.findall(r"GLIBC_(\d+)\.(\d+)", names)]
    return max(found)


@pytest.fixture(scope="session", params=RELEASES)
def system(request: pytest.FixtureRequest, unpacked: Path) -> Path:
    """The root folder of a small Debian, kept for the next time."""
    release: str = request.param
    if os.geteuid() != 0:
        pytest.skip("only root can make a root folder")
    if shutil.which("debootstrap") is None:
        pytest.skip("there is no debootstrap here (Debian package debootstrap)")
    needed = needs_of(unpacked)
    if needed > RELEASES[release]:
        pytest.skip(f"this file needs the C library {needed}, and {release} has {RELEASES[release]}")
    made = ROOT / ".work" / "systems" / release
    if not made.exists():
        beside = made.with_name(f"{release}.new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        command = ["debootstrap", "--variant=minbase", release, str(beside)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"debootstrap could not make {release}: {done.stdout[-300:]}{done.stderr[-300:]}")
        beside.rename(made)
    return made


@pytest.fixture
def chroot(system: Path, binary: Path, tmp_path: Path) -> Iterator[Place]:
    """That system, with an ordinary user, a small disk, and a small /tmp from which nothing can be started."""
    script = """
    mount --rbind /dev "$1/dev"
    mount -t proc none "$1/proc"
    mount -t tmpfs -o size=80m,noexec,nosuid,mode=1777 none "$1/tmp"
    mount -t tmpfs -o size=250m,mode=0755 none "$1/home"
    mkdir "$1/home/user"
    cp "$2" "$1/home/user/cdktr"
    chown -R "$3:$3" "$1/home/user"
    """
    with Mounts(script, str(system), str(binary), str(USER)) as mounts:
        enter = [*mounts.enter, program("chroot"), f"--userspec={USER}:{USER}", str(system)]
        home = "/home/user"
        yield Place(tmp_path, f"{home}/cdktr", {"HOME": home, "TMPDIR": None}, enter, inside=home)


@pytest.mark.slow
def test_an_old_system_without_python(chroot: Place) -> None:
    assert subprocess.run([*chroot.enter, "sh", "-c", "command -v python3 perl5"]).returncode != 0
    chroot.story()
    said = subprocess.run([*chroot.enter, "ls", "-A", "/tmp"], capture_output=True, text=True)
    assert said.stdout == ""


@pytest.mark.slow
def test_a_python_of_its_own_there(chroot: Place) -> None:
    """No uv and no Python: a script without packages runs all the same, where that is allowed."""
    workflow = "name: Py\ntasks: {t: {name: T, config: !UvPython {script_path: ./task.py}}}\n"
    script = "import platform, sqlite3, ssl\nprint('on', platform.python_implementation())\n"
    put = 'mkdir workflows && printf "%s" "$1" >workflows/py.yml && printf "%s" "$2" >task.py'
    go = ["sh", "-c", f"cd /home/user && {put}", "sh", workflow, script]
    subprocess.run([*chroot.enter, *go], check=True, env=chroot.environment())
    with chroot.running() as there:
        refused = there.run("task", "run", "py", "--wait", "--follow")
        assert "There is no uv on this agent's host" in refused.stdout + refused.stderr
    with chroot.running(CDKTR_EMBEDDED_PYTHON="1") as there:
        assert "on CPython" in there.ok("task", "run", "py", "--wait", "--follow")
