"""One look at a folder: the files in it, as they are now.

Plain files count. Links do not, and are not followed: who may write into the folder could have a workflow read what he
himself may not. Hidden files and folders are left out, and files with the names that unfinished ones have, unless a
pattern names them.
"""

import os
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase, translate

from cdktr.arrivals import Listing, Place, Version

#: Names of hidden and of unfinished files.
UNFINISHED = (".*", "*~", "*.part", "*.tmp", "*.swp")
#: All of them at once, as most names are none.
_UNFINISHED = re.compile("|".join(map(translate, UNFINISHED)))

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Look:
    """What a look found."""

    def __init__(self, folder: str, patterns: Sequence[str], recursive: bool) -> None:
        """Look at the folder, with `recursive` at those in it, too. Raises nothing: what cannot be read is told."""
        #: Files and folders that could not be looked at, each with the reason; the folder itself is "".
        self.problems: dict[str, str] = {}
        self._folder = folder
        self._patterns = patterns
        self._recursive = recursive
        self._files: dict[str, Version] = {}
        self._folders: dict[str, Place] = {}
        self._coming = [""]
        while self._coming:
            path = self._coming.pop()
            try:
                self._read(path)
            except OSError as error:
                # One that went away since it was seen has no files any more. The folder itself may come back.
                if not path or not isinstance(error, FileNotFoundError):
                    self.problems[path] = error.strerror or str(error)
        self.listing = Listing(self._files, self._folders, frozenset(self.problems))

    def _read(self, path: str) -> None:
        # Open, so that what is named and what is read is the same folder.
        number = self._open(path)
        try:
            about = os.fstat(number)
            self._folders[path] = Place(about.st_dev, about.st_ino)
            with os.scandir(number) as entries:
                for entry in entries:
                    self._meet(entry, f"{path}/{entry.name}" if path else entry.name)
        finally:
            os.close(number)

    def _open(self, path: str) -> int:
        """A folder, one step after the other: none may have become a link since it was seen."""
        number = os.open(self._folder, _OPEN)
        for name in path.split("/") if path else ():
            above = number
            try:
                number = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=above)
            finally:
                os.close(above)
        return number

    def _meet(self, entry: os.DirEntry[str], path: str) -> None:
        try:
            if entry.is_dir(follow_symlinks=False):
                if self._recursive and not entry.name.startswith("."):
                    self._coming.append(path)
            elif counts(entry.name, self._patterns) and entry.is_file(follow_symlinks=False):
                about = entry.stat(follow_symlinks=False)
                if is_text(path):
                    self._files[path] = Version(path, about.st_size, about.st_mtime_ns)
                else:
                    self.problems[path] = "its name is not UTF-8 and cannot be passed on; give it another"
        except FileNotFoundError:
            # It went away just now.
            pass
        except OSError as error:
            self.problems[path] = error.strerror or str(error)


def counts(name: str, patterns: Sequence[str]) -> bool:
    """Whether a file of this name is meant: it matches one of the patterns, if there are any; for an unfinished one,
    a pattern that is about such."""
    kinds = [kind for kind in UNFINISHED if fnmatchcase(name, kind)] if _UNFINISHED.match(name) else []
    if not patterns:
        return not kinds
    return any(fnmatchcase(name, pattern) and all(fnmatchcase(pattern, kind) for kind in kinds) for pattern in patterns)


def is_text(path: str) -> bool:
    """Whether a path can be passed on as text."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
