"""What is installed by pip is all of the package, and the examples with it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from cdktr.cli.init import samples
from tests.integration.cluster import ROOT

#: What a wheel is made from.
PARTS = ("cdktr", "workflows", "pyproject.toml", "README.md", "LICENSE")


def test_a_wheel_is_complete_and_makes_projects(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for part in PARTS:
        # A build leaves things in the tree that it is made from, so this one is a copy.
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, tree / part)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", *options, "--wheel-dir", str(tmp_path), str(tree)]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(installed)
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "cdktr").rglob("*.py")}
    expected |= {f"cdktr/workflows/{name}" for name in samples()}
    found = {str(path.relative_to(installed)) for path in (installed / "cdktr").rglob("*") if path.is_file()}
    assert found == expected, "pyproject.toml names the packages and the data of the wheel"

    init = [sys.executable, "-c", "import sys; from cdktr.cli import main; sys.exit(main())", "init", "--all", "new"]
    subprocess.run(init, cwd=tmp_path, env={"PYTHONPATH": str(installed)}, check=True, capture_output=True)
    for name in samples():
        assert (tmp_path / "new/workflows" / name).read_bytes() == (ROOT / "workflows" / name).read_bytes()
