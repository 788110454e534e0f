"""Runs as histories: what happens to the tasks, one event after the other, and what follows from each."""

from itertools import product

import pytest

from cdktr.errors import IllegalTransition
from cdktr.records import RunStatus
from cdktr.run import ACTIVE, TRANSITIONS, Event, Outcome, Run, TaskState
from cdktr.workflow import Retry, RunIf, Subprocess, Task, Workflow

#: Where a task may end.
FINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED})


def task(
    *depends: str, run_if: RunIf = RunIf.ALL_SUCCEEDED, allow_failure: bool = False, retry: Retry | None = None
) -> Task:
    """A task that depends on these."""
    config = Subprocess("true")
    return Task("t", config, depends=depends, run_if=run_if, allow_failure=allow_failure, retry=retry or Retry())


def run_of(**tasks: Task) -> Run:
    """A run of these tasks."""
    return Run(Workflow("w", "W", tasks))


def play(run: Run, script: str) -> list[str]:
    """Do what `script` says, such as `+a a:ok b:fail`; returns what followed from each word but the starts."""
    followed = [shown(run.first)]
    for word in script.split():
        task_id, _, how = word.partition(":")
        match how:
            case "":
                run.start(task_id.removeprefix("+"))
                continue
            case "ok":
                outcome = run.succeed(task_id)
            case "fail":
                outcome = run.fail(task_id)
            case "again":
                outcome = run.again(task_id)
            case "cancel":
                outcome = run.cancel(task_id)
            case "abandon":
                outcome = run.abandon()
        followed.append(shown(outcome))
    return followed


def shown(outcome: Outcome) -> str:
    """`b c -d xe 5s`: b and c are ready, d is skipped, e cancelled, the task itself is tried again in 5 s."""
    words = [*outcome.ready, *(f"-{t}" for t in outcome.skipped), *(f"x{t}" for t in outcome.cancelled)]
    if outcome.retry_after_s is not None:
        words.append(f"{outcome.retry_after_s:g}s")
    return " ".join(words)


LINEAR = {"a": task(), "b": task("a"), "c": task("b")}
FAN = {"a": task(), "b": task("a"), "c": task("a"), "d": task("a"), "e": task("b", "c", "d")}
DIAMOND = {"a": task(), "b": task("a"), "c": task("a"), "d": task("b", "c")}
TWO_ROOTS = {"a": task(), "b": task(), "c": task("a", "b"), "d": task("b")}
CLEANUP = {"a": task(), "b": task("a"), "z": task("a", "b", run_if=RunIf.ALL_DONE), "y": task("z")}
ALARM = {"a": task(), "b": task("a"), "x": task("a", "b", run_if=RunIf.ANY_FAILED), "y": task("x")}
LENIENT = {"a": task(allow_failure=True), "b": task("a"), "x": task("a", run_if=RunIf.ANY_FAILED)}
TRIED = {"a": task(retry=Retry(2, delay_s=5, backoff=3, cap_s=12)), "b": task("a")}

OK, FAILED, CANCELLED = RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED


@pytest.mark.parametrize(
    ("tasks", "script", "followed", "verdict"),
    [
        pytest.param({}, "", [""], OK, id="no tasks at all"),
        pytest.param(LINEAR, "+a a:ok +b b:ok +c c:ok", ["a", "b", "c", ""], OK, id="one after the other"),
        pytest.param(LINEAR, "+a a:fail", ["a", "-b -c"], FAILED, id="a failure skips all behind it"),
        pytest.param(LINEAR, "+a a:ok +b b:fail", ["a", "b", "-c"], FAILED, id="a failure in the middle"),
        pytest.param(
            FAN,
            "+a a:ok +d +b +c c:ok d:ok b:ok +e e:ok",
            ["a", "b c d", "", "", "e", ""],
            OK,
            id="a join waits for the last of its dependencies",
        ),
        pytest.param(
            FAN,
            "+a a:ok +b +c +d c:fail b:ok d:ok",
            ["a", "b c d", "-e", "", ""],
            FAILED,
            id="a join is skipped at once, what runs beside it goes on",
        ),
        pytest.param(DIAMOND, "+a a:ok +b +c b:ok c:ok +d d:ok", ["a", "b c", "", "d", ""], OK, id="a diamond"),
        pytest.param(DIAMOND, "+a a:fail", ["a", "-b -c -d"], FAILED, id="a failed root ends its diamond"),
        pytest.param(
            DIAMOND, "+a a:ok +b +c b:fail c:fail", ["a", "b c", "-d", ""], FAILED, id="both arms fail, one skip"
        ),
        pytest.param(
            TWO_ROOTS, "+a +b a:fail b:ok +d d:ok", ["a b", "-c", "d", ""], FAILED, id="another branch goes on"
        ),
        pytest.param(CLEANUP, "+a a:ok +b b:ok +z z:ok +y y:ok", ["a", "b", "z", "y", ""], OK, id="all_done, all well"),
        pytest.param(
            CLEANUP, "+a a:fail +z z:ok +y y:ok", ["a", "z -b", "y", ""], FAILED, id="all_done runs after a failure"
        ),
        pytest.param(
            CLEANUP, "+a a:fail +z z:fail", ["a", "z -b", "-y"], FAILED, id="all_done that fails is a failure too"
        ),
        pytest.param(ALARM, "+a a:ok +b b:ok", ["a", "b", "-x -y"], OK, id="any_failed is skipped when nothing failed"),
        pytest.param(
            ALARM, "+a a:ok +b b:fail +x x:ok +y y:ok", ["a", "b", "x", "y", ""], FAILED, id="any_failed runs"
        ),
        pytest.param(
            ALARM, "+a a:fail +x x:ok +y y:ok", ["a", "x -b", "y", ""], FAILED, id="any_failed sees a skip by failure"
        ),
        pytest.param(
            {"a": task(), "x": task("a", run_if=RunIf.ANY_FAILED), "z": task("x", run_if=RunIf.ALL_DONE)},
            "+a a:ok +z z:ok",
            ["a", "z -x", ""],
            OK,
            id="all_done runs after an idle any_failed",
        ),
        pytest.param(
            {
                "a": task(),
                "x": task("a", run_if=RunIf.ANY_FAILED),
                "y": task("x"),
                "z": task("y", run_if=RunIf.ANY_FAILED),
            },
            "+a a:ok",
            ["a", "-x -y -z"],
            OK,
            id="an idle skip is handed on, and is no failure",
        ),
        pytest.param(LENIENT, "+a a:fail +b b:ok", ["a", "b -x", ""], OK, id="a failure that is allowed"),
        pytest.param(
            TRIED,
            "+a a:fail a:again +a a:fail a:again +a a:ok +b b:ok",
            ["a", "5s", "a", "12s", "a", "b", ""],
            OK,
            id="the last attempt succeeds; the wait grows to its cap",
        ),
        pytest.param(
            TRIED,
            "+a a:fail a:again +a a:fail a:again +a a:fail",
            ["a", "5s", "a", "12s", "a", "-b"],
            FAILED,
            id="every attempt fails",
        ),
        pytest.param(
            FAN,
            "+a a:ok +b :abandon b:cancel",
            ["a", "b c d", "xc xd xe", "xb"],
            CANCELLED,
            id="abandoned: what waits is cancelled, what runs is reported",
        ),
        pytest.param(
            TRIED, "+a a:fail :abandon", ["a", "5s", "xa xb"], CANCELLED, id="abandoned in the wait before a retry"
        ),
        pytest.param(
            TWO_ROOTS, "+a +b a:fail :abandon b:cancel", ["a b", "-c", "xd", "xb"], FAILED, id="a failure outweighs"
        ),
        pytest.param(
            CLEANUP, "+a :abandon a:cancel", ["a", "xb xz xy", "xa"], CANCELLED, id="no all_done after a cancel"
        ),
        pytest.param(LINEAR, ":abandon :abandon", ["a", "xa xb xc", ""], CANCELLED, id="abandoned twice"),
        pytest.param(
            {"a": task(), "b": task("a", "a")}, "+a a:ok +b b:ok", ["a", "b", ""], OK, id="named twice, waited for once"
        ),
        pytest.param(
            {"a": task(), "x": task("b", run_if=RunIf.ALL_DONE), "b": task("a"), "y": task("a", run_if=RunIf.ALL_DONE)},
            "+a a:fail +x x:ok +y y:ok",
            ["a", "x y -b", "", ""],
            FAILED,
            id="in the order of the file, not of the decisions",
        ),
    ],
)
def test_histories(tasks: dict[str, Task], script: str, followed: list[str], verdict: RunStatus) -> None:
    run = run_of(**tasks)
    assert play(run, script) == followed
    assert run.is_over
    assert run.verdict is verdict
    assert {run.state(task_id) for task_id in tasks} <= FINAL


def test_a_run_is_over_only_when_nothing_can_happen() -> None:
    run = run_of(**TRIED)
    assert not run.is_over
    for word in "+a a:fail a:again +a a:ok +b".split():
        play(run, word)
        assert not run.is_over
    play(run, "b:ok")
    assert run.is_over


def test_attempts_count_from_1() -> None:
    run = run_of(**TRIED)
    assert run.attempt("a") == 0
    assert run.start("a") == 1
    run.fail("a")
    run.again("a")
    assert run.start("a") == run.attempt("a") == 2


def brought_to(state: TaskState) -> Run:
    """A run whose task `t` is in a state; it depends on `r` and has one retry."""
    run = run_of(r=task(), t=task("r", retry=Retry(1)))
    scripts = {
        TaskState.BLOCKED: "",
        TaskState.READY: "+r r:ok",
        TaskState.RUNNING: "+r r:ok +t",
        TaskState.BACKOFF: "+r r:ok +t t:fail",
        TaskState.COMPLETED: "+r r:ok +t t:ok",
        TaskState.FAILED: "+r r:ok +t t:fail t:again +t t:fail",
        TaskState.SKIPPED: "+r r:fail",
        TaskState.CANCELLED: "+r :abandon",
    }
    play(run, scripts[state])
    assert run.state("t") is state
    return run


#: What a caller may do to a task, and the events that it may come to; `fail` decides by itself between two.
CALLS = {
    "start": {Event.START},
    "succeed": {Event.SUCCEED},
    "fail": {Event.FAIL, Event.RETRY},
    "again": {Event.AGAIN},
    "cancel": {Event.CANCEL},
}


@pytest.mark.parametrize(("state", "call"), list(product(TaskState, CALLS)))
def test_a_move_is_in_the_table_or_refused(state: TaskState, call: str) -> None:
    run = brought_to(state)
    before = facts(run)
    legal = {TRANSITIONS[state, event] for event in CALLS[call] if (state, event) in TRANSITIONS}
    if legal:
        getattr(run, call)("t")
        assert run.state("t") in legal
    else:
        with pytest.raises(IllegalTransition, match=f"Task t is {state}"):
            getattr(run, call)("t")
        assert facts(run) == before


def facts(run: Run) -> object:
    """All that can be asked of a run with the tasks r and t."""
    return {t: (run.state(t), run.attempt(t)) for t in "rt"}, run.is_over, run.verdict


def test_the_table_is_sound() -> None:
    assert {state for state, _ in TRANSITIONS}.isdisjoint(FINAL)
    reached = {TaskState.BLOCKED, *TRANSITIONS.values()}
    assert reached == set(TaskState)
    assert {event for _, event in TRANSITIONS} == set(Event)
    assert ACTIVE.isdisjoint(FINAL)


def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(KeyError):
        run_of(**LINEAR).start("nobody")
