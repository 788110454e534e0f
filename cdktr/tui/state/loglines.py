"""A log line as it is shown: the text, and how many rows it takes. Where the screen begins, seen from its end."""

from datetime import datetime

from cdktr.records import LogRecord
from cdktr.text import cells, format_log, width
from cdktr.tui.state.facts import LogLine
from cdktr.tui.state.model import Logs
from cdktr.tui.state.moves import wrapped

#: What a level is marked by; a line of stdout by nothing.
MARKS = {"ERROR": "!", "WARNING": "~", "INFO": " ", "DEBUG": "."}

#: Columns of the name of a task, where it is not the only one.
NAME = 14


def clock(timestamp_ms: int) -> str:
    """`02:00:07.123`, local."""
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except (OverflowError, ValueError, OSError):
        return f"{timestamp_ms}ms"[:12]


def head(line: LogLine, logs: Logs, unicode: bool) -> str:
    """What stands before the text of a line: time, level, and the task; with `verbose` every name."""
    if logs.verbose:
        whole = format_log(LogRecord(*_record(line)), True)
        return cells(whole[: len(whole) - len(line.payload)], unicode)
    mark = MARKS.get(line.level, "?")
    if logs.query.task_name is not None:
        return f"{clock(line.timestamp_ms)} {mark} "
    name = cells(line.task_name, unicode)
    while width(name) > NAME:
        name = name[:-1]
    return f"{clock(line.timestamp_ms)} {mark} {name}{' ' * (NAME - width(name))} "


def _record(line: LogLine) -> tuple[str, str, str, str, str, int, str, str]:
    names = (line.workflow_id, line.workflow_name, line.run_id, line.task_name, line.task_instance_id)
    return (*names, line.timestamp_ms, line.level, line.payload)


def body(line: LogLine, unicode: bool) -> str:
    """What the task printed."""
    return cells(line.text, unicode)


def rows(line: LogLine, logs: Logs, columns: int, unicode: bool) -> list[str]:
    """The rows of a line, all of it; one where it is not wrapped."""
    text = head(line, logs, unicode) + body(line, unicode)
    return wrapped(text, columns) if logs.wrap else [text]


def first_from_end(logs: Logs, columns: int, height: int, unicode: bool) -> int:
    """The first line that is wholly on the screen when its end is the end of the log."""
    shown = logs.shown
    if not logs.wrap:
        return max(len(shown) - height, 0)
    left = height
    for index in range(len(shown) - 1, -1, -1):
        left -= len(rows(shown[index], logs, columns, unicode))
        if left < 0:
            return min(index + 1, len(shown) - 1)
    return 0


def matches(line: LogLine, search: str) -> bool:
    """Whether a line holds what is searched for; upper and lower case are the same."""
    return search.lower() in line.text.lower()
