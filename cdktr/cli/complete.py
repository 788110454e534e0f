"""What may come next on a command line: asked by the completion of a shell, at each press of Tab.

    cdktr __complete WORDS… CURRENT

Answers with a line for each word that CURRENT may become, with a tab and what it means behind it; a line `\\tfiles` or
`\\tfolders` says that these may stand there too, which the shell knows better. Whatever goes wrong is silence.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdktr.cli import Exit, tree
from cdktr.cli.tree.listen import SCRIPT, with_script

#: The word of the command line that asks.
WORD = "__complete"

#: Milliseconds that the principal has for its answer: somebody waits at the keyboard.
TIMEOUT_MS = 300

#: Runs that are offered, the newest first.
RUNS = 50

#: What a value is, by how the help calls it; what is not named here is for the person to know.
FILES = "files"
FOLDERS = "folders"
KINDS = {
    **dict.fromkeys(("FILE", "PATH", SCRIPT, "ARGS"), FILES),
    "DIR": FOLDERS,
    **dict.fromkeys(("WORKFLOW", "W"), "workflows"),
    "ID": "runs",
    "NAME": "parts",
}

Found = Iterator[tuple[str, str]]


def complete(words: Sequence[str]) -> int:
    """Print what the last of `words` may become."""
    for word, meaning in candidates(words):
        print(f"{word}\t{meaning}")
    return Exit.DONE


def candidates(words: Sequence[str]) -> Found:
    """Words with their meanings; an empty word with `files` or `folders`."""
    *before, current = _joined(words) or [""]
    if before[:1] == ["listen"] and len(before) > 1:
        before = list(with_script(before))
    place = _walk(before)
    option, equals, value = current.partition("=")
    if equals and (action := place.option(option)) and not place.after_dashes:
        yield from ((f"{option}={word}" if word else "", meaning) for word, meaning in _values(action, value, place))
    elif place.pending is not None:
        yield from _values(place.pending, current, place)
    elif current.startswith("-") and not place.after_dashes:
        yield from place.flags(current)
    else:
        if (action := place.positional()) is not None:
            yield from _values(action, current, place)
        elif not current and not place.after_dashes:
            yield from place.flags("--")


def _joined(words: Sequence[str]) -> list[str]:
    """As the shell has them, but for bash, which cuts `--status=FAILED` at its `=`."""
    found: list[str] = []
    glued = False
    for word in words:
        if found and found[-1].startswith("--") and (word == "=" or glued):
            found[-1] += word
        else:
            found.append(word)
        glued = word == "="
    return found


@dataclass(slots=True)
class _Place:
    """Where a command line has got to."""

    parser: argparse.ArgumentParser
    #: The option whose value comes next.
    pending: argparse.Action | None = None
    #: Positional words of this command so far, and whether they are all that may come.
    count: int = 0
    after_dashes: bool = False
    #: By the fields of the parsed command line.
    given: dict[str, str] = field(default_factory=dict)

    def option(self, word: str) -> argparse.Action | None:
        """What a flag means."""
        return next((each for each in self.parser._actions if word in each.option_strings), None)

    def positional(self) -> argparse.Action | None:
        """What the next word that is no flag means."""
        left = self.count
        for action in self.parser._actions:
            if action.option_strings:
                continue
            if left == 0 or action.nargs in ("*", "+", argparse.REMAINDER):
                return action
            left -= 1
        return None

    def flags(self, begun: str) -> Found:
        """Those that the help shows."""
        for action in self.parser._actions:
            for name in action.option_strings:
                if action.help != argparse.SUPPRESS and name.startswith(begun):
                    yield name, action.help or ""


def _walk(words: Sequence[str]) -> _Place:
    place = _Place(tree.parser(words))
    for word in words:
        if place.pending is not None:
            place.given[place.pending.dest], place.pending = word, None
        elif place.after_dashes or not word.startswith("-") or word == "-":
            _take(place, word)
        elif word == "--":
            place.after_dashes = True
        else:
            name, equals, value = word.partition("=")
            action = place.option(name)
            if action is not None and action.nargs != 0 and not equals:
                place.pending = action
            elif action is not None:
                place.given[action.dest] = value
    return place


def _take(place: _Place, word: str) -> None:
    action = place.positional()
    if action is None:
        return
    if isinstance(action, argparse._SubParsersAction):
        # After what is no command nothing is known.
        place.parser = action.choices.get(word) or argparse.ArgumentParser(add_help=False)
        place.count = 0
        return
    place.given[action.dest] = word
    place.count += 1
    place.after_dashes = place.after_dashes or action.nargs == argparse.REMAINDER


def _values(action: argparse.Action, begun: str, place: _Place) -> Found:
    if isinstance(action, argparse._SubParsersAction):
        yield from _commands(action, begun)
        return
    if action.choices is not None:
        found: Found = ((str(each), "") for each in action.choices)
    else:
        kind = KINDS.get(str(action.metavar), "")
        if kind in (FILES, FOLDERS):
            yield "", kind
            return
        found = _ASKED[kind](place.given) if kind else iter(())
    yield from ((word, meaning) for word, meaning in found if word.lower().startswith(begun.lower()))


def _commands(action: Any, begun: str) -> Found:
    helps = {each.dest: each.help or "" for each in action._choices_actions}
    for name in action.choices:
        if name == SCRIPT:
            yield "", FILES
        elif name.startswith(begun):
            yield name, helps.get(name, "")


def _workflows(given: Mapping[str, str]) -> Found:
    from cdktr.cli.names import outlines

    yield from ((each.id, each.name or "") for each in _ask(given, outlines) or ())


def _runs(given: Mapping[str, str]) -> Found:
    from cdktr.protocol import ListRuns

    request = ListRuns(workflow_id=given.get("workflow"), limit=RUNS)
    found = _ask(given, lambda principal: principal.ask(request))
    yield from ((run["workflow_instance_id"], f"{run['workflow_id']} {run['status']}") for run in found or ())


def _parts(_given: Mapping[str, str]) -> Found:
    from cdktr.components import components

    yield from ((part.name, part.license) for part in components())


_ASKED: Mapping[str, Callable[[Mapping[str, str]], Found]] = {
    "workflows": _workflows,
    "runs": _runs,
    "parts": _parts,
}


def _ask(given: Mapping[str, str], question: Callable[[Any], Any]) -> Any:
    """What the principal of this command line answers, None when it does not."""
    from cdktr.client import Principal
    from cdktr.errors import CdktrError
    from cdktr.settings import load

    flags = {name: given.get(name) for name in ("principal_host", "principal_port")}
    try:
        settings = load({**flags, "default_zmq_timeout_ms": TIMEOUT_MS}).settings
        with Principal.of(settings) as principal:
            return question(principal)
    except CdktrError:
        return None
