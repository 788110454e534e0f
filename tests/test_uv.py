"""Where uv is looked for, what it is told, and that the real one runs a script."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdktr.errors import NotFoundError
from cdktr.uv import find_uv, uv_argv
from cdktr.workflow import UvPython


def make_uv(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "uv"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This interpreter stands where no uv is."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "cdktr"))
    monkeypatch.delattr(sys, "_MEIPASS", raising=False)
    return tmp_path


def test_it_is_looked_for_in_this_order(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"HOME": str(alone / "home"), "PATH": str(alone / "path")}
    config = UvPython("x.py")
    with pytest.raises(NotFoundError, match=r"looked in .*bin.*path.*\.local/bin.*\.cargo/bin.*Copy the uv binary"):
        find_uv(config, env)
    # Each found one stands before those that were found until then.
    for folder in ("home/.cargo/bin", "home/.local/bin", "path", "inside", "bin"):
        if folder == "inside":
            monkeypatch.setattr(sys, "_MEIPASS", str(alone / "inside"), raising=False)
        made = make_uv(alone / folder)
        assert find_uv(config, env) == str(made)
    own = make_uv(alone / "own")
    assert find_uv(UvPython("x.py", uv_path=str(own)), env) == str(own)


def test_a_named_uv_that_is_not_there(alone: Path) -> None:
    make_uv(alone / "path")
    with pytest.raises(NotFoundError, match="There is no uv at /no/uv, which the task names as uv_path"):
        find_uv(UvPython("x.py", uv_path="/no/uv"), {"PATH": str(alone / "path"), "HOME": str(alone)})


def test_what_it_is_told() -> None:
    assert uv_argv(UvPython("x.py"), "/uv") == ["/uv", "run", "--no-project", "x.py"]
    packages = UvPython("x.py", packages=("pandas>=2.3.1,<3.0.0", "httpx"))
    assert uv_argv(packages, "/uv")[2:] == ["--no-project", "--with", "pandas>=2.3.1,<3.0.0", "--with", "httpx", "x.py"]
    assert uv_argv(UvPython("x.py", is_uv_project=True), "/uv") == ["/uv", "run", "x.py"]


def test_the_real_one_runs_a_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print(6 * 7)\n")
    env = {**os.environ, "UV_OFFLINE": "1", "UV_PYTHON": sys.executable, "UV_CACHE_DIR": str(tmp_path / "cache")}
    config = UvPython("script.py")
    done = subprocess.run(uv_argv(config, find_uv(config, env)), cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout == "42\n", done.stderr
