import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from cdktr.errors import HeldError
from cdktr.lock import take_lock


def test_a_lock_names_its_last_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("a very long number of another time")
    lock = take_lock(path, "the folder", "CDKTR_X")
    assert not os.get_inheritable(lock)
    with pytest.raises(
        HeldError, match=rf"process {os.getpid()} on {socket.gethostname()}\) holds the folder; stop it, or set CDKTR_X"
    ):
        take_lock(path, "the folder", "CDKTR_X")
    with pytest.raises(HeldError, match="Another listener"):
        take_lock(path, "the folder", "CDKTR_X", "listener")
    os.close(lock)
    os.close(take_lock(path, "the folder", "CDKTR_X"))


def test_a_full_disk_that_takes_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "lock"
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        lock = take_lock(path, "the folder", "CDKTR_X")
    with pytest.raises(HeldError, match=r"process unknown\) holds the folder"):
        take_lock(path, "the folder", "CDKTR_X")
    os.close(lock)
    os.close(take_lock(path, "the folder", "CDKTR_X"))


def test_a_place_where_no_lock_can_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take_lock(tmp_path / "missing" / "lock", "the folder", "CDKTR_X")
