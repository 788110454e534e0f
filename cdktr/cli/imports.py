"""`cdktr import crontab`: reads crontabs, writes workflow files. Needs no principal."""

import os
import pwd
import re
import stat
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from cdktr.catalog import SUFFIXES, workflow_texts
from cdktr.cli import Exit
from cdktr.cli.common import own_user, say, settings_of, show, show_json, write_new
from cdktr.cron import Schedule
from cdktr.crontab import Job, Kind, Remark, Source, read_crontab
from cdktr.crontab.known import STDIN, Made, made_of, visible
from cdktr.crontab.written import File, plan
from cdktr.errors import DefinitionError, SettingError, StartError
from cdktr.text import plural, table

#: Of a folder, cron reads the files of such names; others are what editors and packages left.
_READ_BY_CRON = re.compile(r"[A-Za-z0-9_-]+")

#: Only Debian and what is made from it have it, and with it a cron of their own.
DEBIAN = Path("/etc/debian_version")

#: Files in it are named for the users whose they are.
SPOOL = Path("/var/spool/cron")

HEADINGS = {Kind.LOST: "Not carried over:", Kind.DIFFERS: "Differs:", Kind.NOTE: "To know:"}

#: Remarks of a kind that are shown.
MAX_TOLD = 20


def crontab(arguments: Namespace) -> int:
    """Make workflow files of the entries of crontabs. What is there already stays as it is."""
    workflows = Path(settings_of(arguments).workflow_dir)
    into = Path(arguments.into) if arguments.into else workflows / "cron"
    jobs: list[Job] = []
    remarks: list[Remark] = []
    zone = arguments.timezone or host_zone()
    whose = "" if arguments.timezone or zone is None else ", as this host is; --timezone gives another"
    if zone is None:
        zone, away = "UTC", "does not say in which zone it is, so schedules are in UTC; --timezone gives another"
        remarks.append(Remark("this host", 0, away, Kind.DIFFERS))
    _check(zone)
    for source, data in _sources(arguments, zone):
        if source.has_users and arguments.system is None:
            users = "is read with a user before each command, as it is in /etc; --no-system reads it without"
            remarks.append(Remark(source.origin, 0, users))
        if isinstance(data, Remark):
            remarks.append(data)
            continue
        more_jobs, more_remarks = read_crontab(data, source)
        jobs += more_jobs
        remarks += more_remarks
    files, more_remarks = plan(jobs, _made(workflows, into), _taken(into))
    remarks += more_remarks
    if not arguments.dry_run:
        _write(into, [file for file in files if file.made is None], _mode(arguments.file))
    if arguments.json:
        show_json(_facts(into, workflows, zone, files, remarks, arguments.dry_run))
    else:
        if arguments.dry_run:
            _show_texts(into, files)
        _tell(into, workflows, zone, whose, files, remarks, arguments.dry_run)
    return Exit.ENDED_BADLY if not files or any(remark.kind == Kind.LOST for remark in remarks) else Exit.DONE


# What is read


def _sources(arguments: Namespace, zone: str) -> Iterator[tuple[Source, bytes | Remark]]:
    """Every crontab that is asked for, or why it was not read."""
    name = arguments.file
    if name is None:
        source = Source(_origin(own_user()), own_user(), zone, bool(arguments.system), DEBIAN.exists(), _home)
        yield source, _own(source.origin)
        return
    if name == "-":
        yield Source(STDIN, own_user(), zone, bool(arguments.system), DEBIAN.exists(), _home), _input()
        return
    given = Path(name)
    if not given.exists():
        raise StartError(f"There is no file {name}; `cdktr import crontab` without a file reads your own crontab")
    for path in sorted(given.iterdir()) if given.is_dir() else [given]:
        if path != given and (path.name.startswith(".") or not path.is_file()):
            continue
        source = _source(path, zone, arguments.system)
        if path != given and not _READ_BY_CRON.fullmatch(path.name):
            passed = "was passed over, as cron does with such a name; name the file itself to import it"
            yield source, Remark(source.origin, 0, passed)
            continue
        try:
            yield source, path.read_bytes()
        except OSError as error:
            if path == given:
                raise
            yield source, _unreadable(source.origin, error.strerror)


def _source(path: Path, zone: str, has_users: bool | None) -> Source:
    real = path.resolve()
    # Either may be a link: what cron reads, or where it reads.
    folders = {*real.parents, *Path(os.path.abspath(path)).parents}
    is_of_user = SPOOL in folders and _home(path.name) is not None
    user = path.name if is_of_user else own_user()
    origin = _origin(user) if is_of_user else str(real) if path.is_file() else STDIN
    in_etc = Path("/etc") in folders
    return Source(origin, user, zone, in_etc if has_users is None else has_users, DEBIAN.exists(), _home)


def _origin(user: str) -> str:
    return f"the crontab of {user}"


def _own(origin: str) -> bytes | Remark:
    try:
        done = subprocess.run(["crontab", "-l"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise StartError(
            f"Cannot run `crontab -l`: {error.strerror}; name a file, as in `cdktr import crontab /etc/crontab`"
        ) from error
    said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
    return _unreadable(origin, said) if done.returncode else done.stdout


def _unreadable(origin: str, why: str | None) -> Remark:
    return Remark(origin, 0, f"cannot be read: {why}", Kind.LOST)


def _input() -> bytes:
    return b"" if sys.stdin is None else sys.stdin.buffer.read()


def _home(user: str) -> str | None:
    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return None


def _check(zone: str) -> None:
    """Raises SettingError for a zone that is not known."""
    try:
        Schedule.parse("@daily", zone)
    except DefinitionError as error:
        raise SettingError(f"{error}; give another as --timezone") from None


def host_zone(etc: Path = Path("/etc")) -> str | None:
    """The IANA name of the zone that a daemon of this host is in; None when it cannot be found."""
    link = etc / "localtime"
    if not link.exists():
        # As the C library has it.
        return "UTC"
    name = str(link.resolve()).partition("/zoneinfo/")[2]
    if not name:
        try:
            name = (etc / "timezone").read_text("utf-8").strip()
        except (OSError, ValueError):
            return None
    return name.removeprefix("posix/").removeprefix("right/") or None


def _made(*folders: Path) -> list[Made]:
    """What imports made before, below these folders, of which one may be in another."""
    texts: dict[Path, tuple[Path, str]] = {}
    for folder in folders:
        for path, text in workflow_texts(folder):
            texts.setdefault(path.resolve(), (path, text))
    return [made for path, text in texts.values() for made in made_of(str(path), text)]


def _taken(into: Path) -> set[str]:
    """The names of the folder that a workflow file has, also one that cannot be read."""
    names = into.iterdir() if into.is_dir() else ()
    return {path.stem.lower() for path in names if path.suffix.lower() in SUFFIXES}


# What is written and told


def _mode(name: str | None) -> int:
    """The permissions of the files: as private as the crontab, in which passwords may stand."""
    if name is None:
        return 0o600
    path = Path(name)
    of = [path, *path.iterdir()] if path.is_dir() else [path] if path.exists() else []
    return 0o666 if all(each.stat().st_mode & stat.S_IROTH for each in of if each.exists()) else 0o600


def _write(into: Path, files: Sequence[File], mode: int) -> None:
    """Raises StartError that names the file; those before it are written, and another import goes on from there."""
    path = into
    try:
        if files:
            into.mkdir(parents=True, exist_ok=True)
        for file in files:
            path = into / f"{file.stem}.yml"
            write_new(path, file.text.encode(), mode)
    except OSError as error:
        raise StartError(f"Cannot write {path}: {error.strerror}; import again when that is mended") from error


def _show_texts(into: Path, files: Sequence[File]) -> None:
    for file in files:
        if file.made is None:
            show([f"--- {_path(into, file)}", *file.text.split("\n")])


def _status(file: File, is_dry: bool) -> str:
    if file.made is None:
        return "new" if is_dry else "made"
    return "there, and different" if file.is_edited else "there"


def _path(into: Path, file: File) -> str:
    return file.made.path if file.made else str(into / f"{file.stem}.yml")


def _tell(
    into: Path, workflows: Path, zone: str, whose: str, files: Sequence[File], remarks: Sequence[Remark], is_dry: bool
) -> None:
    new, old = [file for file in files if file.made is None], [file for file in files if file.made is not None]
    parts: list[list[str]] = []
    if new:
        rows = [(f"  {file.stem}.yml", _when(file.job, zone), file.job.name) for file in new]
        made = f"{'Would make' if is_dry else 'Made'} {plural(len(new), 'file')} in {into}:"
        parts.append([made, *table(("  FILE", "RUNS", "NAME"), rows).split("\n")])
        if zones := _zones(new, zone, whose):
            parts.append([zones])
    if old:
        names = [f"  {_path(into, file)}{_since(file)}" for file in old]
        parts.append([f"There already, and left as {'they are' if old[1:] else 'it is'}:", *names])
    if not new:
        parts.append(["Nothing was changed." if old else "There is no entry to import. Nothing was changed."])
    for kind, heading in HEADINGS.items():
        if told := [remark for remark in remarks if remark.kind == kind]:
            more = [f"  and {len(told) - MAX_TOLD} more; --json tells all"] if len(told) > MAX_TOLD else []
            parts.append([heading, *(f"  {remark}" for remark in told[:MAX_TOLD]), *more])
    if new and not is_dry:
        both = "and take the entries out of the crontab, or both will run them."
        parts.append(["Next:", f"  cdktr validate {into}", f"  {both}"])
    show("\n\n".join("\n".join(part) for part in parts).split("\n"))
    if new and _id(into / "x.yml", workflows) is None:
        say(f"cdktr: the principal reads {workflows}, and so not these files; see CDKTR_WORKFLOW_DIR")


def _since(file: File) -> str:
    """How a file that is there is not as this import would make it."""
    other = [f"made from {file.made.origin}"] if file.made and file.made.origin != visible(file.job.origin) else []
    said = "; ".join([*other, *["it differs by now"] * file.is_edited])
    return f" ({said})" if said else ""


def _id(path: Path, workflows: Path) -> str | None:
    """The id of the workflow in a file; None when the principal does not read that."""
    try:
        return ".".join(path.absolute().relative_to(workflows.absolute()).with_suffix("").parts)
    except ValueError:
        return None


def _when(job: Job, zone: str) -> str:
    if job.cron is None:
        return "only when asked for"
    words = Schedule.parse(job.cron, job.timezone).in_words
    return words if job.timezone == zone else f"{words} ({job.timezone})"


def _zones(files: Sequence[File], zone: str, whose: str) -> str:
    """In which zones their schedules are, and why; empty when there are none."""
    found = {file.job.timezone for file in files if file.job.cron is not None}
    others = sorted(found - {zone})
    if found == set(others):
        return f"Schedules are in {' and '.join(others)}, as CRON_TZ says." if others else ""
    said = f"Schedules are in {zone}{whose}."
    return f"{said} Where RUNS names a zone, CRON_TZ gives it." if others else said


def _facts(
    into: Path, workflows: Path, zone: str, files: Sequence[File], remarks: Sequence[Remark], is_dry: bool
) -> dict[str, object]:
    """For programs."""
    return {
        "into": str(into),
        "timezone": zone,
        "dry_run": is_dry,
        "files": [
            {
                "path": _path(into, file),
                "workflow_id": _id(Path(_path(into, file)), workflows),
                "status": _status(file, is_dry),
                "origin": file.job.origin,
                "line": file.job.line,
                "cron": file.job.cron,
                "timezone": file.job.timezone,
                "text": file.text,
            }
            for file in files
        ],
        "remarks": [
            {"origin": each.origin, "line": each.line, "message": each.message, "kind": each.kind} for each in remarks
        ],
    }
