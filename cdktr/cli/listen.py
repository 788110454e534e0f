"""`cdktr listen`: event listeners."""

import asyncio
import inspect
import logging
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Mapping
from functools import wraps
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from cdktr.cli import Exit
from cdktr.cli.arguments import nearest
from cdktr.cli.common import say
from cdktr.cli.script import as_main, await_others, children, code_of, compiled, left, threads, told
from cdktr.cli.start import prepare
from cdktr.cli.tree.listen import WORDS
from cdktr.errors import CdktrError
from cdktr.listener import EventListener
from cdktr.process import stop_signals

log = logging.getLogger(__name__)

Listener = EventListener[Any]

#: Seconds until an end that went unheard is asked for again.
AGAIN_S = 0.1


class _End(SystemExit):
    """The end that a signal asked for."""


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
    sys.unraisablehook = _heed
    try:
        _run([arguments.script, *arguments.arguments])
    except _NothingToStart as error:
        say(f"cdktr: {error}")
        return left(error.code)
    except SystemExit as end:
        return left(code_of(end))
    except KeyboardInterrupt:
        return left(Exit.DONE)
    except CdktrError:
        raise
    except BaseException as error:
        say("".join(told(error)).rstrip())
        return left(Exit.ENDED_BADLY)
    return Exit.DONE


def _end(_number: int, frame: FrameType | None) -> None:
    if _is_starting_another(frame):
        _end_later()
        return
    # What the script has under way is cleaned up, as at its own sys.exit().
    raise _End(Exit.DONE)


def _is_starting_another(frame: FrameType | None) -> bool:
    """In the middle of the start of a process, which nobody would know of, and end, if that were left now."""
    while frame is not None:
        name, module = frame.f_code.co_name, frame.f_globals.get("__name__")
        # A process that was forked has the start of its own below itself.
        if module == "multiprocessing.process" and name in ("start", "_bootstrap"):
            return name == "start"
        frame = frame.f_back
    return False


def _heed(lost: "sys.UnraisableHookArgs") -> None:
    """Nothing is raised out of a finaliser, or out of what is called around a fork: the end comes a little later."""
    if not isinstance(lost.exc_value, _End):
        sys.__unraisablehook__(lost)
        return
    _end_later()


def _end_later() -> None:
    again = threading.Timer(AGAIN_S, signal.pthread_kill, (threading.main_thread().ident, signal.SIGTERM))
    again.daemon = True
    again.start()


def _run(argv: list[str]) -> None:
    path = Path(argv[0])
    code = _compiled(path)
    main = as_main(argv)
    started = _note_starts()
    exec(code, main.__dict__)
    processes = children()
    going_on = [] if started else [*(each.name for each in threads()), *(each.name for each in processes)]
    if going_on:
        # One of them may start a listener a little later, or where it cannot be seen from here.
        names = ", ".join(going_on)
        log.info("%s has ended, and what it began goes on (%s); no listener is made beside it", path, names)
    elif not started:
        listening = _made(path, vars(main)).start_listening()
        if inspect.isawaitable(listening):
            asyncio.run(_awaited(listening))
    await_others()
    if going_on and not started and not processes:
        raise _NothingToStart(
            f"{path} has ended, and started no event listener; let its last line start the one it has"
        )


async def _awaited(listening: Any) -> None:
    await listening


def _compiled(path: Path) -> CodeType:
    """The code of a script. Raises _NoScript."""
    try:
        return compiled(path)
    except OSError as error:
        near = nearest(str(path), list(WORDS))
        hint = f"did you mean {near}?" if near else "expected the file of a listener"
        raise _NoScript(f"{path} cannot be read: {error.strerror}; {hint}") from None
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f"{path}:{line}" if line else str(path)
        raise _NoScript(f"{where} is no Python: {getattr(error, 'msg', error)}") from None


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
