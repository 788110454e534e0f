"""Where a setting's value comes from, and what is said about one that cannot be used."""

from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from cdktr import settings
from cdktr.errors import SettingError
from cdktr.settings import TASK_VARIABLES, TEXT, Entry, Loaded, Settings, addresses, load, read_dotenv

HOME = "/home/ada"

HOSTS = "a host, or several with commas between them, each as `host`, `host:port` or `[ipv6]:port`"

LABELS = (
    "at most 32 labels with commas between them; a label has up to 63 letters, digits, '.', '_', '=', ':', '/' and "
    "'-', and begins with a letter or a digit"
)

#: The settings that the original documents, and their defaults.
DOCUMENTED = {
    "CDKTR_LOG_LEVEL": "INFO",
    "CDKTR_AGENT_MAX_CONCURRENCY": 5,
    "CDKTR_RETRY_ATTEMPTS": 20,
    "CDKTR_DEFAULT_ZMQ_TIMEOUT_MS": 3000,
    "CDKTR_PRINCIPAL_HOST": "0.0.0.0",
    "CDKTR_PRINCIPAL_PORT": 5561,
    "CDKTR_LOGS_LISTENING_PORT": 5562,
    "CDKTR_LOGS_PUBLISHING_PORT": 5563,
    "CDKTR_WORKFLOW_DIR": "workflows",
    "CDKTR_WORKFLOW_DIR_REFRESH_FREQUENCY_S": 60,
    "CDKTR_SCHEDULER_START_POLL_FREQUENCY_MS": 500,
    "CDKTR_Q_PERSISTENCE_INTERVAL_MS": 1000,
    "CDKTR_APP_DATA_DIRECTORY": f"{HOME}/.cdktr",
    "CDKTR_DB_PATH": f"{HOME}/.cdktr/app.db",
    "CDKTR_TUI_STATUS_REFRESH_INTERVAL_MS": 1000,
    "CDKTR_AGENT_HEARTBEAT_TIMEOUT_MS": 30000,
}


@pytest.fixture(autouse=True)
def a_home_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", HOME)


def loaded(
    *, flags: dict[str, object] | None = None, environ: dict[str, str] | None = None, dotenv: Path | None = None
) -> Loaded:
    """The settings of these, and of nothing else."""
    return load(flags, environ or {}, dotenv or Path("/nonexistent/.env"))


def entry(held: Loaded, name: str) -> Entry:
    """What `config list` shows of one."""
    return next(e for e in held.entries if e.name == name)


def env_file(folder: Path, text: str) -> Path:
    """A `.env` with this text."""
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    return path


def value(name: str, held: Loaded) -> object:
    """The typed value of a variable."""
    return getattr(held.settings, name.removeprefix("CDKTR_").lower())


# Defaults.


@pytest.mark.parametrize(("name", "default"), DOCUMENTED.items())
def test_the_documented_defaults(name: str, default: object) -> None:
    held = loaded()
    assert value(name, held) == default
    assert type(value(name, held)) is type(default)
    assert entry(held, name).source == "default"


def test_every_setting_is_listed_with_its_meaning() -> None:
    held = loaded()
    assert [e.name for e in held.entries] == ["CDKTR_" + f.name.upper() for f in fields(Settings)]
    assert DOCUMENTED.keys() <= {e.name for e in held.entries}
    assert all(e.help and not e.help.endswith(".") for e in held.entries)
    units = {"_MS": "milliseconds", "_S": "seconds", "_BYTES": "bytes"}
    for e in held.entries:
        for suffix, unit in units.items():
            assert not e.name.endswith(suffix) or f"({unit})" in e.help
    assert held.warnings == ()


# Precedence.


@pytest.mark.parametrize(
    ("given", "port", "source"),
    [
        ("", 5561, "default"),
        (".env", 1, ".env"),
        (".env environment", 2, "environment"),
        (".env environment flag", 3, "flag"),
        ("environment flag", 3, "flag"),
        (".env flag", 3, "flag"),
        ("environment", 2, "environment"),
    ],
)
def test_precedence(tmp_path: Path, given: str, port: int, source: str) -> None:
    held = loaded(
        dotenv=env_file(tmp_path, "CDKTR_PRINCIPAL_PORT=1\n" if ".env" in given else ""),
        environ={"CDKTR_PRINCIPAL_PORT": "2"} if "environment" in given else {},
        flags={"principal_port": 3 if "flag" in given else None},
    )
    assert held.settings.principal_port == port
    assert entry(held, "CDKTR_PRINCIPAL_PORT") == Entry(
        "CDKTR_PRINCIPAL_PORT", str(port), source, "5561", "Port of the principal's API (0: any free port)"
    )


def test_without_arguments_the_process_and_its_folder_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file(tmp_path, "CDKTR_RETRY_ATTEMPTS=7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDKTR_PRINCIPAL_PORT", "99")
    held = load()
    assert (held.settings.retry_attempts, held.settings.principal_port) == (7, 99)


# Wrong values.

WHOLE = [n for n, default in DOCUMENTED.items() if isinstance(default, int)]


@pytest.mark.parametrize("name", [*WHOLE, "CDKTR_TASK_KILL_GRACE_MS", "CDKTR_LOG_LINE_LIMIT_BYTES"])
@pytest.mark.parametrize("text", ["", "many", "1.5", "-1", "99999999999x"])
def test_what_is_no_number(name: str, text: str) -> None:
    with pytest.raises(SettingError, match="expected a") as caught:
        loaded(environ={name: text})
    message = str(caught.value)
    assert message.startswith(f"{name} is {text!r} in the environment; expected a ")
    assert "number" in message


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("CDKTR_PRINCIPAL_PORT", "65536", "a port number from 0 to 65535"),
        ("CDKTR_AGENT_MAX_CONCURRENCY", "0", "a whole number from 1 to 10000"),
        ("CDKTR_AGENT_HEARTBEAT_TIMEOUT_MS", "99", "a whole number of at least 100"),
        ("CDKTR_LOG_LINE_LIMIT_BYTES", "1048577", "a whole number from 64 to 1048576"),
        ("CDKTR_LOG_LEVEL", "LOUD", "one of DEBUG, INFO, WARN, ERROR"),
        ("CDKTR_LOG_LEVEL", "", "one of DEBUG, INFO, WARN, ERROR"),
        ("CDKTR_PRINCIPAL_HOST", " ", HOSTS),
        ("CDKTR_PRINCIPAL_HOST", "a,", HOSTS),
        ("CDKTR_PRINCIPAL_HOST", "a b", HOSTS),
        ("CDKTR_PRINCIPAL_HOST", "tcp://a:5561", HOSTS),
        ("CDKTR_PRINCIPAL_HOST", "a:65536", HOSTS),
        ("CDKTR_PRINCIPAL_HOST", "a:", HOSTS),
        ("CDKTR_PRINCIPAL_HOST", "a,[::1:5561", HOSTS),
        ("CDKTR_WORKFLOW_DIR", "", "a path"),
        ("CDKTR_DB_PATH", "a\0b", "a path"),
        ("CDKTR_EMBEDDED_PYTHON", "maybe", "1 or 0"),
        ("CDKTR_AGENT_LABELS", "gpu,", LABELS),
        ("CDKTR_AGENT_LABELS", "zone eu", LABELS),
        ("CDKTR_AGENT_LABELS", "-gpu", LABELS),
        ("CDKTR_AGENT_LABELS", "x" * 64, LABELS),
        ("CDKTR_AGENT_LABELS", ",".join(f"l{n}" for n in range(33)), LABELS),
    ],
)
def test_what_is_expected(name: str, text: str, expected: str) -> None:
    with pytest.raises(SettingError) as caught:
        loaded(environ={name: text})
    assert str(caught.value) == f"{name} is {text!r} in the environment; expected {expected}"


@pytest.mark.parametrize(("where", "words"), [("flag", "on the command line"), (".env", "in .env")])
def test_where_a_wrong_value_came_from(tmp_path: Path, where: str, words: str) -> None:
    with pytest.raises(SettingError, match=f"^CDKTR_RETRY_ATTEMPTS is 'x' {words}; expected a whole number"):
        loaded(
            flags={"retry_attempts": "x"} if where == "flag" else None,
            dotenv=env_file(tmp_path, "CDKTR_RETRY_ATTEMPTS=x" if where == ".env" else ""),
        )


@pytest.mark.parametrize(
    ("text", "level"), [("debug", "DEBUG"), (" Warn ", "WARNING"), ("WARNING", "WARNING"), ("error", "ERROR")]
)
def test_levels(text: str, level: str) -> None:
    assert loaded(environ={"CDKTR_LOG_LEVEL": text}).settings.log_level == level


@pytest.mark.parametrize(("text", "allowed"), [("1", True), (" 0 ", False)])
def test_flags(text: str, allowed: bool) -> None:
    held = loaded(environ={"CDKTR_EMBEDDED_PYTHON": text})
    assert held.settings.embedded_python is allowed
    assert entry(held, "CDKTR_EMBEDDED_PYTHON").value == text.strip()


def test_every_value_is_shown_as_it_can_be_written() -> None:
    for each in loaded().entries:
        # Of the secret and the labels there are none, and a text is needed.
        if each.value:
            [shown] = [e.value for e in loaded(environ={each.name: each.value}).entries if e.name == each.name]
            assert shown == each.value


@pytest.mark.parametrize(
    ("text", "labels"),
    [("", ""), (" ", ""), ("gpu", "gpu"), (" zone=eu , gpu,gpu", "gpu,zone=eu"), ("x" * 63, "x" * 63)],
)
def test_labels(text: str, labels: str) -> None:
    held = loaded(environ={"CDKTR_AGENT_LABELS": text}).settings
    assert held.agent_labels == labels
    assert held.labels == set(labels.split(",") if labels else ())


# Paths and addresses.


@pytest.mark.parametrize("text", ["$HOME/flows", "${HOME}/flows", "~/flows", " ~/flows "])
def test_the_home_folder_is_put_in(text: str) -> None:
    assert loaded(environ={"CDKTR_WORKFLOW_DIR": text}).settings.workflow_dir == f"{HOME}/flows"


@pytest.mark.parametrize("text", ["$HOME/flows", "${HOME}/flows", "~/flows"])
def test_a_service_without_home_has_one_all_the_same(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.delenv("HOME")
    home = str(Path("~").expanduser())
    held = loaded(environ={"CDKTR_WORKFLOW_DIR": text}).settings
    assert held.workflow_dir == f"{home}/flows"
    assert held.db_path == f"{home}/.cdktr/app.db"


def test_other_names_that_begin_like_home_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    assert loaded(environ={"CDKTR_WORKFLOW_DIR": "/x/$HOMES"}).settings.workflow_dir == "/x/$HOMES"


def test_the_database_follows_the_data_folder() -> None:
    held = loaded(environ={"CDKTR_APP_DATA_DIRECTORY": "~/data"})
    assert held.settings.db_path == f"{HOME}/data/app.db"
    held = loaded(environ={"CDKTR_APP_DATA_DIRECTORY": "/a", "CDKTR_DB_PATH": ":memory:"})
    assert held.settings.db_path == ":memory:"


def test_a_home_whose_name_looks_like_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    home = "/home/cost in $HOME"
    monkeypatch.setenv("HOME", home)
    for data in ("~/.cdktr", "$HOME/.cdktr"):
        for database in ({}, {"CDKTR_DB_PATH": "$CDKTR_APP_DATA_DIRECTORY/app.db"}):
            held = loaded(environ={"CDKTR_APP_DATA_DIRECTORY": data, **database}).settings
            assert (held.app_data_directory, held.db_path) == (f"{home}/.cdktr", f"{home}/.cdktr/app.db")


@pytest.mark.parametrize(
    ("host", "connect"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("*", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("10.0.0.7", "10.0.0.7"),
        ("db.example", "db.example"),
        ("::1", "::1"),
        ("alpha, beta:5570", "alpha,beta:5570"),
        ("0.0.0.0:5570,beta", "127.0.0.1:5570,beta"),
        ("[::]:5570,[fe80::1%eth0]:1,fe80::2", "127.0.0.1:5570,[fe80::1%eth0]:1,fe80::2"),
    ],
)
def test_the_address_to_bind_and_the_one_to_connect_to(host: str, connect: str) -> None:
    held = loaded(environ={"CDKTR_PRINCIPAL_HOST": host}).settings
    assert (held.principal_host, held.connect_host) == (host.replace(" ", ""), connect)


def test_the_addresses_of_a_list() -> None:
    found = addresses("alpha, beta:5570,::1,[::1]:5570,alpha:5561", 5561)
    assert [str(each) for each in found] == ["alpha:5561", "beta:5570", "[::1]:5561", "[::1]:5570"]
    with pytest.raises(SettingError, match=r"'a b' does not say where a principal is; expected a host, or several"):
        addresses("a b", 5561)


def test_the_timeout_in_seconds() -> None:
    assert loaded(environ={"CDKTR_DEFAULT_ZMQ_TIMEOUT_MS": "1500"}).settings.timeout_s == 1.5


# .env


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("CDKTR_X=plain", "plain"),
        ("  CDKTR_X = spaced out  ", "spaced out"),
        ("export CDKTR_X=shell", "shell"),
        ("CDKTR_X='single # quoted'", "single # quoted"),
        ('CDKTR_X="double" # why', "double"),
        ("CDKTR_X=value # why", "value"),
        ("CDKTR_X=value\t# why", "value"),
        ("CDKTR_X=a#b", "a#b"),
        ("CDKTR_X=#b", "#b"),
        ("CDKTR_X= # only why", ""),
        ("CDKTR_X=", ""),
        ("CDKTR_X=a=b", "a=b"),
        ("CDKTR_X='open", "'open"),
        ("CDKTR_X=ä", "ä"),
        ("CDKTR_X=1\nCDKTR_X=2", "2"),
        ("\ufeffCDKTR_X=marked", "marked"),
        ("# comment\n\n   \nCDKTR_X=after\n", "after"),
        ("CDKTR_X=windows\r\n", "windows"),
    ],
)
def test_lines_of_a_dotenv_file(tmp_path: Path, line: str, text: str) -> None:
    assert read_dotenv(env_file(tmp_path, line)) == {"CDKTR_X": text}


def test_other_programs_variables_are_left_alone(tmp_path: Path) -> None:
    assert read_dotenv(env_file(tmp_path, 'PATH=/bin\nKEY="one\nabc"\nMY-VAR=x y\n=\n')) == {}


@pytest.mark.parametrize("line", ["CDKTR_X", "CDKTR_X Y=1", "CDKTR_A-B=1", "CDKTR_"])
def test_lines_that_are_none(tmp_path: Path, line: str) -> None:
    path = env_file(tmp_path, f"CDKTR_Y=1\n{line}\n")
    with pytest.raises(SettingError) as caught:
        read_dotenv(path)
    assert str(caught.value) == f"{path}:2: expected NAME=value, found {line!r}"


def test_no_dotenv_file_is_no_trouble(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path / ".env") == {}
    assert read_dotenv(env_file(tmp_path, "") / "below a file") == {}


def test_a_dotenv_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingError, match=r"Cannot read .*folder.*; mend or remove the file"):
        read_dotenv(tmp_path / "folder")
    (tmp_path / "latin").write_bytes(b"CDKTR_X=\xe4")
    with pytest.raises(SettingError, match=r"Cannot read .*latin"):
        read_dotenv(tmp_path / "latin")


# Names that are none, and secrets.


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("CDKTR_PRINCIPLE_PORT", "; did you mean CDKTR_PRINCIPAL_PORT?"),
        ("CDKTR_LOGLEVEL", "; did you mean CDKTR_LOG_LEVEL?"),
        ("CDKTR_QWXYZ", ""),
    ],
)
def test_an_unknown_name_is_warned_of(tmp_path: Path, name: str, warning: str) -> None:
    expected = (f"{name} is not a setting and is ignored{warning}",)
    assert loaded(environ={name: "1"}).warnings == expected
    assert loaded(dotenv=env_file(tmp_path, f"{name}=1")).warnings == expected


def test_what_a_task_is_told_is_no_setting() -> None:
    assert loaded(environ=dict.fromkeys(TASK_VARIABLES, "x") | {"HOME": "/", "PATH": "/bin"}).warnings == ()


@dataclass(frozen=True, slots=True)
class WithSecret(Settings):
    """Settings with one that nobody shall see."""

    api_key: str = settings._setting("none", TEXT, "A key", secret=True)


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "Settings", WithSecret)
    held = loaded(environ={"CDKTR_API_KEY": "hunter2"})
    assert isinstance(held.settings, WithSecret)
    assert held.settings.api_key == "hunter2"
    assert entry(held, "CDKTR_API_KEY").value == "****"
    assert "hunter2" not in str(held.entries)
    with pytest.raises(SettingError, match=r"^CDKTR_API_KEY is \*\*\*\* in the environment; expected some text$"):
        loaded(environ={"CDKTR_API_KEY": "hunter\0"})


def test_the_secret_of_the_webhook() -> None:
    assert entry(loaded(), "CDKTR_WEBHOOK_SECRET").value == ""
    held = loaded(environ={"CDKTR_WEBHOOK_SECRET": "0123456789abcdef"})
    assert held.settings.webhook_secret == "0123456789abcdef"
    assert entry(held, "CDKTR_WEBHOOK_SECRET").value == "****"
    assert "0123456789abcdef" not in repr(held)
    for wrong in ("0123456789abcde", "0123456789abcde\0f"):
        with pytest.raises(
            SettingError, match=r"^CDKTR_WEBHOOK_SECRET is \*\*\*\* .*; expected a text of at least 16 cha"
        ):
            loaded(environ={"CDKTR_WEBHOOK_SECRET": wrong})
