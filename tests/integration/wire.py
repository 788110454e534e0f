"""Peers of a principal that know nothing of cdktr: sockets and literal bytes, as a foreign client has them."""

import itertools
import json
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import zmq

S = b"\x01"

#: Seconds until a peer gives up: a limit for a hanging test, not a measure.
PATIENCE_S = 20.0

REPLIES = (b"PONG", b"OK", b"SUCCESS", b"CLIENTERROR", b"SERVERERROR", b"UNPROC")

Socket = zmq.Socket[bytes]
T = TypeVar("T")


def message(*words: str | bytes) -> bytes:
    """The arguments as one frame."""
    return S.join(word.encode() if isinstance(word, str) else word for word in words)


def kind(reply: bytes) -> str:
    """The kind of a reply, which must be one of the six."""
    word = reply.split(S, 1)[0]
    assert word in REPLIES, reply[:200]
    return word.decode()


def value(reply: bytes) -> Any:
    """The JSON value of a SUCCESS."""
    word, _, payload = reply.partition(S)
    assert word == b"SUCCESS", reply[:500]
    return json.loads(payload)


def eventually(check: Callable[[], T], what: str) -> T:
    """What `check` returns as soon as that is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := check()):
        assert time.monotonic() < deadline, f"not yet: {what}"
        time.sleep(0.02)
    return found


class Wire:
    """Sockets to one principal, closed together. `ports` are API, log intake, log publisher."""

    def __init__(self, ports: tuple[int, int, int]) -> None:
        self.api, self.logs_in, self.logs_out = ports
        self._context: zmq.Context[Socket] = zmq.Context()
        self._numbers = itertools.count()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._context.destroy(linger=0)

    def connect(self, kind: int, port: int) -> Socket:
        """A socket of any kind."""
        raw: Socket = self._context.socket(kind)
        raw.setsockopt(zmq.LINGER, 0)
        raw.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        raw.connect(f"tcp://127.0.0.1:{port}")
        return raw

    def dealer(self) -> Socket:
        """A DEALER to the API."""
        return self.connect(zmq.DEALER, self.api)

    def ask(self, *words: str | bytes) -> bytes:
        """As the original clients do: connect, ask, close."""
        return self.ask_frames([message(*words)])

    def ask_frames(self, frames: list[bytes]) -> bytes:
        """A request of any number of frames."""
        with self.connect(zmq.REQ, self.api) as raw:
            raw.send_multipart(frames)
            [reply] = raw.recv_multipart()
            return reply

    def ask_json(self, verb: str, **fields: Any) -> bytes:
        """An added verb."""
        return self.ask(verb, json.dumps(fields))

    def value(self, verb: str, **fields: Any) -> Any:
        """The value that an added verb is answered by."""
        return value(self.ask_json(verb, **fields))

    def trigger(self, workflow_id: str, **params: Any) -> str:
        """A new run's id."""
        run_id = self.value("TRIGGER", workflow_id=workflow_id, params=params)["workflow_instance_id"]
        assert isinstance(run_id, str)
        return run_id

    def run(self, run_id: str) -> Any:
        """A run's summary."""
        [found] = self.value("LSRUNS", workflow_instance_id=run_id)
        return found

    def push(self, *messages: bytes) -> None:
        """Send log messages."""
        with self.connect(zmq.PUSH, self.logs_in) as raw:
            raw.setsockopt(zmq.LINGER, int(PATIENCE_S * 1000))
            for each in messages:
                raw.send(each)

    def subscribe(self, topic: bytes) -> Socket:
        """A SUB that certainly gets what comes from now on."""
        raw = self.connect(zmq.SUB, self.logs_out)
        raw.setsockopt(zmq.SUBSCRIBE, topic)
        raw.setsockopt(zmq.RCVTIMEO, 50)
        mark = topic + b"~sync%d" % next(self._numbers)

        def heard() -> bool:
            self.push(message(mark, "", "", "", "", "1", "INFO", ""))
            try:
                return raw.recv().startswith(mark)
            except zmq.Again:
                return False

        eventually(heard, "a subscription")
        self.push(message(mark, "", "", "", "", "2", "INFO", ""))
        raw.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        while raw.recv().split(S)[5] != b"2":
            pass
        return raw

    def lines(self, run_id: str) -> list[str]:
        """The payloads of a run's log lines."""
        return [line["payload"] for line in self.value("LSLOGS", workflow_instance_id=run_id)["lines"]]

    def drain(self) -> None:
        """Cancel whatever is queued."""
        leases = self.value("LEASE", agent_id="drain", count=10_000)["leases"]
        if not leases:
            return
        ended = [
            [n, "run", x["token"], "w", x["workflow_instance_id"], "CANCELLED", 1, *[None] * 4]
            for n, x in enumerate(leases, 1)
        ]
        source = f"drain-{time.monotonic_ns()}"
        self.value("REPORT", agent_id="drain", source=source, after=0, records=ended)


class OldAgent:
    """An agent of the original API: it names runs itself, in the order in which it starts them."""

    def __init__(self, wire: Wire, agent_id: str) -> None:
        self._wire = wire
        self.id = agent_id
        self._count = itertools.count()
        assert wire.ask("REGISTERAGENT", agent_id) == b"OK"

    def fetch(self) -> Any:
        """A workflow, or None."""
        reply = self._wire.ask("FETCHWORKFLOW", self.id)
        return None if reply == b"OK" else value(reply)

    def name(self) -> str:
        """The next instance id."""
        return f"jumping-monkey-{next(self._count)}"

    def run(self, workflow_id: str, instance_id: str, status: str) -> None:
        """Report on a run."""
        assert self._wire.ask("AGENTWORKFLOWSTATUS", self.id, workflow_id, instance_id, status) == b"OK"

    def task(self, task_id: str, task_instance_id: str, instance_id: str, status: str) -> None:
        """Report on a task."""
        reply = self._wire.ask("AGENTTASKSTATUS", self.id, task_id, task_instance_id, instance_id, status)
        assert reply == b"OK"


class Tcp:
    """A ZMTP 3.0 peer by hand, after its handshake as REQ or SUB."""

    GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
    READY = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03"

    def __init__(self, port: int, kind: str = "REQ") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._file = self.socket.makefile("rb")
        self.socket.sendall(self.GREETING)
        assert self._file.read(64)[12:16] == b"NULL"
        self.socket.sendall(self.READY + kind.encode())
        flags, _ = self.frame()
        assert flags & 0x04

    def __enter__(self) -> "Tcp":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self.socket.close()

    def frame(self) -> tuple[int, bytes]:
        """Flags and body of the next frame."""
        flags = self._read(1)[0]
        size = int.from_bytes(self._read(8 if flags & 0x02 else 1), "big")
        return flags, self._read(size)

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def message_frame(self) -> tuple[int, bytes]:
        """The next frame that is no command; the principal tries silent connections by one."""
        while True:
            flags, body = self.frame()
            if not flags & 0x04:
                return flags, body

    def is_closed(self) -> bool:
        """Waits for the end of the connection; False when the principal goes on trying it instead."""
        try:
            for _ in range(3):
                self.frame()
        except (ConnectionError, EOFError):
            return True
        return False
