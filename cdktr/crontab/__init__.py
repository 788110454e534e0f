"""The text of a crontab to jobs, and what is to be said of it.

Read as cron reads it: Vixie's, which Debian and the BSDs have, and cronie. Every line is a comment, a variable that
holds for the entries after it, or an entry; what is neither is told, as all else is that a workflow cannot say.
"""

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cdktr.crontab.fields import Times, day_names, day_test, times
from cdktr.crontab.names import description_of, id_of, name_of, plain
from cdktr.errors import DefinitionError

__all__ = ["Job", "Kind", "Remark", "Source", "read_crontab"]

#: What cron gives to jobs whose crontab does not say otherwise.
DEFAULT_SHELL = "/bin/sh"
DEFAULT_PATH = "/usr/bin:/bin"

#: Characters of a line, and numbers of lines, that are shown.
MAX_SHOWN = 100
MAX_LINES = 10

#: One in as many characters of a text may not be UTF-8.
MAX_NO_TEXT = 3

#: Shells that have the here-documents and the `case` of sh.
_LIKE_SH = re.compile(r"(.*/)?(sh|[bd]?ash|m?ksh(93)?|zsh)")

#: Variables that are for cron itself. They are in the environment only of commands that name them.
_FOR_CRON = frozenset(
    "MAILTO MAILFROM CONTENT_TYPE CONTENT_TRANSFER_ENCODING CRON_TZ RANDOM_DELAY START_HOURS_RANGE".split()
)
#: cron sets it itself, whatever the crontab says.
_NEVER = "LOGNAME"

#: Name or value are in quotes, or end at a blank and at the end of the line.
_VARIABLE = re.compile(
    r"""\s*+(?:"([^"=]*+)"|'([^'=]*+)'|([^\s='"][^\s=]*+))\s*+=\s*+(?:"([^"]*+)"\s*+|'([^']*+)'\s*+|((?!["']).*+))""",
    re.DOTALL,
)
_ENTRY = re.compile(r"\s*+-?(@\S++|\S++(?:[ \t]++\S++){4})(?:[ \t]++(.*+))?", re.DOTALL)
_WITH_USER = re.compile(r"(\S++)(?:[ \t]++(.*+))?", re.DOTALL)
#: Up to its first `%` that no backslash takes the meaning from. A backslash before anything else is one.
_COMMAND = re.compile(r"((?:[^%\\]|\\.|\\$)*+)(?:%(.*+))?", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
#: In the input, two backslashes are not a pair.
_LINE_END = re.compile(r"(?<!\\)%")
#: Ends a command that is left to itself.
_BACKGROUND = re.compile(r"(?<![&>\\])&\s*+$")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ANACRON = re.compile(r"(\d+|@\w+)\s+\d+\s+[A-Za-z]\w*[.]\w+\s+\S")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a crontab is from, and what its host says of it."""

    #: For people: `/etc/crontab`, `the crontab of ann`.
    origin: str
    #: Whose it is; of one with a column of users, who imports it.
    user: str
    #: The zone of schedules for which the crontab names none.
    timezone: str
    #: Each entry names its user, as in /etc/crontab.
    has_users: bool = False
    #: Its cron is Debian's, which as no other makes one of two backslashes in a command, and does not heed CRON_TZ.
    is_debian: bool = False
    #: The home folder of a user; None for one that this host does not know.
    home: Callable[[str], str | None] = lambda _: None


class Kind(StrEnum):
    """What a remark is worth."""

    #: An entry, or its schedule, is in no workflow.
    LOST = "lost"
    #: A workflow does otherwise than cron did.
    DIFFERS = "differs"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to know about a crontab. Line 0 stands for all of it."""

    origin: str
    line: int
    message: str
    kind: Kind = Kind.NOTE

    def __str__(self) -> str:
        return f"{self.origin}:{self.line}: {self.message}" if self.line else f"{self.origin} {self.message}"


@dataclass(frozen=True, slots=True)
class Job:
    """An entry of a crontab, ready to be written as a workflow."""

    origin: str
    line: int
    #: The entry as it stands in the crontab.
    entry: str
    #: A word for it, not unique.
    word: str
    name: str
    description: tuple[str, ...]
    cron: str | None
    timezone: str
    env: Mapping[str, str]
    argv: tuple[str, ...]
    working_directory: str | None


def read_crontab(data: bytes, source: Source) -> tuple[list[Job], list[Remark]]:
    """The entries of a crontab, and the remarks in the order of their lines."""
    reader = _Reader(source)
    if data.startswith(b"#!"):
        reader.lose(0, "is a script and no crontab; call it from a workflow: cmd: run-parts, args: [its folder]")
        return [], reader.remarks
    if why := _why_no_text(data):
        reader.lose(0, f"is no text in UTF-8, and was not read: {why}")
        return [], reader.remarks
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if any(line.endswith(b"\r") for line in lines):
        reader.note(0, "has line ends of Windows, which were left out")
    texts = [line.removesuffix(b"\r") for line in lines]
    if _is_anacrontab(source.origin, texts):
        advice = 'for each of its jobs write a workflow with `cron: "@daily"` or the like and `catch_up: latest`'
        reader.lose(0, f"is an anacrontab, which has a format of its own, and was not read; {advice}")
        return [], reader.remarks
    for number, text in enumerate(texts, 1):
        reader.read(number, text)
    reader.close()
    return reader.jobs, sorted(reader.remarks, key=lambda remark: remark.line)


def _why_no_text(data: bytes) -> str:
    """Empty for text, in which there may be lines that are none."""
    before, nul, _ = data.partition(b"\0")
    if nul:
        line = before.count(b"\n") + 1
        return f"NUL in line {line}"
    text = data.decode(errors="replace")
    is_other = text.count("\ufffd") * MAX_NO_TEXT > len(text)
    return "much of it is something else; `iconv -t UTF-8` reads other encodings" if is_other else ""


def _is_anacrontab(origin: str, lines: list[bytes]) -> bool:
    texts = [line.decode(errors="replace").strip() for line in lines]
    found = {text for text in texts if _ANACRON.match(text)}
    is_crontab = all(map(_is_entry, found)) or any(_is_entry(text) for text in texts if text not in found)
    return origin.endswith("anacrontab") or not is_crontab


def _is_entry(text: str) -> bool:
    match = _ENTRY.fullmatch(text)
    if match is None or not match[2]:
        return False
    try:
        return match[1] == "@reboot" or bool(times(match[1], "UTC"))
    except DefinitionError:
        return False


@dataclass(slots=True)
class _Reader:
    """What was read so far, and what holds for the lines to come."""

    source: Source
    jobs: list[Job] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    _env: dict[str, str] = field(default_factory=dict)
    #: The lines of the comment that stands directly above.
    _comment: list[str] = field(default_factory=list)
    _left_out: list[int] = field(default_factory=list)
    #: Users for whom cron runs entries, other than whose the crontab is, and the lines of those.
    _others: dict[str, list[int]] = field(default_factory=dict)
    #: What the commands begin with.
    _first: set[str] = field(default_factory=set)
    _said: set[str] = field(default_factory=set)

    def note(self, line: int, message: str) -> None:
        self.remarks.append(Remark(self.source.origin, line, message))

    def differ(self, line: int, message: str) -> None:
        self.remarks.append(Remark(self.source.origin, line, message, Kind.DIFFERS))

    def lose(self, line: int, message: str) -> None:
        self.remarks.append(Remark(self.source.origin, line, message, Kind.LOST))

    def read(self, number: int, line: bytes) -> None:
        """One line of the crontab."""
        bare = line.strip()
        if bare.startswith(b"#"):
            self._read_comment(number, bare.decode(errors="replace").lstrip("#"))
            return
        comment, self._comment = self._comment, []
        if not bare:
            return
        try:
            text = line.decode()
        except UnicodeDecodeError:
            self.lose(number, "this line is not UTF-8 text, and is not carried over; `iconv -t UTF-8` makes it so")
            return
        if variable := _VARIABLE.fullmatch(text):
            name, value = ("".join(one or "" for one in variable.groups()[i : i + 3]) for i in (0, 3))
            self._read_variable(number, name, value if variable[6] is None else value.rstrip())
        else:
            self._read_entry(number, text, description_of(comment))

    def close(self) -> None:
        """After the last line."""
        if self._left_out:
            self.note(0, f"has entries that are commented out, and were left alone: {_lines(self._left_out)}")
        for user, lines in self._others.items():
            what = f"cron runs it as {user}" + (f", as {_lines(lines[1:])} too" if lines[1:] else "")
            how = f"an agent that {user} starts, or `sudo -n -u {user}` in the command, does as cron did"
            self.differ(lines[0], f"{what}; here it will run as the agent's user: {how}")
        if (
            self._first
            and not self.source.has_users
            and all(self.source.home(word) is not None for word in self._first)
        ):
            self.differ(0, "seems to name a user before each command; if so, import it with --system")

    def _read_comment(self, number: int, text: str) -> None:
        if _is_entry(text):
            self._left_out.append(number)
            self._comment.clear()
        else:
            self._comment.append(text)

    def _read_variable(self, number: int, name: str, value: str) -> None:
        if not _NAME.fullmatch(name) or name.startswith("CDKTR_"):
            self.differ(number, f"the variable {_shown(name)!r} is not carried over: no task can have one of that name")
            return
        if name != _NEVER:
            self._env[name] = value
        if name == "CRON_TZ" and self.source.is_debian and value not in ("", self.source.timezone):
            zones = f"the schedules are in {self.source.timezone}; --timezone gives another"
            self.note(number, f"CRON_TZ={_shown(value)}: Debian's cron does not heed it, and {zones}")
        if name in self._said or not value:
            return
        self._said.add(name)
        if name == "MAILTO":
            history = "what a run prints is in its history, `cdktr logs query` shows it"
            more = "the task `tell` in docs/from-cron.md mails when a job fails"
            self.differ(number, f"MAILTO={_shown(value)}: no mail is sent; {history}, and {more}")
        elif name == "RANDOM_DELAY":
            self.differ(number, "RANDOM_DELAY: runs begin at their minute; `sleep` in a command delays it")
        elif name == "TZ":
            self.note(number, "TZ is for the commands alone, as cron has it; --timezone is for the schedules")

    def _read_entry(self, number: int, text: str, comment: list[str]) -> None:
        match = _ENTRY.fullmatch(text)
        rest, user = (match[2] if match else None) or "", self.source.user
        if self.source.has_users:
            split = _WITH_USER.fullmatch(rest)
            user, rest = (split[1], split[2] or "") if split else (user, "")
        if match is None or not rest:
            self.lose(number, _not_an_entry(text, self.source.has_users))
            return
        zone = (not self.source.is_debian and self._env.get("CRON_TZ")) or self.source.timezone
        found = self._times(number, match[1], zone)
        command, given = _split(rest, self.source.is_debian)
        if command != _split(rest, not self.source.is_debian)[0]:
            made = "one" if self.source.is_debian else "two"
            self.note(number, f"Debian's cron makes one backslash of two, others leave both; here there are {made} now")
        self._first.add(command.split()[0] if command.split() else "")
        if _BACKGROUND.search(command):
            self.differ(
                number,
                "the command leaves a process running with `&`; cdktr ends that with the task: take the `&` away",
            )
        shell = self._env.get("SHELL", DEFAULT_SHELL)
        before = [day_test(found.weekdays, zone)] if found and found.weekdays is not None else []
        self.jobs.append(
            Job(
                origin=self.source.origin,
                line=number,
                entry=text,
                word=id_of(command),
                name=name_of(comment, command),
                description=tuple(comment),
                cron=found.expression if found else None,
                timezone=zone,
                env=self._env_of(rest),
                argv=_argv(shell, command, before, given),
                working_directory=self._folder(number, user),
            )
        )

    def _times(self, number: int, text: str, zone: str) -> Times | None:
        """When an entry runs; None, and told, where a workflow cannot say that."""
        by_hand = "the workflow has no schedule, and `cdktr task run` starts it"
        if text == "@reboot":
            self.lose(number, f"@reboot: cdktr has no such schedule; {by_hand}, as does a unit of systemd at the boot")
            return None
        try:
            found = times(text, zone)
        except DefinitionError as error:
            question = str(error).endswith("?")
            self.lose(number, f"{error} {by_hand.capitalize()}" if question else f"{error}; {by_hand}")
            return None
        if found.chosen:
            self.note(number, f"cron chooses a time at random; {found.chosen} was chosen now, and stays")
        if found.weekdays is not None:
            days = f"the entry runs on those of its days of the month that are {day_names(found.weekdays)}"
            self.note(number, f"{days}; as a schedule cannot say that, the command begins with a test of the weekday")
        return found

    def _env_of(self, command: str) -> dict[str, str]:
        env = {"PATH": DEFAULT_PATH, "SHELL": DEFAULT_SHELL, **self._env}
        return {name: value for name, value in env.items() if name not in _FOR_CRON or name in command}

    def _folder(self, number: int, user: str) -> str | None:
        if user != self.source.user:
            self._others.setdefault(user, []).append(number)
        home = self._env.get("HOME") or self.source.home(user)
        if home is None:
            self.differ(number, f"the home folder of {user} is not known here; set the task's `working_directory`")
        return home


def _not_an_entry(text: str, has_users: bool) -> str:
    """What is wrong with a line that is neither a variable nor an entry."""
    shown = _shown(text)
    if not _is_entry(f"{text.rstrip()} x"):
        return f"this line is neither a variable nor an entry, and is not carried over: {shown}"
    is_without_user = has_users and not _is_entry(text)
    missing = "the user and the command are" if is_without_user else "the command is"
    return f"{missing} missing after `{shown}`, so there is nothing to carry over"


def _shown(text: str) -> str:
    text = plain(text)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _lines(numbers: list[int]) -> str:
    more = f" and {len(numbers) - MAX_LINES} more" if len(numbers) > MAX_LINES else ""
    return f"line{'s' if numbers[1:] else ''} {', '.join(map(str, numbers[:MAX_LINES]))}{more}"


def _split(text: str, joins: bool) -> tuple[str, str]:
    """A command and its standard input, as cron takes an entry apart at `%`."""
    dropped = "%\\" if joins else "%"
    match = _COMMAND.fullmatch(text)
    command, rest = (match[1], match[2] or "") if match else (text, "")
    command = _ESCAPED.sub(lambda escaped: escaped[escaped[1] in dropped], command)
    given = _LINE_END.sub("\n", rest).replace(r"\%", "%")
    return command, given.removesuffix("\n") + "\n" if given else ""


def _end_word(lines: list[str]) -> str:
    """What ends a here-document of these lines; none of them may be that.

    dash loses a byte where a line begins as the word does and goes on with a character that is not ASCII (0.5.12), so
    that a word is taken whose beginning no such line has, if there is one.
    """
    firsts = {line[0] for line in lines if line and not line.isascii()}
    first = next((letter for letter in "E" + string.ascii_uppercase if letter not in firsts), "E")
    return next(word for n in range(len(lines) + 1) if (word := f"{first}ND{n or ''}") not in lines)


def _argv(shell: str, command: str, before: list[str], given: str) -> tuple[str, ...]:
    """The command line of a job: `before` are lines of sh that come first, `given` is its standard input."""
    if given:
        end = _end_word(given.split("\n"))
        before = [*before, f"exec <<'{end}'\n{given}{end}"]
    if not before:
        return shell, "-c", command
    if _LIKE_SH.fullmatch(shell):
        return shell, "-c", "\n".join([*before, command])
    return DEFAULT_SHELL, "-c", "\n".join([*before, 'exec "$0" -c "$1"']), shell, command
