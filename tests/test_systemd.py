"""The unit of systemd: what stands in it for whom, and that every word comes back as it was."""

import configparser
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cdktr.errors import SettingError
from cdktr.systemd import KINDS, NAMES, Service, quoted, unit

PAIR = Service(
    kind="pair",
    for_user=False,
    command=["/opt/cdktr"],
    folder="/srv/etl",
    user="ada",
    environment={},
    secrets_file=None,
    left_in_dotenv=[],
    reads=["/srv/etl", "/opt/cdktr"],
    writes=["/var/lib/cdktr"],
)
PRINCIPAL = replace(PAIR, kind="principal")
AGENT = replace(PAIR, kind="agent")

#: What is written for some, and never for those that run the commands of the user.
HARDENING = ("Protect", "Private", "Restrict", "NoNew", "Lock", "SystemCall", "ReadOnly", "Inaccessible", "Capability")

#: A word, and how the manual page systemd.syntax has it written.
WORDS = [
    ("plain", "plain"),
    ("two words", '"two words"'),
    ("", '""'),
    (";", '";"'),
    ("100%", '"100%%"'),
    ("a\"b'c", '"a\\"b\'c"'),
    ("back\\slash", '"back\\\\slash"'),
    ("two\nlines\tand\x1b", '"two\\nlines\\tand\\x1b"'),
    ("größer", '"größer"'),
    ("$HOME", '"$HOME"'),
]


def parsed(service: Service) -> configparser.ConfigParser:
    """The unit as an INI file, in which no key stands twice."""
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",), delimiters=("=",), strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit(service))
    return parser


@pytest.mark.parametrize(("word", "written"), WORDS)
def test_a_word_is_quoted(word: str, written: str) -> None:
    assert quoted(word) == written


@pytest.mark.parametrize("service", [PAIR, PRINCIPAL, AGENT], ids=lambda service: service.kind)
@pytest.mark.parametrize("for_user", [False, True])
def test_a_unit_restarts_and_ends_as_its_kind_needs(service: Service, for_user: bool) -> None:
    found = parsed(replace(service, for_user=for_user))
    section = found["Service"]
    assert section["ExecStart"] == f"/opt/cdktr {' '.join(KINDS[service.kind])}"
    assert section["WorkingDirectory"] == "/srv/etl"
    assert (section["KillMode"], section["Restart"]) == ("mixed", "on-failure")
    assert section["RestartPreventExitStatus"] == "2"
    assert section["TimeoutStopSec"] == ("30" if service.kind == "principal" else "15min")
    assert section["LimitNOFILE"] == ("65536" if service.kind == "principal" else "1024:65536")
    assert section.get("User") == (None if for_user else "ada")
    assert found["Install"]["WantedBy"] == ("default.target" if for_user else "multi-user.target")
    assert ("network-online.target" in found["Unit"].get("After", "")) != for_user
    assert (NAMES["principal"] in found["Unit"].get("After", "")) == (service.kind == "agent")
    assert found["Unit"]["StartLimitIntervalSec"] == "0"


def test_hardening_is_for_what_starts_no_tasks() -> None:
    for service in (PAIR, AGENT):
        assert not [key for key in parsed(service)["Service"] if key.startswith(HARDENING)]
        assert parsed(service)["Service"]["OOMPolicy"] == "continue"
    section = parsed(PRINCIPAL)["Service"]
    assert section["NoNewPrivileges"] == section["ProtectHome"] == section["PrivateDevices"] == "yes"
    # A user's systemd can give no other view of the file system.
    mine = parsed(replace(PRINCIPAL, for_user=True))["Service"]
    assert mine["NoNewPrivileges"] == "yes"
    assert not [key for key in mine if key.startswith(("Protect", "Private", "ReadWrite"))]


def test_what_a_principal_reads_and_writes_stays_within_reach() -> None:
    assert "ReadWritePaths" not in parsed(PRINCIPAL)["Service"]
    assert "ProtectHome" not in parsed(replace(PRINCIPAL, reads=["/home/ada/workflows"]))["Service"]
    assert "ProtectHome" not in parsed(replace(PRINCIPAL, writes=["/root/.cdktr"]))["Service"]
    assert "ProtectHome" in parsed(replace(PRINCIPAL, reads=["/homes/x"]))["Service"]
    section = parsed(replace(PRINCIPAL, writes=["/usr/local/var/my data", "/srv/db"]))["Service"]
    assert section["ReadWritePaths"] == '"-/usr/local/var/my data"'


def test_settings_are_written_and_secrets_are_not() -> None:
    service = replace(
        PAIR,
        environment={"CDKTR_PRINCIPAL_PORT": "5570", "CDKTR_WORKFLOW_DIR": "/srv/50 % of $it"},
        secrets_file="/var/lib/my data/100%",
        left_in_dotenv=["CDKTR_LOG_LEVEL"],
    )
    text = unit(service)
    assert "\nEnvironment=CDKTR_PRINCIPAL_PORT=5570\n" in text
    assert '\nEnvironment="CDKTR_WORKFLOW_DIR=/srv/50 %% of $it"\n' in text
    assert "chmod 600" in text
    assert "\nEnvironmentFile=/var/lib/my data/100%%\n" in text
    assert "\n# From .env in the working directory, read at each start: CDKTR_LOG_LEVEL\n" in text


@pytest.mark.parametrize(
    ("program", "written"),
    [
        ("/opt/my files/50%", '"/opt/my files/50%%"'),
        ("/opt/$x/cdktr", '/bin/sh -c "exec \\"$$0\\" \\"$$@\\"" "/opt/$$x/cdktr"'),
        ("/opt/it's", '/bin/sh -c "exec \\"$$0\\" \\"$$@\\"" "/opt/it\'s"'),
    ],
)
def test_a_program_that_systemd_cannot_name_is_started_by_a_shell(program: str, written: str) -> None:
    found = parsed(replace(AGENT, command=[program, "a $b"]))["Service"]["ExecStart"]
    assert found == f'{written} "a $$b" start agent'


@pytest.mark.parametrize("folder", ["/srv/two\nlines", "/srv/blank ", "/srv/end\\", "/srv/\udcff"])
def test_a_folder_that_systemd_cannot_name_is_refused(folder: str) -> None:
    with pytest.raises(SettingError, match="systemd"):
        unit(replace(PAIR, folder=folder))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here (Debian package systemd)")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("for_user", [False, True])
def test_systemd_has_nothing_to_say_against_it(kind: str, for_user: bool, tmp_path: Path) -> None:
    folder = tmp_path / "50 % of 'it'"
    folder.mkdir()
    (program := folder / "cdktr").symlink_to("/bin/true")
    service = replace(
        PAIR,
        kind=kind,
        for_user=for_user,
        user="root",
        command=[str(program)],
        folder=str(folder),
        environment={"CDKTR_WORKFLOW_DIR": "/srv/\"a\" 'b' \\ $c %d\n\te"},
        secrets_file=str(folder / "secrets"),
        left_in_dotenv=["CDKTR_LOG_LEVEL"],
        writes=["/usr/local/a b"],
    )
    (path := tmp_path / NAMES[kind]).write_text(unit(service), encoding="utf-8")
    user = ["--user"] if for_user else []
    done = subprocess.run(
        ["systemd-analyze", *user, "verify", path],
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
