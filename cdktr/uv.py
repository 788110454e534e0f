"""How a Python script becomes a command, with uv or without, and what to do when uv, and not the script, has failed.

uv and its script write into the same pipes and share their exit codes. What is uv's own is known by its words, so a
hint is given only where they are, and none where there is doubt.
"""

import os
import re
import shutil
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from cdktr.bundle import file
from cdktr.errors import NotFoundError
from cdktr.workflow import Subprocess, UvPython

#: Lines come as they are printed: Python would keep what it prints into a pipe until 8 KiB are full.
DEFAULT_ENV = {"PYTHONUNBUFFERED": "1"}

#: How a script that asks for nothing but Python runs all the same.
_EMBEDDED = "CDKTR_EMBEDDED_PYTHON=1 for its agent: this script then runs on the interpreter of cdktr"

#: What a host calls its Python, as the command of a `!Subprocess`.
PYTHONS = ("python3", "python")

#: What is kept of stderr, in lines and in characters of each: the whole of what uv says at its end.
TAIL_LINES = 100
TAIL_WIDTH = 2000


def find_uv(uv_path: str | None, env: Mapping[str, str]) -> str:
    """The absolute path of `uv`: the task's `uv_path`, beside the binary, in it, on PATH, in ~/.local/bin, in
    ~/.cargo/bin. What is relative is so to the agent's folder.

    Raises NotFoundError that says where it was looked for.
    """
    if uv_path is not None:
        return _named(uv_path, _home(env), env)
    search = folders(env)
    if found := shutil.which("uv", path=os.pathsep.join(search)):
        return os.path.abspath(found)
    raise NotFoundError(
        f"There is no uv on this agent's host; looked in {', '.join(search)}. Copy the uv program, one file, beside "
        "cdktr or into ~/.local/bin, or name it as uv_path; it needs no installation"
    )


def folders(env: Mapping[str, str]) -> list[str]:
    """Where uv is looked for when the task does not name it, in this order."""
    bundled = getattr(sys, "_MEIPASS", "")
    home = _home(env)
    found = [*_beside(), bundled, *_path(env), f"{home}/.local/bin", f"{home}/.cargo/bin"]
    # An empty entry would be the agent's folder.
    return [folder for folder in dict.fromkeys(found) if folder]


def _home(env: Mapping[str, str]) -> str:
    return env.get("HOME") or os.path.expanduser("~")


def _beside() -> list[str]:
    """Where the one file is, also when it was called by a link, or the interpreter."""
    program = file() or sys.executable
    return list(dict.fromkeys(os.path.dirname(path) for path in (program, os.path.realpath(program))))


def _path(env: Mapping[str, str]) -> list[str]:
    return env.get("PATH", "").split(os.pathsep)


def _named(uv_path: str, home: str, env: Mapping[str, str]) -> str:
    path = home + uv_path[1:] if uv_path == "~" or uv_path.startswith("~/") else os.path.expanduser(uv_path)
    if found := shutil.which(path, path=os.pathsep.join(filter(None, _path(env))) or os.defpath):
        return os.path.abspath(found)
    where = uv_path
    if "/" not in path:
        where = f"{uv_path} on PATH ({env.get('PATH', '')})"
    elif os.path.abspath(path) != uv_path:
        where = f"{uv_path} ({os.path.abspath(path)})"
    why = ""
    if os.path.isdir(path):
        why = f": that is a folder, and the program itself is meant, such as {os.path.join(uv_path, 'uv')}"
    elif os.path.exists(path):
        why = ": the file there is not executable; chmod +x makes it so"
    raise NotFoundError(f"There is no uv at {where}, which the task names as uv_path, on this agent's host{why}")


def check_script(config: UvPython, folder: str | None) -> None:
    """Raises NotFoundError when the task's script is not there; `folder` is the one in which the task starts.

    What can also be a command or an address is left to uv, and a folder that does not exist to who starts the task.
    """
    if not _is_file(config.script_path) or not os.path.isdir(folder or "."):
        return
    path = _script(config, folder)
    try:
        os.stat(path)
    except OSError as error:
        raise NotFoundError(
            f"There is no script at {path} on this agent's host ({error.strerror}); scripts must be on the host of "
            "every agent, and script_path is relative to working_directory, or to the agent's own folder without one"
        ) from None


def _is_file(name: str) -> bool:
    return "://" not in name and ("/" in name or name.endswith(".py"))


def _script(config: UvPython, folder: str | None) -> str:
    return os.path.abspath(os.path.join(folder or "", config.script_path))


def uv_argv(config: UvPython, uv: str) -> list[str]:
    """`uv run …` for the script: in its project, or alone with its packages.

    A script with inline metadata (PEP 723) is known to uv by itself, in a project or not.
    """
    argv = [uv, "run"]
    if not config.is_uv_project:
        argv.append("--no-project")
    for package in config.packages or ():
        argv += ["--with", package]
    return [*argv, config.script_path]


def needs_embedded(config: UvPython, folder: str | None, env: Mapping[str, str]) -> bool:
    """Whether a script asks for nothing but Python, and this host has no uv, or no Python for it.

    A task that names its uv, and what may be a command or an address, are left to uv.
    """
    asks = config.packages or config.is_uv_project or config.uv_path is not None
    if asks or not _is_file(config.script_path) or _has_metadata(_script(config, folder)):
        return False
    try:
        find_uv(None, env)
    except NotFoundError:
        return True
    return not _has_python(env)


def without_python(config: Subprocess, env: Mapping[str, str]) -> UvPython | None:
    """The script of a `python3 SCRIPT …` on a host that has no Python, which asks for nothing but Python; else None.

    Raises NotFoundError on a host whose Python has the other name.
    """
    if config.cmd not in PYTHONS or not config.args or not _is_script(config.args[0]):
        return None
    there = _pythons(env.get("PATH", os.defpath))
    if there and config.cmd not in there:
        raise NotFoundError(f"{_not_on_path(config)}. This host has {there[0]}: write that as cmd")
    return None if there else UvPython(config.args[0])


def no_python(config: Subprocess) -> NotFoundError:
    """Why such a script does not run, and what to do."""
    return NotFoundError(
        f"{_not_on_path(config)}. Where this host has no Python, set CDKTR_EMBEDDED_PYTHON=1 for its agent: it then "
        "runs such scripts on the interpreter of cdktr"
    )


def _not_on_path(config: Subprocess) -> str:
    return f"Cannot start {config.cmd!r}: it is not on the agent's PATH"


def _pythons(path: str) -> list[str]:
    """What Python is called there; nothing where there is none."""
    return [name for name in PYTHONS if shutil.which(name, path=path)]


def _is_script(word: str) -> bool:
    return not word.startswith("-") and _is_file(word)


def _has_python(env: Mapping[str, str]) -> bool:
    """Whether uv finds a Python without fetching one."""
    if "UV_PYTHON" in env or _pythons(env.get("PATH", "")):
        return True
    data = env.get("XDG_DATA_HOME") or os.path.join(_home(env), ".local/share")
    own = env.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv/python")
    return any(Path(own).glob("*/bin/python3"))


def find_uv_for(config: UvPython, folder: str | None, env: Mapping[str, str]) -> str:
    """As `find_uv`, of a task's script; `folder` is the one in which it starts. The NotFoundError also says when the
    interpreter of cdktr would do."""
    try:
        return find_uv(config.uv_path, env)
    except NotFoundError as error:
        if needs_embedded(config, folder, env):
            raise NotFoundError(f"{error}. Or set {_EMBEDDED}") from None
        raise


def check_python(config: Subprocess, env: Mapping[str, str]) -> None:
    """Raises NotFoundError when a command is Python on a host that has none, and that of cdktr does not run it, as it
    is no script; see `without_python`."""
    if config.cmd in PYTHONS and not _pythons(env.get("PATH", os.defpath)):
        raise NotFoundError(
            f"{_not_on_path(config)}, and the interpreter of cdktr runs script "
            "files only: the first of `args` must be one, with a name that ends in .py or has a /"
        )


class LastWords:
    """The last that a task wrote, of which a hint is made when uv has failed. Its size is bounded.

    `folder` is the one in which the task starts.
    """

    def __init__(self, config: UvPython, folder: str | None) -> None:
        self._config = config
        self._folder = folder
        self._stderr: deque[str] = deque(maxlen=TAIL_LINES)
        self._has_output = False

    def add(self, stream: str, lines: Sequence[str]) -> None:
        """Lines of "STDOUT" or "STDERR"."""
        if stream == "STDERR":
            self._stderr.extend(line[:TAIL_WIDTH] for line in lines[-TAIL_LINES:])
        else:
            self._has_output = True

    def hint(self, code: int, env: Mapping[str, str]) -> str | None:
        """What to do about the failure, None when it is the script's own. `env` is the environment of the task."""
        script = _script(self._config, self._folder)
        # uv itself writes nothing on stdout: what has written there had started.
        if not self._has_output and (found := hint(code, list(self._stderr), script)):
            offers = found == _NO_PYTHON and needs_embedded(self._config, self._folder, env)
            return f"{found}. Or set {_EMBEDDED}" if offers else found
        if not self._config.is_uv_project or not self._lacks_a_module() or _has_metadata(script):
            return None
        start = Path(self._folder or ".").absolute()
        if any((each / "pyproject.toml").exists() for each in (start, *start.parents)):
            return None
        return (
            f"there is no pyproject.toml in {start} or above it and no inline metadata in {script}, where "
            "is_uv_project looks for what to install. Set working_directory to the project's folder, or list `packages`"
        )

    def _lacks_a_module(self) -> bool:
        return bool(self._stderr) and self._stderr[-1].startswith("ModuleNotFoundError: ")


def _has_metadata(script: str) -> bool:
    try:
        with open(script, encoding="utf-8", errors="replace") as file:
            return any(line.rstrip() == "# /// script" for line in file)
    except OSError:
        return False


# What uv says

_HEAD = re.compile(r"error: |  × ")
_GOES_ON = re.compile(r"$|\s|hint: ")
#: What quotes a file or a requirement, whose lines then stand at the margin.
_QUOTES = re.compile(r"error: (TOML parse error|Failed to parse)")
_QUOTED_LINES = 6
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_WHERE = "in the `env` of the task or in the environment of the agent"
_NO_PYTHON = (
    f"uv found no Python for this script. Set UV_PYTHON to the path of one on this agent's host, {_WHERE}; uv fetches "
    "one by itself only where there is internet and UV_PYTHON_DOWNLOADS allows it"
)
_HINTS: Sequence[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), text)
    for pattern, text in (
        (r"^error: No interpreter found|^error: .*Failed to download \S*/cpython-", _NO_PYTHON),
        (
            r"^error: Failed to read `--find-links` directory",
            "the wheel folder is not on this agent's host. Put it there, or mend UV_FIND_LINKS: folders are separated "
            "by commas, and a relative one is so to the folder in which the task starts",
        ),
        (
            r"^error: (?=.* (cause|Caused by): ).*Failed to fetch: |"
            r"No solution found when resolving.*(not found in the cache|network was disabled)",
            "uv could not get the packages. Without internet, put their wheels into a folder on this agent's host and "
            f"set UV_FIND_LINKS to it and UV_OFFLINE=1, or UV_DEFAULT_INDEX to a mirror that can be reached, {_WHERE}; "
            "docs/workflows.md says how to make the folder",
        ),
        (
            r"No solution found when resolving",
            "no version of the packages fits what is asked for. Mend the versions that the task, the script or its "
            "project asks for, or put wheels that fit, also this host's Python and platform, where uv finds them",
        ),
        (
            r"^error: (TOML parse error at line|An opening tag \(`# /// script`\))",
            "the inline metadata of {script} cannot be read; its lines are counted from the one after `# /// script`",
        ),
        (
            r"^error: Failed to parse: `?\S*pyproject\.toml",
            "mend that pyproject.toml: the project of a task with is_uv_project is the nearest one, in the folder in "
            "which the task starts or above it",
        ),
        (
            r"^error: Failed to parse: `(?!\S*\.toml`).* (cause|Caused by): ",
            "`packages` holds what is no requirement: a name is meant, with versions or without, such as "
            "pandas>=2.3.1,<3.0.0",
        ),
        (
            r"^error: Failed to spawn.*(?<!\.py)`? (cause|Caused by):",
            "uv took {script} for a command and could not start it: the name of a script ends in .py",
        ),
        (
            r"^error: (Failed to initialize cache at|failed to create directory `\S*cache/uv`)",
            f"uv has no place for its cache. Set UV_CACHE_DIR to a folder in which the agent may write, {_WHERE}",
        ),
        (
            r"^error: failed to create directory `\S*\.venv`",
            "uv makes .venv in the folder of the project, where this agent may not write. Set UV_PROJECT_ENVIRONMENT "
            f"to another path for it, and UV_FROZEN=1 so that uv.lock is not written either, {_WHERE}",
        ),
    )
]


def hint(code: int, stderr: Sequence[str], script: str) -> str | None:
    """What to do about a failure of uv, None when its words are not known or not the last. `stderr` has its last lines.

    uv ends with 1 when no versions fit and with 2 at its other errors; a script may end with either.
    """
    words = _last_error(stderr) if code in (1, 2) else ""
    found = next((text for pattern, text in _HINTS if pattern.search(words)), None)
    return found and found.replace("{script}", script)


def _last_error(stderr: Sequence[str]) -> str:
    """The error with which uv ended, its lines joined to one; empty when another had the last word."""
    lines = [_COLOUR.sub("", line) for line in stderr]
    at_margin = 0
    for index in range(len(lines) - 1, -1, -1):
        if _HEAD.match(lines[index]):
            known = not at_margin or (_QUOTES.match(lines[index]) and at_margin <= _QUOTED_LINES)
            return " ".join(" ".join(lines[index:]).split()) if known else ""
        at_margin += not _GOES_ON.match(lines[index])
    return ""
