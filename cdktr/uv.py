"""How a `!UvPython` task becomes a command: where `uv` is, and its arguments."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from cdktr.errors import NotFoundError
from cdktr.workflow import UvPython


def find_uv(config: UvPython, env: Mapping[str, str]) -> str:
    """The path of `uv`: the task's `uv_path`, beside the binary, in it, on PATH, in ~/.local/bin, in ~/.cargo/bin.

    Raises NotFoundError that lists where it was looked for.
    """
    if config.uv_path is not None:
        path = os.path.expanduser(config.uv_path)
        if found := shutil.which(path, path=env.get("PATH")):
            return found
        raise NotFoundError(f"There is no uv at {config.uv_path}, which the task names as uv_path")
    home = Path(env.get("HOME") or Path.home())
    folders = [Path(sys.executable).parent, home / ".local/bin", home / ".cargo/bin"]
    bundled = getattr(sys, "_MEIPASS", None)
    search = [str(folders[0]), *([bundled] if bundled else []), env.get("PATH", ""), *map(str, folders[1:])]
    if found := shutil.which("uv", path=os.pathsep.join(search)):
        return found
    raise NotFoundError(
        f"There is no uv on this agent's host; looked in {', '.join(filter(None, search))}. Copy the uv binary beside "
        "cdktr or into ~/.local/bin, or name it as uv_path; it needs no installation"
    )


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
