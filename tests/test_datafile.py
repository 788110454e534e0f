"""The database's file on the disk. What DuckDB makes of it is in test_database.py."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cdktr.datafile import HEAD_BYTES, DataFile
from cdktr.errors import StartError, StoreError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with something in it."""
    found = tmp_path / "app.db"
    found.write_bytes(b"\1" * 5 * HEAD_BYTES)
    return found


def test_the_lock_tells_whose_the_file_is(path: Path) -> None:
    first = DataFile(str(path))
    assert not first.is_ours
    with pytest.raises(StartError, match="holds the database"):
        DataFile(str(path))
    first.release()
    assert os.listdir(path.parent) == ["app.db"]
    second = DataFile(str(path))
    second.is_ours = True
    second.release()
    third = DataFile(str(path))
    assert third.is_ours
    third.release()


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda path: None, None),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), None),
        (lambda path: os.truncate(path, 4 * HEAD_BYTES), None),
        (lambda path: path.unlink(), "removed"),
        (lambda path: path.rename(path.with_name("x")), "removed"),
        (lambda path: Path(shutil.copy(path, path.with_name("x"))).replace(path), "replaced"),
        (lambda path: path.write_bytes(b"\2" * 5 * HEAD_BYTES), "overwritten"),
        (lambda path: os.truncate(path, 0), "overwritten"),
        (lambda path: os.truncate(path, 2 * HEAD_BYTES), "cut short"),
    ],
)  # fmt: skip
def test_what_becomes_of_it_is_seen(path: Path, harm: object, what: str | None) -> None:
    file = DataFile(str(path))
    file.watch()
    assert file.change() is None
    assert callable(harm)
    harm(path)
    assert file.change() == what
    file.unwatch()
    file.release()


def test_what_is_moved_aside_is_never_over_something_else(path: Path) -> None:
    file = DataFile(str(path))
    file.is_ours = True
    for number in range(3):
        path.write_text(str(number))
        Path(f"{path}.wal").write_text(f"log {number}")
        file.move_aside("for a test")
    assert [Path(name).read_text() for name in file.set_aside] == ["0", "1", "2"]
    assert [Path(name + ".wal").read_text() for name in file.set_aside] == ["log 0", "log 1", "log 2"]
    file.release()


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def test_what_another_process_holds_is_not_moved(path: Path) -> None:
    file = DataFile(str(path))
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(StoreError, match="cannot be moved aside: another program has it open"):
            file.move_aside("for a test")
        holder.kill()
    assert path.exists()
    path.unlink()
    with pytest.raises(StoreError, match="cannot be moved aside: No such file"):
        file.move_aside("for a test")
    file.release()
