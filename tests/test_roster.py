"""The roster: what is under way is what a reader finds, at every moment, whatever the disk does."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdktr import roster as module
from cdktr.proc import boot_id, start_time, uptime
from cdktr.roster import HeldRun, Roster, UnderWay, read_roster


def test_what_begins_is_found_and_what_ended_is_not(tmp_path: Path) -> None:
    path = tmp_path / "roster"
    roster = Roster(path)
    assert read_roster(path) == UnderWay()
    roster.run("r-1", "etl", "t1")
    roster.run("r-2", "etl", "t2")
    roster.process(os.getpid())
    roster.ended("r-1")
    found = read_roster(path)
    assert found.runs == {"r-2": HeldRun("etl", "t2")}
    process = found.processes[os.getpid()]
    assert (process.pid, process.boot) == (os.getpid(), boot_id())
    assert start_time(os.getpid()) < process.noted <= uptime()
    roster.exited(os.getpid())
    roster.ended("r-2")
    assert path.stat().st_size == 0
    roster.run("r-3", "etl", "t3")
    roster.close()
    assert list(read_roster(path).runs) == ["r-3"]


def test_no_file_is_no_work_and_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "roster"
    assert read_roster(path) == UnderWay()
    path.write_bytes(b'["run","r-1","etl","t"]\n[]\n["run"]\n7\n["what","x"]\n["ended","absent"]\n["run","r-2","et')
    assert read_roster(path).runs == {"r-1": HeldRun("etl", "t")}


@given(st.lists(st.tuples(st.sampled_from("+-"), st.integers(0, 5)), max_size=60))
def test_a_long_one_is_written_anew(tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, int]]) -> None:
    path = tmp_path_factory.mktemp("roster") / "roster"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LONG", 60)
        roster = Roster(path)
        open_runs: dict[str, HeldRun] = {}
        for kind, number in events:
            run_id = f"r-{number}"
            if kind == "+":
                roster.run(run_id, "etl", "t")
                open_runs[run_id] = HeldRun("etl", "t")
            else:
                roster.ended(run_id)
                open_runs.pop(run_id, None)
            assert read_roster(path).runs == open_runs
        roster.close()
        assert path.stat().st_size < 400


def test_a_full_disk_is_told_once_and_costs_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    roster = Roster(tmp_path / "roster")

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", full)
        roster.run("r-1", "etl", "t")
        roster.run("r-2", "etl", "t")
    assert caplog.text.count("No space left") == 1
    roster.run("r-3", "etl", "t")
    roster.close()
    assert list(read_roster(tmp_path / "roster").runs) == ["r-3"]
