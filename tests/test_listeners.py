"""The parts of the listeners that come with cdktr: what a look finds, what is noted, what a server takes."""

import errno
import json
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdktr.arrivals import Place, Version
from cdktr.client import Principal
from cdktr.errors import NotFoundError, SettingError, StartError, StoreError, UnreachableError
from cdktr.listeners import folder, http, notes
from cdktr.listeners.base import Triggered
from cdktr.listeners.folder import FolderListener, Watch
from cdktr.listeners.http import Answer, Refused, Request, Server, client_of, read_head
from cdktr.listeners.notes import Noted, Notes
from cdktr.listeners.scan import Look, counts
from cdktr.listeners.webhook import Policy, Webhook, read_body, read_secret
from cdktr.signing import sign

# A look at a folder.


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("a.csv", [], True),
        (".a.csv", [], False),
        ("a.csv~", [], False),
        ("a.csv.part", [], False),
        ("a.tmp", [], False),
        (".a.swp", [], False),
        ("a.csv", ["*.csv"], True),
        ("a.CSV", ["*.csv"], False),
        ("a.txt", ["*.csv", "*.txt"], True),
        (".a.csv", ["*"], False),
        (".a.csv", ["*.csv"], False),
        (".a.csv", [".*"], True),
        ("a.part", ["*"], False),
        ("a.part", ["*.part"], True),
        ("a.part", ["a.part"], True),
        (".a.part", ["*.part"], False),
        (".a.part", [".*.part"], True),
        ("a[1].csv", ["a[[]1].csv"], True),
    ],
)
def test_which_names_count(name: str, patterns: list[str], expected: bool) -> None:
    assert counts(name, patterns) is expected


def test_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("a", "sub/b", "sub/deep/c", ".hidden/d", "e.part"):
        (tmp_path / name).write_text("12345")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "broken").symlink_to("missing")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    found = Look(str(tmp_path), [], recursive=True)
    assert sorted(found.listing.files) == ["a", "sub/b", "sub/deep/c"]
    about = (tmp_path / "a").stat()
    assert found.listing.files["a"] == Version("a", 5, about.st_mtime_ns)
    assert sorted(found.listing.folders) == ["", "sub", "sub/deep"]
    assert found.listing.folders[""] == Place(tmp_path.stat().st_dev, tmp_path.stat().st_ino)
    assert found.problems == {}
    assert sorted(Look(str(tmp_path), [], recursive=False).listing.files) == ["a"]
    # The folder itself may be named by a link.
    (tmp_path / "sub" / "here").symlink_to(tmp_path / "sub" / "deep", target_is_directory=True)
    assert sorted(Look(str(tmp_path / "sub" / "here"), [], recursive=True).listing.files) == ["c"]


@pytest.mark.parametrize("swapped", ["sub", "sub/deep"])
def test_a_folder_that_becomes_a_link_while_one_looks_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    (tmp_path / "in" / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "secret" / "deep").mkdir(parents=True)
    for name in ("in/a", "in/sub/deep/b", "secret/c", "secret/deep/d"):
        (tmp_path / name).write_text("")
    read = Look._read

    def swap(self: Look, path: str) -> None:
        if path == "sub/deep":
            (tmp_path / "in" / swapped).rename(tmp_path / "was")
            (tmp_path / "in" / swapped).symlink_to(tmp_path / "secret", target_is_directory=True)
        read(self, path)

    monkeypatch.setattr(Look, "_read", swap)
    before = len(os.listdir("/proc/self/fd"))
    found = Look(str(tmp_path / "in"), [], recursive=True)
    assert list(found.listing.files) == ["a"]
    assert found.problems == {"sub/deep": os.strerror(errno.ENOTDIR)}
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_cannot_be_read_is_told_and_the_rest_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("")
    opened = os.open

    def refuse(path: Any, *rest: Any, **more: Any) -> int:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, *rest, **more)

    # Not by the mode of the folder, as whoever runs this may be root.
    monkeypatch.setattr(os, "open", refuse)
    found = Look(str(tmp_path), [], recursive=True)
    assert sorted(found.listing.files) == ["open/a"]
    assert found.problems == {"closed": "Permission denied"}
    assert found.listing.unread == {"closed"}
    missing = Look(str(tmp_path / "missing"), [], recursive=True)
    assert not missing.listing.files
    assert missing.listing.unread == {""}


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff")).write_text("")
    (tmp_path / "b").write_text("")
    found = Look(str(tmp_path), [], recursive=False)
    assert list(found.listing.files) == ["b"]
    assert list(found.problems.values()) == ["its name is not UTF-8 and cannot be passed on; give it another"]


# The notes.

A, B = Version("a", 1, 2), Version("in/b\n", 4, 5)
HOME = Place(7, 8)


def begun(path: Path) -> Notes:
    made = Notes(path, {"folder": "/in"})
    made.rewrite([A], {"": HOME})
    return made


def test_what_is_noted_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "x.notes"
    assert Notes(path, {}).read() is None
    made = begun(path)
    made.file(B)
    made.file(A._replace(size=9))
    made.folder("in", HOME)
    made.flush()
    expected = Noted({"a": A._replace(size=9), "in/b\n": B}, {"": HOME, "in": HOME})
    assert made.read() == expected
    made.close()
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("ab") as torn:
        torn.write(b'["file","c",1')
    assert made.read() == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "{}\n", "[{}]\nx\n", '[{}]\n["file","a",1]\n', '[{}]\n["file","a",1,"2"]\n', '[{}]\n["x","a"]\n'],
)
def test_damaged_notes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.notes"
    path.write_text(text)
    with pytest.raises(StartError, match=r"x\.notes is damaged.* move it away, and start with --existing"):
        Notes(path, {}).read()


@given(cut=st.integers(1, 10_000), count=st.integers(0, 5))
def test_a_crash_at_any_byte_leaves_notes_that_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, cut: int, count: int
) -> None:
    path = tmp_path_factory.mktemp("notes") / "x.notes"
    made = begun(path)
    least = path.stat().st_size
    for number in range(count):
        made.file(A._replace(path=f"f{number}"))
        made.flush()
    made.close()
    os.truncate(path, max(least, path.stat().st_size - cut))
    found = made.read()
    assert found is not None
    assert [*found.counted][1:] == [f"f{number}" for number in range(len(found.counted) - 1)]


def test_a_full_disk_is_written_to_when_it_has_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = begun(tmp_path / "x.notes")
    made.file(B)
    written = os.pwrite

    def full(file: int, data: Any, offset: int) -> int:
        if offset > 50:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(file, data[: 51 - offset], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                made.flush()
            before = made.read()
            assert before is not None
            assert list(before.counted) == ["a"]
        with pytest.raises(OSError, match="No space left"):
            made.rewrite([A, B], {})
        assert not (tmp_path / "x.new").exists()
    made.file(A._replace(path="c"))
    made.flush()
    after = made.read()
    assert after is not None
    assert list(after.counted) == ["a", "in/b\n", "c"]
    made.close()


def test_notes_that_are_long_are_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "SPARE", 3)
    made = begun(tmp_path / "x.notes")
    for _ in range(2):
        made.file(A)
    assert not made.is_long(1)
    made.file(A)
    made.file(A)
    assert made.is_long(1)
    made.rewrite([A], {})
    assert not made.is_long(1)
    made.close()


# The folder listener: what it asks of a principal.


class Fake(FolderListener):
    """Asks nobody: what `answers` has for a file, or a run for its key, is what comes back."""

    answers: dict[str, Exception]
    asked: list[tuple[str, Any, str | None]]

    def run_workflow(
        self, workflow_id: str, params: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Triggered:
        path = (params or {})["file"]
        self.asked.append((path, workflow_id, key))
        if path in self.answers:
            raise self.answers[path]
        return Triggered(f"run-{path}", False)


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


NewListener = Callable[..., Fake]


@pytest.fixture
def new_listener(tmp_path: Path) -> Iterator[NewListener]:
    """A listener on `in` that has begun; all of them have the same clock."""
    (tmp_path / "in").mkdir()
    (tmp_path / "data" / "listeners").mkdir(parents=True)
    clock = Time()
    made: list[Fake] = []

    def make(**more: Any) -> Fake:
        watch = Watch(str(tmp_path / "in"), "etl", params={"file": "{name}"})
        made.append(Fake(watch, tmp_path / "data", Principal("127.0.0.1", 1), settle_s=0, now=clock, **more))
        made[-1].answers, made[-1].asked = {}, []
        made[-1].begin()
        return made[-1]

    make.clock = clock  # type: ignore[attr-defined]
    yield make
    for each in made:
        each._notes.close()
        each.principal.close()


def names(listener: Fake) -> list[str]:
    found = [name for name, _, _ in listener.asked]
    listener.asked.clear()
    return sorted(found)


def test_what_was_there_before_and_what_came_meanwhile(new_listener: NewListener, tmp_path: Path) -> None:
    (tmp_path / "in" / "old").write_text("")
    listener = new_listener()
    (tmp_path / "in" / "new").write_text("")
    listener.look()
    listener.look()
    assert names(listener) == ["new"]
    (tmp_path / "in" / "meanwhile").write_text("")
    listener = new_listener()
    listener.look()
    assert names(listener) == ["meanwhile"]


def test_with_existing_what_is_there_counts_and_keys_tell_versions_apart(
    new_listener: NewListener, tmp_path: Path
) -> None:
    (tmp_path / "in" / "old").write_text("")
    listener = new_listener(existing=True)
    listener.look()
    (tmp_path / "in" / "old").write_text("changed")
    (tmp_path / "in" / "other").write_text("changed")
    listener.look()
    keys = [key for _, _, key in listener.asked]
    assert names(listener) == ["old", "old", "other"]
    assert len(set(keys)) == 3
    assert all(key is not None and len(key) <= 200 for key in keys)


def test_a_refusal_holds_up_nothing_and_an_absence_everything(
    new_listener: NewListener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    listener, clock = new_listener(), new_listener.clock  # type: ignore[attr-defined]
    for name in "abc":
        (tmp_path / "in" / name).write_text(name)
        os.utime(tmp_path / "in" / name, (ord(name), ord(name)))
    listener.answers = {"a": NotFoundError("No workflow exists"), "b": StoreError("the disk is full")}
    listener.look()
    assert names(listener) == ["a", "b", "c"]
    assert "in/a: no run of etl: No workflow exists; tried again in 1.0s" in caplog.text
    listener.look()
    assert names(listener) == []
    listener.answers = {name: UnreachableError("Nobody is there") for name in "ab"}
    for _ in range(3):
        clock.now += 1
        listener.look()
        # The first shows it: the others are not asked for.
        assert names(listener) == ["a"]
    assert caplog.text.count("Nobody is there; what comes meanwhile is triggered when it is there") == 1
    listener.answers = {}
    listener.look()
    assert names(listener) == []
    clock.now += 1
    listener.look()
    assert names(listener) == ["a", "b"]
    assert caplog.text.count("The principal is there again") == 1


def test_an_answer_that_cannot_be_noted_is_told_once_and_triggers_nothing_twice(
    new_listener: NewListener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    listener = new_listener()

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        for name in "ab":
            (tmp_path / "in" / name).write_text(name)
            listener.look()
        keys = {name: key for name, _, key in listener.asked}
        assert names(listener) == ["a", "b"]
        assert caplog.text.count("cannot be written: No space left on device") == 1
    # Were it killed here, the next one would trigger again, but with the same keys.
    other = new_listener()
    other.look()
    assert {name: key for name, _, key in other.asked} == keys
    listener.look()
    assert "is written again" in caplog.text


def test_a_file_that_is_numbered_anew_is_the_same_version(new_listener: NewListener, tmp_path: Path) -> None:
    """As some file systems do it, while one looks and across restarts."""
    path = tmp_path / "in" / "a"
    listener = new_listener()
    path.write_text("1")
    listener.look()
    assert names(listener) == ["a"]
    about = path.stat()
    for _ in range(2):
        (tmp_path / "copy").write_text("1")
        os.utime(tmp_path / "copy", ns=(about.st_mtime_ns, about.st_mtime_ns))
        (tmp_path / "copy").rename(path)
        assert path.stat().st_ino != about.st_ino
        listener.look()
        listener.look()
        assert names(listener) == []
        listener = new_listener()
    # A file that went away and came back is asked for again, with the key of its run.
    path.rename(tmp_path / "away")
    listener.look()
    (tmp_path / "away").rename(path)
    listener.look()
    [(_, _, first)] = listener.asked
    listener = new_listener()
    path.touch()
    listener.look()
    [(_, _, second)] = listener.asked
    assert first != second


def test_a_folder_that_is_unmounted_and_mounted_again(
    new_listener: NewListener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in" / "a").write_text("")
    listener = new_listener()
    (tmp_path / "in").rename(tmp_path / "away")
    listener.look()
    (tmp_path / "in").mkdir()
    listener = new_listener()
    listener.look()
    assert caplog.text.count("is empty, and not the folder that it was") == 1
    (tmp_path / "in").rmdir()
    listener.look()
    assert caplog.text.count("in cannot be looked at: No such file or directory") == 2
    (tmp_path / "away").rename(tmp_path / "in")
    listener.look()
    listener.look()
    assert names(listener) == []
    (tmp_path / "in" / "b").write_text("")
    listener.look()
    assert names(listener) == ["b"]


def test_a_look_that_takes_long_is_taken_less_often(new_listener: NewListener, monkeypatch: pytest.MonkeyPatch) -> None:
    listener, clock = new_listener(interval_s=3), new_listener.clock  # type: ignore[attr-defined]
    listener.look()
    assert listener.pause_s == 3

    def slow(*_: Any) -> Look:
        clock.now += 5
        return look(*_)

    look = Look
    monkeypatch.setattr(folder, "Look", slow)
    listener.look()
    assert listener.pause_s == 20


@pytest.mark.parametrize("value", ["{nam}", "{", "}", "{}", "{path!r}", "{name:>9}", "{path.x}", "{0}"])
def test_a_placeholder_that_is_none(value: str) -> None:
    with pytest.raises(
        SettingError, match=r"must be one of \{path\}, \{name\}, \{folder\}; a brace itself is written tw"
    ):
        Watch("/in", "etl", params={"file": value})


def test_placeholders_are_filled_in() -> None:
    watch = Watch("/in", "etl", params={"a": "{path}", "b": "{folder}/x/{name}", "c": "{{name}}", "d": "1"})
    assert watch.params_of("sub/{f}.csv") == {"a": "/in/sub/{f}.csv", "b": "/in/sub/x/{f}.csv", "c": "{name}", "d": "1"}
    assert watch.fixed_params == {"a": None, "b": None, "c": None, "d": "1"}


# HTTP.


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_who_is_one_client(address: str, client: str) -> None:
    assert client_of(address) == client


@given(st.binary(max_size=300))
def test_any_head_is_a_request_or_refused(head: bytes) -> None:
    with suppress(Refused):
        assert read_head(head, "x").method.isupper()


@pytest.fixture
def impatient() -> Iterator[None]:
    """A test that takes for ever fails."""

    def fail(*_: Any) -> None:
        pytest.fail("it takes for ever")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


BLANKS = b" " * http.MAX_HEAD


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"A:" + BLANKS, ""),
        (b"A:" + BLANKS + b"\x01", None),
        (b"A:x" + BLANKS + b"y", "x" + BLANKS.decode() + "y"),
        (b"A:x" + BLANKS + b"\x01", None),
        (b"A: \t" * http.MAX_HEAD, "A: \t" * (http.MAX_HEAD - 2) + "A:"),
        (b"A" * http.MAX_HEAD, None),
        (b"A:\t x\t ", "x"),
        (b"A: ", ""),
    ],
    ids=range(8),
)
def test_a_header_is_read_in_one_way(line: bytes, value: str | None) -> None:
    head = b"GET / HTTP/1.1\r\n" + line
    if value is None:
        with pytest.raises(Refused):
            read_head(head, "x")
    else:
        assert read_head(head, "x").headers == {"a": value}


class Echo:
    """Answers with what it was asked."""

    def admit(self, request: Request) -> Answer | None:
        if request.path == "/fail":
            raise RuntimeError("on purpose")
        return None if request.method == "POST" else Answer(200, {})

    def answer(self, request: Request) -> Answer:
        return Answer(200, {"body": request.body.decode("latin-1")})


@contextmanager
def served() -> Iterator[int]:
    """The port of a server with `Echo`."""
    over = threading.Event()
    server = Server("127.0.0.1", 0, Echo(), 100)
    thread = threading.Thread(target=server.serve, args=(over.is_set,))
    thread.start()
    try:
        yield server.port
    finally:
        over.set()
        thread.join()


def exchange(port: int, *pieces: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.001)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_request_in_pieces_is_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    request = b"POST /x?secret=1\x1b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello".replace(b"\x1b", b"")
    with served() as port:
        whole, parts = exchange(port, request), exchange(port, *(bytes([byte]) for byte in request))
    assert whole.partition(b"\r\n\r\n")[2] == parts.partition(b"\r\n\r\n")[2] == b'{"body": "hello"}\n'
    assert caplog.text.count("127.0.0.1 POST /x: 200 (") == 2


def test_who_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_S", 0.2)
    with served() as port:
        for begun in (b"", b"POST", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhell"):
            assert exchange(port, begun).startswith(b"HTTP/1.1 408 ")


def test_who_is_still_sending_sees_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "DRAIN_S", 30.0)
    with served() as port:
        answer = exchange(port, b"POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n", *[b"x" * 50] * 100)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_who_goes_away_is_missed_by_nobody_and_an_error_by_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with served() as port:
        socket.create_connection(("127.0.0.1", port)).close()
        assert exchange(port, b"GET /fail HTTP/1.1\r\n\r\n") == b""
        assert exchange(port, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhell")
            half.shutdown(socket.SHUT_WR)
            assert half.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert caplog.text.count("A request of 127.0.0.1 failed") == 1


def test_without_room_for_a_connection_it_waits_for_some(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    server = Server("127.0.0.1", 0, Echo(), 100)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with closing(server.socket), socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        resource.setrlimit(resource.RLIMIT_NOFILE, (connection.fileno() + 1, hard))
        fillers = []
        try:
            with suppress(OSError):
                while True:
                    fillers.append(os.dup(0))
            for _ in range(3):
                server.handle_request()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for each in fillers:
                os.close(each)
        assert pauses == [http.LOOK_S] * 3
        assert caplog.text.count("No connection can be taken: Too many open files") == 1
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        server.handle_request()
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


# What the webhook answers.

SECRET = b"an example of a secret"
NOW = 1_800_000_000.0


class Doors:
    """A principal of one workflow, `etl`, which remembers keys."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.params: list[Mapping[str, Any]] = []
        self.error: Exception | None = None

    def trigger(self, workflow_id: str, params: Mapping[str, Any], key: str) -> Triggered:
        if self.error is not None:
            raise self.error
        if workflow_id != "etl":
            raise NotFoundError("No workflow exists")
        if key in self.runs:
            return Triggered(self.runs[key], True)
        self.params.append(params)
        self.runs[key] = f"run-{len(self.runs)}"
        return Triggered(self.runs[key], False)

    def is_there(self) -> bool:
        return self.error is None


def signed(path: str = "/trigger/etl", body: bytes = b"", at: float = NOW) -> Request:
    timestamp = str(int(at))
    value = sign(SECRET, timestamp, path.removeprefix("/trigger/"), body)
    return Request("c", "POST", path, {"x-cdktr-timestamp": timestamp, "x-cdktr-signature": value}, body)


def test_who_holds_no_secret_learns_nothing() -> None:
    hook = Webhook(Policy(SECRET, frozenset({"etl"})), Doors(), lambda: NOW)
    answers = [
        hook.answer(Request("c", "POST", f"/trigger/{name}", headers, body))
        for name in ("etl", "other", "missing")
        for headers in ({}, {"x-cdktr-signature": "x"}, {"x-hub-signature-256": "x"})
        for body in (b"", b"{", b'{"params": {"x": 1}}')
    ]
    assert {answer.status for answer in answers} == {401}
    assert len({json.dumps(dict(answer.value)) for answer in answers}) == 1


def test_what_makes_a_run_and_what_the_one_before() -> None:
    doors = Doors()
    hook = Webhook(Policy(SECRET, params={"by": "hook"}), doors, lambda: NOW)

    def answer(body: bytes, at: float = NOW) -> tuple[int, str]:
        found = hook.answer(signed(body=body, at=at))
        return found.status, found.value["workflow_instance_id"]

    assert answer(b"") == (202, "run-0")
    assert answer(b"") == (200, "run-0")
    assert answer(b"", NOW + 1) == (202, "run-1")
    assert answer(b'{"key": "k", "params": {"n": 1}}') == (202, "run-2")
    assert answer(b'{"key": "k"}', NOW + 2) == (200, "run-2")
    # What is fixed here goes over what is sent.
    assert answer(b'{"params": {"by": "x"}}') == (202, "run-3")
    assert doors.params == [{"by": "hook"}, {"by": "hook"}, {"n": 1, "by": "hook"}, {"by": "hook"}]
    # A key of the sender's never is that of a signature.
    assert not any(key.removeprefix("webhook:").startswith("k") != key.endswith(":k") for key in doors.runs)
    assert not any(signed().headers["x-cdktr-signature"][7:] in key for key in doors.runs)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (UnreachableError("10.0.0.7 is away"), 503, "The principal is away; try again"),
        (StoreError("the disk is full"), 503, "the disk is full"),
        (NotFoundError("No workflow exists"), 404, "No workflow exists"),
    ],
)
def test_what_the_principal_does(error: Exception, status: int, text: str) -> None:
    doors = Doors()
    doors.error = error
    hook = Webhook(Policy(SECRET), doors, lambda: NOW)
    answer = hook.answer(signed())
    assert (answer.status, answer.value["error"]) == (status, text)
    assert ("Retry-After" in answer.headers) == (status == 503)
    health = hook.admit(Request("c", "GET", "/health", {}))
    assert health is not None
    assert health.value == {"status": "the principal is away"}


def asked(hook: Webhook, request: Request) -> int:
    """The status of the answer to a request, as a server gets it."""
    return (hook.admit(request) or hook.answer(request)).status


FLOOD = [
    Request("c", "GET", "/health", {}),
    Request("c", "GET", "/", {}),
    Request("c", "PUT", "/trigger/etl", {}),
    Request("c", "POST", "/trigger/etl", {}),
    Request("c", "POST", "/trigger/etl", {"x-cdktr-signature": "x"}),
    Request("c", "POST", "/trigger/etl", signed(body=b"another").headers),
    signed(at=NOW - 3600),
]


@pytest.mark.parametrize("request_", FLOOD, ids=range(len(FLOOD)))
def test_what_is_not_rightly_signed_uses_up_nothing_of_what_is(request_: Request) -> None:
    hook = Webhook(Policy(SECRET, per_minute=3), Doors(), lambda: NOW, lambda: 0.0)
    for number in range(3 * 10 + 5):
        other = Request(f"c{number}", request_.method, request_.path, request_.headers)
        asked(hook, other)
    assert asked(hook, request_) == 429
    assert [asked(hook, signed(at=NOW + number)) for number in range(4)] == [202, 202, 202, 429]
    # Each workflow has its own, and a client that signs rightly is not thought less of.
    assert asked(hook, signed("/trigger/other")) == 404


def test_what_is_rightly_signed_uses_up_nothing_of_its_client() -> None:
    hook = Webhook(Policy(SECRET, per_minute=3), Doors(), lambda: NOW, lambda: 0.0)
    for number in range(9):
        asked(hook, signed(at=NOW + number))
    assert asked(hook, FLOOD[0]) == 200


def test_what_has_no_signature_is_refused_before_its_body_is_read() -> None:
    hook = Webhook(Policy(SECRET, per_minute=3), Doors(), lambda: NOW, lambda: 0.0)
    found = [hook.admit(FLOOD[3]) for _ in range(4)]
    assert [each and each.status for each in found] == [401, 401, 401, 429]


def test_a_workflow_is_named_as_paths_name_things() -> None:
    doors = Doors()
    hook = Webhook(Policy(SECRET), doors, lambda: NOW)
    request = signed("/trigger/etl")
    assert hook.answer(Request("c", "POST", "/trigger/%65tl?x=1", request.headers)).status == 202
    assert hook.answer(Request("c", "POST", "/trigger/etl/", request.headers)).status == 401


@given(st.binary(max_size=100))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    with suppress(ValueError):
        params, key = read_body(body)
        assert all(isinstance(value, str | int | float) for value in params.values())
        assert key is None or key.isprintable()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"9" * 4000, "The parameter 'x' is a whole number of more than 64 bits"),
        (b"-9223372036854775809", "The parameter 'x' is a whole number of more than 64 bits"),
        (b'"\\ud800"', "The parameter 'x' is a text that is not Unicode"),
        (b"[1]", "The parameter 'x' is a list; text, numbers, True and False can be given"),
        (b"1e999", "The body must be nothing, or a JSON object"),
        (b"-Infinity", "The body must be nothing, or a JSON object"),
        (b"9" * 5000, "The body must be nothing, or a JSON object"),
        (b'"\xff"', "The body must be nothing, or a JSON object"),
    ],
)
def test_a_value_that_no_trigger_can_carry(value: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_body(b'{"params": {"x": %s}}' % value)


def test_a_secret_that_is_no_text() -> None:
    secret = b"a secret of \xff\xfe bytes"
    assert read_secret(None, os.fsdecode(secret)) == secret
    assert read_secret(None, "ein Geheimnis für zwei") == "ein Geheimnis für zwei".encode()


@pytest.mark.parametrize(
    ("mode", "is_good"), [(0o600, True), (0o400, True), (0o640, True), (0o660, False), (0o604, False)]
)
def test_who_may_read_the_secret(tmp_path: Path, mode: int, is_good: bool) -> None:
    file = tmp_path / "secret"
    file.write_bytes(SECRET)
    file.chmod(mode)
    if is_good:
        assert read_secret(str(file), "") == SECRET
    else:
        with pytest.raises(SettingError, match="others than its owner and the readers of its group; `chmod o=,g-w "):
            read_secret(str(file), "")


def test_the_secret_is_not_shown() -> None:
    assert SECRET.decode() not in repr(Policy(SECRET))
