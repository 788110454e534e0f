"""The file under test, and places for it. `make test-binary`, or `pytest tests/binary --binary=FILE`."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.binary.place import Place

#: For what only root may make: mounts, users, a root folder.
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make the mounts and users for this")


def carries_uv(unpacked: Path) -> bool:
    """Whether the file that unpacks this folder was made with WITH_UV=1."""
    return (unpacked / "_internal" / "uv").exists()


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder that other users can look into, as they cannot into those of pytest, and that is gone afterwards: each
    test leaves 140 MB."""
    with TemporaryDirectory(prefix="cdktr-binary-", ignore_cleanup_errors=True) as made:
        os.chmod(made, 0o755)
        yield Path(made)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of the test's own."""
    with folder_for_all() as folder:
        yield folder


@pytest.fixture(scope="session")
def binary(pytestconfig: pytest.Config) -> Path:
    """The one file. The tests copy it, and leave it as it is."""
    path: Path = pytestconfig.getoption("binary")
    assert path.is_file(), f"there is no {path}; make binary makes it"
    # Each test would find it there.
    found = re.search(rb"(?m)^hash=(\w+)$", path.read_bytes()[:4096])
    assert found is not None
    last = Path("/var/tmp", f".cdktr-{os.geteuid()}", found[1].decode())
    assert not last.exists(), f"the same version is unpacked in {last}; remove that folder first"
    return path


@pytest.fixture(scope="session")
def unpacked(binary: Path) -> Iterator[Path]:
    """The folder that the file unpacks."""
    with folder_for_all() as home:
        shutil.copy(binary, home / "cdktr")
        Place(home, str(home / "cdktr"), {"HOME": str(home)}).ok("--version")
        [folder] = (home / ".cdktr").glob("program-*/*")
        yield folder


@pytest.fixture(scope="session")
def other_version(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the same program, and one file more."""
    folder = tmp_path_factory.mktemp("version") / "cdktr"
    shutil.copytree(unpacked, folder, symlinks=True)
    for name in ("lock", "manifest"):
        (folder / name).unlink()
    (folder / "_internal" / "more.txt").write_text("more\n")
    made = folder.parent / "file"
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, str(root / "build" / "pack.py"), str(folder), str(made)], check=True)
    return made


@pytest.fixture
def file(binary: Path, tmp_path: Path) -> Path:
    """A copy of the file in a folder of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "cdktr"
    shutil.copy(binary, path)
    path.chmod(0o755)
    return path


@pytest.fixture
def place(file: Path, tmp_path: Path) -> Place:
    """An ordinary host."""
    folder = tmp_path / "project"
    (folder / "home").mkdir(parents=True)
    return Place(folder, str(file))
