from cdktr.batch import CHUNK, SCHEMA, Batch
from cdktr.records import LogChunk, LogRecord, RunStatus, RunUpdate, TaskUpdate

HEAD = ("etl", "ETL", "run-1", "Task", "task-2", 5, "INFO")


def test_lines_are_numbered_and_counted() -> None:
    batch = Batch()
    assert batch.add_logs([LogRecord(*HEAD, "a"), LogRecord(*HEAD, "b")], 7) == 9
    assert batch.add_chunk(LogChunk(*HEAD, ("c", "", "d")), 9) == 12
    assert batch.logs == [(*HEAD, "a", 7), (*HEAD, "b", 8)]
    assert batch.chunks == [(*HEAD, "c\n\nd", 9)]
    assert len(batch) == 5


def test_a_line_with_a_line_end_in_it_stays_one() -> None:
    batch = Batch()
    assert batch.add_chunk(LogChunk(*HEAD, ("a\nb", "c")), 0) == 2
    assert [row[-2:] for row in batch.logs] == [("a\nb", 0), ("c", 1)]
    assert batch.chunks == []


def test_a_chunk_without_lines_is_nothing() -> None:
    batch = Batch()
    assert batch.add_chunk(LogChunk(*HEAD, ()), 3) == 3
    assert len(batch) == 0


def test_rows_have_the_columns_of_their_tables() -> None:
    batch = Batch()
    batch.add_logs([LogRecord(*HEAD, "a")], 0)
    batch.add_chunk(LogChunk(*HEAD, ("b",)), 1)
    batch.add_run(RunUpdate("etl", "run-1", RunStatus.RUNNING, 5), 2)
    batch.add_task(TaskUpdate("a", "task-2", "run-1", RunStatus.RUNNING, 5), 3)
    batch.cursors.append(("agent/1", 4))
    batch.add_event("run-1", 5, "refused", "why", 5)
    for table, rows in batch.rows.items():
        columns = CHUNK if table == "chunk" else SCHEMA[table]
        assert [len(row) for row in rows] == [len(columns)], table


def test_a_later_batch_goes_behind() -> None:
    one, other = Batch(), Batch()
    one.add_chunk(LogChunk(*HEAD, ("a",)), 0)
    other.add_chunk(LogChunk(*HEAD, ("b", "c")), 1)
    other.cursors.append(("agent/1", 4))
    one.extend(other)
    assert [row[-1] for row in one.chunks] == [0, 1]
    assert len(one) == 4


def test_the_memory_that_rows_take() -> None:
    batch, other = Batch(), Batch()
    batch.add_logs([LogRecord(*HEAD, "x" * 5000)] * 3, 0)
    assert 15_000 < batch.size < 15_000 + 3 * 500
    other.add_chunk(LogChunk(*HEAD, ("ä" * 1000,) * 100), 3)
    assert 100_000 < other.size < 101_000
    before = batch.size
    batch.extend(other)
    assert batch.size == before + other.size
    for number in range(10):
        batch.add_run(RunUpdate("etl", "run-1", RunStatus.RUNNING, 5), number)
        batch.add_task(TaskUpdate("a", "task-2", "run-1", RunStatus.RUNNING, 5), number)
        batch.add_event("run-1", 5, "refused", "y" * 500, number)
    assert batch.statuses == 30
    assert 10_000 < batch.size - before - other.size < 20_000
