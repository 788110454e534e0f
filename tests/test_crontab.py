"""Crontabs line by line: what each becomes, what is said of it, and that cron would do the same."""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from croniter import croniter
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cdktr.catalog import validate_paths
from cdktr.cli import imports, main
from cdktr.cli.common import own_user
from cdktr.cli.imports import host_zone
from cdktr.cron import Schedule
from cdktr.crontab import Job, Kind, Remark, Source, read_crontab
from cdktr.crontab.fields import times
from cdktr.crontab.known import Made, made_of
from cdktr.crontab.names import MAX_NAME, description_of, id_of, name_of
from cdktr.crontab.written import plan, workflow_text
from cdktr.errors import DefinitionError
from cdktr.parse import parse_workflow
from cdktr.workflow import Subprocess, Task, resolve

HOMES = {"ann": "/home/ann", "root": "/root", "www-data": "/var/www"}
ANN = Source("the crontab of ann", "ann", "Europe/Berlin", home=HOMES.get)
SYSTEM = replace(ANN, origin="/etc/crontab", user="root", has_users=True)


def read(text: str | bytes, source: Source = ANN) -> tuple[list[Job], list[Remark]]:
    return read_crontab(text.encode() if isinstance(text, str) else text, source)


def one(text: str | bytes, source: Source = ANN) -> Job:
    [job], _ = read(text, source)
    return job


def told(kind: Kind, text: str | bytes, source: Source) -> list[str]:
    return [f"{remark.line}: {remark.message}" for remark in read(text, source)[1] if remark.kind == kind]


def lost(text: str | bytes, source: Source = ANN) -> list[str]:
    return told(Kind.LOST, text, source)


def differs(text: str | bytes, source: Source = ANN) -> list[str]:
    return told(Kind.DIFFERS, text, source)


def notes(text: str | bytes, source: Source = ANN) -> list[str]:
    return told(Kind.NOTE, text, source)


def task_of(job: Job) -> Task:
    """The task as an agent gets it, by way of the file."""
    workflow = parse_workflow(workflow_text(job, "it"), "it", "it.yml")
    return resolve(workflow, "it", {name: str(value) for name, value in workflow.params.items()})


def argv_of(job: Job) -> list[str]:
    config = task_of(job).config
    assert isinstance(config, Subprocess)
    return [config.cmd, *config.args]


# Schedules.


@pytest.mark.parametrize(
    ("fields", "expression"),
    [
        ("0 2 * * *", "0 2 * * *"),
        ("  5,10\t1-5 */2 JAN mon-Fri", "5,10 1-5 */2 JAN *"),
        ("0 0 1 * 7", "0 0 1 * 7"),
        ("05 00 * * *", "05 00 * * *"),
        ("-*/5 * * * *", "*/5 * * * *"),
        ("@hourly", "@hourly"),
        ("@midnight", "@midnight"),
        ("*/90 * * * *", "0 * * * *"),
        ("10-20/99 * * * *", "10 * * * *"),
        ("0 0 5,* * MON", "0 0 * * *"),
        ("0 0 1-31 * FRI", "0 0 * * *"),
        ("0 0 */1 * FRI", "0 0 * * FRI"),
        ("0 0 13 * FRI", "0 0 13 * FRI"),
        ("0 0 1,*/2 * FRI", "0 0 1,*/2 * FRI"),
        ("0 0 1-7 * */7", "0 0 1-7 * *"),
        ("0 0 */100,1-7 * MON", "0 0 1,1-7 * *"),
    ],
)
def test_schedules(fields: str, expression: str) -> None:
    job = one(f"{fields} true")
    assert job.cron == expression
    assert job.timezone == "Europe/Berlin"
    assert job.argv[-1].endswith("true")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ("@reboot", "@reboot: cdktr has no such schedule"),
        ("@Daily", "cron knows no '@Daily'; did you mean @daily?"),
        ("@weely", "cron knows no '@weely'; did you mean @weekly?"),
        ("@rebot", "cron knows no '@rebot'; did you mean @reboot?"),
        ("@never", "cron knows no '@never'; it has @annually"),
        ("5/20 * * * *", "in the minute field '5/20', cron does not know '5/20'; expected 0 to 59"),
        ("60 * * * *", "60 is out of range"),
        ("* * * * Monday", "did you mean MON?"),
        ("* * ? * *", "cron does not know '?'"),
        ("1,,2 * * * *", "cron does not know ''"),
        ("0 0 * * fri-sun", "the range 'fri-sun' ends before it begins, and cron runs it never"),
        ("50-10 * * * *", "the range '50-10' ends before it begins"),
        ("59~10 * * * *", "'59~10' is no range"),
        ("*/0 * * * *", "'0' is not a step"),
        ("0 0 31 2 *", "never fires"),
        ("* * * * 1#2", "cron does not know '1#2'"),
    ],
)
def test_what_has_no_schedule_keeps_its_command(fields: str, why: str) -> None:
    text = f"{fields} keep me"
    job = one(text)
    assert job.cron is None
    assert argv_of(job)[-1] == "keep me"
    [message] = lost(text)
    assert why in message
    assert "he workflow has no schedule, and `cdktr task run` starts it" in message
    assert "?;" not in message
    assert "cron:" not in workflow_text(job, "it")


def test_a_random_minute_is_chosen_once() -> None:
    text = "~ 3 * * * /bin/a\n10~12 * * * * /bin/b\n~ 3 1 * * /bin/c\n"
    jobs, _ = read(text)
    assert [job.cron for job in jobs] == [job.cron for job in read(text)[0]]
    assert Schedule.parse(jobs[0].cron or "").in_words.startswith("daily at 03:")
    assert (jobs[1].cron or "").split()[0] in ("10", "11", "12")
    assert (jobs[0].cron or "").split()[0] != (jobs[2].cron or "").split()[0]
    assert [note.partition(";")[0] for note in notes(text)] == [
        f"{n}: cron chooses a time at random" for n in (1, 2, 3)
    ]


def field(low: int, high: int, names: str = "") -> st.SearchStrategy[str]:
    """As cron takes them, but for what croniter takes for something else: a range of one value, all values listed."""
    words = names.split()
    value = st.integers(low, high)
    shown = value.map(lambda n: words[n - low] if words and n % 2 and n - low < len(words) else str(n))
    pair = st.tuples(value, value).filter(lambda found: found[0] < found[1])
    step = st.integers(1, high)
    item = st.one_of(
        shown,
        pair.map(lambda found: f"{found[0]}-{found[1]}"),
        st.builds(lambda found, by: f"{found[0]}-{found[1]}/{by}", pair, step),
        st.builds(lambda by: f"*/{by}", step.filter(lambda by: by > 1)),
    )
    return st.one_of(st.just("*"), st.lists(item, min_size=1, max_size=2).map(",".join))


MONTHS = "jan FEB mar APR may JUN jul AUG sep OCT nov DEC"
FIELDS = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12, MONTHS), field(0, 7, "SUN mon Tue wed THU"))


@given(fields=FIELDS, start=st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
@example(("0", "0", "*/2", "*", "MON"), datetime(2024, 1, 1, tzinfo=UTC))
@example(("0", "0", "1-7", "*", "*/7"), datetime(2024, 1, 1, tzinfo=UTC))
@example(("0", "0", "13", "*", "fri"), datetime(2024, 1, 1, tzinfo=UTC))
@settings(max_examples=150)
def test_a_job_runs_at_the_minutes_at_which_cron_runs_it(fields: tuple[str, ...], start: datetime) -> None:
    original = " ".join(fields)
    try:
        found = times(original, "UTC")
    except DefinitionError as error:
        assert "never fires" in str(error)  # noqa: PT017
        assume(False)
        raise
    plain = [times(f"0 0 {day} * {weekday}", "UTC").expression for day, weekday in ((fields[2], "*"), ("*", fields[4]))]
    full = [Schedule.parse(each).in_words == "daily at 00:00" for each in plain]
    assume(full == [fields[2] == "*", fields[4] == "*"])
    judge = croniter(original, start, implement_cron_bug=True)
    schedule, here, end = Schedule.parse(found.expression), start, start + timedelta(days=60)
    for _ in range(8):
        expected = judge.get_next(datetime)
        if expected > end:
            break
        here = schedule.next_after(here)
        while found.weekdays is not None and here.isoweekday() % 7 not in found.weekdays:
            here = schedule.next_after(here)
        assert here == expected, (original, found)


# Commands and their input, run by a real shell.


def output_of(job: Job, env: Mapping[str, str] | None = None) -> bytes:
    task = task_of(job)
    done = subprocess.run(
        argv_of(job), stdin=subprocess.DEVNULL, capture_output=True, env={**task.env, **(env or {})}, timeout=30
    )
    assert done.stderr == b""
    return done.stdout


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("echo hello", "hello\n"),
        ("cat", ""),
        ("cat%", ""),
        ("cat%%", "\n"),
        (r"cat%a%b\%c\d\\%e%%", "a\nb%c\\d\\%e\n\n"),
        ("cat%last\\", "last\\\n"),
        (r"printf '\%s|' 'a\\b' 'c\nd'", r"a\\b|c\nd|"),
        (r"printf '\%s|' 'x\\\%y' '\%'", r"x\\%y|%|"),
        ("read a; read b; echo $b$a; cat%one%two%END%END1%$HOME `id`", "twoone\nEND\nEND1\n$HOME `id`\n"),
        ("cat | tr a-z A-Z && echo done%some%lines", "SOME\nLINES\ndone\n"),
        ("echo '${{ params.x }}' \"$(printf '\\%s' '${{')\"", "${{ params.x }} ${{\n"),
        ("echo '${{${{{ '$$%", None),
        ("echo 'it''s' \"a \\\"b\\\"\" \\# # a comment of the shell", 'its a "b" #\n'),
        ("echo \t\x1b[1m \u2028 \x85 é 日 \U0001f600 \ufeff", "\x1b[1m \u2028 \x85 é 日 \U0001f600 \ufeff\n"),
        ("echo 'null' ~x - : \"#\"   ", "null ~x - : #\n"),
    ],
)
def test_commands(command: str, printed: str | None) -> None:
    found = output_of(one(f"* * * * * {command}\n")).decode()
    assert found == printed if printed is not None else found.startswith("${{${{{ ")


def test_two_backslashes() -> None:
    """As the two crons were seen to do it: Debian's, and cronie."""
    text = r"* * * * * printf '\%s|' 'a\\b' 'c\\\b' 'e\f' 'g\\\\h' 'c\\\%d'; cat%\\"
    assert output_of(one(text)).decode() == r"a\\b|c\\\b|e\f|g\\\\h|c\\%d|" + "\\\\\n"
    assert output_of(one(text, replace(ANN, is_debian=True))).decode() == (r"a\b|c\\b|e\f|g\\h|c\%d|" + "\\\\\n")
    assert notes(text)[0].endswith("here there are two now")
    assert notes(r"@daily a\b%\\") == []


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\1\n\r"), max_size=60)


@given(words=st.lists(TEXT, min_size=1, max_size=3), lines=st.none() | st.lists(TEXT, max_size=4), value=TEXT)
@example(["${{ params.x }}", "${{"], ["END", "END1", "${{"], "${{ x }} 'a")
@example(["%\\%"], ["%", "\\", ""], "' \"")
@example(["x"], ["E\u00fc", "END\u00fc", "AND"], "")
@settings(max_examples=80)
def test_a_shell_gets_the_same_bytes(words: list[str], lines: list[str] | None, value: str) -> None:
    """Arguments, input and a variable of any text, written in a crontab, and printed by what comes of it."""
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    command = f"printf '%s|' {quoted} \"$V\"; cat"
    escaped = command.replace("%", r"\%")
    # A backslash that stands before a percent sign itself cannot be told from one that escapes it.
    assume("\\%" not in command and not any("\\%" in line or line.endswith("\\") for line in lines or []))
    assume(not ('"' in value and "'" in value))
    mark = "'" if '"' in value else '"'
    given_lines = "" if lines is None else "%" + "%".join(line.replace("%", r"\%") for line in lines)
    job = one(f"V = {mark}{value}{mark}\n* * * * * {escaped}{given_lines}\n")
    printed = "|".join([*words, value, ""])
    if lines and lines != [""]:
        printed += "\n".join(lines).removesuffix("\n") + "\n"
    assert output_of(job) == printed.encode()


def test_another_shell_has_its_input_and_its_test_of_the_day_from_sh(tmp_path: Path) -> None:
    shell = tmp_path / "csh"
    shell.write_text('#!/bin/sh\necho "$0 $*"; cat\n')
    shell.chmod(0o755)
    job = one(f"SHELL={shell}\n* * * * * a 'b'%c%d")
    assert output_of(job) == f"{shell} -c a 'b'\nc\nd\n".encode()
    assert one(f"SHELL={shell}\n* * * * * a").argv == (str(shell), "-c", "a")
    assert one("SHELL=/bin/bash\n* * * * * a").argv == ("/bin/bash", "-c", "a")


@pytest.mark.parametrize("is_today", [True, False])
def test_the_test_of_the_weekday(is_today: bool) -> None:
    today = int(output_of(one("* * * * * TZ=Europe/Berlin date +\\%w")))
    day = today if is_today else (today + 3) % 7
    job = one(f"0 0 */2 * {day} echo ran; cat%and read")
    assert job.cron == "0 0 */2 * *"
    assert output_of(job) == (b"ran\nand read\n" if is_today else b"")


# Variables.


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("A=b", "A", "b"),
        ("  A  =  b c  ", "A", "b c"),
        ('A = " b "', "A", " b "),
        ("A=' \"b '", "A", ' "b '),
        ("A='b'  ", "A", "b"),
        ('A=""', "A", ""),
        ("A=", "A", ""),
        ("A=b # not a comment", "A", "b # not a comment"),
        ("A=$HOME/x", "A", "$HOME/x"),
        ("'A'=b", "A", "b"),
        ("A==b", "A", "=b"),
        ("A=b'c'", "A", "b'c'"),
        ("A=${{ x }}", "A", "${{ x }}"),
        ("A=\tb\x1b\r", "A", "b\x1b"),
    ],
)
def test_variables(line: str, name: str, value: str) -> None:
    assert task_of(one(f"{line}\n* * * * * true")).env[name] == value


@pytest.mark.parametrize("line", ['A="x" y', 'A="x', "export A=b", "A B=c", "=b", "nonsense", "* * * *", "a b c d e"])
def test_what_is_neither_a_variable_nor_an_entry(line: str) -> None:
    text = f"\n{line}\n"
    assert read(text)[0] == []
    assert lost(text) == [f"2: this line is neither a variable nor an entry, and is not carried over: {line}"]


@pytest.mark.parametrize("line", ["5 * * * *", "@daily", "@reboot"])
def test_an_entry_without_a_command(line: str) -> None:
    assert lost(f"{line}  \n") == [f"1: the command is missing after `{line}`, so there is nothing to carry over"]
    [missing] = lost(line, SYSTEM)
    assert missing.startswith(f"1: the user and the command are missing after `{line}`")
    assert lost(f"{line} root", SYSTEM)[0].startswith(f"1: the command is missing after `{line} root`")


def test_what_is_too_long_to_show_is_cut() -> None:
    assert len(lost("x" * 5000)[0]) < 200
    [mail, name] = differs(f"MAILTO={'x' * 5000}\n{'A-' * 5000}=1\n")
    assert len(mail) < 300
    assert len(name) < 200
    assert notes("#@daily x\n" * 500)[0].endswith(": lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 490 more")


def test_a_variable_holds_for_the_entries_after_it() -> None:
    jobs, remarks = read("@daily a\nA=1\n@daily b\nA=2\nPATH=/x\n@daily c\n")
    assert [dict(job.env) for job in jobs] == [
        {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"},
        {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "A": "1"},
        {"A": "2", "PATH": "/x", "SHELL": "/bin/sh"},
    ]
    assert one("SHELL=/bin/bash\n@daily a").env["SHELL"] == "/bin/bash"
    assert remarks == []


def test_home_is_where_a_job_starts() -> None:
    jobs, remarks = read("@daily a\nHOME=/srv/it\n@daily b\n")
    assert [job.working_directory for job in jobs] == ["/home/ann", "/srv/it"]
    assert jobs[1].env["HOME"] == "/srv/it"
    assert remarks == []
    assert lost("@daily a", replace(ANN, user="x")) == []
    assert differs("@daily a", replace(ANN, user="x")) == [
        "1: the home folder of x is not known here; set the task's `working_directory`"
    ]


def test_variables_that_are_for_cron() -> None:
    text = "MAILTO=ann\nLOGNAME=x\nMAILTO=bob\nRANDOM_DELAY=45\n@daily a\n@daily mail $MAILTO\n"
    jobs, _ = read(text)
    assert [sorted(job.env) for job in jobs] == [["PATH", "SHELL"], ["MAILTO", "PATH", "SHELL"]]
    assert [message.partition(":")[2].partition(":")[0] for message in differs(text)] == [
        " MAILTO=ann",
        " RANDOM_DELAY",
    ]
    assert "the task `tell` in docs/from-cron.md mails when a job fails" in differs(text)[0]
    assert read('MAILTO=""\nMAILTO=\nRANDOM_DELAY=\n@daily a')[1] == []
    assert lost(text) == []


def test_names_that_no_task_can_have() -> None:
    text = "CDKTR_X=1\nA-B=2\nC=3\n@daily a"
    assert sorted(one(text).env) == ["C", "PATH", "SHELL"]
    assert [message[:2] for message in differs(text)] == ["1:", "2:"]
    assert lost(text) == []


def test_zones() -> None:
    text = "TZ=Asia/Tokyo\n@daily a\nCRON_TZ=America/New_York\n@daily b\nCRON_TZ=Nowhere\n@daily c\n"
    jobs, _ = read(text)
    assert [(job.cron, job.timezone) for job in jobs[:2]] == [("@daily", ANN.timezone), ("@daily", "America/New_York")]
    assert jobs[2].cron is None
    assert all(job.env["TZ"] == "Asia/Tokyo" for job in jobs)
    assert ["The timezone 'Nowhere' is not known" in message for message in lost(text)] == [True]
    assert notes(text) == ["1: TZ is for the commands alone, as cron has it; --timezone is for the schedules"]


def test_the_cron_of_debian_has_no_zones() -> None:
    debian = replace(ANN, is_debian=True)
    text = "CRON_TZ=America/New_York\n0 9 */2 * 1 a\nCRON_TZ=Nowhere\n@daily b\nCRON_TZ=Europe/Berlin\n@daily c\n"
    jobs, _ = read(text, debian)
    assert [job.timezone for job in jobs] == ["Europe/Berlin"] * 3
    assert "TZ=Europe/Berlin date" in jobs[0].argv[-1]
    assert lost(text, debian) == differs(text, debian) == []
    advice = "Debian's cron does not heed it, and the schedules are in Europe/Berlin; --timezone gives another"
    found = [note for note in notes(text, debian) if "CRON_TZ" in note]
    assert found == [f"1: CRON_TZ=America/New_York: {advice}", f"3: CRON_TZ=Nowhere: {advice}"]


# Comments, names, ids.


def test_a_comment_directly_above_describes() -> None:
    text = (
        "# Of the file.\n\n# m h  dom mon dow   command\n@daily a\n"
        "# Nightly backup\n#  keeps seven days\n@daily b\n@daily c\n# of the variable\nA=1\n@daily d\n"
        "# of the old one\n#0 5 * * * /old\n@daily e\n# gone\n\n@daily f\n"
    )
    jobs, _ = read(text)
    assert [job.description for job in jobs] == [(), ("Nightly backup", "keeps seven days"), (), (), (), ()]
    assert [job.name for job in jobs] == ["a", "Nightly backup", "c", "d", "e", "f"]
    assert notes(text) == ["0: has entries that are commented out, and were left alone: line 13"]
    assert "description: |-\n  Nightly backup\n  keeps seven days\n" in workflow_text(jobs[1], "it")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["# a"], ["a"]),
        (["## --- Backup --- ##", "#", " # of the shop", "# ====="], ["Backup", "", "of the shop"]),
        (["# For more", "# m h  dom mon dow   command"], []),
        (
            [
                "# .------- minute (0 - 59)",
                "# |  .---- hour (0 - 23)",
                "# |  |  |",
                "# *  *  *  *  * user-name command",
            ],
            [],
        ),
        (["# Minutes and hours are local"], ["Minutes and hours are local"]),
        (["# DO NOT EDIT THIS FILE - edit the master", "# (- installed on Mon Jan  1)", "# (Cron version x)"], []),
        (["# a\x1b[1m\x85b"], ["a [1m b"]),
    ],
)
def test_descriptions(lines: list[str], said: list[str]) -> None:
    assert description_of(lines) == said


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("/usr/local/bin/backup.sh --full", "backup"),
        ("cd /srv/app && nice -n 10 ionice -c2 -n7 ./nightly-sync.sh", "nightly-sync"),
        ("test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )", "cron-daily"),
        ("[ -x /usr/bin/php ] && php artisan schedule:run >> /dev/null 2>&1", "artisan"),
        ("A=1 B=2 timeout 10m python3 -u /opt/Report.py", "report"),
        ("/usr/bin/flock -n /var/lock/x.lock sudo -u www-data /usr/bin/php -f /var/www/jobs.php", "jobs"),
        ("command -v debian-sa1 > /dev/null && debian-sa1 1 1", "debian-sa1"),
        ("if [ -x /etc/x ]; then /etc/x/dump; fi", "dump"),
        ("bash -lc 'make it'", "make"),
        ("Zürich", "zurich"),
        ("日本", "job"),
        ("true", "true"),
        ("bash", "bash"),
        ("x" * 300, "x" * 40),
    ],
)
def test_ids(command: str, word: str) -> None:
    assert id_of(command) == word


def test_names() -> None:
    assert name_of([], "echo\ta \x1b b") == "echo a b"
    assert name_of([], "${{ x }}") == "${ { x }}"
    assert name_of([], "word " * 30).endswith("word…")
    assert all(len(name_of([], text)) <= MAX_NAME for text in ("word " * 30, "w" * 200))


# The whole.


def test_a_column_of_users() -> None:
    text = "17 * * * * root cd / && run\n5 1 * * * www-data echo a\n@daily www-data b\n@daily nobody2 c\n"
    text += "@daily\n@daily root\n"
    jobs, _ = read(text, SYSTEM)
    assert [job.argv[-1] for job in jobs] == ["cd / && run", "echo a", "b", "c"]
    assert [job.working_directory for job in jobs] == ["/root", "/var/www", "/var/www", None]
    others = differs(text, SYSTEM)
    assert "2: cron runs it as www-data, as line 3 too; here it will run as the agent's user" in others[0]
    assert [message[:8] for message in others[1:]] == ["4: the h", "4: cron "]
    assert [message.partition(",")[0] for message in lost(text, SYSTEM)] == [
        "5: the user and the command are missing after `@daily`",
        "6: the command is missing after `@daily root`",
    ]
    assert differs("@daily root a\n") == ["0: seems to name a user before each command; if so, import it with --system"]
    assert differs("@daily root a\n@daily b\n") == notes(text, SYSTEM) == []


def test_what_is_no_crontab() -> None:
    anacron = "START_HOURS_RANGE=3-22\n1\t5\tcron.daily\tnice run-parts /etc/cron.daily\n@monthly 45 cron.monthly x\n"
    assert "anacrontab" in lost(anacron)[0]
    assert "anacrontab" in lost("", replace(ANN, origin="/etc/anacrontab"))[0]
    assert "is a script and no crontab" in lost("#!/bin/sh\n@daily x")[0]
    assert read("5 4 sun * * a")[0][0].cron is None


def test_what_is_no_text() -> None:
    """A program, a file after a power cut, text of another encoding: one sentence, however many lines it has."""
    for data in (b"\x7fELF\n" + b"@daily a\0\n" * 500, b"@daily a\n\0\0\0\0", b"\x80\x81\xff x\n" * 500):
        jobs, remarks = read(data)
        assert jobs == []
        [remark] = remarks
        assert str(remark).startswith("the crontab of ann is no text in UTF-8, and was not read: ")
        assert remark.kind == Kind.LOST
    assert "NUL in line 3" in lost(b"a\nb\nc\0")[0]


def test_bytes_of_all_kinds() -> None:
    text = b"\xef\xbb\xbf@daily a\r\n# caf\xe9\n@daily b\n@daily caf\xe9\nA=\xe9\n@daily bell\x07\n@daily c"
    jobs, _ = read(text)
    assert [job.argv[-1] for job in jobs] == ["a", "b", "bell\x07", "c"]
    assert jobs[1].description == ("caf�",)
    assert [message[:21] for message in lost(text)] == ["4: this line is not U", "5: this line is not U"]
    files, remarks = plan(jobs)
    assert [file.stem for file in files] == ["a", "b", "bell", "c"]
    assert remarks == []
    [remark] = plan([one("SHELL=\n@daily a")])[1]
    assert remark.message.startswith("this entry is not carried over, as no workflow can hold it: ")


def test_what_is_left_running_is_told() -> None:
    assert "1: the command leaves a process running" in differs("@daily server &  ")[0]
    assert differs("@daily a && b\n@daily a \\&\n@daily a >& b\n") == []


def test_a_file_reads_well() -> None:
    text = 'MAILTO=""\n# Nightly backup\n0 2 * * 1-5 /usr/local/bin/backup.sh --full\n'
    assert workflow_text(one(text), "backup") == (
        "# From the crontab of ann, line 3: 0 2 * * 1-5 /usr/local/bin/backup.sh --full\n"
        'name: "Nightly backup"\n'
        'description: "Nightly backup"\n'
        'cron: "0 2 * * 1-5"\n'
        "timezone: Europe/Berlin\n"
        "env:\n"
        '  PATH: "/usr/bin:/bin"\n'
        '  SHELL: "/bin/sh"\n'
        "tasks:\n"
        "  backup:\n"
        '    name: "Nightly backup"\n'
        "    working_directory: /home/ann\n"
        "    config:\n"
        "      !Subprocess\n"
        "      cmd: /bin/sh\n"
        "      args:\n"
        "        - -c\n"
        '        - "/usr/local/bin/backup.sh --full"\n'
    )


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\1"), max_size=100)


@given(text=ANY_TEXT)
@example(" a\nb")
@example("a\n")
@example("\n  a")
@example("a\n\n  b\n\tc" + "x" * 100)
@example("|-\n# '\"\\")
def test_any_text_is_written_so_that_it_is_read_again(text: str) -> None:
    job = replace(one("@daily a"), argv=("/bin/sh", "-c", text), env={"A": text})
    assert argv_of(job)[-1] == task_of(job).env["A"] == text


def test_names_of_files_are_unique_and_found_again() -> None:
    jobs, _ = read("@daily /a/x.sh\n@hourly /b/x.sh\n@daily y\n@daily y\n@daily null\n@daily 007\n")
    files, _ = plan(jobs, taken=["x"])
    stems = [file.stem for file in files]
    assert stems == ["x-2", "x-3", "y", "y-2", "null", "007"]
    there = {f"{file.stem}.yml": file.text for file in files}
    # Lines above were added since, and a file was edited.
    moved, _ = read("# new\n@weekly z\n@daily /a/x.sh\n@hourly /b/x.sh\n@daily y\n@daily y\n@daily null\n@daily 007\n")
    again, _ = plan(moved, made({**there, "x-2.yml": there["x-2.yml"] + "# mine\n"}), ["x"])
    paths = [(file.made.path, file.is_edited) if file.made else None for file in again]
    assert paths == [None, ("x-2.yml", True), *((f"{stem}.yml", False) for stem in stems[1:])]
    changed, _ = read("@monthly /a/x.sh\n")
    assert [(file.stem, file.made) for file in plan(changed, made(there), ["x", "x-2", "x-3"])[0]] == [("x-4", None)]


def made(files: Mapping[str, str]) -> list[Made]:
    return [each for path, text in files.items() for each in made_of(path, text)]


def before(text: str, source: Source = ANN) -> dict[str, str]:
    """The files of an earlier import, renamed and edited by a person."""
    files, _ = plan(read(text, source)[0])
    return {f"mine/{file.stem}-0.yml": f"# Mine.\r\n{file.text}timeout: 5m\n" for file in files}


@pytest.mark.parametrize(
    ("origin", "again", "is_same"),
    [
        ("the crontab of ann", "the crontab of ann", True),
        ("the crontab of ann", "the crontab of bob", False),
        ("/a/table", "/b/table", False),
        ("/a/table", "standard input", True),
        ("standard input", "the crontab of ann", True),
        ("/a\nb/t, x", "/a\nb/t, x", True),
    ],
)
def test_an_entry_is_known_by_its_origin_and_its_line(origin: str, again: str, is_same: bool) -> None:
    text = "@daily a, line 5: b\t'\x85'\n"
    files, remarks = plan(
        read("# new\n" + text, replace(ANN, origin=again))[0], made(before(text, replace(ANN, origin=origin)))
    )
    assert [file.made is not None for file in files] == [is_same]
    told = [] if is_same else [f"{again}:2: the same entry is in mine/a-0.yml, made from {origin}; both run"]
    assert [str(remark) for remark in remarks] == told
    assert {remark.kind for remark in remarks} <= {Kind.NOTE}


def test_files_of_entries_that_changed_are_told() -> None:
    there = before("@daily a\n@daily b\n@daily c\n") | before("@daily x\n", SYSTEM)
    files, remarks = plan(read("@hourly a\n@daily c\n")[0], made(there))
    assert [file.made and file.made.path for file in files] == [None, "mine/c-0.yml"]
    advice = "was made; if the line was only changed, remove that file, or both run"
    assert [str(remark) for remark in remarks] == [
        f"the crontab of ann no longer has the line from which mine/{name}-0.yml {advice}" for name in "ab"
    ]
    # Whoever took everything out has come to the end of it.
    assert plan([], made(there)) == ([], [])
    # What has no schedule does not run twice.
    assert plan(read("@reboot x\n")[0], made(before("@reboot x\n", replace(ANN, origin="/a"))))[1] == []
    # A copy of a file is no file of a line that is gone.
    assert plan(read("@daily c\n")[0], made({"a.yml": there["mine/c-0.yml"], "b.yml": there["mine/c-0.yml"]}))[1] == []


def test_entries_alike_are_known_in_their_order() -> None:
    text = "A=1\n@daily y\nA=2\n@daily y\n"
    files, _ = plan(read(text)[0])
    again, _ = plan(read(text)[0], made({"z.yml": files[0].text, "a.yml": files[1].text}))
    assert [(file.made and file.made.path, file.is_edited) for file in again] == [("z.yml", False), ("a.yml", False)]


LINE = st.one_of(
    st.builds(lambda fields, command: f"{' '.join(fields)} {command}".encode(), FIELDS, TEXT),
    st.builds(lambda word, command: f"@{word} {command}".encode(), st.sampled_from("daily reboot x".split()), TEXT),
    st.builds(
        lambda name, value: f"{name}={value}".encode(),
        st.sampled_from("A PATH SHELL HOME MAILTO CRON_TZ TZ y no CDKTR_A".split()) | TEXT,
        TEXT,
    ),
    TEXT.map(lambda text: f"# {text}".encode()),
    st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"\1")),
)


@given(lines=st.lists(LINE, max_size=12), source=st.sampled_from([ANN, SYSTEM]))
@example([b"SHELL=", b"@daily x"], ANN)
@example([b"HOME=${{", b"@daily x"], ANN)
@settings(max_examples=150)
def test_every_file_of_any_crontab_is_in_order(lines: list[bytes], source: Source) -> None:
    data = b"\n".join(lines)
    jobs, told = read_crontab(data, source)
    files, more = plan(jobs)
    assert len(files) + len(more) == len(jobs)
    assert len({file.stem for file in files}) == len(files)
    for file in files:
        workflow = parse_workflow(file.text, file.stem, "x.yml")
        assert (workflow.name, workflow.cron) == (file.job.name, file.job.cron)
        task = resolve(workflow, file.stem, {name: str(value) for name, value in workflow.params.items()})
        assert task.working_directory == file.job.working_directory
        assert isinstance(task.config, Subprocess)
        assert (task.config.cmd, *task.config.args) == file.job.argv
        assert {name: task.env[name] for name in file.job.env} == file.job.env
        assert task.env.keys() - file.job.env.keys() == workflow.params.keys()
    again, _ = plan(jobs, made({file.stem: file.text for file in files}))
    assert [file.made and file.made.path for file in again] == [file.stem for file in files]
    assert not any(file.is_edited for file in again)
    assert all(str(remark) for remark in [*told, *more])


def test_what_is_written_is_in_order_on_the_disk_too(tmp_path: Path) -> None:
    jobs, _ = read("@daily y\n@daily null\n@daily 007\n0 0 1-7 * */7 a%b\n@daily echo '${{ x }}'\n")
    files, _ = plan(jobs)
    for file in files:
        (tmp_path / f"{file.stem}.yml").write_text(file.text)
    assert validate_paths([tmp_path]) == (5, [])


def test_a_very_long_line_is_read_in_one_go() -> None:
    """It would take minutes if the time grew with the square of the length."""
    length = 200_000
    for text in ("A=" + " " * length + "x", "* * * * *" + " " * length, "x" * length, "%\\" * (length // 2)):
        read(f"{text}\n@daily {text}\n@daily x {text}\n# {text}\n")


def test_the_zone_of_a_host(tmp_path: Path) -> None:
    zones = tmp_path / "share" / "zoneinfo" / "Europe"
    zones.mkdir(parents=True)
    (zones / "Berlin").write_bytes(b"TZif")
    cases = SimpleNamespace(**{name: tmp_path / name for name in ("link", "copy", "debian", "none")})
    for folder in vars(cases).values():
        folder.mkdir()
    (cases.link / "localtime").symlink_to(zones / "Berlin")
    (cases.link / "timezone").write_text("Asia/Tokyo\n")
    for folder in (cases.copy, cases.debian):
        (folder / "localtime").write_bytes(b"TZif")
    (cases.debian / "timezone").write_text("Asia/Tokyo\n")
    found = [host_zone(folder) for folder in vars(cases).values()]
    assert found == ["Europe/Berlin", None, "Asia/Tokyo", "UTC"]


def test_a_host_that_does_not_say_its_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(imports, "host_zone", lambda: None)
    (tmp_path / "table").write_text("0 2 * * * a\n")
    words = ["import", "crontab", str(tmp_path / "table"), "--into", str(tmp_path / "made")]
    assert main(words) == 0
    assert "Differs:\n  this host does not say in which zone it is, so schedules are in UTC" in capsys.readouterr().out
    assert "timezone: UTC\n" in (tmp_path / "made" / "a.yml").read_text().replace('"', "")
    assert main([*words[:-1], str(tmp_path / "again"), "--timezone", "Asia/Tokyo"]) == 0
    assert "Schedules are in Asia/Tokyo.\n" in capsys.readouterr().out


def test_the_file_of_a_user_is_the_crontab_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "SPOOL", tmp_path / "spool")
    (tmp_path / "spool" / "crontabs").mkdir(parents=True)
    table = tmp_path / "spool" / "crontabs" / own_user()
    table.write_text("@daily a\n")
    assert main(["import", "crontab", str(table), "--into", str(tmp_path / "made"), "--timezone", "UTC"]) == 0
    head = (tmp_path / "made" / "a.yml").read_text().partition("\n")[0]
    assert head == f"# From the crontab of {own_user()}, line 1: @daily a"


@pytest.mark.parametrize("is_debian", [True, False])
def test_the_zones_of_the_schedules_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_debian: bool
) -> None:
    monkeypatch.setattr(imports, "DEBIAN", tmp_path if is_debian else tmp_path / "none")
    monkeypatch.setattr(imports, "host_zone", lambda: "Europe/Berlin")

    def told(text: str) -> str:
        (tmp_path / "table").write_text(text)
        assert main(["import", "crontab", str(tmp_path / "table"), "--into", str(tmp_path / "made"), "--dry-run"]) == 0
        return capsys.readouterr().out.partition("Would make ")[2]

    whole = "\nSchedules are in Europe/Berlin, as this host is; --timezone gives another.\n"
    assert whole in told("@daily a\n")
    both = told("@daily a\nCRON_TZ=Asia/Tokyo\n@daily b\n")
    alone = told("CRON_TZ=Asia/Tokyo\n@daily b\n")
    if is_debian:
        assert whole in both
        assert whole in alone
        assert "  b.yml  daily at 00:00  b\n" in both
    else:
        assert "  a.yml  daily at 00:00               a\n  b.yml  daily at 00:00 (Asia/Tokyo)  b\n" in both
        assert "\nSchedules are in Europe/Berlin, as this host is; --timezone gives another. " in both
        assert "Where RUNS names a zone, CRON_TZ gives it.\n" in both
        assert "\nSchedules are in Asia/Tokyo, as CRON_TZ says.\n" in alone
