"""One file of the program's folder: a head, which is a shell script, and the folder as a tar.gz.

    python build/pack.py FOLDER FILE

The same folder makes the same file, whenever, wherever and by whomever it is packed. Beside it goes FILE.sha256.
"""

import gzip
import hashlib
import io
import os
import platform
import re
import shutil
import stat
import sys
import tarfile
from pathlib import Path

HEAD = Path(__file__).with_name("head.sh")

#: Names the program by its content: the SHA-256, size and name of each file. `cdktr/bundle.py` reads it.
MANIFEST = "manifest"

#: What each process of the program holds. Not empty: the head takes an empty file for a lost one.
LOCK = "lock"
LOCK_TEXT = b"Each process of this version holds this file; a version that nobody holds is removed by a later one.\n"

#: Of the hash: more than enough for no two versions to meet.
DIGITS = 16

#: Whatever a part of the unpacked folder needs in a file system beyond its length.
BLOCK = 4096


def main() -> None:
    """Pack `sys.argv[1]` into `sys.argv[2]`."""
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    manifest = make_manifest(folder)
    digest = hashlib.sha256(manifest).hexdigest()[:DIGITS]
    payload = gzip.compress(make_tar(folder, manifest), 9, mtime=0)
    head = fill(HEAD.read_text("utf-8"), folder, digest, len(payload))
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        # As earlier versions of the build made it.
        shutil.rmtree(target)
    # Beside it and moved: nobody starts half of it.
    beside = target.with_name(target.name + ".new")
    beside.write_bytes(head + payload)
    beside.chmod(0o755)
    beside.replace(target)
    total = hashlib.sha256(target.read_bytes()).hexdigest()
    target.with_name(target.name + ".sha256").write_text(f"{total}  {target.name}\n")
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, unpacked {needs(folder)} MB as {digest}")


def members(folder: Path) -> list[Path]:
    """All that is in the folder, sorted by name."""
    return sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix())


def make_manifest(folder: Path) -> bytes:
    """A line for each file and link."""
    lines = []
    for path in members(folder):
        name = path.relative_to(folder).as_posix()
        # The head holds the names in one list.
        if not re.fullmatch(r"[\w./+@=,-]+", name, re.ASCII):
            sys.exit(f"{name}: pack.py takes no such name")
        if path.is_symlink():
            lines.append(f"link {os.readlink(path)} {name}\n")
        elif path.is_file():
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size} {name}\n")
    return "".join(lines).encode()


def make_tar(folder: Path, manifest: bytes) -> bytes:
    """The folder, its manifest and its lock; owners and times are the same for all."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in members(folder):
            add(archive, path.relative_to(folder).as_posix(), path)
        for name, content in ((LOCK, LOCK_TEXT), (MANIFEST, manifest)):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o644, moment()
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    """One member: a folder, a link or a file, which is executable or not."""
    info = tarfile.TarInfo(name)
    info.mtime = moment()
    if path.is_symlink():
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
        archive.addfile(info)
    elif path.is_dir():
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(info)
    else:
        info.size = path.stat().st_size
        info.mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
        with path.open("rb") as file:
            archive.addfile(info, file)


def moment() -> int:
    """The time that all files bear, in seconds since the epoch."""
    return int(os.environ.get("SOURCE_DATE_EPOCH", "0"))


def needs(folder: Path) -> int:
    """MB on the disk."""
    size = sum(-(-path.lstat().st_size // BLOCK) * BLOCK for path in members(folder))
    return -(-size // 1_000_000)


def fill(template: str, folder: Path, digest: str, payload: int) -> bytes:
    """The head. It names its own length, which depends on how that is written."""
    files = [path.relative_to(folder).as_posix() for path in members(folder) if path.is_file()]
    values = {
        "HASH": digest,
        "NEEDS_MB": str(needs(folder)),
        "MACHINE": platform.machine(),
        "LOADER": loader(folder / "cdktr"),
        "FILES": " ".join([name for name in files if (folder / name).stat().st_size] + [LOCK, MANIFEST]),
    }
    length = 0
    while True:
        given = {**values, "OFFSET": str(length + 1), "SIZE": str(length + payload)}
        head = re.sub(r"@([A-Z_]+)@", lambda match, given=given: given[match[1]], template).encode()
        if len(head) == length:
            return head
        length = len(head)


def loader(program: Path) -> str:
    """The dynamic loader that an ELF program names: the kernel needs it, and it tells which C library is meant."""
    found = re.search(rb"/lib[\w/.-]*/ld-[\w.-]+", program.read_bytes())
    if found is None:
        sys.exit(f"{program} names no dynamic loader")
    return found[0].decode()


if __name__ == "__main__":
    main()
