"""One run on an agent: the state machine of `run` on one side, processes by `executor` on the other.

What happens is told by `report`, in order: each task's statuses, its lines between them, the run's end last.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping

from cdktr.bundle import SCRIPT, own_command, own_environment
from cdktr.errors import CdktrError
from cdktr.executor import Command, Executor
from cdktr.frames import Reported
from cdktr.records import LogChunk, RunStatus, RunUpdate, TaskUpdate
from cdktr.run import Outcome, Run, TaskState
from cdktr.text import format_duration, slug
from cdktr.uv import (
    DEFAULT_ENV,
    LastWords,
    check_python,
    check_script,
    find_uv_for,
    needs_embedded,
    no_python,
    uv_argv,
    without_python,
)
from cdktr.workflow import Assignment, Subprocess, Task, UvPython, resolve

LEVELS = {"STDOUT": "INFO", "STDERR": "ERROR"}


class Driver:
    """Drives one assignment to its end. `slots` is how many of its tasks may run at once."""

    def __init__(
        self,
        assignment: Assignment,
        agent_id: str,
        slots: int,
        executor: Executor,
        base_env: Mapping[str, str],
        report: Callable[[LogChunk | Reported], None],
        now: Callable[[], float] = time.time,
        embedded_python: bool = False,
    ) -> None:
        self._job = assignment
        self._workflow = assignment.workflow
        self._agent_id = agent_id
        self._slots = slots
        self._executor = executor
        self._base_env = base_env
        self._report = report
        self._now = now
        self._embedded_python = embedded_python
        self._last_ms = 0
        self._run = Run(self._workflow)
        self._ready: deque[str] = deque()
        self._active = 0
        numbers = range(assignment.first_number, assignment.first_number + len(self._workflow.tasks))
        self._instances = {task_id: slug(n) for task_id, n in zip(self._workflow.tasks, numbers, strict=True)}
        self._group: asyncio.TaskGroup | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended_by: tuple[RunStatus, str] | None = None

    async def drive(self) -> RunUpdate:
        """Run all tasks; returns the end of the run, which is reported too."""
        self._task = asyncio.current_task()
        for task_id in self._workflow.tasks:
            self._tell(task_id, RunStatus.PENDING, attempt=0)
        try:
            async with asyncio.timeout(self._workflow.timeout_s):
                await self._run_tasks()
        except TimeoutError:
            self._ended_by = (
                RunStatus.FAILED,
                f"the run timed out after {format_duration(self._workflow.timeout_s or 0)}",
            )
        except asyncio.CancelledError:
            if self._ended_by is None:
                raise
        for task_id in self._run.abandon().cancelled:
            self._tell(task_id, RunStatus.CANCELLED)
        status, detail = self._ended_by or (self._run.verdict, self._detail())
        update = RunUpdate(self._workflow.id, self._job.run_id, status, self._ms(), self._agent_id, detail)
        self._report(Reported(self._job.token, update))
        return update

    def end(self, status: RunStatus, detail: str) -> None:
        """End the run now, with this verdict; its processes are ended first."""
        self._ended_by = self._ended_by or (status, detail)
        if self._task is not None:
            self._task.cancel()

    async def _run_tasks(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            self._enact(self._run.first)

    def _enact(self, outcome: Outcome) -> None:
        """Do what follows from an event of the state machine."""
        for task_id in outcome.skipped:
            self._tell(task_id, RunStatus.SKIPPED, detail=self._why_skipped(task_id))
        self._ready.extend(outcome.ready)
        while self._ready and self._active < self._slots:
            assert self._group is not None
            self._active += 1
            self._group.create_task(self._attempt(self._ready.popleft()))

    async def _attempt(self, task_id: str) -> None:
        """One attempt of a task, and the wait for the next when there is one."""
        self._run.start(task_id)
        try:
            failure = await self._execute(task_id)
        except asyncio.CancelledError:
            self._run.cancel(task_id)
            self._tell(task_id, RunStatus.CANCELLED, detail="ended with its run")
            raise
        finally:
            self._active -= 1
        outcome = self._run.succeed(task_id) if failure is None else self._run.fail(task_id)
        if outcome.retry_after_s is None:
            self._tell_end(task_id, failure)
            self._enact(outcome)
            return
        assert failure is not None
        wait = format_duration(outcome.retry_after_s)
        self._tell(task_id, RunStatus.WAITING, failure[0], f"{failure[1]}; tried again in {wait}")
        self._enact(Outcome())
        await asyncio.sleep(outcome.retry_after_s)
        self._enact(self._run.again(task_id))

    async def _execute(self, task_id: str) -> tuple[int | None, str] | None:
        """Run the task's process; None when it ended well, else its exit code and the reason."""
        task = self._workflow.tasks[task_id]
        last_words = LastWords(task.config, _folder(task)) if isinstance(task.config, UvPython) else None

        def on_lines(stream: str, lines: list[str]) -> None:
            if last_words is not None:
                last_words.add(stream, lines)
            self._lines(task_id, stream, lines)

        try:
            command = self._command(task_id)
            marker = f"CDKTR_TASK_INSTANCE_ID={self._instances[task_id]}"
            exited = await self._executor.run(
                command, marker, on_lines, lambda _pid: self._tell(task_id, RunStatus.RUNNING)
            )
        except CdktrError as error:
            # Where the task's output would be is where its user looks.
            self._lines(task_id, "STDERR", str(error).splitlines())
            return None, str(error)
        if exited.ok:
            return None
        if (
            last_words is None
            or exited.timed_out_after_s is not None
            or not (hint := last_words.hint(exited.code, command.env))
        ):
            return exited.code, exited.reason
        self._lines(task_id, "STDERR", [f"cdktr: {hint}"])
        return exited.code, f"{exited.reason}: {hint}"

    def _command(self, task_id: str) -> Command:
        """Raises DefinitionError, NotFoundError."""
        task = resolve(self._workflow, task_id, self._job.params)
        defaults = {} if isinstance(task.config, Subprocess) else DEFAULT_ENV
        env = {**defaults, **self._base_env, **task.env, **self._identity(task_id)}
        if isinstance(task.config, Subprocess):
            argv = [task.config.cmd, *task.config.args]
            if script := without_python(task.config, env):
                if not self._embedded_python:
                    raise no_python(task.config)
                check_script(script, _folder(task))
                argv, env = [*own_command(), SCRIPT, *task.config.args], own_environment(env)
            elif self._embedded_python:
                check_python(task.config, env)
        elif self._embedded_python and needs_embedded(task.config, _folder(task), env):
            check_script(task.config, _folder(task))
            argv, env = [*own_command(), SCRIPT, task.config.script_path], own_environment(env)
        else:
            uv = find_uv_for(task.config, _folder(task), env)
            check_script(task.config, _folder(task))
            argv = uv_argv(task.config, uv)
        return Command(argv, env, _folder(task), task.timeout_s)

    def _identity(self, task_id: str) -> dict[str, str]:
        return {
            "CDKTR_WORKFLOW_ID": self._workflow.id,
            "CDKTR_WORKFLOW_INSTANCE_ID": self._job.run_id,
            "CDKTR_TASK_ID": task_id,
            "CDKTR_TASK_INSTANCE_ID": self._instances[task_id],
            "CDKTR_ATTEMPT": str(self._run.attempt(task_id)),
            "CDKTR_AGENT_ID": self._agent_id,
        }

    def _ms(self) -> int:
        # Never back within a run, whatever the wall clock does: the order of its lines is the order of their times.
        self._last_ms = max(self._last_ms, int(self._now() * 1000))
        return self._last_ms

    def _lines(self, task_id: str, stream: str, lines: list[str]) -> None:
        payloads = tuple(f"{stream} {line}" for line in lines)
        name, instance = self._workflow.tasks[task_id].name, self._instances[task_id]
        head = (self._workflow.id, self._workflow.name, self._job.run_id, name, instance)
        self._report(LogChunk(*head, self._ms(), LEVELS[stream], payloads))

    def _tell_end(self, task_id: str, failure: tuple[int | None, str] | None) -> None:
        if failure is None:
            self._tell(task_id, RunStatus.COMPLETED, 0)
        else:
            self._tell(task_id, RunStatus.FAILED, *failure)

    def _tell(
        self,
        task_id: str,
        status: RunStatus,
        exit_code: int | None = None,
        detail: str | None = None,
        attempt: int | None = None,
    ) -> None:
        number = self._run.attempt(task_id) if attempt is None else attempt
        ids = (task_id, self._instances[task_id], self._job.run_id)
        update = TaskUpdate(*ids, status, self._ms(), self._agent_id, number, exit_code, detail)
        self._report(Reported(self._job.token, update))

    def _why_skipped(self, task_id: str) -> str:
        task = self._workflow.tasks[task_id]
        culprits = [d for d in task.depends if self._run.state(d) in (TaskState.FAILED, TaskState.SKIPPED)]
        ends = ", ".join(f"{d} {self._run.state(d)}" for d in culprits) or "nothing failed"
        return f"{ends}; this task runs if {task.run_if.value}"

    def _failed(self, task_id: str) -> bool:
        return self._run.state(task_id) is TaskState.FAILED

    def _detail(self) -> str | None:
        failed = [t for t, task in self._workflow.tasks.items() if self._failed(t) and not task.allow_failure]
        return f"failed: {', '.join(failed)}" if failed else None


def _folder(task: Task) -> str | None:
    own = None if isinstance(task.config, Subprocess) else task.config.working_directory
    return own or task.working_directory
