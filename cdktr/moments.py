"""Times as people read and write them: local, or in a workflow's zone. The present is handed in."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from cdktr.cron import Schedule
from cdktr.errors import DefinitionError, SettingError
from cdktr.text import format_duration, parse_duration
from cdktr.workflow import Scheduled

#: The first unit of a duration.
_UNIT = re.compile(r"\d+(?:\.\d+)?[a-z]")


def when(ms: int | None) -> str:
    """`2026-01-31 02:00:00`, local; `-` for none."""
    if ms is None:
        return "-"
    try:
        return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{ms}ms"


def zone(times: Iterable[int | None]) -> str:
    """The local zone at these times: `CET`, or `CET/CEST` where the clocks changed in between; "" without any."""
    names: dict[str, None] = {}
    for ms in times:
        if ms is not None:
            try:
                names[datetime.fromtimestamp(ms / 1000).astimezone().tzname() or ""] = None
            except (OverflowError, ValueError, OSError):
                pass
    return "/".join(sorted(filter(None, names)))


def when_short(ms: int, now: datetime) -> str:
    """`22:45:10` today, `11-23 22:45` this year, else with the year; local."""
    try:
        at = datetime.fromtimestamp(ms / 1000).astimezone()
    except (OverflowError, ValueError, OSError):
        return when(ms)
    today = now.astimezone()
    if at.date() == today.date():
        return at.strftime("%H:%M:%S")
    return at.strftime("%m-%d %H:%M" if at.year == today.year else "%Y-%m-%d %H:%M")


def ago(ms: int, now: datetime) -> str:
    """`3m05s ago`; what the clocks of two hosts disagree about is `now`."""
    seconds = now.timestamp() - ms / 1000
    return f"{format_duration(seconds)} ago" if seconds >= 1 else "now"


def ago_short(ms: int, now: datetime) -> str:
    """As `ago`, in one unit: `3m ago`."""
    long = ago(ms, now)
    found = _UNIT.match(long)
    return f"{found[0]} ago" if found else long


def took(summary: Mapping[str, Any], now: datetime) -> str:
    """How long it ran, or has been running; `-` if it has not."""
    if summary["started_ms"] is None:
        return "-"
    end_ms = now.timestamp() * 1000 if summary["ended_ms"] is None else summary["ended_ms"]
    return format_duration((end_ms - summary["started_ms"]) / 1000)


def next_run(workflow: Scheduled, now: datetime) -> datetime | None:
    """When its schedule fires next, in its own zone; None without a schedule, or when it never does."""
    if workflow.cron is None:
        return None
    after = now
    if workflow.start_time is not None and workflow.start_time > now:
        # A time that is exactly the start counts.
        after = workflow.start_time - timedelta(microseconds=1)
    try:
        return _in_zone(Schedule.parse(workflow.cron, workflow.timezone).next_after(after), workflow.timezone)
    except DefinitionError:
        return None


def _in_zone(instant: datetime, name: str) -> datetime:
    if name == "UTC":
        return instant
    from zoneinfo import ZoneInfo

    return instant.astimezone(ZoneInfo(name))


def schedule_in_words(workflow: Scheduled) -> str | None:
    """`daily at 02:00`, or the expression where there are no words for it; with the zone unless that is UTC."""
    if workflow.cron is None:
        return None
    try:
        words = Schedule.parse(workflow.cron, workflow.timezone).in_words
    except DefinitionError:
        words = workflow.cron
    return words if workflow.timezone == "UTC" else f"{words} ({workflow.timezone})"


def due_text(due: datetime | None, now: datetime) -> str:
    """`2026-01-31 02:00 CET (01:00 UTC), in 3h10m`: in the workflow's zone, and in the local one if that differs."""
    if due is None:
        return "-"
    local = due.astimezone()
    also = ""
    if local.utcoffset() != due.utcoffset():
        also = f" ({_clock(local, day=local.date() != due.date())})"
    return f"{_clock(due, day=True)}{also}, in {format_duration((due - now).total_seconds())}"


def due_short(due: datetime | None, now: datetime) -> str:
    """`in 3h10m`."""
    return f"in {format_duration((due - now).total_seconds())}" if due else "-"


def _clock(at: datetime, day: bool) -> str:
    clock = at.strftime("%H:%M:%S" if at.second else "%H:%M")
    return f"{at:%Y-%m-%d} {clock} {at.tzname()}" if day else f"{clock} {at.tzname()}"


def moment(text: str, now: datetime) -> int:
    """Milliseconds of a time, or of a duration before `now`, with or without a minus. A time without a zone is local.

    Raises SettingError.
    """
    try:
        return epoch_ms(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        pass
    try:
        return epoch_ms(now) - round(parse_duration(text.strip().removeprefix("-")) * 1000)
    except (SettingError, OverflowError):
        expected = "2026-01-31, 2026-01-31T02:00, 2026-01-31T02:00Z, or how long ago: 90m"
        raise SettingError(f"{text!r} is no time; expected something like {expected}") from None


def epoch_ms(at: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(at.timestamp() * 1000)
