"""`cdktr validate`, `config list`: the files of a project. Neither needs a principal."""

import os
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from cdktr.cli import Exit
from cdktr.cli.common import is_terminal, say, settings_of, show, show_json
from cdktr.errors import SettingError
from cdktr.settings import PREFIX, Entry, Loaded, Settings, load
from cdktr.text import plural

#: How the hints begin for files that the catalog does not count, as they have no id of their own.
NOT_COUNTED = ("rename the file", "this file is ignored")

#: Columns from which `config list` is a table; each setting takes two lines where there are fewer.
WIDE = 160


def validate(arguments: Namespace) -> int:
    """Check files; every problem with its place."""
    from cdktr.catalog import validate_paths

    paths = [Path(path) for path in arguments.paths] or [Path(settings_of(arguments).workflow_dir)]
    checks = [(path, *validate_paths([path])) for path in paths if os.path.lexists(path)]
    problems = [problem for _, _, found in checks for problem in found]
    empty = [_missing(path, not arguments.paths) for path in paths if not os.path.lexists(path)]
    empty += [f"no workflow files in {path}" for path, count, found in checks if not count and not found]
    count = sum(count for _, count, _ in checks) + sum(problem.hint.startswith(NOT_COUNTED) for problem in problems)
    if arguments.json:
        found = [asdict(problem) for problem in problems]
        found += [{"path": "", "line": 0, "column": 0, "message": message, "hint": ""} for message in empty]
        show_json({"files": count, "problems": found})
        return Exit.ENDED_BADLY if found else Exit.DONE
    show(map(str, problems))
    for message in empty:
        say(message)
    if count or problems:
        say(summary(count, [problem.path for problem in problems if not Path(problem.path).is_dir()], len(problems)))
    return Exit.ENDED_BADLY if problems or empty else Exit.DONE


def _missing(path: Path, is_setting: bool) -> str:
    if is_setting:
        return f"there is no folder {path} here; change into the project, or name a folder or a file"
    return f"there is no file or folder {path} here"


def summary(count: int, paths: Sequence[str], problems: int) -> str:
    """`2 problems in 1 of 3 files.` `paths` are those of the wrong files."""
    if not problems:
        return f"{plural(count, 'file')} checked, all in order."
    return f"{plural(problems, 'problem')} in {len(set(paths))} of {plural(count, 'file')}."


def config(arguments: Namespace) -> int:
    """List the settings."""
    loaded, wrong = load_tolerantly()
    for warning in loaded.warnings:
        say(f"cdktr: {warning}")
    entries = [_marked(entry, wrong) for entry in loaded.entries]
    if arguments.json:
        show_json([asdict(entry) for entry in entries])
    else:
        columns = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else 80
        show(config_lines(entries, columns))
    for sentence in wrong.values():
        say(f"cdktr: {sentence}")
    return Exit.USAGE if wrong else Exit.DONE


def load_tolerantly() -> tuple[Loaded, dict[str, str]]:
    """The settings, with the default for those that are wrong; and by their names what is wrong with them."""
    defaults = {PREFIX + each.name.upper(): each for each in fields(Settings)}
    wrong: dict[str, str] = {}
    while True:
        try:
            return load({defaults[name].name: defaults[name].metadata["default"] for name in wrong}), wrong
        except SettingError as error:
            # It names the variable first, unless it is the file .env that cannot be read.
            name = str(error).partition(" ")[0]
            if name not in defaults or name in wrong:
                raise
            wrong[name] = str(error)


def _marked(entry: Entry, wrong: Mapping[str, str]) -> Entry:
    """A wrong setting has its error for its value."""
    if entry.name not in wrong:
        return entry
    sentence = wrong[entry.name].removeprefix(entry.name).strip()
    return replace(entry, value=f"WRONG: {sentence}", source=".env" if " in .env; " in sentence else "environment")


def config_lines(entries: Sequence[Entry], columns: int) -> list[str]:
    """The settings as a table, or where that is too wide as a list."""
    from cdktr.text import table

    if columns >= WIDE:
        rows = [(entry.name, entry.value, entry.source, entry.default, entry.help) for entry in entries]
        return table(("SETTING", "VALUE", "FROM", "DEFAULT", "MEANING"), rows).split("\n")
    lines = []
    for entry in entries:
        source = entry.source if entry.source == "default" else f"{entry.source}; default: {entry.default}"
        lines.append(f"{entry.name} = {entry.value}  ({source})")
        lines += textwrap.wrap(entry.help, columns, initial_indent="    ", subsequent_indent="    ")
    return lines
