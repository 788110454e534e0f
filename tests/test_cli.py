"""The parts of the command line that need no principal: arguments, exit codes, errors, and everything that is drawn."""

import contextlib
import json
import re
import resource
import shutil
import subprocess
import sys
import time
import tomllib
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import cdktr.cli
from cdktr import __version__, bundle, cli, errors, moments
from cdktr.cli import (
    MEANINGS,
    Exit,
    arguments,
    common,
    init,
    logs,
    look,
    main,
    names,
    project,
    run,
    service,
    show,
    tree,
)
from cdktr.cli.common import TroubleTeller
from cdktr.cli.start import Formatter
from cdktr.codec import outline_to_json, workflow_to_json
from cdktr.messages import Structured
from cdktr.records import RunStatus
from cdktr.settings import Entry, load
from cdktr.workflow import CatchUp, Outline, Retry, RunIf, Subprocess, Task, UvPython, Workflow

#: 2026-01-31 00:00 UTC, a Saturday in winter time.
NOW = datetime(2026, 1, 31, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def lines(text: str) -> list[str]:
    """A golden text as a list: without the first line break, and without the margin."""
    rows = text.strip("\n").split("\n")
    margin = min(len(row) - len(row.lstrip()) for row in rows if row.strip())
    return [row[margin:].rstrip() for row in rows[:-1]]


# The command line itself.


def loaded_by(code: str) -> set[str]:
    """Which libraries that cost time a program loads."""
    heavy = {"zmq", "duckdb", "yaml", "asyncio", "argparse", "enum", "typing"}
    program = f"import sys\n{code}\nprint(*({heavy!r} & set(sys.modules)))"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(Path.cwd())!r})\n{program}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split())


def test_nothing_heavy_is_loaded_for_the_version_or_a_help_text() -> None:
    assert loaded_by("import cdktr.cli; cdktr.cli.main(['--version'])") == set()
    assert loaded_by("import cdktr.cli; cdktr.cli.main(['task', 'run', '--help'])") <= {"argparse", "enum", "typing"}


@pytest.mark.parametrize(
    ("argv", "code", "sentence"),
    [
        (["--version"], 0, f"cdktr {__version__}\n"),
        (["-V"], 0, f"cdktr {__version__}\n"),
        (["--help"], 0, "exit codes:\n  0    done\n  1  "),
        (["task", "run", "--help"], 0, "--param K=V"),
        ([], 2, "usage: cdktr"),
        (["task"], 2, "usage: cdktr task"),
        (["tsk"], 2, "cdktr: argument COMMAND: 'tsk' is not known; did you mean task? See `cdktr --help`.\n"),
        (
            ["task", "zzz"],
            2,
            "'zzz' is not known; expected one of list, run, show, history, pause, resume, reload. See `cdktr task ",
        ),
        (["task", "run"], 2, "the following arguments are required: WORKFLOW. See `cdktr task run --help`.\n"),
        (["task", "list", "--jso"], 2, "cdktr task list: '--jso' is not known; did you mean --json? See `cdktr task l"),
        (
            ["task", "run", "--parm", "x", "hello"],
            2,
            "cdktr task run: '--parm' is not known; did you mean --param? See",
        ),
        (
            ["task", "run", "--zzz=1", "hello"],
            2,
            "cdktr task run: '--zzz' is not known. See `cdktr task run --help`.\n",
        ),
        (["task", "run", "hello", "you"], 2, "cdktr task run: 'you' is one argument too many. See `cdktr task run -"),
        (["--jso", "task", "list"], 2, "cdktr: '--jso' is not known. See `cdktr --help`.\n"),
        (["stat"], 2, "'stat' is not known; did you mean status?"),
        (["start", "principal", "-p", "99999"], 2, "'99999' is not a port number from 0 to 65535"),
        (["start", "agent", "--max-concurrent", "0"], 2, "'0' is not a whole number from 1 to 10000"),
        (["start", "agent", "--max-concurrent", "0000000000001"], 2, "is not a whole number"),
        (
            ["start", "agent", "--label", "a", "--label", "b c"],
            2,
            "CDKTR_AGENT_LABELS is 'a,b c' on the command line",
        ),
        (
            ["start", "agent", "--label", "gpu", "--label", " "],
            2,
            "argument --label: a label is missing; leave the flag",
        ),
        (["start", "agent", "--label", ""], 2, "argument --label: a label is missing; leave the flag out for an agent"),
        (
            ["start", "principal", "--label", "gpu"],
            2,
            "--label is for the agent of --with-agent; give both",
        ),
        (["logs", "query", "--level", "loud"], 2, "expected one of DEBUG, ERROR, INFO, WARNING"),
    ],
)
def test_arguments(argv: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == code
    said = capsys.readouterr()
    assert sentence in said.out + said.err
    assert bool(said.err) == ("usage" not in said.out and code != 0)


def test_the_help_has_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    codes = {value for name, value in vars(Exit).items() if name.isupper()}
    assert codes == set(MEANINGS)
    main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"  {code:<5}{meaning}\n" in shown for code, meaning in MEANINGS.items())


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    pending, count = [[name] for name in tree.COMMANDS], 0
    while pending:
        words = pending.pop()
        assert main([*words, "--help"]) == 0
        said = capsys.readouterr().out
        assert f"usage: cdktr {' '.join(words)}" in said
        assert all(len(line) <= 110 for line in said.splitlines()), words
        inner = re.findall(r"^    ([\w.]+)", said.partition("\ncommands:\n")[2], re.MULTILINE)
        pending += [[*words, word] for word in inner]
        count += 1
    assert count == len(tree.COMMANDS) + 17


def test_the_names_of_statuses_are_those_of_the_records() -> None:
    assert tuple(RunStatus) == arguments.STATUSES


def test_a_secret_is_told_of_and_not_in_the_unit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDKTR_APP_DATA_DIRECTORY", "data")
    monkeypatch.setenv("CDKTR_DB_PATH", "the-secret")
    monkeypatch.setattr(service, "_secret_names", lambda: {"CDKTR_DB_PATH"})
    assert main(["service", "agent"]) == 0
    said = capsys.readouterr()
    assert f"\nEnvironmentFile={tmp_path}/data/secrets.env\n" in said.out
    assert "CDKTR_DB_PATH" not in said.out
    assert "the-secret" not in said.out + said.err
    assert f"CDKTR_DB_PATH: secret, and not in the unit. Before it starts, write NAME=value into {tmp_path}" in said.err


def test_a_unit_has_settings_as_they_can_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDKTR_APP_DATA_DIRECTORY", "data")
    monkeypatch.setenv("CDKTR_EMBEDDED_PYTHON", "1")
    assert main(["service", "agent"]) == 0
    assert "\nEnvironment=CDKTR_EMBEDDED_PYTHON=1\n" in capsys.readouterr().out


def test_what_a_unit_reaches_is_known_by_the_links_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDKTR_WORKFLOW_DIR", "link")
    monkeypatch.setenv("_CDKTR_FILE", "link/cdktr")
    found = service.described("principal", False, load())
    assert found.command == [f"{tmp_path}/link/cdktr"]
    assert {f"{tmp_path}/link", f"{tmp_path}/real", f"{tmp_path}/real/cdktr"} <= set(found.reads)
    assert found.environment["CDKTR_WORKFLOW_DIR"] == f"{tmp_path}/link"


# Errors.


def failing(error: BaseException) -> Callable[[object], int]:
    """A command line that ends with this error."""

    def run(_: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (errors.SettingError("No."), 2, "cdktr: No.\n"),
        (errors.UnreachableError(), 3, "cdktr: The principal did not answer; is it running? `cdktr start principal`"),
        (errors.NotFoundError("No."), 4, "cdktr: No.\n"),
        (errors.StartError("No."), 5, "cdktr: No.\n"),
        (errors.StoreError("No."), 6, "cdktr: No.\n"),
        (errors.RefusedError("\x1b[2Jone\ntwo"), 6, "cdktr: \\x1b[2Jone\ntwo\n"),
        (OSError(28, "No space left on device"), 5, "cdktr: No space left on device\n"),
        (OSError(13, "Permission denied", "file"), 5, "cdktr: file: Permission denied\n"),
        (ExceptionGroup("", [ExceptionGroup("", [errors.StartError("Deep.")])]), 5, "cdktr: Deep.\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_a_sentence_and_a_code(
    error: BaseException,
    code: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "_run", failing(error))
    monkeypatch.setattr(cli, "_silence", lambda: None)
    monkeypatch.setenv("CDKTR_LOG_LEVEL", "INFO")
    assert main([]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(sentence)
    assert "Traceback" not in said.err


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    group = ExceptionGroup("several", [errors.StartError("No."), ZeroDivisionError("\x1b[2J")])
    monkeypatch.setattr(cli, "_run", failing(group))
    assert main([]) == 70
    said = capsys.readouterr().err
    assert said.startswith(r"cdktr: this is a bug: ZeroDivisionError('\x1b[2J'); please report it with what follows")
    assert "Traceback" in said
    assert "\x1b" not in said


def test_debugging_shows_the_traceback_of_any_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CDKTR_LOG_LEVEL", "DEBUG")
    monkeypatch.setattr(cli, "_run", failing(errors.NotFoundError("No.")))
    assert main([]) == 4
    assert capsys.readouterr().err.startswith("cdktr: No.\nTraceback")


def test_log_lines_of_daemons() -> None:
    import logging

    record = logging.LogRecord("x", logging.INFO, "", 1, "quoted: %s", ("\x1b[2J\n",), None)
    record.created = NOW_MS / 1000
    assert Formatter().format(record) == r"2026-01-31T00:00:00Z [INFO] quoted: \x1b[2J\x0a"


# Parameters, times, names.


def test_parameters(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text('{"a": 1, "b": true, "c": "x"}')
    assert run.read_params(None, ["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    assert run.read_params(str(file), ["c=y"]) == {"a": 1, "b": True, "c": "y"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", 'must hold an object such as {"day": "2026-01-31"}'),
        ('{"a": [1]}', "a must be a text, a number, true or false"),
        ('{"a": null}', "a must be a text, a number, true or false"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\xff", "is not JSON"),
    ],
)
def test_a_wrong_file_of_parameters(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(errors.SettingError) as caught:
        run.read_params(str(file), [])
    assert sentence in str(caught.value)


def test_a_parameter_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingError, match=r"^--param a is given twice, as 'b' and as 'c'; give it once$"):
        run.read_params(None, ["a=b", "d=", "a=c"])


@pytest.mark.parametrize("pair", ["a", "=b", ""])
def test_a_wrong_parameter_shows_a_right_one(pair: str) -> None:
    with pytest.raises(errors.SettingError, match="expected something like --param day=2026-01-31"):
        run.read_params(None, [pair])


HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("flags", "back_s", "start", "end"),
    [
        ({}, 60.0, NOW_MS - 60_000, None),
        ({}, None, None, None),
        ({"until": "1h"}, None, None, NOW_MS - HOUR_MS),
        ({"until": "1h"}, 60.0, NOW_MS - HOUR_MS - 60_000, NOW_MS - HOUR_MS),
        ({"last": "1h"}, None, NOW_MS - HOUR_MS, None),
        ({"last": "1h"}, 60.0, NOW_MS - HOUR_MS, None),
        ({"since": "2h", "until": "1h"}, 60.0, NOW_MS - 2 * HOUR_MS, NOW_MS - HOUR_MS),
        ({"last": "1h", "until": "1h"}, 60.0, NOW_MS - 2 * HOUR_MS, NOW_MS - HOUR_MS),
    ],
)
def test_the_window_of_a_query(flags: dict[str, str], back_s: float | None, start: int | None, end: int | None) -> None:
    given = {"since": None, "until": None, "last": None} | flags
    assert logs.window(Namespace(**given), NOW, back_s) == (start, end)


def test_what_was_meant() -> None:
    assert names.hint("daily", ["etl.daily", "dally"]) == "did you mean etl.daily or dally?"
    assert names.hint("zzz", ["etl.daily"]) == "`cdktr task list` shows all"
    assert names.hint("zzz", []) == "the principal's workflow folder is empty"


class Answers:
    """A principal that knows a few answers."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def ask(self, request: Structured) -> Any:
        """The answer by the request's verb; an error is raised."""
        self.asked.append(request.verb)
        answer = self._answers.get(request.verb, errors.RefusedError(f"Unknown request {request.verb!r}"))
        if isinstance(answer, Exception):
            raise answer
        return answer


def workflows_with(**task_names: str) -> Answers:
    """Workflows w1, w2, … with one task t each, of these names."""
    found = {w: {"dag": {"task_map": {"t": {"name": name}}}} for w, name in task_names.items()}
    return Answers({"LSWORKFLOWS": found})


def test_a_task_is_found_by_its_id_or_its_name() -> None:
    both: Any = workflows_with(w1="One", w2="Two")
    assert names.task_name(both, None, "One") == "One"
    assert names.task_name(both, "w2", "t") == "Two"
    assert names.task_name(both, None, "gone") == "gone"
    with pytest.raises(errors.SettingError, match="give --workflow too"):
        names.task_name(both, None, "t")


def test_little_is_asked_of_a_principal_that_can_tell_little() -> None:
    told = workflow_to_json(ETL)
    new: Any = Answers({"LSCATALOG": {"revision": 1, "workflows": [outline_to_json(ETL)]}, "GETWORKFLOW": told})
    old: Any = Answers({"LSWORKFLOWS": {"etl.daily": told}})
    assert names.outlines(new) == names.outlines(old) == [Outline.of(ETL)]
    assert names.find_workflow(new, "etl.daily") == names.find_workflow(old, "etl.daily") == told
    assert new.asked == ["LSCATALOG", "GETWORKFLOW"]
    new._answers |= {"GETWORKFLOW": errors.NotFoundError("No workflow exists with id daily"), "LSPROBLEMS": []}
    old._answers |= {"LSPROBLEMS": []}
    for principal in (new, old):
        with pytest.raises(errors.NotFoundError, match=r"did you mean etl\.daily\?"):
            names.find_workflow(principal, "daily")


def test_an_older_principal_that_knows_no_times_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ignores what it does not know, and answers with the newest runs."""
    hour = 3_600_000
    now_ms = int(time.time() * 1000)
    answer = [RUN | {"queued_ms": now_ms - age, "ended_ms": now_ms - age + 60_000} for age in (hour, 30 * hour)]
    principal = Answers({"LSRUNS": answer, "STATUS": {}})
    monkeypatch.setattr(look, "connect", lambda _: contextlib.nullcontext(principal))
    assert main(["task", "history", "--last", "1d", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == answer[:1]
    sentence = "cdktr: this principal is older and knows no times: only its newest 2 runs were looked at\n"
    assert said.err == sentence
    assert main(["task", "history", "--last", "2d"]) == 0
    assert capsys.readouterr().err == ""


# Times and tables.


def workflow(**given: Any) -> Workflow:
    """A workflow of one task."""
    tasks = {"a": Task("A", Subprocess("echo", ("hi",)))}
    return Workflow(**{"id": "w", "name": "W", "tasks": tasks, **given})


def test_lines_are_cut_at_the_edge() -> None:
    assert list(show.fit(["12345", "123456", "日本語", ""], 5)) == ["12345", "1234…", "日本…", ""]


RUN: dict[str, Any] = {
    "workflow_id": "etl.daily",
    "workflow_instance_id": "calm-owl-7",
    "status": "FAILED",
    "queued_ms": NOW_MS,
    "started_ms": NOW_MS + 1000,
    "ended_ms": NOW_MS + 13_000,
    "agent_id": "web1-4f2a",
    "detail": "failed: load",
    "trigger": "schedule",
    "params": '{"day":"x"}',
}

TASKS: list[dict[str, Any]] = [
    {"task_id": "get", "status": "COMPLETED", "attempt": 1, "exit_code": 0, "detail": None,
     "started_ms": NOW_MS + 1000, "ended_ms": NOW_MS + 3000},
    {"task_id": "load", "status": "FAILED", "attempt": 3, "exit_code": 2, "detail": "exit code 2",
     "started_ms": NOW_MS + 3000, "ended_ms": NOW_MS + 13_000},
    {"task_id": "gone", "status": "SKIPPED", "attempt": None, "exit_code": None, "detail": None,
     "started_ms": None, "ended_ms": NOW_MS + 13_000},
]  # fmt: skip

ETL = workflow(
    id="etl.daily",
    name="ETL",
    path="workflows/etl/daily.yml",
    cron="0 2 * * *",
    catch_up=CatchUp.LATEST,
    params={"day": None, "full": False},
    requires=("gpu", "zone=eu"),
    description="Every\nnight",
    tasks={
        "get": Task("Get", Subprocess("curl", ("-sS", "https://x"))),
        "load": Task("Load", UvPython("load.py"), depends=("get",), retry=Retry(2), timeout_s=90),
        "mail": Task("Mail", Subprocess("mail"), depends=("load",), run_if=RunIf.ALL_DONE, allow_failure=True),
    },
)


@pytest.mark.usefixtures("local_zone")
def test_the_table_of_runs() -> None:
    waiting = RUN | {"started_ms": None, "ended_ms": None, "status": "PENDING", "agent_id": None, "detail": "\x1b"}
    assert show.history_table([RUN, waiting], NOW) == lines(
        r"""
        RUN         WORKFLOW   STATUS   STARTED EST          TOOK  AGENT      TRIGGER   DETAIL
        calm-owl-7  etl.daily  FAILED   2026-01-30 19:00:01  12s   web1-4f2a  schedule  failed: load
        calm-owl-7  etl.daily  PENDING  2026-01-30 19:00:00  -     -          schedule  \x1b
        """
    )
    assert show.history_table([RUN, waiting], NOW, 84) == lines(
        r"""
        RUN         WORKFLOW   STATUS   STARTED EST  TOOK  AGENT      TRIGGER   DETAIL
        calm-owl-7  etl.daily  FAILED   19:00:01     12s   web1-4f2a  schedule  failed: load
        calm-owl-7  etl.daily  PENDING  19:00:00     -     -          schedule  \x1b
        """
    )
    assert show.history_table([RUN, waiting], NOW, 61) == lines(
        r"""
        RUN         WORKFLOW   STATUS   STARTED EST  TOOK  DETAIL
        calm-owl-7  etl.daily  FAILED   19:00:01     12s   failed: l…
        calm-owl-7  etl.daily  PENDING  19:00:00     -     \x1b
        """
    )


@pytest.mark.usefixtures("local_zone")
def test_tables_fit_a_terminal_of_80_columns() -> None:
    run = RUN | {"workflow_instance_id": "jumping-monkey-123", "detail": "failed: " + "load, " * 20}
    latest = {"etl.daily": {"status": "COMPLETED", "timestamp_ms": NOW_MS - 60_000}}
    berlin = workflow(id="etl.daily", name="Every night " * 9, cron="0 0 2 * * *", timezone="Europe/Berlin")
    for table in (show.history_table([run], NOW, 80), show.workflows_table([berlin], latest, NOW, 80)):
        assert max(map(len, table)) == 80
        assert table[1].endswith("…")
    assert not any("…" in row for row in show.history_table([run], NOW))


@pytest.mark.usefixtures("local_zone")
def test_the_zone_is_named() -> None:
    july_ms = NOW_MS + 180 * 24 * HOUR_MS
    assert moments.zone([NOW_MS, None, NOW_MS]) == "EST"
    assert moments.zone([july_ms, NOW_MS]) == "EDT/EST"
    assert moments.zone([None]) == moments.zone([2**62]) == ""
    day_before = RUN | {"started_ms": NOW_MS - 24 * HOUR_MS}
    head, row = show.history_table([day_before], NOW, 80)
    assert "  STARTED EST  " in head
    assert "  01-29 19:00  " in row
    open_ = show.run_lines(RUN | {"ended_ms": None}, TASKS, ETL, NOW, 80, False)
    assert "  ended       -" in open_


@pytest.mark.usefixtures("local_zone")
def test_the_table_of_workflows() -> None:
    latest = {"w": {"status": "COMPLETED", "timestamp_ms": NOW_MS - 60_000}}
    assert show.workflows_table([workflow(), ETL], latest, NOW) == lines(
        """
        ID         SCHEDULE        NEXT RUN                                               LAST RUN             NAME
        w          -               -                                                      COMPLETED 1m00s ago  W
        etl.daily  daily at 02:00  2026-01-31 02:00 UTC (2026-01-30 21:00 EST), in 2h00m  never                ETL
        """
    )
    assert show.workflows_table([workflow(), ETL], latest, NOW, 80) == lines(
        """
        ID         SCHEDULE        NEXT RUN  LAST RUN          NAME
        w          -               -         COMPLETED 1m ago  W
        etl.daily  daily at 02:00  in 2h00m  never             ETL
        """
    )


def test_no_next_run_is_promised_while_the_scheduler_is_off() -> None:
    for columns in (None, 80):
        plain, etl = show.workflows_table([workflow(), ETL], {}, NOW, columns, False)[1:]
        assert "scheduler off" not in plain
        assert re.search(r"  daily at 02:00  scheduler off  never +ETL$", etl)
    shown = "\n".join(show.workflow_lines(ETL, None, NOW, 80, True, False))
    assert "\n  schedule    daily at 02:00\n  next run    scheduler off; the principal has --no-scheduler\n" in shown


@pytest.mark.usefixtures("local_zone")
def test_a_paused_workflow_says_so_where_the_next_run_stands() -> None:
    for columns, scheduled in ((None, True), (80, True), (80, False)):
        plain, etl = show.workflows_table([workflow(), ETL], {}, NOW, columns, scheduled, {"etl.daily": 1, "w": 1})[1:]
        assert re.search(r"^w +- +paused +never +W$", plain)
        assert re.search(r"  daily at 02:00  paused +never +ETL$", etl)
    shown = "\n".join(show.workflow_lines(ETL, None, NOW, 80, True, True, NOW_MS - 3600_000))
    since = "  paused      since 2026-01-30 18:00:00 EST, 1h00m ago; by hand it still runs"
    assert f"\n  schedule    daily at 02:00\n{since}\n  catch up  " in shown
    assert "\n  next run" not in shown


@pytest.mark.usefixtures("local_zone")
def test_a_workflow_is_shown() -> None:
    assert show.workflow_lines(ETL, None, NOW, 80, True) == lines(
        """
        etl.daily
          name        ETL
          about       Every night
          file        workflows/etl/daily.yml
          schedule    daily at 02:00
          next run    2026-01-31 02:00 UTC (2026-01-30 21:00 EST), in 2h00m
          catch up    the latest missed time is run
          last run    never
          parameters  day (must be given), full=false
          requires    gpu, zone=eu

           TASK  RULES                     COMMAND
        ○  get                             curl -sS https://x
        ▼  load  2 retries, at most 1m30s  uv run load.py
        ▼  mail  if all_done, may fail     mail
        """
    )


@pytest.mark.usefixtures("local_zone")
def test_a_run_is_shown() -> None:
    assert show.run_lines(RUN, TASKS, ETL, NOW, 80, False) == lines(
        """
        calm-owl-7
          workflow    etl.daily
          status      FAILED: failed: load
          trigger     schedule
          parameters  {"day":"x"}
          queued      2026-01-30 19:00:00 EST
          started     2026-01-30 19:00:01 EST
          ended       2026-01-30 19:00:13 EST
          duration    12s
          agent       web1-4f2a

           TASK  STATUS     ATTEMPT  EXIT  DURATION  DETAIL
        o  get   COMPLETED  1        0     2.0s
        v  load  FAILED     3        2     10s       exit code 2
        v  mail  -
           gone  SKIPPED                   -
        """
    )
    assert show.run_lines(RUN, TASKS, None, NOW, 80, False)[-3].startswith("  get ")


def test_the_outcome_of_a_run() -> None:
    assert show.outcome(RUN, TASKS) == [
        "calm-owl-7 FAILED after 12s: failed: load",
        "  task load FAILED: exit code 2 (attempt 3)",
    ]
    assert show.outcome(RUN | {"status": "COMPLETED", "detail": None}, []) == ["calm-owl-7 COMPLETED after 12s"]


def test_a_database_in_trouble_is_told_once_and_so_is_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    tell = TroubleTeller()
    for trouble in (None, "full", "full", "fuller", None, None, "full"):
        tell(trouble)
    assert capsys.readouterr().err.splitlines() == [
        "cdktr: the principal's database is in trouble, what is shown lags behind: full",
        "cdktr: the principal's database is well again",
        "cdktr: the principal's database is in trouble, what is shown lags behind: full",
    ]


def test_the_table_of_agents() -> None:
    agent = {"agent_id": "a", "running_tasks": 1, "slots": None, "version": None, "last_ping_timestamp": NOW_MS * 1000}
    assert show.agents_table([agent], (NOW + timedelta(seconds=5)).timestamp()) == lines(
        """
        AGENT  RUNS/SLOTS  LAST HEARD  VERSION  TO TELL  UV  LABELS
        a      1/?         5.0s ago    ?        -        ?   -
        """
    )
    tells = agent | {"spooled_bytes": 3 * 2**20, "uv": {"path": "/usr/bin/uv", "version": "0.9.3"}}
    tells["labels"] = ["zone=eu", "gpu"]
    assert show.agents_table([tells], NOW.timestamp())[1].endswith("3.0 MB   0.9.3  gpu, zone=eu")
    tells["uv"] = {"trouble": "looked in /usr/bin"}
    assert show.agents_table([tells], NOW.timestamp())[1].endswith("3.0 MB   none  gpu, zone=eu")


def test_settings_are_a_list_or_where_there_is_room_a_table() -> None:
    entries = [Entry("CDKTR_A", "1", "default", "1", "Short"), Entry("CDKTR_B", "x", ".env", "y", "A word " * 13)]
    assert project.config_lines(entries, 80) == lines(
        """
        CDKTR_A = 1  (default)
            Short
        CDKTR_B = x  (.env; default: y)
            A word A word A word A word A word A word A word A word A word A word A word
            A word A word
        """
    )
    assert project.config_lines(entries, 200)[1].split() == ["CDKTR_A", "1", "default", "1", "Short"]


def test_wrong_settings_are_marked_among_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDKTR_PRINCIPAL_PORT", "many")
    (tmp_path / ".env").write_text("CDKTR_RETRY_ATTEMPTS=few\nCDKTR_WORKFLOW_DIR=w\n")
    assert main(["config", "list"]) == 2
    said = capsys.readouterr()
    assert "CDKTR_PRINCIPAL_PORT = WRONG: is 'many' in the environment; expected a port number from" in said.out
    assert "CDKTR_RETRY_ATTEMPTS = WRONG: is 'few' in .env; expected" in said.out
    assert "CDKTR_WORKFLOW_DIR = w  (.env; default: workflows)" in said.out
    assert said.err.count("\n") == 2
    assert "cdktr: CDKTR_PRINCIPAL_PORT is 'many' in the environment" in said.err
    (tmp_path / ".env").write_text("CDKTR_nonsense\n")
    assert main(["config", "list"]) == 2
    assert capsys.readouterr().out == ""


def test_the_summary_of_a_check() -> None:
    assert project.summary(1, [], 0) == "1 file checked, all in order."
    assert project.summary(3, ["a", "a"], 2) == "2 problems in 1 of 3 files."


def validated(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a check of a folder with something wrong says on stderr."""
    assert main(["validate", str(folder)]) == 1
    return capsys.readouterr().err


def test_every_wrong_file_is_counted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.yml", "a.yaml", "not an id.yml"):
        (tmp_path / name).write_text("name: [\n")
    assert validated(tmp_path, capsys) == "3 problems in 3 of 3 files.\n"
    shutil.copy(init.where() / "hello.yml", tmp_path / "good.yml")
    assert validated(tmp_path, capsys) == "3 problems in 3 of 4 files.\n"


def test_a_folder_without_workflow_files_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validated(tmp_path, capsys) == f"no workflow files in {tmp_path}\n"
    assert main(["validate", "--json", str(tmp_path)]) == 1
    assert f"no workflow files in {tmp_path}" in capsys.readouterr().out


def test_what_is_not_there_cannot_be_validated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["validate"]) == 1
    sentence = "there is no folder workflows here; change into the project, or name a folder or a file"
    assert capsys.readouterr() == ("", f"{sentence}\n")
    assert main(["validate", "--json"]) == 1
    assert sentence in capsys.readouterr().out
    shutil.copy(init.where() / "hello.yml", tmp_path / "good.yml")
    assert main(["validate", "nosuch.yml", "good.yml"]) == 1
    said = capsys.readouterr()
    assert said == ("", "there is no file or folder nosuch.yml here\n1 file checked, all in order.\n")
    (tmp_path / "link.yml").symlink_to("nowhere")
    assert main(["validate", "link.yml"]) == 1
    assert "link.yml: cannot be read: No such file or directory; check" in capsys.readouterr().out


# The examples.


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_init_writes_what_lies_in_the_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "new")]) == 0
    made = files_of(tmp_path / "new/workflows")
    assert made == {name: (init.where() / name).read_bytes() for name in init.FIRST}
    assert f"Made {tmp_path}/new/workflows/examples/health.yml.\n" in capsys.readouterr().out
    assert main(["validate", str(tmp_path / "new/workflows")]) == 0
    assert main(["init", str(tmp_path / "a b/c d")]) == 0
    assert f"\n  cd '{tmp_path}/a b/c d'\n" in capsys.readouterr().out
    for name in init.FIRST:
        assert "python3" not in made[name].decode()
        assert "examples/scripts" not in made[name].decode()


def test_init_tells_how_this_program_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one file is rarely on PATH."""
    monkeypatch.chdir(tmp_path)
    assert init.called(Path()) == "cdktr"
    (tmp_path / "my bin").mkdir()
    for name in ("cdktr", "my bin/cdktr", "cdktr 2"):
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv(bundle.FILE, str(tmp_path / "cdktr"))
    assert init.called(Path()) == "./cdktr"
    assert init.called(tmp_path / "new") == str(tmp_path / "cdktr")
    assert main(["init"]) == 0
    said = capsys.readouterr().out
    assert "\n  ./cdktr start principal --with-agent\n" in said
    assert "\n  cdktr" not in said
    monkeypatch.setenv(bundle.FILE, str(tmp_path / "cdktr 2"))
    assert init.called(Path()) == "./'cdktr 2'"
    # Another file of that name does not count, and a link to this one does.
    monkeypatch.setenv(bundle.FILE, str(tmp_path / "my bin/cdktr"))
    assert init.called(Path()) == f"'{tmp_path}/my bin/cdktr'"
    monkeypatch.setenv("PATH", str(tmp_path / "my bin"))
    assert init.called(Path()) == "cdktr"


def test_a_home_that_is_not_known_is_no_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDKTR_APP_DATA_DIRECTORY", "~nobody-of-that-name/data")
    for words in (["start", "principal"], ["start", "agent"]):
        assert main(words) == 2
        assert "and that home folder is not known here; set HOME, or CDKTR_APP" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_init_all_adds_what_is_missing_and_keeps_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "workflows").mkdir()
    own = tmp_path / "workflows/hello.yml"
    own.write_text("name: My own")
    assert main(["init", str(tmp_path)]) == 0
    assert "Nothing was changed.\n`cdktr init --all` adds" in capsys.readouterr().err
    assert main(["init", str(tmp_path), "--all"]) == 0
    assert "Kept 1 file as found.\n" in capsys.readouterr().out
    assert own.read_text() == "name: My own"
    made = files_of(tmp_path / "workflows")
    assert made.keys() == set(init.samples()) >= {"examples/scripts/etl.py", "examples/data/news/tech_weekly.html"}
    assert main(["init", str(tmp_path), "--all"]) == 0
    assert files_of(tmp_path / "workflows") == made


def test_init_that_cannot_go_on_leaves_no_file(tmp_path: Path) -> None:
    """A file that is not allowed to become as large as one of the examples stands for a full disk."""
    largest = max((init.where() / name).stat().st_size for name in init.FIRST)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, largest - 1))

    script = Path(__file__).parent.parent / "cdktr.py"
    command = [sys.executable, "-B", str(script), "init", str(tmp_path / "new")]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True)
    where = re.escape(f"{tmp_path}/new: {tmp_path}/new/workflows/examples/")
    assert done.returncode == 5
    assert re.fullmatch(rf"cdktr: Cannot make a project in {where}\w+\.yml: File too large\n", done.stderr), done.stderr
    assert files_of(tmp_path) == {}
    assert main(["init", str(tmp_path / "new")]) == 0
    assert len(files_of(tmp_path)) == len(init.FIRST)


def test_a_new_file_is_whole_or_not_there(tmp_path: Path) -> None:
    common.write_new(tmp_path / "a", b"whole", 0o600)
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        common.write_new(tmp_path / "a", b"other")
    assert (tmp_path / "a").read_bytes() == b"whole"
    # What a full disk says, always.
    command = [sys.executable, "-c", "from pathlib import Path; from cdktr.cli.common import write_new\n"]
    command[-1] += f"write_new(Path({str(tmp_path / 'b')!r}), bytes(20_000))"
    limits = (10_000, 10_000)
    done = subprocess.run(
        command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits), capture_output=True, text=True
    )
    assert f"File too large: '{tmp_path / 'b'}'" in done.stderr
    assert not (tmp_path / "b").exists()


def test_the_examples_are_packed_by_the_same_patterns_as_they_are_copied() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    packed = project["tool"]["setuptools"]["package-data"]
    assert packed == {"cdktr": ["py.typed"], "cdktr.workflows": list(init.PATTERNS)}
    theirs = {path.relative_to(init.where()).as_posix() for path in (init.where() / init.ALL).rglob("*")}
    theirs = {name for name in theirs if (init.where() / name).is_file() and "__pycache__" not in name}
    assert set(init.samples()) == theirs | {"hello.yml"}


def test_init_without_its_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "__file__", str(tmp_path / "cdktr/cli/init.py"))
    with pytest.raises(errors.StartError, match=rf"there is no {tmp_path}/cdktr/workflows"):
        init.where()


def test_the_command_line_is_the_package_itself() -> None:
    assert cdktr.cli.main is main
