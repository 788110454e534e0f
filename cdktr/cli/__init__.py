"""The command line: exit codes, `main`, and the one place that turns an error into a sentence.

`tree` says which words and flags there are; a module a noun holds the verbs, and is imported when one of them is
called: what a command does not need is not loaded.
"""

import sys
from collections.abc import Iterator, Sequence
from enum import IntEnum

from cdktr import errors


class Exit(IntEnum):
    """How a command ended, for scripts. `cdktr --help` shows this table."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> "Exit":
        """A code that knows what it means."""
        member = int.__new__(cls, code)
        member._value_, member.meaning = code, meaning
        return member

    DONE = 0, "done"
    ENDED_BADLY = 1, "what was asked for ended badly: the run failed, a workflow file is wrong"
    USAGE = 2, "the command line or a setting is wrong"
    NO_PRINCIPAL = 3, "no principal answers"
    NOT_FOUND = 4, "there is no such workflow or run"
    CANNOT_START = 5, "it cannot start or write here: port, database, folder"
    REFUSED = 6, "the principal refused, or could not do it"
    BUG = 70, "a bug in cdktr"
    INTERRUPTED = 130, "interrupted by Ctrl-C"
    CLOSED_PIPE = 141, "the reader of the output went away"


#: The first that fits counts.
CODES: tuple[tuple[type[Exception], Exit], ...] = (
    (errors.SettingError, Exit.USAGE),
    (errors.UnreachableError, Exit.NO_PRINCIPAL),
    (errors.NotFoundError, Exit.NOT_FOUND),
    (errors.StartError, Exit.CANNOT_START),
    (errors.CdktrError, Exit.REFUSED),
    (OSError, Exit.CANNOT_START),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    _tolerate_any_text()
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        _flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _silence()
        return Exit.CLOSED_PIPE
    except BaseException as error:
        return _report(error)
    return code


def _run(argv: Sequence[str]) -> int:
    from cdktr.cli.tree import parser

    arguments = parser().parse_args(argv)
    code: int = arguments.verb(arguments)
    return code


def _report(error: BaseException) -> int:
    """Tell what went wrong on stderr: a sentence, and the traceback where it helps."""
    causes = list(_leaves(error))
    codes = [next((code for kind, code in CODES if isinstance(cause, kind)), Exit.BUG) for cause in causes]
    code = max(codes)
    cause = causes[codes.index(code)]
    if code is Exit.BUG:
        print(f"cdktr: this is a bug: {cause!r}; please report it with what follows", file=sys.stderr)
    else:
        print(f"cdktr: {_sentence(cause)}", file=sys.stderr)
    if code is Exit.BUG or _is_debugging():
        import traceback

        traceback.print_exception(error)
    if isinstance(cause, OSError):
        _silence()
    return code


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group, or the one."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _sentence(error: BaseException) -> str:
    from cdktr.text import printable

    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "\n".join(map(printable, text.splitlines()))


def _is_debugging() -> bool:
    from cdktr.settings import load

    try:
        return load().settings.log_level == "DEBUG"
    except errors.CdktrError:
        return False


def _tolerate_any_text() -> None:
    """A character that the terminal's encoding lacks is shown as its number."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def _flush() -> None:
    # None when the caller closed it.
    if sys.stdout is not None:
        sys.stdout.flush()


def _silence() -> None:
    """Give the interpreter somewhere to flush to at its end, where it would complain."""
    import os

    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        pass
