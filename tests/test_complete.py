"""What may come next on a command line, without a shell and without a principal."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdktr import protocol as p
from cdktr.cli import complete, completion, main, tree
from cdktr.cli.tree import service
from cdktr.systemd import KINDS

#: Values that only the person knows, by how the help calls them.
FREE = frozenset("PORT HOSTS N K=V TASK 1h T ZONE ADDRESS P BYTES LABEL".split())


def after(line: str) -> list[str]:
    """The words that may stand at the end of a line, `files` and `folders` in angle brackets."""
    return [word or f"<{meaning}>" for word, meaning in complete.candidates(line.split(" "))]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("ta", ["task"]),
        ("task r", ["run", "reload"]),
        ("task list x", []),
        ("no such ", []),
        ("task history --li", ["--limit"]),
        ("task history --limit ", []),
        ("task history --limit 5 --st", ["--status"]),
        ("task history --status c", ["COMPLETED", "CRASHED", "CANCELLED"]),
        ("task history --status=FA", ["--status=FAILED"]),
        ("task history --status = FA", ["--status=FAILED"]),
        ("task history --json --j", ["--json"]),
        ("task run hello --params-file ", ["<files>"]),
        ("task run hello --params-file=a", ["<files>"]),
        ("task run -- --", []),
        ("service p", ["principal", "pair"]),
        ("service pair --", ["--help", "--user"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("validate one two", ["<files>"]),
        ("import crontab --into ", ["<folders>"]),
        ("licenses libs", ["libsodium"]),
        ("listen m", ["<files>"]),
        ("listen mine.py --fl", []),
        ("listen mine.py ", ["<files>"]),
        ("start agent --pa", []),
    ],
)
def test_what_may_come_next(line: str, wanted: list[str]) -> None:
    assert after(line) == wanted


def test_the_flags_of_a_command_are_those_of_its_help() -> None:
    wanted = ["--help", "--param", "--params-file", "--wait", "--follow", "--principal-host", "--principal-port"]
    assert after("task run hello ") == after("task run hello --") == [*wanted, "--json"]
    assert [meaning for _, meaning in complete.candidates(["task", "run", "x", "--wait"])] == [
        "wait for the end of the run"
    ]


def test_ids_are_asked_of_the_principal_that_the_line_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(given: Mapping[str, str], request: Any) -> Any:
        asked.append((given.get("principal_port"), request))
        if isinstance(request, p.ListWorkflows):
            return {"etl.daily": {"name": "Nightly"}, "hello": {"name": "Hello"}}
        return [{"workflow_instance_id": "odd-owl-2", "workflow_id": "etl.daily", "status": "FAILED"}]

    asked: list[tuple[str | None, Any]] = []
    monkeypatch.setattr(complete, "_ask", ask)
    assert list(complete.candidates(["task", "run", "et"])) == [("etl.daily", "Nightly")]
    line = ["logs", "query", "--workflow", "etl.daily", "--principal-port=5570", "--run", ""]
    assert list(complete.candidates(line)) == [("odd-owl-2", "etl.daily FAILED")]
    assert asked[1] == ("5570", p.ListRuns(workflow_id="etl.daily", limit=complete.RUNS))


def test_without_a_principal_there_is_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for port in ("1", "0", "many"):
        monkeypatch.setenv("CDKTR_PRINCIPAL_PORT", port)
        assert main([complete.WORD, "task", "run", ""]) == 0
    assert capfd.readouterr() == ("", "")


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Of a command and of those in it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from actions(inner)


def test_every_value_of_the_command_line_is_thought_of() -> None:
    named = {
        str(each.metavar)
        for each in actions(tree.parser([]))
        if each.nargs != 0 and each.choices is None and each.help != argparse.SUPPRESS
    }
    assert named == complete.KINDS.keys() | FREE


def test_what_the_help_texts_name_is_there() -> None:
    assert tuple(KINDS) == service.KINDS
    assert tuple(completion.SCRIPTS) == service.SHELLS
