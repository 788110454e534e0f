"""The one declaration of every setting: name, default, unit, meaning.

It feeds the environment, `.env`, the flags, `cdktr config list` and the documentation. No other module reads
`os.environ`, but for the executor, which hands it on to tasks, the screen of the terminal UI, which asks what terminal
there is, and `bundle`, which undoes what the start of the frozen program did to it.

Precedence, in one line (see `load`): flag > environment > `.env` in the working directory > default.
"""

import difflib
import os
import re
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from cdktr.errors import SettingError
from cdktr.labels import MOST_LABELS, RULE, Labels, read_labels

PREFIX = "CDKTR_"

#: Set by cdktr for tasks; in the environment of a `cdktr` that a task calls, they are no settings.
TASK_VARIABLES = (
    "CDKTR_WORKFLOW_ID",
    "CDKTR_WORKFLOW_INSTANCE_ID",
    "CDKTR_TASK_ID",
    "CDKTR_TASK_INSTANCE_ID",
    "CDKTR_ATTEMPT",
    "CDKTR_AGENT_ID",
)

#: Characters of a shared secret; what is shorter may be guessed.
SHORTEST_SECRET = 16

LOG_LEVELS = {"DEBUG": "DEBUG", "INFO": "INFO", "WARN": "WARNING", "WARNING": "WARNING", "ERROR": "ERROR"}

#: Addresses that mean "every interface" to bind; a client of such a principal on this host uses loopback.
ANY_ADDRESS = frozenset({"0.0.0.0", "*", "::", ""})
LOOPBACK = "127.0.0.1"

#: A host with or without a port; an IPv6 address needs brackets when it has a port.
_ADDRESS = re.compile(
    r"(?:\[(?P<bracketed>[\da-f:.]+(?:%\w+)?)\]|(?P<name>\*|[a-z\d][a-z\d_.-]*))(?::(?P<port>\d{1,5}))?"
    r"|(?P<bare>(?=.*:.*:)[\da-f:.]+(?:%\w+)?)",
    re.ASCII | re.IGNORECASE,
)
_COMMENT = re.compile(r"\s#")
_HOME = re.compile(r"\$(?:HOME\b|\{HOME\})")


@dataclass(frozen=True, slots=True)
class Kind:
    """How a setting's text becomes its value, and a value a text that can be read again; `expected` completes the
    sentence "expected …"."""

    expected: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str


def _whole(low: int, high: int | None = None, what: str = "a whole number") -> Kind:
    def read(text: str) -> int:
        value = int(text)
        if value < low or (high is not None and value > high):
            raise ValueError
        return value

    bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
    return Kind(f"{what} {bounds}", read)


def _text(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError
    return text.strip()


#: The database's default follows the data folder, wherever that was set. Its place is marked while the rest is
#: expanded: what looks like a variable in the name of the folder itself is none.
_DATA_DIRECTORY, _MARK = "$CDKTR_APP_DATA_DIRECTORY", "\1"


def _path(text: str) -> str:
    expanded = os.path.expandvars(_text(text))
    if "HOME" not in os.environ:
        # As in a service of systemd, where `~` is known all the same.
        expanded = _HOME.sub(lambda _: os.path.expanduser("~"), expanded)
    return os.path.expanduser(expanded)


def _secret(text: str) -> str:
    """None is set where there is no text."""
    secret = text.strip()
    if "\0" in secret or 0 < len(secret) < SHORTEST_SECRET:
        raise ValueError
    return secret


class Address(NamedTuple):
    """Where a principal listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _split(hosts: str) -> list[tuple[str, int | None]]:
    """The hosts of a list, each with the port that it has of its own. Raises ValueError."""
    found: list[tuple[str, int | None]] = []
    for text in hosts.split(","):
        match = _ADDRESS.fullmatch(text.strip())
        if match is None:
            raise ValueError
        port = None if match["port"] is None else PORT.read(match["port"])
        found.append((match["bracketed"] or match["name"] or match["bare"], port))
    return found


def _join(parts: list[tuple[str, int | None]]) -> str:
    return ",".join(host if port is None else str(Address(host, port)) for host, port in dict.fromkeys(parts))


def _words(text: str) -> list[str]:
    """The words of a list such as `CDKTR_AGENT_LABELS`."""
    return [word.strip() for word in text.split(",")] if text.strip() else []


def addresses(hosts: str, port: int) -> tuple[Address, ...]:
    """The addresses of a list such as `CDKTR_PRINCIPAL_HOST`; `port` is of those that have none of their own.

    Raises SettingError.
    """
    try:
        return tuple(dict.fromkeys(Address(host, port if own is None else own) for host, own in _split(hosts)))
    except ValueError:
        raise SettingError(f"{hosts!r} does not say where a principal is; expected {HOSTS.expected}") from None


PORT = _whole(0, 65535, "a port number")
HOSTS = Kind(
    "a host, or several with commas between them, each as `host`, `host:port` or `[ipv6]:port`",
    lambda text: _join(_split(text)),
)
TEXT = Kind("some text", _text)
PATH = Kind("a path", _path)
LABELS = Kind(
    f"at most {MOST_LABELS} labels with commas between them; {RULE}",
    lambda text: ",".join(sorted(read_labels(_words(text)))),
)
SECRET = Kind(f"a text of at least {SHORTEST_SECRET} characters", _secret)
FLAG = Kind("1 or 0", lambda text: {"1": True, "0": False}[text.strip()], lambda value: str(int(value)))
LEVEL = Kind("one of DEBUG, INFO, WARN, ERROR", lambda text: LOG_LEVELS[text.strip().upper()])


def _setting(default: str, kind: Kind, help: str, *, secret: bool = False) -> Any:
    return field(repr=not secret, metadata={"default": default, "kind": kind, "help": help, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, typed. The field `x_y` is the environment variable `CDKTR_X_Y`."""

    log_level: str = _setting("INFO", LEVEL, "Log level of the principal and the agents")
    agent_max_concurrency: int = _setting(
        "5", _whole(1, 10_000), "Runs an agent takes at once, and tasks of one run it starts at once"
    )
    agent_labels: str = _setting(
        "", LABELS, "Labels of an agent, such as gpu,zone=eu: it takes what requires none, or some of these alone"
    )
    retry_attempts: int = _setting("20", _whole(0), "Further attempts of an agent to reach the principal at its start")
    default_zmq_timeout_ms: int = _setting("3000", _whole(1), "How long a request waits for its reply (milliseconds)")
    principal_host: str = _setting(
        "0.0.0.0",
        HOSTS,
        "Address the principal binds, and clients connect to (0.0.0.0: all; clients use 127.0.0.1). Of several, with "
        "commas between them, a principal binds the first that is of its host, and clients find the one that answers",
    )
    principal_port: int = _setting("5561", PORT, "Port of the principal's API (0: any free port)")
    logs_listening_port: int = _setting("5562", PORT, "Port on which the principal takes in log messages")
    logs_publishing_port: int = _setting("5563", PORT, "Port on which the principal publishes log messages")
    workflow_dir: str = _setting("workflows", PATH, "Folder of the workflow files")
    workflow_dir_refresh_frequency_s: int = _setting(
        "60", _whole(1), "How often the workflow folder is read again (seconds)"
    )
    scheduler_start_poll_frequency_ms: int = _setting(
        "500", _whole(10), "The scheduler looks at the clock at least this often (milliseconds)"
    )
    q_persistence_interval_ms: int = _setting(
        "1000", _whole(10), "How often to see whether the journal of the queue is worth a snapshot (milliseconds)"
    )
    app_data_directory: str = _setting("$HOME/.cdktr", PATH, "Folder for what cdktr keeps: journal, lock, database")
    db_path: str = _setting(
        "$CDKTR_APP_DATA_DIRECTORY/app.db", PATH, "The DuckDB file of the history (:memory: keeps nothing)"
    )
    tui_status_refresh_interval_ms: int = _setting(
        "1000", _whole(50), "How often the terminal UI asks for the status (milliseconds)"
    )
    agent_heartbeat_timeout_ms: int = _setting(
        "30000", _whole(100), "An agent silent for longer is lost, its runs are CRASHED (milliseconds)"
    )
    task_kill_grace_ms: int = _setting(
        "10000", _whole(0), "Time between SIGTERM and SIGKILL when a task is ended (milliseconds)"
    )
    agent_spool_limit_mb: int = _setting(
        "512", _whole(16), "Disk that an agent may use for what its principal has not stored yet (MB)"
    )
    #: In a report a line may grow sixfold, and a message that is too large is never delivered.
    log_line_limit_bytes: int = _setting(
        "65536", _whole(64, 1024 * 1024), "A longer log line is cut there and marked (bytes)"
    )

    webhook_secret: str = _setting(
        "", SECRET, "What signs the requests that `cdktr listen webhook` takes; there is no default", secret=True
    )
    embedded_python: bool = _setting(
        "0",
        FLAG,
        "Whether an agent runs Python scripts on the interpreter of cdktr where its host has none: of `!UvPython`, "
        "without packages, also where it has no uv, and of `!Subprocess`, with `python3` as the command (1 or 0)",
    )

    @property
    def connect_host(self) -> str:
        """The hosts a client on this host uses, as in `principal_host`; never a wildcard."""
        parts = _split(self.principal_host)
        return _join([(LOOPBACK if host in ANY_ADDRESS else host, port) for host, port in parts])

    @property
    def labels(self) -> Labels:
        """`agent_labels` as a set."""
        return read_labels(_words(self.agent_labels))

    @property
    def timeout_s(self) -> float:
        """`default_zmq_timeout_ms` in seconds."""
        return self.default_zmq_timeout_ms / 1000


#: The variables that hold a secret: not to be handed on to a task, which any of its processes may show.
SECRET_VARIABLES = frozenset(PREFIX + f.name.upper() for f in fields(Settings) if f.metadata["secret"])


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting as `cdktr config list` shows it; a secret's values are masked."""

    name: str
    value: str
    source: str
    default: str
    help: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force, how each came about, and names that look like settings but are none."""

    settings: Settings
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]


def load(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = None,
) -> Loaded:
    """Read every setting. `flags` maps field names to values, None meaning "not given".

    Raises SettingError that names the variable, its value, where it came from and what is expected.
    """
    environment = {k: v for k, v in (os.environ if environ is None else environ).items() if k.startswith(PREFIX)}
    file = read_dotenv(Path(".env") if dotenv is None else dotenv)
    given = {PREFIX + name.upper(): str(value) for name, value in (flags or {}).items() if value is not None}
    defaults = {PREFIX + f.name.upper(): str(f.metadata["default"]) for f in fields(Settings)}
    layers = {"flag": given, "environment": environment, ".env": file, "default": defaults}
    texts = ChainMap(*layers.values())
    values: dict[str, Any] = {}
    entries: list[Entry] = []
    for f in fields(Settings):
        name = PREFIX + f.name.upper()
        source = next(layer for layer, held in layers.items() if name in held)
        value = _value(name, texts[name].replace(_DATA_DIRECTORY, _MARK), source, f.metadata)
        if isinstance(value, str):
            value = value.replace(_MARK, values.get("app_data_directory", ""))
        values[f.name] = value
        # That there is none is no secret.
        shown = "****" if f.metadata["secret"] and value else f.metadata["kind"].write(value)
        entries.append(Entry(name, shown, source, defaults[name], f.metadata["help"]))
    return Loaded(Settings(**values), tuple(entries), tuple(_unknown(environment | file, defaults)))


def _value(name: str, text: str, source: str, metadata: Mapping[str, Any]) -> Any:
    kind: Kind = metadata["kind"]
    try:
        return kind.read(text)
    except (ValueError, KeyError):
        origin = {"flag": "on the command line", ".env": "in .env", "environment": "in the environment"}[source]
        shown = "****" if metadata["secret"] else repr(text)
        raise SettingError(f"{name} is {shown} {origin}; expected {kind.expected}") from None


def _unknown(found: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    warnings = []
    for name in sorted(set(found) - set(known) - set(TASK_VARIABLES)):
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        warnings.append(f"{name} is not a setting and is ignored{hint}")
    return warnings


def read_dotenv(path: Path) -> dict[str, str]:
    """The `CDKTR_` variables of a `.env` file; none when there is no file.

    Lines are `NAME=value`, optionally after `export`; a value may stand in single or double quotes; `#` begins
    a comment. Lines of others are not looked at. Raises SettingError for a line of ours that is none of these, or
    for a file that cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"Cannot read {path}: {error}; mend or remove the file") from error
    values: dict[str, str] = {}
    for number, raw in enumerate(lines, 1):
        line = raw.strip().removeprefix("export ").strip()
        name, equals, value = line.partition("=")
        if not line.startswith(PREFIX):
            # Somebody else's, in whatever form that has.
            continue
        if not equals or not name.strip().isidentifier():
            raise SettingError(f"{path}:{number}: expected NAME=value, found {raw.strip()!r}")
        values[name.strip()] = _unquoted(value)
    return values


def _unquoted(raw: str) -> str:
    value = raw.strip()
    if value[:1] in ("'", '"') and (end := value.find(value[0], 1)) > 0:
        return value[1:end]
    return _COMMENT.split(raw, 1)[0].strip()
