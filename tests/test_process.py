import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cdktr.process import MOST_FILES, on_stop, raise_file_limit, stop_signals

ROOT = Path(__file__).resolve().parent.parent


def test_what_was_ignored_at_the_start_stays_ignored() -> None:
    program = "from cdktr.process import stop_signals; print(*stop_signals())"
    for before, expected in (("", "15 2 1"), ("trap '' HUP; ", "15 2")):
        done = subprocess.run(
            ["sh", "-c", f'{before}exec "$0" -c "{program}"', sys.executable], cwd=ROOT, capture_output=True, text=True
        )
        assert done.stdout.split() == expected.split(), done.stderr
    assert signal.SIGTERM in stop_signals()


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (40, 4096, 4096),
        (1024, 4096, 4096),
        (1024, 10**6, MOST_FILES),
        (1024, resource.RLIM_INFINITY, MOST_FILES),
        (10**6, 10**6, None),
    ],
)
def test_the_file_limit(soft: int, hard: int, expected: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: set_to.append(limits))
    # What an agent gets back, which needs some.
    assert raise_file_limit("a test") == (64 if soft == 40 else soft)
    assert set_to == ([] if expected is None else [(expected, hard)])


@pytest.mark.parametrize(
    ("command", "hard", "said"),
    [
        ("start principal", 20, "20 files open, and a principal needs 64 or more; raise the hard limit"),
        ("listen webhook", 20, "20 files open, and a webhook needs 64 or more; raise the hard limit"),
        ("start agent", 20, "20 files open, and an agent needs 64 or more; raise the limit"),
        # Its own is the soft one, which its tasks get too.
        ("start agent", 4096, "20 files open, and an agent needs 64 or more; raise the limit"),
    ],
)
def test_too_few_files(command: str, hard: int, said: str, tmp_path: Path) -> None:
    limit = f"import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (20, {hard}))"
    words = [sys.executable, "-c", f"{limit}; from cdktr.cli import main; exit(main())", *command.split()]
    own = {"CDKTR_WEBHOOK_SECRET": "x" * 16, "CDKTR_APP_DATA_DIRECTORY": str(tmp_path), "CDKTR_RETRY_ATTEMPTS": "0"}
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 5
    assert done.stderr.startswith(f"cdktr: This process may have {said} of its user (`ulimit -"), done.stderr


def test_a_hangup_is_no_second_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdktr.process.stop_signals", lambda: [signal.SIGTERM, signal.SIGHUP])

    async def told_at(*numbers: signal.Signals) -> int:
        told: list[None] = []
        on_stop(lambda: told.append(None))
        for number in numbers:
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.01)
        return len(told)

    hangup, term = signal.SIGHUP, signal.SIGTERM
    assert asyncio.run(told_at(hangup, hangup)) == 1
    assert asyncio.run(told_at(hangup, term, hangup)) == 2
    assert asyncio.run(told_at(term, hangup, term)) == 2


def test_standard_streams_that_are_closed_are_filled() -> None:
    program = (
        "import os; from cdktr.process import fill_standard_streams; fill_standard_streams();"
        "assert os.open('/', os.O_RDONLY) == 3; os.write(int(os.environ['ANSWER']), b'filled')"
    )
    reader, writer = os.pipe()
    subprocess.run(
        ["sh", "-c", f'exec "$0" -c "{program}" 0<&- 1>&- 2>&-', sys.executable],
        cwd=ROOT,
        env={**os.environ, "ANSWER": str(writer)},
        pass_fds=(writer,),
    )
    os.close(writer)
    # `/` took the first free number, so none of the three was.
    assert os.read(reader, 100) == b"filled"
    os.close(reader)
