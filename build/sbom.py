"""What is in the program that PyInstaller makes: the list for `cdktr licenses`, and of that a CycloneDX SBOM.

    python build/sbom.py COMPONENTS.json SBOM.cdx.json

The list is made by `take_along`, which the recipe calls, from the files that go into the program: each is of a
distribution, of the interpreter or of a library that is known here. One that is not ends the build.
"""

import hashlib
import importlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cdktr.components import FILE, PYTHON, Component, from_json, of_distribution, own, python, to_json  # noqa: E402

LICENSES = Path(__file__).with_name("licenses")

#: A file of the program as PyInstaller lists it: where it goes, where it is from, what it is.
Entry = tuple[str, str, str]

#: The libraries of the interpreter and of the compiler; each has its licence in LICENSES.
KNOWN: Mapping[str, tuple[str, str, str]] = {
    "OpenSSL": ("Apache-2.0", "TLS and hashes", PYTHON),
    "zlib": ("Zlib", "compression", PYTHON),
    "bzip2": ("bzip2-1.0.6", "compression", PYTHON),
    "liblzma": ("LicenseRef-public-domain", "compression", PYTHON),
    "libffi": ("MIT", "calls of C functions", PYTHON),
    "ncurses": ("X11-distribute-modifications-variant", "terminals", PYTHON),
    "SQLite": ("blessing", "embedded database of Python", PYTHON),
    "Expat": ("MIT", "XML", PYTHON),
    "mpdecimal": ("BSD-2-Clause", "decimal numbers", PYTHON),
    "libuuid": ("BSD-3-Clause", "unique ids", PYTHON),
    "GCC": ("GPL-3.0-or-later WITH GCC-exception-3.1", "runtime library of C and C++", ""),
}
#: By the module of the standard library that has it in it or needs it.
BY_MODULE = {
    **dict.fromkeys(("_ssl", "_hashlib"), "OpenSSL"),
    **dict.fromkeys(("_curses", "_curses_panel"), "ncurses"),
    "zlib": "zlib",
    "_bz2": "bzip2",
    "_lzma": "liblzma",
    "_ctypes": "libffi",
    "_sqlite3": "SQLite",
    "pyexpat": "Expat",
    "_decimal": "mpdecimal",
    "_uuid": "libuuid",
}
#: By the name of its file, without what follows ".so".
BY_FILE = {
    **dict.fromkeys(("libssl", "libcrypto"), "OpenSSL"),
    **dict.fromkeys(("libncurses", "libncursesw", "libpanel", "libpanelw", "libtinfo", "libtinfow"), "ncurses"),
    **dict.fromkeys(("libstdc++", "libgcc_s"), "GCC"),
    "libz": "zlib",
    "libbz2": "bzip2",
    "liblzma": "liblzma",
    "libffi": "libffi",
    "libsqlite3": "SQLite",
    "libexpat": "Expat",
    "libmpdec": "mpdecimal",
    "libuuid": "libuuid",
}
BOOTLOADER = "PyInstaller bootloader"

#: How the interpreter tells the version of what it uses; the others are asked of the host's packages.
VERSIONS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "OpenSSL": ("ssl", lambda module: module.OPENSSL_VERSION.split()[1]),
    "zlib": ("zlib", lambda module: module.ZLIB_RUNTIME_VERSION),
    "SQLite": ("sqlite3", lambda module: module.sqlite_version),
    "ncurses": ("curses", lambda module: "{}.{}.{}".format(*module.ncurses_version)),
    "Expat": ("pyexpat", lambda module: module.EXPAT_VERSION.removeprefix("expat_")),
    "mpdecimal": ("_decimal", lambda module: module.__libmpdec_version__),
}
#: Beside an interpreter of our own: versions of what is linked into it, by the names of KNOWN.
OWN_VERSIONS = Path(sys.base_prefix) / "versions.json"


def take_along(entries: Iterable[Entry], folder: str) -> list[Entry]:
    """Write the list of what these files are of, and return the entry that takes it along."""
    path = Path(folder) / FILE.name
    path.write_text(to_json(collected(list(entries))), encoding="utf-8")
    return [(f"cdktr/{FILE.name}", str(path), "DATA")]


def collected(entries: list[Entry]) -> list[Component]:
    """The parts that the files are of: ours, the interpreter, what it needs, distributions, the loader."""
    owners = {os.path.realpath(path): found for found in distributions() for path in files_of(found)}
    found: dict[str, Distribution] = {}
    libraries: dict[str, str] = {}
    for target, source, kind in entries:
        if kind == "BINARY" and ".so" in Path(target).name and os.path.realpath(source) not in owners:
            name = Path(target).name.partition(".so")[0].partition("-")[0]
            if not name.startswith("libpython"):
                libraries[known(BY_FILE.get(name), target, source)] = source
        elif kind == "EXTENSION" and (name := BY_MODULE.get(module_of(target))):
            libraries.setdefault(name, "")
        if owner := owners.get(os.path.realpath(source)):
            found[owner.metadata["Name"]] = owner
    for name in set(sys.builtin_module_names) & BY_MODULE.keys():
        libraries.setdefault(BY_MODULE[name], "")
    parts = [own(), python()]
    parts += [library(name, libraries[name]) for name in KNOWN if name in libraries]
    for name in sorted(found, key=str.lower):
        parts += [bootloader(found[name])] if name == "pyinstaller" else of_distribution(found[name])
    if "pyinstaller" not in found:
        parts += [bootloader(each) for each in distributions() if each.metadata["Name"] == "pyinstaller"]
    return parts


def files_of(found: Distribution) -> Iterator[str]:
    """The paths of what a distribution installed."""
    for path in found.files or ():
        yield str(found.locate_file(path))
        if path.parts[0] == "..":
            # Of a program, pip notes another place than it has with --target.
            yield str(found.locate_file(Path("bin", path.name)))


def module_of(target: str) -> str:
    """The module that a file such as `python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so` is."""
    return Path(target).name.partition(".")[0]


def known(name: str | None, target: str, source: str) -> str:
    """The name of a library of KNOWN; the build ends for another."""
    if name is None:
        sys.exit(
            f"{target} ({source}) would go into the program, and build/sbom.py does not know under which "
            "licence it is. Leave out what needs it (LEFT_OUT in build/cdktr.spec), or add it to KNOWN and licenses/"
        )
    return name


def library(name: str, source: str) -> Component:
    """A part of the interpreter or of the compiler; `source` is its file, empty when it is linked into another."""
    expression, about, inside = KNOWN[name]
    text = (LICENSES / f"{name}.txt").read_text(encoding="utf-8")
    return Component(name, version_of(name, source), expression, about, inside, texts=(text,))


def version_of(name: str, source: str) -> str:
    """As the library, the interpreter's build or the host's package has it; empty where nobody knows."""
    if name in VERSIONS:
        module, told = VERSIONS[name]
        return told(importlib.import_module(module))
    if OWN_VERSIONS.exists() and (version := json.loads(OWN_VERSIONS.read_text()).get(name)):
        return str(version)
    real = os.path.realpath(source)
    # Of our own run time of C and C++: the packages from which it was taken lie beside it.
    for package in sorted(Path(real).parent.parent.glob("runtime/*.deb")) if source else ():
        return package.name.split("_")[1].rpartition("-")[0]
    # A package may name the path from before /lib became a link.
    for path in (real, real.removeprefix("/usr")) if source else ():
        owner = asked("dpkg-query", "-S", path).partition(": ")[0]
        if owner:
            return asked("dpkg-query", "-W", "-f", "${source:Upstream-Version}", owner.partition(",")[0])
    return ""


def asked(*command: str) -> str:
    """What a program says, empty when it fails or is not here."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def bootloader(found: Distribution) -> Component:
    """Of PyInstaller only that goes into the program."""
    made = of_distribution(found)[0]
    about = "starts the interpreter; its exception lets programs of any licence be built with it"
    return Component(BOOTLOADER, made.version, "GPL-2.0-or-later WITH Bootloader-exception", about, texts=made.texts)


# CycloneDX

#: Of these parts it is known that there is more in them.
INCOMPLETE = ("duckdb", "uv")


def sbom(parts: Iterable[Component], moment: int) -> str:
    """The parts as a CycloneDX document of 1.5; `moment` is its time in seconds since the epoch."""
    first, *others = parts
    references = {each.name: purl(each) for each in (first, *others)}
    document: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": described(first, "application"),
        },
        "components": [described(each, "application" if each.name == "uv" else "library") for each in others],
        "dependencies": [
            {"ref": reference, "dependsOn": [references[each.name] for each in others if holder(each, first) == name]}
            for name, reference in references.items()
        ],
        "compositions": [
            {"aggregate": "incomplete", "assemblies": [references[each.name] for each in others if unclear(each)]}
        ],
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_OID, digest).urn
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def holder(part: Component, first: Component) -> str:
    """The name of the part that needs this one."""
    return part.inside or first.name


def unclear(part: Component) -> bool:
    """Whether what is in it is not told."""
    return part.name in INCOMPLETE


def described(part: Component, kind: str) -> dict[str, Any]:
    """A part as CycloneDX has it."""
    made = {"type": kind, "bom-ref": purl(part), "name": part.name}
    if part.version:
        made["version"] = part.version
    return {**made, "description": part.about, "licenses": [{"expression": part.license}], "purl": purl(part)}


def purl(part: Component) -> str:
    """The package URL."""
    name = part.name.lower().replace("_", "-") if part.kind == "pypi" else part.name
    version = f"@{quote(part.version, safe='')}" if part.version else ""
    return f"pkg:{part.kind}/{quote(name, safe='')}{version}"


def main() -> None:
    """Write the SBOM of `sys.argv[1]` to `sys.argv[2]`."""
    parts = from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    target = Path(sys.argv[2])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(sbom(parts, int(os.environ.get("SOURCE_DATE_EPOCH", "0"))), encoding="utf-8")


if __name__ == "__main__":
    main()
