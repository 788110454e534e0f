"""`cdktr import crontab` from the command line to a run: what it reads, writes, tells, and how the jobs then run."""

import getpass
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdktr import protocol as p
from cdktr.client import Principal
from tests.integration.cluster import PATIENCE_S, ROOT, Cluster
from tests.integration.conftest import NewCluster

#: As one finds them: a head, mail, a job with a comment, one with input, one that cron would run at the boot.
TABLE = """\
# Edit this file to introduce tasks to be run by cron.
#
# m h  dom mon dow   command
MAILTO=ops@example.com
PATH=/usr/local/bin:/usr/bin:/bin
HOME={home}
GREETING = "  good morning "

# Nightly backup of the shop
# keeps seven days
30 2 * * mon-fri  /usr/local/bin/backup.sh --full > /dev/null 2>&1
*/15 * * * * cat > input && echo "$GREETING|$PATH|$HOME|$(pwd)|$0|$SHELL|9\\%"; tr a-z A-Z < input%dear all,%5\\% more
#0 5 * * * /usr/local/bin/old
@reboot           /usr/local/bin/warm-up
@weekly           echo '${{{{ github }}}}' | tee out
"""

CRONTAB = """\
#!/bin/sh
test "$1" = -l || exit 2
test -f "{table}" || {{ echo "no crontab for $(id -un)" >&2; exit 1; }}
cat "{table}"
"""


class Host:
    """A folder with a `crontab` command of its own, for which `table` is what it shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = folder / "table"
        self.cron = folder / "workflows" / "cron"
        (folder / "bin").mkdir()
        command = folder / "bin" / "crontab"
        command.write_text(CRONTAB.format(table=self.table))
        command.chmod(0o755)

    def run(self, *arguments: str, stdin: str = "", path: str | None = None) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CDKTR_")}
        env = {**clean, "PATH": path or f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        command = [sys.executable, str(ROOT / "cdktr.py"), "import", "crontab", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=env, input=stdin, capture_output=True, text=True, timeout=PATIENCE_S
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_what_is_made_is_as_private_as_the_crontab(host: Host) -> None:
    host.table.write_text("0 5 * * * /x/secret --password 1\n")
    mine = host.folder / "mine"
    mine.write_text("0 6 * * * /x/other\n")
    mine.chmod(0o644)
    for arguments in ((), ("mine",)):
        assert host.run("--timezone", "UTC", *arguments).returncode in (0, 1)
    found = {path.name: path.stat().st_mode & 0o777 for path in host.cron.iterdir()}
    assert found == {"secret.yml": 0o600, "other.yml": 0o644}


def test_from_ones_own_crontab_to_runs(host: Host, new_cluster: NewCluster) -> None:
    home = host.folder / "home"
    home.mkdir()
    host.table.write_text(TABLE.format(home=home))
    cluster = new_cluster()
    done = host.run("--into", str(cluster.workflows / "cron"), "--timezone", "Europe/Berlin")
    assert (done.returncode, done.stderr[:32]) == (1, "cdktr: the principal reads workf")
    origin = f"the crontab of {getpass.getuser()}"
    assert f"\n\nDiffers:\n  {origin}:4: MAILTO=ops@example.com: no mail is sent" in done.stdout
    assert f"\n\nNot carried over:\n  {origin}:14: @reboot: cdktr has no such schedule" in done.stdout
    assert cluster.cli("validate").returncode == 0
    cluster.start_principal("--no-scheduler")
    cluster.start_agent()
    told = cluster.ask(p.ListWorkflows())
    assert {name: each["cron"] for name, each in told.items()} == {
        "cron.backup": "30 2 * * mon-fri",
        "cron.cat": "*/15 * * * *",
        "cron.warm-up": None,
        "cron.echo": "@weekly",
    }
    assert told["cron.backup"]["description"] == "Nightly backup of the shop\nkeeps seven days"
    assert said(cluster, "cron.cat") == [
        f"  good morning |/usr/local/bin:/usr/bin:/bin|{home}|{home}|/bin/sh|/bin/sh|9%",
        "DEAR ALL,",
        "5% MORE",
    ]
    assert (home / "input").read_text() == "dear all,\n5% more\n"
    assert said(cluster, "cron.echo") == ["${{ github }}"]


def said(cluster: Cluster, workflow_id: str) -> list[str]:
    with Principal("127.0.0.1", cluster.port) as principal:
        run = principal.run_workflow(workflow_id).payload["workflow_instance_id"]
        assert principal.ask(p.AwaitRun(run, 20_000), 30)["status"] == "COMPLETED"
        lines = principal.ask(p.ListLogs(workflow_instance_id=run))["lines"]
    return [line["payload"].removeprefix("STDOUT ") for line in lines]


def test_a_second_import_changes_nothing(host: Host) -> None:
    host.table.write_text("@daily a\n@hourly b\n")
    first = host.run("--timezone", "UTC")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines()[:4] == [
        "Made 2 files in workflows/cron:",
        "  FILE   RUNS            NAME",
        "  a.yml  daily at 00:00  a",
        "  b.yml  every hour      b",
    ]
    assert first.stdout.endswith(
        "Next:\n  cdktr validate workflows/cron\n  and take the entries out of the crontab, or both will run them.\n"
    )
    mine = host.cron / "b.yml"
    mine.write_text(mine.read_text() + "timeout: 5m\n")
    before = {path: (path.read_text(), path.stat().st_mtime_ns) for path in host.cron.iterdir()}
    second = host.run("--timezone", "UTC")
    assert second.returncode == 0
    assert second.stdout == (
        "There already, and left as they are:\n  workflows/cron/a.yml\n  workflows/cron/b.yml (it differs by now)\n\n"
        "Nothing was changed.\n"
    )
    host.table.write_text("# moved\n@daily a\n@hourly b\n@daily a\n")
    assert "Made 1 file in workflows/cron:" in host.run().stdout
    assert before == {path: (path.read_text(), path.stat().st_mtime_ns) for path in before}
    assert sorted(path.name for path in host.cron.iterdir()) == ["a-2.yml", "a.yml", "b.yml"]


def test_a_dry_run_writes_nothing(host: Host) -> None:
    done = host.run("-", "--dry-run", "--timezone", "UTC", stdin="@daily a\n")
    assert done.returncode == 0
    assert done.stdout.startswith("--- workflows/cron/a.yml\n# From standard input, line 1: @daily a\nname:")
    assert "Would make 1 file in workflows/cron:" in done.stdout
    assert not (host.folder / "workflows").exists()


def test_for_programs(host: Host) -> None:
    done = host.run("-", "--json", "--into", "elsewhere", "--timezone", "UTC", stdin="@daily a\n@reboot b\nc\n")
    assert done.returncode == 1
    facts = json.loads(done.stdout)
    texts = [(host.folder / each["path"]).read_text() for each in facts["files"]]
    assert [each.pop("text") for each in facts["files"]] == texts
    assert facts["files"][0] == {
        "path": "elsewhere/a.yml",
        "workflow_id": None,
        "status": "made",
        "origin": "standard input",
        "line": 1,
        "cron": "@daily",
        "timezone": "UTC",
    }
    assert [(each["line"], each["kind"]) for each in facts["remarks"]] == [(2, "lost"), (3, "lost")]
    assert (
        json.loads(host.run("-", "--json", "--into", "workflows/x", stdin="@daily a\n").stdout)["files"][0][
            "workflow_id"
        ]
        == "x.a"
    )


def test_a_job_is_made_once_by_whatever_path_and_name(host: Host) -> None:
    host.table.write_text("@daily a\n")
    (host.folder / "link").symlink_to("table")
    assert host.run("table").returncode == 0
    (host.cron / "a.yml").rename(host.cron.parent / "nightly.yaml")
    spellings = (("./table",), ("workflows/../table",), ("link",), (str(host.table), "--into", "elsewhere"))
    for again in spellings:
        told = "There already, and left as it is:\n  workflows/nightly.yaml\n\nNothing was changed.\n"
        assert host.run(*again).stdout == told
    assert host.run("table", "--json").stdout.count('"workflow_id": "nightly"') == 1
    (host.cron.parent / "nightly.yaml").rename(host.folder / "mine.yml")
    assert "Made 1 file in elsewhere/sub:" in host.run("table", "--into", "elsewhere/sub").stdout
    told = host.run("table", "--into", "elsewhere").stdout
    assert told.startswith("There already, and left as it is:\n  elsewhere/sub/a.yml\n")


def test_ones_own_crontab_is_the_same_from_a_pipe(host: Host) -> None:
    host.table.write_text("@daily a\n")
    me = getpass.getuser()
    assert host.run().returncode == 0
    piped = host.run("-", stdin="@daily a\n").stdout
    assert f"  workflows/cron/a.yml (made from the crontab of {me})\n\nNothing was changed.\n" in piped
    read, write = os.pipe()
    os.write(write, b"@daily a\n")
    os.close(write)
    assert subprocess.run(
        [sys.executable, str(ROOT / "cdktr.py"), "import", "crontab", "/dev/stdin"],
        cwd=host.folder, stdin=read, capture_output=True, text=True, timeout=PATIENCE_S,
    ).stdout == piped  # fmt: skip
    os.close(read)
    host.table.write_text("@hourly a\n")
    told = host.run().stdout
    assert "Made 1 file in workflows/cron:\n  FILE     RUNS        NAME\n  a-2.yml  every hour  a\n" in told
    gone = "no longer has the line from which workflows/cron/a.yml was made; if the line was only changed, remove"
    assert f"To know:\n  the crontab of {me} {gone}" in told


def test_jobs_that_were_made_are_no_failure(host: Host) -> None:
    """However many remarks there are of a kind, and none of them is hidden from programs."""
    host.table.write_text("MAILTO=ops\n" + "".join(f"@daily job-{n} &\n" for n in range(30)))
    done = host.run("--timezone", "UTC")
    assert done.returncode == 0
    assert "Not carried over" not in done.stdout
    told = done.stdout.partition("\nDiffers:\n")[2].split("\n\n")[0].split("\n")
    assert len(told) == 21
    assert told[-1] == "  and 11 more; --json tells all"
    assert len(json.loads(host.run("--json").stdout)["remarks"]) == 31


def test_a_program_is_no_crontab(host: Host) -> None:
    done = host.run(sys.executable)
    assert done.returncode == 1
    assert len(done.stdout.split("\n")) < 8
    assert " is no text in UTF-8, and was not read: NUL in line 1" in done.stdout


def test_a_folder_of_crontabs(host: Host) -> None:
    folder = host.folder / "cron.d"
    folder.mkdir()
    me = getpass.getuser()
    (folder / "one").write_text(f"17 * * * * {me} run a\n")
    (folder / "two").write_text("@daily nobody run b\n")
    (folder / "two.dpkg-old").write_text("@daily root old\n")
    (folder / ".placeholder").write_text("nothing\n")
    (folder / "script").write_text("#!/bin/sh\n")
    done = host.run("cron.d", "--system", "--timezone", "UTC")
    assert done.returncode == 1
    assert sorted(path.name for path in host.cron.iterdir()) == ["run-2.yml", "run.yml"]
    assert "/cron.d/two:1: cron runs it as nobody; here it will run as the agent's user: an agent" in done.stdout
    assert "/cron.d/two.dpkg-old was passed over, as cron does with such a name" in done.stdout
    assert "/cron.d/script is a script and no crontab" in done.stdout
    assert ".placeholder" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 1, "There is no entry to import. Nothing was changed."),
        (("nowhere",), 5, "cdktr: There is no file nowhere; `cdktr import crontab` without a file reads your own"),
        (("-", "--timezone", "Berlin"), 2, "The timezone 'Berlin' is not known; expected an IANA name such as"),
        (("-", "--into", "file"), 5, "cdktr: Cannot write file: "),
        (("-", "--into", "full"), 0, "Made 1 file in full:\n  FILE     RUNS            NAME\n  a-2.yml  daily"),
    ],
)
def test_what_is_in_the_way_is_told(host: Host, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    (host.folder / "file").write_text("")
    (host.folder / "full").mkdir()
    # It cannot be read, and its name is taken all the same.
    (host.folder / "full" / "a.yml").symlink_to("nowhere/at/all")
    done = host.run(*arguments, stdin="@daily a\n")
    assert done.returncode == code, done.stdout + done.stderr
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_crontab_of_ones_own(host: Host) -> None:
    done = host.run()
    assert f"the crontab of {getpass.getuser()} cannot be read: no crontab for {getpass.getuser()}" in done.stdout
    nothing = host.folder / "nothing"
    nothing.mkdir()
    done = host.run(path=str(nothing))
    assert done.returncode == 5
    assert done.stderr.startswith("cdktr: Cannot run `crontab -l`: No such file or directory; name a file, as in `cdk")
