"""What README and docs show is run, as it stands there; see `pages` for how."""

import ast
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cdktr.batch import SCHEMA
from cdktr.cli.tree import parser
from cdktr.cron import Schedule
from cdktr.messages import Structured
from cdktr.parse import parse_workflow
from cdktr.protocol import VERBS
from cdktr.records import RunStatus
from docs import reference
from tests.integration.cluster import ROOT
from tests.integration.conftest import NewCluster
from tests.integration.pages import PAGES, Block, Reader, as_shown, blocks, commands, dialogue, prose, squeezed
from tests.integration.wire import Wire

TROUBLE = ROOT / "docs" / "troubleshooting.md"

#: Those of which only the links are looked at, too.
LINKED = [*PAGES, *(ROOT / name for name in ("ARCHITECTURE.md", "CHANGELOG.md", "workflows/examples/README.md"))]

of_every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@of_every_page
def test_what_is_shown_is_so(page: Path, tmp_path: Path) -> None:
    with Reader(page, tmp_path) as reader:
        reader.read()


def test_the_first_lines_are_the_two_commands() -> None:
    shown = blocks(ROOT / "README.md", "sh")[0]
    assert [line.split("#")[0].strip() for line in commands(shown.text)] == ["make run", "make test"]


# Links


def anchors(page: Path) -> set[str]:
    """The names under which the headings of a page can be linked to."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(page: Path) -> Iterator[str]:
    """What a page links to and is not there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            yield target


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(dead_links(page)) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A *title*, `x`\n[here](#a-title-x), [page](page.md#a-title-x) [no](#no) [none](none.md) [up](..)\n"
    )
    assert list(dead_links(page)) == ["#no", "none.md"]


def test_every_page_is_linked_to() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if page.name != "README.md" and f"]({page.name})" not in index] == []


# What would slip by


def block(language: str, text: str, name: str = "", before: str = "") -> Block:
    return Block(Path("page.md"), 1, language, name, text, before)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (block("sh", "false\n"), "exited with 1, not 0"),
        (block("sh", "true # exits 1\n"), "exited with 0, not 1"),
        (block("sh", "cdktr frobnicate\n"), "exited with 2"),
        (block("console", "$ echo a; echo b\na\n"), "and not"),
        (block("console", "$ echo a >&2; exit 3 # exits 3\nb\n"), "and not"),
        (block("yaml", "nam: X\n"), "unknown key"),
        (block("yaml", "name: X\ntasks: {a: {name: A, config: !Subprocess {cmd: x}}}\n", "x.yml"), "to be saved as"),
        (block("python", "import nothing_of_that_name\n"), "exited with 1"),
        (block("text", "cdktr task rum hello\n"), "cdktr task rum hello"),
        (block("text", "ssh host crontab -l | cdktr import crontap -\n"), "cdktr import crontap -"),
        (block("text", "for day in 1 2; do cdktr task rum x --wait || break; done\n"), "cdktr task rum x --wait"),
        (block("systemd", "[Service]\nExecStart=/bin/cdktr status\nKilMode=mixed\n"), "KilMode"),
        (block("systemd", "[Service]\nExecStart=/bin/cdktr stat\n"), "cdktr stat"),
        (block("systemd", "[Service]\nExecStart=/bin/cdktr status\nKillMode=mixd\n"), "mixd"),
        (block("env", "CDKTR_PORT=1\n"), "CDKTR_PORT"),
        (block("json", "{'a': 1}\n"), "double quotes"),
        (block("toml", "a = 1\n"), "'toml'"),
        (block("", "a\n"), "''"),
    ],
)
def test_what_is_not_so_is_found(wrong: Block, told: str, tmp_path: Path) -> None:
    if "mixd" in told and shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this host")
    with Reader(Path("page.md"), tmp_path) as reader, pytest.raises(Exception) as found:  # noqa: PT011 - several kinds
        reader.take(wrong)
    assert told in str(found.value)


@pytest.mark.parametrize(
    "text", ["~~~sh\nfalse\n~~~\n", "> ```sh\n> false\n> ```\n", "```sh\nfalse\n", "```sh a b\nfalse\n```\n"]
)
def test_a_block_of_another_form_is_found(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError, match="cannot be read"):
        blocks(page)
    page.write_text("1. A\n\n   ```sh\n   a\n     b\n   ```\n")
    assert [(each.language, each.text) for each in blocks(page)] == [("sh", "a\n  b\n")]


def test_what_is_so_passes(tmp_path: Path) -> None:
    text = "mkdir a; cd a\nA=1; export A\n# A remark.\ncat >x <<'END'\nb $A\nEND\necho c \\\n  d >>x\n"
    shown = "$ pwd; cat x; echo $A; exit 4 # exits 4\n…/a\nb $A\nc   d…\n1\n$ seq 9\n1\n…\n8\n9\n$ true\n"
    with Reader(Path("page.md"), tmp_path) as reader:
        for each in (block("sh", text), block("console", shown), block("text", "cdktr task list  # hm\nls\n")):
            reader.take(each)
    assert reader.ran == 7
    assert (tmp_path / "a" / "x").read_text() == "b $A\nc d\n"


def test_a_dialogue_is_read_as_it_stands() -> None:
    assert list(dialogue("$ a \\\n> b\nc\n\n$ d\n")) == [("a \\\nb", "c\n\n"), ("d", "")]
    assert as_shown("a  …  c\n…\nz\n").fullmatch(squeezed("a b  c\nx\ny\nz\n"))
    assert not as_shown("a\n").fullmatch(squeezed("a\nb\n"))


# What pages say of the code


def test_the_pages_that_are_made_are_fresh() -> None:
    stale = [path.name for path, text in reference.pages().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `make docs`"


def test_the_pages_that_are_made_do_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reference.pages()
    monkeypatch.setenv("COLUMNS", "30")
    assert reference.pages() == before


def named(text: str, known: Mapping[str, set[str]]) -> Iterator[str]:
    """The commands in a sentence that there are not, or not with these flags."""
    for command in re.findall(r"`(cdktr [^`]+)`", text):
        flags = set(re.findall(r"--[a-z][a-z-]*", command))
        fits = (each for each in known if f"{command} ".startswith(f"{each} ") or each.startswith(f"{command} "))
        if not any(flags <= known[each] for each in fits):
            yield command


def test_every_command_that_is_named_exists() -> None:
    known = {made.prog: {*made._option_string_actions} for made, _ in reference._verbs(parser([]))}
    known |= {"cdktr --help": {"--help"}, "cdktr --version": {"--version"}, "cdktr COMMAND": {"--help"}}
    wrong = {page.name: [*named(prose(page), known)] for page in LINKED}
    assert {name: commands for name, commands in wrong.items() if commands} == {}
    assert [*named("`cdktr task`, `cdktr tusk list`, `cdktr task run x --wiat`", known)] == [
        "cdktr tusk list",
        "cdktr task run x --wiat",
    ]


def sentences() -> Iterator[str]:
    """Every text of the code and of the file's head, NUL for what is filled in."""
    head = (ROOT / "build" / "head.sh").read_text(encoding="utf-8").replace("\\\n", "").replace("\\`", "`")
    yield from re.findall(r'"([^"\n]+)', re.sub(r"\$\(\(\w+\)\)|\$\{[^}]*\}|\$\w+", "\0", head))
    for path in sorted((ROOT / "cdktr").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
                yield re.sub(r"%[sdg]", "\0", "".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%[sdg]", "\0", node.value)


def quoted_messages(text: str) -> list[str]:
    """What a page says that we say: its headings in code, and what stands in its `text` blocks."""
    found = re.findall(r"^#+ `(.+)`$", text, re.MULTILINE)
    for shown in re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        found += shown.splitlines()
    return found


def is_said(message: str, known: list[str]) -> bool:
    """Whether one text of the code has all of a message that stands between its `…`, in this order.

    Or, as a text may be put into another, whether each of its clauses is in some text, and long enough to mean it.
    """
    parts = [re.escape(part.strip()) for part in message.split("…") if part.strip()]
    pattern = re.compile(".*".join(parts), re.DOTALL)
    clauses = [clause.strip(" :") for clause in re.split("…|: ", message) if clause.strip(" :")]
    return any(pattern.search(text) for text in known) or all(
        len(clause) >= 12 and any(clause in text for text in known) for clause in clauses
    )


def test_every_message_that_is_explained_exists() -> None:
    known = list(sentences())
    messages = quoted_messages(TROUBLE.read_text(encoding="utf-8"))
    assert len(messages) > 20
    assert [message for message in messages if not is_said(message, known)] == []
    assert not is_said("No principal … at this address ever", known)
    assert not is_said("Cannot start …: it is not on the PATH of anybody", known)


def examples() -> Iterator[tuple[str, str]]:
    """The requests and replies of the API page; a line that is indented goes on."""
    text = "".join(each.text for each in blocks(ROOT / "docs" / "api.md", "text"))
    text = re.sub(r"\n +", "", text)
    lines = [line for line in text.splitlines() if line[:2] in ("> ", "< ")]
    assert [line[0] for line in lines] == [">", "<"] * (len(lines) // 2)
    for request, reply in zip(lines[::2], lines[1::2], strict=True):
        yield request[2:], reply[2:]


def test_the_api_answers_as_the_page_says(new_cluster: NewCluster) -> None:
    """Every verb once, in the order of the page: each reply follows from what was asked before it."""
    cluster = new_cluster()
    [hello] = blocks(ROOT / "docs" / "api.md", "yaml")
    cluster.start_principal("--no-scheduler")
    cluster.write("hello", hello.text)
    asked, token = [], ""
    with Wire((cluster.port, cluster.logs_in, cluster.logs_out)) as wire:
        for request, reply in examples():
            words = request.replace("TOKEN", token).split("·")
            asked.append(words[0])
            got = wire.ask(*words).decode().replace("\x01", "·")
            pattern = re.escape(reply).replace("…", ".*")
            assert re.fullmatch(pattern, got, re.DOTALL), f"> {request}\n< {got}\nand not\n< {reply}"
            if match := re.search(r'"token":"(\w+)"', got):
                token = match[1]
    assert set(asked) == {*VERBS, "FOO"}


def test_the_api_page_names_every_field() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    for verb, kind in VERBS.items():
        if issubclass(kind, Structured):
            row = re.search(rf"^\| `{verb}` \|.*$", text, re.MULTILINE)
            assert row, verb
            names = [name for name in kind.__dataclass_fields__ if f"`{name}`" not in row[0]]
            assert names == [], verb


def test_the_workflow_page_names_every_key() -> None:
    """The page and the parser are held together by a file that uses every key of the page's tables."""
    text = (ROOT / "docs" / "workflows.md").read_text()
    workflow, task = (section.split("\n## ")[0] for section in re.split(r"\n## (?:The workflow|A task)\n", text)[1:])
    keys = {name: re.findall(r"^\| `(\w+)`", section, re.MULTILINE) for name, section in (("w", workflow), ("t", task))}
    values = {
        "name": "X",
        "description": "x",
        "cron": '"@daily"',
        "timezone": "Europe/Berlin",
        "catch_up": "latest",
        "start_time": "2026-01-01T00:00:00",
        "params": "{a: 1}",
        "env": "{B: c}",
        "timeout": "5m",
        "requires": "[gpu]",
        "config": "!Subprocess {cmd: x}",
        "depends": "[]",
        "run_if": "all_done",
        "allow_failure": "true",
        "working_directory": "/",
        "retries": "1",
        "retry_delay": "1s",
        "retry_backoff": "2",
    }
    tasks = "tasks:\n  t:\n" + "".join(f"    {key}: {values[key]}\n" for key in keys["t"])
    head = "".join(f"{key}: {values[key]}\n" for key in keys["w"] if key != "tasks")
    made = parse_workflow(head + tasks, "all", "all.yml")
    assert made.timeout_s == made.tasks["t"].timeout_s == 300


def test_the_history_page_names_every_column() -> None:
    text = (ROOT / "docs" / "history.md").read_text()
    tables = re.findall(r"^### `(\w+)`$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    found = {name: re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) for name, section in tables}
    assert found == {name: list(columns) for name, columns in SCHEMA.items()}
    statuses = text.partition("## Statuses")[2].partition("## Tables")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", statuses, re.MULTILINE)) == set(RunStatus)


def test_the_clock_page_is_right() -> None:
    """The table of the days on which a clock changes."""
    table = (ROOT / "docs" / "cron.md").read_text().partition("<!-- fires -->\n")[2].partition("\n\n")[0]
    rows = [[cell.strip().strip("`") for cell in row.strip("|").split(" | ")] for row in table.splitlines()[2:]]
    assert len(rows) > 5
    for cron, zone, day, shown in rows:
        begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
        schedule, end = Schedule.parse(cron, zone), (begin + timedelta(days=1)).astimezone(UTC)
        time, fires = schedule.next_after(begin.astimezone(UTC) - timedelta(seconds=1)), []
        while time < end:
            fires.append(time.astimezone(begin.tzinfo).isoformat("T", "minutes").partition("T")[2])
            time = schedule.next_after(time)
        if match := re.match(r"(\d+) times", shown):
            assert len(fires) == int(match[1]), (cron, zone, day)
        else:
            assert ", ".join(fires) == shown, (cron, zone, day)


def test_the_sample_workflows_run(new_cluster: NewCluster, tmp_path: Path) -> None:
    cluster = new_cluster(TMPDIR=str(tmp_path))
    shutil.copytree(ROOT / "workflows", cluster.workflows, dirs_exist_ok=True)
    cluster.start_principal("--with-agent", "--no-scheduler")
    for workflow_id, said in (("hello", "Hello from cdktr"), ("etl.daily", "ada,42")):
        done = cluster.cli("task", "run", workflow_id, "--follow")
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    assert not list(tmp_path.glob("cdktr-etl-*"))
