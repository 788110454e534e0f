"""README and docs as a reader takes them: block by block, commands run as they stand.

A page is followed in one folder, from its first line to its last. What a block is, its language says:

    sh        commands, each of which exits with 0, or with what a comment behind it says: `# exits 1`
    console   the same after `$ `, with what they print; `…` stands for anything, alone on a line for any lines
    yaml      a workflow file
    python    a program
    text      not for this host: another one, or what somebody sees; a command of ours in it is one all the same
    systemd, crontab, env, json
              a file of that kind

A file name after the language is where the reader saves it, as the text before the block says too. What starts a daemon
is left running until its successor is started, as one would. A page that starts no principal of its own begins where
docs/getting-started.md ends: in the folder that `cdktr init` made, with a principal and an agent running.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from dataclasses import dataclass, fields
from pathlib import Path
from textwrap import dedent
from types import TracebackType

from cdktr.cli.tree import parser
from cdktr.cli.tree.listen import with_script
from cdktr.parse import parse_workflow
from cdktr.settings import PREFIX, Settings, read_dotenv
from tests.integration.cluster import PATIENCE_S, ROOT, Daemon

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(
    r"^(?P<margin> *)```(?P<language>\w*)(?: (?P<name>\S+))?\n(?P<text>.*?)^(?P=margin)```$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"^[ \t>]*(?:```|~~~)", re.MULTILINE)
_EXITS = re.compile(r"# exits (\d+)\s*$")
_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")
_DAEMON = re.compile(r"^(?:\w+=\S+ )*cdktr (start|listen)\b(?!.*(?:--help|# exits))")
#: Also behind a pipe and in a loop.
_OURS = re.compile(r"(?:^|[|;&] *|\bdo )(?:\w+=\S+ )*cdktr ([^|;&]*)")

#: What a daemon says when it is ready, by a word of its command; the first that fits counts.
_READY = (
    ("--standby", r"Standing by"),
    ("listen folder", r"there already|known from before"),
    ("agent", r"Agent \S+ ready"),
    ("principal", r"Principal server started"),
    ("listen", r"(?i)listening"),
)

#: Ports as they stand on the pages: each reader's own here, so that two runs never meet.
_PORTS = ("5561", "5562", "5563", "5570", "8080")

#: Of systemd, what units here may say, by section; held even where there is no systemd-analyze.
_UNIT_KEYS = {
    "Unit": "Description After Wants StartLimitIntervalSec",
    "Service": "User WorkingDirectory EnvironmentFile ExecStart KillMode TimeoutStopSec Restart RestartSec "
    "RestartPreventExitStatus LimitNOFILE StateDirectory StateDirectoryMode NoNewPrivileges ProtectSystem ProtectHome "
    "PrivateTmp PrivateDevices ProtectKernelTunables ProtectKernelModules ProtectControlGroups RestrictSUIDSGID "
    "RestrictRealtime LockPersonality TasksMax OOMPolicy",
    "Install": "WantedBy",
}


@dataclass(frozen=True)
class Block:
    """One block of a page; `name` is the file that it is to be saved as, or empty."""

    page: Path
    line: int
    language: str
    name: str
    text: str
    before: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """What a reader runs; a program counts as one."""
        if self.language == "console":
            return [command for command, _ in dialogue(self.text)]
        return {"sh": list(commands(self.text)), "python": [self.text]}.get(self.language, [])


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The blocks of a page, in order, or those of one language. None slips by."""
    text = page.read_text(encoding="utf-8")
    found = []
    end = 0
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        shown = dedent(match["text"])
        found.append(Block(page, line, match["language"], match["name"] or "", shown, text[end : match.start()]))
        end = match.end()
    assert len(_MARK.findall(text)) == 2 * len(found), f"{page.name} has a block that cannot be read"
    return [block for block in found if language in (None, block.language)]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def commands(text: str) -> Iterator[str]:
    """The commands of an `sh` block: lines, with what belongs to them by `\\` or a here-document."""
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        command = line
        while command.endswith("\\"):
            command += "\n" + next(lines)
        if match := _HEREDOC.search(command):
            while not command.endswith("\n" + match[1]):
                command += "\n" + next(lines)
        yield command


def dialogue(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a `console` block, and what each prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, printed = part.split("\n", 1)
        while printed.startswith("> "):
            more, printed = printed.split("\n", 1)
            command += "\n" + more[2:]
        yield command, printed


def as_shown(shown: str) -> re.Pattern[str]:
    """Matches what is printed, where blanks count once: tables are as wide as what is in them."""
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    parts = [r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r" ?\n" for line in lines]
    return re.compile("".join(parts))


def squeezed(printed: str) -> str:
    """What was printed, as `as_shown` has it."""
    return "".join(" ".join(line.split()) + "\n" for line in printed.splitlines())


class Reader:
    """Follows one page."""

    def __init__(self, page: Path, folder: Path) -> None:
        self._page = page
        self._folder = folder
        self._shell = folder / ".shell"
        self._daemons: list[Daemon] = []
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        #: How many commands were run.
        self.ran = 0
        self._make_programs(folder / ".bin")
        (folder / ".home").mkdir()
        (folder / ".here").write_text(str(folder))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self._env = {
            **kept,
            "HOME": str(folder / ".home"),
            "PATH": f"{folder / '.bin'}:{kept['PATH']}",
            "PYTHONPATH": str(ROOT),
            "CDKTR_PRINCIPAL_HOST": "127.0.0.1",
            "CDKTR_PRINCIPAL_PORT": self._ports["5561"],
            "CDKTR_LOGS_LISTENING_PORT": self._ports["5562"],
            "CDKTR_LOGS_PUBLISHING_PORT": self._ports["5563"],
        }
        self._shell.write_text("")

    def _make_programs(self, folder: Path) -> None:
        folder.mkdir()
        for name, script in (("cdktr", f"{shlex.quote(str(ROOT / 'cdktr.py'))} "), ("python3", "")):
            program = folder / name
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {script}"$@"\n')
            program.chmod(0o755)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for daemon in reversed(self._daemons):
            daemon.stop()

    @property
    def text(self) -> str:
        """What all daemons said."""
        return "\n".join(f"--- {daemon.name}\n{daemon.text}" for daemon in self._daemons)

    @property
    def port(self) -> int:
        """Of the principal's API."""
        return int(self._ports["5561"])

    def read(self) -> None:
        """Follow the page from its first block to its last."""
        found = blocks(self._page)
        typed = "\n".join(command for block in found for command in block.commands)
        if "cdktr" in typed and "cdktr start principal" not in typed:
            self._command("cdktr init")
            # What the examples do by themselves would come between.
            self._command("cdktr start principal --with-agent --no-scheduler")
        for block in found:
            try:
                self.take(block)
            except Exception as error:
                error.add_note(f"at {block}\n{self.text}")
                raise

    def take(self, block: Block) -> None:
        """Do what a block is there for."""
        if block.name:
            self._save(block)
        match block.language:
            case "sh":
                for command in block.commands:
                    self._command(command)
            case "console":
                for command, printed in dialogue(block.text):
                    self._command(command, printed)
            case "yaml":
                parse_workflow(block.text, "shown", str(block))
            case "python":
                self._command(f"python3 - <<'END OF PROGRAM'\n{block.text}\nEND OF PROGRAM")
            case "text":
                check_commands(block)
            case "systemd":
                self._check_unit(block)
            case "crontab":
                # Read by the commands that follow.
                assert block.name, f"{block} is not saved"
            case "env":
                check_settings(block, self._folder)
            case "json":
                json.loads(block.text)
            case _:
                raise AssertionError(f"a block of language {block.language!r}: nothing is known of such")

    def _here(self) -> Path:
        return Path((self._folder / ".here").read_text().rstrip("\n"))

    def _save(self, block: Block) -> None:
        said = block.before.strip().rpartition("\n\n")[2]
        assert f"`{block.name}`" in said, f"the text before {block} does not say that it is to be saved as {block.name}"
        path = self._here() / block.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    def _own(self, text: str) -> str:
        return re.sub(rf"\b({'|'.join(_PORTS)})\b", lambda match: self._ports[match[1]], text)

    def _command(self, command: str, printed: str | None = None) -> None:
        self.ran += 1
        if _DAEMON.match(command):
            self._start(command, printed)
            return
        if command.startswith("make "):
            # In a source tree, and long: that there is such a target must do.
            command = f"make --dry-run -C {shlex.quote(str(ROOT))} {command.removeprefix('make ')}"
        code = int(match[1]) if (match := _EXITS.search(command.split("\n")[0])) else 0
        script = (
            f'cd "$(cat {shlex.quote(str(self._folder / ".here"))})"; . {shlex.quote(str(self._shell))}; set -a\n'
            f"{self._own(command)}\n"
            f"code=$?; export -p >{shlex.quote(str(self._shell))}; pwd >{shlex.quote(str(self._folder / '.here'))}\n"
            "exit $code"
        )
        done = subprocess.run(
            ["sh", "-c", script],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE_S,
        )
        assert done.returncode == code, f"$ {command}\n{done.stdout}\nexited with {done.returncode}, not {code}"
        if printed is not None:
            shown = as_shown(self._own(printed))
            assert shown.fullmatch(squeezed(done.stdout)), f"$ {command}\n{done.stdout}\nand not\n{printed}"

    def _start(self, command: str, printed: str | None) -> None:
        if "start principal" in command and "--standby" not in command:
            for daemon in reversed(self._daemons):
                # The page may have stopped it itself.
                if "Principal stopped" in daemon.text:
                    daemon.wait()
                assert daemon.stop() == 0, daemon.text
            self._daemons.clear()
        script = f". {shlex.quote(str(self._shell))}\nexec env {self._own(command)}"
        self._daemons.append(Daemon(command, ["sh", "-c", script], self._here(), self._env))
        for line in (printed or "").splitlines():
            if line != "…":
                self._daemons[-1].wait_for(re.escape(self._own(line)).replace("…", ".*"))
        self._daemons[-1].wait_for(next(says for word, says in _READY if word in command))

    def _check_unit(self, block: Block) -> None:
        unit = ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read_string(block.text)
        for section in unit.sections():
            unknown = set(unit[section]) - set(_UNIT_KEYS[section].split())
            assert not unknown, f"{block}: {unknown} in [{section}]"
        check_words(unit["Service"]["ExecStart"].split()[1:], str(block))
        if analyze := shutil.which("systemd-analyze"):
            # The program is not where the page has it.
            program = unit["Service"]["ExecStart"].split()[0]
            path = self._folder / (block.name.rpartition("/")[2] or "shown.service")
            path.write_text(block.text.replace(program, "/bin/true"))
            done = subprocess.run([analyze, "verify", "--man=no", path], capture_output=True, text=True)
            said = done.stdout + done.stderr
            assert (done.returncode, said) == (0, ""), f"{block}: {said}"


def check_commands(block: Block) -> None:
    """Each `cdktr …` of a block that is not run is a command line of ours."""
    for line in commands(block.text):
        for words in _OURS.findall(line):
            check_words(shlex.split(words, comments=True), str(block))


def check_words(words: list[str], where: str) -> None:
    """These words after `cdktr` are a command line of ours."""
    try:
        parser([]).parse_args(with_script(words))
    except SystemExit as end:
        if end.code:
            raise AssertionError(f"{where}: cdktr {' '.join(words)}") from None


def check_settings(block: Block, folder: Path) -> None:
    """The block is a `.env` file, whose names are settings."""
    path = folder / ".shown-env"
    path.write_text(block.text)
    known = {PREFIX + field.name.upper() for field in fields(Settings)}
    found: Mapping[str, str] = read_dotenv(path)
    assert found, f"{block} sets nothing"
    assert set(found) <= known, f"{block}: {set(found) - known}"


def _free_ports(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [str(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
