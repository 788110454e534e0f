"""The program of the one file: what its tasks see, what its interpreter can, and a new version over an old one."""

import ast
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cdktr import __version__
from tests.binary.place import PATH, Place, rooms
from tests.integration.cluster import PATIENCE_S

VERSION = f"cdktr {__version__}\n"


@pytest.fixture
def place(place: Place, unpacked: Path) -> Place:
    """A host on which the file was started before. Its files are those of another folder too, which spares the disk."""
    room = place.folder / "home" / ".cdktr" / unpacked.parent.name
    room.mkdir(mode=0o700, parents=True)
    shutil.copytree(unpacked, room / unpacked.name, symlinks=True, copy_function=os.link)
    # Its last start is its own.
    lock = room / unpacked.name / "lock"
    text = lock.read_bytes()
    lock.unlink()
    lock.write_bytes(text)
    return place


def workflow(cmd: str, *arguments: str) -> str:
    return f"name: Test\ntasks: {{t: {{name: T, config: !Subprocess {{cmd: {cmd!r}, args: {list(arguments)}}}}}}}\n"


def script_workflow(name: str) -> str:
    return f"name: Test\ntasks: {{t: {{name: T, config: !UvPython {{script_path: {name}}}}}}}\n"


def write(place: Place, name: str, text: str) -> None:
    folder = place.folder / "workflows"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yml").write_text(text)


# What a task sees

#: What a shell, the loader or Python might change: what was there before, and what was not.
ODD: dict[str, str | None] = {
    "LD_LIBRARY_PATH": "/no/such/folder",
    "VIRTUAL_ENV": "/no/such/venv",
    "BASH_FUNC_module%%": "() { echo module; }",
    "a.b": "dots",
    "LINES_OF": "two\nlines=2",
    "EMPTY": "",
    "file": "a name that the head uses",
    "SHLVL": "7",
    "OLDPWD": "/usr",
    "PYTHONPATH": "/no/such/modules",
}
SHORT: dict[str, str | None] = {"LANG": None}

SHOW = "import os, sys; sys.stdout.buffer.write(open('/proc/self/environ', 'rb').read())"


@pytest.mark.parametrize(
    ("shell", "more", "how"),
    [
        (["dash"], ODD, "with the principal"),
        (["dash"], SHORT, "alone"),
        (["bash", "--posix"], ODD, "alone"),
        (["bash"], SHORT, "with the principal"),
        (["busybox", "ash"], ODD, "with the principal"),
        (["mksh"], ODD, "alone"),
    ],
    ids=lambda value: "odd" if value is ODD else "short" if value is SHORT else None,
)
def test_a_task_sees_its_agents_environment(
    place: Place, shell: list[str], more: dict[str, str | None], how: str
) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"there is no {shell[0]} here")
    write(place, "env", workflow("sh", "-c", 'cp /proc/$$/environ "$1"', "sh", str(place.folder / "seen")))
    env = place.environment(**more)
    # Started without a shell in between, which would have a say.
    command = [shutil.which(shell[0]) or "", *shell[1:], place.file, "start"]
    daemons: list[subprocess.Popen[str]] = []
    try:
        whole = [*command, "principal", *(["--with-agent"] if how != "alone" else [])]
        daemons.append(subprocess.Popen(whole, env=env, cwd=place.folder, stderr=subprocess.PIPE, text=True))
        assert daemons[0].stderr is not None
        line = next(line for line in daemons[0].stderr if "Principal server started" in line)
        there = Place(place.folder, place.file, {"CDKTR_PRINCIPAL_PORT": line.split()[-1].rpartition(":")[2]})
        if how == "alone":
            env |= {"CDKTR_PRINCIPAL_PORT": str(there.env["CDKTR_PRINCIPAL_PORT"])}
            daemons.append(
                subprocess.Popen([*command, "agent"], env=env, cwd=place.folder, stderr=subprocess.DEVNULL, text=True)
            )
        there.ok("task", "run", "env", "--wait")
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(PATIENCE_S)
            if daemon.stderr is not None:
                daemon.stderr.close()
    entries = (place.folder / "seen").read_text().rstrip("\0").split("\0")
    seen = dict(entry.partition("=")[::2] for entry in entries)
    added = {name: value for name, value in seen.items() if name not in env}
    assert {name: seen.get(name) for name in env} == env
    assert added.keys() == {f"CDKTR_{name}" for name in TASK_VARIABLES}


TASK_VARIABLES = "WORKFLOW_ID WORKFLOW_INSTANCE_ID TASK_ID TASK_INSTANCE_ID ATTEMPT AGENT_ID".split()

#: Programs of the host that bring libraries which the program has too.
HOST_PROGRAMS = {
    "python3": ["python3", "-c", "import ssl, sqlite3, ctypes, zlib; print(ssl.OPENSSL_VERSION)"],
    "ssh": ["ssh", "-V"],
    "curl": ["curl", "--version"],
    "openssl": ["openssl", "version"],
}


def test_the_hosts_programs_use_the_hosts_libraries(place: Place) -> None:
    present = {name: argv for name, argv in HOST_PROGRAMS.items() if shutil.which(name, path=PATH)}
    assert present, "no program to try it with"
    for name, argv in present.items():
        write(place, name, workflow(*argv))
    with place.running() as there:
        for name, argv in present.items():
            alone = subprocess.run(argv, env=place.environment(), capture_output=True, text=True, check=True)
            said = there.ok("task", "run", name, "--wait", "--follow")
            for line in (alone.stdout + alone.stderr).splitlines():
                assert line in said


# The interpreter

LISTENER = """\
import asyncio, csv, ctypes, curses, decimal, email.mime.text, hashlib, http.server, json, logging.handlers, lzma
import multiprocessing, smtplib, sqlite3, ssl, tomllib, unittest, urllib.request, uuid, wsgiref, xml.etree.ElementTree
import xmlrpc.client, zipfile, zoneinfo
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.shared_memory import SharedMemory

from cdktr import EventListener, Principal

def double(number):
    return 2 * number

class Mine(EventListener):
    def start_listening(self):
        assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
        assert ssl.create_default_context() and hashlib.sha3_256(b"").digest()
        assert zoneinfo.ZoneInfo("Europe/Berlin")
        for method in ("fork", "spawn", "forkserver"):
            with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
                assert pool.submit(double, 21).result() == 42
        memory = SharedMemory(create=True, size=10)
        memory.close()
        memory.unlink()
        print(self.run_workflow("hello", key="once").payload)

if __name__ == "__main__":
    Mine().start_listening()
    exit(3)
"""


def test_a_listener_of_ones_own(place: Place) -> None:
    place.ok("init")
    (place.folder / "mine.py").write_text(LISTENER)
    with place.running() as there:
        done = there.run("listen", "mine.py")
        assert (done.returncode, done.stderr) == (3, "")
        assert "workflow_instance_id" in done.stdout
    (place.folder / "bad.py").write_text("def f():\n    1 / 0\n\nf()\n")
    said = place.run("listen", "bad.py").stderr.splitlines()
    assert [line.strip() for line in said if "File" in line] == [
        f'File "{place.folder}/bad.py", line 4, in <module>',
        f'File "{place.folder}/bad.py", line 2, in f',
    ]
    assert said[-1] == "ZeroDivisionError: division by zero"


IMPORT_ALL = """\
import importlib.util, sys
print([name for name in sys.stdlib_module_names if importlib.util.find_spec(name) is None])
sys.exit()
"""

#: What `build/cdktr.spec` leaves out.
LEFT_OUT = "tkinter turtle turtledemo idlelib ensurepip venv lib2to3 distutils pydoc_data antigravity this nis".split()
LEFT_OUT += ["readline"]  # under the GPL


def test_the_standard_library_is_there(place: Place) -> None:
    (place.folder / "all.py").write_text(IMPORT_ALL)
    missing = set(ast.literal_eval(place.ok("listen", "all.py")))
    here = {name for name in sys.stdlib_module_names if importlib.util.find_spec(name) is not None}
    assert {name for name in missing & here if not name.startswith(("_", "xx"))} == {*LEFT_OUT} & here


def test_a_script_without_uv(place: Place) -> None:
    write(place, "script", script_workflow("./task.py"))
    (place.folder / "task.py").write_text(
        "import os, sys\nprint(__name__, sys.argv, os.environ['CDKTR_TASK_ID'], os.environ.get('VIRTUAL_ENV'))\n"
        "print([name for name in os.environ if 'PYI' in name or 'LIBRARY' in name or name.startswith('_')])\n"
    )
    env: dict[str, str | None] = {"PATH": str(place.folder / "bin"), "VIRTUAL_ENV": "/v"}
    (place.folder / "bin").mkdir()
    for name in ("sh", "tail", "tar", "gzip", "id", "uname", "wc", "mkdir", "chmod", "rm", "rmdir", "tr", "readlink"):
        (place.folder / "bin" / name).symlink_to(shutil.which(name, path=PATH) or "")
    place.enter = [shutil.which("env", path=PATH) or ""]
    place.env = env
    with place.running() as there:
        assert "There is no uv on this agent's host" in there.run("task", "run", "script", "--follow").stdout
    with place.running(CDKTR_EMBEDDED_PYTHON="1") as there:
        said = there.ok("task", "run", "script", "--follow").splitlines()
    assert said[-2].endswith("STDOUT __main__ ['./task.py'] t /v")
    assert said[-1].endswith("STDOUT []")


# A new version over an old one


def copied(new: Path, file: Path) -> None:
    """As by scp: into the same file."""
    with new.open("rb") as source, file.open("r+b") as target:
        target.truncate(0)
        shutil.copyfileobj(source, target)


def moved(new: Path, file: Path) -> None:
    """As by install and rsync: another file under the same name."""
    shutil.copy(new, beside := file.with_name("beside"))
    beside.replace(file)


@pytest.mark.parametrize("put", [copied, moved])
def test_a_new_version_while_a_principal_runs(
    place: Place, file: Path, other_version: Path, put: Callable[[Path, Path], None]
) -> None:
    place.ok("init")
    data = place.folder / "home" / ".cdktr"
    with place.running() as there:
        [old] = rooms(data)
        put(other_version, file)
        assert there.ok("--version") == VERSION
        [new] = set(rooms(data)) - {old}
        assert (new / "_internal" / "more.txt").exists()
        # However long the principal has been running: it is in use.
        for version in (old, new):
            os.utime(version / "lock", (0, 0))
        assert there.ok("--version") == VERSION
        assert old.exists()
        assert "Hello from cdktr, world!" in there.ok("task", "run", "hello", "--wait", "--follow")
        # The agent is of the principal's version, also one that is started anew.
        [agent] = agents_of(old)
        os.kill(agent, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while not (found := agents_of(old)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert found not in ([], [agent])
        assert "Hello from cdktr, world!" in there.ok("task", "run", "hello", "--wait", "--follow")
    os.utime(old / "lock", (0, 0))
    assert place.ok("--version") == VERSION
    assert rooms(data) == [new]


def agents_of(version: Path) -> list[int]:
    """The processes of agents that run in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = os.readlink(process / "exe") == str(version / "cdktr")
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if is_ours and words[1:3] == [b"start", b"agent"]:
            found.append(int(process.name))
    return found


def test_the_file_may_go_while_it_runs(place: Place, file: Path) -> None:
    place.ok("init")
    with place.running() as there:
        away = file.with_name("away")
        file.rename(away)
        there.file = str(away)
        assert "Hello from cdktr, world!" in there.ok("task", "run", "hello", "--wait", "--follow")
