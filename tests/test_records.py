"""The values that travel."""

from dataclasses import FrozenInstanceError, fields

import pytest

from cdktr.records import FINAL_STATUSES, AgentInfo, LogChunk, LogRecord, RunStatus, RunUpdate, TaskUpdate


def test_the_statuses_of_the_original_api_keep_their_words() -> None:
    assert {"PENDING", "RUNNING", "WAITING", "COMPLETED", "FAILED", "CRASHED"} < set(RunStatus)
    assert all(status.value == status.name == str(status) for status in RunStatus)


@pytest.mark.parametrize("status", RunStatus)
def test_which_statuses_are_final(status: RunStatus) -> None:
    assert status.is_final == (status not in ("PENDING", "RUNNING", "WAITING"))
    assert status.is_final == (status in FINAL_STATUSES)


def test_a_log_record_has_the_columns_of_the_table_in_order() -> None:
    assert LogRecord._fields == (
        "workflow_id",
        "workflow_name",
        "workflow_instance_id",
        "task_name",
        "task_instance_id",
        "timestamp_ms",
        "level",
        "payload",
    )


def test_a_chunk_is_its_lines() -> None:
    chunk = LogChunk("w", "W", "run", "t", "task", 5, "INFO", ("STDOUT a", "STDOUT b"))
    assert chunk.records() == [
        LogRecord("w", "W", "run", "t", "task", 5, "INFO", "STDOUT a"),
        LogRecord("w", "W", "run", "t", "task", 5, "INFO", "STDOUT b"),
    ]
    assert LogChunk("w", "W", "run", "t", "task", 5, "INFO", ()).records() == []


@pytest.mark.parametrize(
    "value",
    [
        RunUpdate("w", "run", RunStatus.PENDING, 0),
        TaskUpdate("t", "task", "run", RunStatus.PENDING, 0),
        LogChunk("w", "W", "run", "t", "task", 5, "INFO", ()),
        AgentInfo("a", 0, 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_frozen(value: RunUpdate | TaskUpdate | LogChunk | AgentInfo) -> None:
    field = fields(value)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(value, field, "another")
