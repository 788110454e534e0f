"""A file that one process holds at a time."""

import fcntl
import os
from pathlib import Path

from cdktr.errors import StartError


def take_lock(path: Path, what: str, setting: str) -> int:
    """Lock a file for this process until the returned descriptor is closed.

    Raises StartError that names who holds it, OSError when the file cannot be made.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 100).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise StartError(
            f"Another principal (process {holder}) holds {what}; stop it, or set {setting} to another place"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock
