"""The questions that can be asked of the history, as SQL. What is asked for is bound, never part of a text."""

from collections.abc import Iterable, Mapping
from typing import Any

from cdktr.records import FINAL_STATUSES

_FINAL = ", ".join(f"'{status}'" for status in sorted(FINAL_STATUSES))

#: What is told of a run, from its rows.
_OF_A_RUN = f"""
    workflow_id, workflow_instance_id, arg_max(status, sequence) AS status, min(timestamp_ms) AS queued_ms,
    min(timestamp_ms) FILTER (status = 'RUNNING') AS started_ms,
    max(timestamp_ms) FILTER (status IN ({_FINAL})) AS ended_ms,
    arg_max_null(agent_id, sequence) AS agent_id, arg_max(detail, sequence) FILTER (status IN ({_FINAL})) AS detail,
    max(trigger) AS trigger, max(params) AS params
"""

# First which runs, then all of them: what a page does not show is not put together.
_RUNS = f"""
WITH page AS (
    SELECT workflow_id, workflow_instance_id, min(sequence) AS place, count(*) OVER () AS total
    FROM workflow_run_status {{where}} GROUP BY workflow_id, workflow_instance_id {{having}}
    ORDER BY place {{order}} LIMIT $limit OFFSET $offset
)
SELECT {_OF_A_RUN}, any_value(total) AS total
FROM workflow_run_status JOIN page USING (workflow_id, workflow_instance_id) {{where}}
GROUP BY workflow_id, workflow_instance_id ORDER BY min(place) DESC
"""

# One run is no page, and the table is read once for it.
_RUN = f"""
SELECT {_OF_A_RUN}, count(*) OVER () AS total
FROM workflow_run_status {{where}} GROUP BY workflow_id, workflow_instance_id {{having}}
ORDER BY min(sequence) {{order}} LIMIT $limit OFFSET $offset
"""

#: What a run can be asked for: name -> condition on each of its rows, or on all of them.
_ROW_CONDITIONS = {
    "workflow": "workflow_id = $workflow",
    "run": "workflow_instance_id = $run",
    "contains": """(contains(lower(workflow_id), lower($contains))
                    OR contains(lower(workflow_instance_id), lower($contains)))""",
}
_RUN_CONDITIONS = {
    "status": "arg_max(status, sequence) = $status",
    "start": f"coalesce(max(timestamp_ms) FILTER (status IN ({_FINAL})) >= $start, true)",
    "end": "min(timestamp_ms) < $end",
}

#: The tasks of a run, $run. Whoever reported on those of a CRASHED one is gone: what it left open ended with it, and
#: for its reason.
TASKS = f"""
WITH run AS (
    SELECT arg_max(status, sequence) AS verdict, max(timestamp_ms) AS at_ms, arg_max(detail, sequence) AS why
    FROM workflow_run_status WHERE workflow_instance_id = $run
), task AS (
    SELECT task_id, task_instance_id, arg_max(status, sequence) AS last,
           min(timestamp_ms) FILTER (status = 'RUNNING') AS started_ms,
           max(timestamp_ms) FILTER (status IN ({_FINAL})) AS ended_ms,
           max(attempt) AS attempt, arg_max_null(exit_code, sequence) AS exit_code,
           arg_max_null(detail, sequence) AS detail, min(sequence) AS place
    FROM task_run_status WHERE workflow_instance_id = $run GROUP BY task_id, task_instance_id
), seen AS (SELECT *, coalesce(verdict = 'CRASHED', false) AND last NOT IN ({_FINAL}) AS is_left FROM task, run)
SELECT task_id, task_instance_id,
       CASE WHEN NOT is_left THEN last WHEN last = 'RUNNING' THEN 'CRASHED' ELSE 'CANCELLED' END AS status,
       started_ms, CASE WHEN is_left THEN at_ms ELSE ended_ms END AS ended_ms, attempt, exit_code,
       CASE WHEN is_left THEN coalesce(detail, why) ELSE detail END AS detail
FROM seen ORDER BY place
"""

#: The latest run of each workflow.
LATEST = """
SELECT workflow_id, workflow_instance_id, arg_max(status, sequence) AS status,
       arg_max(timestamp_ms, sequence) AS timestamp_ms
FROM workflow_run_status WHERE workflow_instance_id IN (
    SELECT arg_max(workflow_instance_id, place)
    FROM (SELECT workflow_id, workflow_instance_id, min(sequence) AS place FROM workflow_run_status GROUP BY ALL)
    GROUP BY workflow_id
) GROUP BY ALL
"""

#: The latest status of the $limit workflows that were active last.
RECENT = """
SELECT workflow_id, arg_max(workflow_instance_id, sequence) AS workflow_instance_id,
       arg_max(status, sequence) AS status, arg_max(timestamp_ms, sequence) AS timestamp_ms
FROM workflow_run_status GROUP BY workflow_id ORDER BY max(sequence) DESC LIMIT $limit
"""

#: What a log line can be asked for: name -> condition. Only those asked for stand in a query, so that DuckDB can leave
#: out by its statistics what they exclude.
_LOG_CONDITIONS = {
    "start": "timestamp_ms >= $start",
    "end": "timestamp_ms < $end",
    "workflow": "workflow_id = $workflow",
    "run": "workflow_instance_id = $run",
    "task": "task_name = $task",
    "level": "level = $level",
    "status": """workflow_instance_id IN (SELECT workflow_instance_id FROM workflow_run_status
                 GROUP BY workflow_instance_id HAVING arg_max(status, sequence) = $status)""",
    # The first condition, which is quick, leaves few lines to the other.
    "contains": """contains(lower(payload), lower($contains))
                   AND contains(lower(regexp_replace(payload, '^STD(OUT|ERR) ', '')), lower($contains))""",
    "first": "sequence >= $first",
    "beyond": "sequence < $beyond",
}


def runs(filters: Mapping[str, Any], *, oldest: bool) -> tuple[str, dict[str, Any]]:
    """A page of runs, newest first, each with the `total` of all pages; the values of what is asked for. $limit and
    $offset are still to be bound: so many of the newest runs are passed over, or of the `oldest`."""
    values = {name: value for name, value in filters.items() if value is not None}
    where, having = (_clause(*words, values) for words in (("WHERE", _ROW_CONDITIONS), ("HAVING", _RUN_CONDITIONS)))
    sql = _RUN if "run" in values else _RUNS
    return sql.format(where=where, having=having, order="ASC" if oldest else "DESC"), values


def lines_where(asked: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The WHERE of the log conditions that are asked for, and their values."""
    values = {name: value for name, value in asked.items() if value is not None}
    return _clause("WHERE", _LOG_CONDITIONS, values), values


def _clause(word: str, conditions: Mapping[str, str], asked: Iterable[str]) -> str:
    """The conditions that are asked for; nothing where none is."""
    found = [conditions[name] for name in asked if name in conditions]
    return f"{word} {' AND '.join(found)}" if found else ""
