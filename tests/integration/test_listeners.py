"""The listeners that come with cdktr, with a principal and an agent: files in a folder, and requests over HTTP."""

import http.client
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cdktr import protocol as p
from cdktr.cli import main
from cdktr.signing import sign
from tests.integration.cluster import PATIENCE_S, ROOT, Cluster, Daemon
from tests.integration.conftest import NewCluster
from tests.integration.pages import blocks

pytestmark = pytest.mark.integration

TAKE = """
name: Take
params: {file: none, size: 0}
tasks:
  take: {name: Take, config: !Subprocess {cmd: echo, args: ["taken ${{ params.file }}"]}}
"""

SECRET = "an example of a secret"

#: Quick enough for a test, slow enough for a file that is written in pieces.
QUICK = ("--interval", "50ms", "--settle", "300ms")


@pytest.fixture(scope="module")
def ready(cluster: Cluster) -> Cluster:
    """The cluster with workflows; `other` is never triggered by a right request."""
    for name in ("take", "etl/take", "other", "all"):
        cluster.write(name, TAKE)
    return cluster


Refused = Callable[[list[str], dict[str, str], int, str], None]


@pytest.fixture
def refused(ready: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """`refused(arguments of listen, environment, code, sentence)`: it ends so, without a process of its own."""

    def check(arguments: list[str], environment: dict[str, str], code: int, sentence: str) -> None:
        for name, value in ready.environment(environment).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(ready.folder)
        # Should it start after all, it ends as by Ctrl-C.
        hanging = threading.Timer(PATIENCE_S, os.kill, (os.getpid(), signal.SIGINT))
        hanging.start()
        found = main(["listen", *arguments])
        hanging.cancel()
        assert found == code
        said = capsys.readouterr().err
        assert sentence in said
        assert "Traceback" not in said

    return check


def runs(cluster: Cluster, workflow_id: str) -> list[Any]:
    found: list[Any] = cluster.ask(p.ListRuns(workflow_id=workflow_id, limit=1000))
    return found


def taken(cluster: Cluster, workflow_id: str) -> list[str]:
    """What the runs of a workflow took, once all have ended."""
    lines = []
    for run in runs(cluster, workflow_id):
        run_id = run["workflow_instance_id"]
        assert cluster.ask(p.AwaitRun(run_id, 10_000))["status"] == "COMPLETED"
        page = cluster.ask(p.ListLogs(workflow_instance_id=run_id, limit=10))
        lines += [line["payload"].partition(" taken ")[2] for line in page["lines"]]
    return sorted(lines)


def watch(cluster: Cluster, folder: Path, workflow_id: str, *more: str) -> Daemon:
    """A folder listener, at work."""
    arguments = ("listen", "folder", str(folder), workflow_id, "--param", "file={name}", *QUICK, *more)
    daemon = cluster.spawn(*arguments)
    daemon.wait_for("Watching")
    daemon.wait_for("known from before|there already")
    return daemon


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# The folder.


def test_each_version_of_a_file_makes_one_run_across_restarts(ready: Cluster, tmp_path: Path) -> None:
    ready.write("files", TAKE)
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "old").write_text("was here before")
    listener = watch(ready, folder, "files", "--recursive")
    assert "What is there already does not count (1 file)" in listener.text
    (folder / "a").write_text("1")
    listener.wait_for("/a: ")
    # Written slowly: each piece comes before the last one has settled.
    with (folder / "sub" / "slow").open("w") as slow:
        for _ in range(12):
            slow.write("piece")
            slow.flush()
            time.sleep(0.05)
    listener.wait_for("/slow: ")
    (folder / "x.part").write_text("not yet")
    (folder / "x.part").rename(folder / "x")
    listener.wait_for("/x: ")
    listener.signal(signal.SIGKILL)
    listener.wait()
    (folder / "b").write_text("while nobody looked")
    (folder / "a").write_text("changed")
    listener = watch(ready, folder, "files", "--recursive")
    assert "4 files known" in listener.text
    listener.wait_for("/a: ")
    listener.wait_for("/b: ")
    assert listener.stop() == 0
    assert "Stopped" in listener.text
    listener = watch(ready, folder, "files", "--recursive")
    (folder / "last").write_text("")
    listener.wait_for("/last: ")
    listener.stop()
    assert taken(ready, "files") == ["a", "a", "b", "last", "slow", "x"]


def test_a_listener_that_is_killed_before_it_could_note_an_answer(ready: Cluster, tmp_path: Path) -> None:
    ready.write("unnoted", TAKE)
    folder = tmp_path / "in"
    folder.mkdir()
    watch(ready, folder, "unnoted").stop()
    # A disk on which a file can have a kilobyte at most.
    command = [sys.executable, str(ROOT / "cdktr.py"), "listen", "folder", str(folder), "unnoted"]
    command += ["--param", "file={name}", *QUICK]
    shell = ["bash", "-c", f"ulimit -f 1; exec {shlex.join(command)}"]
    listener = Daemon("listener on a small disk", shell, ready.folder, ready.environment())
    ready.daemons.append(listener)
    names = sorted(f"f{number:02}" for number in range(30))
    for name in names:
        (folder / name).write_text(name)
    for name in names:
        listener.wait_for(f"/{name}: ")
    assert len(re.findall("cannot be written: File too large", listener.text)) == 1
    listener.signal(signal.SIGKILL)
    listener.wait()
    listener = watch(ready, folder, "unnoted")
    known = int(listener.wait_for(r"(\d+) files? known")[1])
    assert 0 < known < len(names)
    (folder / "z").write_text("last")
    listener.wait_for("/z: ")
    assert listener.text.count("as it was triggered before") == len(names) - known
    listener.stop()
    assert taken(ready, "unnoted") == [*names, "z"]


def test_a_principal_that_is_away_is_waited_for(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster = new_cluster()
    cluster.write("take", TAKE)
    principal = cluster.start_principal()
    folder = tmp_path / "in"
    folder.mkdir()
    principal.stop()
    listener = watch(cluster, folder, "take")
    assert "It is waited for" in listener.text
    (folder / "a").write_text("1")
    listener.wait_for("what comes meanwhile is triggered")
    principal = cluster.start_principal()
    cluster.start_agent()
    listener.wait_for("is there again")
    listener.wait_for("/a: ")
    principal.signal(signal.SIGKILL)
    principal.wait()
    for name in ("b", "c"):
        (folder / name).write_text("1")
    until(lambda: listener.text.count("what comes meanwhile") == 2)
    cluster.start_principal()
    listener.wait_for("/b: ")
    listener.wait_for("/c: ")
    listener.stop()
    assert taken(cluster, "take") == ["a", "b", "c"]
    assert listener.text.count("what comes meanwhile") == listener.text.count("is there again") == 2


def test_a_refusal_is_told_and_tried_again(ready: Cluster, tmp_path: Path) -> None:
    path = ready.write("fickle", TAKE)
    folder = tmp_path / "in"
    folder.mkdir()
    listener = watch(ready, folder, "fickle")
    path.unlink()
    ready.ask(p.Reload())
    for name in ("a", "b"):
        (folder / name).write_text("1")
    listener.wait_for("/a.*no run of fickle: No workflow exists.*; tried again in 1.0s")
    listener.wait_for("tried again in 2.0s")
    ready.write("fickle", TAKE)
    listener.wait_for("/a: ")
    listener.wait_for("/b: ")
    listener.stop()
    assert taken(ready, "fickle") == ["a", "b"]


def test_one_listener_at_a_time(ready: Cluster, tmp_path: Path) -> None:
    # Whether a name is the whole number that `size` must be is not known yet.
    listener = watch(ready, tmp_path, "take", "--param", "size={name}")
    done = ready.cli("listen", "folder", str(tmp_path), "take", "--param", "file={name}", "--param", "size={name}")
    assert done.returncode == 5
    assert f"Another listener (process {listener.process.pid} on " in done.stderr
    listener.stop()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["{tmp}", "tak"], 4, "There is no workflow 'tak'; did you mean take"),
        (["{tmp}", "take", "--param", "fil=x"], 2, "Workflow take has no parameter fil; it has: file, size"),
        (["{tmp}", "take", "--param", "size=big"], 2, "Parameter size of workflow take must be a whole number"),
        (["{tmp}", "take", "--param", "file={nam}"], 2, "must be one of {path}, {name}, {folder}"),
        (["{tmp}", "take", "--param", "file={"], 2, "must be one of {path}, {name}, {folder}"),
        (["{tmp}", "take", "--pattern", "a/*"], 2, "it cannot hold a /"),
        (["{tmp}", "take", "--settle", "soon"], 2, "'soon' is no duration"),
        (["{tmp}/missing", "take"], 5, "/missing: No such file or directory; make the folder"),
        (["{tmp}/file", "take"], 5, "/file: Not a directory"),
    ],
)
def test_a_folder_listener_that_cannot_start(
    refused: Refused, tmp_path: Path, arguments: list[str], code: int, sentence: str
) -> None:
    (tmp_path / "file").write_text("")
    refused(["folder", *(word.replace("{tmp}", str(tmp_path)) for word in arguments)], {}, code, sentence)


def test_damaged_notes_are_not_guessed_at(ready: Cluster, tmp_path: Path) -> None:
    watch(ready, tmp_path, "all").stop()
    home = ready.folder / "data" / "listeners"
    [notes] = [each for each in home.glob("*.notes") if str(tmp_path) in each.read_text()]
    notes.write_text("")
    done = ready.cli("listen", "folder", str(tmp_path), "all", "--param", "file={name}")
    assert done.returncode == 5
    assert f"{notes} is damaged" in done.stderr


# The webhook.


class Hook:
    """A webhook that listens, and what it answers."""

    def __init__(self, cluster: Cluster, secret_file: Path, *arguments: str) -> None:
        secret_file.write_text(f"{SECRET}\n")
        secret_file.chmod(0o600)
        self.daemon = cluster.spawn("listen", "webhook", "--port", "0", "--secret-file", str(secret_file), *arguments)
        self.port = int(self.daemon.wait_for(r"Listening on \S+ port (\d+)")[1])

    def raw(self, data: bytes) -> bytes:
        """All that is answered to these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def ask(
        self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, value and headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null"), dict(answer.getheaders())
        finally:
            connection.close()

    def trigger(
        self, workflow_id: str, body: Any = None, at: float | None = None, **headers: str
    ) -> tuple[int, Any, Mapping[str, str]]:
        """The answer to a signed request."""
        data = b"" if body is None else json.dumps(body).encode()
        return self.ask(f"/trigger/{workflow_id}", data, {**signed(workflow_id, data, at), **headers})


def signed(workflow_id: str, body: bytes = b"", at: float | None = None) -> dict[str, str]:
    timestamp = str(int(time.time() if at is None else at))
    return {"X-Cdktr-Timestamp": timestamp, "X-Cdktr-Signature": sign(SECRET.encode(), timestamp, workflow_id, body)}


@pytest.fixture(scope="module")
def hook(ready: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hook]:
    """One for all workflows that counts no requests."""
    made = Hook(ready, tmp_path_factory.mktemp("hook") / "secret", "--rate", "10000", "--max-body", "2000")
    yield made
    assert made.daemon.stop() == 0
    assert SECRET not in made.daemon.text
    assert "Traceback" not in made.daemon.text


def test_a_right_request_makes_a_run_and_a_repeated_one_none(hook: Hook, ready: Cluster) -> None:
    body = {"params": {"file": "a", "size": 3}}
    at = time.time()
    status, value, _ = hook.trigger("etl.take", body, at)
    assert status == 202
    again = hook.trigger("etl.take", body, at)
    assert again[:2] == (200, value)
    assert hook.trigger("etl.take", body, at + 1)[0] == 202
    assert taken(ready, "etl.take") == ["a", "a"]
    hook.daemon.wait_for(rf"POST /trigger/etl.take: 202 {value['workflow_instance_id']} \(")
    # A key of the sender's own goes over signatures.
    status, value, _ = hook.trigger("etl.take", {"key": "order 7"}, at)
    assert status == 202
    assert hook.trigger("etl.take", {"key": "order 7"}, at + 1)[:2] == (200, value)
    assert hook.trigger("etl.take", {"key": "order 8"}, at)[0] == 202


@pytest.mark.parametrize(
    ("status", "workflow_id", "body", "extra", "sentence"),
    [
        (401, "other", b"", {"X-Cdktr-Signature": "sha256=" + "0" * 64}, "missing or wrong"),
        (401, "other", b"", {"X-Cdktr-Signature": ""}, "missing or wrong"),
        (401, "missing", b"", {"X-Cdktr-Signature": "x"}, "missing or wrong"),
        (401, "other", b"", {"X-Cdktr-Timestamp": "0"}, "missing or wrong"),
        (401, "other", b"", signed("take"), "missing or wrong"),
        (401, "other", b"", signed("other", b"{}"), "missing or wrong"),
        (401, "other", b"", signed("other", b"", 1_000_000), "more than 5 minutes"),
        (400, "other", b"params", {}, "The body must be nothing, or a JSON object"),
        (400, "other", b"[" * 1500, {}, "The body must be nothing, or a JSON object"),
        (400, "other", b'{"parms": {}}', {}, "The body must be nothing, or a JSON object"),
        (400, "other", b'{"params": {"file": NaN}}', {}, "The body must be nothing, or a JSON object"),
        (400, "other", b'{"params": {"file": 1e999}}', {}, "The body must be nothing, or a JSON object"),
        (400, "other", b'{"params": {"file": null}}', {}, "The parameter 'file' is a NoneType; text, numbers"),
        (400, "other", b'{"params": []}', {}, '"params" must be an object'),
        (400, "other", b'{"key": ""}', {}, '"key" must be'),
        (400, "other", b"", {"Idempotency-Key": "7"}, 'give it in the body, as "key"'),
        (404, "missing", b"", {}, "missing"),
        (422, "other", b'{"params": {"fil": "x"}}', {}, "has no parameter fil; it has: file, size"),
        (422, "other", b'{"params": {"size": "x"}}', {}, "must be a whole number"),
    ],
)
def test_a_wrong_request(
    hook: Hook, ready: Cluster, status: int, workflow_id: str, body: bytes, extra: dict[str, str], sentence: str
) -> None:
    answer = hook.ask(f"/trigger/{workflow_id}", body, {**signed(workflow_id, body), **extra})
    assert (answer[0], sentence in answer[1]["error"]) == (status, True), answer
    assert runs(ready, "other") == []


HEAD = b"POST /trigger/other HTTP/1.1\r\nHost: x\r\n"
SIGNED = HEAD + b"X-Cdktr-Signature: sha256=" + b"0" * 64 + b"\r\n"


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"hello\r\n\r\n"),
        (400, b"GET /health\r\n\r\n"),
        (400, b"GET /health HTTP/2.0\r\n\r\n"),
        (400, b"GET /health HTTP/1.1\n\n"),
        (400, b"GET  /health HTTP/1.1\r\n\r\n"),
        (400, b"GET /health HTTP/1.1\r\nA : b\r\n\r\n"),
        (400, b"GET /health HTTP/1.1\r\nA: b\r\n c\r\n\r\n"),
        (400, b"GET /health HTTP/1.1\r\nA: \0\r\n\r\n"),
        (400, SIGNED + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
        (400, SIGNED + b"Content-Length: +1\r\n\r\nx"),
        (400, SIGNED + b"Content-Length: -1\r\n\r\nx"),
        (401, HEAD + b"\r\n"),
        (411, SIGNED + b"\r\n"),
        (411, SIGNED + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        (413, SIGNED + b"Content-Length: 2001\r\n\r\n"),
        (413, SIGNED + b"Content-Length: 999999999999\r\n\r\n" + b"x" * 500_000),
        (431, HEAD + b"A: b\r\n" * 70 + b"\r\n"),
        (431, HEAD + b"A: " + b"b" * 20_000 + b"\r\n\r\n"),
        (431, b"x" * 20_000),
        (404, b"GET / HTTP/1.1\r\n\r\n"),
        (404, b"POST /trigger/ HTTP/1.1\r\n\r\n"),
        (404, b"POST http://x/trigger/other HTTP/1.1\r\n\r\n"),
        (405, b"GET /trigger/other HTTP/1.1\r\n\r\n"),
        (405, b"POST /health HTTP/1.1\r\n\r\n"),
        (200, b"GET /health HTTP/1.0\r\n\r\n"),
        (200, b"GET /health HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\n\r\n"),
    ],
)
def test_what_is_no_request_ends_its_connection(hook: Hook, status: int, data: bytes) -> None:
    answer = hook.raw(data)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer


def begun(hook: Hook, body: bytes) -> socket.socket:
    """A connection with a right request to `take` that waits for this body."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed("take", body).items()).encode()
    head = b"POST /trigger/take HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n%s\r\n" % (len(body), lines)
    connection = socket.create_connection(("127.0.0.1", hook.port), PATIENCE_S)
    connection.sendall(head)
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return connection


def test_a_body_that_is_waited_for(hook: Hook) -> None:
    body = b'{"params": {"file": "asked"}}'
    with begun(hook, body) as connection:
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")


def test_noise_is_answered_with_an_error_or_not_at_all(hook: Hook, ready: Cluster) -> None:
    """Requests in which something was changed by chance; always the same ones."""
    chance = random.Random(7)
    body = b'{"params": {"file": "noise"}}'
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed("other", body).items()).encode()
    right = HEAD + b"Content-Length: %d\r\n%s\r\n" % (len(body), lines) + body
    # Neither the host nor the method's case says whom it is for.
    parts = [
        b"\r",
        b"\n",
        b"\r\n\r\n",
        b"\0",
        b":",
        b" ",
        b"\xff",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: x\r\n",
    ]
    start = right.index(b"X-Cdktr-Signature")
    for _ in range(150):
        data = bytearray(right)
        at = chance.randrange(start, len(data))
        if chance.random() < 0.5:
            data[at : at + chance.randrange(1, 4)] = chance.choice(parts)
        else:
            data[at] ^= 1 << chance.randrange(8)
        with socket.create_connection(("127.0.0.1", hook.port), PATIENCE_S) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        status = int(answer[9:12])
        assert status in (400, 401, 411, 413) or (status in (200, 202) and is_same(bytes(data), right)), (data, answer)
    # The case of a hex digit and the name of a header mean nothing, but nothing else made a run.
    assert len(runs(ready, "other")) <= 1
    for run in runs(ready, "other"):
        ready.ask(p.AwaitRun(run["workflow_instance_id"], 10_000))


def is_same(one: bytes, other: bytes) -> bool:
    """Whether two requests differ in nothing that means something."""
    return one.lower() == other.lower() or one.replace(b" ", b"").lower() == other.replace(b" ", b"").lower()


def test_thirty_at_once_each_make_a_run(hook: Hook, ready: Cluster) -> None:
    ready.write("many", TAKE)
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda number: hook.trigger("many", {"params": {"size": number}}), range(30)))
    assert [status for status, _, _ in answers] == [202] * 30
    assert len({value["workflow_instance_id"] for _, value, _ in answers}) == 30
    # And of thirty that are the same, one.
    at = time.time()
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: hook.trigger("many", {"params": {"size": 99}}, at), range(30)))
    assert sorted(status for status, _, _ in answers) == [200] * 29 + [202]
    assert len(runs(ready, "many")) == 31


def test_slow_clients_hold_up_nobody_and_those_beyond_are_turned_away(hook: Hook) -> None:
    held = [socket.create_connection(("127.0.0.1", hook.port), PATIENCE_S) for _ in range(32)]
    try:
        for connection in held:
            connection.sendall(b"POST /trigger/take HTTP/1.1\r\nContent-Le")
        with socket.create_connection(("127.0.0.1", hook.port), PATIENCE_S) as beyond:
            answer = b"".join(iter(lambda: beyond.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in answer
        # Others have room: this is another address of the same host.
        other = http.client.HTTPConnection("127.0.0.1", hook.port, PATIENCE_S, source_address=("127.0.0.2", 0))
        other.request("GET", "/health")
        assert other.getresponse().status == 200
        other.close()
        # And so has this one again, as soon as one of its own is gone, however slow those are that are left.
        held.pop().close()
        until(lambda: is_served(hook))
    finally:
        for connection in held:
            connection.close()


def is_served(hook: Hook) -> bool:
    """Whether there is room for a connection; who is turned away may see it break before the answer."""
    try:
        return hook.ask("/health", method="GET")[0] == 200
    except ConnectionError:
        return False


def test_who_asks_too_often_is_told_when_to_come_back(ready: Cluster, tmp_path: Path) -> None:
    hook = Hook(ready, tmp_path / "secret", "--rate", "3")
    at = time.time()
    assert [hook.ask("/trigger/take")[0] for _ in range(4)] == [401] * 3 + [429]
    # What is signed has not been used up by that.
    answers = [hook.trigger("take", at=at + number) for number in range(4)]
    assert [status for status, _, _ in answers] == [202] * 3 + [429]
    assert 1 <= int(answers[-1][2]["Retry-After"]) <= 20
    hook.daemon.stop()


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl, which signs as a forge does, is not here")
def test_only_some_workflows_and_the_signature_of_a_forge(ready: Cluster, tmp_path: Path) -> None:
    ready.write("pushed", TAKE)
    hook = Hook(ready, tmp_path / "secret", "--workflow", "pushed", "--github", "--param", "file=fixed")
    body = b'{"ref": "refs/heads/main"}'
    value = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET, "-r"], input=body, capture_output=True, check=True
    ).stdout.split()[0]
    headers = {"X-Hub-Signature-256": f"sha256={value.decode()}", "X-GitHub-Delivery": "1", "X-GitHub-Event": "push"}
    assert hook.ask("/trigger/pushed", body, headers | {"X-GitHub-Event": "ping"})[0] == 200
    assert runs(ready, "pushed") == []
    assert hook.ask("/trigger/pushed", body, headers)[0] == 202
    # The name of the delivery is not signed: another makes it no other event.
    assert hook.ask("/trigger/pushed", body, headers | {"X-GitHub-Delivery": "2"})[0] == 200
    assert hook.ask("/trigger/pushed", body + b" ", headers)[0] == 401
    assert [hook.ask(f"/trigger/{name}", body, headers)[0] for name in ("take", "missing")] == [403, 403]
    # One of ours is none here, nor what it covers.
    assert hook.trigger("pushed")[0] == 401
    ours = signed("pushed", b"{}")
    covered = f"{ours['X-Cdktr-Timestamp']}.pushed.{{}}".encode()
    assert hook.ask("/trigger/pushed", covered, {"X-Hub-Signature-256": ours["X-Cdktr-Signature"]})[0] == 401
    assert taken(ready, "pushed") == ["fixed"]
    hook.daemon.stop()


def test_a_request_under_way_is_answered_at_a_stop(ready: Cluster, tmp_path: Path) -> None:
    hook = Hook(ready, tmp_path / "secret")
    assert hook.ask("/health", method="GET")[:2] == (200, {"status": "ok"})
    with begun(hook, b"{}") as connection:
        hook.daemon.signal(signal.SIGTERM)
        until(lambda: not listens(hook.port))
        connection.sendall(b"{}")
        assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")
    assert hook.daemon.wait() == 0
    assert "Stopped" in hook.daemon.text


def test_a_principal_that_is_away_is_told(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster = new_cluster()
    cluster.start_principal().stop()
    hook = Hook(cluster, tmp_path / "secret")
    assert "It is waited for" in hook.daemon.text
    status, value, headers = hook.trigger("take")
    assert (status, value, headers["Retry-After"]) == (503, {"error": "The principal is away; try again"}, "5")
    assert hook.ask("/health", method="GET")[:2] == (503, {"status": "the principal is away"})


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "sentence"),
    [
        ([], {}, 2, "A webhook needs a secret: give --secret-file FILE, or set CDKTR_WEBHOOK_SECRET"),
        (
            [],
            {"CDKTR_WEBHOOK_SECRET": "short"},
            2,
            "CDKTR_WEBHOOK_SECRET is **** in the environment; expected a text of",
        ),
        (["--secret-file", "{tmp}/open"], {}, 2, "/open can be used by others than its owner and the readers"),
        (["--secret-file", "{tmp}/group"], {}, 2, "of its group; `chmod o=,g-w "),
        (["--secret-file", "{tmp}/short"], {}, 2, "/short holds 5 bytes; a secret has at least 16"),
        (["--secret-file", "{tmp}/missing"], {}, 2, "/missing cannot be read: No such file"),
        (["--secret-file", "{tmp}"], {}, 2, " cannot be read: Is a directory"),
        (["--secret-file", "{tmp}/good", "--github"], {}, 2, "--github needs exactly one --workflow"),
        (["--secret-file", "{tmp}/good", "--workflow", "tak"], {}, 4, "There is no workflow 'tak'; did you mean take"),
        (
            ["--secret-file", "{tmp}/good", "--port", "{taken}"],
            {},
            5,
            "cannot be had: Address already in use; give --port",
        ),
        (
            ["--secret-file", "{tmp}/good", "--bind", "192.0.2.1"],
            {},
            5,
            "cannot be had: Cannot assign requested address",
        ),
        (["--secret-file", "{tmp}/good", "--bind", "no such host"], {}, 5, "cannot be had: "),
        (["--secret-file", "{tmp}/good", "--bind", "\u00e9" * 70], {}, 2, " is no address"),
        (["--secret-file", "{tmp}/good", "--bind", ""], {}, 2, "an address is missing; 0.0.0.0 is every one"),
        (["--secret-file", "{tmp}/good", "--bind", " "], {}, 2, "an address is missing; 0.0.0.0 is every one"),
        (["--secret-file", "{tmp}/good", "--rate", "0"], {}, 2, "'0' is not a whole number from 1"),
    ],
)
def test_a_webhook_that_cannot_start(
    refused: Refused, tmp_path: Path, arguments: list[str], environment: dict[str, str], code: int, sentence: str
) -> None:
    for name, mode, text in (
        ("open", 0o644, SECRET),
        ("group", 0o660, SECRET),
        ("short", 0o600, "short"),
        ("good", 0o600, SECRET),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        words = {"{tmp}": str(tmp_path), "{taken}": str(busy.getsockname()[1])}
        for mark, word in words.items():
            arguments = [argument.replace(mark, word) for argument in arguments]
        refused(["webhook", *arguments], environment, code, sentence)


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")),
    reason="curl and openssl, which the page calls, are not here",
)
def test_the_lines_of_the_page_that_sign_and_send(ready: Cluster, tmp_path: Path) -> None:
    [lines] = [block.text for block in blocks(ROOT / "docs" / "listeners.md", "text") if "openssl" in block.text]
    ready.write("arrived", TAKE)
    (tmp_path / "webhook.secret").write_text(f"{SECRET}\n")
    daemon = ready.spawn("listen", "webhook", "--port", "0", env={"CDKTR_WEBHOOK_SECRET": SECRET})
    here = "127.0.0.1:" + daemon.wait_for(r"port (\d+)")[1]
    assert "127.0.0.1:8080" in lines
    script = ["sh", "-ec", lines.replace("127.0.0.1:8080", here)]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)
    run_id = json.loads(done.stdout)["workflow_instance_id"]
    ready.ask(p.AwaitRun(run_id, 10_000))
    assert "taken order 7" in ready.cli("logs", "query", "--run", run_id).stdout
    daemon.stop()
