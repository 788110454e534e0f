"""What DuckDB really says of files in trouble, and what is made of it: nothing that is damaged is lost or overwritten,
nothing that is not damaged is moved."""

import os
import resource
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from cdktr.database import ATTEMPTS, MEMORY, BadValueError, Connection, Database, append
from cdktr.errors import StartError, StoreError

#: Rows of a database, some in its file and some in its write-ahead log.
MAKE = """
import os, sys, duckdb
c = duckdb.connect(sys.argv[1], config={"storage_compatibility_version": "v1.3.0"})
c.execute("CREATE TABLE t (n BIGINT, text TEXT)")
c.execute("INSERT INTO t SELECT i, 'row ' || hash(i) FROM range(50000) r(i)")
c.execute("CHECKPOINT")
c.execute("INSERT INTO t SELECT i, 'row ' || hash(i) FROM range(1000) r(i)")
c.execute("INSERT INTO t SELECT i, 'row ' || hash(i) FROM range(1000) r(i)")
os._exit(0)
"""


def prepare(connection: Connection) -> None:
    """As the store does: make the table, look at its rows."""
    connection.execute("CREATE TABLE IF NOT EXISTS t (n BIGINT, text TEXT)")
    connection.execute("SELECT max(n) FROM t").fetchall()


def count(database: Database) -> int:
    """The rows there are."""
    return int(database.query("SELECT count(*) FROM t")[1][0][0])


def insert(database: Database, *numbers: int) -> None:
    """Rows, in a transaction."""
    database.transact(
        lambda connection: append(connection, "t", ["n", "text"], [(number, "x") for number in numbers]),
        lambda: bool(database.query("SELECT 1 FROM t WHERE n = $n", {"n": numbers[0]})[1]),
    )


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A database and its write-ahead log."""
    path = tmp_path_factory.mktemp("sound") / "app.db"
    subprocess.run([sys.executable, "-c", MAKE, path], check=True)
    return path.read_bytes(), Path(f"{path}.wal").read_bytes()


@pytest.fixture
def path(tmp_path: Path, sound: tuple[bytes, bytes]) -> Path:
    """Where that database was before, as its lock says."""
    found = tmp_path / "app.db"
    found.write_bytes(sound[0])
    Path(f"{found}.wal").write_bytes(sound[1])
    Path(f"{found}.lock").touch()
    return found


def flipped(data: bytes, at: int) -> bytes:
    """With one byte changed."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def test_a_sound_file_is_opened_with_its_log(path: Path) -> None:
    database = Database(str(path), prepare)
    assert count(database) == 52_000
    database.close()
    assert database.set_aside == []
    assert sorted(os.listdir(path.parent)) == ["app.db", "app.db.lock"]


#: What is done to the file or its write-ahead log.
DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "checksum of the head": ("", lambda data: flipped(data, 0)),
    "magic word": ("", lambda data: flipped(data, 9)),
    "version in the head": ("", lambda data: flipped(data, 12)),
    "first header": ("", lambda data: flipped(data, 4100)),
    "both headers": ("", lambda data: flipped(flipped(data, 4100), 8200)),
    "rows": ("", lambda data: flipped(data, 12288 + 5000)),
    "catalog": ("", lambda data: flipped(data, -262144 + 3)),
    "nothing left": ("", lambda data: b""),
    "five bytes left": ("", lambda data: data[:5]),
    "a page left": ("", lambda data: data[:4096]),
    "headers left": ("", lambda data: data[:12288]),
    "half": ("", lambda data: data[: len(data) // 2]),
    "zeros": ("", lambda data: bytes(len(data))),
    "noise": ("", lambda data: os.urandom(len(data))),
    "a text": ("", lambda data: b"something else\n" * 1000),
    "log in the middle": (".wal", lambda data: flipped(data, len(data) - 1500)),
    "end of the log": (".wal", lambda data: flipped(data, -3)),
    "a page of the log that was never written": (".wal", lambda data: data[:-2000] + bytes(2000)),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_is_moved_aside_as_it_is(
    path: Path, sound: tuple[bytes, bytes], what: str, caplog: pytest.LogCaptureFixture
) -> None:
    which, harm = DAMAGE[what]
    target = Path(f"{path}{which}")
    target.write_bytes(harm(target.read_bytes()))
    before = path.read_bytes()
    database = Database(str(path), read_all)
    assert count(database) == 0
    insert(database, 1)
    database.close()
    [aside] = database.set_aside
    assert Path(aside).name.startswith("app.db.damaged-2")
    assert Path(aside).read_bytes() == before
    if which:
        assert Path(aside + ".wal").read_bytes() == harm(sound[1])
    assert f"The database {path} is damaged (" in caplog.text
    assert f"it was moved aside to {aside}" in caplog.text
    database = Database(str(path), prepare)
    assert count(database) == 1
    assert database.set_aside == [aside], "for as long as it lies there"
    database.close()


def read_all(connection: Connection) -> None:
    """As `prepare`, with each block."""
    prepare(connection)
    connection.execute("SELECT max(n), max(text) FROM t").fetchall()


def test_two_damaged_files_have_two_names(path: Path) -> None:
    names = set()
    for _ in range(3):
        path.write_bytes(b"")
        database = Database(str(path), prepare)
        database.close()
        names |= set(database.set_aside)
    assert len(names) == 3 == len(list(path.parent.glob("app.db.damaged-*Z*"))) - 1, "and one log"


@pytest.mark.parametrize("head", [b"noise" * 30, b"\xff" * 90], ids=["text", "bytes"])
def test_a_log_that_duckdb_would_write_over_is_moved_aside_alone(
    path: Path, sound: tuple[bytes, bytes], head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    Path(f"{path}.wal").write_bytes(head + sound[1][len(head) :])
    database = Database(str(path), prepare)
    assert count(database) == 50_000
    [aside] = database.set_aside
    assert Path(aside).read_bytes() == head + sound[1][len(head) :]
    assert "its head is damaged: it was moved aside" in caplog.text
    database.close()


def test_a_log_without_its_database_is_moved_aside(path: Path, sound: tuple[bytes, bytes]) -> None:
    path.unlink()
    database = Database(str(path), prepare)
    assert count(database) == 0
    [aside] = database.set_aside
    assert Path(aside).read_bytes() == sound[1]
    database.close()


def test_a_log_to_which_nothing_was_synced_is_none(path: Path) -> None:
    Path(f"{path}.wal").write_bytes(bytes(5000))
    database = Database(str(path), prepare)
    assert count(database) == 50_000
    assert database.set_aside == []
    database.close()


# What is not damaged stays where it is.


def refused(path: Path, said: str) -> None:
    """It is told, twice, and left alone."""
    before = path.read_bytes() if path.is_file() else None
    for _ in range(2):
        with pytest.raises(StartError, match=said):
            Database(str(path), prepare)
    assert not list(path.parent.glob("*damaged*"))
    if before is not None:
        assert path.read_bytes() == before


HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("damaged", [False, True])
def test_a_file_that_another_program_holds(path: Path, damaged: bool) -> None:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        if damaged:
            # Overwritten in place: the lock is of the file, whatever is in it.
            with open(path, "r+b") as file:
                file.write(b"x" * 20_000)
        refused(path, "Could not set lock .*; close the other program that has it open$")
        holder.kill()
        holder.wait()
    Database(str(path), prepare).close()


def test_a_file_of_a_newer_duckdb(path: Path) -> None:
    Path(f"{path}.wal").unlink()
    head = bytearray(path.read_bytes())
    struct.pack_into("<Q", head, 12, 999)
    path.write_bytes(head)
    with pytest.raises(duckdb.Error) as caught:
        duckdb.connect(str(path))
    # It is believed only with a checksum that fits, which DuckDB tells.
    struct.pack_into("<Q", head, 0, int(str(caught.value).split("computed checksum ")[1].split()[0]))
    path.write_bytes(head)
    refused(path, "cannot be opened: .*; another version of DuckDB wrote it: use the cdktr that did, or set CDKTR_DB_P")


def test_a_folder_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "app.db").mkdir()
    os.mkfifo(tmp_path / "pipe.db")
    for name in ("app.db", "pipe.db"):
        refused(tmp_path / name, f"{name} is not a file; set CDKTR_DB_PATH to one")


@pytest.mark.parametrize("content", [b"a text\n" * 1000, "äöü ".encode() * 2000])
def test_a_file_that_never_was_a_database_of_ours(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    refused(path, f"^The file {path} is no database; set CDKTR_DB_PATH to another, or move it away$")


def test_a_database_of_another_kind(path: Path) -> None:
    Path(f"{path}.wal").unlink()
    path.write_bytes(b"SQLite format 3\0\x10\0\1\1" * 300)
    refused(path, "it is a database of another kind: set CDKTR_DB_PATH to another file$")


AS_NOBODY = """
import os, sys
import duckdb
from cdktr.database import Database
os.setuid(65534)
try:
    Database(sys.argv[1], lambda connection: None)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_file_that_this_user_may_not_use(path: Path, mode: int) -> None:
    if os.getuid():
        pytest.skip("only root can become another user")
    for folder in path.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    path.parent.chmod(0o777)
    Path(f"{path}.lock").chmod(0o666)
    Path(f"{path}.wal").chmod(0o666)
    path.chmod(mode)
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, path], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"StartError: The database {path} cannot be opened: ")
    assert "give this user the right to read and write it" in done.stdout
    assert not list(path.parent.glob("*damaged*"))


# Lost and made again.


class Failing(Database):
    """Fails as it is told, before it does what is asked."""

    failures: tuple[duckdb.Error, ...] = ()

    def _once(self, work: Callable[[Connection], None]) -> None:
        if self.failures:
            failure, *rest = self.failures
            self.failures = tuple(rest)
            raise failure
        super()._once(work)


FATAL = duckdb.FatalException("FATAL Error: Failed: database has been invalidated because of a previous fatal error.")
CORRUPT = duckdb.Error("Corrupt database file: computed checksum 1 does not match stored checksum 2")
FULL = duckdb.TransactionException("Failed to commit: Could not write file: No space left on device")


def test_an_invalidated_connection_is_made_again(path: Path) -> None:
    database = Failing(str(path), prepare)
    database.failures = (FATAL, FATAL)
    insert(database, -1)
    assert count(database) == 52_001
    assert database.set_aside == []
    database.failures = (FATAL,) * ATTEMPTS
    with pytest.raises(StoreError, match="cannot be written: FATAL"):
        insert(database, -2)
    insert(database, -2)
    assert count(database) == 52_002
    database.close()


def test_a_file_that_can_be_opened_and_not_written_is_moved_aside(path: Path) -> None:
    database = Failing(str(path), prepare)
    database.failures = (CORRUPT, CORRUPT)
    insert(database, -1)
    assert count(database) == 1
    [aside] = database.set_aside
    database.close()
    with duckdb.connect(aside) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(52_000,)]


def test_what_is_no_fault_of_the_file_is_told(path: Path) -> None:
    database = Failing(str(path), prepare)
    lost = database._lost
    database.failures = (FULL,)
    with pytest.raises(StoreError, match="No space left on device; make room on its disk"):
        insert(database, -1)
    with pytest.raises(BadValueError, match="cannot be written"):
        database.transact(lambda connection: append(connection, "t", ["n"], [("Corrupt",)]), lambda: False)
    assert database._lost == lost
    insert(database, -1)
    assert count(database) == 52_001
    database.close()


def test_memory_that_is_full_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdktr.database.MEMORY_LIMIT_IN_MEMORY", "20MB")
    database = Database(MEMORY, prepare)
    rows = [(number, os.urandom(500).hex()) for number in range(5000)]

    def fill() -> None:
        for _ in range(100):
            database.transact(lambda connection: append(connection, "t", ["n", "text"], rows), lambda: False)

    with pytest.raises(StoreError, match=r"its history fills 20MB of the memory; set CDKTR_DB_PATH to a file$"):
        fill()
    assert count(database) % 5000 == 0
    database.close()


def test_readers_survive_a_change_of_connection(path: Path) -> None:
    database = Failing(str(path), prepare)
    counts: list[int] = []
    failures: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                rows = database.query("SELECT count(*) FROM t, range(20) WHERE text LIKE '%row%'")[1]
                counts.append(rows[0][0])
            except StoreError as error:
                failures.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(10):
        database.failures = (FATAL,)
        insert(database, -1 - number)
    while len(counts) < 5 and not failures:
        done.wait(0.01)
    done.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert set(counts) == {52_000 * 20}
    assert count(database) == 52_010
    database.close()


def test_a_reader_that_finds_the_connection_lost_makes_it_again(path: Path) -> None:
    database = Database(str(path), prepare)
    with database._writing:
        database._disconnect()
    assert count(database) == 52_000
    assert database._connection is not None
    # A syntax error is none of that.
    lost = database._lost
    with pytest.raises(StoreError, match="cannot be read"):
        database.query("SELEC")
    assert database._lost == lost
    database.close()


def test_a_reader_that_finds_the_connection_invalid_makes_it_again(path: Path) -> None:
    """As a checkpoint that finds no room leaves it, really."""
    database = Database(str(path), prepare)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        assert database._connection is not None
        with pytest.raises(duckdb.FatalException, match="checkpoint"):
            database._connection.execute("CHECKPOINT")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    invalid = database._connection
    assert count(database) == 52_000
    assert database._connection is not invalid
    assert database.set_aside == []
    database.close()


def test_a_damaged_part_leaves_the_rest_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "large.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT i AS n, 'row ' || hash(i) AS text FROM range(300000) r(i)")
    path.write_bytes(flipped(path.read_bytes(), 40_000))
    database = Database(str(path), lambda connection: None)
    lost = database._lost
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be read: Corrupt database file"):
            database.query("SELECT max(n), max(text) FROM t")
        assert database._lost == lost + 1, "looked at anew once"
    assert caplog.text.count("cannot be read, it is damaged") == 1
    insert(database, -1)
    assert count(database) == 300_001
    assert database.set_aside == []
    database.close()


def test_a_file_that_was_cut_is_found_by_a_reader(path: Path) -> None:
    database = Database(str(path), prepare)
    subprocess.run([sys.executable, "-c", f"import os; os.truncate({str(path)!r}, 300_000)"], check=True)
    assert database.query("SELECT max(text) FROM t")[1] == [(None,)], "of the fresh one"
    insert(database, -1)
    assert len(database.set_aside) == 1
    database.close()


def test_a_connection_that_cannot_be_made_now_is_made_later(path: Path) -> None:
    database = Failing(str(path), prepare)
    away = path.with_name("away")
    with database._writing:
        database._disconnect()
    path.rename(away)
    path.mkdir()
    for _ in range(2):
        with pytest.raises(StoreError, match="is not a file"):
            insert(database, -1)
        with pytest.raises(StoreError, match="is not a file"):
            count(database)
    path.rmdir()
    away.rename(path)
    insert(database, -1)
    assert count(database) == 52_001
    database.close()
