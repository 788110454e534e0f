"""The history: what is written is found again, by whoever asks, in a file that the original could have made."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdktr.batch import SCHEMA, Batch
from cdktr.database import MEMORY, SLICE, Connection, Database
from cdktr.errors import StartError, StoreError
from cdktr.records import LogChunk, LogRecord, RunStatus, RunUpdate, TaskUpdate
from cdktr.store import Store

ROOT = Path(__file__).resolve().parent.parent

P, R, W, C, F = RunStatus.PENDING, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.COMPLETED, RunStatus.FAILED


@pytest.fixture
def store() -> Iterator[Store]:
    """One in memory."""
    opened = Store(MEMORY)
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where a database can be."""
    return str(tmp_path / "data" / "app.db")


def log(payload: str = "x", *, run: str = "run-1", time: int = 0, task: str = "t", level: str = "INFO") -> LogRecord:
    """A line of a task of the workflow `w`."""
    return LogRecord("w", "W", run, task, f"{task}-1", time, level, payload)


def write(store: Store, *rows: LogRecord | RunUpdate | TaskUpdate) -> None:
    """Store these, numbered on from what is there."""
    batch = Batch()
    for row in rows:
        number, store.next_sequence = store.next_sequence, store.next_sequence + 1
        if isinstance(row, LogRecord):
            batch.add_logs([row], number)
        elif isinstance(row, RunUpdate):
            batch.add_run(row, number)
        else:
            batch.add_task(row, number)
    store.write(batch)


def execute(store: Store, sql: str) -> None:
    """What no method does."""

    def work(connection: Connection) -> None:
        connection.execute(sql)

    store._database.transact(work, lambda: False)


def run(status: RunStatus, time: int, run_id: str = "run-1", workflow_id: str = "w", **more: Any) -> RunUpdate:
    """A run's change of status."""
    return RunUpdate(workflow_id, run_id, status, time, **more)


def task(status: RunStatus, time: int, task_id: str = "t", **more: Any) -> TaskUpdate:
    """A task's change of status, in run-1."""
    return TaskUpdate(task_id, f"{task_id}-1", "run-1", status, time, **more)


def payloads(store: Store) -> list[str]:
    """All lines there are."""
    return [record.payload for record in store.logs(-(2**62), 2**62, None, None, 10**6)]


NO_FILTER = dict.fromkeys(("workflow", "run", "task", "level", "status", "start", "end", "after", "before", "contains"))


def page(store: Store, limit: int = 100, *, newest: bool = False, **filters: Any) -> list[str]:
    """The texts of a page of lines."""
    return [row["payload"] for row in store.log_page(NO_FILTER | filters, limit, newest=newest)]


# The tables, which people read with their own SQL.

PUBLIC = {
    "logstore": [
        ("workflow_id", "VARCHAR"),
        ("workflow_name", "VARCHAR"),
        ("workflow_instance_id", "VARCHAR"),
        ("task_name", "VARCHAR"),
        ("task_instance_id", "VARCHAR"),
        ("timestamp_ms", "BIGINT"),
        ("level", "VARCHAR"),
        ("payload", "VARCHAR"),
    ],
    "workflow_run_status": [
        ("workflow_id", "VARCHAR"),
        ("workflow_instance_id", "VARCHAR"),
        ("status", "VARCHAR"),
        ("timestamp_ms", "BIGINT"),
    ],
    "task_run_status": [
        ("task_id", "VARCHAR"),
        ("task_instance_id", "VARCHAR"),
        ("workflow_instance_id", "VARCHAR"),
        ("status", "VARCHAR"),
        ("timestamp_ms", "BIGINT"),
    ],
}


def columns(path: str, table: str) -> list[tuple[str, str]]:
    """As another program sees them."""
    with duckdb.connect(path, read_only=True) as connection:
        return [(name, kind) for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall()]


@pytest.mark.parametrize(("table", "first"), PUBLIC.items())
def test_the_public_tables_and_the_order_of_their_columns(path: str, table: str, first: list[tuple[str, str]]) -> None:
    Store(path).close()
    found = columns(path, table)
    assert found[: len(first)] == first
    assert [name for name, _ in found] == list(SCHEMA[table])


def test_what_is_stored_is_there_after_a_restart(path: str) -> None:
    store = Store(path)
    write(store, log("one"), run(P, 5), task(R, 6), log("two"))
    store.close()
    store = Store(path)
    assert store.next_sequence == 4
    assert payloads(store) == ["one", "two"]
    assert [r["status"] for r in store.runs()] == ["PENDING"]
    assert [t["status"] for t in store.tasks("run-1")] == ["RUNNING"]
    store.close()


def test_cursors_are_the_last_report_of_each_source(path: str) -> None:
    store = Store(path)
    assert store.cursors == {}
    store.write(Batch(cursors=[("a/1", 1), ("b/1", 7)]))
    store.write(Batch(cursors=[("a/1", 3)]))
    store.close()
    store = Store(path)
    assert store.cursors == {"a/1": 3, "b/1": 7}
    store.close()


# Files of the original.


@pytest.fixture
def original(tmp_path: Path) -> str:
    """A file as the original implementation leaves it."""
    path = str(tmp_path / "old.db")
    with duckdb.connect(path, config={"storage_compatibility_version": "v1.3.0"}) as connection:
        connection.execute(
            """
            CREATE TYPE RunStatus AS ENUM ('PENDING', 'RUNNING', 'WAITING', 'COMPLETED', 'FAILED', 'CRASHED');
            CREATE TABLE logstore (workflow_id TEXT, workflow_name TEXT, workflow_instance_id TEXT, task_name TEXT,
                task_instance_id TEXT, timestamp_ms BIGINT, level TEXT, payload TEXT);
            CREATE TABLE workflow_run_status (workflow_id TEXT, workflow_instance_id TEXT, status RunStatus,
                timestamp_ms BIGINT);
            CREATE TABLE task_run_status (task_id TEXT, task_instance_id TEXT, workflow_instance_id TEXT,
                status RunStatus, timestamp_ms BIGINT);
            INSERT INTO logstore VALUES ('w', 'W', 'run-41', 't', 't-9', 10, 'INFO', 'first'),
                ('w', 'W', 'run-41', 't', 't-9', 10, 'INFO', 'second');
            INSERT INTO workflow_run_status VALUES ('w', 'run-41', 'PENDING', 5), ('w', 'run-41', 'RUNNING', 6),
                ('w', 'run-41', 'COMPLETED', 20);
            INSERT INTO task_run_status VALUES ('t', 't-9', 'run-41', 'RUNNING', 7),
                ('t', 't-9', 'run-41', 'COMPLETED', 19);
            """
        )
    return path


def test_a_file_of_the_original_is_carried_on_with(original: str) -> None:
    for _ in range(2):
        store = Store(original)
        (old,) = store.runs(run_id="run-41")
        assert (old["status"], old["queued_ms"], old["started_ms"], old["ended_ms"]) == ("COMPLETED", 5, 6, 20)
        assert [(t["task_id"], t["status"], t["started_ms"]) for t in store.tasks("run-41")] == [("t", "COMPLETED", 7)]
        assert payloads(store)[:2] == ["first", "second"]
        assert store.highest_number() == 41
        store.close()
    store = Store(original)
    write(store, run(RunStatus.CANCELLED, 30, "run-42"), log("third", time=10), log("fourth", time=3))
    assert [r["workflow_instance_id"] for r in store.runs()] == ["run-42", "run-41"]
    assert [r["status"] for r in store.recent(5)] == ["CANCELLED"]
    assert payloads(store) == ["fourth", "first", "second", "third"]
    assert page(store) == ["first", "second", "third", "fourth"], "in the order of arrival"
    store.close()
    assert columns(original, "workflow_run_status")[:4] == PUBLIC["workflow_run_status"]


def test_a_widening_that_was_cut_short_is_finished(original: str) -> None:
    with duckdb.connect(original) as connection:
        connection.execute("ALTER TABLE logstore ADD COLUMN sequence BIGINT")
    store = Store(original)
    write(store, log("third", time=99))
    assert page(store) == ["first", "second", "third"]
    store.close()


# Writing.


def test_a_batch_counts_and_grows() -> None:
    batch = Batch()
    assert len(batch) == 0
    assert batch.add_logs([log("a"), log("b")], 5) == 7
    batch.add_run(run(P, 0), 7)
    other = Batch(events=[("run-1", 0, "refused", "x", 8)], cursors=[("a", 1)])
    other.add_task(task(P, 0), 9)
    batch.extend(other)
    assert len(batch) == 6
    assert {table: len(rows) for table, rows in batch.rows.items() if rows} == {
        "logstore": 2,
        "workflow_run_status": 1,
        "task_run_status": 1,
        "report_cursor": 1,
        "run_event": 1,
    }
    assert [row[-1] for row in batch.logs] == [5, 6]


def test_many_rows_keep_their_order(store: Store) -> None:
    lines = [str(number) for number in range(2 * SLICE + 1)]
    write(store, *(log(line) for line in lines))
    assert payloads(store) == lines
    assert page(store, 3, newest=True) == lines[-3:]


HOSTILE = [
    "a\x00b",
    "a\x01b",
    "\x1b[2J",
    "ä 日本 😀",
    "'; DROP TABLE logstore; --",
    "",
    "\n\r\t",
    "\ufffe",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:20]))
def test_any_text_comes_back_as_it_was(store: Store, text: str) -> None:
    record = LogRecord(text, text, text, text, text, 1, text, text)
    write(store, record, RunUpdate(text, text, P, 1, text, text, text, text), TaskUpdate(text, text, text, P, 1, text))
    assert store.logs(0, 2, text, text, 5) == [record]
    (found,) = store.runs(workflow_id=text, run_id=text)
    assert (found["agent_id"], found["trigger"], found["params"]) == (text, text, text)
    assert store.tasks(text)[0]["task_id"] == text


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["", ""],
        ["one", "", "three"],
        [text for text in HOSTILE if "\n" not in text],
        ["a line\nwith an end", "x"],
        ["\n"],
        [str(number) for number in range(5000)],
    ],
    ids=lambda lines: f"{len(lines)} {str(lines[:2])[:30]}",
)
def test_a_chunk_is_stored_as_its_lines(store: Store, lines: list[str]) -> None:
    chunk = LogChunk("w", "W", "run-1", "t", "t-1", 5, "INFO", tuple(lines))
    batch, other, later = Batch(), Batch(), Batch()
    for each, first in ((batch, 3), (other, 10_000), (later, 20_000)):
        assert each.add_chunk(chunk, first) == first + len(lines)
    batch.extend(other)
    assert len(batch) == 2 * len(lines)
    store.write(batch)
    store.write(later)
    assert store.logs(0, 10, None, None, 10**6) == 3 * chunk.records()
    numbers = [row["sequence"] for row in store.log_page(NO_FILTER, 10**6, newest=False)]
    assert numbers == [first + n for first in (3, 10_000, 20_000) for n in range(len(lines))]


def test_a_chunk_that_no_database_takes(store: Store) -> None:
    batch = Batch()
    number = batch.add_chunk(LogChunk("w", "W", "run-1", "t", "t-1", 5, "INFO", ("a\ud800b", "", "c")), 0)
    batch.add_chunk(LogChunk("w", "W", "run-1", "t", "t-1", 2**63, "INFO", ("late",)), number)
    store.write(batch)
    assert page(store) == ["a?b", "", "c", "late"]


def test_what_no_database_takes_does_not_hold_up_the_rest(store: Store) -> None:
    write(store, log("before"), log("a\ud800b"), log("late", time=2**63), log("after"), run(C, 2**70, "run-\udcff"))
    assert page(store) == ["before", "a?b", "late", "after"]
    assert [r["status"] for r in store.runs()] == ["COMPLETED"]
    batch = Batch(logs=[("w", "W", "r", "t", "i", "no number", "INFO", {"no": "text"}, 9)])
    store.write(batch)
    assert page(store, newest=True, limit=1) == ["{'no': 'text'}"]


def test_a_batch_is_stored_as_a_whole_or_not_at_all(store: Store) -> None:
    batch = Batch(events=[("run-1", 0, "refused", "x", 9)])
    batch.add_logs([log("line")] * (SLICE + 1), 0)
    batch.add_run(run(P, 0), 8)
    execute(store, "ALTER TABLE run_event RENAME TO gone")
    for _ in range(2):
        with pytest.raises(StoreError, match=r"^The database :memory: cannot be written: [^\n]*$"):
            store.write(batch)
        assert payloads(store) == []
        assert store.runs() == []
    execute(store, "ALTER TABLE gone RENAME TO run_event")
    store.write(batch)
    assert len(payloads(store)) == SLICE + 1
    assert len(store.runs()) == 1


# Runs and tasks.


def test_a_run_from_its_rows(store: Store) -> None:
    write(
        store,
        run(P, 100, trigger="manual", params='{"day":"monday"}'),
        run(P, 200, "run-2", "v"),
        run(R, 110, agent_id="a-1"),
        run(F, 150, agent_id="a-1", detail="failed: t"),
    )
    assert store.runs() == [
        {
            "workflow_id": "v",
            "workflow_instance_id": "run-2",
            "status": "PENDING",
            "queued_ms": 200,
            "started_ms": None,
            "ended_ms": None,
            "agent_id": None,
            "detail": None,
            "trigger": None,
            "params": None,
        },
        {
            "workflow_id": "w",
            "workflow_instance_id": "run-1",
            "status": "FAILED",
            "queued_ms": 100,
            "started_ms": 110,
            "ended_ms": 150,
            "agent_id": "a-1",
            "detail": "failed: t",
            "trigger": "manual",
            "params": '{"day":"monday"}',
        },
    ]


def test_what_a_crashed_run_left_open_has_its_reason(store: Store) -> None:
    write(
        store,
        *(run(P, 100), run(R, 110), task(R, 120, "done"), task(C, 130, "done")),
        *(task(R, 140, "open"), task(W, 150, "again", detail="exit code 3")),
        run(RunStatus.CRASHED, 200, detail="agent a was killed"),
    )
    assert [(t["task_id"], t["status"], t["ended_ms"], t["detail"]) for t in store.tasks("run-1")] == [
        ("done", "COMPLETED", 130, None),
        ("open", "CRASHED", 200, "agent a was killed"),
        ("again", "CANCELLED", 200, "exit code 3"),
    ]


def test_the_runs_of_a_window_are_those_that_were_queued_or_under_way_then(store: Store) -> None:
    write(
        store,
        *(run(P, 100, "early"), run(R, 110, "early"), run(F, 200, "early")),
        *(run(P, 150, "long"), run(R, 160, "long"), run(C, 400, "long")),
        *(run(P, 170, "open"), run(R, 180, "open")),
        *(run(P, 300, "late"), run(C, 350, "late")),
    )

    def named(**window: Any) -> list[str]:
        return [r["workflow_instance_id"] for r in store.runs(**window)]

    assert named(start_ms=201) == ["late", "open", "long"]
    assert named(start_ms=200) == ["late", "open", "long", "early"]
    assert named(start_ms=401) == ["open"]
    assert named(end_ms=300) == ["open", "long", "early"]
    assert named(start_ms=210, end_ms=301) == ["late", "open", "long"]
    assert named(start_ms=201, limit=1, offset=1) == ["open"]


def test_the_latest_status_is_the_last_that_came_whatever_the_clocks_say(store: Store) -> None:
    write(store, run(P, 500), run(R, 400), run(C, 300))
    assert [r["status"] for r in store.runs()] == ["COMPLETED"]
    assert [(r["status"], r["timestamp_ms"]) for r in store.recent(1)] == [("COMPLETED", 300)]
    write(store, run(P, 100, "run-2"))
    assert [r["workflow_instance_id"] for r in store.runs()] == ["run-2", "run-1"]


def test_a_run_that_waits_again_is_with_no_agent(store: Store) -> None:
    write(store, run(P, 1), run(R, 2, agent_id="lost"), run(P, 3, detail="agent lost was lost"))
    (found,) = store.runs()
    assert (found["status"], found["agent_id"], found["detail"]) == ("PENDING", None, None)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [5, 4, 3, 2, 1, 0]),
        ({"limit": 2}, [5, 4]),
        ({"limit": 2, "offset": 4}, [1, 0]),
        ({"offset": 9}, []),
        ({"limit": 0}, []),
        ({"workflow_id": "even"}, [4, 2, 0]),
        ({"run_id": "run-3"}, [3]),
        ({"run_id": "run-9"}, []),
        ({"status": "COMPLETED"}, [3, 0]),
        ({"status": "PENDING"}, [5, 4, 2, 1]),
        ({"status": "COMPLETED", "workflow_id": "odd"}, [3]),
    ],
)
def test_which_runs(store: Store, filters: dict[str, Any], found: list[int]) -> None:
    write(store, *(run(P, n, f"run-{n}", "odd" if n % 2 else "even") for n in range(6)))
    write(store, *(run(C, 10 + n, f"run-{n}", "odd" if n % 2 else "even") for n in (0, 3)))
    assert [r["workflow_instance_id"] for r in store.runs(**filters)] == [f"run-{n}" for n in found]


@pytest.mark.parametrize(
    ("filters", "asked", "found", "total"),
    [
        ({}, {"limit": 2}, [5, 4], 6),
        ({}, {"limit": 2, "offset": 3}, [2, 1], 6),
        ({}, {"limit": 2, "oldest": True}, [1, 0], 6),
        ({}, {"limit": 2, "offset": 3, "oldest": True}, [4, 3], 6),
        ({}, {"limit": 4, "offset": 5, "oldest": True}, [5], 6),
        ({}, {"limit": 2, "offset": 6}, [], 6),
        ({}, {"limit": 2, "offset": 60, "oldest": True}, [], 6),
        ({"run": "run-3"}, {"limit": 2}, [3], 1),
        ({"run": "run-3"}, {"limit": 2, "offset": 1}, [], 1),
        ({"run": "run-3", "status": "PENDING"}, {"limit": 2}, [], 0),
        ({"workflow": "even"}, {"limit": 2, "oldest": True}, [2, 0], 3),
        ({"status": "COMPLETED"}, {"limit": 1}, [3], 2),
        ({"status": "PENDING", "workflow": "even"}, {"limit": 9}, [4, 2], 2),
        ({"contains": "VEN"}, {"limit": 1}, [4], 3),
        ({"contains": "n-3"}, {"limit": 9}, [3], 1),
        ({"contains": "run-", "status": "COMPLETED"}, {"limit": 9}, [3, 0], 2),
        ({"contains": "%"}, {"limit": 9}, [], 0),
    ],
)
def test_pages_of_runs(
    store: Store, filters: dict[str, Any], asked: dict[str, Any], found: list[int], total: int
) -> None:
    write(store, *(run(P, n, f"run-{n}", "odd" if n % 2 else "even") for n in range(6)))
    write(store, *(run(C, 10 + n, f"run-{n}", "odd" if n % 2 else "even") for n in (0, 3)))
    runs, count = store.run_page(filters, **{"offset": 0} | asked)
    assert [each["workflow_instance_id"] for each in runs] == [f"run-{n}" for n in found]
    assert count == total
    assert all("total" not in each for each in runs)


def test_tasks_in_the_order_in_which_they_were_heard_of(store: Store) -> None:
    write(
        store,
        *(task(P, 0, name, attempt=0) for name in ("b", "a", "c")),
        task(R, 10, "a", attempt=1),
        task(C, 20, "a", attempt=1, exit_code=0),
        task(R, 15, "b", attempt=1),
    )
    assert [
        (t["task_id"], t["status"], t["started_ms"], t["ended_ms"], t["attempt"]) for t in store.tasks("run-1")
    ] == [
        ("b", "RUNNING", 15, None, 1),
        ("a", "COMPLETED", 10, 20, 1),
        ("c", "PENDING", None, None, 0),
    ]
    assert store.tasks("run-2") == []


def test_a_task_that_is_tried_again_shows_its_last_attempt(store: Store) -> None:
    write(store, task(R, 1, attempt=1), task(W, 2, attempt=1, exit_code=3, detail="exit 3; tried again in 5s"))
    (found,) = store.tasks("run-1")
    assert (found["exit_code"], found["detail"]) == (3, "exit 3; tried again in 5s")
    write(store, task(R, 3, attempt=2))
    (found,) = store.tasks("run-1")
    assert (found["exit_code"], found["detail"], found["attempt"]) == (None, None, 2)
    write(store, task(C, 4, attempt=2, exit_code=0))
    (found,) = store.tasks("run-1")
    assert (found["status"], found["exit_code"], found["detail"]) == ("COMPLETED", 0, None)


def test_what_was_last_heard_of_each_workflow(store: Store) -> None:
    write(store, run(P, 1, "run-1", "a"), run(P, 2, "run-2", "b"), run(P, 3, "run-3", "b"), run(C, 4, "run-1", "a"))
    assert store.recent(5) == [
        {"workflow_id": "a", "workflow_instance_id": "run-1", "status": "COMPLETED", "timestamp_ms": 4},
        {"workflow_id": "b", "workflow_instance_id": "run-3", "status": "PENDING", "timestamp_ms": 3},
    ]
    assert [r["workflow_id"] for r in store.recent(1)] == ["a"]


def test_of_runs_that_overlap_the_one_that_was_queued_last_is_the_latest(store: Store) -> None:
    write(store, run(P, 9, "run-1"), run(R, 9, "run-1"), run(P, 2, "run-2"), run(R, 3, "run-2"), run(C, 4, "run-1"))
    (found,) = store.latest()
    assert (found["workflow_instance_id"], found["status"], found["timestamp_ms"]) == ("run-2", "RUNNING", 3)
    write(store, run(P, 5, "run-3", "b"), run(C, 6, "run-2"))
    newest = {r["workflow_id"]: (r["workflow_instance_id"], r["status"]) for r in store.latest()}
    assert set(newest.values()) == {("run-2", "COMPLETED"), ("run-3", "PENDING")}
    assert newest["b"] == ("run-3", "PENDING")


# Logs.


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ((0, 100, None, None, 10), ["a", "b", "c", "d"]),
        ((20, 30, None, None, 10), ["b", "c"]),
        ((0, 100, "w", "run-2", 10), ["d"]),
        ((0, 100, "v", None, 10), []),
        ((0, 100, None, None, 2), ["a", "b"]),
    ],
)
def test_lines_of_a_time(store: Store, asked: tuple[int, int, str | None, str | None, int], found: list[str]) -> None:
    write(store, log("b", time=20), log("c", time=20), log("d", time=30, run="run-2"), log("a", time=10))
    assert [record.payload for record in store.logs(*asked)] == found


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, "abcde"),
        ({"limit": 2}, "ab"),
        ({"limit": 2, "newest": True}, "de"),
        ({"after": 2}, "de"),
        ({"after": 0, "limit": 2}, "bc"),
        ({"after": 0, "limit": 2, "newest": True}, "de"),
        ({"task": "u"}, "bd"),
        ({"level": "ERROR"}, "ce"),
        ({"run": "run-2"}, "de"),
        ({"workflow": "w"}, "abcde"),
        ({"workflow": "v"}, ""),
        ({"status": "FAILED"}, "de"),
        ({"status": "COMPLETED"}, "abc"),
        ({"start": 20, "end": 40}, "bc"),
        ({"task": "u", "run": "run-2", "status": "FAILED"}, "d"),
    ],
)
def test_pages_of_lines(store: Store, filters: dict[str, Any], found: str) -> None:
    write(
        store,
        log("a", time=10),
        log("b", time=20, task="u"),
        log("c", time=30, level="ERROR"),
        log("d", time=40, task="u", run="run-2"),
        log("e", time=50, level="ERROR", run="run-2"),
        run(F, 1),
        run(C, 2),
        run(C, 1, "run-2"),
        run(F, 2, "run-2"),
    )
    assert page(store, **filters) == list(found)


def test_a_line_of_a_page_names_everything(store: Store) -> None:
    write(store, log("a", time=10))
    (row,) = store.log_page(NO_FILTER, 1, newest=False)
    assert row == {
        "workflow_id": "w",
        "workflow_name": "W",
        "workflow_instance_id": "run-1",
        "task_name": "t",
        "task_instance_id": "t-1",
        "timestamp_ms": 10,
        "level": "INFO",
        "payload": "a",
        "sequence": 0,
    }


@pytest.mark.parametrize("text", ["' OR '1'='1", "x'; DROP TABLE logstore; --", "$run", "%", "w\x00"])
def test_a_filter_is_a_value_and_never_sql(store: Store, text: str) -> None:
    write(store, log("a"), run(C, 1), task(C, 1))
    assert store.runs(workflow_id=text) == store.runs(run_id=text) == store.runs(status=text) == []
    assert store.run_page({"contains": text}, 5, 0) == ([], 0)
    assert store.tasks(text) == []
    assert store.logs(0, 100, text, None, 5) == store.logs(0, 100, None, text, 5) == []
    for name in ("workflow", "run", "task", "level", "status"):
        assert store.log_page(NO_FILTER | {name: text}, 5, newest=False) == []
    assert page(store) == ["a"]


def test_readers_go_on_while_there_is_a_writer(store: Store) -> None:
    write(store, log("0"))
    counts: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            counts.append(len(payloads(store)))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(20):
        write(store, *(log(f"{number}.{line}") for line in range(50)))
    done.set()
    for reader in readers:
        reader.join()
    assert all(count % 50 == 1 for count in counts), "a batch is seen whole or not at all"


# Numbers.


@pytest.mark.parametrize(
    ("rows", "number"),
    [
        ([], -1),
        ([run(P, 0, "warm-owl-7"), run(P, 0, "calm-elk-3")], 7),
        ([run(P, 0, "warm-owl-7"), LogRecord("", "", "", "", "calm-elk-12", 0, "", "")], 12),
        ([TaskUpdate("t", "calm-elk-9", "warm-owl-8", P, 0)], 9),
        ([run(P, 0, "their-own-id"), run(P, 0, "5"), run(P, 0, "x-5y")], -1),
        ([run(P, 0, "far-too-99999999999999999999"), run(P, 0, "warm-owl-1")], 1),
    ],
)
def test_the_highest_number_of_all_ids(store: Store, rows: Sequence[Any], number: int) -> None:
    write(store, *rows)
    assert store.highest_number() == number


# Who may open it.

HOLDER = """
import sys
from cdktr.store import Store
store = Store(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_and_told_who_holds_it(path: str) -> None:
    command = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StartError) as caught:
            Store(path)
        assert str(caught.value) == (
            f"Another principal (process {holder.pid} on {socket.gethostname()}) holds the database {path}; "
            "stop it, or set CDKTR_DB_PATH to another place"
        )
        holder.kill()
        holder.wait()
        Store(path).close()


def test_a_second_opener_in_this_process_is_refused_too(path: str) -> None:
    store = Store(path)
    with pytest.raises(StartError, match="holds the database"):
        Store(path)
    store.close()
    Store(path).close()


def test_memory_is_everybodys_own() -> None:
    one, two = Store(MEMORY), Store(MEMORY)
    write(one, log("mine"))
    assert payloads(two) == []
    one.close()
    two.close()


def test_a_file_that_is_no_database(path: str) -> None:
    Path(path).parent.mkdir()
    Path(path).write_text("something else entirely\n" * 1000)
    for _ in range(2):
        with pytest.raises(StartError, match=f"^The file {path} is no database; set CDKTR_DB_PATH to another"):
            Store(path)
    assert Path(path).read_text().startswith("something else")
    assert os.listdir(Path(path).parent) == ["app.db"], "nothing says that it was ever ours"


def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"cannot be made: .*; set CDKTR_DB_PATH"):
        Store(str(tmp_path / "file" / "app.db"))


# Tables that somebody changed.


@pytest.mark.parametrize("table", SCHEMA)
def test_a_column_of_somebody_else_does_no_harm(path: str, table: str) -> None:
    Store(path).close()
    with duckdb.connect(path) as connection:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN note TEXT")
    store = Store(path)
    batch = Batch(events=[("run-1", 0, "refused", "x", 9)], cursors=[("a", 1)])
    batch.add_chunk(LogChunk("w", "W", "run-1", "t", "t-1", 5, "INFO", ("a", "b")), 0)
    batch.add_logs([log("c")], 2)
    batch.add_run(run(P, 1), 3)
    batch.add_task(task(P, 1), 4)
    store.write(batch)
    assert page(store) == ["a", "b", "c"]
    assert len(store.runs()) == len(store.tasks("run-1")) == 1
    store.close()


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("ALTER TABLE logstore ALTER COLUMN timestamp_ms TYPE TEXT", "timestamp_ms of logstore is of type VARCHAR"),
        ("ALTER TABLE run_event ALTER COLUMN sequence TYPE INTEGER", "ALTER COLUMN sequence TYPE BIGINT mends it"),
        ("ALTER TABLE logstore ADD COLUMN x INT; ALTER TABLE logstore ALTER x SET NOT NULL", "takes no rows any more"),
        ("ALTER TABLE task_run_status ALTER detail SET NOT NULL", "takes no rows any more: .*NOT NULL"),
        ("CREATE UNIQUE INDEX i ON logstore (task_name)", "logstore was changed, and takes no rows any more"),
        ("DROP TABLE run_event; CREATE VIEW run_event AS SELECT * FROM logstore", "cannot be opened|cannot be used"),
    ],
)
def test_a_table_that_takes_no_rows_any_more_is_told_at_the_start(path: str, sql: str, said: str) -> None:
    Store(path).close()
    with duckdb.connect(path) as connection:
        connection.execute(sql)
    before = Path(path).read_bytes()
    with pytest.raises(StartError, match=said):
        Store(path)
    assert os.listdir(Path(path).parent) == ["app.db", "app.db.lock"] or Path(path).read_bytes() == before


# Damage. What DuckDB makes of it is in test_database.py.


def test_a_damaged_file_gives_way_and_numbers_do_not_go_back(path: str) -> None:
    store = Store(path)
    write(store, log("old"))
    store.close()
    Path(path).write_bytes(bytes(5000))
    store = Store(path)
    assert [Path(path).parent / name for name in store.set_aside] == list(Path(path).parent.glob("app.db.damaged-*"))
    assert store.next_sequence > 10**15
    write(store, log("new"))
    assert page(store) == page(store, newest=True) == ["new"]
    store.close()
    store = Store(path)
    assert page(store) == ["new"]
    assert store.cursors == {}
    store.close()


OVERWRITE = "import os, sys; f = open(sys.argv[1], 'r+b'); f.write(os.urandom(os.path.getsize(sys.argv[1])))"
REPLACE = "import os, sys; open(sys.argv[1] + '.x', 'w').write('else'); os.replace(sys.argv[1] + '.x', sys.argv[1])"
REMOVE = "import os, sys; os.remove(sys.argv[1])"
TRUNCATE = "import os, sys; os.truncate(sys.argv[1], 0)"


@pytest.mark.parametrize("harm", [OVERWRITE, REPLACE, REMOVE, TRUNCATE])
def test_a_file_that_is_lost_while_it_is_open(path: str, harm: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(path)
    store.write(Batch(cursors=[("a", 5), ("b", 1), ("c", 9)]))
    write(store, log("before"))
    # By another process: this one would drop DuckDB's lock.
    subprocess.run([sys.executable, "-c", harm, path], check=True)
    batch = Batch(cursors=[("a", 6)])
    batch.add_logs([log("now")], 70)
    store.write(batch)
    assert page(store) == ["now"]
    assert "by another program while it was in use" in caplog.text
    assert len(store.set_aside) == (harm != REMOVE)
    store.write(Batch(cursors=[("b", 2)]))
    store.close()
    store = Store(path)
    assert store.next_sequence == 71
    assert store.cursors == {"a": 6, "b": 2, "c": 9}, "what was stored before is not asked for again"
    assert page(store) == ["now"]
    store.close()


def test_a_transaction_that_failed_and_is_there_is_not_repeated(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = ["durable", "lost", "durable"]

    class Doubtful(Database):
        def _once(self, work: Callable[[Connection], None]) -> None:
            what = failures.pop() if failures else None
            if what != "lost":
                super()._once(work)
            if what is not None:
                raise duckdb.FatalException("FATAL Error: Transaction COMMIT succeeded, but the autocheckpoint failed")

    monkeypatch.setattr("cdktr.store.Database", Doubtful)
    store = Store(path)
    chunk = LogChunk("w", "W", "run-1", "t", "t-1", 5, "INFO", ("a", "b"))
    number = 0
    for each in range(3):
        batch = Batch()
        number = batch.add_chunk(chunk, number)
        if each:
            batch.add_run(run(P, each), number)
            number += 1
        store.write(batch)
    assert not failures
    assert page(store) == ["a", "b"] * 3
    assert store._rows("SELECT count(*) FROM workflow_run_status") == [(2,)]
    store.close()


# A disk that is really full.


def fill(disk: Path, leave: int) -> None:
    """Have no more than `leave` bytes left."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "ballast").write_bytes(bytes(free - leave))


@pytest.mark.parametrize("leave", [500_000, 1_000_000, 1_300_000, 2_000_000])
@pytest.mark.parametrize("threshold", ["16MB", "300KB"])
def test_a_full_disk_and_its_end(disk: Path, leave: int, threshold: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the lower threshold it is the checkpoint after a COMMIT that finds the disk full."""
    connect = duckdb.connect

    def connection(path: str, config: dict[str, Any]) -> Connection:
        return connect(path, config=config | {"checkpoint_threshold": threshold})

    monkeypatch.setattr(duckdb, "connect", connection)
    store = Store(str(disk / "app.db"))
    fill(disk, leave)
    stored: list[int] = []

    def write_on(until: int) -> None:
        for number in range(len(stored), until):
            write(store, *(log(f"{number}:{os.urandom(500).hex()}:{line}", time=number) for line in range(64)))
            stored.append(number)

    with pytest.raises(StoreError, match=r"cannot be written: .*make room on its disk"):
        write_on(100)
    number = len(stored)
    first = store.next_sequence - 64
    store.next_sequence = first
    with pytest.raises(StoreError, match="cannot be written"):
        write_on(100)
    store.next_sequence = first
    (disk / "ballast").unlink()
    write_on(number + 2)
    found = [(line.partition(":")[0], line.rpartition(":")[2]) for line in page(store, 10**6)]
    assert found == [(str(n), str(line)) for n in range(number + 2) for line in range(64)]
    assert store.set_aside == []
    store.close()


def test_a_full_disk_at_the_start(disk: Path) -> None:
    fill(disk, 4096)
    for _ in range(2):
        with pytest.raises(StartError, match="No space left on device; make room on its disk"):
            Store(str(disk / "app.db"))
    (disk / "ballast").unlink()
    store = Store(str(disk / "app.db"))
    assert store.set_aside == []
    store.close()
