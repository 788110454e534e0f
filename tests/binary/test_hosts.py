"""What a user does first, on hosts of all kinds: init, start, run, logs, the terminal UI, stop, and every example.

A host is made once, and all tests of this file look at it.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.binary.conftest import folder_for_all, needs_root
from tests.binary.live import OF_UV, Live, at_work, python_of, tools
from tests.binary.place import OTHER_USER, USER, Mounts, Place, as_user, program, rooms
from tests.integration.cluster import PATIENCE_S
from tests.integration.examples import CHECKS, EXAMPLES
from tests.integration.terminal import HAS_TMUX, Terminal, select
from tests.integration.words import words_of
from tests.namespace import Namespace, why_not

ROOT = Path(__file__).resolve().parents[2]

#: Releases of Debian, with their C library.
RELEASES = {"bookworm": (2, 36), "bullseye": (2, 31)}

#: Makes a host, of which it gets the folder and the file; a place for each of its users.
Maker = Callable[[Path, Path], Iterator[list[Place]]]
HOSTS: dict[str, Callable[[Path, Path], AbstractContextManager[list[Place]]]] = {}


def host(maker: Maker) -> Maker:
    """A kind of host, named by its function."""
    HOSTS[maker.__name__.replace("_", " ")] = contextmanager(maker)
    return maker


def only_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make the mounts and users for this")


def project_of(folder: Path, user: int | None = None) -> Path:
    """A project's folder with a home in it."""
    made = folder / "project"
    (made / "home").mkdir(parents=True)
    if user is not None:
        for each in (made, made / "home"):
            os.chown(each, user, user)
    return made


@host
def no_network(folder: Path, file: Path) -> Iterator[list[Place]]:
    if (why := why_not()) is not None:
        pytest.skip(why)
    with Namespace() as network:
        yield [Place(project_of(folder), str(file), {}, [program(network.enter[0]), *network.enter[1:]])]


@host
def home_with_an_odd_name(folder: Path, file: Path) -> Iterator[list[Place]]:
    """Of a user without rights, where there is one."""
    home = folder / 'Größe, 日本 \'n "more" $x 50%'
    home.mkdir()
    enter = []
    if os.geteuid() == 0:
        os.chown(home, USER, USER)
        enter = as_user(USER)
    yield [Place(home, str(file), {"HOME": str(home)}, enter)]
    assert len(rooms(home / ".cdktr")) == 1


@contextmanager
def home_to_read(folder: Path, file: Path) -> Iterator[Place]:
    """A home that can only be read. What cdktr keeps goes elsewhere, as a project's .env says; the program does not, as
    its head does not know that."""
    only_root()
    project = project_of(folder, USER)
    home = project / "home"
    (project / ".env").write_text("CDKTR_APP_DATA_DIRECTORY=data\n")
    script = """
    mount --bind "$1" "$1"
    mount -o remount,ro,bind "$1"
    mount -t tmpfs -o size=300m,mode=1777 none /var/tmp
    """
    with Mounts(script, str(home)) as mounts:
        yield Place(project, str(file), {"UV_CACHE_DIR": str(project / "cache")}, mounts.enter_as(USER))
        unpacked = subprocess.run([*mounts.enter, "ls", "-A", "/var/tmp"], capture_output=True, text=True).stdout
        # In the one place that serves.
        assert bool(rooms(file.parent)) != (unpacked == f".cdktr-{USER}\n")
        assert list(home.iterdir()) == []


@host
def home_to_read_and_room_beside_the_file(folder: Path, file: Path) -> Iterator[list[Place]]:
    only_root()
    os.chown(file.parent, USER, USER)
    with home_to_read(folder, file) as place:
        yield [place]
    assert len(rooms(file.parent)) == 1


@host
def home_to_read_and_only_var_tmp(folder: Path, file: Path) -> Iterator[list[Place]]:
    with home_to_read(folder, file) as place:
        yield [place]


@host
def two_users(folder: Path, file: Path) -> Iterator[list[Place]]:
    """Of one file, which neither may change."""
    only_root()
    homes = {user: project_of(folder / str(user), user) for user in (USER, OTHER_USER)}
    yield [Place(home, str(file), {}, as_user(user)) for user, home in homes.items()]
    assert rooms(file.parent) == []
    for user, home in homes.items():
        assert [room.parent.name for room in rooms(home / "home" / ".cdktr")] == [f"program-{user}"]


@host
def full_disk_at_the_first_start(folder: Path, file: Path) -> Iterator[list[Place]]:
    """It says what to do, and that is done."""
    only_root()
    project = project_of(folder)
    script = 'for each in "$@"; do mount -t tmpfs -o size=60m,mode=1777 none "$each"; done'
    small = [str(project / "home"), str(folder / "small"), "/var/tmp"]
    (folder / "small").mkdir()
    with Mounts(f'{script}; cp {shlex.quote(str(file))} "$2"', *small) as mounts:
        place = Place(project, f"{small[1]}/cdktr", {}, mounts.enter)
        refused = place.run("init")
        assert (refused.returncode, refused.stdout) == (5, "")
        *_, advice = refused.stderr.splitlines()
        assert re.fullmatch(r"Set CDKTR_APP_DATA_DIRECTORY to a folder with room for \d+ MB in which .*", advice)
        assert list(project.iterdir()) == [project / "home"]
        yield [Place(project, place.file, {"CDKTR_APP_DATA_DIRECTORY": str(folder / "data")}, mounts.enter)]


@host
def killed_while_it_unpacked(folder: Path, file: Path) -> Iterator[list[Place]]:
    place = Place(project_of(folder), str(file))
    data = place.folder / "home" / ".cdktr"
    # A file that is there at the beginning, in the middle and near the end.
    for name in ("", "_internal", "cdktr"):
        command = place.command("init")
        process = subprocess.Popen(command, env=place.environment(), start_new_session=True, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while not any((room / name).exists() for room in rooms(data)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    yield [place]
    assert len(rooms(data)) == 1


@contextmanager
def chroot(release: str, file: Path) -> Iterator[Place]:
    """A system without Python, with an ordinary user, a small disk, and a small /tmp that starts nothing."""
    only_root()
    system = system_of(release)
    script = """
    mount --rbind /dev "$1/dev"
    mount -t proc none "$1/proc"
    mount -t tmpfs -o size=80m,noexec,nosuid,mode=1777 none "$1/tmp"
    mount -t tmpfs -o size=250m,mode=0755 none "$1/home"
    mkdir "$1/home/user"
    cp "$2" "$1/home/user/cdktr"
    chown -R "$3:$3" "$1/home/user"
    """
    with Mounts(script, str(system), str(file), str(USER)) as mounts:
        enter = [*mounts.enter, program("chroot"), f"--userspec={USER}:{USER}", str(system)]
        home = "/home/user"
        seen = mounts.root / str(system).lstrip("/") / home.lstrip("/")
        place = Place(seen, f"{home}/cdktr", {"HOME": home, "TMPDIR": None}, enter, inside=home)
        assert python_of(place) is None
        yield place
        said = subprocess.run([*place.enter, "ls", "-A", "/tmp"], capture_output=True, text=True)
        assert said.stdout == ""


@host
def bookworm(folder: Path, file: Path) -> Iterator[list[Place]]:
    with chroot("bookworm", file) as place:
        yield [place]


@host
def bullseye(folder: Path, file: Path) -> Iterator[list[Place]]:
    with chroot("bullseye", file) as place:
        yield [place]


def system_of(release: str) -> Path:
    """The root folder of a small Debian, kept for the next time; skips where there can be none."""
    if shutil.which("debootstrap") is None:
        pytest.skip("there is no debootstrap here (Debian package debootstrap)")
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


def needs_of(folder: Path) -> tuple[int, int]:
    """The C library that the files of a program need."""
    found = [(0, 0)]
    for path in folder.rglob("*"):
        if path.is_file() and path.read_bytes()[:4] == b"\x7fELF":
            names = subprocess.run(["objdump", "-T", path], capture_output=True, text=True).stdout
            found += [(int(a), int(b)) for a, b in re.findall(r"GLIBC_(\d+)\.(\d+)", names)]
    return max(found)


@pytest.fixture(scope="module")
def needed(unpacked: Path) -> tuple[int, int]:
    """The C library that this file needs."""
    return needs_of(unpacked)


def skip_if_too_old(release: str, needed: tuple[int, int]) -> None:
    if needed > RELEASES.get(release, needed):
        pytest.skip(f"this file needs the C library {needed}, and {release} has {RELEASES[release]}")


@pytest.fixture(scope="module")
def uv() -> Iterator[dict[str, str]]:
    """Settings with which uv and the packages of the examples are found, without a network."""
    with folder_for_all() as folder:
        yield tools(folder)


@pytest.fixture(scope="module", params=HOSTS)
def users(
    request: pytest.FixtureRequest, binary: Path, needed: tuple[int, int], uv: dict[str, str]
) -> Iterator[list[Live]]:
    """A host on which the file is at work, for each of its users."""
    skip_if_too_old(request.param, needed)
    with folder_for_all() as folder, ExitStack() as stack:
        (folder / "bin").mkdir()
        file = folder / "bin" / "cdktr"
        shutil.copy(binary, file)
        file.chmod(0o755)
        places = stack.enter_context(HOSTS[request.param](folder, file))
        yield [stack.enter_context(at_work(place, uv)) for place in places]


def test_a_run_its_lines_and_the_history(users: list[Live]) -> None:
    for user in users:
        there = user.place
        said = there.ok("task", "run", "hello", "--wait", "--follow")
        assert "Hello from cdktr, world!" in said
        assert "hello" in there.ok("task", "history", "--limit", "100")
        assert there.ok("logs", "query", "--workflow", "hello", "--last", "1h")
        assert there.run("validate").returncode == 0
        assert json.loads(there.ok("status", "--json"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example(users: list[Live], example: str) -> None:
    for user in users:
        version = python_of(user.place)
        if example not in OF_UV or version == sys.version_info[:2]:
            CHECKS[example](user)
        elif version is None:
            # It asks for packages: what cdktr brings is not enough.
            user.failed(example, "There is no uv on this agent's host; looked in ", "Copy the uv program, one file, ")
        else:
            pytest.skip(f"the packages are here for Python {sys.version_info[:2]}, and this host has {version}")


@pytest.mark.skipif(not HAS_TMUX, reason="there is no tmux here (Debian package tmux)")
def test_the_terminal_ui(users: list[Live]) -> None:
    for user in users:
        there = user.place
        with Terminal(there, shell=there.at("sh"), program=[there.file]) as terminal:
            terminal.run("ui")
            terminal.shows(r"Connected.* agents 1 ")
            select(terminal, "hello")
            terminal.press("r")
            terminal.shows("Run hello")
            terminal.press("Enter")
            started = re.search(r"Started (\S+)", terminal.shows(r"Started \S+"))
            assert started is not None
            terminal.shows(rf"{started[1]} ✓ COMPLETED")
            terminal.press("q")
            terminal.shows("ended 0")
            assert terminal.is_restored()


@pytest.mark.skipif(not HAS_TMUX, reason="there is no tmux here (Debian package tmux)")
def test_bash_completes(users: list[Live]) -> None:
    """The one shell for people that each of these hosts has."""
    user = users[0]
    there = user.place
    with Terminal(there, shell=there.at("bash", "--norc", "--noprofile", "-i")) as terminal:
        terminal.type(f"source <({there.file} completion bash 2>/dev/null); echo rea''dy")
        terminal.press("Enter")
        terminal.shows("ready")
        terminal.type(f"{there.file} task ru")
        terminal.press("Tab")
        terminal.type("hel")
        terminal.press("Tab")
        terminal.shows(r"task run hello\b")
        terminal.type("--fol")
        terminal.press("Tab")
        terminal.press("Enter")
        terminal.shows(r"Hello from cdktr, world!")


def test_a_unit_starts_this_file_with_these_settings(users: list[Live]) -> None:
    """As far as it gets while the principal of the same folder runs."""
    for user in users:
        there = user.place
        unit = there.ok("service", "pair", "--user", CDKTR_PRINCIPAL_PORT="0")
        [start] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
        assert words_of(start) == [there.file, "start", "principal", "--with-agent"]
        given = dict(word.split("=", 1) for word in words_of(" ".join(re.findall(r"^Environment=(.*)$", unit, re.M))))
        alone = Place(there.folder, there.file, {}, there.enter, there.inside)
        env = {"PATH": "/usr/bin:/bin", "HOME": there.environment()["HOME"], **given}
        done = subprocess.run(alone.at(*words_of(start)), env=env, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 5, done.stderr
        assert re.search(r"Another principal \(process \d+ on .*\) holds the data folder ", done.stderr)


@needs_root
@pytest.mark.parametrize("release", RELEASES)
def test_a_c_library_that_is_too_old(release: str, binary: Path, needed: tuple[int, int]) -> None:
    """It is told at once, and nothing is left behind."""
    if needed <= RELEASES[release]:
        pytest.skip(f"this file needs the C library {needed}, and {release} has {RELEASES[release]}")
    with chroot(release, binary) as place:
        done = place.run("--version")
        assert done.returncode == 5
        assert re.fullmatch(
            r"cdktr: This host's C library is older than this file needs \(GLIBC_.*\): .*\n", done.stderr
        )
        seen = subprocess.run([*place.enter, "ls", "-A", "/home/user", "/var/tmp"], capture_output=True, text=True)
        assert seen.stdout == "/home/user:\ncdktr\n\n/var/tmp:\n"


@needs_root
@pytest.mark.parametrize("release", RELEASES)
def test_without_python_where_that_of_cdktr_may_not_be_used(
    release: str, binary: Path, needed: tuple[int, int]
) -> None:
    """A script without packages, and a command that is the host's Python: each says what to do."""
    skip_if_too_old(release, needed)
    with chroot(release, binary) as place:
        place.ok("init", "--all")
        path = place.folder / "workflows" / "plain.yml"
        path.write_text("name: Plain\ntasks: {t: {name: T, config: !UvPython {script_path: ./task.py}}}\n")
        (place.folder / "task.py").write_text("import platform, sqlite3, ssl\nprint('on', platform.machine())\n")
        with place.running() as there:
            for name, *sentences in (
                ("plain", "There is no uv on this agent's host", "Copy the uv program, one file, beside cdktr"),
                ("examples.weekly_report", "Cannot start 'python3'", "set CDKTR_EMBEDDED_PYTHON=1 for its agent"),
            ):
                refused = there.run("task", "run", name, "--follow")
                assert refused.returncode == 1
                assert [each for each in sentences if each not in refused.stdout] == []
        with place.running(CDKTR_EMBEDDED_PYTHON="1") as there:
            assert "on x86_64" in there.ok("task", "run", "plain", "--follow")
