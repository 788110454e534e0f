"""The API as a program in any other language meets it: raw sockets, literal bytes, nothing of cdktr."""

import json
import random
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
import zmq

from tests.integration.cluster import Cluster
from tests.integration.conftest import NewCluster
from tests.integration.wire import PATIENCE_S, OldAgent, S, Tcp, Wire, eventually, kind, message, value

pytestmark = pytest.mark.integration

DAILY = """
name: Daily
cron: "0 0 2 * * *"
start_time: 2025-01-20T12:30:00+00:00
tasks:
  extract:
    name: Extract
    config: !Subprocess
      cmd: echo
      args: [hi]
  load:
    name: Load
    depends: [extract]
    config: !UvPython
      script_path: load.py
      packages: ["pandas>=2"]
"""

PLAIN = """
name: Plain
description: One task, no schedule
tasks:
  only:
    name: Only
    description: Does nothing
    config: !Subprocess
      cmd: 'true'
"""

PARAMETERS = """
name: Parameters
params: {mode: fast, count: 3, ratio: 0.5, dry: false, must: null}
tasks:
  only:
    name: Only
    config: !Subprocess
      cmd: echo
      args: ["${{ params.mode }} ${{ params.count }}"]
"""

TRAIN = """
name: Train
requires: [zone=eu, gpu]
tasks: {only: {name: Only, config: !Subprocess {cmd: 'true'}}}
"""

FILES = {"etl/daily": DAILY, "plain": PLAIN, "parameters": PARAMETERS, "train": TRAIN}


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[tuple[Cluster, Wire]]:
    """A principal without agents that knows `FILES`, and sockets to it."""
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(folder, settings))
        for name, text in FILES.items():
            cluster.write(name, text)
        cluster.start_principal()
        yield cluster, stack.enter_context(Wire((cluster.port, cluster.logs_in, cluster.logs_out)))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Wire]]:
    # No agent is ever lost here: what one test leaves behind does not come back in another.
    with running(tmp_path_factory.mktemp("alone"), CDKTR_AGENT_HEARTBEAT_TIMEOUT_MS="3600000") as both:
        yield both


@pytest.fixture
def wire(alone: tuple[Cluster, Wire]) -> Iterator[Wire]:
    """Sockets to a principal with an empty queue."""
    cluster, wire = alone
    yield wire
    assert wire.ask("PING") == b"PONG"
    assert cluster.daemons[0].process.poll() is None
    wire.drain()


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """Sockets to a principal that soon gives silent agents up."""
    with running(tmp_path_factory.mktemp("impatient"), CDKTR_AGENT_HEARTBEAT_TIMEOUT_MS="600") as (_, wire):
        yield wire


# The requests of the original API.


def test_ping_on_the_wire(wire: Wire) -> None:
    with Tcp(wire.api) as tcp:
        tcp.socket.sendall(b"\x01\x00" + b"\x00\x04PING")
        assert [tcp.message_frame(), tcp.message_frame()] == [(1, b""), (0, b"PONG")]


def test_ping(wire: Wire) -> None:
    assert wire.ask("PING") == b"PONG"
    assert wire.ask("PING", "and", "more") == b"PONG"


def test_workflows(wire: Wire) -> None:
    found = value(wire.ask("LSWORKFLOWS"))
    assert set(found) == {"etl.daily", "plain", "parameters", "train"}
    daily = found["etl.daily"]
    assert daily.pop("path").endswith("/etl/daily.yml")
    expected = {
        "id": "etl.daily",
        "name": "Daily",
        "description": None,
        "cron": "0 0 2 * * *",
        "start_time": "2025-01-20T12:30:00+00:00",
    }
    assert {name: daily[name] for name in expected} == expected
    graph = {
        "name": "Daily",
        "first_tasks": ["extract"],
        "task_id_node_ix_map": {"extract": 0, "load": 1},
        "inner": {
            "nodes": ["extract", "load"],
            "node_holes": [],
            "edge_property": "directed",
            "edges": [[0, 1, 0]],
        },
    }
    assert {name: daily["dag"][name] for name in graph} == graph
    tasks: dict[str, dict[str, Any]] = {
        "extract": {
            "name": "Extract",
            "description": None,
            "depends": None,
            "config": {"Subprocess": {"cmd": "echo", "args": ["hi"]}},
        },
        "load": {
            "name": "Load",
            "description": None,
            "depends": ["extract"],
            "config": {
                "UvPython": {
                    "script_path": "load.py",
                    "is_uv_project": None,
                    "packages": ["pandas>=2"],
                    "uv_path": None,
                    "working_directory": None,
                }
            },
        },
    }
    task_map = daily["dag"]["task_map"]
    assert {task_id: {name: task_map[task_id][name] for name in task} for task_id, task in tasks.items()} == tasks


def test_a_workflow_without_schedule(wire: Wire) -> None:
    plain = value(wire.ask("LSWORKFLOWS"))["plain"]
    assert (plain["description"], plain["cron"]) == ("One task, no schedule", None)
    assert plain["start_time"] == "1970-01-01T00:00:00+00:00"
    assert plain["dag"]["task_map"]["only"]["description"] == "Does nothing"
    assert plain["dag"]["task_map"]["only"]["config"] == {"Subprocess": {"cmd": "true", "args": []}}
    assert plain["dag"]["inner"]["edges"] == []


def test_run_task(wire: Wire) -> None:
    assert wire.ask("RUNTASK", "plain") == b"OK"
    [run] = wire.value("LSRUNS", workflow_id="plain", status="PENDING")
    assert run["trigger"] == "manual"


@pytest.mark.parametrize("name", ["X", "etl", "etl/daily", "plain ", "", "a b\nc", "日本"])
def test_run_task_unknown(wire: Wire, name: str) -> None:
    assert wire.ask("RUNTASK", name) == b"CLIENTERROR\x01No workflow exists with id " + name.encode()


def test_register_agent(wire: Wire) -> None:
    assert wire.ask("REGISTERAGENT", "conf-1") == b"OK"
    assert wire.ask("REGISTERAGENT", "conf-1") == b"OK"
    assert wire.ask("REGISTERAGENT", "conf-1", "5", "more", "") == b"OK"
    found = [agent for agent in value(wire.ask("GETREGISTEREDAGENTS")) if agent["agent_id"] == "conf-1"]
    assert len(found) == 1


def test_registered_agents(wire: Wire) -> None:
    before = time.time_ns() // 1_000_000
    old = OldAgent(wire, "conf-2")
    after = time.time_ns() // 1_000_000
    [agent] = [agent for agent in value(wire.ask("GETREGISTEREDAGENTS")) if agent["agent_id"] == "conf-2"]
    assert set(agent) >= {"agent_id", "last_ping_timestamp", "running_tasks"}
    assert isinstance(agent["last_ping_timestamp"], int)
    assert before * 1000 <= agent["last_ping_timestamp"] <= after * 1000
    assert agent["running_tasks"] == 0
    assert wire.ask("RUNTASK", "plain") == wire.ask("RUNTASK", "plain") == b"OK"
    assert old.fetch() is not None
    assert old.fetch() is not None
    [agent] = [agent for agent in value(wire.ask("GETREGISTEREDAGENTS")) if agent["agent_id"] == "conf-2"]
    assert agent["running_tasks"] == 2


def test_fetch_workflow(wire: Wire) -> None:
    assert wire.ask("FETCHWORKFLOW", "conf-3") == b"OK"
    assert wire.ask("RUNTASK", "etl.daily") == b"OK"
    assert wire.ask("RUNTASK", "plain") == b"OK"
    listed = value(wire.ask("LSWORKFLOWS"))
    fetched = value(wire.ask("FETCHWORKFLOW", "conf-3"))
    for workflow in (fetched, listed["etl.daily"]):
        for task in workflow["dag"]["task_map"].values():
            del task["env"]
    assert fetched == listed["etl.daily"]
    assert value(wire.ask("FETCHWORKFLOW", "conf-3"))["start_time"] == "1970-01-01T00:00:00+00:00"
    assert wire.ask("FETCHWORKFLOW", "conf-3") == b"OK"


def test_fetch_fills_in_parameters(wire: Wire) -> None:
    wire.trigger("parameters", must="x", count=7)
    workflow = value(wire.ask("FETCHWORKFLOW", "conf-4"))
    assert workflow["dag"]["task_map"]["only"]["config"]["Subprocess"]["args"] == ["fast 7"]


@pytest.mark.parametrize("status", ["PENDING", "RUNNING", "WAITING", "COMPLETED", "FAILED", "CRASHED"])
def test_status_of_a_run(wire: Wire, status: str) -> None:
    instance = f"conf-{status}"
    assert wire.ask("AGENTWORKFLOWSTATUS", "conf-5", "any", instance, status) == b"OK"
    assert wire.run(instance)["status"] == status


@pytest.mark.parametrize(
    "status", ["PENDING", "RUNNING", "WAITING", "COMPLETED", "FAILED", "CRASHED", "SKIPPED", "CANCELLED"]
)
def test_status_of_a_task(wire: Wire, status: str) -> None:
    instance = f"conf-tasks-{status}"
    assert wire.ask("AGENTTASKSTATUS", "conf-5", "extract", "one-0", instance, "RUNNING") == b"OK"
    assert wire.ask("AGENTTASKSTATUS", "conf-5", "extract", "one-0", instance, status) == b"OK"
    [task] = wire.value("LSTASKRUNS", workflow_instance_id=instance)
    assert (task["task_id"], task["task_instance_id"], task["status"]) == ("extract", "one-0", status)


@pytest.mark.parametrize("word", ["", "running", "DONE", " RUNNING", "RUNNING ", "RUNNING\0", "RunStatus.RUNNING", "0"])
def test_no_other_status(wire: Wire, word: str) -> None:
    assert kind(wire.ask("AGENTWORKFLOWSTATUS", "conf-5", "any", "conf-bad", word)) == "CLIENTERROR"
    assert kind(wire.ask("AGENTTASKSTATUS", "conf-5", "t", "t-0", "conf-bad", word)) == "CLIENTERROR"
    assert wire.value("LSRUNS", workflow_instance_id="conf-bad") == []
    assert wire.value("LSTASKRUNS", workflow_instance_id="conf-bad") == []


def test_recent_statuses(wire: Wire) -> None:
    for number in range(12):
        for status in ("RUNNING", "COMPLETED"):
            wire.ask("AGENTWORKFLOWSTATUS", "conf-6", f"recent.{number}", f"recent-run-{number}", status)
    wire.ask("AGENTWORKFLOWSTATUS", "conf-6", "recent.3", "recent-run-again", "RUNNING")
    found = value(wire.ask("GETRECENTSTATUSES"))
    assert len(found) == 10
    assert all(set(each) == {"workflow_id", "workflow_instance_id", "status", "timestamp_ms"} for each in found)
    assert all(isinstance(each["timestamp_ms"], int) and 10**12 < each["timestamp_ms"] < 10**14 for each in found)
    numbers = [3, 11, 10, 9, 8, 7, 6, 5, 4, 2]
    assert [each["workflow_id"] for each in found] == [f"recent.{number}" for number in numbers]
    first, *rest = found
    assert (first["workflow_instance_id"], first["status"]) == ("recent-run-again", "RUNNING")
    assert {each["status"] for each in rest} == {"COMPLETED"}


# QUERYLOGS.

#: 2025-01-20T12:30:00.000Z
NOON = 1_737_376_200_000


def log(workflow: str, run: str, timestamp_ms: int | str, payload: str = "STDOUT x", level: str = "INFO") -> bytes:
    return message(workflow, f"The {workflow}", run, "Extract", "lucky-cat-7", str(timestamp_ms), level, payload)


def stored(wire: Wire, *messages: bytes) -> None:
    """Push log messages and return when they have arrived."""
    with wire.subscribe(messages[0].split(S)[0]) as sub:
        wire.push(*messages)
        for each in messages:
            assert sub.recv() == each


def query(wire: Wire, *words: str) -> list[str]:
    found = value(wire.ask("QUERYLOGS", *words))
    assert all(isinstance(line, str) for line in found)
    assert isinstance(found, list)
    return found


def test_query_formats(wire: Wire) -> None:
    stored(wire, log("q.format", "jumping-monkey-0", NOON + 123, 'STDERR "ü" \\ \x7f', "ERROR"))
    window = (str(NOON + 1000), str(NOON), "q.format", "jumping-monkey-0")
    head = "[2025-01-20T12:30:00.123+00:00 ERROR]"
    plain = [f'{head} [jumping-monkey-0/lucky-cat-7] STDERR "ü" \\ \x7f']
    assert query(wire, *window, "") == plain
    assert query(wire, *window) == plain
    verbose = [f'{head} [The q.format=jumping-monkey-0 / Extract=lucky-cat-7] STDERR "ü" \\ \x7f']
    for word in ("verbose", "true", "false", "0"):
        assert query(wire, *window, word) == verbose
    assert query(wire, *window, "true", "ignored") == verbose


def payloads(lines: list[str]) -> list[str]:
    return [line.rpartition(" ")[2] for line in lines]


def test_query_window_is_half_open_and_end_comes_first(wire: Wire) -> None:
    stored(wire, *(log("q.window", "run", NOON + offset, f"STDOUT {offset}") for offset in (300, 100, 200)))
    names = ("q.window", "run", "")
    assert payloads(query(wire, str(NOON + 1000), str(NOON), *names)) == ["100", "200", "300"]
    assert payloads(query(wire, str(NOON + 300), str(NOON + 100), *names)) == ["100", "200"]
    assert payloads(query(wire, str(NOON + 201), str(NOON + 200), *names)) == ["200"]
    assert query(wire, str(NOON + 200), str(NOON + 200), *names) == []
    assert query(wire, str(NOON), str(NOON + 1000), *names) == []


def test_query_defaults(wire: Wire) -> None:
    day, now = 24 * 3600 * 1000, time.time_ns() // 1_000_000
    times = {"old": NOON - day - 1, "edge": NOON - day, "in": NOON - 1, "end": NOON, "now": now, "future": now + day}
    stored(wire, *(log("q.defaults", name, at, f"STDOUT {name}") for name, at in times.items()))
    assert payloads(query(wire, str(NOON), "", "q.defaults", "", "")) == ["edge", "in"]
    assert payloads(query(wire, "", "", "q.defaults", "", "")) == ["now"]
    assert payloads(query(wire, "", str(NOON), "q.defaults", "", "")) == ["end", "now"]
    assert payloads(query(wire, str(2**63), "-1", "q.defaults", "", "")) == list(times)
    assert "now" in payloads(query(wire, "", "", "", "", ""))


def test_query_filters(wire: Wire) -> None:
    stored(
        wire,
        log("q.filter", "one", NOON, "STDOUT 1"),
        log("q.filter", "two", NOON, "STDOUT 2"),
        log("q.filter.more", "one", NOON, "STDOUT 3"),
    )
    window = (str(NOON + 1), str(NOON))
    assert payloads(query(wire, *window, "q.filter", "", "")) == ["1", "2"]
    assert payloads(query(wire, *window, "q.filter", "two", "")) == ["2"]
    assert payloads(query(wire, *window, "", "one", "")) == ["1", "3"]
    assert query(wire, *window, "q.filter", "three", "") == []
    assert query(wire, *window, "q.filte_", "", "") == query(wire, *window, "q.filter%", "", "") == []


@pytest.mark.parametrize("word", ["abc", "1.5", "1e3", "0x10", "--1", "now", " ", "9" * 5000, "1;", "\0"])
def test_query_wants_numbers(wire: Wire, word: str) -> None:
    assert kind(wire.ask("QUERYLOGS", word, "", "", "", "")) == "CLIENTERROR"
    assert kind(wire.ask("QUERYLOGS", "", word, "", "", "")) == "CLIENTERROR"


@pytest.mark.parametrize("word", [str(2**63), str(-(2**63)), "9" * 400, "-" + "9" * 400])
def test_query_beyond_all_times(wire: Wire, word: str) -> None:
    assert query(wire, word, "", "nowhere", "", "") == query(wire, "", word, "nowhere", "", "") == []


INJECTIONS = (
    "'",
    "' OR '1'='1",
    "' OR 1=1 --",
    "'; DROP TABLE logstore; --",
    "x'); DELETE FROM logstore; --",
    "'; UPDATE logstore SET payload = 'mine'; --",
    "' UNION SELECT * FROM workflow_run_status --",
    "1; DROP TABLE workflow_run_status",
    "$workflow",
    "?",
    "%s{}\\",
)


def test_queries_cannot_be_injected_into(wire: Wire) -> None:
    stored(wire, log("q.safe", "one", NOON), log("q.safe", "two", NOON))
    window = [str(NOON + 1), str(NOON)]

    def everything() -> list[Any]:
        return [query(wire, *window, "", "", "v"), wire.ask("GETRECENTSTATUSES"), wire.value("LSRUNS", limit=1000)]

    before = everything()
    for text in INJECTIONS:
        assert query(wire, *window, text, "", "") == []
        assert query(wire, *window, "", text, "") == []
        assert query(wire, *window, "q.safe", "one", text) == query(wire, *window, "q.safe", "one", "v")
        assert kind(wire.ask("QUERYLOGS", text, "", "", "", "")) == "CLIENTERROR"
        assert kind(wire.ask("QUERYLOGS", "", text, "", "", "")) == "CLIENTERROR"
        for name in ("workflow_id", "workflow_instance_id", "status"):
            assert wire.value("LSRUNS", **{name: text}) == []
        assert wire.value("LSTASKRUNS", workflow_instance_id=text) == []
        for name in ("workflow_id", "workflow_instance_id", "task_name", "status", "level"):
            assert wire.value("LSLOGS", **{name: text})["lines"] == []
    assert everything() == before


# Malformed requests.

MALFORMED = {
    "empty": b"",
    "separator": S,
    "separators": S * 50,
    "unknown verb": b"HELLO",
    "lower case": b"ping",
    "mixed case": b"Ping",
    "space before": b" PING",
    "newline after": b"PING\n",
    "NUL after": b"PING\0",
    "NULs": bytes(100),
    "no separator": b"RUNTASK plain",
    "other separator": b"RUNTASK\x02plain",
    "a reply": b"PONG",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "JSON": b'{"verb": "PING"}',
    "not UTF-8 verb": b"\xff\xfe\x80",
    "not UTF-8 argument": b"RUNTASK\x01\xc3\x28",
    "half a surrogate pair": b"RUNTASK\x01\xed\xa0\x80",
    "cut inside a character": "RUNTASK\x01ü".encode()[:-1],
    "no workflow": b"RUNTASK",
    "no agent": b"REGISTERAGENT",
    "empty agent": b"REGISTERAGENT\x01",
    "fetch without agent": b"FETCHWORKFLOW",
    "fetch with an empty agent": b"FETCHWORKFLOW\x01",
    "run status, 3 of 4": b"AGENTWORKFLOWSTATUS\x01a\x01w\x01i",
    "task status, 4 of 5": b"AGENTTASKSTATUS\x01a\x01t\x01ti\x01i",
    "logs, 3 of 4": b"QUERYLOGS\x01\x01\x01",
    "logs, none": b"QUERYLOGS",
    "1 MB of letters": b"A" * 1_000_000,
    "1 MB of separators": S * 1_000_000,
    "1 MB of brackets": b"TRIGGER\x01" + b"[" * 1_000_000,
    "1 MB of noise": random.Random(1).randbytes(1_000_000),
    "1 MB of a known verb": b"QUERYLOGS\x01" + b"9" * 1_000_000 + S * 4,
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(wire: Wire, text: bytes) -> None:
    reply = wire.ask(text)
    assert reply.startswith(b"CLIENTERROR\x01")
    assert len(reply) < 1000
    reply.decode()


@pytest.mark.parametrize(
    "frames", [[b"PING", b"PING"], [b"PING", b""], [b"", b"PING"], [b"RUNTASK", b"plain"], [b""] * 9]
)
def test_several_frames(wire: Wire, frames: list[bytes]) -> None:
    assert kind(wire.ask_frames(frames)) == "CLIENTERROR"


VALID = (
    message("PING"),
    message("LSWORKFLOWS"),
    message("REGISTERAGENT", "cut"),
    message("FETCHWORKFLOW", "cut"),
    message("AGENTWORKFLOWSTATUS", "cut", "cut", "cut-run-0", "COMPLETED"),
    message("AGENTTASKSTATUS", "cut", "extract", "cut-task-0", "cut-run-0", "RUNNING"),
    message("QUERYLOGS", "1737376200000", "1737376100000", "cut", "cut-run-0", "verbose"),
    message("GETRECENTSTATUSES"),
    message("GETREGISTEREDAGENTS"),
    message("CAPABILITIES"),
    message("HEARTBEAT", '{"agent_id":"cut","slots":1,"version":"1","holding":{"a":"b"},"leaving":false}'),
    message("LEASE", '{"agent_id":"cut","count":1,"wait_ms":0,"holding":{}}'),
    message("START", '{"agent_id":"cut","runs":{"a":"b"}}'),
    message(
        "REPORT", '{"agent_id":"cut","source":"cut","after":0,"records":[[1,"logs","w","w","r","t","t",1,"I",["x"]]]}'
    ),
    message("AWAITRUN", '{"workflow_instance_id":"cut-run-0","wait_ms":0}'),
    message("LSRUNS", '{"workflow_id":"cut","limit":1}'),
    message("LSLATEST", "{}"),
    message("LSTASKRUNS", '{"workflow_instance_id":"cut-run-0"}'),
    message("LSLOGS", '{"workflow_id":"cut","tail":true}'),
    message("STATUS"),
    message("LSPROBLEMS"),
    message("RELOAD"),
    message("PAUSE", '{"workflow_id":"plain"}'),
    message("RESUME", '{"workflow_id":"plain"}'),
    message("TRIGGER", '{"workflow_id":"parameters","params":{"must":"\\u00e4ü"}}'),
    message("RUNTASK", "plain"),
)


def test_every_truncation_is_answered(wire: Wire) -> None:
    for request in VALID:
        with wire.dealer() as dealer:
            for size in range(len(request) + 1):
                dealer.send_multipart([b"%d" % size, b"", request[:size]])
            replies = dict(
                sorted(
                    (int(size), reply) for size, _, reply in (dealer.recv_multipart() for _ in range(len(request) + 1))
                )
            )
        assert list(replies) == list(range(len(request) + 1))
        assert {kind(reply) for reply in replies.values()} <= {"PONG", "OK", "SUCCESS", "CLIENTERROR"}
        verb = len(request.split(S)[0])
        assert {kind(replies[size]) for size in range(verb)} == {"CLIENTERROR"}
        assert kind(replies[len(request)]) in ("PONG", "OK", "SUCCESS"), (request, replies[len(request)])


# Connections that misbehave.


def test_noise_on_the_ports(wire: Wire) -> None:
    chance = random.Random(2)
    starts = (
        b"",
        b"\xff",
        Tcp.GREETING[:10],
        Tcp.GREETING[:11],
        Tcp.GREETING[:40],
        Tcp.GREETING,
        Tcp.GREETING + Tcp.READY + b"REQ",
    )
    opened = []
    with wire.dealer() as witness:
        for port in (wire.api, wire.logs_in, wire.logs_out):
            for start in starts:
                for size in (0, 1, 100, 10_000):
                    raw = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
                    try:
                        raw.sendall(start + chance.randbytes(size))
                    except ConnectionError:
                        pass
                    opened.append(raw)
            for _ in range(50):
                socket.create_connection(("127.0.0.1", port), PATIENCE_S).close()
        assert wire.ask("PING") == b"PONG"
        for raw in opened:
            raw.close()
        witness.send_multipart([b"", b"PING"])
        assert witness.recv_multipart() == [b"", b"PONG"]
    stored(wire, log("noise", "run", NOON))


def test_an_oversized_message_closes_its_connection_only(wire: Wire) -> None:
    with wire.dealer() as witness, Tcp(wire.api) as tcp:
        witness.send_multipart([b"", b"PING"])
        assert witness.recv_multipart() == [b"", b"PONG"]
        # A long frame of 256 MB, announced.
        tcp.socket.sendall(b"\x01\x00" + b"\x02" + (2**28).to_bytes(8, "big") + b"x" * 1000)
        assert tcp.is_closed()
        witness.send_multipart([b"", b"PING"])
        assert witness.recv_multipart() == [b"", b"PONG"]


def test_a_peer_that_never_reads_does_no_harm(wire: Wire) -> None:
    with wire.dealer() as lazy:
        for _ in range(2000):
            lazy.send_multipart([b"", b"LSWORKFLOWS"])
        assert wire.ask("PING") == b"PONG"


# Peers other than REQ.


@pytest.mark.parametrize(
    "envelope", [[], [b""], [b"1", b""], [b"\0\0\0\x01", b""], [b"broker", b"client", b""], [b"x" * 300] * 5 + [b""]]
)
def test_dealers(wire: Wire, envelope: list[bytes]) -> None:
    with wire.dealer() as dealer:
        dealer.send_multipart([*envelope, b"PING"])
        assert dealer.recv_multipart() == [*envelope, b"PONG"]
        dealer.send_multipart([*envelope, b"RUNTASK\x01nope"])
        assert dealer.recv_multipart() == [*envelope, b"CLIENTERROR\x01No workflow exists with id nope"]
        dealer.send_multipart([*envelope, b"nope"])
        assert dealer.recv_multipart()[:-1] == envelope


def test_a_dealer_with_nothing_to_say(wire: Wire) -> None:
    with wire.dealer() as dealer:
        for frames in ([b""], [b"", b""]):
            dealer.send_multipart(frames)
            assert kind(dealer.recv_multipart()[-1]) == "CLIENTERROR"


def test_requests_of_a_dealer_overtake_each_other(wire: Wire) -> None:
    with wire.dealer() as dealer:
        for number in range(100):
            dealer.send_multipart([b"%d" % number, b"", (b"PING", b"GETRECENTSTATUSES", b"LSWORKFLOWS")[number % 3]])
        replies = {int(number): kind(reply) for number, _, reply in (dealer.recv_multipart() for _ in range(100))}
    assert replies == {number: "PONG" if number % 3 == 0 else "SUCCESS" for number in range(100)}


def test_a_req_that_numbers_its_requests(wire: Wire) -> None:
    with wire.connect(zmq.REQ, wire.api) as raw:
        raw.setsockopt(zmq.REQ_CORRELATE, 1)
        raw.setsockopt(zmq.REQ_RELAXED, 1)
        raw.send(b"PING")
        assert raw.recv() == b"PONG"


# Log messages.


def test_messages_are_published_as_they_came(wire: Wire) -> None:
    sent = [
        log("live.a", "run", NOON, "STDOUT hello"),
        log("live.a", "run", NOON, "STDERR ü \t\0\x02 \U0001f600", "ERROR"),
        log("live.a", "run", NOON, ""),
        message("live.a", "", "", "", "", "0", "WARNING", " "),
        log("live.a", "run", NOON, "STDOUT " + "x" * 1_000_000),
    ]
    with wire.subscribe(b"live.a") as sub:
        wire.push(*sent)
        assert [sub.recv_multipart() for _ in sent] == [[each] for each in sent]


def test_a_topic_is_a_prefix(wire: Wire) -> None:
    ids = ["topic.a", "topic.ab", "topic.b", "other", "topic.a.c"]
    with wire.subscribe(b"topic.a") as some, wire.subscribe(b"") as every:
        wire.push(*(log(each, "run", NOON) for each in ids), log("topic.a-end", "run", NOON))
        assert [some.recv().split(S)[0] for _ in range(4)] == [b"topic.a", b"topic.ab", b"topic.a.c", b"topic.a-end"]
        assert [every.recv().split(S)[0].decode() for _ in range(6)] == [*ids, "topic.a-end"]


def test_a_line_is_found_as_soon_as_it_was_received(wire: Wire) -> None:
    with wire.subscribe(b"at.once") as sub:
        for number in range(20):
            wire.push(log("at.once", f"run-{number}", NOON))
            sub.recv()
            assert len(query(wire, str(NOON + 1), str(NOON), "at.once", f"run-{number}", "")) == 1


def test_a_separator_in_a_payload(wire: Wire) -> None:
    with wire.subscribe(b"sep") as sub:
        wire.push(log("sep", "run", NOON, "STDOUT a\x01b\x01\x01c\x01"))
        published = sub.recv()
    fields = published.split(S)
    assert len(fields) == 8
    assert fields[:7] == log("sep", "run", NOON).split(S)[:7]
    assert fields[7].decode() == "STDOUT a␁b␁␁c␁"
    [line] = query(wire, str(NOON + 1), str(NOON), "sep", "run", "")
    assert line == "[2025-01-20T12:30:00.000+00:00 INFO] [run/lucky-cat-7] STDOUT a\x01b\x01\x01c\x01"


BAD_LOGS = (
    b"",
    S,
    b"bad",
    message("bad", "w", "r", "t", "t", "1", "INFO"),
    message("bad", "w", "r", "t", "t", "", "INFO", "x"),
    message("bad", "w", "r", "t", "t", "noon", "INFO", "x"),
    message("bad", "w", "r", "t", "t", "1.5", "INFO", "x"),
    message("bad", "w", "r", "t", "t", str(2**63), "INFO", "x"),
    message("bad", "w", "r", "t", "t", "9" * 5000, "INFO", "x"),
    b"bad" + random.Random(3).randbytes(1_000_000).replace(S, b""),
    b"PING",
)


def test_malformed_log_messages_are_dropped(wire: Wire) -> None:
    good = log("good", "run", NOON)
    with wire.subscribe(b"") as sub:
        wire.push(*BAD_LOGS, good)
        assert sub.recv() == good
    assert wire.value("LSLOGS", workflow_id="bad")["lines"] == []
    assert wire.value("STATUS")["database_trouble"] is None


def test_a_log_message_that_is_not_utf8_is_kept(wire: Wire) -> None:
    with wire.subscribe(b"latin") as sub:
        wire.push(log("latin", "latin-run", NOON, "STDOUT ").replace(b"STDOUT ", b"STDOUT caf\xe9"))
        assert sub.recv().decode().endswith("STDOUT caf\ufffd")
    assert wire.lines("latin-run") == ["STDOUT caf\ufffd"]


def test_nobody_else_silences_a_subscriber(wire: Wire) -> None:
    # Messages that no SUB socket sends, the end of a subscription of somebody else's, and then one of its own.
    rude = (b"\x00\x00", b"\x00\x05quiet", b"\x00\x06\x02quiet", b"\x00\x06\x00quiet", b"\x00\x05\x01loud")
    with wire.subscribe(b"quiet") as sub, Tcp(wire.logs_out, "SUB") as tcp:
        tcp.socket.sendall(b"".join(rude))
        tcp.socket.settimeout(0.05)

        def heard() -> bool:
            wire.push(log("loud", "run", NOON))
            try:
                return bool(tcp.socket.recv(1))
            except TimeoutError:
                return False

        eventually(heard, "a subscription")
        wire.push(log("quiet", "run", NOON))
        assert sub.recv() == log("quiet", "run", NOON)


# Agents of the original API.


def test_an_old_agent_beside_one_of_ours(new_cluster: NewCluster) -> None:
    cluster = new_cluster(CDKTR_AGENT_MAX_CONCURRENCY="1")
    ran, go = cluster.folder / "ran", cluster.folder / "go"
    script = f'echo "$CDKTR_WORKFLOW_INSTANCE_ID" >> {ran}; echo by ours; until test -e {go}; do sleep 0.05; done'
    cluster.write("both", PLAIN.replace("Plain", "Both").replace("'true'", f"sh\n      args: [-c, '{script}']"))
    cluster.start_principal()
    cluster.start_agent()
    with Wire((cluster.port, cluster.logs_in, cluster.logs_out)) as wire:
        assert wire.ask("RUNTASK", "both") == b"OK"
        # Our agent has no slot left from now on.
        eventually(ran.exists, "a run of our agent")
        assert wire.ask("RUNTASK", "both") == b"OK"
        old = OldAgent(wire, "old")
        workflow = old.fetch()
        assert workflow["id"] == "both"
        alias = old.name()
        old.run("both", alias, "RUNNING")
        with wire.subscribe(b"both") as sub:
            old.task("only", "lucky-cat-0", alias, "RUNNING")
            words = ("both", "Both", alias, "Only", "lucky-cat-0", str(NOON), "INFO", "STDOUT by the old one")
            wire.push(message(*words))
            assert sub.recv().endswith(b"STDOUT by the old one")
        old.task("only", "lucky-cat-0", alias, "COMPLETED")
        old.run("both", alias, "COMPLETED")
        assert old.fetch() is None
        go.touch()
        [ours] = ran.read_text().split()
        assert wire.value("AWAITRUN", workflow_instance_id=ours, wait_ms=20_000)["status"] == "COMPLETED"
        runs = {run["workflow_instance_id"]: run for run in wire.value("LSRUNS")}
        assert len(runs) == 2
        assert {run["status"] for run in runs.values()} == {"COMPLETED"}
        [theirs] = set(runs) - {ours}
        assert theirs != alias
        assert runs[theirs]["agent_id"] == "old"
        assert wire.lines(theirs) == ["STDOUT by the old one"]
        assert wire.lines(ours) == ["STDOUT by ours"]
        [task] = wire.value("LSTASKRUNS", workflow_instance_id=theirs)
        assert (task["task_id"], task["task_instance_id"], task["status"]) == ("only", "lucky-cat-0", "COMPLETED")
        assert wire.value("LSLOGS", workflow_instance_id=alias)["lines"] == []
        assert old.fetch() is None
    assert ran.read_text().split() == [ours]


def test_an_old_agent_dies_before_it_starts_a_run(impatient: Wire) -> None:
    run_id = impatient.trigger("plain")
    assert OldAgent(impatient, "dies-early").fetch() is not None
    second = OldAgent(impatient, "second")
    eventually(second.fetch, "the run in the queue again")
    alias = second.name()
    second.run("plain", alias, "RUNNING")
    second.run("plain", alias, "COMPLETED")
    run = impatient.run(run_id)
    assert (run["status"], run["agent_id"]) == ("COMPLETED", "second")
    assert second.fetch() is None


def test_an_old_agent_dies_after_it_started_a_run(impatient: Wire) -> None:
    run_id = impatient.trigger("plain")
    old = OldAgent(impatient, "dies-late")
    assert old.fetch() is not None
    alias = old.name()
    old.run("plain", alias, "RUNNING")
    eventually(lambda: impatient.run(run_id)["status"] == "CRASHED", "the verdict")
    assert "dies-late" in impatient.run(run_id)["detail"]
    before = len(impatient.value("LSRUNS", limit=1000))
    for status in ("RUNNING", "COMPLETED", "COMPLETED", "FAILED"):
        old.run("plain", alias, status)
        assert impatient.run(run_id)["status"] == "CRASHED"
    assert len(impatient.value("LSRUNS", limit=1000)) == before
    assert OldAgent(impatient, "third").fetch() is None


def lose(wire: Wire, old: OldAgent) -> None:
    """Have the principal give up an agent at once."""
    wire.value("HEARTBEAT", agent_id=old.id, slots=0, version="", leaving=True)


def test_a_late_word_about_a_lost_run_is_none_about_the_next(wire: Wire) -> None:
    old = OldAgent(wire, "comes-back")
    first = wire.trigger("plain")
    assert old.fetch() is not None
    late = old.name()
    old.run("plain", late, "RUNNING")
    lose(wire, old)
    second = wire.trigger("plain")
    assert old.fetch() is not None
    old.run("plain", late, "COMPLETED")
    assert [wire.run(run_id)["status"] for run_id in (first, second)] == ["CRASHED", "PENDING"]
    alias = old.name()
    old.run("plain", alias, "RUNNING")
    assert wire.run(second)["status"] == "RUNNING"
    old.run("plain", alias, "FAILED")
    assert [wire.run(run_id)["status"] for run_id in (first, second)] == ["CRASHED", "FAILED"]


def test_an_instance_id_that_comes_again_is_another_run(wire: Wire) -> None:
    runs = [wire.trigger("plain") for _ in range(2)]
    for run_id, payload in zip(runs, ("one", "two"), strict=True):
        # A process of its own each time: both begin to count at 0.
        old = OldAgent(wire, "counts-again")
        assert old.fetch() is not None
        alias = old.name()
        assert alias == "jumping-monkey-0"
        old.run("plain", alias, "RUNNING")
        with wire.subscribe(b"plain") as sub:
            wire.push(message("plain", "Plain", alias, "Only", "t-0", str(NOON), "INFO", payload))
            sub.recv()
        old.run("plain", alias, "COMPLETED")
        assert wire.run(run_id)["status"] == "COMPLETED"
    assert [wire.lines(run_id) for run_id in runs] == [["one"], ["two"]]


# What is added.


def test_capabilities(wire: Wire) -> None:
    found = wire.value("CAPABILITIES")
    assert value(wire.ask("CAPABILITIES")) == found
    assert isinstance(found["version"], str)
    verbs = {request.split(S)[0].decode() for request in VALID}
    assert set(found["verbs"]) >= verbs
    assert found["principal_port"] == wire.api
    assert found["logs_listening_port"] == wire.logs_in
    assert found["logs_publishing_port"] == wire.logs_out
    for verb in found["verbs"]:
        assert b"Unknown" not in wire.ask(verb, "{}")


def test_trigger(wire: Wire) -> None:
    run_id = wire.trigger("parameters", must="a b", mode="slow", count=4, ratio=0.25, dry=True)
    run = wire.run(run_id)
    assert (run["workflow_id"], run["status"]) == ("parameters", "PENDING")
    assert json.loads(run["params"]) == {"must": "a b", "mode": "slow", "count": 4, "ratio": 0.25, "dry": True}
    assert wire.trigger("parameters", must="") != run_id


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"must": None},
        {"must": "x", "unknown": "x"},
        {"must": "x", "count": "many"},
        {"must": "x", "count": 1.5},
        {"must": "x", "count": True},
        {"must": "x", "ratio": "half"},
        {"must": "x", "dry": "maybe"},
        {"must": "x", "dry": 1},
        {"must": ["x"]},
        {"must": {"x": "x"}},
        {"must": "a\0b"},
        {"must": "\ud800"},
        {"must": json.loads("[" * 900 + "]" * 900)},
    ],
)
def test_trigger_refuses_parameters(wire: Wire, params: dict[str, Any]) -> None:
    assert kind(wire.ask_json("TRIGGER", workflow_id="parameters", params=params)) == "CLIENTERROR"
    assert wire.value("STATUS")["queued"] == 0


def test_trigger_unknown(wire: Wire) -> None:
    assert wire.ask_json("TRIGGER", workflow_id="X") == b"CLIENTERROR\x01No workflow exists with id X"


#: verb -> field -> a good value; "?" after a name means that it may be null, "!" that it must be there.
FIELDS: dict[str, dict[str, Any]] = {
    "CAPABILITIES": {},
    "TRIGGER": {"workflow_id!": "plain", "params": {}, "trigger": "test", "scheduled_ms?": 1, "key?": "k"},
    "HEARTBEAT": {
        "agent_id!": "a",
        "slots!": 1,
        "version!": "1",
        "holding": {},
        "leaving": False,
        "ended": ["b"],
        "killed": False,
        "labels": ["b"],
        "uv": {},
    },
    "LEASE": {"agent_id!": "a", "count!": 0, "wait_ms": 0, "holding": {}},
    "START": {"agent_id!": "a", "runs!": {}},
    "REPORT": {"agent_id!": "a", "source!": "wrong-types", "after!": 0, "records!": [[1, "x"]]},
    "AWAITRUN": {"workflow_instance_id!": "a", "wait_ms": 0},
    "LSRUNS": {
        **dict.fromkeys(("workflow_id?", "workflow_instance_id?", "status?", "contains?"), "a"),
        **dict.fromkeys(("limit", "offset", "start_ms?", "end_ms?"), 1),
        "oldest": False,
        "counted": False,
    },
    "LSLATEST": {},
    "LSTASKRUNS": {"workflow_instance_id!": "a"},
    "LSLOGS": {
        **dict.fromkeys(("workflow_id?", "workflow_instance_id?", "task_name?", "status?", "level?"), "a"),
        **dict.fromkeys(("start_ms?", "end_ms?", "after?", "limit"), 1),
        "tail": False,
        "wait_ms": 0,
    },
    "STATUS": {},
    "LSPROBLEMS": {},
    "RELOAD": {},
    "PAUSE": {"workflow_id!": "plain"},
    "RESUME": {"workflow_id!": "plain"},
}


#: What JSON can say instead of a value, and what no field may hold.
def test_pause_and_resume(wire: Wire) -> None:
    before = time.time_ns() // 1_000_000
    paused = wire.value("PAUSE", workflow_id="etl.daily")
    assert before <= paused["paused_ms"] <= time.time_ns() // 1_000_000
    assert paused == {"paused_ms": paused["paused_ms"], "changed": True}
    assert wire.value("PAUSE", workflow_id="etl.daily") == {**paused, "changed": False}
    assert wire.value("STATUS")["paused"] == {"etl.daily": paused["paused_ms"]}
    assert wire.ask("RUNTASK", "etl.daily") == b"OK"
    assert wire.run(wire.trigger("etl.daily"))["status"] == "PENDING"
    assert wire.value("RESUME", workflow_id="etl.daily") == {"paused_ms": None, "changed": True}
    assert wire.value("RESUME", workflow_id="etl.daily") == {"paused_ms": None, "changed": False}
    assert wire.value("STATUS")["paused"] == {}


@pytest.mark.parametrize("verb", ["PAUSE", "RESUME"])
def test_pause_unknown(wire: Wire, verb: str) -> None:
    unknown = b"CLIENTERROR\x01No workflow exists with id "
    assert wire.ask_json(verb, workflow_id="X") == unknown + b"X"
    assert wire.ask_json(verb, workflow_id="daily") == unknown + b"daily"
    assert wire.value("STATUS")["paused"] == {}


OTHERS: tuple[Any, ...] = (None, True, 1, 1.5, "1", [], [1], {}, {"a": 1}, 2**63, -(2**63) - 1, 10**400, "\ud800")


def is_wrong(other: Any, good: Any, may_be_null: bool) -> bool:
    if other is None:
        return not may_be_null
    if isinstance(other, dict) and other and isinstance(good, dict):
        return "params" not in good
    if isinstance(other, list) and other and isinstance(good, list):
        return isinstance(good[0], str)
    too_large = isinstance(other, int) and not isinstance(other, bool) and abs(other) >= 2**63
    return type(other) is not type(good) or too_large or other == "\ud800"


@pytest.mark.parametrize("verb", FIELDS)
def test_wrong_types(wire: Wire, verb: str) -> None:
    good = {name.rstrip("!?"): each for name, each in FIELDS[verb].items()}
    for argument in (
        "",
        "[]",
        "[1]",
        '"x"',
        "5",
        "null",
        "true",
        "{",
        "{}}",
        "{'a':1}",
        '{"a":1,}',
        "\ufeff{}",
        "[" * 5000,
    ):
        assert kind(wire.ask(verb, argument)) == "CLIENTERROR", argument
    for marked, each in FIELDS[verb].items():
        name = marked.rstrip("!?")
        for other in OTHERS:
            if is_wrong(other, each, "?" in marked) and (name, other) not in (("params", {"a": 1}), ("records", [1])):
                assert kind(wire.ask_json(verb, **{**good, name: other})) == "CLIENTERROR", (name, other)
        if "!" in marked:
            assert kind(wire.ask_json(verb, **{key: x for key, x in good.items() if key != name})) == "CLIENTERROR"
    wanted = "CLIENTERROR" if verb == "AWAITRUN" else "SUCCESS"
    assert kind(wire.ask_json(verb, **good, unknown_key={"x": [1]})) == wanted


def test_labels(wire: Wire) -> None:
    """What a workflow requires and an agent has; one of the original API has nothing."""
    listed = value(wire.ask("LSWORKFLOWS"))
    assert (listed["train"]["requires"], listed["plain"]["requires"]) == (["gpu", "zone=eu"], [])
    run_id = wire.trigger("train")
    behind = wire.trigger("plain")
    old = OldAgent(wire, "labels-old")
    assert old.fetch()["id"] == "plain", "what it cannot take stands in nobody's way"
    assert old.fetch() is None
    lose(wire, old)
    wire.value("HEARTBEAT", agent_id="labels-mute", slots=1, version="1")
    wire.value("HEARTBEAT", agent_id="labels-half", slots=1, version="1", labels=["gpu"])
    assert wire.value("LEASE", agent_id="labels-half", count=1)["leases"][0]["workflow_instance_id"] == behind
    assert wire.value("LEASE", agent_id="labels-mute", count=5)["leases"] == []
    waits = {"labels": ["gpu", "zone=eu"], "runs": 1, "workflows": ["train"]}
    assert (wire.value("STATUS")["unplaceable"], wire.value("STATUS")["crowded"]) == ([waits], [])
    for wrong in ([1], ["a b"], "gpu", {"gpu": "1"}, ["x" * 64], [f"l{n}" for n in range(33)]):
        beat = {"agent_id": "labels-wrong", "slots": 1, "version": "1", "labels": wrong}
        assert kind(wire.ask_json("HEARTBEAT", **beat)) == "CLIENTERROR", wrong
    wire.value("HEARTBEAT", agent_id="labels-all", slots=1, version="1", labels=["zone=eu", "more", "gpu"])
    agents = {agent["agent_id"]: agent["labels"] for agent in value(wire.ask("GETREGISTEREDAGENTS"))}
    assert agents["labels-all"] == ["gpu", "more", "zone=eu"]
    assert agents["labels-mute"] == []
    assert "labels-wrong" not in agents
    [lease] = wire.value("LEASE", agent_id="labels-all", count=5)["leases"]
    assert (lease["workflow_instance_id"], lease["workflow"]["requires"]) == (run_id, ["gpu", "zone=eu"])
    for agent_id in agents:
        if agent_id.startswith("labels-"):
            wire.value("HEARTBEAT", agent_id=agent_id, slots=0, version="1", leaving=True)


def test_await_run(wire: Wire) -> None:
    run_id = wire.trigger("plain")
    assert wire.value("AWAITRUN", workflow_instance_id=run_id)["status"] == "PENDING"
    with wire.dealer() as dealer:
        dealer.send_multipart(
            [b"wait", b"", message("AWAITRUN", json.dumps({"workflow_instance_id": run_id, "wait_ms": 60_000}))]
        )
        dealer.send_multipart([b"ping", b"", b"PING"])
        assert dealer.recv_multipart() == [b"ping", b"", b"PONG"]
        wire.drain()
        number, _, reply = dealer.recv_multipart()
    assert number == b"wait"
    summary = value(reply)
    assert (summary["workflow_instance_id"], summary["status"]) == (run_id, "CANCELLED")
    assert wire.value("AWAITRUN", workflow_instance_id=run_id, wait_ms=60_000) == summary
    assert kind(wire.ask_json("AWAITRUN", workflow_instance_id="nobody-0", wait_ms=60_000)) == "CLIENTERROR"


def test_log_pages(wire: Wire) -> None:
    stored(wire, *(log("pages", "pages-run", NOON - number, f"STDOUT {number}") for number in range(10)))
    seen: list[str] = []
    after = None
    for size in (4, 4, 2):
        page = wire.value("LSLOGS", workflow_id="pages", after=after, limit=4)
        assert len(page["lines"]) == size
        numbers = [line["sequence"] for line in page["lines"]]
        assert numbers == sorted(set(numbers))
        seen += [line["payload"] for line in page["lines"]]
        after = page["next"]
        assert after == numbers[-1]
    assert seen == [f"STDOUT {number}" for number in range(10)]
    assert wire.value("LSLOGS", workflow_id="pages", after=after)["lines"] == []
    assert wire.value("LSLOGS", workflow_id="pages", after=after)["next"] == after
    tail = wire.value("LSLOGS", workflow_id="pages", limit=3, tail=True)
    assert [line["payload"] for line in tail["lines"]] == ["STDOUT 7", "STDOUT 8", "STDOUT 9"]
    [line] = wire.value("LSLOGS", workflow_id="pages", start_ms=NOON - 5, end_ms=NOON - 4)["lines"]
    del line["sequence"]
    assert line == {
        "workflow_id": "pages",
        "workflow_name": "The pages",
        "workflow_instance_id": "pages-run",
        "task_name": "Extract",
        "task_instance_id": "lucky-cat-7",
        "timestamp_ms": NOON - 5,
        "level": "INFO",
        "payload": "STDOUT 5",
    }
    assert len(wire.value("LSLOGS", workflow_id="pages", limit=0)["lines"]) == 1


def test_log_lines_before_one_and_those_that_hold_a_text(wire: Wire) -> None:
    stored(wire, *(log("back", "back-run", NOON, f"STDOUT Row {number}") for number in range(30)))
    lines = wire.value("LSLOGS", workflow_id="back")["lines"]
    twenty = lines[20]["sequence"]

    def rows(**asked: Any) -> list[int]:
        found = wire.value("LSLOGS", workflow_id="back", **asked)["lines"]
        return [int(line["payload"].rpartition(" ")[2]) for line in found]

    assert rows(before=twenty, tail=True, limit=3) == [17, 18, 19]
    assert rows(before=twenty, limit=3) == [0, 1, 2]
    assert rows(before=twenty, after=lines[17]["sequence"]) == [18, 19]
    assert rows(before=lines[0]["sequence"], tail=True) == []
    assert rows(contains="row 2", after=lines[3]["sequence"]) == list(range(20, 30))
    assert rows(contains="ROW 2", before=twenty, tail=True, limit=1) == [2]
    assert rows(contains="stdout") == []
    assert rows(contains="Row %") == []
    # Nothing can come before a line that is there: the answer does not rest.
    page = wire.value("LSLOGS", workflow_id="back", before=lines[0]["sequence"], wait_ms=60_000)
    assert (page["lines"], page["more"]) == ([], False)


def test_what_is_refused_is_in_the_log_of_the_principal(wire: Wire) -> None:
    before = wire.value("LSOWNLOG")
    assert any(line["message"].startswith("Principal server started on") for line in before["lines"])
    wire.push(b"not a log message")

    def came() -> Any:
        return wire.value("LSOWNLOG", after=before["next"])["lines"]

    [line] = eventually(came, "a line")
    assert (line["level"], line["logger"]) == ("WARNING", "cdktr.principal")
    assert line["message"].startswith("A message on the log port was dropped")
    assert line["sequence"] > before["next"]
    assert wire.value("LSOWNLOG", limit=1)["lines"] == [line]


def test_revisions_tell_whether_something_changed(wire: Wire) -> None:
    def revisions() -> Any:
        return wire.value("STATUS")["revisions"]

    before = revisions()
    assert revisions() == before
    wire.value("RELOAD")
    wire.trigger("plain")
    after = revisions()
    assert after["runs"] > before["runs"]
    assert set(after) == {"runs", "workflows"}


def test_log_lines_can_be_waited_for(wire: Wire) -> None:
    after = wire.value("LSLOGS", tail=True, limit=1)["next"]
    request = message("LSLOGS", json.dumps({"workflow_id": "await", "after": after, "wait_ms": 60_000}))
    with wire.dealer() as dealer:
        dealer.send_multipart([b"wait", b"", request])
        dealer.send_multipart([b"ping", b"", b"PING"])
        assert dealer.recv_multipart() == [b"ping", b"", b"PONG"]
        wire.push(log("another", "run", NOON), log("await", "run", NOON, "STDOUT there"))
        number, _, reply = dealer.recv_multipart()
    assert number == b"wait"
    assert [line["payload"] for line in value(reply)["lines"]] == ["STDOUT there"]


def lease(agent_id: str, wait_ms: int = 60_000, count: int = 1) -> bytes:
    return message("LEASE", json.dumps({"agent_id": agent_id, "count": count, "wait_ms": wait_ms}))


def test_lease_rests_until_there_is_work(wire: Wire) -> None:
    with wire.dealer() as dealer:
        dealer.send_multipart([b"lease", b"", lease("rests")])
        dealer.send_multipart([b"ping", b"", b"PING"])
        assert dealer.recv_multipart() == [b"ping", b"", b"PONG"]
        run_id = wire.trigger("parameters", must="given")
        number, _, reply = dealer.recv_multipart()
    assert number == b"lease"
    answer = value(reply)
    assert answer["lost"] == []
    [work] = answer["leases"]
    assert work["workflow_instance_id"] == run_id
    assert work["workflow"]["id"] == "parameters"
    assert work["params"] == {"mode": "fast", "count": "3", "ratio": "0.5", "dry": "false", "must": "given"}
    assert isinstance(work["token"], str)


def test_lease_is_replaced_by_a_newer_one(wire: Wire) -> None:
    with wire.dealer() as dealer:
        dealer.send_multipart([b"first", b"", lease("replaces")])
        dealer.send_multipart([b"second", b"", lease("replaces")])
        number, _, reply = dealer.recv_multipart()
        assert (number, value(reply)) == (b"first", {"leases": [], "lost": []})
        run_id = wire.trigger("plain")
        number, _, reply = dealer.recv_multipart()
        assert number == b"second"
        assert [work["workflow_instance_id"] for work in value(reply)["leases"]] == [run_id]


def test_lease_of_a_peer_that_is_gone_keeps_no_run(wire: Wire) -> None:
    with wire.dealer() as dealer:
        dealer.send_multipart([b"", lease("gone")])
        dealer.send_multipart([b"", b"PING"])
        assert dealer.recv_multipart() == [b"", b"PONG"]
    run_id = wire.trigger("plain")
    found = eventually(lambda: wire.value("LEASE", agent_id="stays", count=1)["leases"], "the run for somebody else")
    assert [work["workflow_instance_id"] for work in found] == [run_id]


def test_start_wants_the_token(wire: Wire) -> None:
    run_id = wire.trigger("plain")
    [work] = value(wire.ask(lease("starts", 0)))["leases"]
    token = work["token"]

    def start(agent_id: str, **runs: str) -> Any:
        return wire.value("START", agent_id=agent_id, runs=runs)["granted"]

    assert start("starts", **{run_id: "wrong"}) == start("starts", **{run_id: ""}) == []
    assert start("another", **{run_id: token}) == start("starts", **{"no-run-0": token}) == []
    assert wire.run(run_id)["status"] == "PENDING"
    assert start("starts", **{run_id: token}) == [run_id]
    assert start("starts", **{run_id: token}) == [run_id]
    assert wire.run(run_id)["status"] == "RUNNING"


def chunk(run_id: str, *lines: str) -> list[Any]:
    return ["logs", "plain", "Plain", run_id, "Only", "t-0", NOON, "INFO", list(lines)]


def test_reports_come_in_order_and_count_once(wire: Wire) -> None:
    def report(number: int, *lines: str, source: str = "source-1", after: int | None = None) -> bytes:
        """Each line a record of its own, the first of them with this number."""
        records = [[n, *chunk("report-run", line)] for n, line in enumerate(lines, number)]
        before = number - 1 if after is None else after
        return wire.ask_json("REPORT", agent_id="reports", source=source, after=before, records=records)

    assert value(report(1, "a", "b")) == {"stored": 2}
    assert wire.lines("report-run") == ["a", "b"]
    assert value(report(1, "a", "b")) == {"stored": 2}
    assert kind(report(4, "d")) == "CLIENTERROR"
    assert wire.lines("report-run") == ["a", "b"]
    assert value(report(2, "b", "c")) == {"stored": 3}
    assert value(report(9, "d", after=3)) == {"stored": 9}
    assert value(report(1, "again")) == {"stored": 1}
    assert value(report(1, "e", source="source-2")) == {"stored": 1}
    assert wire.lines("report-run") == ["a", "b", "c", "d", "e"]
    for number in (0, -1, -(2**63)):
        assert kind(report(number, "zero", source="source-3", after=number)) == "CLIENTERROR"
        assert kind(report(number, "zero", source="source-3", after=0)) == "CLIENTERROR"
    assert wire.lines("report-run") == ["a", "b", "c", "d", "e"]


TASK = ["task", "token", "t", "t-0", "run", "RUNNING", 1, "a", 1, 0, None]
RUN = ["run", "token", "w", "run", "RUNNING", 1, "a", None, None, None]
LINES = ["logs", "w", "w", "run", "t", "t-0", 1, "INFO", ["x"]]


def replaced(record: list[Any], places: Iterable[int], *others: Any) -> Iterator[list[Any]]:
    for place in places:
        for other in others:
            yield [*record[:place], other, *record[place + 1 :]]


#: Of these not even the number can be read.
NO_RECORDS: list[Any] = [None, 5, "logs", [], ["logs"], [[]], {"kind": "logs"}, LINES, [True, *LINES], [2**63, *LINES]]

BAD_RECORDS: list[Any] = [
    *([], ["other", "x"], LINES[:-1], TASK[:5], [*RUN[:4], "DONE", *RUN[5:]]),
    json.loads("[" * 900 + "]" * 900),
    # Values that a column of the database cannot hold.
    *replaced(LINES, (6,), 2**63, -(2**63) - 1, 10**400, "1", 1.5, True, None),
    *replaced(LINES, (8,), "text", {"x": 1}, [1], [None], None),
    *replaced(LINES, (1, 2, 3, 4, 5, 7), 5, None),
    *replaced(TASK, (6, 8), 2**63, "1", 1.5, None, []),
    *replaced(TASK, (9,), 2**63, "1", []),
    *replaced(TASK, (1, 2, 3, 4, 5, 7, 10), 5, []),
    *replaced(RUN, range(1, 10), {}, []),
]


def test_a_record_without_a_number_is_refused(wire: Wire) -> None:
    for bad in NO_RECORDS:
        records = [[1, *chunk("poisoned-run", "good")], bad]
        reply = wire.ask_json("REPORT", agent_id="a", source="no-number", after=0, records=records)
        assert kind(reply) == "CLIENTERROR", bad
    assert wire.lines("poisoned-run") == []


def test_a_record_that_cannot_be_stored_is_kept_as_an_event(wire: Wire) -> None:
    """Else it would come again for ever, and all that follows it never."""
    records = [[number, *bad] for number, bad in enumerate(BAD_RECORDS, 1)]
    last = len(records) + 4
    good = [chunk("poisoned-run", "\ud800 half", "a\0b", "c\x01d"), TASK, [*RUN, "more"], [*LINES, "more"]]
    records += [[number, *record] for number, record in enumerate(good, len(records) + 1)]
    assert wire.value("REPORT", agent_id="a", source="poison", after=0, records=records) == {"stored": last}
    assert wire.lines("poisoned-run") == ["? half", "a\0b", "c\x01d"]
    assert wire.value("STATUS")["database_trouble"] is None


def test_an_old_token_has_no_say(new_cluster: NewCluster, tmp_path: Path) -> None:
    with running(tmp_path / "tokens") as (cluster, wire):
        run_id = wire.trigger("plain")
        [old] = value(wire.ask(lease("loses", 0)))["leases"]
        wire.value("HEARTBEAT", agent_id="loses", slots=1, version="1", leaving=True)
        [new] = value(wire.ask(lease("takes-over", 0)))["leases"]
        assert old["token"] != new["token"]
        assert wire.value("START", agent_id="loses", runs={run_id: old["token"]}) == {"granted": []}
        assert wire.value("START", agent_id="takes-over", runs={run_id: new["token"]}) == {"granted": [run_id]}
        beat = {"slots": 1, "version": "1", "holding": {run_id: old["token"]}}
        assert wire.value("HEARTBEAT", agent_id="loses", **beat)["lost"] == [run_id]

        def report(agent_id: str, token: str, status: str) -> Any:
            records = [
                [1, "task", token, "only", "t-0", run_id, status, NOON, agent_id, 1, 0, None],
                [2, "run", token, "plain", run_id, status, NOON, agent_id, None, None, None],
            ]
            return wire.value("REPORT", agent_id=agent_id, source=agent_id, after=0, records=records)

        assert report("loses", old["token"], "FAILED") == {"stored": 2}
        assert wire.run(run_id)["status"] == "RUNNING"
        assert wire.value("LSTASKRUNS", workflow_instance_id=run_id) == []
        assert report("takes-over", new["token"], "COMPLETED") == {"stored": 2}
        run = wire.run(run_id)
        assert (run["status"], run["agent_id"]) == ("COMPLETED", "takes-over")
        assert cluster.daemons[0].stop() == 0
        with duckdb.connect(str(cluster.folder / "data" / "app.db"), read_only=True) as database:
            events = database.sql(
                "SELECT workflow_instance_id, kind, detail FROM run_event ORDER BY sequence"
            ).fetchall()
            rows = database.sql("SELECT status FROM workflow_run_status ORDER BY sequence").fetchall()
    assert [event[:2] for event in events] == [(run_id, "refused")] * 2
    assert all("loses" in event[2] and "FAILED" in event[2] for event in events)
    assert [status for (status,) in rows] == ["PENDING", "PENDING", "RUNNING", "COMPLETED"]


def test_nothing_here_was_a_fault_of_the_principal(alone: tuple[Cluster, Wire]) -> None:
    assert "Traceback" not in alone[0].text
