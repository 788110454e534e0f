"""`cdktr init`: a project with examples, those of workflows/ in a source tree or as packed with the program."""

import os
import shutil
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

from cdktr import bundle
from cdktr.cli import Exit
from cdktr.cli.common import say, show, write_new
from cdktr.errors import StartError
from cdktr.text import plural

#: The examples of a new project: they need no Python on the host, and nothing but their own file.
FIRST = ("hello.yml", "examples/backup.yml", "examples/health.yml")

#: The folder of the examples, and all that belongs to them: a tree may hold a user's own workflows beside them.
ALL = "examples"
PATTERNS = (
    "hello.yml",
    "examples/*.yml",
    "examples/README.md",
    "examples/scripts/*.py",
    "examples/listeners/*.py",
    "examples/data/*.*",
    "examples/data/news/*.html",
)

NEXT = """\

Start a principal with an agent:
{cd}  {cdktr} start principal --with-agent

In another terminal, in the same folder:
  {cdktr} task list                    all workflows, and when each of them runs next
  {cdktr} task run hello --follow      one of them, now
  {cdktr} task show examples.backup    its tasks
Those with a `cron` also run by themselves. What they make goes to the folder output/, and an alert of
examples.health into the log of the system too, by `logger`.

To make one your own, copy its file and change it:
  {cdktr} validate                     what is wrong with it, and where
  {cdktr} task reload                  puts it in force at once"""

MORE = """
`cdktr init --all` adds more examples, with scripts and data. Most of them need a python3 on this host, or
where there is none, an agent with CDKTR_EMBEDDED_PYTHON=1."""


def init(arguments: Namespace) -> int:
    """Make a project, or with `--all` add to one. What is there already stays as it is."""
    folder = Path(arguments.path)
    workflows = folder / "workflows"
    made: list[Path] = []
    try:
        if not arguments.all and _holds_files(workflows):
            say(f"{folder} is a project already: {workflows} is not empty. Nothing was changed.")
            say("`cdktr init --all` adds the examples that it does not have.")
            return Exit.DONE
        names = samples() if arguments.all else FIRST
        for name in names:
            _copy(where() / name, workflows / name, made)
    except OSError as error:
        for path in made:
            path.unlink(missing_ok=True)
        raise StartError(f"Cannot make a project in {folder}: {error.filename}: {error.strerror}") from error
    show("\n".join(told(folder, made, len(names) - len(made), arguments.all)).split("\n"))
    return Exit.DONE


def where() -> Path:
    """The folder with the examples: in the package that was installed or frozen, else beside it in the source tree."""
    package = Path(__file__).parents[1]
    for found in (package / "workflows", package.parent / "workflows"):
        if (found / FIRST[0]).is_file():
            return found
    raise StartError(f"The examples are missing in this installation: there is no {package / 'workflows'}")


def samples() -> tuple[str, ...]:
    """All examples and what belongs to them, as paths below `where()`."""
    root = where()
    return tuple(sorted(path.relative_to(root).as_posix() for each in PATTERNS for path in root.glob(each)))


def told(folder: Path, made: Sequence[Path], kept: int, all_of_them: bool) -> Iterator[str]:
    """What was made, and what to do with it. `kept` files were there already."""
    workflows = folder / "workflows"
    if all_of_them:
        yield f"Made {plural(len(made), 'file')} in {workflows}; {workflows / ALL / 'README.md'} tells of the examples."
    else:
        yield from (f"Made {path}." for path in made)
    if kept:
        yield f"Kept {plural(kept, 'file')} as found."
    yield NEXT.format(cd="" if folder == Path() else f"  cd {quote(str(folder))}\n", cdktr=called(folder))
    if not all_of_them:
        yield MORE


def called(folder: Path) -> str:
    """How this program is started in a folder: by its name, or by its path where PATH does not lead to it."""
    file = bundle.file()
    if file is None or _is_same(shutil.which("cdktr"), file):
        return "cdktr"
    name = os.path.basename(file)
    return f"./{quote(name)}" if _is_same(str(folder / name), file) else quote(file)


def _is_same(found: str | None, file: str) -> bool:
    try:
        return found is not None and os.path.samefile(found, file)
    except OSError:
        return False


def _holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_symlink() or not path.is_dir() for path in folder.rglob("*"))


def _copy(source: Path, target: Path, made: list[Path]) -> None:
    """Write a file that is not there yet, and add it to `made`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_new(target, source.read_bytes())
    except FileExistsError:
        return
    made.append(target)
