"""The definition of a workflow and its tasks, as values, and what a run makes of them.

`parse` builds these from YAML, `protocol` from JSON. Nothing here opens a file or knows a clock.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from cdktr.errors import DefinitionError

#: `${{ params.NAME }}` in `args` and in the values of `env`.
PLACEHOLDER = re.compile(r"\$\{\{\s*params\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")

#: A given value for a parameter whose default is a number.
WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
NUMBER = re.compile(r"[-+]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][-+]?[0-9]{1,3})?")

#: Seconds: the longest wait between two attempts unless `retry_backoff.cap` says otherwise.
DEFAULT_RETRY_CAP_S = 3600.0

#: A parameter's value: what YAML can write as a scalar. None as a default means "must be given".
Scalar = str | int | float | bool


class RunIf(StrEnum):
    """When a task may start, given how its dependencies ended."""

    ALL_SUCCEEDED = "all_succeeded"
    ALL_DONE = "all_done"
    ANY_FAILED = "any_failed"


class CatchUp(StrEnum):
    """What becomes of scheduled times that passed while nothing watched the clock."""

    #: They are not run.
    NONE = "none"
    #: The last of them is run, once.
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Subprocess:
    """Any command. No shell is involved."""

    cmd: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UvPython:
    """A Python script run by `uv`. None means that the file does not say."""

    script_path: str
    packages: tuple[str, ...] | None = None
    is_uv_project: bool | None = None
    working_directory: str | None = None
    uv_path: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and after which wait a failed task is tried again."""

    retries: int = 0
    delay_s: float = 0.0
    #: Each wait is the one before times this factor, at most `cap_s`.
    backoff: float = 1.0
    cap_s: float = DEFAULT_RETRY_CAP_S

    def delay_before(self, attempt: int) -> float:
        """Seconds to wait before attempt number `attempt` (2 is the first retry)."""
        if not self.delay_s:
            return 0.0
        try:
            wait = self.delay_s * self.backoff ** (attempt - 2)
        except OverflowError:
            return self.cap_s
        return min(wait, self.cap_s)


@dataclass(frozen=True, slots=True)
class Task:
    """One step of a workflow."""

    name: str
    config: Subprocess | UvPython
    description: str | None = None
    depends: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    working_directory: str | None = None
    timeout_s: float | None = None
    retry: Retry = Retry()
    run_if: RunIf = RunIf.ALL_SUCCEEDED
    allow_failure: bool = False


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow: its schedule and its tasks, keyed by task id in the order of the file."""

    id: str
    name: str
    tasks: Mapping[str, Task]
    path: str = ""
    description: str | None = None
    cron: str | None = None
    #: Aware; the schedule is not in force before it.
    start_time: datetime | None = None
    #: An IANA zone name, for `cron`.
    timezone: str = "UTC"
    env: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Scalar | None] = field(default_factory=dict)
    timeout_s: float | None = None
    catch_up: CatchUp = CatchUp.NONE
    #: Labels that an agent must have, sorted.
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """What a list tells of a workflow: of its definition as much as does not grow with its tasks."""

    id: str
    name: str
    path: str = ""
    cron: str | None = None
    #: Aware; the schedule is not in force before it.
    start_time: datetime | None = None
    timezone: str = "UTC"
    #: How many tasks it has.
    tasks: int = 0
    #: Whether a run of it takes parameters.
    has_params: bool = False

    @classmethod
    def of(cls, workflow: Workflow) -> "Outline":
        """That of a definition."""
        schedule = (workflow.cron, workflow.start_time, workflow.timezone)
        return cls(workflow.id, workflow.name, workflow.path, *schedule, len(workflow.tasks), bool(workflow.params))


#: What has a schedule.
Scheduled = Workflow | Outline


@dataclass(frozen=True, slots=True)
class Assignment:
    """A run as it is handed to an agent, with its definition as that was at the time."""

    workflow: Workflow
    run_id: str
    #: The secret of the lease.
    token: str
    #: The run's tasks are numbered from here, in the order of the file.
    first_number: int
    params: Mapping[str, str]


def scalar_text(value: Scalar) -> str:
    """A parameter as tasks see it: booleans as YAML writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def bind_params(workflow: Workflow, given: Mapping[str, Scalar]) -> dict[str, str]:
    """The value of every parameter of a run, as text.

    A given value must read as the type of the default. Raises DefinitionError that names the parameter.
    """
    unknown = sorted(set(given) - set(workflow.params))
    if unknown:
        known = ", ".join(workflow.params) or "none"
        raise DefinitionError(f"Workflow {workflow.id} has no parameter {unknown[0]}; it has: {known}")
    values: dict[str, str] = {}
    for name, default in workflow.params.items():
        value = given.get(name, default)
        if value is None:
            raise DefinitionError(f"Workflow {workflow.id} needs the parameter {name}; give --param {name}=VALUE")
        values[name] = _checked(workflow.id, name, scalar_text(value), default)
    return values


def _checked(workflow_id: str, name: str, text: str, default: Scalar | None) -> str:
    kind = {bool: "true or false", int: "a whole number", float: "a number"}.get(type(default))
    if "\0" in text:
        raise DefinitionError(f"Parameter {name} of workflow {workflow_id} holds a NUL character")
    if kind is None:
        return text
    try:
        if isinstance(default, bool):
            return {"true": "true", "false": "false"}[text.lower()]
        return _number(text, default)
    except (KeyError, ValueError):
        raise DefinitionError(f"Parameter {name} of workflow {workflow_id} must be {kind}, not {text!r}") from None


def _number(text: str, default: Scalar | None) -> str:
    """Raises ValueError for what a file could not say either: `1_000`, `nan`, digits of other scripts."""
    pattern, kind = (WHOLE, int) if isinstance(default, int) else (NUMBER, float)
    if not pattern.fullmatch(text) or not math.isfinite(kind(text)):
        raise ValueError
    return str(kind(text))


def fill(text: str, params: Mapping[str, str]) -> str:
    """`text` with each `${{ params.NAME }}` replaced. Raises DefinitionError for a name not in `params`."""

    def value(match: re.Match[str]) -> str:
        try:
            return params[match[1]]
        except KeyError:
            raise DefinitionError(f"There is no parameter {match[1]} for {match[0]}") from None

    return PLACEHOLDER.sub(value, text)


def resolve(workflow: Workflow, task_id: str, params: Mapping[str, str]) -> Task:
    """A task ready to run: parameters filled in, and `env` the whole of what the files and parameters say.

    Precedence, last wins: the workflow's env, the parameters, the task's env.
    """
    task = workflow.tasks[task_id]
    env = {name: fill(value, params) for name, value in workflow.env.items()}
    env |= params
    env |= {name: fill(value, params) for name, value in task.env.items()}
    config = task.config
    if isinstance(config, Subprocess):
        config = replace(config, args=tuple(fill(arg, params) for arg in config.args))
    return replace(task, config=config, env=env)
