"""Pages of rows: what is asked for, and how much of what was found one reply may hold."""

from typing import Any

from cdktr.protocol import ListLogs, ListRuns

#: Rows that one page of the added queries holds at most.
MAX_PAGE = 10_000

#: Characters of log lines in one page, but for its first line: JSON makes up to twelve bytes of one, and a message that
#: is longer than `caller.MAX_MESSAGE` ends the connection.
MAX_PAGE_CHARS = 2_000_000


def page_size(limit: int) -> int:
    """The rows of a page when `limit` were asked for."""
    return max(1, min(limit, MAX_PAGE))


def cut(lines: list[dict[str, Any]], newest: bool) -> list[dict[str, Any]]:
    """As many lines as one reply may hold, at least one: the first of them, or with `newest` the last."""
    size = 0
    for count, line in enumerate(reversed(lines) if newest else lines):
        size += len(line["payload"])
        if size > MAX_PAGE_CHARS and count:
            return lines[-count:] if newest else lines[:count]
    return lines


def run_filters(request: ListRuns) -> dict[str, Any]:
    """What a request for runs asks for, by the names of the store."""
    return {
        "workflow": request.workflow_id,
        "run": request.workflow_instance_id,
        "status": request.status,
        "start": request.start_ms,
        "end": request.end_ms,
        "contains": request.contains,
    }


def log_filters(request: ListLogs) -> dict[str, Any]:
    """What a request for log lines asks for, by the names of the store."""
    return {
        "workflow": request.workflow_id,
        "run": request.workflow_instance_id,
        "task": request.task_name,
        "level": request.level,
        "status": request.status,
        "start": request.start_ms,
        "end": request.end_ms,
        "after": request.after,
        "before": request.before,
        "contains": request.contains,
    }
