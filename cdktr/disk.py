"""Folders on the disk, made durable: which files they hold is still so after a power cut."""

import os
from contextlib import suppress
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make durable which files it holds. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_parents(folder: Path) -> None:
    """Make the path to a new folder durable, as far as that can be asked for."""
    for parent in folder.absolute().parents:
        with suppress(OSError):
            sync_folder(parent)
