"""What the program is made of: as it is installed, as the frozen file has it, and as an SBOM."""

import importlib.util
import json
import re
import sys
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cdktr import __version__, components
from cdktr.cli import main
from cdktr.components import Component, from_json, to_json

ROOT = Path(__file__).resolve().parent.parent

#: As `build/sbom.py` finds them, but for the texts.
PARTS = [
    Component("cdktr", "1.0", "MIT", "this program", kind="pypi", texts=("May be used.",)),
    Component("Python", "3.11.7", "PSF-2.0", "interpreter"),
    Component("PyYAML", "6.0", "MIT", "YAML", kind="pypi"),
    Component("libyaml", "0.2.5", "MIT", "YAML in C", inside="PyYAML"),
    Component("GCC", "", "GPL-3.0-or-later WITH GCC-exception-3.1", "größer"),
]


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    """The script of the build, which is no package."""
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "build/sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_that_is_needed_at_run_time_is_listed() -> None:
    found = {part.name: part for part in components.components()}
    pins = dict(
        re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.in").read_text().partition("# To build")[0], re.M)
    )
    assert {"pyzmq", "duckdb", "pyyaml", "asciimatics", "uv"} <= pins.keys()
    by_name = {name.lower(): part for name, part in found.items()}
    assert {name: by_name[name].version for name in pins} == pins
    assert found["cdktr"].version == __version__
    assert found["Python"].version == ".".join(map(str, sys.version_info[:3]))
    # What a wheel has in it tells its version itself.
    zmq = (found["libzmq"].license, found["libzmq"].inside)
    assert zmq == ("MPL-2.0", "pyzmq")
    assert re.fullmatch(r"4\.\d+\.\d+", found["libzmq"].version)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", found[name].version) for name in ("libsodium", "libyaml"))


def test_every_part_has_a_licence_and_its_text() -> None:
    for part in components.components():
        assert re.fullmatch(r"[\w.+-]+( (OR|AND|WITH) [\w.+-]+)*", part.license), part
        assert "LicenseRef" not in part.license, part
        assert all(part.texts), part
        assert part.texts, part
    texts = {part.name: " ".join(part.texts) for part in components.components()}
    assert "Mozilla Public License" in texts["libzmq"]
    assert "Mozilla" not in texts["pyzmq"]
    assert "ISC License" in texts["libsodium"]
    assert "Permission is hereby granted" in texts["cdktr"]


def test_the_command_lists_them_and_prints_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["licenses"]) == 0
    assert re.search(r"(?m)^  libzmq \(in pyzmq\) +4\.\S+ +MPL-2.0 ", capsys.readouterr().out)
    assert main(["licenses", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [listed[0][key] for key in ("name", "version", "license")] == ["cdktr", __version__, "MIT"]
    assert not [part for part in listed if "texts" in part]
    assert main(["licenses", "LIBZMQ"]) == 0
    assert capsys.readouterr().out.startswith("Mozilla Public License Version 2.0\n")
    assert main(["licenses", "libzma"]) == 4
    assert "'libzma' is no part of this program; did you mean libzmq?" in capsys.readouterr().err


def test_the_frozen_file_brings_its_list_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(components, "FILE", tmp_path / "components.json")
    (tmp_path / "components.json").write_text(to_json(PARTS), encoding="utf-8")
    assert components.components() == tuple(PARTS)


def frozen() -> list[tuple[str, str, str]]:
    """What PyInstaller would list of a small program."""
    import _decimal
    import _ssl

    files = {str(path): path for path in distribution("pyzmq").files or ()}
    library = next(path for path in files if Path(path).name.startswith("libzmq-"))
    program = next(path for path in distribution("uv").files or () if path.parts[-2:] == ("bin", "uv"))
    return [
        ("zmq", str(distribution("pyzmq").locate_file("zmq/__init__.py")), "PYMODULE"),
        (library, str(distribution("pyzmq").locate_file(library)), "BINARY"),
        ("uv", str(distribution("uv").locate_file(program)), "BINARY"),
        ("python3.11/lib-dynload/_ssl.so", _ssl.__file__, "EXTENSION"),
        ("python3.11/lib-dynload/_decimal.so", getattr(_decimal, "__file__", "_decimal"), "EXTENSION"),
        ("libssl.so.3", "/nowhere/libssl.so.3", "BINARY"),
        ("libstdc++.so.6", "/nowhere/libstdc++.so.6", "BINARY"),
        ("libpython3.11.so.1.0", "/nowhere/libpython3.11.so.1.0", "BINARY"),
    ]


def test_what_goes_into_the_frozen_file_is_found_by_its_files(sbom: ModuleType, tmp_path: Path) -> None:
    [(target, path, kind)] = sbom.take_along(frozen(), str(tmp_path))
    assert (target, kind) == ("cdktr/components.json", "DATA")
    found = {part.name: part for part in from_json(Path(path).read_text(encoding="utf-8"))}
    assert {
        "cdktr",
        "Python",
        "pyzmq",
        "libzmq",
        "OpenSSL",
        "mpdecimal",
        "GCC",
        "PyInstaller bootloader",
    } <= found.keys()
    # What is installed beside it, and not in it.
    assert not found.keys() & {"pytest", "duckdb", "PyYAML", "pyinstaller", "SQLite"}
    import ssl

    assert found["OpenSSL"].version == ssl.OPENSSL_VERSION.split()[1]
    assert found["GCC"].license.endswith("WITH GCC-exception-3.1")
    assert "Bootloader Exception" in found["PyInstaller bootloader"].texts[0]
    assert all(part.texts for part in found.values())


def test_the_version_of_a_run_time_that_was_taken_along(sbom: ModuleType, tmp_path: Path) -> None:
    """As `build/interpreter.py` leaves it."""
    for name in ("lib/libgcc_s.so.1", "lib/libstdc++.so.6", "runtime/libstdc++6_10.2.1-6_amd64.deb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for library in ("libgcc_s.so.1", "libstdc++.so.6"):
        assert sbom.version_of("GCC", str(tmp_path / "lib" / library)) == "10.2.1"


def test_a_library_of_which_nobody_knows_the_licence_ends_the_build(sbom: ModuleType, tmp_path: Path) -> None:
    entry = ("libreadline.so.8", "/lib/libreadline.so.8", "BINARY")
    with pytest.raises(SystemExit, match=r"libreadline\.so\.8 .* does not know under which licence"):
        sbom.take_along([*frozen(), entry], str(tmp_path))


def test_every_library_that_is_known_has_its_text(sbom: ModuleType) -> None:
    assert {path.stem for path in sbom.LICENSES.iterdir()} == set(sbom.KNOWN)
    assert {*sbom.BY_MODULE.values(), *sbom.BY_FILE.values()} == set(sbom.KNOWN)


def test_the_sbom_has_what_its_schema_asks_for(sbom: ModuleType) -> None:
    text = sbom.sbom(PARTS, 1_700_000_000)
    found: dict[str, Any] = json.loads(text)
    assert (found["bomFormat"], found["specVersion"], found["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", found["serialNumber"])
    assert found["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    parts = [found["metadata"]["component"], *found["components"]]
    assert [part["name"] for part in parts] == [part.name for part in PARTS]
    for part, made in zip(parts, PARTS, strict=True):
        assert part["type"] in ("application", "library")
        assert part["licenses"] == [{"expression": made.license}]
        assert part.get("version", "") == made.version
    references = [part["bom-ref"] for part in parts]
    assert len(set(references)) == len(references)
    assert references[2:4] == ["pkg:pypi/pyyaml@6.0", "pkg:generic/libyaml@0.2.5"]
    needs = {each["ref"]: each["dependsOn"] for each in found["dependencies"]}
    assert needs.keys() == set(references)
    assert needs[references[0]] == [references[1], references[2], references[4]]
    assert needs[references[2]] == [references[3]]


def test_the_sbom_is_that_of_its_facts_alone(sbom: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.json").write_text(to_json(PARTS), encoding="utf-8")
    target = tmp_path / "dist/cdktr.cdx.json"
    monkeypatch.setattr(sys, "argv", ["sbom.py", str(tmp_path / "list.json"), str(target)])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    sbom.main()
    assert target.read_text(encoding="utf-8") == sbom.sbom(PARTS, 5) != sbom.sbom(PARTS, 6)
    serials = [json.loads(sbom.sbom(parts, 5))["serialNumber"] for parts in (PARTS, PARTS, PARTS[:-1])]
    assert serials[0] == serials[1] != serials[2]
