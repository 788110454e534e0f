"""The clients in other languages, docs/clients/, against a real principal and over bad connections."""

import json
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.integration.cluster import PATIENCE_S, ROOT, Cluster
from tests.integration.conftest import NewCluster

CLIENTS = ROOT / "docs" / "clients"
API_PAGE = ROOT / "docs" / "api.md"

#: The command lines of the clients, by language.
Commands = dict[str, list[str]]
Done = subprocess.CompletedProcess[str]

LINES = 2_000


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    found = {}
    if gcc := shutil.which("gcc") or shutil.which("cc"):
        program = str(tmp_path_factory.mktemp("client") / "cdktr_client")
        strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-g"]
        subprocess.run([gcc, *strict, "-o", program, str(CLIENTS / "cdktr_client.c")], check=True)
        found["c"] = [program]
    if node := shutil.which("node"):
        found["node"] = [node, str(CLIENTS / "cdktr_client.mjs")]
    return found


Ask = Callable[..., Done]


@pytest.fixture(params=["c", "node"])
def client(request: pytest.FixtureRequest, commands: Commands) -> list[str]:
    if request.param not in commands:
        pytest.skip(f"there is no {'C compiler' if request.param == 'c' else 'node'} on this host")
    return commands[request.param]


@pytest.fixture
def ask(client: list[str]) -> Ask:
    def call(port: int, *words: str, seconds: float = PATIENCE_S) -> Done:
        command = [*client, "-t", str(seconds), "127.0.0.1", str(port), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE_S)

    return call


@pytest.fixture(scope="module")
def port(cluster: Cluster) -> int:
    count = f"seq 0 {LINES - 1} | sed 's/.*/this is line number & of those that a task prints/'"
    config = f'!Subprocess {{cmd: sh, args: ["-c", "{count}"]}}'
    cluster.write("count", f"name: Count\ntasks: {{count: {{name: Count, config: {config}}}}}")
    return cluster.port


def test_it_pings_triggers_waits_and_reads(ask: Ask, port: int) -> None:
    assert ask(port, "PING").stdout == "PONG\n"
    assert ask(port, "RUNTASK", "count").stdout == "OK\n"
    run_id = json.loads(ask(port, "TRIGGER", '{"workflow_id": "count"}').stdout)["workflow_instance_id"]
    of_run = {"workflow_instance_id": run_id}
    ended = ask(port, "AWAITRUN", json.dumps({**of_run, "wait_ms": 20_000}))
    assert json.loads(ended.stdout)["status"] == "COMPLETED"
    logs = ask(port, "LSLOGS", json.dumps(of_run))
    assert len(logs.stdout) > 2**16
    said = [line["payload"] for line in json.loads(logs.stdout)["lines"]]
    assert said == [f"STDOUT this is line number {number} of those that a task prints" for number in range(LINES)]
    # A request that is longer than a short frame holds.
    assert ask(port, "LSRUNS", json.dumps({**of_run, "unknown": "x" * 300})).returncode == 0


def test_what_is_refused_is_told(ask: Ask, port: int) -> None:
    for words, told in ((("FOO",), "Unknown request 'FOO'"), (("RUNTASK", "nope"), "No workflow exists with id nope")):
        done = ask(port, *words)
        assert (done.returncode, done.stdout) == (6, "")
        assert done.stderr.startswith(f"cdktr_client: CLIENTERROR: {told}")


def test_a_wrong_command_line_is_told(client: list[str]) -> None:
    here = "127.0.0.1"
    wrong = ([], [here, "5561"], *([here, port, "PING"] for port in ("x", "0", "5561.5", "65536")))
    for words in (*wrong, ["-t", "x", here, "5561", "PING"]):
        done = subprocess.run([*client, *words], capture_output=True, text=True)
        assert done.returncode == 2, words
        assert done.stderr.startswith("cdktr_client: "), words


def test_nobody_there(ask: Ask) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = ask(free.getsockname()[1], "PING")
    assert done.returncode == 3
    assert "no principal answers at 127.0.0.1" in done.stderr


def test_somebody_else_there(ask: Ask, cluster: Cluster, port: int) -> None:
    """The log port, which takes no requests; and one that never says anything."""
    assert ask(cluster.logs_in, "PING", seconds=2).returncode == 3
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = ask(silent.getsockname()[1], "PING", seconds=0.3)
    assert done.returncode == 3
    assert "did not answer in time" in done.stderr


def test_the_principal_is_killed_meanwhile(client: list[str], new_cluster: NewCluster) -> None:
    cluster = new_cluster()
    principal = cluster.start_principal()
    cluster.write("hello", (ROOT / "workflows" / "hello.yml").read_text())
    where = [*client, "-t", str(PATIENCE_S), "127.0.0.1", str(cluster.port)]
    # There is no agent: the run never ends.
    made = subprocess.run([*where, "TRIGGER", '{"workflow_id": "hello"}'], capture_output=True, check=True)
    waiting = json.dumps({**json.loads(made.stdout), "wait_ms": 20_000})
    with Relay(cluster.port) as relay:
        where[-1] = str(relay.port)
        asking = subprocess.Popen([*where, "AWAITRUN", waiting], stderr=subprocess.PIPE, text=True)
        relay.wait_for(waiting.encode())
        principal.signal(signal.SIGKILL)
        _, told = asking.communicate(timeout=PATIENCE_S)
    assert asking.returncode == 3
    assert "connection" in told


class Relay:
    """Between a client and a principal: passes on a few bytes at a time, and keeps what each said."""

    def __init__(self, port: int, piece: int = 3) -> None:
        self._principal = port
        self._piece = piece
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.asked = bytearray()
        self.answered = bytearray()
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Relay":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(PATIENCE_S)
        self._server.close()

    def _serve(self) -> None:
        near, _ = self._server.accept()
        far = socket.create_connection(("127.0.0.1", self._principal))
        with near, far:
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            there = threading.Thread(target=self._pass_on, args=(near, far, self.asked))
            there.start()
            self._pass_on(far, near, self.answered)
            there.join(PATIENCE_S)

    def _pass_on(self, source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        with suppress(OSError):
            # However long it is, only the first kilobytes are torn.
            while data := source.recv(self._piece if len(kept) < 4096 else 2**16):
                with self._news:
                    kept += data
                    self._news.notify_all()
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def wait_for(self, asked: bytes) -> None:
        """Return when the client has asked this."""
        with self._news:
            assert self._news.wait_for(lambda: asked in self.asked, PATIENCE_S), bytes(self.asked)


def test_frames_come_split_over_packets(ask: Ask, port: int) -> None:
    with Relay(port) as relay:
        done = ask(relay.port, "STATUS")
    assert json.loads(done.stdout)["port"] == port
    with Relay(port) as relay:
        done = ask(relay.port, "LSWORKFLOWS")
    assert "count" in json.loads(done.stdout)


def shown_bytes() -> Iterator[tuple[str, bytes]]:
    """The worked example of the page: who says it, and what."""
    [block] = re.findall(r"^```text\n(client .*?)^```", API_PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        match = re.match(r"(client|principal|) +((?:[0-9a-f]{2}\b ?)+)", line)
        assert match, line
        yield match[1], bytes.fromhex(match[2])


def test_the_bytes_on_the_page_are_those_on_the_wire(ask: Ask, port: int) -> None:
    said = {"client": b"", "principal": b""}
    who = ""
    for speaker, data in shown_bytes():
        who = speaker or who
        said[who] += data
    with Relay(port) as relay:
        assert ask(relay.port, "PING").stdout == "PONG\n"
    assert bytes(relay.asked) == said["client"]
    assert bytes(relay.answered) == said["principal"]


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"


@pytest.mark.parametrize(
    ("sent", "code", "told"),
    [
        (GREETING + READY + b"\x04\x0b\x04PING\x00\x64abcd" + b"\x01\x00\x00\x04PONG", 0, "PONG"),
        (GREETING + READY + b"\x01\x00\x03" + bytes(7) + b"\x01x\x00\x02OK", 0, "OK"),
        (GREETING + READY + b"\x01\x00\x00\x02NO", 6, "NO"),
        (GREETING.replace(b"NULL", b"CURV"), 3, "CURV"),
        (GREETING + b"\x04\x0d\x05ERROR\x07refused", 3, "refused"),
        (GREETING + READY + b"\x02" + b"\xff" * 8, 3, "too long"),
        (GREETING + READY + b"\xf0\x00", 3, "no principal"),
        (b"HTTP/1.1 400 Bad Request\r\n" + bytes(64), 3, "no principal"),
    ],
    ids=["ping", "parts", "no reply", "mechanism", "error", "too long", "flags", "http"],
)
def test_what_else_a_peer_may_say(ask: Ask, sent: bytes, code: int, told: str) -> None:
    heard = bytearray()

    def serve() -> None:
        peer, _ = server.accept()
        # It may hang up with something unread.
        with peer, suppress(ConnectionError):
            peer.sendall(sent)
            while data := peer.recv(2**16):
                heard.extend(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        done = ask(server.getsockname()[1], "PING")
        thread.join(PATIENCE_S)
    assert done.returncode == code, done.stderr
    assert told in done.stdout + done.stderr
    # The ping of the principal is answered with what it holds.
    assert (b"\x04\x09\x04PONGabcd" in heard) == (b"abcd" in sent)


def test_the_c_client_is_clean_in_memory(commands: Commands, port: int) -> None:
    if (valgrind := shutil.which("valgrind")) is None or "c" not in commands:
        pytest.skip("there is no valgrind, or no C compiler, on this host")
    check = [valgrind, "--quiet", "--leak-check=full", "--show-leak-kinds=all", "--error-exitcode=99", *commands["c"]]
    for words, code in ((["LSWORKFLOWS"], 0), (["LSRUNS", "{}"], 0), (["FOO"], 6)):
        done = subprocess.run([*check, "127.0.0.1", str(port), *words], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
