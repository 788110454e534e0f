"""A file that one process holds at a time."""

import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path

from cdktr.errors import HeldError


def take_lock(path: Path, what: str, setting: str, who: str = "principal") -> int:
    """Lock a file for this process until the returned descriptor is closed; no child of it has a part in that.

    Raises HeldError that names who holds it, OSError when the file cannot be made.
    """
    lock = try_lock(path)
    if lock is None:
        # Its first line: what an earlier holder left may follow for a moment.
        holder = path.read_bytes()[:400].decode(errors="replace").partition("\n")[0].strip() or "unknown"
        raise HeldError(
            f"Another {who} (process {holder}) holds {what}; stop it, or set {setting} to another place",
            f"process {holder} holds {what}",
        )
    # The folder may be shared: a number alone would not say where.
    text = f"{os.getpid()} on {socket.gethostname()}\n".encode()
    # The text is a courtesy: on a full disk the lock holds without it.
    with suppress(OSError):
        os.pwrite(lock, text, 0)
        os.ftruncate(lock, len(text))
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
