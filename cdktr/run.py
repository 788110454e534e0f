"""One run's state. The law: whatever decides which task of a run may start, is retried or is skipped, stands here.

Events come in (`start`, `succeed`, `fail`, `again`, `cancel`), what follows from them goes out as an `Outcome`; the
agent does it. Nothing here spawns, logs, waits or reads a clock. A move that `TRANSITIONS` does not hold raises
`IllegalTransition` and changes nothing.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cdktr.dag import Dag
from cdktr.errors import IllegalTransition
from cdktr.records import RunStatus
from cdktr.workflow import RunIf, Workflow


class TaskState(StrEnum):
    """Where a task of a run stands."""

    BLOCKED = "blocked"
    READY = "ready"
    RUNNING = "running"
    BACKOFF = "backoff"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What can happen to a task of a run."""

    ENABLE = "enable"
    SKIP = "skip"
    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"
    RETRY = "retry"
    AGAIN = "again"
    CANCEL = "cancel"


#: Every legal move: (state, event) -> next state.
TRANSITIONS: dict[tuple[TaskState, Event], TaskState] = {
    (TaskState.BLOCKED, Event.ENABLE): TaskState.READY,
    (TaskState.BLOCKED, Event.SKIP): TaskState.SKIPPED,
    (TaskState.BLOCKED, Event.CANCEL): TaskState.CANCELLED,
    (TaskState.READY, Event.START): TaskState.RUNNING,
    (TaskState.READY, Event.CANCEL): TaskState.CANCELLED,
    (TaskState.RUNNING, Event.SUCCEED): TaskState.COMPLETED,
    (TaskState.RUNNING, Event.FAIL): TaskState.FAILED,
    (TaskState.RUNNING, Event.RETRY): TaskState.BACKOFF,
    (TaskState.RUNNING, Event.CANCEL): TaskState.CANCELLED,
    (TaskState.BACKOFF, Event.AGAIN): TaskState.READY,
    (TaskState.BACKOFF, Event.CANCEL): TaskState.CANCELLED,
}

ACTIVE = frozenset({TaskState.READY, TaskState.RUNNING, TaskState.BACKOFF})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from an event, each in the order of the file."""

    ready: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    #: Seconds after which to call `again` for the task that just failed; None when it is not retried.
    retry_after_s: float | None = None


class Run:
    """The tasks of one run of `workflow`, from all blocked to all ended."""

    def __init__(self, workflow: Workflow) -> None:
        self._tasks = workflow.tasks
        self._dag = Dag({task_id: task.depends for task_id, task in workflow.tasks.items()})
        self._states = dict.fromkeys(workflow.tasks, TaskState.BLOCKED)
        self._place = {task_id: number for number, task_id in enumerate(workflow.tasks)}
        self._attempts: Counter[str] = Counter()
        #: Per task: dependencies that have not ended.
        self._open = {task_id: len(self._dag.dependencies(task_id)) for task_id in workflow.tasks}
        #: Tasks with a dependency that failed, or was skipped because of a failure.
        self._troubled: set[str] = set()
        #: Tasks with a dependency that was skipped though nothing failed: its `any_failed` was not called for.
        self._idled: set[str] = set()
        self._active = 0
        self.first = self._settle(self._states)

    def state(self, task_id: str) -> TaskState:
        """The state of one task."""
        return self._states[task_id]

    def attempt(self, task_id: str) -> int:
        """How often the task was started."""
        return self._attempts[task_id]

    @property
    def is_over(self) -> bool:
        """True when no task is ready, running or waiting for a retry: nothing can happen any more."""
        return self._active == 0

    @property
    def verdict(self) -> RunStatus:
        """How the run ended, as its tasks tell it. Means something once `is_over`."""
        states = self._states.items()
        if any(state is TaskState.FAILED and not self._tasks[t].allow_failure for t, state in states):
            return RunStatus.FAILED
        if TaskState.CANCELLED in self._states.values():
            return RunStatus.CANCELLED
        return RunStatus.COMPLETED

    def start(self, task_id: str) -> int:
        """The task's process is about to start; returns the number of the attempt, from 1."""
        self._move(task_id, Event.START)
        self._attempts[task_id] += 1
        return self._attempts[task_id]

    def succeed(self, task_id: str) -> Outcome:
        """The task's process ended well."""
        self._move(task_id, Event.SUCCEED)
        return self._ended(task_id)

    def fail(self, task_id: str) -> Outcome:
        """The task's process ended badly, or could not be started."""
        retry = self._tasks[task_id].retry
        if self._attempts[task_id] <= retry.retries:
            self._move(task_id, Event.RETRY)
            return Outcome(retry_after_s=retry.delay_before(self._attempts[task_id] + 1))
        self._move(task_id, Event.FAIL)
        return self._ended(task_id)

    def again(self, task_id: str) -> Outcome:
        """The wait before a retry is over."""
        self._move(task_id, Event.AGAIN)
        return Outcome(ready=(task_id,))

    def cancel(self, task_id: str) -> Outcome:
        """A task that runs was ended because the run is: no `run_if` may start anything any more."""
        self._move(task_id, Event.CANCEL)
        return Outcome(cancelled=(task_id,))

    def abandon(self) -> Outcome:
        """Cancel all that has not started; what runs is to be ended and reported by `cancel`."""
        waiting = [t for t, s in self._states.items() if (s, Event.CANCEL) in TRANSITIONS and s != TaskState.RUNNING]
        for task_id in waiting:
            self._move(task_id, Event.CANCEL)
        return Outcome(cancelled=tuple(waiting))

    def _move(self, task_id: str, event: Event) -> None:
        before = self._states[task_id]
        after = TRANSITIONS.get((before, event))
        if after is None:
            raise IllegalTransition(f"Task {task_id} is {before}; {event} does not apply")
        self._active += (after in ACTIVE) - (before in ACTIVE)
        self._states[task_id] = after

    def _ended(self, task_id: str) -> Outcome:
        return self._settle(self._note(task_id))

    def _note(self, task_id: str) -> list[str]:
        """Tell the dependents of a task how it ended; returns them."""
        dependents = list(self._dag.dependents(task_id))
        state = self._states[task_id]
        for dependent in dependents:
            self._open[dependent] -= 1
            if state is TaskState.FAILED and not self._tasks[task_id].allow_failure:
                self._troubled.add(dependent)
            elif state is TaskState.SKIPPED:
                # A skipped task hands on why it was skipped.
                (self._troubled if task_id in self._troubled else self._idled).add(dependent)
        return dependents

    def _settle(self, candidates: Iterable[str]) -> Outcome:
        """Enable or skip every candidate whose fate is decided, and what that decides in turn."""
        ready: list[str] = []
        skipped: list[str] = []
        todo = deque(candidates)
        while todo:
            task_id = todo.popleft()
            if self._states[task_id] is not TaskState.BLOCKED or (event := self._decide(task_id)) is None:
                continue
            self._move(task_id, event)
            (ready if event is Event.ENABLE else skipped).append(task_id)
            if event is Event.SKIP:
                todo.extend(self._note(task_id))
        return Outcome(ready=self._ordered(ready), skipped=self._ordered(skipped))

    def _ordered(self, task_ids: list[str]) -> tuple[str, ...]:
        return tuple(sorted(task_ids, key=self._place.__getitem__))

    def _decide(self, task_id: str) -> Event | None:
        """ENABLE, SKIP, or None while it is open."""
        run_if = self._tasks[task_id].run_if
        troubled = task_id in self._troubled
        if run_if is RunIf.ALL_SUCCEEDED and troubled:
            return Event.SKIP
        if self._open[task_id]:
            return None
        if run_if is RunIf.ALL_SUCCEEDED and task_id in self._idled:
            return Event.SKIP
        if run_if is RunIf.ANY_FAILED and not troubled:
            return Event.SKIP
        return Event.ENABLE
