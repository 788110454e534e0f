"""The package as pip builds it, beside nothing but pyzmq: what a client and a listener need is in it, and no more."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from cdktr import protocol as p
from cdktr.cli.init import samples
from tests.integration.cluster import ROOT, Cluster

pytestmark = pytest.mark.integration

HELLO = "name: Hello\ntasks:\n  a: {name: A, config: !Subprocess {cmd: 'true'}}\n"

#: What a user does with the package, told where it is and where a principal is.
PROGRAM = """
import importlib.util, sys
absent = ("duckdb", "yaml", "asciimatics", "typing_extensions", "pip")
assert not [name for name in absent if importlib.util.find_spec(name)]

import cdktr
assert cdktr.__file__.startswith(sys.path[-1])
assert not [name for name in sys.modules if name.startswith(("cdktr.", "zmq"))]
from cdktr import EventListener, Principal, Result

class Mine(EventListener):
    def __init__(self):
        self.principal = Principal(port=int(sys.argv[1]))

    def start_listening(self):
        result = self.run_workflow("hello", {}, "once")
        assert type(result) is Result, result
        print(result)

Mine().start_listening()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and pyzmq."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    # A build leaves things in the tree that it is made from, so this one is a copy.
    for name in ("cdktr", "workflows"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "cdktr/__pycache__").mkdir()
    (source / "cdktr/__pycache__/listener.cpython-311.pyc").write_bytes(b"")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--wheel-dir", str(folder)]
    built = subprocess.run([*pip, "wheel", *options, str(source)], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    libraries = Path(zmq.__file__).parent.parent
    for name in ("zmq", "pyzmq.libs"):
        (folder / "site" / name).symlink_to(libraries / name)
    return folder / "site"


@pytest.fixture(scope="module")
def principal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A principal of this repository."""
    with Cluster(tmp_path_factory.mktemp("principal")) as cluster:
        cluster.write("hello", HELLO)
        cluster.start_principal()
        yield cluster


def python(installed: Path, cluster: Cluster, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the standard library, the package and pyzmq, and nothing else."""
    where = f"import sys; sys.path.append({str(installed)!r})\n"
    command = [sys.executable, "-I", "-S", "-c", where + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cluster.folder, env=cluster.environment())


def test_a_listener_needs_nothing_but_pyzmq(installed: Path, principal: Cluster) -> None:
    told = python(installed, principal, PROGRAM, str(principal.port))
    assert told.returncode == 0, told.stderr
    [run] = principal.ask(p.ListRuns())
    assert (
        told.stdout
        == f"Result(success=True, error=None, payload={{'workflow_instance_id': '{run['workflow_instance_id']}'}})\n"
    )


def test_the_package_and_the_examples_are_packed_and_nothing_else(installed: Path) -> None:
    theirs = {path.relative_to(ROOT) for path in (ROOT / "cdktr").rglob("*") if path.is_file()}
    expected = {str(path) for path in theirs if "__pycache__" not in path.parts}
    expected |= {f"cdktr/workflows/{name}" for name in samples()}
    [record] = installed.glob("cdktr-*.dist-info/RECORD")
    found = {line.partition(",")[0] for line in record.read_text().splitlines()}
    found = {name for name in found if not name.startswith(record.parent.name)}
    assert found == expected, "pyproject.toml names the packages and the data of the wheel"
    assert not (installed / "cdktr.py").exists()


def test_what_is_installed_makes_projects(installed: Path, principal: Cluster) -> None:
    program = "from cdktr.cli import main; sys.exit(main(sys.argv[1:]))"
    made = python(installed, principal, program, "init", "--all", "new")
    assert made.returncode == 0, made.stderr
    for name in samples():
        assert (principal.folder / "new/workflows" / name).read_bytes() == (ROOT / "workflows" / name).read_bytes()


def test_the_command_line_says_which_extra_is_missing(installed: Path, principal: Cluster) -> None:
    program = "from cdktr.cli import main; sys.exit(main(sys.argv[1:]))"
    listed = python(installed, principal, program, "status")
    assert listed.returncode == 0, listed.stderr
    (principal.folder / "mine.py").write_text("from cdktr import Principal\nprint(Principal)\n")
    assert "<class 'cdktr.client.Principal'>" in python(installed, principal, program, "listen", "mine.py").stdout
    for words in (["start", "principal"], ["validate"]):
        ended = python(installed, principal, program, *words)
        assert ended.returncode == 5
        assert ended.stderr.startswith("cdktr: This command needs ")
        assert (
            "which is not installed here; pip install '.[server]' in the source tree of cdktr brings it\n"
            in ended.stderr
        )
