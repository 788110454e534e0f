"""Where uv is looked for, what it is told, and what is said about its failures: those of the real one."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cdktr import bundle
from cdktr.errors import NotFoundError
from cdktr.uv import TAIL_LINES, LastWords, check_script, find_uv, hint, needs_embedded, uv_argv, without_python
from cdktr.workflow import Subprocess, UvPython
from tests.integration.wheels import make_wheel


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
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_looked_for_in_this_order(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"HOME": str(alone / "home"), "PATH": str(alone / "path")}
    with pytest.raises(NotFoundError, match=r"looked in .*bin.*path.*\.local/bin.*\.cargo/bin.*Copy the uv program"):
        find_uv(None, env)
    # Each found one stands before those that were found until then.
    for folder in ("home/.cargo/bin", "home/.local/bin", "path", "inside", "bin"):
        if folder == "inside":
            monkeypatch.setattr(sys, "_MEIPASS", str(alone / "inside"), raising=False)
        made = make_uv(alone / folder)
        assert find_uv(None, env) == str(made)
    own = make_uv(alone / "own")
    assert find_uv(str(own), env) == str(own)


def test_beside_the_one_file_is_where_it_lies_and_where_it_is_called(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not where it was unpacked, into which nobody looks."""
    env = {"HOME": str(alone / "home"), "PATH": ""}
    (alone / "links").mkdir()
    (alone / "opt").mkdir()
    (alone / "opt" / "cdktr").write_text("")
    (alone / "links" / "cdktr").symlink_to("../opt/cdktr")
    monkeypatch.setenv(bundle.FILE, str(alone / "links" / "cdktr"))
    make_uv(alone / "bin")
    for folder in ("opt", "links"):
        made = make_uv(alone / folder)
        assert find_uv(None, env) == str(made)


def test_when_a_script_is_left_to_the_interpreter_of_cdktr(alone: Path) -> None:
    env = {"HOME": str(alone / "home"), "PATH": str(alone / "path")}
    (alone / "plain.py").write_text("import json\n")
    (alone / "asks.py").write_text('# /// script\n# dependencies = ["x"]\n# ///\n')
    plain = UvPython("plain.py")
    others = [
        replace(plain, packages=("x",)),
        replace(plain, is_uv_project=True),
        replace(plain, uv_path="/no/uv"),
        UvPython("asks.py"),
        UvPython("pytest"),
    ]
    # No uv at all, then a uv without a Python.
    for _ in range(2):
        assert needs_embedded(plain, None, env)
        assert not any(needs_embedded(each, None, env) for each in others)
        make_uv(alone / "path")
    assert not needs_embedded(plain, None, {**env, "UV_PYTHON": "3.12"})
    own = alone / "home" / ".local/share/uv/python/cpython-3.12/bin"
    own.mkdir(parents=True)
    (own / "python3").write_text("")
    assert not needs_embedded(plain, None, env)
    assert needs_embedded(plain, None, {**env, "HOME": "/no/home"})
    make_uv(alone / "path").rename(alone / "path" / "python3")
    make_uv(alone / "path")
    assert not needs_embedded(plain, None, {**env, "HOME": "/no/home"})


def test_when_a_host_lacks_the_python_of_a_command(alone: Path) -> None:
    env = {"PATH": str(alone / "path")}
    for cmd in ("python3", "python"):
        for name in ("task.py", "./task", "/opt/task.py"):
            assert without_python(Subprocess(cmd, (name, "--flag")), env) == UvPython(name)
        # What is no script is for the real one.
        for words in ((), ("-c", "print(1)"), ("-m", "json.tool"), ("-", "x.py"), ("-u", "task.py"), ("task",)):
            assert without_python(Subprocess(cmd, words), env) is None
    assert without_python(Subprocess("/usr/bin/python3", ("task.py",)), env) is None
    for there, other in (("python3", "python"), ("python", "python3")):
        make_uv(alone / "path").rename(alone / "path" / there)
        assert without_python(Subprocess(there, ("task.py",)), env) is None
        assert without_python(Subprocess(other, ("-c", "print(1)")), env) is None
        said = f"^Cannot start '{other}': it is not on the agent's PATH. This host has {there}: write that as cmd$"
        with pytest.raises(NotFoundError, match=said):
            without_python(Subprocess(other, ("task.py",)), env)
        (alone / "path" / there).unlink()


def test_what_is_relative_is_so_to_the_agents_folder_and_made_absolute(alone: Path) -> None:
    """The task starts in another folder, where a relative name would mean another file, or none."""
    env = {"HOME": str(alone / "home"), "PATH": "tools"}
    made = make_uv(alone / "tools")
    assert find_uv(None, env) == str(made)
    assert find_uv("uv", env) == str(made)
    assert find_uv("./tools/uv", env) == str(made)
    at_home = make_uv(alone / "home" / "x")
    assert find_uv("~/x/uv", env) == str(at_home)


def test_an_empty_path_is_not_the_agents_folder(alone: Path) -> None:
    make_uv(alone)
    for path in ("", ":/no/such/folder:"):
        with pytest.raises(NotFoundError):
            find_uv(None, {"HOME": str(alone / "home"), "PATH": path})


def test_a_user_without_a_home_has_no_uv_there(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)  # who has no entry in the list of users
    with pytest.raises(NotFoundError, match="There is no uv on this agent's host"):
        find_uv(None, {"PATH": "/no/such/folder"})


def test_a_named_uv_that_is_not_there(alone: Path) -> None:
    env = {"PATH": str(alone / "path"), "HOME": str(alone)}
    make_uv(alone / "path")
    (alone / "text").write_text("")
    for named, said in (
        ("/no/uv", "There is no uv at /no/uv, which the task names as uv_path, on this agent's host$"),
        ("no/uv", rf"no uv at no/uv \({alone}/no/uv\)"),
        ("my-uv", rf"no uv at my-uv on PATH \({alone}/path\)"),
        (str(alone / "path"), f"that is a folder, and the program itself is meant, such as {alone}/path/uv"),
        (str(alone / "text"), "the file there is not executable"),
    ):
        with pytest.raises(NotFoundError, match=said):
            find_uv(named, env)


def test_a_script_that_is_not_there(alone: Path) -> None:
    (alone / "scripts").mkdir()
    (alone / "scripts" / "here.py").write_text("")
    for config, folder in (
        (UvPython("./here.py"), "./scripts"),
        (UvPython(str(alone / "scripts/here.py")), None),
        (UvPython("gone.py"), "no-such-folder"),  # whose absence is told by who starts the task
        (UvPython("pytest"), None),  # perhaps a command of the project
        (UvPython("https://index.example/x.py"), None),
    ):
        check_script(config, folder)
    for config, folder, path in (
        (UvPython("./gone.py"), "./scripts", "scripts/gone.py"),
        (UvPython("here.py"), None, "here.py"),
        (UvPython("scripts/gone"), None, "scripts/gone"),
    ):
        said = rf"no script at {alone}/{path} on this agent's host \(No such file.*on the host of every agent"
        with pytest.raises(NotFoundError, match=said):
            check_script(config, folder)


def test_what_it_is_told() -> None:
    assert uv_argv(UvPython("x.py"), "/uv") == ["/uv", "run", "--no-project", "x.py"]
    packages = UvPython("x.py", packages=("pandas>=2.3.1,<3.0.0", "httpx"))
    assert uv_argv(packages, "/uv")[2:] == ["--no-project", "--with", "pandas>=2.3.1,<3.0.0", "--with", "httpx", "x.py"]
    assert uv_argv(UvPython("x.py", is_uv_project=True), "/uv") == ["/uv", "run", "x.py"]


# What is said about failures


class Failed:
    """A run of the real uv that failed, and what is said about it."""

    def __init__(self, folder: Path, config: UvPython, **env: str) -> None:
        base = {"PATH": os.defpath, "UV_PYTHON": sys.executable, "UV_CACHE_DIR": str(folder.parent / "cache")}
        argv = uv_argv(config, find_uv(None, os.environ))
        env = base | env
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True)
        words = LastWords(config, str(folder))
        for stream, text in (("STDOUT", done.stdout), ("STDERR", done.stderr)):
            if text:
                words.add(stream, text.splitlines())
        self.code, self.stderr = done.returncode, done.stderr
        self.hint = words.hint(self.code, env)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where scripts are; beside it a folder with wheels."""
    make_wheel(tmp_path / "wheels", "tinypkg", "1.2.0")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "x.py").write_text("print('started')\n")
    return tmp_path / "scripts"


X = UvPython("x.py")


def test_packages_that_cannot_be_had(folder: Path) -> None:
    config = replace(X, packages=("tinypkg",))
    nowhere = Failed(folder, config, UV_DEFAULT_INDEX="http://127.0.0.1:9/simple", UV_HTTP_RETRIES="0")
    offline = Failed(folder, config, UV_OFFLINE="1")
    for failed in (nowhere, offline):
        assert str(failed.hint).startswith("uv could not get the packages. Without internet"), failed.stderr
        assert "UV_FIND_LINKS to it and UV_OFFLINE=1" in str(failed.hint)
    moved = Failed(folder, config, UV_OFFLINE="1", UV_FIND_LINKS="/no/such/folder")
    assert str(moved.hint).startswith("the wheel folder is not on this agent's host"), moved.stderr


def test_versions_that_do_not_fit(folder: Path) -> None:
    links = {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(folder.parent / "wheels")}
    failed = Failed(folder, replace(X, packages=("tinypkg>=3",)), **links)
    assert str(failed.hint).startswith("no version of the packages fits"), failed.stderr
    make_wheel(folder.parent / "wheels", "needy", "1.0", ["tinypkg>=3"])
    assert Failed(folder, replace(X, packages=("needy",)), **links).hint == failed.hint
    (folder / "x.py").write_text("# /// script\n# dependencies = ['tinypkg>=3']\n# ///\n")
    assert Failed(folder, replace(X, is_uv_project=True), **links).hint == failed.hint


def test_what_is_no_requirement(folder: Path) -> None:
    failed = Failed(folder, replace(X, packages=("not a requirement",)), UV_OFFLINE="1")
    assert str(failed.hint).startswith("`packages` holds what is no requirement"), failed.stderr


def test_no_python(folder: Path) -> None:
    bare = {"PATH": str(folder), "UV_PYTHON": "3.13", "UV_PYTHON_INSTALL_DIR": str(folder)}
    for env in (
        {"UV_PYTHON": "/no/python"},
        {**bare, "UV_OFFLINE": "1"},
        {**bare, "UV_PYTHON_DOWNLOADS": "never"},
        {**bare, "UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:9", "UV_HTTP_RETRIES": "0"},
    ):
        failed = Failed(folder, X, **env)
        assert str(failed.hint).startswith("uv found no Python for this script. Set UV_PYTHON"), failed.stderr
        # Where another Python is asked for than the host's, that of cdktr is not taken.
        assert "CDKTR_EMBEDDED_PYTHON" not in str(failed.hint)


def test_no_python_where_that_of_cdktr_would_do(folder: Path) -> None:
    words = LastWords(X, str(folder))
    words.add("STDERR", OLDER["uv found no Python"][1])
    # Beside this interpreter there is a uv.
    bare = {"PATH": str(folder), "UV_PYTHON_INSTALL_DIR": str(folder)}
    assert str(words.hint(2, bare)).endswith(
        ". Or set CDKTR_EMBEDDED_PYTHON=1 for its agent: this script then runs on the interpreter of cdktr"
    )
    assert "CDKTR_EMBEDDED_PYTHON" not in str(words.hint(2, bare | {"PATH": os.defpath}))
    packages = LastWords(replace(X, packages=("tinypkg",)), str(folder))
    packages.add("STDERR", OLDER["uv found no Python"][1])
    assert "CDKTR_EMBEDDED_PYTHON" not in str(packages.hint(2, bare))


def test_inline_metadata_that_cannot_be_read(folder: Path) -> None:
    for text in (
        "# /// script\n# dependencies = ['tinypkg'\n# ///\n",
        "# /// script\n# dependencies = ['no requirement']\n# ///\n",
        "# /// script\n# dependencies = []\nprint(1)\n",
    ):
        (folder / "x.py").write_text(text)
        failed = Failed(folder, X, UV_OFFLINE="1")
        assert str(failed.hint).startswith(f"the inline metadata of {folder}/x.py cannot be read"), failed.stderr


def test_a_broken_project(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[project\n")
    failed = Failed(folder, replace(X, is_uv_project=True), UV_OFFLINE="1")
    assert str(failed.hint).startswith("mend that pyproject.toml"), failed.stderr


def test_a_project_that_cannot_be_written(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '0'\nrequires-python = '>=3.9'\n")
    failed = Failed(folder, replace(X, is_uv_project=True), UV_PROJECT_ENVIRONMENT="/proc/.venv", UV_OFFLINE="1")
    assert "Set UV_PROJECT_ENVIRONMENT to another path" in str(failed.hint), failed.stderr


def test_no_project(folder: Path) -> None:
    """uv runs such a script all the same; only what it lacks then shows it."""
    (folder / "x.py").write_text("print('started')\nimport tinypkg\n")
    failed = Failed(folder, replace(X, is_uv_project=True), UV_OFFLINE="1")
    assert f"there is no pyproject.toml in {folder} or above it" in str(failed.hint), failed.stderr
    assert Failed(folder, X, UV_OFFLINE="1").hint is None
    (folder / "y.py").write_text("raise ValueError('no')\n")
    assert Failed(folder, UvPython("y.py", is_uv_project=True), UV_OFFLINE="1").hint is None
    (folder.parent / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '0'\nrequires-python = '>=3.9'\n")
    assert Failed(folder, replace(X, is_uv_project=True), UV_OFFLINE="1").hint is None


def test_what_is_no_script(folder: Path) -> None:
    (folder / "text").write_text("print(1)\n")
    failed = Failed(folder, UvPython("./text"), UV_OFFLINE="1")
    assert str(failed.hint).startswith(f"uv took {folder}/text for a command"), failed.stderr


def test_no_place_for_the_cache(folder: Path) -> None:
    failed = Failed(folder, X, UV_CACHE_DIR="/proc/.cache/uv")
    assert str(failed.hint).startswith("uv has no place for its cache. Set UV_CACHE_DIR"), failed.stderr


def test_a_script_that_fails_gets_no_hint(folder: Path) -> None:
    for text in (
        "raise ValueError('no')\n",
        "raise SystemExit(2)\n",
        "import argparse; argparse.ArgumentParser().error('no such thing')\n",
        "raise SystemExit('error: Failed to fetch: the report')\n",
        "raise SystemExit('error: something\\n  cause: else')\n",
    ):
        (folder / "x.py").write_text(text)
        failed = Failed(folder, X, UV_OFFLINE="1")
        assert failed.code in (1, 2)
        assert failed.hint is None, failed.stderr


#: As uv 0.5 and 0.8 put it; hosts have the uv that somebody once brought there.
OLDER = {
    "uv could not get the packages": (
        [
            "error: Failed to fetch: `https://index.example/tinypkg/`",
            "  Caused by: Could not connect, are you offline?",
        ],
        [
            "  × No solution found when resolving `--with` dependencies:",
            "  ╰─▶ Because tinypkg was not found in the cache and you require tinypkg, we",
            "      can conclude that your requirements are unsatisfiable.",
            "",
            "      hint: Packages were unavailable because the network was disabled. When",
        ],
    ),
    "no version of the packages fits": (
        [
            "Using CPython 3.11.2 interpreter at: /usr/bin/python3",
            "  × No solution found when resolving `--with` dependencies:",
            "  ╰─▶ Because only tinypkg<=2.0.0 is available and you require tinypkg>=3, we",
            "      can conclude that your requirements are unsatisfiable.",
        ],
    ),
    "uv found no Python": (
        [
            "error: Failed to download https://index.example/20250205/cpython-3.13.2%2B20250205-x86_64.tar.gz",
            "  Caused by: Request failed after 3 retries",
        ],
        ["error: No interpreter found in virtual environments, managed installations, or search path"],
    ),
    "the inline metadata of /x.py": (
        [
            "error: TOML parse error at line 1, column 29",
            "  |",
            "1 | dependencies = ['tinypkg<2'",
            "  |                             ^",
            "invalid array",
            "expected `]`",
        ],
    ),
}


@pytest.mark.parametrize(("said", "stderr"), [(said, lines) for said, cases in OLDER.items() for lines in cases])
def test_older_wordings(said: str, stderr: list[str]) -> None:
    coloured = [line.replace("error:", "\x1b[1m\x1b[31merror\x1b[39m\x1b[0m\x1b[1m:\x1b[0m") for line in stderr]
    for code in (1, 2):
        assert str(hint(code, stderr, "/x.py")).startswith(said)
        assert str(hint(code, coloured, "/x.py")).startswith(said)
    # Not uv's exit codes; another had the last word; another wording.
    assert hint(101, stderr, "/x.py") is None
    assert hint(1, [*stderr, *["and then the script went on"] * 7], "/x.py") is None
    assert hint(1, [line.replace("o", "0") for line in stderr], "/x.py") is None


def test_what_has_written_to_stdout_had_started() -> None:
    [stderr] = OLDER["no version of the packages fits"]
    words = LastWords(X, None)
    words.add("STDERR", ["x" * 100_000] * (2 * TAIL_LINES) + stderr)
    assert words.hint(1, {})
    words.add("STDOUT", ["started"])
    assert words.hint(1, {}) is None


def test_the_real_one_runs_a_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print(6 * 7)\n")
    env = {**os.environ, "UV_OFFLINE": "1", "UV_PYTHON": sys.executable, "UV_CACHE_DIR": str(tmp_path / "cache")}
    config = UvPython("script.py")
    done = subprocess.run(uv_argv(config, find_uv(None, env)), cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout == "42\n", done.stderr
