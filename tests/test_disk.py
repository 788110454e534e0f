"""Folders made durable."""

import os
from pathlib import Path

import pytest

from cdktr.disk import sync_folder, sync_parents


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were synced."""
    paths: list[str] = []
    sync = os.fsync

    def note(number: int) -> None:
        paths.append(os.readlink(f"/proc/self/fd/{number}"))
        sync(number)

    monkeypatch.setattr(os, "fsync", note)
    return paths


def test_a_folder(synced: list[str], tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    sync_folder(tmp_path)
    assert synced == [str(tmp_path.resolve())]
    assert os.listdir("/proc/self/fd") == before
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "missing")


def test_all_that_lead_to_a_folder(synced: list[str], tmp_path: Path) -> None:
    """Those that cannot be, or are not there, hold up nothing."""
    sync_parents(tmp_path / "missing" / "new")
    assert synced == [str(each) for each in tmp_path.resolve().joinpath("x").parents]
