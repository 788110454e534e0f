"""A script of the user's on the interpreter of cdktr, as `python SCRIPT ARGS…` would run it.

`cdktr listen SCRIPT.py` and, where that is allowed, `!UvPython` tasks. In the frozen program all of the standard
library that makes sense is there, and what a script starts with `sys.executable` finds what it needs.
"""

import builtins
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from cdktr.cli import Exit
from cdktr.cli.common import say

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

#: Seconds that the processes of a script have for their end.
STOP_S = 10.0


def task(argv: Sequence[str]) -> int:
    """Run the script of a task, given with its arguments, to its end."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            # As with PYTHONUNBUFFERED: its lines come as they are printed.
            stream.reconfigure(line_buffering=True, write_through=True)
    try:
        code = compiled(Path(argv[0]))
        exec(code, as_main(argv).__dict__)
        await_others()
    except SystemExit as end:
        return left(code_of(end))
    except BaseException as error:
        say("".join(told(error)).rstrip())
        return left(Exit.ENDED_BADLY)
    return Exit.DONE


def compiled(path: Path) -> CodeType:
    """The code of a script. Raises OSError, and SyntaxError or ValueError where it is no Python."""
    return compile(path.read_bytes(), path.absolute(), "exec", dont_inherit=True)


def as_main(argv: Sequence[str]) -> ModuleType:
    """What a script finds around itself, which is given with its arguments."""
    path = Path(argv[0])
    main = ModuleType("__main__")
    main.__file__ = str(path.absolute())
    sys.modules["__main__"] = main
    sys.argv = list(argv)
    sys.path.insert(0, str(path.resolve().parent))
    for name in ("exit", "quit"):
        if not hasattr(builtins, name):
            # The frozen interpreter comes without `site`.
            setattr(builtins, name, sys.exit)
    return main


def threads() -> list[threading.Thread]:
    """The threads that keep a program alive, but for this one."""
    return [each for each in threading.enumerate() if not each.daemon and each is not threading.current_thread()]


def children() -> "list[BaseProcess]":
    """The processes that a script has made by `multiprocessing`, and that keep it alive."""
    loaded = sys.modules.get("multiprocessing")
    return [] if loaded is None else [each for each in loaded.active_children() if not each.daemon]


def await_others() -> None:
    """Here and not at the end of the interpreter, where a signal would be a mess."""
    for thread in threads():
        thread.join()
    for process in children():
        process.join()


def code_of(end: SystemExit) -> int:
    """The exit code that sys.exit() means."""
    if end.code is None or isinstance(end.code, int):
        return end.code or Exit.DONE
    say(str(end.code))
    return Exit.ENDED_BADLY


def left(code: int) -> int:
    """The exit code again. What the script left running is ended; where that would keep it alive, it ends here."""
    processes = children()
    for each in processes:
        each.terminate()
    for each in processes:
        each.join(STOP_S)
    if threads() or children():
        import os

        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code)
    return code


def told(error: BaseException) -> list[str]:
    """The traceback of a script, without what is not its own."""
    found = traceback.TracebackException.from_exception(error)
    # Not of __file__: in the frozen program, code has another idea of where it is.
    ours = f"{Path(told.__code__.co_filename).parents[1]}/"
    found.stack = traceback.StackSummary.from_list([each for each in found.stack if not each.filename.startswith(ours)])
    return list(found.format())
