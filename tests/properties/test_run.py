"""Random graphs, random ends, in random order: what a run must never do, and a second opinion on what it does."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from cdktr.records import RunStatus
from cdktr.run import Outcome, Run, TaskState
from cdktr.workflow import Retry, RunIf, Subprocess, Task, Workflow

FINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED})


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Each task depends on some of those before it, which makes every graph without a circle; then shuffled."""
    tasks: dict[str, Task] = {}
    for number in range(draw(st.integers(1, 9))):
        depends = draw(st.lists(st.sampled_from(sorted(tasks)), max_size=4)) if tasks else []
        tasks[f"t{number}"] = Task(
            f"T{number}",
            Subprocess("true"),
            depends=tuple(depends),
            run_if=draw(st.sampled_from(RunIf)) if depends else RunIf.ALL_SUCCEEDED,
            allow_failure=draw(st.booleans()),
            retry=Retry(draw(st.integers(0, 2)), draw(st.sampled_from([0.0, 1.5]))),
        )
    order = draw(st.permutations(list(tasks)))
    return Workflow("w", "W", {task_id: tasks[task_id] for task_id in order})


@dataclass
class Story:
    """A run played to its end, and what was seen on the way."""

    run: Run
    starts: Counter[str]
    ended: list[str]

    def take(self, outcome: Outcome) -> None:
        """Note what ended without having run."""
        self.ended += [*outcome.skipped, *outcome.cancelled]


def step(data: st.DataObject, workflow: Workflow, story: Story) -> None:
    """One thing happens to one task."""
    run = story.run
    active = [t for t in workflow.tasks if run.state(t) in (TaskState.READY, TaskState.RUNNING, TaskState.BACKOFF)]
    task_id = data.draw(st.sampled_from(active))
    state = run.state(task_id)
    if state is TaskState.READY:
        check_dependencies(workflow, run, task_id)
        story.starts[task_id] += 1
        assert run.start(task_id) == story.starts[task_id]
    elif state is TaskState.BACKOFF:
        assert run.again(task_id) == Outcome(ready=(task_id,))
    else:
        before = {t: run.state(t) for t in workflow.tasks}
        outcome = run.succeed(task_id) if data.draw(st.booleans()) else run.fail(task_id)
        changed = {t: run.state(t) for t in workflow.tasks if run.state(t) is not before[t] and t != task_id}
        in_order = [t for t in workflow.tasks if t in changed]
        assert outcome.ready == tuple(t for t in in_order if changed[t] is TaskState.READY)
        assert outcome.skipped == tuple(t for t in in_order if changed[t] is TaskState.SKIPPED)
        assert (outcome.retry_after_s is not None) == (run.state(task_id) is TaskState.BACKOFF)
        story.take(outcome)
        if run.state(task_id) is not TaskState.BACKOFF:
            story.ended.append(task_id)


def check_dependencies(workflow: Workflow, run: Run, task_id: str) -> None:
    """A task that may start: its dependencies have ended, as its `run_if` asks."""
    task = workflow.tasks[task_id]
    states = {d: run.state(d) for d in task.depends}
    assert set(states.values()) <= FINAL
    if task.run_if is RunIf.ALL_SUCCEEDED:
        allowed = {d for d, state in states.items() if state is TaskState.FAILED and workflow.tasks[d].allow_failure}
        assert all(state is TaskState.COMPLETED for d, state in states.items() if d not in allowed)


def play(data: st.DataObject, workflow: Workflow) -> Story:
    """To the end."""
    run = Run(workflow)
    story = Story(run, Counter(), [])
    story.take(run.first)
    while not run.is_over:
        step(data, workflow, story)
    return story


def reference(workflow: Workflow, failed: set[str]) -> dict[str, str]:
    """Who is run and who is skipped, given who fails when it is run: task by task, from the definition alone.

    `bad` is a skip that goes back to a failure, `idle` one that does not: an `any_failed` with nothing to do, or what
    depends on such a one.
    """
    fate: dict[str, str] = {}

    def of(task_id: str) -> str:
        if task_id not in fate:
            fate[task_id] = decide(workflow.tasks[task_id], task_id, {of(d) for d in workflow.tasks[task_id].depends})
        return fate[task_id]

    def decide(task: Task, task_id: str, before: set[str]) -> str:
        trouble = bool(before & {"failed", "bad"})
        if task.run_if is RunIf.ALL_SUCCEEDED and (trouble or "idle" in before):
            return "bad" if trouble else "idle"
        if task.run_if is RunIf.ANY_FAILED and not trouble:
            return "idle"
        if task_id not in failed:
            return "fine"
        return "forgiven" if task.allow_failure else "failed"

    return {task_id: of(task_id) for task_id in workflow.tasks}


EXPECTED = {
    "fine": TaskState.COMPLETED,
    "forgiven": TaskState.FAILED,
    "failed": TaskState.FAILED,
    "bad": TaskState.SKIPPED,
    "idle": TaskState.SKIPPED,
}


@settings(max_examples=150)
@given(st.data(), workflows())
def test_a_run_played_to_its_end(data: st.DataObject, workflow: Workflow) -> None:
    story = play(data, workflow)
    states = {task_id: story.run.state(task_id) for task_id in workflow.tasks}
    assert set(states.values()) <= FINAL
    assert sorted(story.ended) == sorted(workflow.tasks), "every task ends, and once"
    for task_id, task in workflow.tasks.items():
        assert story.starts[task_id] <= task.retry.retries + 1
        assert (story.starts[task_id] == 0) == (states[task_id] is TaskState.SKIPPED)
        assert story.starts[task_id] == task.retry.retries + 1 or states[task_id] is not TaskState.FAILED
    failed = {task_id for task_id, state in states.items() if state is TaskState.FAILED}
    fates = reference(workflow, failed)
    assert states == {task_id: EXPECTED[fate] for task_id, fate in fates.items()}
    assert (story.run.verdict is RunStatus.FAILED) == ("failed" in fates.values())
    assert story.run.verdict in (RunStatus.FAILED, RunStatus.COMPLETED)


@settings(max_examples=100)
@given(st.data(), workflows())
def test_a_run_ended_in_the_middle(data: st.DataObject, workflow: Workflow) -> None:
    story = Story(Run(workflow), Counter(), [])
    run = story.run
    story.take(run.first)
    for _ in range(data.draw(st.integers(0, 12))):
        if not run.is_over:
            step(data, workflow, story)
    before = {task_id: run.state(task_id) for task_id in workflow.tasks}
    waiting = tuple(t for t, state in before.items() if state not in FINAL and state is not TaskState.RUNNING)
    running = [t for t, state in before.items() if state is TaskState.RUNNING]
    assert run.abandon() == Outcome(cancelled=waiting)
    for task_id in data.draw(st.permutations(running)):
        assert not run.is_over
        assert run.cancel(task_id) == Outcome(cancelled=(task_id,))
    assert run.is_over
    states = {task_id: run.state(task_id) for task_id in workflow.tasks}
    assert states == before | dict.fromkeys([*waiting, *running], TaskState.CANCELLED)
    failed = any(s is TaskState.FAILED and not workflow.tasks[t].allow_failure for t, s in states.items())
    cancelled = TaskState.CANCELLED in states.values()
    expected = RunStatus.FAILED if failed else RunStatus.CANCELLED if cancelled else RunStatus.COMPLETED
    assert run.verdict is expected
