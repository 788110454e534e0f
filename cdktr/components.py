"""What this program is made of: each part with its version and its licence.

The frozen file brings the list along, which `build/sbom.py` makes when it is built. Elsewhere it is read from what is
installed.
"""

import ctypes
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from cdktr import __version__

#: In the frozen file, beside this module.
FILE = Path(__file__).with_name("components.json")

#: The distributions that a program from a source tree or of pip may use, with those that these need.
LIBRARIES = ("pyzmq", "duckdb", "PyYAML", "asciimatics", "wcwidth", "tzdata", "uv")

PYTHON = "Python"
CDKTR = "cdktr"


@dataclass(frozen=True, slots=True)
class Component:
    """One part. `license` is an SPDX expression, `version` empty where the part does not tell it."""

    name: str
    version: str
    license: str
    about: str
    #: The part that has this one in it.
    inside: str = ""
    #: As a package URL has it: where the name is one.
    kind: str = "generic"
    texts: tuple[str, ...] = ()


def components() -> tuple[Component, ...]:
    """All parts, this program first."""
    try:
        text = FILE.read_text(encoding="utf-8")
    except FileNotFoundError:
        return tuple(_installed())
    return from_json(text)


def from_json(text: str) -> tuple[Component, ...]:
    """The parts that `to_json` has written."""
    return tuple(Component(**{**each, "texts": tuple(each["texts"])}) for each in json.loads(text))


def to_json(parts: Iterable[Component]) -> str:
    """The parts as text, the same for the same parts."""
    return json.dumps([asdict(each) for each in parts], indent=1, ensure_ascii=False) + "\n"


def _installed() -> Iterator[Component]:
    yield own()
    yield python()
    for name in LIBRARIES:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        yield from of_distribution(found)


def own() -> Component:
    """This program."""
    try:
        texts = [text for _, text in _license_files(distribution(CDKTR))]
    except PackageNotFoundError:
        # In a source tree.
        texts = [(Path(__file__).parents[1] / "LICENSE").read_text(encoding="utf-8")]
    return Component(CDKTR, __version__, "MIT", "this program", kind="pypi", texts=tuple(texts))


def python() -> Component:
    """The interpreter."""
    library = Path(os.__file__).parent
    places = [library / "LICENSE.txt", library / "LICENSE", library.parent / "LICENSE"]
    text = next((place.read_text(encoding="utf-8") for place in places if place.is_file()), "")
    about = "interpreter and standard library"
    return Component(PYTHON, platform.python_version(), "PSF-2.0", about, texts=(text,) if text else ())


# Distributions

#: Licences that metadata name in other words than SPDX does.
_SPDX: Mapping[str, str] = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}
_IS_LICENSE = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)
_IS_EXPRESSION = re.compile(r"[\w.+-]+( (AND|OR|WITH) [\w.+-]+)*")


@dataclass(frozen=True, slots=True)
class _Inner:
    """A library in a wheel: how its file begins, which of the wheel's licences is its own, how it tells its version."""

    component: Component
    file: str
    text: str
    version: str


_INSIDE: Mapping[str, tuple[_Inner, ...]] = {
    "pyzmq": (
        _Inner(Component("libzmq", "", "MPL-2.0", "ZeroMQ"), "libzmq-", "zeromq", "zmq_version"),
        _Inner(Component("libsodium", "", "ISC", "cryptography"), "libsodium-", "libsodium", "sodium_version_string"),
    ),
    "PyYAML": (_Inner(Component("libyaml", "", "MIT", "YAML in C"), "_yaml.", "", "yaml_get_version_string"),),
}
#: What their metadata do not say.
_ABOUT: Mapping[str, str] = {
    "duckdb": "embedded database; the libraries in it are in the folder third_party of its sources",
    "tzdata": "time zones; the data themselves are in the public domain",
}


def of_distribution(found: Distribution) -> list[Component]:
    """What a distribution is, and what is in it."""
    name = found.metadata["Name"]
    inner = _INSIDE.get(name, ())
    names = [each.text for each in inner if each.text]
    files = list(_license_files(found))
    texts = tuple(text for path, text in files if not any(part in path for part in names))
    about = _ABOUT.get(name) or found.metadata["Summary"] or ""
    made = [Component(name, found.version, _license(found), about.rstrip("."), kind="pypi", texts=texts)]
    for each in inner:
        library = next((path for path in found.files or () if path.name.startswith(each.file)), None)
        if library is not None:
            # One without a file of its own is under the licence of what it is in.
            own_texts = tuple(text for path, text in files if each.text and each.text in path) or texts
            version = _told_by(Path(str(found.locate_file(library))), each.version)
            made.append(replace(each.component, version=version, inside=name, texts=own_texts))
    return made


def _license(found: Distribution) -> str:
    metadata: Any = found.metadata
    if expression := metadata["License-Expression"]:
        return str(expression)
    classified = [_SPDX[each] for each in metadata.get_all("Classifier") or () if each in _SPDX]
    if classified:
        return " OR ".join(dict.fromkeys(classified))
    said = str(metadata["License"] or "").strip()
    return said if _IS_EXPRESSION.fullmatch(said) else f"LicenseRef-{found.metadata['Name']}"


def _license_files(found: Distribution) -> Iterator[tuple[str, str]]:
    """Path and text of each, in the order of their paths."""
    for path in sorted(found.files or (), key=str):
        if ".dist-info" in str(path) and _IS_LICENSE.search(path.name):
            yield str(path), Path(str(found.locate_file(path))).read_text(encoding="utf-8", errors="replace")


def _told_by(library: Path, name: str) -> str:
    """The version that a library tells, empty when it cannot be asked."""
    try:
        function = getattr(ctypes.CDLL(str(library)), name)
    except (OSError, AttributeError):
        return ""
    if name == "zmq_version":
        numbers = [ctypes.c_int() for _ in range(3)]
        function(*map(ctypes.byref, numbers))
        return ".".join(str(number.value) for number in numbers)
    function.restype = ctypes.c_char_p
    told: bytes = function()
    return told.decode()
