"""Times on the screen: local, as short as the room asks for."""

import math
from datetime import UTC, datetime
from functools import lru_cache

from cdktr.moments import ago_short, due_text, next_run, when, when_short
from cdktr.text import format_duration
from cdktr.tui.state.model import State
from cdktr.workflow import Outline, Scheduled


def now_of(state: State) -> datetime:
    """The present; what no calendar holds is as near as there is."""
    return datetime.fromtimestamp(max(0.0, min(state.now, 2.0**33)), UTC)


def due(workflow: Scheduled, now: datetime) -> datetime | None:
    """When its schedule fires next. Remembered for the minute: a list asks for many of them, again and again."""
    if workflow.cron is None:
        return None
    found = _due(workflow.cron, workflow.timezone, workflow.start_time, now.replace(second=0, microsecond=0))
    return found if found is None or found > now else _exactly(workflow.cron, workflow.timezone, now)


@lru_cache(maxsize=4096)
def _due(cron: str, timezone: str, start: datetime | None, minute: datetime) -> datetime | None:
    return next_run(Outline("", "", cron=cron, timezone=timezone, start_time=start), minute)


def _exactly(cron: str, timezone: str, now: datetime) -> datetime | None:
    return next_run(Outline("", "", cron=cron, timezone=timezone), now)


def due_in(workflow: Scheduled, now: datetime) -> str:
    """`in 11h57m`; nothing without a schedule."""
    at = due(workflow, now)
    return in_minutes(at, now, is_quick(workflow, at)) if at else ""


def is_quick(workflow: Scheduled, at: datetime) -> bool:
    """Whether its schedule fires again within a minute of that time."""
    return workflow.cron is not None and _is_quick(workflow.cron, workflow.timezone, at)


@lru_cache(maxsize=4096)
def _is_quick(cron: str, timezone: str, at: datetime) -> bool:
    following = _exactly(cron, timezone, at)
    return following is not None and (following - at).total_seconds() < 60


def in_minutes(at: datetime, now: datetime, quick: bool = False) -> str:
    """`in 3m`: without seconds, so that a screen on which nothing happens stands still; `in 7s` where it does not."""
    minutes = int((at - now).total_seconds() // 60)
    if quick and not minutes:
        return f"in {math.ceil((at - now).total_seconds())}s"
    return f"in {format_duration(minutes * 60).removesuffix('00s')}" if minutes else "in <1m"


def due_at(at: datetime, now: datetime, quick: bool = False) -> str:
    """`2026-01-31 02:00 CET (01:00 UTC), in 3h10m`."""
    return f"{due_text(at, now).rpartition(', in ')[0]}, {in_minutes(at, now, quick)}"


def lasted(started_ms: int | None, ended_ms: int | None, now: datetime) -> str:
    """How long it ran, or has been running; nothing if it has not."""
    if started_ms is None:
        return ""
    end = now.timestamp() * 1000 if ended_ms is None else ended_ms
    return duration(min((end - started_ms) / 1000, 1e9))


def duration(seconds: float) -> str:
    """`40 ms`, and from a second on as everywhere: `1.2s`, `3m05s`."""
    ms = max(round(seconds * 1000), 0)
    return f"{ms} ms" if ms < 1000 else format_duration(seconds)


def short(ms: int | None, now: datetime) -> str:
    """A time of today by its clock, else by its day."""
    return "" if ms is None else when_short(ms, now)


def full(ms: int | None) -> str:
    """A time with its date."""
    return "" if ms is None else when(ms)


def since(ms: int, now: datetime) -> str:
    """`3m ago`."""
    return ago_short(ms, now)
