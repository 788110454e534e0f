"""What the commands' arguments are made of: the parser, and the flags that several commands have."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from cdktr.cli import Exit

Verb = Callable[[argparse.Namespace], int]

#: As `records.RunStatus`, which need not be loaded to print a help text; a test compares them.
STATUSES = ("PENDING", "RUNNING", "WAITING", "COMPLETED", "FAILED", "CRASHED", "SKIPPED", "CANCELLED")


TIMES = "a time such as 2026-01-31T02:00 (local unless it says otherwise), or how long ago, such as 90m"


class Parser(argparse.ArgumentParser):
    """A parser that answers a mistake with one sentence and where to read on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs["allow_abbrev"] = False
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Exit with the code for a wrong command line."""
        self.exit(
            Exit.USAGE, f"{self.prog}: {message.rstrip('.')}. See `{self.prog} --help`.\n".replace("?. See", "? See")
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse has it, but the command itself refuses what it does not know, and not the top."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self._refuse(rest)
        return found, rest

    def _refuse(self, rest: list[str]) -> NoReturn:
        # The value of an unknown option may be among them: it is the option that is wrong.
        option = next((word.partition("=")[0] for word in rest if word.startswith("-")), None)
        if option is None:
            self.error(f"{rest[0]!r} is one argument too many")
        known = [name for action in self._actions if action.help != argparse.SUPPRESS for name in action.option_strings]
        near = nearest(option.lstrip("-"), [name.removeprefix("--") for name in known if name.startswith("--")])
        self.error(f"{option!r} is not known" + (f"; did you mean --{near}?" if near else ""))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, unknown(str(value), list(map(str, action.choices))))


def unknown(word: str, known: list[str]) -> str:
    """A sentence on a word that is none of `known`."""
    hint = nearest(word, known)
    return f"{word!r} is not known; " + (f"did you mean {hint}?" if hint else f"expected one of {', '.join(known)}")


def nearest(word: str, known: list[str]) -> str | None:
    """What was meant: what `word` begins alone, else what looks like it."""
    from difflib import get_close_matches

    begun = [each for each in known if each.lower().startswith(word.lower())]
    if len(begun) == 1:
        return begun[0]
    near = get_close_matches(word.lower(), [each.lower() for each in known], 1)
    return next((each for each in known if each.lower() in near), None)


def show_help(shown: argparse.ArgumentParser) -> int:
    """The verb of a command line that stops too early."""
    shown.print_help()
    return Exit.USAGE


def add_noun(nouns: Any, name: str, help: str) -> Any:
    """A command whose verbs are to be added to what this returns."""
    noun = nouns.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    noun.set_defaults(verb=lambda _: show_help(noun))
    return noun.add_subparsers(metavar="COMMAND", title="commands")


def add_verb(
    verbs: Any, name: str, verb: Verb, help: str, more: str = "", examples: str = ""
) -> argparse.ArgumentParser:
    """A command that does something."""
    description = f"{help[0].upper()}{help[1:]}." + (f"\n\n{more}" if more else "")
    epilog = "examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()) if examples else None
    made: argparse.ArgumentParser = verbs.add_parser(name, help=help, description=description, epilog=epilog)
    made.set_defaults(verb=verb)
    return made


def add_client(verb: argparse.ArgumentParser, json: bool = True) -> None:
    """The flags of a command that asks a principal."""
    where = verb.add_argument_group("which principal")
    where.add_argument("--principal-host", metavar="HOSTS", help="its host, or several (default: CDKTR_PRINCIPAL_HOST)")
    where.add_argument(
        "--principal-port", metavar="PORT", type=port, help="its port (default: CDKTR_PRINCIPAL_PORT, else 5561)"
    )
    if json:
        add_json(verb)


def add_json(verb: argparse.ArgumentParser, help: str = "print JSON, for programs") -> None:
    """The flag of a command that prints facts."""
    verb.add_argument("--json", action="store_true", help=help)


def add_status_filter(made: argparse.ArgumentParser) -> None:
    """The flag of a command that can look at some runs alone."""
    meaning = f"only of runs whose status is this: {', '.join(STATUSES)}"
    made.add_argument("--status", metavar="S", type=str.upper, choices=STATUSES, help=meaning)


def add_window(made: argparse.ArgumentParser) -> None:
    """The flags of a command that can look at some time alone."""
    window = made.add_mutually_exclusive_group()
    window.add_argument("--last", metavar="1h", help="how far to look back")
    window.add_argument("--since", metavar="T", help=TIMES)
    made.add_argument("--until", metavar="T", help="the same, for the end")


def whole(low: int, high: int, what: str) -> Callable[[str], int]:
    """Reads a whole number; `what` completes "is not …"."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {low} to {high}")
        return int(text)

    return read


#: Reads a port.
port = whole(0, 65535, "a port number")
#: Reads how many of something there shall be.
count = whole(1, 10_000, "a whole number")


def address(text: str) -> str:
    """Reads an address to bind: nothing would be every one that there is."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an address is missing; 0.0.0.0 is every one of this host")
    try:
        text.encode("idna")
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no address") from None
    return text


def labels(text: str) -> str:
    """Reads labels, which the settings look at: nothing, as of a variable that is not set, would be none."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a label is missing; leave the flag out for an agent that has none")
    return text


def seconds(text: str) -> float:
    """Reads a duration."""
    from cdktr.errors import SettingError
    from cdktr.text import parse_duration

    try:
        found = parse_duration(text)
    except SettingError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if found > 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is longer than a day")
    return found
