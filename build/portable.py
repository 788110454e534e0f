"""Says what the files of a program need of their host's C and C++ libraries, and fails where that is too new.

python build/portable.py FOLDER
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: The newest versions that a host must have: those of RHEL 8, Debian 10 and Ubuntu 20.04.
NEWEST = {"GLIBC": (2, 28), "GLIBCXX": (3, 4, 25)}

_NEEDED = re.compile(r"\*UND\*.*?\b(GLIBC|GLIBCXX)_([\d.]+)\)?\s")


def needs(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The versions of symbols that an ELF file takes from elsewhere."""
    said = subprocess.run(["objdump", "-T", str(path)], capture_output=True, text=True, check=True).stdout
    for library, version in _NEEDED.findall(said):
        yield library, tuple(int(part) for part in version.split("."))


def main() -> int:
    """Look at every ELF file below `sys.argv[1]`."""
    found: dict[str, tuple[tuple[int, ...], Path]] = {}
    too_new = []
    files = [path for path in sorted(Path(sys.argv[1]).rglob("*")) if path.is_file() and not path.is_symlink()]
    elf = [path for path in files if path.open("rb").read(4) == b"\x7fELF"]
    for path in elf:
        for library, version in needs(path):
            if version > found.get(library, ((), path))[0]:
                found[library] = (version, path)
            if version > NEWEST[library]:
                too_new.append(f"{path} needs {library} {'.'.join(map(str, version))}")
    if too_new or not elf:
        print("\n".join(dict.fromkeys(too_new)) or f"There is no program in {sys.argv[1]}", file=sys.stderr)
        return 1
    told = ", ".join(f"{library} {'.'.join(map(str, version))}" for library, (version, _) in sorted(found.items()))
    print(f"{len(elf)} files need at most {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
