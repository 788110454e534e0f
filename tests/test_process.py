import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cdktr.process import MOST_FILES, raise_file_limit, stop_signals

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
    [(1024, 4096, 4096), (1024, 10**6, MOST_FILES), (1024, resource.RLIM_INFINITY, MOST_FILES), (10**6, 10**6, None)],
)
def test_the_file_limit(soft: int, hard: int, expected: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: set_to.append(limits))
    raise_file_limit()
    assert set_to == ([] if expected is None else [(expected, hard)])
