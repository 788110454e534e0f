import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from cdktr.errors import ProtocolError
from cdktr.frames import Reported, decode_log, encode_chunk, encode_log, pack, unpack
from cdktr.messages import dump, load
from cdktr.records import LogChunk, LogRecord, RunStatus, RunUpdate, TaskUpdate

RECORD = LogRecord(
    "etl.daily", "Daily", "jumping-monkey-0", "Load", "lucky-cat-1", 1737376200123, "INFO", "STDOUT hi ü"
)
FRAME = "etl.daily\x01Daily\x01jumping-monkey-0\x01Load\x01lucky-cat-1\x011737376200123\x01INFO\x01STDOUT hi ü".encode()

CHUNK = LogChunk("w", "W", "run-0", "T", "t-0", 5, "ERROR", ("one", "", "a\x01b\0"))
TASK = TaskUpdate("t", "t-0", "run-0", RunStatus.FAILED, 5, "a", 2, 1, "why")
RUN = RunUpdate("w", "run-0", RunStatus.COMPLETED, 5, "a", None, "manual", "{}")


def test_a_log_line_as_bytes() -> None:
    assert encode_log(RECORD) == FRAME
    assert decode_log(FRAME) == RECORD


def test_the_payload_may_hold_separators() -> None:
    assert decode_log(FRAME + b"\x01\x01x\x01") == RECORD._replace(payload="STDOUT hi ü\x01\x01x\x01")


def test_a_published_line_has_eight_fields_whatever_it_holds() -> None:
    record = RECORD._replace(workflow_name="a\x01b", payload="\x01STDOUT\x01")
    words = encode_log(record).decode().split("\x01")
    assert words == [*FRAME.decode().split("\x01")[:1], "a␁b", *FRAME.decode().split("\x01")[2:7], "␁STDOUT␁"]


def test_texts_that_no_encoding_holds_are_sent_all_the_same() -> None:
    assert encode_log(RECORD._replace(payload="\ud800")).endswith(b"\x01?")
    assert encode_chunk(LogChunk("w", "W", "r", "T", "t", 1, "INFO", ("\ud800",)))[0].endswith(b"\x01?")


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert decode_log(FRAME + b"\xff").payload == "STDOUT hi ü\ufffd"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x01" * 6,
        FRAME.rpartition(b"\x01")[0],
        FRAME.replace(b"1737376200123", b""),
        FRAME.replace(b"1737376200123", b"now"),
        FRAME.replace(b"1737376200123", b"1.5"),
        FRAME.replace(b"1737376200123", str(2**63).encode()),
        FRAME.replace(b"1737376200123", str(-(2**63) - 1).encode()),
        FRAME.replace(b"1737376200123", b"9" * 5000),
    ],
)
def test_what_is_no_log_line(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_log(frame)


def test_a_chunk_is_published_line_by_line() -> None:
    assert encode_chunk(CHUNK) == [encode_log(record) for record in CHUNK.records()]
    assert [decode_log(frame).payload for frame in encode_chunk(CHUNK)] == ["one", "", "a␁b\0"]
    assert encode_chunk(LogChunk("w", "W", "r", "T", "t", 1, "INFO", ())) == []


@pytest.mark.parametrize(
    ("record", "kind"), [(CHUNK, "logs"), (Reported("token", TASK), "task"), (Reported("token", RUN), "run")]
)
def test_records_of_a_report(record: LogChunk | Reported, kind: str) -> None:
    packed = pack(record)
    assert packed[0] == kind
    assert (
        packed[0]
        == {LogChunk: "logs", TaskUpdate: "task", RunUpdate: "run"}[
            type(record.update) if isinstance(record, Reported) else LogChunk
        ]
    )
    assert unpack(load(dump(packed), "it")) == record


def test_older_peers_may_leave_out_what_has_a_default() -> None:
    assert unpack(["task", "token", "t", "t-0", "run-0", "FAILED", 5]) == Reported(
        "token", TaskUpdate("t", "t-0", "run-0", RunStatus.FAILED, 5)
    )


def replaced(record: LogChunk | Reported, places: Iterable[int], *others: Any) -> Iterator[list[Any]]:
    packed = load(dump(pack(record)), "it")
    for place in places:
        for other in others:
            yield [*packed[:place], other, *packed[place + 1 :]]


@pytest.mark.parametrize("record", [CHUNK, Reported("token", TASK), Reported("token", RUN)])
def test_what_a_later_version_adds_is_left_out(record: LogChunk | Reported) -> None:
    made = json.loads(json.dumps(pack(record)))
    assert unpack([*made, {"more": 1}, None]) == record


@pytest.mark.parametrize(
    "raw",
    [
        *(None, 5, "logs", {}, [], [[]], ["logs"], ["other", "x"], ["task"], ["run", "token"]),
        pack(CHUNK)[:-1],
        *replaced(CHUNK, (0, 1, 2, 3, 4, 5, 7), 5, None, [], {}),
        *replaced(CHUNK, (6,), "5", 5.0, True, 2**63, None),
        *replaced(CHUNK, (8,), "text", [1], {"a": "b"}, 5, None),
        *replaced(Reported("token", TASK), (0, 1, 2, 3, 4, 5), 5, None, [], {}),
        *replaced(Reported("token", TASK), (6, 8), "5", 5.0, True, 2**63, None),
        *replaced(Reported("token", TASK), (7, 9, 10), [], {}, True, 2**63, 0.5),
        *replaced(Reported("token", RUN), (0, 1, 2, 3, 4), 5, None, [], {}),
        *replaced(Reported("token", RUN), (5,), "5", 5.0, True, 2**63, None),
        *replaced(Reported("token", RUN), (6, 7, 8, 9), [], {}, True, 5),
        *replaced(Reported("token", RUN), (4,), "DONE", ""),
    ],
)
def test_what_is_no_record(raw: Any) -> None:
    with pytest.raises(ProtocolError):
        unpack(raw)
