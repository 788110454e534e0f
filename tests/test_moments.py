"""Times as people read and write them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cdktr import errors, moments
from cdktr.workflow import Subprocess, Task, Workflow

#: 2026-01-31 00:00 UTC, a Saturday in winter time.
NOW = datetime(2026, 1, 31, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
HOUR_MS = 3_600_000


def workflow(**given: Any) -> Workflow:
    """A workflow of one task."""
    tasks = {"a": Task("A", Subprocess("echo", ("hi",)))}
    return Workflow(**{"id": "w", "name": "W", "tasks": tasks, **given})


@pytest.mark.usefixtures("local_zone")
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "-"),
        ({"cron": "0 2 * * *"}, "2026-01-31 02:00 UTC (2026-01-30 21:00 EST), in 2h00m"),
        ({"cron": "0 9 * * *", "timezone": "America/New_York"}, "2026-01-31 09:00 EST, in 14h00m"),
        ({"cron": "0 9 * * *", "timezone": "Europe/Berlin"}, "2026-01-31 09:00 CET (03:00 EST), in 8h00m"),
        ({"cron": "15 0 9 * * *", "timezone": "Europe/Berlin"}, "2026-01-31 09:00:15 CET (03:00:15 EST), in 8h00m"),
        (
            {"cron": "0 2 * * *", "start_time": datetime(2026, 2, 3, 2, tzinfo=UTC)},
            "2026-02-03 02:00 UTC (2026-02-02 21:00 EST), in 3d02h",
        ),
        ({"cron": "0 2 * * *", "start_time": datetime(9999, 12, 31, 23, tzinfo=UTC)}, "-"),
    ],
)
def test_the_next_run(given: dict[str, Any], text: str) -> None:
    assert moments.due_text(moments.next_run(workflow(**given), NOW), NOW) == text


def test_a_schedule_in_words() -> None:
    assert moments.schedule_in_words(workflow()) is None
    assert moments.schedule_in_words(workflow(cron="0 2 * * *")) == "daily at 02:00"
    assert moments.schedule_in_words(workflow(cron="0 2 * * *", timezone="Europe/Berlin")) == (
        "daily at 02:00 (Europe/Berlin)"
    )
    assert moments.schedule_in_words(workflow(cron="gone wrong")) == "gone wrong"


def test_times_that_no_clock_shows() -> None:
    assert moments.when(None) == "-"
    assert moments.when(2**62) == moments.when_short(2**62, NOW) == f"{2**62}ms"
    assert moments.ago_short(NOW_MS + 5000, NOW) == "now"
    assert moments.ago(NOW_MS + 5000, NOW) == "now"
    assert moments.ago(NOW_MS - 185_000, NOW) == "3m05s ago"


@pytest.mark.usefixtures("local_zone")
@pytest.mark.parametrize(
    ("back_h", "text"), [(0, "19:00:00"), (19, "00:00:00"), (20, "01-29 23:00"), (800, "2025-12-28 11:00")]
)
def test_a_short_time(back_h: int, text: str) -> None:
    assert moments.when_short(NOW_MS - back_h * HOUR_MS, NOW) == text


@pytest.mark.usefixtures("local_zone")
@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90m", NOW_MS - 90 * 60_000),
        ("2026-01-31T02:00Z", NOW_MS + 2 * HOUR_MS),
        ("2026-01-31T02:00+01:00", NOW_MS + HOUR_MS),
        ("2026-01-31", NOW_MS + 5 * HOUR_MS),
        ("2026-01-31 00:00", NOW_MS + 5 * HOUR_MS),
    ],
)
def test_a_moment(text: str, ms: int) -> None:
    assert moments.moment(text, NOW) == ms


@pytest.mark.parametrize("text", ["", "now", "2026-02-30", "9" * 400 + "w"])
def test_a_wrong_moment(text: str) -> None:
    with pytest.raises(errors.SettingError, match="expected something like 2026-01-31"):
        moments.moment(text, NOW)
