import json
from datetime import UTC, datetime, timedelta, timezone
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdktr import protocol as p
from cdktr.codec import workflow_from_json, workflow_to_json
from cdktr.errors import ProtocolError
from cdktr.frames import SEPARATOR_SHOWN, Reported, decode_log, encode_chunk, encode_log, numbered, pack, unpack
from cdktr.messages import SEPARATOR, Positional, Request, Structured, dump, load
from cdktr.records import LogChunk, LogRecord, RunStatus, RunUpdate, TaskUpdate
from cdktr.replies import REPLY_KINDS, Reply, decode_reply, success
from cdktr.workflow import Retry, RunIf, Subprocess, Task, UvPython, Workflow

#: Enough for each of the many properties here; a slow machine is no failure.
FEW = settings(max_examples=60)

#: All that UTF-8 can hold, control characters often.
any_text = st.text(
    st.one_of(st.sampled_from('\0\x01\x02\x1b\n\r\t ␁ü\U0001f600"\\{'), st.characters(exclude_categories=["Cs"]))
)
plain_text = any_text.map(lambda text: text.replace(SEPARATOR, ""))
int64 = st.integers(-(2**63), 2**63 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=8,
)


def values(kind: Any, text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Values of the type of a field."""
    if isinstance(kind, UnionType):
        return st.one_of([values(each, text) for each in get_args(kind)])
    if get_origin(kind) is dict:
        return st.dictionaries(text, values(get_args(kind)[1], text), max_size=3)
    if get_origin(kind) is tuple:
        return st.lists(text, max_size=5).map(tuple)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        str: text,
        int: int64,
        bool: st.booleans(),
        float: numbers,
        list[Any]: st.lists(any_json, max_size=3),
        list[str]: st.lists(text, max_size=3),
        type(None): st.none(),
        RunStatus: st.sampled_from(RunStatus),
    }
    return plain[kind]


def instances(kind: type[Any], text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Instances of a dataclass or a named tuple."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name != "verb"}
    return st.builds(kind, **{name: values(hint, text) for name, hint in hints.items()})


requests = st.one_of(
    [instances(kind, plain_text if issubclass(kind, Positional) else any_text) for kind in p.VERBS.values()]
)


@pytest.mark.parametrize("verb", p.VERBS)
@FEW
@given(data=st.data())
def test_requests_come_back(verb: str, data: st.DataObject) -> None:
    kind = p.VERBS[verb]
    request = data.draw(instances(kind, plain_text if issubclass(kind, Positional) else any_text))
    frame = request.encode()
    assert p.decode(frame) == request
    assert frame.split(b"\x01")[0].decode() == verb
    if isinstance(request, Structured):
        assert frame.count(b"\x01") == 1
        assert frame.isascii()


@FEW
@given(st.data())
def test_positional_arguments_never_hold_the_separator(data: st.DataObject) -> None:
    before, after = data.draw(any_text), data.draw(any_text)
    kind = data.draw(st.sampled_from([p.RunTask, p.RegisterAgent, p.FetchWorkflow]))
    with pytest.raises(ProtocolError):
        kind(before + SEPARATOR + after).encode()


def read(frame: bytes) -> Request | None:
    """The request of a frame, None for a ProtocolError; anything else that is raised fails the test."""
    try:
        return p.decode(frame)
    except ProtocolError:
        return None


@FEW
@given(requests)
def test_truncated_requests(request: Request) -> None:
    frame = request.encode()
    for size in range(len(frame)):
        found = read(frame[:size])
        assert found is None or found.verb == request.verb
        if isinstance(request, Structured) and size > len(request.verb):
            assert found is None


@FEW
@given(st.one_of(st.binary(), any_text.map(str.encode)))
def test_arbitrary_bytes(noise: bytes) -> None:
    assert read(noise) is None or noise.split(b"\x01")[0].decode() in p.VERBS


@FEW
@given(st.sampled_from(list(p.VERBS)), st.one_of(st.binary(), any_json.map(lambda value: json.dumps(value).encode())))
def test_arbitrary_arguments(verb: str, noise: bytes) -> None:
    read(verb.encode() + b"\x01" + noise)


@FEW
@given(requests, st.data())
def test_one_argument_of_another_type(request: Request, data: st.DataObject) -> None:
    if not isinstance(request, Structured):
        return
    verb, _, argument = request.encode().partition(b"\x01")
    fields = json.loads(argument)
    if fields:
        fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(any_json)
        read(verb + b"\x01" + json.dumps(fields).encode())


@FEW
@given(st.sampled_from(sorted(REPLY_KINDS)), any_text)
def test_replies_come_back(kind: str, payload: str) -> None:
    reply = Reply(kind, None if kind in ("PONG", "OK") else payload)
    assert decode_reply(reply.encode()) == reply


@FEW
@given(any_json)
def test_values_come_back(value: Any) -> None:
    reply = decode_reply(success(value).encode())
    assert reply.kind == "SUCCESS"
    assert load(reply.payload or "", "it") == value


@FEW
@given(st.binary() | any_text.map(lambda text: b"SUCCESS\x01" + text.encode()[1:]))
def test_arbitrary_replies(noise: bytes) -> None:
    try:
        assert decode_reply(noise).encode() == noise
    except ProtocolError:
        pass


# Log lines and reports.

log_records = instances(LogRecord, plain_text)


@FEW
@given(log_records, any_text)
def test_log_lines_come_back(record: LogRecord, payload: str) -> None:
    assert decode_log(encode_log(record)) == record
    # As it comes in, with its separators; and as it is published, without them.
    frame = encode_log(record._replace(payload="")) + payload.encode()
    assert decode_log(frame) == record._replace(payload=payload)
    published = encode_log(decode_log(frame))
    assert published.count(b"\x01") == 7
    assert decode_log(published).payload == payload.replace(SEPARATOR, SEPARATOR_SHOWN)


@FEW
@given(instances(LogRecord, any_text))
def test_a_published_line_has_eight_fields(record: LogRecord) -> None:
    assert len(encode_log(record).split(b"\x01")) == 8


@FEW
@given(log_records, st.integers(0))
def test_truncated_log_lines(record: LogRecord, size: int) -> None:
    frame = encode_log(record)
    arbitrary_log(frame[: size % (len(frame) + 1)])


def arbitrary_log(noise: bytes) -> None:
    try:
        assert len(decode_log(noise)) == 8
    except ProtocolError:
        pass


@FEW
@given(st.binary(), st.lists(any_text, min_size=7, max_size=9))
def test_arbitrary_log_lines(noise: bytes, words: list[str]) -> None:
    arbitrary_log(noise)
    arbitrary_log(SEPARATOR.join(words).encode())


chunks = instances(LogChunk, any_text)
updates = st.one_of(instances(TaskUpdate, any_text), instances(RunUpdate, any_text))
reported = st.builds(Reported, any_text, updates)


@FEW
@given(chunks)
def test_chunks_are_published_as_their_lines(chunk: LogChunk) -> None:
    assert encode_chunk(chunk) == [encode_log(record) for record in chunk.records()]


@FEW
@given(st.lists(chunks | reported, max_size=3))
def test_reports_come_back(records: list[LogChunk | Reported]) -> None:
    lines = [dump([number, *pack(record)]).encode() for number, record in enumerate(records)]
    frame = p.encode_report("a", "s", 7, lines)
    request = p.decode(frame)
    assert isinstance(request, p.Report)
    assert request.encode() == frame
    assert [numbered(raw)[0] for raw in request.records] == list(range(len(records)))
    assert [unpack(numbered(raw)[1]) for raw in request.records] == records


@FEW
@given(chunks | reported, st.data())
def test_arbitrary_records(record: LogChunk | Reported, data: st.DataObject) -> None:
    packed = json.loads(json.dumps(pack(record)))
    place = data.draw(st.integers(0, len(packed) - 1))
    for raw in ([*packed[:place], data.draw(any_json), *packed[place + 1 :]], packed[:place], data.draw(any_json)):
        try:
            unpack(raw)
        except ProtocolError:
            pass


# Workflows.

times = st.datetimes(datetime(1971, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))  # noqa: DTZ001
seconds = st.floats(0, 1e9)
environments = st.dictionaries(any_text, any_text, max_size=2)
uv_configs = st.builds(
    UvPython,
    script_path=any_text,
    packages=st.none() | st.lists(any_text, max_size=2).map(tuple),
    is_uv_project=st.none() | st.booleans(),
    working_directory=st.none() | any_text,
    uv_path=st.none() | any_text,
)
tasks = st.builds(
    Task,
    name=any_text,
    config=st.builds(Subprocess, cmd=any_text, args=st.lists(any_text, max_size=3).map(tuple)) | uv_configs,
    description=st.none() | any_text,
    env=environments,
    working_directory=st.none() | any_text,
    timeout_s=st.none() | seconds,
    retry=st.builds(Retry, st.integers(0, 9), seconds, seconds, seconds),
    run_if=st.sampled_from(RunIf),
    allow_failure=st.booleans(),
)


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Workflows with tasks that depend on earlier ones."""
    graph: dict[str, Task] = {}
    for task_id in draw(st.lists(any_text, max_size=4, unique=True)):
        depends = tuple(draw(st.lists(st.sampled_from(list(graph)), unique=True))) if graph else ()
        task = draw(tasks)
        graph[task_id] = Task(
            **{name: getattr(task, name) for name in Task.__slots__ if name != "depends"}, depends=depends
        )
    return draw(
        st.builds(
            Workflow,
            id=any_text,
            name=any_text,
            tasks=st.just(graph),
            path=any_text,
            description=st.none() | any_text,
            cron=st.none() | any_text,
            start_time=st.none() | times,
            timezone=any_text.filter(bool),
            env=environments,
            params=st.dictionaries(any_text, st.none() | st.booleans() | int64 | numbers | any_text, max_size=2),
            timeout_s=st.none() | seconds,
        )
    )


@FEW
@given(workflows())
def test_workflows_come_back(workflow: Workflow) -> None:
    value = load(dump(workflow_to_json(workflow)), "it")
    back = workflow_from_json(value)
    assert back == workflow
    assert list(back.tasks) == list(workflow.tasks)
    index = value["dag"]["task_id_node_ix_map"]
    assert value["dag"]["inner"]["nodes"] == list(index) == list(workflow.tasks)
    edges = {
        (names[0], names[1])
        for names in ((list(index)[a], list(index)[b]) for a, b, _ in value["dag"]["inner"]["edges"])
    }
    assert edges == {(needed, task_id) for task_id, task in workflow.tasks.items() for needed in task.depends}


@FEW
@given(workflows(), st.data())
def test_workflows_with_something_else_in_them(workflow: Workflow, data: st.DataObject) -> None:
    value = workflow_to_json(workflow)
    place: Any = value
    while isinstance(place, dict) and place:
        key = data.draw(st.sampled_from(list(place)))
        if not isinstance(place[key], dict) or data.draw(st.booleans()):
            place[key] = data.draw(any_json)
            break
        place = place[key]
    try:
        workflow_from_json(value)
    except ProtocolError:
        pass
