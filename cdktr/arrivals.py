"""Which files have arrived: new or changed ones that have settled, each version once.

`Arrivals` is told what a look at the folder found and says what is due. Paths are relative to the folder that is
watched, which is "" itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

#: Seconds until a file whose trigger was refused is tried again: first, and at most.
AGAIN_S = (1.0, 60.0)


class Version(NamedTuple):
    """A file as it was at one moment; after a change it is another version.

    Its number on the disk is no part of it: there are file systems that number their files anew while one looks.
    """

    path: str
    size: int
    mtime_ns: int


class Place(NamedTuple):
    """Which folder it is that has a path: after a file system was mounted or unmounted there, it is another."""

    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What one look found."""

    files: Mapping[str, Version] = field(default_factory=dict)
    #: The folders that were read, by path.
    folders: Mapping[str, Place] = field(default_factory=dict)
    #: Those that could not be read, or not to their end.
    unread: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Waiting:
    version: Version
    #: When it is due, if it stays as it is.
    at: float
    pause_s: float = AGAIN_S[0]


class Arrivals:
    """The files of a folder that are waiting to count, and those that have.

    A file that is gone is forgotten, but not when it is its folder that cannot be seen: where nothing can be read, or
    where an empty folder is not the one that was there, as after an unmount.
    """

    def __init__(
        self, settle_s: float, counted: Iterable[Version] = (), folders: Mapping[str, Place] | None = None
    ) -> None:
        """`counted` and `folders` are what an earlier one knew."""
        self._settle_s = settle_s
        #: The version of each file that has counted, by path.
        self.counted = {version.path: version for version in counted}
        #: The folders that files were last seen in.
        self.folders = dict(folders or {})
        #: The folders that are empty and others than before.
        self.doubted: frozenset[str] = frozenset()
        self._waiting: dict[str, _Waiting] = {}
        self._present: Mapping[str, Version] = {}

    def see(self, listing: Listing, now: float) -> dict[str, Place]:
        """Take in what a look found. `now` is in seconds, of any clock that does not jump.

        Returns the folders that are new, or others than before, which are to be noted.
        """
        self._present = listing.files
        moved = {path for path, place in listing.folders.items() if self.folders.get(path, place) != place}
        for path, version in listing.files.items():
            waiting = self._waiting.get(path)
            if self.counted.get(path) == version:
                self._waiting.pop(path, None)
            elif waiting is None or waiting.version != version:
                self._waiting[path] = _Waiting(version, now + self._settle_s)
        full = {parent(path) for path in (*listing.files, *listing.folders) if path} if moved else set()
        self.doubted = frozenset(moved - full)
        return self._forget(listing, self.doubted | listing.unread)

    def _forget(self, listing: Listing, unseen: frozenset[str]) -> dict[str, Place]:
        known: tuple[dict[str, Version] | dict[str, _Waiting], ...] = (self.counted, self._waiting)
        for files in known:
            for path in [path for path in files if path not in listing.files and not _is_in(path, unseen)]:
                del files[path]
        for path in [path for path in self.folders if path not in listing.folders and not _is_in(path, unseen)]:
            del self.folders[path]
        places = {path: place for path, place in listing.folders.items() if path not in unseen}
        new = {path: place for path, place in places.items() if self.folders.get(path) != place}
        self.folders.update(new)
        return new

    def due(self, now: float) -> list[Version]:
        """The versions that count now, the oldest first; each until it is told to `count`."""
        found = [
            waiting.version for path, waiting in self._waiting.items() if waiting.at <= now and path in self._present
        ]
        return sorted(found, key=lambda version: (version.mtime_ns, version.path))

    def count(self, version: Version) -> None:
        """It has counted."""
        self.counted[version.path] = version
        self._waiting.pop(version.path, None)

    def count_all(self) -> int:
        """All that is there now counts as if it had before; returns how many that are."""
        for version in self._present.values():
            self.count(version)
        return len(self._present)

    def put_off(self, version: Version, now: float) -> float:
        """Its trigger was refused: it is due again after a while, each time a longer one; returns the seconds."""
        waiting = self._waiting[version.path]
        pause_s = waiting.pause_s
        waiting.at = now + pause_s
        waiting.pause_s = min(pause_s * 2, AGAIN_S[1])
        return pause_s


def parent(path: str) -> str:
    """The folder that holds it; "" is the one that is watched."""
    return path.rpartition("/")[0]


def _is_in(path: str, folders: frozenset[str]) -> bool:
    """Whether it is one of these folders, or in one, at whatever depth."""
    if not folders:
        return False
    while path and path not in folders:
        path = parent(path)
    return path in folders
