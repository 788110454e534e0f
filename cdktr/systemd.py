"""The unit that starts a principal or an agent under systemd, with every word as systemd reads it back.

Pure: what this host and these settings are is handed in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from cdktr.errors import SettingError

#: What can be started, and the words after `cdktr` that start it.
KINDS: Mapping[str, tuple[str, ...]] = {
    "principal": ("start", "principal"),
    "agent": ("start", "agent"),
    "pair": ("start", "principal", "--with-agent"),
}
#: The files of the units.
NAMES: Mapping[str, str] = {
    "principal": "cdktr-principal.service",
    "agent": "cdktr-agent.service",
    "pair": "cdktr.service",
}
_DESCRIPTIONS = {"principal": "cdktr principal", "agent": "cdktr agent", "pair": "cdktr principal with an agent"}

#: Where ProtectSystem=full leaves nothing to write, and what ProtectHome=yes hides.
_PROTECTED = ("/usr", "/boot", "/efi", "/etc")
_HOMES = ("/home", "/root", "/run/user")

_PLAIN = re.compile(r"[\w/.:,=@+-]+", re.ASCII)
#: In the path of a program systemd knows neither quotes nor backslashes, and $ is another thing than in its arguments.
_NO_PROGRAM = re.compile(r"[\x00-\x1f\x7f\"'\\$]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Service:
    """What a unit is made of. Paths are absolute; `for_user` is a unit of the user's own systemd."""

    kind: str
    for_user: bool
    #: How this program is started, without what `KINDS` adds.
    command: Sequence[str]
    folder: str
    user: str
    #: Settings by their variables, and where those are kept that nobody else may read (None: there are none).
    environment: Mapping[str, str]
    secrets_file: str | None
    #: Variables that the file .env in `folder` has, which is read by the service itself.
    left_in_dotenv: Sequence[str]
    #: What it reads and what it writes.
    reads: Sequence[str]
    writes: Sequence[str]

    @property
    def runs_tasks(self) -> bool:
        """Whether it starts the commands of the user."""
        return self.kind != "principal"


def unit(service: Service) -> str:
    """The text of the unit. Raises SettingError for what systemd has no form for."""
    sections = [_unit_section(service), _service_section(service), _install_section(service)]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _unit_section(service: Service) -> list[str]:
    lines = ["[Unit]", f"Description={_DESCRIPTIONS[service.kind]}"]
    if not service.for_user:
        # Last started is first stopped: an agent on the principal's host can still report when both are stopped.
        after = " " + NAMES["principal"] if service.kind == "agent" else ""
        lines += ["Wants=network-online.target", f"After=network-online.target{after}"]
    elif service.kind == "agent":
        lines.append(f"After={NAMES['principal']}")
    return [
        *lines,
        "# It is never given up: what kept it from starting, as a full disk does, may be mended at any time.",
        "StartLimitIntervalSec=0",
    ]


def _service_section(service: Service) -> list[str]:
    lines = ["[Service]"]
    if not service.for_user:
        lines.append(f"User={service.user}")
    lines += [
        "# Relative paths of workflows and of the settings are seen from here.",
        f"WorkingDirectory={_raw(service.folder, 'The working directory')}",
        f"ExecStart={_command([*service.command, *KINDS[service.kind]])}",
        *_environment(service),
        "# 2: the command line or a setting is wrong, which another start does not mend.",
        "Restart=on-failure",
        "RestartSec=5",
        "RestartPreventExitStatus=2",
    ]
    return [*lines, *(_for_tasks(service) if service.runs_tasks else _for_principal(service))]


def _environment(service: Service) -> list[str]:
    lines = [f"Environment={quoted(f'{name}={value}')}" for name, value in service.environment.items()]
    if service.left_in_dotenv:
        lines.append(f"# From .env in the working directory, read at each start: {', '.join(service.left_in_dotenv)}")
    if service.secrets_file is not None:
        lines += [
            "# Secrets, as NAME=value; for its owner alone (chmod 600). A unit can be read by everybody.",
            f"EnvironmentFile={_raw(service.secrets_file, 'The file of the secrets')}",
        ]
    return lines


def _for_tasks(service: Service) -> list[str]:
    return [
        "# SIGTERM goes to the main process alone, which lets running work end; tasks are not to get it too.",
        "KillMode=mixed",
        "# As long as your longest run may take: what still runs then is killed, and its run is CRASHED. To end it",
        f"# earlier: {_systemctl(service)} kill --kill-who=main {NAMES[service.kind]}",
        "TimeoutStopSec=15min",
        "# A task that runs out of memory fails alone, and there may be as many processes as the host has room for.",
        "OOMPolicy=continue",
        "TasksMax=infinity",
        "# Soft and hard: some programs among the tasks go through all the files they may have.",
        "LimitNOFILE=1024:65536",
        "# Tasks get the environment of this service, not that of your shell. For programs in other folders:",
        "# Environment=PATH=/usr/local/bin:/usr/bin:/bin:/opt/tools/bin",
        "# No hardening on purpose: it would hold for your tasks too. NoNewPrivileges breaks sudo and ping, PrivateTmp",
        "# hides sockets and files in /tmp, ProtectHome and ProtectSystem forbid what tasks read and write; with User=",
        "# most of the others imply NoNewPrivileges. A principal in a unit of its own can have it all.",
    ]


def _for_principal(service: Service) -> list[str]:
    lines = [
        "# It ends within seconds; agents keep what runs.",
        "KillMode=mixed",
        "TimeoutStopSec=30",
        "# A connection of an agent or a client takes one.",
        "LimitNOFILE=65536",
        "# Hardening: a principal starts none of your commands, it serves its port and writes its data folder.",
        "NoNewPrivileges=yes",
        "LockPersonality=yes",
        "RestrictRealtime=yes",
        "RestrictNamespaces=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "SystemCallArchitectures=native",
    ]
    if service.for_user:
        return [*lines, "# What needs a view of the file system of its own is for the system's units alone."]
    lines += [
        "PrivateDevices=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectControlGroups=yes",
        "# Not strict, which would need the data folder to be there before the first start.",
        "ProtectSystem=full",
    ]
    if written := [path for path in service.writes if _is_under(path, _PROTECTED)]:
        lines.append("ReadWritePaths=" + " ".join(quoted(f"-{path}") for path in written))
    if any(_is_under(path, _HOMES) for path in (*service.reads, *service.writes)):
        return [*lines, "# No ProtectHome: it has files in a home folder."]
    return [*lines, "ProtectHome=yes"]


def _install_section(service: Service) -> list[str]:
    return ["[Install]", f"WantedBy={'default' if service.for_user else 'multi-user'}.target"]


def _systemctl(service: Service) -> str:
    return "systemctl --user" if service.for_user else "systemctl"


def _is_under(path: str, folders: Sequence[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for folder in folders)


def quoted(word: str) -> str:
    """A word of a list, such as that of Environment=. Raises SettingError."""
    _check_text(word)
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + _CONTROL.sub(_escape, escaped) + '"'


def _escape(found: re.Match[str]) -> str:
    named = {"\n": "\\n", "\t": "\\t"}
    return named.get(found[0], f"\\x{ord(found[0]):02x}")


def _command(words: Sequence[str]) -> str:
    if _NO_PROGRAM.search(words[0]):
        # The shell takes any path, and is gone once it has started the program.
        words = ("/bin/sh", "-c", 'exec "$0" "$@"', *words)
    program, *arguments = words
    return " ".join([quoted(program), *(quoted(word.replace("$", "$$")) for word in arguments)])


def _raw(path: str, what: str) -> str:
    """A path that is the whole of a value, where systemd knows % and nothing else. Raises SettingError."""
    _check_text(path)
    if _CONTROL.search(path) or path != path.strip() or path.endswith("\\"):
        raise SettingError(
            f"{what} is {path!r}, and a unit of systemd cannot name it: "
            "expected no control characters, no blank at the end and no backslash there"
        )
    return path.replace("%", "%%")


def _check_text(word: str) -> None:
    if not word.isascii() and any("\ud800" <= letter <= "\udfff" for letter in word):
        raise SettingError(f"{word!r} is not UTF-8, and systemd reads nothing else; rename it")
