"""Jobs as the text of workflow files, and which file each is to be."""

import json
import re
from collections.abc import Collection, Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count

from cdktr.crontab import Job, Kind, Remark
from cdktr.crontab.known import Made, head_of, match, remarks_on, visible
from cdktr.parse import WorkflowProblems, parse_workflow

#: Characters: a longer command is a block of its own.
MAX_QUOTED = 80

_OPEN = "${{"
#: Text that YAML takes for nothing else, without quotes.
_BARE = re.compile(r"[A-Za-z/][A-Za-z0-9/_.]*(-[A-Za-z0-9]+)*|-c")
_TASK = re.compile(r'^tasks:\n  "?([a-z0-9_-]+)"?:$', re.MULTILINE)
_NOT_TEXT = re.compile(r"true|false|yes|no|on|off|null|y|n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class File:
    """A job and the name of its file, without folder and suffix."""

    job: Job
    stem: str
    text: str
    #: The file that was made from this entry before, by whatever name. Then none is to be written.
    made: Made | None = None

    @property
    def is_edited(self) -> bool:
        """The file that is there holds something else than would be written now, but for the number of the line."""
        return self.made is not None and self.made.text.partition("\n")[2] != self.text.partition("\n")[2]


def workflow_text(job: Job, stem: str) -> str:
    """The workflow of a job, whose only task is called `stem`. Raises WorkflowProblems for what no file can hold."""
    text = "".join(f"{line}\n" for line in _lines(job, stem))
    parse_workflow(text, stem, f"{stem}.yml")
    return text


def plan(
    jobs: Sequence[Job], made: Sequence[Made] = (), taken: Collection[str] = ()
) -> tuple[list[File], list[Remark]]:
    """The files of all jobs, in their order, and what is to be said of them. `made`: the files that imports made
    before; `taken`: names in lower case that no new file can have."""
    files: list[File] = []
    found = match(jobs, made)
    remarks = remarks_on(jobs, made, found)
    stems = set(taken)
    for job, own in zip(jobs, found, strict=True):
        stem = _stem_in(own, job) if own else _stem(job, stems)
        try:
            files.append(File(job, stem, workflow_text(job, stem), own))
            if own is None:
                stems.add(stem)
        except WorkflowProblems as error:
            message = f"this entry is not carried over, as no workflow can hold it: {error.problems[0].message}"
            remarks.append(Remark(job.origin, job.line, message, Kind.LOST))
    return files, remarks


def _stem(job: Job, taken: Container[str]) -> str:
    """The first free name."""
    names = chain([job.word], (f"{job.word}-{number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def _stem_in(made: Made, job: Job) -> str:
    """What a file was called at first: so is its task, also when the file has another name now."""
    task = _TASK.search(made.text)
    return task[1] if task else job.word


def _lines(job: Job, stem: str) -> Iterator[str]:
    brace = _brace(job)
    yield head_of(job)
    yield f"name: {_quoted(job.name)}"
    if job.description:
        yield from _value("description: ", "\n".join(job.description), "  ")
    if job.cron is not None:
        yield f"cron: {_quoted(job.cron)}"
        yield f"timezone: {_scalar(job.timezone)}"
    if brace:
        yield from ("params:", f"  # A command cannot hold {_OPEN} in any other way.", f'  {brace}: "{_OPEN}"')
    yield "env:"
    for name, value in job.env.items():
        yield f"  {_key(name)}: {_quoted(_with(value, brace))}"
    yield from ("tasks:", f"  {_key(stem)}:", f"    name: {_quoted(job.name)}")
    if job.working_directory is not None:
        yield f"    working_directory: {_scalar(job.working_directory)}"
    yield from ("    config:", "      !Subprocess", f"      cmd: {_scalar(job.argv[0])}", "      args:")
    for arg in job.argv[1:]:
        yield from _value("        - ", _with(arg, brace), " " * 10)


def _brace(job: Job) -> str:
    """The name of a parameter that stands for what would begin one; empty where there is no need of it."""
    texts = [*job.argv[1:], *job.env.values()]
    if not any(_OPEN in text for text in texts):
        return ""
    everything = " ".join([*texts, *job.env])
    return next(name for n in range(len(everything)) if (name := f"braces{n or ''}") not in everything)


def _with(text: str, brace: str) -> str:
    return text.replace(_OPEN, f"{_OPEN} params.{brace} }}}}") if brace else text


def _value(key: str, text: str, indent: str) -> Iterator[str]:
    """A key and its text: as a block where that is easier to read."""
    lines = text.split("\n")
    is_long = len(text) > MAX_QUOTED or len(lines) > 1 or ('"' in text and "'" in text) or "\\" in text
    is_plain = all(map(str.isprintable, lines)) and lines[0] and lines[-1] and not lines[0].startswith(" ")
    if not (is_long and is_plain):
        yield key + _scalar(text)
        return
    yield f"{key}|-"
    yield from (indent + line if line else "" for line in lines)


def _key(text: str) -> str:
    return text if not _NOT_TEXT.fullmatch(text) and not text[0].isdigit() else _quoted(text)


def _scalar(text: str) -> str:
    return text if _BARE.fullmatch(text) and not _NOT_TEXT.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    if text.isprintable() and "\\" not in text and '"' not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """For double quotes in YAML."""
    return "".join(json.dumps(char)[1:-1] if char in '"\\\n\t\r' else visible(char) for char in text)
