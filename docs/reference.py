"""Writes the pages that say what the code says already: settings.md and cli.md. `make docs` calls it.

The text is made of the declarations themselves, not of what argparse prints, which depends on the width of the terminal
and the version of Python.
"""

import argparse
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from cdktr.cli import MEANINGS
from cdktr.cli.tree import parser
from cdktr.settings import PREFIX, Settings

FOLDER = Path(__file__).resolve().parent

#: Columns of the prose.
WIDTH = 120

MADE = "<!-- Made by `make docs` from {}; edit that. -->"

SETTINGS_HEAD = f"""\
{MADE.format("cdktr/settings.py")}
# Settings

Every setting is an environment variable. It comes from the first of these that has it:

1. a flag of the command, where there is one for it;
2. the environment;
3. the file `.env` in the working directory;
4. the default.

`cdktr config list` shows each with its value and where that came from, `--json` the same for programs. A value that
cannot be used is an error which names the variable, the value and what is expected; a name that begins with `{PREFIX}`
and is none of these is told, and ignored.

A line of `.env` is `NAME=value`, with or without `export` before it; the value may stand in quotes; `#` begins a
comment. Lines whose names do not begin with `{PREFIX}` are not looked at.

```env
# One host: nobody outside needs to reach it.
CDKTR_PRINCIPAL_HOST=127.0.0.1
CDKTR_WORKFLOW_DIR=/srv/workflows
CDKTR_APP_DATA_DIRECTORY="/var/lib/cdktr"
```

`~`, `$HOME` and other variables in a path are filled in. The default of `CDKTR_DB_PATH` follows the data folder. Each
process reads its settings once, when it starts: the principal those of its ports and folders, an agent those of its
tasks, a command those of where the principal is.

"""

CLI_HEAD = f"""\
{MADE.format("cdktr/cli/tree")}
# The command line

`cdktr COMMAND --help` says what stands here. What was asked for goes to stdout, everything else to stderr. `--json`
prints one JSON document, or for log lines one object a line. Colours are not used.

"""

CLI_FOOT = """\
## Exit codes

| code | meaning |
|---|---|
"""


def settings_page() -> str:
    """docs/settings.md."""
    flags = _flags_of_settings()
    rows = ["| setting | default | flag | meaning |", "|---|---|---|---|"]
    for each in fields(Settings):
        told = each.metadata
        default = f"`{told['default']}`" if told["default"] else ""
        row = (
            f"`{PREFIX}{each.name.upper()}`",
            default,
            ", ".join(f"`{flag}`" for flag in flags.get(each.name, ())),
            f"{told['help']}. Takes {told['kind'].expected}",
        )
        rows.append(f"| {' | '.join(map(_cell, row))} |")
    return SETTINGS_HEAD + "\n".join(rows) + "\n"


def cli_page() -> str:
    """docs/cli.md."""
    top = parser([])
    verbs = list(_verbs(top))
    lines = ["| command | |", "|---|---|"]
    lines += [f"| [`{made.prog}`](#{_anchor(made.prog)}) | {_cell(what)} |" for made, what in verbs]
    parts = ["\n".join(lines), *(_verb_section(made) for made, _ in verbs)]
    codes = "".join(f"| {code} | {_cell(meaning)} |\n" for code, meaning in MEANINGS.items())
    return CLI_HEAD + "\n\n".join(parts) + "\n\n" + CLI_FOOT + codes


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _flags_of_settings() -> dict[str, list[str]]:
    """The flags of each setting, by its field."""
    names = {each.name for each in fields(Settings)}
    found: dict[str, list[str]] = {}
    for made, _ in _verbs(parser([])):
        for action in _options(made):
            flag = action.option_strings[-1]
            if action.dest in names and flag not in found.setdefault(action.dest, []):
                found[action.dest].append(flag)
    return found


def _verbs(made: argparse.ArgumentParser) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Every command that does something, and what it does in a few words."""
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action._choices_actions:
                below: argparse.ArgumentParser = action.choices[each.dest]
                inner = list(_verbs(below))
                yield from inner or [(below, each.help or "")]


def _options(made: argparse.ArgumentParser) -> list[argparse.Action]:
    shown = [action for action in made._actions if action.help != argparse.SUPPRESS]
    return [action for action in shown if action.option_strings and action.dest != "help"]


def _positionals(made: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in made._actions if not action.option_strings]


def _verb_section(made: argparse.ArgumentParser) -> str:
    parts = [f"## {made.prog}", _prose(made.description or ""), f"```text\n{_usage(made)}\n```"]
    rows = [(f"`{_metavar(action)}`", action) for action in _positionals(made)]
    rows += [(f"`{', '.join(_spelled(action))}`", action) for action in _options(made)]
    if rows:
        lines = [f"| {_cell(name)} | {_cell(action.help or '')} |" for name, action in rows]
        parts.append("\n".join(["| argument | meaning |", "|---|---|", *lines]))
    if examples := _examples(made.epilog or ""):
        parts.append(f"```text\n{examples}\n```")
    return "\n\n".join(parts)


def _prose(text: str) -> str:
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return "\n\n".join(textwrap.fill(paragraph, WIDTH, break_on_hyphens=False) for paragraph in paragraphs)


def _usage(made: argparse.ArgumentParser) -> str:
    """`usage: cdktr task run WORKFLOW [--param K=V]...`, folded."""
    if made.usage is not None:
        return f"usage: {made.usage.replace('%(prog)s', made.prog)}"
    words = [_optional(_metavar(action), action) for action in _positionals(made)]
    words += [f"[{_in_usage(action)}]" + ("..." if _repeats(action) else "") for action in _options(made)]
    head = f"usage: {made.prog} "
    # An option stays with its value.
    glued = [word.replace(" ", "\0") for word in words]
    text = textwrap.fill(
        " ".join(glued), 100, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    )
    return text.replace("\0", " ").rstrip()


def _in_usage(action: argparse.Action) -> str:
    """The longest way to spell it; of a flag with an opposite, both."""
    spelled = _spelled(action)
    return " | ".join(spelled) if isinstance(action, argparse.BooleanOptionalAction) else spelled[-1]


def _optional(name: str, action: argparse.Action) -> str:
    return {"?": f"[{name}]", "*": f"[{name}]...", "+": f"{name}...", "...": f"[{name}]..."}.get(
        str(action.nargs), name
    )


def _repeats(action: argparse.Action) -> bool:
    return isinstance(action, argparse._AppendAction)


def _metavar(action: argparse.Action) -> str:
    return str(action.metavar or action.dest)


def _spelled(action: argparse.Action) -> list[str]:
    """`-p N`, `--port N`."""
    value = "" if action.nargs == 0 else f" {_metavar(action)}"
    return [f"{name}{value}" for name in action.option_strings]


def _examples(epilog: str) -> str:
    return textwrap.dedent(re.sub(r"\Aexamples:\n", "", epilog)).strip()


def pages() -> dict[Path, str]:
    """Each page that is made, and its text."""
    return {FOLDER / "settings.md": settings_page(), FOLDER / "cli.md": cli_page()}


def main() -> None:
    """Write them."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
