"""`!UvPython` under the one file: with the uv beside it or in it, on a host without a network."""

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.binary.conftest import carries_uv
from tests.binary.place import Place, program, rooms
from tests.integration.wheels import make_wheel
from tests.integration.wire import eventually
from tests.namespace import Namespace, why_not

WORKFLOW = """\
name: Packages
tasks: {t: {name: T, config: !UvPython {script_path: show.py, packages: ['tinypkg>=1.1,<2']}}}
"""

SCRIPT = """\
import json, os, tinypkg
print(tinypkg.VERSION)
print(json.dumps({name: text for name, text in os.environ.items() if name.startswith("UV_")}))
"""


def test_packages_without_a_network(place: Place, file: Path, unpacked: Path) -> None:
    if (why := why_not()) is not None:
        pytest.skip(why)
    for version in ("1.0", "1.2", "2.0"):
        make_wheel(place.folder / "wheels", "tinypkg", version)
    (place.folder / "workflows").mkdir()
    (place.folder / "workflows" / "packages.yml").write_text(WORKFLOW)
    (place.folder / "show.py").write_text(SCRIPT)
    cache = place.folder / "cache"
    own = {"UV_FIND_LINKS": "wheels", "UV_PYTHON": sys.executable, "UV_OFFLINE": "1", "UV_CACHE_DIR": str(cache)}
    place.env = {**own}
    if not carries_uv(unpacked):
        (file.parent / "uv").symlink_to(find_uv_bin())
    with Namespace() as network:
        place.enter = [program(network.enter[0]), *network.enter[1:]]
        with place.running() as there:
            lines = there.ok("task", "run", "packages", "--wait", "--follow").splitlines()
            [room] = rooms(place.folder / "home" / ".cdktr")
            found = room / "_internal" / "uv" if carries_uv(unpacked) else file.parent / "uv"
            line = f"uv         {metadata.version('uv')} at {found} on 1 agent\n"
            eventually(lambda: line in there.ok("status"), "which uv the agent has")
    said = [line.partition("] STDOUT ")[2] for line in lines if "] STDOUT " in line]
    assert said[0] == "1.2"
    # uv adds some of its own.
    assert own.items() <= json.loads(said[1]).items()
    assert any(cache.iterdir())


def test_uv_is_listed_where_it_is_in_the_file(binary: Path, unpacked: Path, place: Place) -> None:
    parts = {part["name"]: part for part in json.loads(place.ok("licenses", "--json"))}
    bill = json.loads(binary.with_name(f"{binary.name}.cdx.json").read_text())
    kinds = {part["name"]: part["type"] for part in bill["components"]}
    if not carries_uv(unpacked):
        assert "uv" not in {*parts, *kinds}
        return
    assert (parts["uv"]["version"], kinds["uv"]) == (metadata.version("uv"), "application")
    assert "Apache License" in place.ok("licenses", "uv")
