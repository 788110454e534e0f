"""What the history says, held against what the tasks wrote down themselves and what clients were told.

`check` returns what is wrong, a sentence each, and how much was looked at. It knows the promises, and nothing of how
they are kept.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import duckdb

from tests.faults.load import STREAMS, Load, Plan, Step

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED", "SKIPPED"}

#: A stream of a task instance in the history: run, task instance, level.
Stream = tuple[str, str, str]


@dataclass(frozen=True)
class Attempt:
    """What one attempt wrote down: how often it began, and the codes with which it ended."""

    number: int
    instance: str
    starts: int
    codes: tuple[int, ...]


def attempts(records: Path) -> dict[tuple[str, str], list[Attempt]]:
    """All attempts by run and task, in their order."""
    found: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for path in records.iterdir():
        run, task, instance, number = path.name.split(".")
        lines = path.read_text().splitlines()
        codes = tuple(int(line.split()[1]) for line in lines if line.startswith("end"))
        found[run, task].append(Attempt(int(number), instance, lines.count("start"), codes))
    for each in found.values():
        each.sort(key=lambda attempt: (attempt.number, attempt.instance))
    return found


@dataclass
class Told:
    """What subscribers and queries were shown while it ran, which must stay so."""

    #: The highest (attempt, line) seen of each stream: in answers, and live.
    lines: dict[Stream, tuple[int, int]] = field(default_factory=dict)
    live: dict[Stream, tuple[int, int]] = field(default_factory=dict)
    #: run id -> a final status.
    ends: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def note(seen: dict[Stream, tuple[int, int]], run: str, instance: str, level: str, payload: str) -> None:
        """A line was seen; lines of other tasks than those of the load are passed over."""
        words = payload.split()
        if len(words) == 4 and words[2].isdigit() and words[3].isdigit():
            key = (run, instance, level)
            seen[key] = max(seen.get(key, (0, 0)), (int(words[2]), int(words[3])))


@dataclass
class Findings:
    """What is wrong, and how many runs and lines were found as they should be."""

    wrong: list[str] = field(default_factory=list)
    runs: int = 0
    lines: int = 0


@dataclass
class History:
    """The database, read once."""

    runs: dict[str, list[dict[str, Any]]]
    tasks: dict[tuple[str, str], list[dict[str, Any]]]
    lines: dict[Stream, list[str]]
    sequences: Counter[int]

    @classmethod
    def read(cls, path: Path) -> "History":
        """Of a file that nobody has open."""
        runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
        tasks: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        with duckdb.connect(str(path), read_only=True) as database:
            for row in _rows(database, "SELECT * FROM workflow_run_status ORDER BY sequence"):
                runs[row["workflow_instance_id"]].append(row)
            for row in _rows(database, "SELECT * FROM task_run_status ORDER BY sequence"):
                tasks[row["workflow_instance_id"], row["task_id"]].append(row)
            groups = database.execute(
                "SELECT workflow_instance_id, task_instance_id, level, list(payload ORDER BY sequence) "
                "FROM logstore GROUP BY ALL"
            ).fetchall()
            doubles = database.execute(
                "SELECT sequence, count(*) FROM (SELECT sequence FROM logstore UNION ALL SELECT sequence FROM "
                "workflow_run_status UNION ALL SELECT sequence FROM task_run_status) GROUP BY ALL HAVING count(*) > 1"
            ).fetchall()
        return cls(
            runs, tasks, {(run, task, level): lines for run, task, level, lines in groups}, Counter(dict(doubles))
        )


def _rows(database: duckdb.DuckDBPyConnection, sql: str) -> Iterator[dict[str, Any]]:
    cursor = database.execute(sql)
    names = [column[0] for column in cursor.description or ()]
    return (dict(zip(names, row, strict=True)) for row in cursor.fetchall())


def check(
    load: Load,
    history: History,
    told: Told,
    lost: Collection[str] = (),
    killed: Collection[str] = (),
) -> Findings:
    """`lost` are the agents that stood still or were cut off for too long, `killed` those that were killed: only their
    runs may have CRASHED, and only of a killed one lines may be missing, those that it had not read."""
    return Check(load, history, told, {*lost, *killed}, set(killed)).findings()


class Check:
    """One comparison. See `check`."""

    def __init__(self, load: Load, history: History, told: Told, lost: set[str], killed: set[str]) -> None:
        self._load = load
        self._history = history
        self._told = told
        self._lost = lost
        self._killed = killed
        self._disk = attempts(load.records)
        self._result = Findings()

    def _wrong(self, text: str) -> None:
        self._result.wrong.append(text)

    def findings(self) -> Findings:
        """All of it."""
        self._accepted_once()
        if self._history.sequences:
            self._wrong(f"{len(self._history.sequences)} numbers of rows were given twice")
        for run_id, rows in self._history.runs.items():
            before = len(self._result.wrong)
            self._run(run_id, rows)
            self._result.runs += len(self._result.wrong) == before
        for run_id, task in self._disk:
            if run_id not in self._history.runs:
                self._wrong(f"{task} of {run_id} ran, and no such run is known")
        self._kept_word()
        return self._result

    # Runs.

    def _accepted_once(self) -> None:
        marks: dict[str, list[str]] = defaultdict(list)
        for run_id, rows in self._history.runs.items():
            first = [row for row in rows if row["params"] is not None]
            if len(first) != 1:
                self._wrong(f"run {run_id} was queued {len(first)} times")
            for row in first:
                marks[json.loads(row["params"])["mark"]].append(run_id)
        load = self._load
        for mark, run_id in load.accepted.items():
            if marks.pop(mark, []) != [run_id]:
                self._wrong(f"trigger {mark} was answered with {run_id}, which is not in the history once")
        for mark, ids in marks.items():
            if len(ids) > 1:
                self._wrong(f"trigger {mark} made the runs {', '.join(ids)}")
            if mark in load.refused:
                if any(self._history.runs[run_id][-1]["status"] != "CANCELLED" for run_id in ids):
                    self._wrong(f"trigger {mark} was refused and ran all the same: {', '.join(ids)}")
            elif mark not in load.unanswered:
                self._wrong(f"nobody made the trigger {mark} of {', '.join(ids)}")

    def _run(self, run_id: str, rows: list[dict[str, Any]]) -> None:
        plan = self._load.plans[rows[0]["workflow_id"]]
        statuses = [row["status"] for row in rows]
        status, agent = statuses[-1], rows[-1]["agent_id"]
        # Handed out again it may be: a run whose agent never heard that it may start waits for another.
        again = any(pair == ("RUNNING", "RUNNING") for pair in pairwise(statuses))
        if status not in FINAL or FINAL & set(statuses[:-1]) or again:
            self._wrong(f"the statuses of run {run_id} are {', '.join(statuses)}")
        if status == "CANCELLED" and json.loads(rows[0]["params"] or "{}").get("mark") in (
            self._load.refused | self._load.unanswered
        ):
            self._never_ran(run_id, plan)
        elif status == "CRASHED" and agent in self._lost:
            self._cut_short(run_id, plan, agent)
        elif status != plan.status:
            self._wrong(f"run {run_id} of {plan.id} at {agent} is {status}, not {plan.status}: {rows[-1]['detail']}")
        else:
            for step in plan.steps:
                self._task(run_id, step, plan.statuses()[step.id])

    def _never_ran(self, run_id: str, plan: Plan) -> None:
        if any((run_id, step.id) in self._disk for step in plan.steps):
            self._wrong(f"run {run_id} was cancelled for want of a disk, and ran")

    def _cut_short(self, run_id: str, plan: Plan, agent: str) -> None:
        """Nothing of it twice; of what was printed, all that ended while its agent lived, else what came first."""
        for step in plan.steps:
            tries = self._disk.get((run_id, step.id), [])
            self._started_once(run_id, step, tries)
            ended = len([each for each in tries if each.codes])
            for level in STREAMS:
                least = 0 if agent in self._killed else ended * step.printed(level)
                self._lines(run_id, step, level, tries, least, len(tries))

    def _task(self, run_id: str, step: Step, status: str) -> None:
        tries = self._disk.get((run_id, step.id), [])
        self._started_once(run_id, step, tries)
        codes = [code for each in tries for code in each.codes]
        count = 0 if status == "SKIPPED" else step.attempts
        expected = [3] * (count - 1) + [0 if step.succeeds else 3] if count else []
        if codes != expected or len(tries) != count:
            self._wrong(f"{step.id} of {run_id} is {status}, but its attempts ended with {codes}, not {expected}")
        rows = self._history.tasks.get((run_id, step.id), [])
        keys = Counter((row["status"], row["attempt"]) for row in rows)
        if not rows or rows[-1]["status"] != status or any(n > 1 for n in keys.values()):
            self._wrong(f"the statuses of {step.id} of {run_id} are {[row['status'] for row in rows]}, not … {status}")
        for level in STREAMS:
            self._lines(run_id, step, level, tries, count * step.printed(level), count)

    def _started_once(self, run_id: str, step: Step, tries: list[Attempt]) -> None:
        # Without a word it is when the task was ended just as it was about to write; then it has no end either.
        if [each.number for each in tries] != list(range(1, len(tries) + 1)) or any(
            each.starts > 1 or len(each.codes) > 1 for each in tries
        ):
            self._wrong(f"{step.id} of {run_id} did not start once an attempt: {tries}")

    def _lines(self, run_id: str, step: Step, level: str, tries: list[Attempt], least: int, attempts: int) -> None:
        if not tries:
            return
        lines = self._history.lines.get((run_id, tries[0].instance, level), [])
        expected = list(islice(step.lines(level, attempts), len(lines)))
        if lines != expected:
            at = next((n for n, pair in enumerate(zip(lines, expected, strict=False)) if pair[0] != pair[1]), None)
            what = f"line {at} is {lines[at]!r}, not {expected[at]!r}" if at is not None else "there are too many"
            self._wrong(f"{level} of {step.id} of {run_id}: {what}")
        elif len(lines) < least:
            self._wrong(f"{level} of {step.id} of {run_id}: {len(lines)} lines, printed were {least}")
        else:
            self._result.lines += len(lines)

    # What was told.

    def _kept_word(self) -> None:
        steps: Mapping[tuple[str, str], Step] = {
            (run_id, each.instance): step
            for run_id, rows in self._history.runs.items()
            for step in self._load.plans[rows[0]["workflow_id"]].steps
            for each in self._disk.get((run_id, step.id), [])
        }
        shown = [*self._told.live.items(), *self._told.lines.items()]
        for (run_id, instance, level), (attempt, number) in shown:
            step = steps.get((run_id, instance))
            if step is None:
                self._wrong(f"lines of {instance} of {run_id} were shown, and there is no such task")
                continue
            seen = (attempt - 1) * step.printed(level) + number + 1
            if seen > len(self._history.lines.get((run_id, instance, level), [])):
                self._wrong(f"{level} of {step.id} of {run_id}: line {seen} was shown once and is not there")
        for run_id, status in self._told.ends.items():
            if [row["status"] for row in self._history.runs.get(run_id, [])][-1:] != [status]:
                self._wrong(f"run {run_id} was shown as {status}")
