"""`cdktr service`: a unit of systemd for this file and these settings."""

import os
import shlex
from argparse import Namespace
from dataclasses import fields
from pathlib import Path

from cdktr import bundle
from cdktr.cli import Exit
from cdktr.cli.common import own_user, say
from cdktr.settings import PATH, PREFIX, Entry, Loaded, Settings, load
from cdktr.systemd import NAMES, Service, unit

#: Of the database: it keeps nothing, and is no path.
MEMORY = ":memory:"

#: In the data folder.
SECRETS = "secrets.env"


def service(arguments: Namespace) -> int:
    """Print the unit; on stderr what to do with it."""
    loaded = load()
    for warning in loaded.warnings:
        say(f"cdktr: {warning}")
    made = described(arguments.kind, arguments.user, loaded)
    print(unit(made), end="")
    say("\n".join(_next_steps(made, loaded)))
    return Exit.DONE


def command_of_this() -> list[str]:
    """How this program is started again, by whoever: the path of the one file, or the interpreter and the script."""
    file = bundle.file()
    return bundle.own_command() if file is None else [os.path.abspath(file)]


def described(kind: str, for_user: bool, loaded: Loaded) -> Service:
    """What the unit is made of, on this host, in this folder and for this user."""
    settings = loaded.settings
    database = [] if settings.db_path == MEMORY else [os.path.dirname(os.path.realpath(settings.db_path))]
    data = os.path.realpath(settings.app_data_directory)
    command = command_of_this()
    read = [settings.workflow_dir, os.getcwd(), *command]
    return Service(
        kind=kind,
        for_user=for_user,
        command=command,
        folder=os.getcwd(),
        user=own_user(),
        environment=_environment(loaded),
        secrets_file=f"{os.path.abspath(settings.app_data_directory)}/{SECRETS}" if _secrets(loaded) else None,
        left_in_dotenv=[entry.name for entry in loaded.entries if entry.source == ".env"],
        # A link and what it leads to: an interpreter may be elsewhere than its environment.
        reads=[found for path in read for found in (os.path.abspath(path), os.path.realpath(path))],
        writes=list(dict.fromkeys([data, *database])),
    )


def _secret_names() -> set[str]:
    return {PREFIX + each.name.upper() for each in fields(Settings) if each.metadata["secret"]}


def _secrets(loaded: Loaded) -> list[str]:
    """Those that the environment has."""
    names = _secret_names()
    return [entry.name for entry in loaded.entries if entry.name in names and entry.source == "environment"]


def _environment(loaded: Loaded) -> dict[str, str]:
    defaults = {entry.name: entry for entry in load(environ={}, dotenv=Path(os.devnull)).entries}
    paths = {PREFIX + each.name.upper() for each in fields(Settings) if each.metadata["kind"] is PATH}
    hidden = _secret_names()

    def is_other(entry: Entry) -> bool:
        if entry.name == f"{PREFIX}APP_DATA_DIRECTORY" and entry.source == "default":
            # The home folder that systemd gives to the service may be another than that of here.
            return entry.value != os.path.expanduser(f"~{own_user()}/.cdktr")
        return entry.source == "environment" and entry.value != defaults[entry.name].value

    def absolute(entry: Entry) -> str:
        return os.path.abspath(entry.value) if entry.name in paths and entry.value != MEMORY else entry.value

    return {entry.name: absolute(entry) for entry in loaded.entries if entry.name not in hidden and is_other(entry)}


def _next_steps(made: Service, loaded: Loaded) -> list[str]:
    name = NAMES[made.kind]
    words = [*made.command, "service", made.kind, *(["--user"] if made.for_user else [])]
    called = shlex.join(words)
    if made.for_user:
        place = "~/.config/systemd/user"
        first, prefix = f"mkdir -p {place} && {called} > {place}/{name}", "systemctl --user"
    elif os.getuid() == 0:
        first, prefix = f"{called} > /etc/systemd/system/{name}", "systemctl"
    else:
        first, prefix = f"{called} | sudo tee /etc/systemd/system/{name} >/dev/null", "sudo systemctl"
    lines = [
        "To have systemd start it, in this folder and with these settings:",
        f"  {first}",
        f"  {prefix} daemon-reload",
        f"  {prefix} enable --now {name.removesuffix('.service')}",
    ]
    if made.for_user:
        lines.append("`loginctl enable-linger` lets it run while you are not logged in; without it, it ends with you.")
    if secrets := _secrets(loaded):
        lines.append(
            f"{', '.join(secrets)}: secret, and not in the unit. Before it starts, write NAME=value into "
            f"{made.secrets_file} and `chmod 600` it."
        )
    if made.runs_tasks and os.getuid() == 0 and not made.for_user:
        lines.append("It runs as root, and so do its tasks. Call this as the user who shall run them, or change User=.")
    workflows = loaded.settings.workflow_dir
    if made.kind != "agent" and not Path(workflows).is_dir():
        lines.append(f"There is no folder {workflows} here yet: call this in the folder of your project.")
    return lines
