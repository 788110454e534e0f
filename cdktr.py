"""Entry point: `python cdktr.py …`, and the frozen binary's main script."""

import sys

from cdktr.cli import main


def frozen() -> int | str | None:
    """The program of the one file, which its head starts, or the program itself."""
    from cdktr import bundle

    words = sys.argv[1:]
    if words[:1] == [bundle.SETTLE]:
        try:
            return bundle.settle(*words[1:])
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
    bundle.begin()
    if words[:1] == ["--multiprocessing-fork"]:
        # How the standard library starts itself in a frozen program, for a script that runs here.
        from multiprocessing.spawn import freeze_support

        freeze_support()
    if "-c" in words and all(word.startswith("-") for word in words[: words.index("-c")]):
        # As it starts its other helpers, with the options that this interpreter itself has.
        code = words[words.index("-c") + 1]
        sys.argv = ["-c", *words[words.index("-c") + 2 :]]
        exec(code, {"__name__": "__main__"})
        return None
    return main()


if __name__ == "__main__":
    sys.exit(frozen() if getattr(sys, "frozen", False) else main())
