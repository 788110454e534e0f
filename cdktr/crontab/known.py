"""Which workflow files were made from which entries: an entry is known again by its crontab and its line."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cdktr.crontab import Job, Remark

__all__ = ["STDIN", "Made", "head_of", "made_of", "match", "remarks_on", "visible"]

#: The origin of what does not say where it is from: the line alone tells its entries.
STDIN = "standard input"

_HEAD = re.compile(r"^# From (.+?), line (\d+): (.+?)[ \t\r]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Made:
    """A workflow file that was made from an entry."""

    #: For people.
    path: str
    origin: str
    line: int
    entry: str
    #: What the file holds now.
    text: str


def head_of(job: Job) -> str:
    """The line of a workflow file that says from which entry it is."""
    return f"# From {visible(job.origin)}, line {job.line}: {_entry(job)}"


def made_of(path: str, text: str) -> Iterator[Made]:
    """The entries from which a workflow file was made: those whose heads it still has, wherever in it they stand."""
    for head in _HEAD.finditer(text):
        # As many digits as a line number may have.
        yield Made(path, head[1], int(head[2][:9]), head[3], text)


def match(jobs: Sequence[Job], made: Iterable[Made]) -> list[Made | None]:
    """The file of each job, in their order. None is that of two; entries that are alike have theirs in their order."""
    free = _by_entry(made)
    found: list[Made | None] = [None] * len(jobs)
    # Those of another origin only when all others have theirs.
    for is_same in (_has_origin, _may_have_origin):
        for number, job in enumerate(jobs):
            alike = free.get(_entry(job), [])
            one = next((each for each in alike if is_same(job, each)), None)
            if found[number] is None and one is not None:
                alike.remove(one)
                found[number] = one
    return found


def remarks_on(jobs: Sequence[Job], made: Sequence[Made], found: Sequence[Made | None]) -> list[Remark]:
    """What may run twice: entries of several crontabs, and files of lines that are in theirs no more."""
    remarks: list[Remark] = []
    alike = _by_entry(made)
    for job, own in zip(jobs, found, strict=True):
        twin = next((each for each in alike.get(_entry(job), []) if not _has_origin(job, each)), None)
        if own is None and twin is not None and job.cron is not None:
            same = f"the same entry is in {twin.path}, made from {twin.origin}; both run"
            remarks.append(Remark(job.origin, job.line, same))
    entries: dict[str, set[str]] = {}
    for job in jobs:
        entries.setdefault(visible(job.origin), set()).add(_entry(job))
    # Of a crontab from which everything was taken out nothing is told: that is the end of the way.
    claimed = set(map(id, found))
    for each in made:
        if id(each) not in claimed and each.origin in entries and each.entry not in entries[each.origin]:
            gone = f"no longer has the line from which {each.path} was made"
            advice = "if the line was only changed, remove that file, or both run"
            remarks.append(Remark(each.origin, 0, f"{gone}; {advice}"))
    return remarks


def _by_entry(made: Iterable[Made]) -> dict[str, list[Made]]:
    found: dict[str, list[Made]] = {}
    for each in sorted(made, key=lambda each: (each.line, each.path)):
        found.setdefault(each.entry, []).append(each)
    return found


def visible(text: str) -> str:
    """Every character without a glyph as its number."""
    return "".join(char if char.isprintable() else _number(ord(char)) for char in text)


def _number(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _entry(job: Job) -> str:
    return visible(job.entry.strip())


def _has_origin(job: Job, made: Made) -> bool:
    return made.origin == visible(job.origin)


def _may_have_origin(job: Job, made: Made) -> bool:
    return STDIN in (made.origin, job.origin)
