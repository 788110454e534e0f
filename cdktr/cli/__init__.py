"""The command line: exit codes, `main`, and the one place that turns an error into a sentence.

`tree` says which words and flags there are; a module a noun holds the verbs, and is imported when one of them is
called: what a command does not need is not loaded.
"""

# Kept light: `cdktr --version` imports nothing but this, `errors` and `bundle`.
from __future__ import annotations

import sys

from cdktr import __version__, errors
from cdktr.bundle import SCRIPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Exit:
    """How a command ended, for scripts. `cdktr --help` shows them with their `MEANINGS`."""

    DONE = 0
    ENDED_BADLY = 1
    USAGE = 2
    NO_PRINCIPAL = 3
    NOT_FOUND = 4
    CANNOT_START = 5
    REFUSED = 6
    #: As EX_SOFTWARE of sysexits.h.
    BUG = 70
    #: 128 and the number of the signal, as shells have it: SIGINT, SIGPIPE.
    INTERRUPTED = 130
    CLOSED_PIPE = 141


MEANINGS = {
    Exit.DONE: "done",
    Exit.ENDED_BADLY: "what was asked for ended badly: the run failed, a workflow file is wrong",
    Exit.USAGE: "the command line or a setting is wrong",
    Exit.NO_PRINCIPAL: "no principal answers",
    Exit.NOT_FOUND: "there is no such workflow or run",
    Exit.CANNOT_START: "it cannot start or write here: port, database, folder",
    Exit.REFUSED: "the principal refused, or could not do it",
    Exit.BUG: "a bug in cdktr",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
    Exit.CLOSED_PIPE: "the reader of the output went away",
}

#: The first that fits counts.
CODES: tuple[tuple[type[Exception], int], ...] = (
    (errors.SettingError, Exit.USAGE),
    (errors.UnreachableError, Exit.NO_PRINCIPAL),
    (errors.NotFoundError, Exit.NOT_FOUND),
    (errors.StartError, Exit.CANNOT_START),
    (errors.CdktrError, Exit.REFUSED),
    (OSError, Exit.CANNOT_START),
)


#: The extra of the package that brings a library, for those who installed it without.
EXTRAS = {"duckdb": "server", "yaml": "server", "asciimatics": "ui"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    _tolerate_any_text()
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        _flush()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _silence()
        return Exit.CLOSED_PIPE
    except BaseException as error:
        return _report(error)
    return code


def _run(argv: Sequence[str]) -> int:
    if list(argv) in (["--version"], ["-V"]):
        print(f"cdktr {__version__}")
        return Exit.DONE
    if argv and argv[0] == "__complete":
        from cdktr.cli.complete import complete

        return complete(argv[1:])
    if argv and argv[0] == SCRIPT:
        from cdktr.cli import script

        return script.task(argv[1:])
    from cdktr.cli.tree import parser

    if argv and argv[0] == "listen":
        from cdktr.cli.tree.listen import with_script

        argv = with_script(argv)
    try:
        arguments = parser(argv).parse_args(argv)
    except SystemExit as end:
        # A help text was shown, or what is wrong.
        return int(end.code or Exit.DONE)
    code: int = arguments.verb(arguments)
    return code


def _report(error: BaseException) -> int:
    """Tell what went wrong on stderr: a sentence, and the traceback where it helps."""
    causes = [_missing(cause) or cause for cause in _leaves(error)]
    codes = [next((code for kind, code in CODES if isinstance(cause, kind)), Exit.BUG) for cause in causes]
    code = max(codes)
    cause = causes[codes.index(code)]
    if code == Exit.BUG:
        print(f"cdktr: this is a bug: {cause!r}; please report it with what follows", file=sys.stderr)
    else:
        print(f"cdktr: {_sentence(cause)}", file=sys.stderr)
    if code == Exit.BUG or _is_debugging():
        _print_traceback(error)
    if isinstance(cause, OSError):
        _silence()
    return code


def _print_traceback(error: BaseException) -> None:
    from traceback import format_exception

    from cdktr.text import printable

    text = "".join(format_exception(error))
    print("\n".join(map(printable, text.splitlines())), file=sys.stderr)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group, or the one."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _missing(error: BaseException) -> errors.StartError | None:
    """What to do about a library that is not installed."""
    library = error.name if isinstance(error, ModuleNotFoundError) else None
    if library not in EXTRAS:
        return None
    extra = f"pip install '.[{EXTRAS[library]}]'"
    what = f"This command needs {library}, which is not installed here"
    return errors.StartError(f"{what}; {extra} in the source tree of cdktr brings it")


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
