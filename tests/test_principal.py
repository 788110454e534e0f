"""How a principal starts, and that one which cannot says why and leaves nothing behind."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cdktr.errors import StartError
from cdktr.principal import Principal
from cdktr.settings import Settings, load


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    ports = ("CDKTR_PRINCIPAL_PORT", "CDKTR_LOGS_LISTENING_PORT", "CDKTR_LOGS_PUBLISHING_PORT")
    own = {"CDKTR_APP_DATA_DIRECTORY": str(tmp_path / "data"), "CDKTR_PRINCIPAL_HOST": "127.0.0.1"}
    (tmp_path / "workflows").mkdir()
    return own | dict.fromkeys(ports, "0") | {"CDKTR_WORKFLOW_DIR": str(tmp_path / "workflows")}


def read(settings: dict[str, str]) -> Settings:
    return load(environ=settings, dotenv=Path("/nonexistent")).settings


def start(settings: dict[str, str]) -> None:
    """Build a principal and close it again."""

    async def main() -> None:
        principal = Principal(read(settings), with_scheduler=False, agent_arguments=None)
        principal._close()

    asyncio.run(main())


def test_it_makes_its_folder_private_and_lets_everything_go(settings: dict[str, str], tmp_path: Path) -> None:
    os.umask(0o077)
    start(settings)
    before = len(os.listdir("/proc/self/fd"))
    start(settings)
    assert len(os.listdir("/proc/self/fd")) == before
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "app.db").stat().st_mode & 0o077 == 0


def test_a_port_in_use(settings: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings["CDKTR_LOGS_LISTENING_PORT"] = str(port)
        said = rf"Port {port} on 127.0.0.1 is in use.*CDKTR_LOGS_LISTENING_PORT"
        with pytest.raises(StartError, match=said):
            start(settings)
    # Nothing was left locked or bound by the attempt.
    start(settings)


def test_an_address_that_is_not_of_this_host(settings: dict[str, str]) -> None:
    settings["CDKTR_PRINCIPAL_HOST"] = "192.0.2.1"
    with pytest.raises(StartError, match=r"Cannot listen on 192.0.2.1:0.*CDKTR_PRINCIPAL_HOST"):
        start(settings)


def test_none_of_several_addresses_is_of_this_host(settings: dict[str, str]) -> None:
    settings["CDKTR_PRINCIPAL_HOST"] = "203.0.113.1,203.0.113.2:7"
    with pytest.raises(StartError, match=r"None of 203.0.113.1:0, 203.0.113.2:7 is an address of this host"):
        start(settings)
    settings["CDKTR_PRINCIPAL_HOST"] += ",127.0.0.1"
    start(settings)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CDKTR_DB_PATH", "holds the database"),
        ("CDKTR_APP_DATA_DIRECTORY", "holds the data folder"),
    ],
)
def test_what_another_principal_holds(settings: dict[str, str], tmp_path: Path, name: str, said: str) -> None:
    """Another process holds the database, or the folder."""
    lock = tmp_path / "data" / ("app.db.lock" if name == "CDKTR_DB_PATH" else "principal.lock")
    lock.parent.mkdir()
    program = (
        "import fcntl, os, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "f.write(str(os.getpid())); f.flush(); print('held', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program, str(lock)], **pipes) as holder:  # type: ignore[call-overload]
        holder.stdout.readline()
        with pytest.raises(StartError, match=rf"\(process {holder.pid}\) {said}.*{name}"):
            start(settings)
    start(settings)


def test_a_folder_that_is_a_file(settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(StartError, match=r"The data folder .* cannot be used: it is no folder; set CDKTR_APP_DATA_DIR"):
        start(settings)


def test_a_database_that_is_none(settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "app.db").write_bytes(b"this is not a database" * 1000)
    with pytest.raises(StartError, match=r"is no database; set CDKTR_DB_PATH to another, or move it away"):
        start(settings)
    assert (tmp_path / "data" / "app.db").read_bytes().startswith(b"this is not")


def test_broken_files_do_not_stop_it(
    settings: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "workflows" / "bad.yml").write_text("name: Bad\ntasks:\n  a:\n    nme: x\n")
    start(settings)
    assert "bad.yml:4:5" in caplog.text


def test_the_database_can_stay_in_memory(settings: dict[str, str], tmp_path: Path) -> None:
    settings["CDKTR_DB_PATH"] = ":memory:"
    start(settings)
    assert not (tmp_path / "data" / "app.db").exists()
