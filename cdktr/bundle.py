"""The frozen program: the folder that it was unpacked into, and what its start has done to its environment.

The one file is a shell script, `build/head.sh`, before an archive. It unpacks that once into `<room>/<hash>`, and each
start becomes the program there. This is the other side of it.
"""

# Kept light: each start of the frozen program goes through `begin`.
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Mapping, MutableMapping

#: Set by the head: the one file, as it was called, and the environment as it was before the shell had it.
FILE = "_CDKTR_FILE"
ENVIRONMENT = "_CDKTR_ENVIRONMENT"

#: The word with which the head has the program look at what was unpacked.
SETTLE = "--settle"

#: The word before a script that the interpreter of cdktr is to run.
SCRIPT = "--script"

#: In the folder: what belongs to it, and what each process of it holds. `build/pack.py` writes them.
MANIFEST = "manifest"
LOCK = "lock"

#: Seconds after the last start of a version, or after the beginning of its unpacking, until it may be removed.
UNUSED_S = 3600

#: Bytes from which on a file is written to the disk before the folder gets its name. After a power cut, smaller ones
#: are whole or empty, and the head sees that.
SYNCED_SIZE = 256 * 1024

#: Set by the loader for itself; what we start must not see them.
_LOADER_PREFIXES = ("_PYI_", "_MEIPASS")
_LOADER_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LIBPATH")


def begin() -> None:
    """What the frozen program does before all else: its environment is again what its user set, its folder is held
    until this process ends, and versions that nobody uses any more are removed."""
    restore(os.environ)
    folder = os.path.dirname(sys.executable)
    if hold(folder):
        remove_unused(folder)


def file() -> str | None:
    """The path of the one file, as it was called; None when this program does not come from one."""
    return os.environ.get(FILE)


def own_command() -> list[str]:
    """How this version of the program is started: where it was unpacked, or the interpreter and the script it was
    given. The one file may be of another version by now."""
    if getattr(sys, "frozen", False):
        return [sys.executable]
    return [sys.executable, os.path.realpath(sys.argv[0])]


def own_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What to give a process that `own_command` starts, for its environment to be this one in the end, or `environ`."""
    given = dict(os.environ if environ is None else environ)
    if getattr(sys, "frozen", False):
        given[ENVIRONMENT] = "\n".join(f"{name}={value}".replace("\n", "\1") for name, value in given.items())
    return given


# The environment


def restore(environ: MutableMapping[str, str]) -> None:
    """Undo what the head's shell and the loader have done to an environment; `FILE` stays."""
    original = environ.pop(ENVIRONMENT, None)
    clean = without_loader(environ) if original is None else _parsed(original)
    if FILE in environ:
        clean[FILE] = environ[FILE]
    for name in set(environ) - set(clean):
        del environ[name]
    for name, value in clean.items():
        if environ.get(name) != value:
            environ[name] = value


def _parsed(text: str) -> dict[str, str]:
    """The environment as the head hands it on: a line a variable, with 1 for each newline of its own."""
    entries = (entry.replace("\1", "\n").partition("=") for entry in text.split("\n"))
    return {name: value for name, equals, value in entries if name and equals}


def without_loader(environ: Mapping[str, str]) -> dict[str, str]:
    """A copy of an environment without what the loader has set in it."""
    clean = {name: value for name, value in environ.items() if not name.startswith(_LOADER_PREFIXES)}
    if len(clean) == len(environ):
        return clean
    for name in _LOADER_PATHS:
        clean.pop(name, None)
        if (original := clean.pop(f"{name}_ORIG", None)) is not None:
            clean[name] = original
    return clean


# The folder


def hold(folder: str) -> bool:
    """Hold a folder until this process ends; no child of it has a part in that. False when there is nothing to hold:
    the folder was not unpacked by the head."""
    try:
        lock = _open(os.path.join(folder, LOCK))
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        # What clears old files out of /var/tmp leaves a folder alone that is locked itself.
        fcntl.flock(_open(folder), fcntl.LOCK_SH)
        os.utime(lock)
    except OSError:
        pass  # no locks in this file system, or nothing may be written there
    return True


def _open(path: str) -> int:
    """A descriptor above those of the standard streams, which the caller may have closed."""
    found = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(found, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(found)


def remove_unused(folder: str) -> None:
    """Remove the other versions in the room of a folder that nobody holds and that were not started lately, and what
    is left of unpacking that was killed."""
    room, own = os.path.split(folder)
    try:
        names = [name for name in os.listdir(room) if name != own]
    except OSError:
        return
    for name in names:
        path = os.path.join(room, name)
        try:
            if name.startswith("."):
                _remove_old(path, path)
            else:
                _remove_version(path)
        except OSError:
            pass  # held, or another's


def _remove_old(path: str, dated: str) -> None:
    if time.time() - os.stat(dated).st_mtime < UNUSED_S:
        return
    import shutil

    # Out of the way first: nobody finds half of it.
    aside = _aside(path)
    os.rename(path, aside)
    shutil.rmtree(aside, ignore_errors=True)


def _remove_version(path: str) -> None:
    lock = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_old(path, os.path.join(path, LOCK))
    finally:
        os.close(lock)


def _aside(path: str) -> str:
    room, name = os.path.split(path)
    return os.path.join(room, f".old-{name.lstrip('.')}-{os.getpid()}")


def settle(new: str, folder: str) -> str | None:
    """Give the folder `new` the name `folder` if all of it is there and as it was packed; None, or what is wrong.

    Another that was faster is left in its place, unless something is missing in it. Raises OSError.
    """
    # After the folder has moved, nothing can be loaded from it.
    import hashlib
    import shutil

    with open(os.path.join(new, MANIFEST), "rb") as file:
        manifest = file.read()
    wanted = os.path.basename(folder)
    if hashlib.sha256(manifest).hexdigest()[: len(wanted)] != wanted:
        return "the file was changed while it was unpacked; start it again"
    for digest, size, name in _entries(manifest):
        with open(os.path.join(new, name), "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                return f"{name} is not as it was packed"
            if size >= SYNCED_SIZE:
                os.fsync(file.fileno())
    os.utime(os.path.join(new, LOCK))
    room = os.open(os.path.dirname(folder), os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock_room(room)
        if os.path.lexists(folder):
            if _is_whole(folder, manifest):
                return None
            aside = _aside(folder)
            os.rename(folder, aside)
            shutil.rmtree(aside, ignore_errors=True)
        os.rename(new, folder)
    finally:
        os.close(room)
    return None


def _lock_room(room: int) -> None:
    try:
        fcntl.flock(room, fcntl.LOCK_EX)
    except OSError:
        pass  # no locks in this file system: two that mend the same folder may meet, and one of them starts anew


def _entries(manifest: bytes) -> Iterator[tuple[str, int, str]]:
    """Digest, size and name of each file; links, which the files are not without, are left out."""
    for line in manifest.decode().splitlines():
        digest, size, name = line.split(" ", 2)
        if digest != "link":
            yield digest, int(size), name


def _is_whole(folder: str, manifest: bytes) -> bool:
    try:
        return all(os.stat(os.path.join(folder, name)).st_size == size for _, size, name in _entries(manifest))
    except OSError:
        return False
