"""A file that one process holds at a time."""

import fcntl
import os
from pathlib import Path

from cdktr.errors import StartError


def take_lock(path: Path, what: str, setting: str) -> int:
    """Lock a file for this process until the returned descriptor is closed.

    Raises StartError that names who holds it, OSError when the file cannot be made.
    """
    lock = try_lock(path)
    if lock is None:
        holder = path.read_bytes()[:100].decode(errors="replace").strip() or "unknown"
        raise StartError(
            f"Another principal (process {holder}) holds {what}; stop it, or set {setting} to another place"
        )
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def try_lock(path: Path) -> int | None:
    """Lock a file for this process until the returned descriptor is closed; None when another holds it.

    Raises OSError when the file cannot be made.
    """
    lock = _open(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def wait_lock(path: Path) -> int:
    """As `try_lock`, but waits until nobody else holds it: for what is held for a moment only."""
    lock = _open(path)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
