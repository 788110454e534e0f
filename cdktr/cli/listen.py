"""`cdktr listen`: event listeners."""

import asyncio
import inspect
import logging
import os
import signal
import sys
import threading
import traceback
from argparse import Namespace
from collections.abc import Mapping
from functools import wraps
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from cdktr.cli import Exit
from cdktr.cli.arguments import nearest
from cdktr.cli.common import say
from cdktr.cli.start import prepare
from cdktr.cli.tree.listen import WORDS
from cdktr.errors import CdktrError
from cdktr.listener import EventListener
from cdktr.process import stop_signals

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

log = logging.getLogger(__name__)

Listener = EventListener[Any]

#: Seconds that the processes of a script have for their end.
STOP_S = 10.0


class _NothingToStart(Exception):
    """Says why."""

    code = Exit.ENDED_BADLY


class _NoScript(_NothingToStart):
    """What was named is no script: starting it again would not help, as the unit of a service is told by the code."""

    code = Exit.USAGE


def script(arguments: Namespace) -> int:
    """Run a listener of the user's own, as `python SCRIPT.py ARGS…` would, until it ends or is told to stop."""
    prepare(arguments, for_script=True)
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        # What it prints is read while it runs, in the journal of a service too.
        sys.stdout.reconfigure(line_buffering=True)
    for number in stop_signals():
        # Ctrl-C is a KeyboardInterrupt, as a script expects it.
        if number != signal.SIGINT:
            signal.signal(number, _end)
    try:
        _run(Path(arguments.script), arguments.arguments)
    except _NothingToStart as error:
        say(f"cdktr: {error}")
        return _left(error.code)
    except SystemExit as end:
        return _left(_code_of(end))
    except KeyboardInterrupt:
        return _left(Exit.DONE)
    except CdktrError:
        raise
    except BaseException as error:
        say("".join(_told(error)).rstrip())
        return _left(Exit.ENDED_BADLY)
    return Exit.DONE


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    # What the script has under way is cleaned up, as at its own sys.exit().
    raise SystemExit(Exit.DONE)


def _run(path: Path, arguments: list[str]) -> None:
    code = _compiled(path)
    main = _as_main(path, arguments)
    started = _note_starts()
    exec(code, main.__dict__)
    children = _children()
    left: list[threading.Thread | BaseProcess] = [] if started else [*_threads(), *children]
    if left:
        # One of them may start a listener a little later, or where it cannot be seen from here.
        told = ", ".join(each.name for each in left)
        log.info("%s has ended, and what it began goes on (%s); no listener is made beside it", path, told)
    elif not started:
        listening = _made(path, vars(main)).start_listening()
        if inspect.isawaitable(listening):
            asyncio.run(_awaited(listening))
    # Here and not at the end of the interpreter, where a signal would be a mess.
    for thread in _threads():
        thread.join()
    for child in _children():
        child.join()
    if left and not started and not children:
        raise _NothingToStart(
            f"{path} has ended, and started no event listener; let its last line start the one it has"
        )


async def _awaited(listening: Any) -> None:
    await listening


def _compiled(path: Path) -> CodeType:
    """The code of a script. Raises _NoScript."""
    try:
        return compile(path.read_bytes(), path.absolute(), "exec", dont_inherit=True)
    except OSError as error:
        near = nearest(str(path), list(WORDS))
        hint = f"did you mean {near}?" if near else "expected the file of a listener"
        raise _NoScript(f"{path} cannot be read: {error.strerror}; {hint}") from None
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f"{path}:{line}" if line else str(path)
        raise _NoScript(f"{where} is no Python: {getattr(error, 'msg', error)}") from None


def _as_main(path: Path, arguments: list[str]) -> ModuleType:
    """What a script finds around itself."""
    main = ModuleType("__main__")
    main.__file__ = str(path.absolute())
    sys.modules["__main__"] = main
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.resolve().parent))
    return main


def _note_starts() -> list[type[Listener]]:
    """A list into which every listener that is defined from now on puts its class when it is started."""
    started: list[type[Listener]] = []

    def note(cls: type[Listener], /, **arguments: Any) -> None:
        super(EventListener, cls).__init_subclass__(**arguments)
        if (listen := cls.__dict__.get("start_listening")) is None:
            return

        @wraps(listen)
        def noted(self: Listener, *args: Any, **kwargs: Any) -> Any:
            started.append(cls)
            return listen(self, *args, **kwargs)

        cls.start_listening = noted  # type: ignore[method-assign]

    EventListener.__init_subclass__ = classmethod(note)  # type: ignore[assignment]
    return started


def _made(path: Path, names: Mapping[str, Any]) -> Listener:
    """The one listener that a script defines, or imports. Raises _NothingToStart."""
    found = {each for each in names.values() if isinstance(each, type) and issubclass(each, EventListener)}
    own = {each for each in found if not each.__module__.startswith("cdktr.")}
    # What another one is derived from is not there to be started.
    last = [each for each in own if not any(each in other.__mro__[1:] for other in own)]
    if not last:
        raise _NothingToStart(
            f"{path} has ended and defines no event listener: a class that is derived from cdktr.EventListener"
        )
    if len(last) > 1:
        several = ", ".join(sorted(each.__name__ for each in last))
        raise _NothingToStart(
            f"{path} defines several event listeners and starts none ({several}); "
            "let its last line start the one that is meant, as in Mine().start_listening()"
        )
    [kind] = last
    if kind.start_listening is EventListener.start_listening:
        raise _NothingToStart(f"{kind.__name__} in {path} has no start_listening(), which says what it waits for")
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise _NothingToStart(
            f"{kind.__name__} in {path} needs arguments ({error}); let the last line of the script make and start it"
        ) from None
    return kind()


def _threads() -> list[threading.Thread]:
    """The threads that keep a program alive, but for this one."""
    return [each for each in threading.enumerate() if not each.daemon and each is not threading.current_thread()]


def _children() -> "list[BaseProcess]":
    """The processes that a script has made by `multiprocessing`, and that keep it alive."""
    loaded = sys.modules.get("multiprocessing")
    return [] if loaded is None else [each for each in loaded.active_children() if not each.daemon]


def _code_of(end: SystemExit) -> int:
    """The exit code that sys.exit() means."""
    if end.code is None or isinstance(end.code, int):
        return end.code or Exit.DONE
    say(str(end.code))
    return Exit.ENDED_BADLY


def _left(code: int) -> int:
    """The exit code again. What the script left running is ended; where that would keep it alive, it ends here."""
    children = _children()
    for child in children:
        child.terminate()
    for child in children:
        child.join(STOP_S)
    if _threads() or _children():
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code)
    return code


def _told(error: BaseException) -> list[str]:
    """The traceback of a script, without what is not its own."""
    told = traceback.TracebackException.from_exception(error)
    ours = str(Path(__file__).parents[1])
    told.stack = traceback.StackSummary.from_list([each for each in told.stack if not each.filename.startswith(ours)])
    return list(told.format())
