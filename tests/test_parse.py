from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from cdktr.parse import MAX_BYTES, MAX_PROBLEMS, Problem, WorkflowProblems, parse_workflow
from cdktr.workflow import CatchUp, Retry, RunIf, Subprocess, Task, UvPython, Workflow

DATA = Path(__file__).parent / "data"

#: A file in order; tests add lines to it. Its tasks begin on line 2, and `config` is on line 5.
HEAD = "name: A\ntasks:\n  a:\n    name: T\n"
CONFIG = "    config: !Subprocess\n      cmd: 'true'\n"
GOOD = HEAD + CONFIG


def parse(text: str | bytes) -> Workflow:
    return parse_workflow(text, "etl.daily", "etl/daily.yml")


def problems(text: str | bytes) -> list[str]:
    """Each problem without its path, hint last."""
    with pytest.raises(WorkflowProblems) as caught:
        parse(text)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem).removeprefix("etl/daily.yml:") for problem in caught.value.problems]


def task(lines: str) -> Task:
    return parse(GOOD + lines).tasks["a"]


# What is right


@pytest.mark.parametrize("path", sorted(DATA.glob("*.yml")), ids=lambda path: path.stem)
def test_the_examples_are_in_order(path: Path) -> None:
    assert parse_workflow(path.read_bytes(), path.stem, str(path)).tasks


def test_every_key_arrives() -> None:
    path = DATA / "everything.yml"
    assert parse_workflow(path.read_text(), "everything", "x.yml") == Workflow(
        id="everything",
        name="Everything",
        path="x.yml",
        description="Two lines,\nof prose.\n",
        cron="30 2 * * 0",
        start_time=datetime(2025, 1, 20, 2, tzinfo=UTC),
        timezone="Europe/Berlin",
        timeout_s=7200,
        catch_up=CatchUp.LATEST,
        env={"MODE": "${{ params.mode }}", "OLD": "yes", "ZIP": "007"},
        params={"mode": "fast", "count": 3, "ratio": 0.5, "version": "1.10", "dry": False},
        tasks={
            "first": Task(
                name="First",
                description="Starts",
                env={"RATE": "1.10"},
                working_directory="/srv/data",
                timeout_s=5400,
                retry=Retry(retries=3, delay_s=0.5, backoff=2, cap_s=600),
                allow_failure=True,
                config=Subprocess("./first.sh", ("007", "1.10", "yes", "${{params.count}}", "null")),
            ),
            "last": Task(
                name="Last",
                depends=("first",),
                run_if=RunIf.ALL_DONE,
                retry=Retry(backoff=1.5),
                working_directory="/srv",
                config=UvPython("last.py"),
            ),
        },
    )


def test_what_is_left_out_takes_the_defaults() -> None:
    assert parse(GOOD) == Workflow("etl.daily", "A", {"a": Task("T", Subprocess("true"))}, "etl/daily.yml")


def test_uv_tells_what_is_missing_from_what_is_empty() -> None:
    uv = HEAD + "    config: !UvPython\n      script_path: s.py\n"
    assert parse(uv).tasks["a"].config == UvPython("s.py")
    assert parse(uv + "      packages: []\n      is_uv_project: no\n").tasks["a"].config == UvPython("s.py", (), False)


def test_text_may_look_like_something_else() -> None:
    workflow = parse("name: 2025\ntasks:\n  1:\n    name: yes\n    config: !Subprocess\n      cmd: false\n")
    assert workflow.name == "2025"
    assert workflow.tasks["1"] == Task("yes", Subprocess("false"))


@pytest.mark.parametrize(
    ("written", "default"),
    [
        ("", None),
        ("~", None),
        ("5", 5),
        ("-5", -5),
        ("1.5", 1.5),
        ("True", True),
        ("false", False),
        ("yes", "yes"),
        ("007", "007"),
        ("1.10", "1.10"),
        ("1e3", "1e3"),
        (".5", ".5"),
        ("'5'", "5"),
        ("''", ""),
        ("12345678901234567890", "12345678901234567890"),
    ],
)
def test_a_default_is_a_number_only_if_its_text_survives(written: str, default: object) -> None:
    found = parse(f"params:\n  p: {written}\n{GOOD}").params["p"]
    assert (found, type(found)) == (default, type(default))


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90), ('"5m"', 300), ("1h30m", 5400), ("500ms", 0.5), ("1.5h", 5400)]
)
def test_durations(written: str, seconds: float) -> None:
    assert task(f"    timeout: {written}\n").timeout_s == seconds
    assert parse(f"timeout: {written}\n{GOOD}").timeout_s == seconds


def test_a_retry_may_come_at_once() -> None:
    assert task("    retries: 2\n    retry_delay: 0\n").retry == Retry(2)


@pytest.mark.parametrize(
    "written",
    [
        "2025-01-20T02:00:00+00:00",
        "2025-01-20 02:00:00Z",
        "2025-01-20T03:00:00+01:00",
        "2025-01-20 03:00:00.0 +01:00",
        "'2025-01-20 02:00'",
    ],
)
def test_start_times(written: str) -> None:
    start = parse(f"start_time: {written}\n{GOOD}").start_time
    assert start == datetime(2025, 1, 20, 2, tzinfo=UTC)
    assert start is not None
    assert start.tzinfo is UTC


@pytest.mark.parametrize("depends", ["", "[]", "~"])
def test_depends_may_be_empty(depends: str) -> None:
    assert task(f"    depends: {depends}\n").depends == ()


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("gpu", ("gpu",)),
        ("'gpu'", ("gpu",)),
        ("[]", ()),
        ("[zone=eu, gpu]", ("gpu", "zone=eu")),
        ("[1, arch:arm64, team/a]", ("1", "arch:arm64", "team/a")),
    ],
)
def test_what_an_agent_must_have(text: str, labels: tuple[str, ...]) -> None:
    assert parse(f"requires: {text}\n{GOOD}").requires == labels
    assert parse(GOOD).requires == ()


def test_anchors_aliases_and_merge_keys() -> None:
    text = (
        "name: A\ntasks:\n  a: &base\n    name: First\n    env: &env {X: '1', Y: '2'}\n"
        "    config: &run !Subprocess {cmd: run, args: [x]}\n"
        "  b:\n    <<: *base\n    name: Second\n    env:\n      <<: [{Y: '3'}, *env]\n      Z: '4'\n"
        "  c: {name: Third, config: *run}\n"
    )
    tasks = parse(text).tasks
    assert tasks["b"] == Task("Second", Subprocess("run", ("x",)), env={"X": "1", "Y": "3", "Z": "4"})
    assert tasks["c"].config == tasks["a"].config
    assert list(tasks) == ["a", "b", "c"]


def test_a_byte_order_mark_and_windows_line_ends() -> None:
    assert parse(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()) == parse(GOOD)


def test_a_long_chain() -> None:
    tail = "".join(f"  t{i}: {{name: T, depends: [{f't{i - 1}' if i else 'a'}], config: *c}}\n" for i in range(3000))
    assert len(parse(GOOD.replace("!Sub", "&c !Sub") + tail).tasks) == 3001


# What is wrong: the lines to add to GOOD as keys of its task, and what is said of them

KNOWN_IN_TASK = (
    "known here: name, description, depends, config, env, working_directory, timeout, retries, retry_delay, "
    "retry_backoff, run_if, allow_failure"
)
DURATION = "write 90, 500ms, 5m or 1h30m"
IN_TASK = {
    "dependencies: []": "7:5: unknown key 'dependencies' in a task; did you mean 'depends'?",
    "zzz: 1": f"7:5: unknown key 'zzz' in a task; {KNOWN_IN_TASK}",
    "priority: 1": "7:5: 'priority' is not supported yet",
    "name: B": "7:5: the key 'name' is there twice; first on line 4",
    "? [x]\n    : y": "7:7: a key must be text, found a list",
    "description: [x]": "7:18: 'description' must be text, found a list",
    "description: !Text x": "7:18: 'description' must be text, found the tag '!Text'",
    'description: "a\\eb"': "7:18: 'description' holds the control character '\\x1b'; remove it",
    "depends: b": "7:14: 'depends' must be a list, found 'b'",
    "depends: [[a]]": "7:15: an item of 'depends' must be text, found a list",
    "depends: [aa]": "7:15: 'depends' names 'aa', which is no task of this file; did you mean 'a'?",
    "depends: [zzz]": "7:15: 'depends' names 'zzz', which is no task of this file",
    "depends: [a]": "7:15: the task 'a' depends on itself",
    "env: [A]": "7:10: 'env' must be a mapping, found a list",
    "env: {1A: x}": "7:11: '1A' in 'env' is not a valid name; "
    "a name has letters, digits and '_', and does not begin with a digit",
    "env: {CDKTR_X: x}": "7:11: 'CDKTR_X' in 'env' is reserved; choose another name",
    "env: {A: ~}": "7:14: 'A' in 'env' must be text, found nothing",
    "env: {A: [x]}": "7:14: 'A' in 'env' must be text, found a list",
    'env: {A: "a\\0b"}': "7:14: 'A' in 'env' holds the control character '\\x00'; remove it",
    'env: {A: "${{ params.x }}"}': "7:14: there is no parameter 'x'; declare it in 'params' of the workflow",
    "working_directory:": "7:23: 'working_directory' must be text, found nothing",
    "working_directory: ''": "7:24: 'working_directory' must not be empty",
    'working_directory: "a\\nb"': "7:24: 'working_directory' holds the control character '\\n'; remove it",
    "timeout: soon": f"7:14: 'timeout' must be a duration, found 'soon'; {DURATION}",
    "timeout: 1:30": f"7:14: 'timeout' must be a duration, found '1:30'; {DURATION}",
    "timeout: -5": f"7:14: 'timeout' must be a duration, found '-5'; {DURATION}",
    "timeout: [5]": f"7:14: 'timeout' must be a duration, found a list; {DURATION}",
    "timeout: 0": "7:14: 'timeout' must be more than 0 and at most 366d, found '0'",
    "timeout: 367d": "7:14: 'timeout' must be more than 0 and at most 366d, found '367d'",
    "retries: -1": "7:14: 'retries' must be a whole number from 0 to 999999, found '-1'",
    "retries: 1.5": "7:14: 'retries' must be a whole number from 0 to 999999, found '1.5'",
    "retry_delay: x": f"7:18: 'retry_delay' must be a duration, found 'x'; {DURATION}",
    "retry_backoff: 0.5": "7:20: 'retry_backoff' must be a number of at least 1, found '0.5'",
    "retry_backoff: .inf": "7:20: 'retry_backoff' must be a number of at least 1, found '.inf'",
    "retry_backoff: {cap: 5m}": "7:20: 'retry_backoff' needs the key 'factor'",
    "retry_backoff: {factor: 2, cup: 5m}": "7:32: unknown key 'cup' in 'retry_backoff'; did you mean 'cap'?",
    "run_if: all_succeded": "7:13: 'run_if' must be one of all_succeeded, all_done, any_failed, found 'all_succeded'; "
    "did you mean 'all_succeeded'?",
    "allow_failure: 'true'": "7:20: 'allow_failure' must be true or false, found 'true'",
    "allow_failure: maybe": "7:20: 'allow_failure' must be true or false, found 'maybe'",
}


@pytest.mark.parametrize("lines", IN_TASK)
def test_a_wrong_key_of_a_task(lines: str) -> None:
    assert problems(f"{GOOD}    {lines}\n") == [IN_TASK[lines]]


ID_HINT = "an id has up to 200 letters, digits, '_', '-' and '.', and does not begin with '-' or '.'"
LABEL = "a label has up to 63 letters, digits, '.', '_', '=', ':', '/' and '-', and begins with a letter or a digit"
AT_TOP = {
    "taks: x": "1:1: unknown key 'taks' in a workflow; did you mean 'tasks'?",
    "overlap: skip": "1:1: 'overlap' is not supported yet",
    "description: ~": "1:14: 'description' must be text, found nothing",
    "cron: 61 * * * *": "1:7: Cron '61 * * * *'*",
    "cron: 0 0 0 30 2 *": "1:7: Cron '0 0 0 30 2 *' never fires*",
    "catch_up: last": "1:11: 'catch_up' must be one of none, latest, found 'last'; did you mean 'latest'?",
    "catch_up: true": "1:11: 'catch_up' must be one of none, latest, found 'true'",
    "requires: ~": f"1:11: 'requires' must be a label or a list of them, found nothing; {LABEL}",
    "requires: my gpu": f"1:11: 'requires' must be a label or a list of them, found 'my gpu'; {LABEL}",
    "requires: !Gpu x": f"1:11: 'requires' must be a label or a list of them, found the tag '!Gpu'; {LABEL}",
    "requires: {zone: eu}": "1:11: 'requires' must be a label or a list of them, found a mapping; write zone=eu",
    "requires: [gpu, -x]": f"1:17: an item of 'requires' must be a label, found '-x'; {LABEL}",
    "requires: [gpu, [x]]": f"1:17: an item of 'requires' must be a label, found a list; {LABEL}",
    "requires:\n- zone: eu": "2:3: an item of 'requires' must be a label, found a mapping; write zone=eu",
    "requires: [gpu, gpu]": "1:17: 'gpu' is there twice in 'requires'",
    f"requires: [{', '.join(f'l{n}' for n in range(33))}]": "1:11: 'requires' has 33 labels, and no agent has more "
    "than 32",
    "timezone: Europe/Berln": "1:11: The timezone 'Europe/Berln' is not known*",
    "start_time: tomorrow": "1:13: 'start_time' must be a time such as 2025-01-20T02:00:00+00:00, found 'tomorrow'",
    "start_time: 0001-01-01T00:00+14:00": "1:13: 'start_time' must be a time such as 2025-01-20T02:00:00+00:00, "
    "found '0001-01-01T00:00+14:00'",
    "params: [x]": "1:9: 'params' must be a mapping, found a list",
    "params: {x: [1]}": "1:13: 'x' in 'params' must be text, found a list",
    "params: {a-b: 1}": "1:10: 'a-b' in 'params' is not a valid name; "
    "a name has letters, digits and '_', and does not begin with a digit",
    "params: {PATH: 1}": "1:10: 'PATH' in 'params' is reserved; choose another name",
    "params: {LD_PRELOAD: 1}": "1:10: 'LD_PRELOAD' in 'params' is reserved; choose another name",
    "params: {CDKTR_X: 1}": "1:10: 'CDKTR_X' in 'params' is reserved; choose another name",
    "env: {A: '${{ x }}'}": "1:10: '${{' begins no parameter; write ${{ params.NAME }}",
    "env: {A: '${{ params.x }} ${{'}\nparams: {x: 1}": "1:10: '${{' begins no parameter; write ${{ params.NAME }}",
    "env: {A: '${{ params.xx }}'}\nparams: {xxx: 1}": "1:10: there is no parameter 'xx'; did you mean 'xxx'?",
    "cron: '@daily'\nparams:\n  day:": "3:3: the parameter 'day' has no default, and a schedule cannot give one; "
    "give it a default, or remove 'cron'",
}


@pytest.mark.parametrize("lines", AT_TOP)
def test_a_wrong_key_of_a_workflow(lines: str) -> None:
    (found,) = problems(f"{lines}\n{GOOD}")
    expected = AT_TOP[lines]
    assert found.startswith(expected[:-1]) if expected.endswith("*") else found == expected


@pytest.mark.parametrize("path", sorted(DATA.glob("*.yml")), ids=lambda path: path.stem)
def test_libyaml_is_not_needed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = parse(path.read_bytes())
    monkeypatch.setattr("cdktr.parse.tree._LOADER", yaml.SafeLoader)
    assert parse(path.read_bytes()) == quick
    assert problems(f"name: {DEEP}") == WHOLE[f"name: {DEEP}"].split("\n")
    assert problems('name: "\\UFFFFFFFF"')[0].startswith("1:1: not valid YAML")


def test_a_zone_may_have_meant_another() -> None:
    assert "Europe/Berlin" in problems(f"timezone: Europe/Berln\n{GOOD}")[0]


CONFIGS = {
    "{cmd: x}": "5:13: 'config' must have the tag !Subprocess or !UvPython, found a mapping; add !Subprocess",
    "{script_path: x}": "5:13: 'config' must have the tag !Subprocess or !UvPython, found a mapping; add !UvPython",
    "x": "5:13: 'config' must have the tag !Subprocess or !UvPython, found 'x'",
    "!Subproces {cmd: x}": "5:13: 'config' must have the tag !Subprocess or !UvPython, found the tag '!Subproces'; "
    "did you mean '!Subprocess'?",
    "!Subprocess": "5:13: !Subprocess must be a mapping, found the tag '!Subprocess'",
    "!Subprocess {args: []}": "5:13: !Subprocess needs the key 'cmd'",
    "!Subprocess {cmd: x, argv: []}": "5:34: unknown key 'argv' in !Subprocess; did you mean 'args'?",
    "!Subprocess {cmd: ' '}": "5:31: 'cmd' must not be empty",
    '!Subprocess {cmd: "a\\u0085b"}': "5:31: 'cmd' holds the control character '\\x85'; remove it",
    "!Subprocess {cmd: '${{ params.x }}'}": "5:31: 'cmd' cannot hold '${{'; "
    "parameters are filled in only in 'args' and 'env'",
    "!Subprocess {cmd: x, args: }": "5:40: 'args' must be a list, found nothing",
    "!Subprocess {cmd: x, args: y}": "5:40: 'args' must be a list, found 'y'",
    "!Subprocess {cmd: x, args: [~]}": "5:41: an item of 'args' must be text, found nothing",
    '!Subprocess {cmd: x, args: ["\\x01"]}': "5:41: an item of 'args' holds the control character '\\x01'; remove it",
    "!UvPython {packages: []}": "5:13: !UvPython needs the key 'script_path'",
    "!UvPython {script_path: x, packages: y}": "5:50: 'packages' must be a list, found 'y'",
    "!UvPython {script_path: x, packages: [[]]}": "5:51: an item of 'packages' must be text, found a list",
    "!UvPython {script_path: x, is_uv_project: 1}": "5:55: 'is_uv_project' must be true or false, found '1'",
}


@pytest.mark.parametrize("config", CONFIGS)
def test_a_wrong_config(config: str) -> None:
    assert problems(f"{HEAD}    config: {config}\n") == [CONFIGS[config]]


def test_the_working_directory_is_given_once() -> None:
    text = f"{HEAD}    working_directory: /a\n    config: !UvPython {{script_path: x, working_directory: /b}}\n"
    assert problems(text) == ["5:5: 'working_directory' is both in the task and in its 'config'; give it once"]


DEEP = "[" * 100_000
WHOLE = {
    "": "1:1: the file is empty; a workflow needs 'name' and 'tasks'",
    "# nothing\n": "1:1: the file is empty; a workflow needs 'name' and 'tasks'",
    "---\n": "1:1: the file is empty; a workflow needs 'name' and 'tasks'",
    "- a\n": "1:1: a workflow must be a mapping, found a list",
    "hello": "1:1: a workflow must be a mapping, found 'hello'",
    "name: A\n": "1:1: a workflow needs the key 'tasks'",
    "name: A\ntasks:\n": "2:7: 'tasks' must be a mapping, found nothing",
    "name: A\ntasks: {}\n": "2:8: 'tasks' is empty; a workflow needs at least one task",
    "name: A\ntasks: {a: }\n": "2:12: a task must be a mapping, found nothing",
    GOOD + "---\nb: 1\n": "7:1: a second document begins here; a file holds one workflow",
    GOOD.replace("  a:", "  a b:"): f"3:3: 'a b' cannot be the id of a task; {ID_HINT}",
    GOOD.replace("  a:", "  -a:"): f"3:3: '-a' cannot be the id of a task; {ID_HINT}",
    "name: A\n\ttasks: 1\n": "2:1: not valid YAML: found a tab character that violates indentation "
    "(while scanning a plain scalar); indent with spaces, not tabs",
    "name: A\nname: B: C\n": "2:8: not valid YAML: mapping values are not allowed in this context",
    "env: {A: ${{ params.x }}}\n": "1:11: not valid YAML: did not find expected ',' or '}' "
    "(while parsing a flow mapping); put text with '${{' in quotes",
    "name: *nam\nx: &name 1\n": "1:7: the alias *nam does not follow what it names",
    "x: &name 1\nname: *nam\n": "2:7: the alias *nam does not follow what it names; did you mean 'name'?",
    "a: &a [*a]\n": "1:8: the alias *a does not follow what it names",
    f"{GOOD}<<: 5\n": "7:5: '<<' takes mappings, found '5'",
    "name: 'é\x01'": "1:9: the file holds the character '\\x01'; remove it",
    f"name: {DEEP}": "1:38: lists and mappings are nested more than 32 deep",
    f"name: {'{a: ' * 50_000}": "1:131: lists and mappings are nested more than 32 deep",
    "#" * (MAX_BYTES + 1): f"1:1: the file is larger than {MAX_BYTES} bytes",
    "name: \ud800": "1:7: the file is not UTF-8 text",
}


@pytest.mark.parametrize("text", WHOLE, ids=range(len(WHOLE)))
def test_a_wrong_file(text: str) -> None:
    assert problems(text) == [WHOLE[text]]


def test_bytes_that_are_no_text() -> None:
    assert problems("name: é\nx: é".encode() + b"\xff") == ["2:5: the file is not UTF-8 text"]
    assert problems(GOOD.encode("utf-16")) == ["1:1: the file is not UTF-8 text"]


def test_an_alias_bomb_is_defused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert problems("\n".join(lines)) == [
        "6:10: with what its aliases repeat, the file has more than 200000 values",
    ]


def test_a_merge_bomb_is_defused() -> None:
    lines = [f"m0: &m0 {{{', '.join(f'k{i}: 1' for i in range(100))}}}"]
    lines += [f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 20)}]}}" for i in range(1, 9)]
    assert "more than 200000 values" in problems("\n".join(lines))[0]


@pytest.mark.parametrize(
    ("depends", "expected"),
    [
        ({"a": "b", "b": "a"}, ["2:25: tasks depend on each other in a circle: a -> b -> a"]),
        (
            {"x": "c", "a": "b", "b": "c", "c": "a", "d": "e", "e": "d"},
            [
                "3:25: tasks depend on each other in a circle: a -> b -> c -> a",
                "6:25: tasks depend on each other in a circle: d -> e -> d",
            ],
        ),
        ({"a": "'b', 'b'", "b": ""}, ["2:30: 'b' is there twice in 'depends'"]),
    ],
)
def test_cycles_and_repetitions(depends: dict[str, str], expected: list[str]) -> None:
    lines = [f" {i}: {{name: T, depends: [{names}], config: !Subprocess {{cmd: x}}}}" for i, names in depends.items()]
    assert problems("tasks:\n" + "\n".join(lines) + "\nname: A\n") == expected


def test_the_circle_of_a_task_with_other_faults_is_found_too() -> None:
    assert problems("name: A\ntasks:\n a: {depends: [b]}\n b: {depends: [a], nam: x}\n") == [
        "3:5: a task needs the key 'name'",
        "3:5: a task needs the key 'config'",
        "3:16: tasks depend on each other in a circle: a -> b -> a",
        "4:5: a task needs the key 'name'",
        "4:5: a task needs the key 'config'",
        "4:20: unknown key 'nam' in a task; did you mean 'name'?",
    ]


def test_a_long_circle_is_cut() -> None:
    lines = [f" t{i}: {{depends: [t{(i + 1) % 500}], name: T, config: !Subprocess {{cmd: x}}}}" for i in range(500)]
    (problem,) = problems("name: A\ntasks:\n" + "\n".join(lines))
    assert problem.endswith(" -> t18 -> ... -> t0")


def test_all_problems_come_at_once_in_order() -> None:
    text = "name: [A]\nkron: x\ntasks:\n  a:\n    config: !Shell\n      cmd: x\n    timeout: x\n"
    assert [problem.split(": ")[0] for problem in problems(text)] == ["1:7", "2:1", "5:5", "5:13", "7:14"]


def test_what_an_alias_repeats_is_reported_once() -> None:
    text = "name: A\ntasks:\n  a: &a {name: T, config: !Subprocess {cmd: ''}}\n  b: *a\n"
    assert problems(text) == ["3:45: 'cmd' must not be empty"]


def test_nobody_reads_a_thousand_problems() -> None:
    assert len(problems("".join(f"k{i}: 1\n" for i in range(1000)))) == MAX_PROBLEMS


def test_a_message_cannot_drive_a_terminal() -> None:
    (problem,) = problems('"\\e[2J\\u202e": x\n' + GOOD)
    assert problem.isprintable()
    assert len(problems(f"{'x' * 900}: x\n{GOOD}")[0]) < 300


def test_a_problem_reads_like_a_compilers() -> None:
    assert str(Problem("a.yml", 12, 5, "what", "hint")) == "a.yml:12:5: what; hint"
    assert str(Problem("a.yml", 0, 0, "what")) == "a.yml: what"
