"""Cron expressions by example: what they mean, when they fire around clock changes, what is refused and how."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from cdktr import cron
from cdktr.cron import Schedule
from cdktr.errors import DefinitionError


def fires(expression: str, after: str, count: int, timezone: str = "UTC") -> list[str]:
    """The next `count` fire times as the zone's clock shows them, without the year's and the seconds' noise."""
    schedule, instant = Schedule.parse(expression, timezone), datetime.fromisoformat(after)
    shown = []
    for _ in range(count):
        instant = schedule.next_after(instant)
        shown.append(instant.astimezone(ZoneInfo(timezone)).strftime("%a %Y-%m-%d %H:%M:%S %z"))
    return shown


def clocks(expression: str, after: str, count: int, timezone: str = "UTC") -> list[str]:
    """As `fires`, without the date."""
    return [shown.split(" ", 2)[2] for shown in fires(expression, after, count, timezone)]


# 2024-01-01 was a Monday.
@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("* * * * *", "2024-01-01T00:00:00Z", "Mon 2024-01-01 00:01:00"),
        ("* * * * * *", "2024-01-01T00:00:00Z", "Mon 2024-01-01 00:00:01"),
        ("30 * * * * *", "2024-01-01T00:00:30Z", "Mon 2024-01-01 00:01:30"),
        ("15,45 */10 * * * *", "2024-01-01T00:00:45Z", "Mon 2024-01-01 00:10:15"),
        ("0 2 * * *", "2024-01-01T02:00:00Z", "Tue 2024-01-02 02:00:00"),
        ("0 2 * * *", "2024-01-01T01:59:59.999999Z", "Mon 2024-01-01 02:00:00"),
        ("0 2 * * *", "2024-01-01T02:00:00.5Z", "Tue 2024-01-02 02:00:00"),
        ("0 2 * * *", "2024-01-01T01:30:00+02:00", "Mon 2024-01-01 02:00:00"),
        ("59 59 23 31 12 *", "2024-01-01T00:00:00Z", "Tue 2024-12-31 23:59:59"),
        ("0 0 * * 0", "2024-01-01T00:00:00Z", "Sun 2024-01-07 00:00:00"),
        ("0 0 * * 7", "2024-01-01T00:00:00Z", "Sun 2024-01-07 00:00:00"),
        ("0 0 * * sun", "2024-01-01T00:00:00Z", "Sun 2024-01-07 00:00:00"),
        ("0 0 * * 5-7", "2024-01-06T00:00:00Z", "Sun 2024-01-07 00:00:00"),
        ("0 0 * * Sat-Mon", "2024-01-01T00:00:00Z", "Sat 2024-01-06 00:00:00"),
        ("0 0 * * SAT-MON", "2024-01-07T00:00:00Z", "Mon 2024-01-08 00:00:00"),
        ("0 0 * * 7-1", "2024-01-02T00:00:00Z", "Sun 2024-01-07 00:00:00"),
        ("0 0 * * MON-MON", "2024-01-01T00:00:00Z", "Mon 2024-01-08 00:00:00"),
        ("0 0 * * FRI-MON/2", "2024-01-05T00:00:00Z", "Sun 2024-01-07 00:00:00"),
        ("0 0 1 nov-feb *", "2024-02-01T00:00:00Z", "Fri 2024-11-01 00:00:00"),
        ("0 22-3 * * *", "2024-01-01T03:00:00Z", "Mon 2024-01-01 22:00:00"),
        ("0 0 1 JAN,jul *", "2024-01-01T00:00:00Z", "Mon 2024-07-01 00:00:00"),
        ("5/20 * * * *", "2024-01-01T00:45:00Z", "Mon 2024-01-01 01:05:00"),
        ("10-30/15 * * * *", "2024-01-01T00:10:00Z", "Mon 2024-01-01 00:25:00"),
        ("0 0 31 * *", "2024-01-31T00:00:00Z", "Sun 2024-03-31 00:00:00"),
        ("0 0 29 2 *", "2096-02-29T00:00:00Z", "Fri 2104-02-29 00:00:00"),
        ("0 0 30 2 MON", "2024-01-01T00:00:00Z", "Mon 2024-02-05 00:00:00"),
        ("0 0 12 * * ?", "2024-01-01T00:00:00Z", "Mon 2024-01-01 12:00:00"),
        ("0 0 12 ? * MON", "2024-01-01T12:00:00Z", "Mon 2024-01-08 12:00:00"),
        ("  0\t2 * *   * ", "2024-01-01T00:00:00Z", "Mon 2024-01-01 02:00:00"),
        ("@hourly", "2024-01-01T00:00:00Z", "Mon 2024-01-01 01:00:00"),
        ("@daily", "2024-01-01T00:00:00Z", "Tue 2024-01-02 00:00:00"),
        ("@Midnight", "2024-01-01T00:00:00Z", "Tue 2024-01-02 00:00:00"),
        ("@weekly", "2024-01-01T00:00:00Z", "Sun 2024-01-07 00:00:00"),
        ("@monthly", "2024-01-01T00:00:00Z", "Thu 2024-02-01 00:00:00"),
        ("@yearly", "2024-01-01T00:00:00Z", "Wed 2025-01-01 00:00:00"),
        ("@annually", "2024-01-01T00:00:00Z", "Wed 2025-01-01 00:00:00"),
    ],
)
def test_next(expression: str, after: str, expected: str) -> None:
    assert fires(expression, after, 1) == [f"{expected} +0000"]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("13 * FRI", ["Fri 05", "Fri 12", "Sat 13", "Fri 19"]),
        ("13 * *", ["Sat 13", "Tue 13", "Wed 13", "Sat 13"]),
        ("* * FRI", ["Fri 05", "Fri 12", "Fri 19", "Fri 26"]),
        ("*/1 * FRI", ["Fri 05", "Fri 12", "Fri 19", "Fri 26"]),
        ("*/10 * FRI", ["Fri 05", "Thu 11", "Fri 12", "Fri 19"]),
        ("1-31 * FRI", ["Tue 02", "Wed 03", "Thu 04", "Fri 05"]),
    ],
)
def test_either_day_field_is_enough_unless_one_is_a_star(days: str, expected: list[str]) -> None:
    shown = fires(f"0 0 {days}", "2024-01-01T00:00:00Z", 4)
    assert [f"{words[:3]} {words[12:14]}" for words in shown] == expected


# The clock goes from 02:00 to 03:00 in Berlin and New York, from 02:00 to 02:30 on Lord Howe, from 24:00 to
# 01:00 in Santiago; Apia left out a whole day.
@pytest.mark.parametrize(
    ("timezone", "expression", "after", "expected"),
    [
        ("Europe/Berlin", "30 2 * * *", "2024-03-30T12:00Z", ["03:00:00 +0200", "02:30:00 +0200"]),
        ("Europe/Berlin", "30 2 31 3 *", "2024-03-30T12:00Z", ["03:00:00 +0200", "02:30:00 +0200"]),
        ("Europe/Berlin", "30 2 * * *", "2024-03-31T00:59:59Z", ["03:00:00 +0200"]),
        ("Europe/Berlin", "30 2 * * *", "2024-03-31T01:00:00Z", ["02:30:00 +0200"]),
        ("Europe/Berlin", "*/5 2 * * *", "2024-03-30T12:00Z", ["03:00:00 +0200", "02:00:00 +0200"]),
        ("Europe/Berlin", "0 2,3 * * *", "2024-03-30T12:00Z", ["03:00:00 +0200", "02:00:00 +0200"]),
        ("Europe/Berlin", "30 2,3 * * *", "2024-03-30T12:00Z", ["03:00:00 +0200", "03:30:00 +0200"]),
        ("Europe/Berlin", "30 * * * *", "2024-03-31T00:00Z", ["01:30:00 +0100", "03:30:00 +0200"]),
        ("Europe/Berlin", "*/20 * * * *", "2024-03-31T00:30Z", ["01:40:00 +0100", "03:00:00 +0200"]),
        ("Europe/Berlin", "*/30 * * * * *", "2024-03-31T00:59:00Z", ["01:59:30 +0100", "03:00:00 +0200"]),
        ("America/New_York", "30 2 * * *", "2024-03-09T12:00Z", ["03:00:00 -0400", "02:30:00 -0400"]),
        ("America/New_York", "@hourly", "2024-03-10T06:00Z", ["03:00:00 -0400", "04:00:00 -0400"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2024-10-05T12:00Z", ["02:30:00 +1100", "02:15:00 +1100"]),
        ("Australia/Lord_Howe", "45 2 * * *", "2024-10-05T12:00Z", ["02:45:00 +1100", "02:45:00 +1100"]),
        ("Australia/Lord_Howe", "15 * * * *", "2024-10-05T14:00Z", ["01:15:00 +1030", "03:15:00 +1100"]),
        ("America/Santiago", "0 0 * * *", "2024-09-07T12:00Z", ["01:00:00 -0300", "00:00:00 -0300"]),
        ("Pacific/Apia", "0 2 * * *", "2011-12-29T12:00Z", ["00:00:00 +1400", "02:00:00 +1400"]),
        ("UTC", "30 2 * * *", "2024-03-30T12:00Z", ["02:30:00 +0000", "02:30:00 +0000"]),
    ],
)
def test_a_time_that_is_left_out(timezone: str, expression: str, after: str, expected: list[str]) -> None:
    assert clocks(expression, after, len(expected), timezone) == expected


# The clock goes from 03:00 to 02:00 in Berlin, from 02:00 to 01:00 in New York, from 02:00 to 01:30 on Lord Howe.
@pytest.mark.parametrize(
    ("timezone", "expression", "after", "expected"),
    [
        ("Europe/Berlin", "30 2 * * *", "2024-10-26T12:00Z", ["02:30:00 +0200", "02:30:00 +0100", "02:30:00 +0100"]),
        ("Europe/Berlin", "30 2 27 10 *", "2024-10-27T00:30Z", ["02:30:00 +0100"]),
        ("Europe/Berlin", "*/30 2 * * *", "2024-10-27T00:00Z", ["02:30:00 +0200", "02:00:00 +0100"]),
        ("Europe/Berlin", "30 2,3 * * *", "2024-10-27T00:45Z", ["03:30:00 +0100", "02:30:00 +0100"]),
        ("Europe/Berlin", "30 2,3 * * *", "2024-10-27T01:15Z", ["03:30:00 +0100", "02:30:00 +0100"]),
        ("Europe/Berlin", "0 3 * * *", "2024-10-27T01:59:59Z", ["03:00:00 +0100"]),
        ("Europe/Berlin", "30 * * * *", "2024-10-27T00:00Z", ["02:30:00 +0200", "02:30:00 +0100", "03:30:00 +0100"]),
        ("Europe/Berlin", "*/20 * * * *", "2024-10-27T00:35Z", ["02:40:00 +0200", "02:00:00 +0100"]),
        ("Europe/Berlin", "*/5 * * * *", "2024-10-27T00:55Z", ["02:00:00 +0100", "02:05:00 +0100"]),
        ("Europe/Berlin", "0 * 28 10 *", "2024-10-27T00:30Z", ["00:00:00 +0100"]),
        ("America/New_York", "30 1 * * *", "2024-11-03T04:00Z", ["01:30:00 -0400", "01:30:00 -0500"]),
        ("America/New_York", "@hourly", "2024-11-03T04:30Z", ["01:00:00 -0400", "01:00:00 -0500", "02:00:00 -0500"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2024-04-06T12:00Z", ["01:45:00 +1100", "01:45:00 +1030"]),
        ("Australia/Lord_Howe", "45 * * * *", "2024-04-06T14:00Z", ["01:45:00 +1100", "01:45:00 +1030"]),
        ("Australia/Lord_Howe", "15 * * * *", "2024-04-06T14:00Z", ["01:15:00 +1100", "02:15:00 +1030"]),
        ("America/Santiago", "30 23 * * *", "2024-04-06T12:00Z", ["23:30:00 -0300", "23:30:00 -0400"]),
        ("UTC", "30 2 * * *", "2024-10-26T12:00Z", ["02:30:00 +0000", "02:30:00 +0000"]),
    ],
)
def test_a_time_that_comes_twice(timezone: str, expression: str, after: str, expected: list[str]) -> None:
    assert clocks(expression, after, len(expected), timezone) == expected


def test_a_repeated_time_of_a_named_hour_is_a_day_later_the_second_time() -> None:
    shown = fires("30 2 * * *", "2024-10-26T12:00Z", 2, "Europe/Berlin")
    assert shown == ["Sun 2024-10-27 02:30:00 +0200", "Mon 2024-10-28 02:30:00 +0100"]


def test_the_answer_is_in_utc_whatever_the_zones() -> None:
    after = datetime(2024, 7, 1, tzinfo=ZoneInfo("America/New_York"))
    answer = Schedule.parse("0 2 * * *", "Europe/Berlin").next_after(after)
    assert (answer, answer.tzinfo) == (datetime(2024, 7, 2, tzinfo=UTC), UTC)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no zone"):
        Schedule.parse("@daily").next_after(datetime(2024, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("expression", ["@daily", "0 0 29 2 *", "* * * * * *"])
@pytest.mark.parametrize("timezone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_the_end_of_the_calendar(expression: str, timezone: str) -> None:
    with pytest.raises(DefinitionError, match="does not fire between 9999-12-31"):
        Schedule.parse(expression, timezone).next_after(datetime.max.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", "Cron '' has 0 fields; expected 5 (minute hour day month weekday) or 6 (the second before them)"),
        ("@", "Cron '@' is not known; expected one of @yearly"),
        ("@daly", "@hourly; did you mean @daily?"),
        ("@reboot", "Cron '@reboot' is not known; expected one of @yearly"),
        ("@daily 5", "Cron '@daily 5' is not known"),
        ("5", "Cron '5' has 1 field; expected 5"),
        ("0 2 * *", "Cron '0 2 * *' has 4 fields; expected 5"),
        ("0 0 2 * * * 2025", "has 7 fields; expected 5"),
        ("60 * * * *", "Cron '60 * * * *', minute field '60': 60 is out of range; expected 0 to 59"),
        ("60 * * * * *", "second field '60': 60 is out of range; expected 0 to 59"),
        ("0 24 * * *", "hour field '24': 24 is out of range; expected 0 to 23"),
        ("0 0 0 * *", "day field '0': 0 is out of range; expected 1 to 31"),
        ("0 0 1-32 * *", "day field '1-32': 32 is out of range; expected 1 to 31"),
        ("0 0 1 13 *", "month field '13': 13 is out of range; expected 1 to 12 or JAN to DEC"),
        ("0 0 * * 8", "weekday field '8': 8 is out of range; expected 0 to 7 (both Sunday) or SUN to SAT"),
        (
            "0 0 * * MOO",
            "weekday field 'MOO': 'MOO' is not known; expected 0 to 7 (both Sunday) or SUN to SAT; did you",
        ),
        ("0 0 * * wednesday", "did you mean WED?"),
        ("0 0 1 MON *", "month field 'MON': 'MON' is not known"),
        ("0 MON * * *", "hour field 'MON': 'MON' is not known; expected 0 to 23"),
        ("0 2 * * 1,,2", "weekday field '1,,2': a value is missing"),
        ("1- * * * *", "minute field '1-': a value is missing"),
        ("-1 * * * *", "minute field '-1': a value is missing"),
        ("1.5 * * * *", "'1.5' is not known"),
        ("٥ * * * *", "'٥' is not known"),
        ("*/0 * * * *", "minute field '*/0': '0' is not a step; expected 1 to 60, as in */2"),
        ("*/90 * * * *", "minute field '*/90': '90' is not a step; expected 1 to 60"),
        ("*/ * * * *", "'' is not a step"),
        ("*/5/5 * * * *", "'5/5' is not a step"),
        ("*-5 * * * *", "'*' is not known"),
        ("0 0 L * *", "day field 'L': 'L' is not supported (nor are L, W, # and random times); expected 1 to 31"),
        ("0 0 15W * *", "'15W' is not supported"),
        ("0 0 * * 5#2", "'5#2' is not supported"),
        ("0 0 * * 5L", "'5L' is not supported"),
        ("R * * * *", "minute field 'R': 'R' is not supported"),
        ("0 r(2-4) * * *", "hour field 'r(2-4)': 'r(2' is not supported"),
        ("H H * * *", "'H' is not supported"),
        ("? * * * *", "minute field '?': '?' is not supported"),
        ("0 0 30 2 *", "Cron '0 0 30 2 *' never fires: there is no day 30 in February"),
        ("0 0 30,31 FEB *", "never fires: there is no day 30 or 31 in February"),
        ("0 0 31 2,4 *", "never fires: there is no day 31 in February or April"),
        ("* " * 128 + "*", "A cron expression of 257 characters is too long; the most is 256"),
    ],
)
def test_refused(expression: str, expected: str) -> None:
    with pytest.raises(DefinitionError) as error:
        Schedule.parse(expression)
    assert expected in str(error.value)


def test_an_expression_of_the_greatest_length_is_accepted() -> None:
    expression = "0,0," * 61 + "00 2 * * *  "
    assert len(expression.ljust(256)) == 256
    assert clocks(expression.ljust(256), "2024-01-01T00:00Z", 1) == ["02:00:00 +0000"]


@pytest.mark.parametrize(
    ("timezone", "expected"),
    [
        (
            "Europe/Berln",
            "The timezone 'Europe/Berln' is not known; expected an IANA name such as Europe/Berlin; did you",
        ),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("new_york", "did you mean America/New_York?"),
        ("utc", "did you mean UTC?"),
        ("Europe", "is not known"),
        ("../../etc/passwd", "is not known"),
        ("/etc/localtime", "is not known"),
        ("", "The timezone '' is not known"),
        ("a\0b", "The timezone 'a\\x00b' is not known"),
        ("\ud800", "is not known"),
        ("x" * 10_000, f"The timezone '{'x' * 64}' is not known"),
    ],
)
def test_an_unknown_timezone(timezone: str, expected: str) -> None:
    with pytest.raises(DefinitionError) as error:
        Schedule.parse("@daily", timezone)
    assert expected in str(error.value)


def test_without_a_time_zone_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(key: str) -> ZoneInfo:
        raise KeyError(key)

    monkeypatch.setattr(cron, "ZoneInfo", nothing)
    monkeypatch.setattr(cron, "_zone_names", dict)
    assert Schedule.parse("@daily", "UTC").timezone == "UTC"
    with pytest.raises(DefinitionError, match="has no time zone database: install tzdata, or use UTC"):
        Schedule.parse("@daily", "Europe/Berlin")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 2 * * *", "daily at 02:00"),
        ("@daily", "daily at 00:00"),
        ("30 5 2 * * *", "daily at 02:05:30"),
        ("*/5 * * * *", "every 5 minutes"),
        ("0,15,30,45 * * * *", "every 15 minutes"),
        ("* * * * *", "every minute"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("@hourly", "every hour"),
        ("17 * * * *", "hourly at minute 17"),
        ("05 */1 * * ?", "hourly at minute 5"),
        ("30 17 * * * *", "30 17 * * * *"),
        ("17 * * * MON", "17 * * * MON"),
        ("17 */2 * * *", "17 */2 * * *"),
        ("0 */6 * * *", "every 6 hours"),
        ("0 9 * * 1", "Mondays at 09:00"),
        ("0 9 * * TUE,THU", "Tuesdays and Thursdays at 09:00"),
        ("0 9 * * MON-FRI", "weekdays at 09:00"),
        ("0 9 * * FRI-SUN", "Fridays, Saturdays and Sundays at 09:00"),
        ("@weekly", "Sundays at 00:00"),
        ("@monthly", "on day 1 of the month at 00:00"),
        ("@yearly", "every 1 January at 00:00"),
        ("*/7 * * * *", "*/7 * * * *"),
        ("1-59/5 * * * *", "1-59/5 * * * *"),
        ("*/5 2 * * *", "*/5 2 * * *"),
        ("*/5 * * * MON", "*/5 * * * MON"),
        ("0 9,17 * * *", "0 9,17 * * *"),
        ("0 */5 * * *", "0 */5 * * *"),
        ("0 9 13 * FRI", "0 9 13 * FRI"),
        ("0 9 1-31 * FRI", "0 9 1-31 * FRI"),
        ("0 9 * 6 MON", "0 9 * 6 MON"),
        ("0 9 * 6 *", "0 9 * 6 *"),
        ("0 9 1 1,7 *", "0 9 1 1,7 *"),
    ],
)
def test_in_words(expression: str, expected: str) -> None:
    assert Schedule.parse(expression).in_words == expected


def test_a_schedule_is_a_value() -> None:
    one, same, other = (Schedule.parse("@daily", zone) for zone in ("Europe/Berlin", "Europe/Berlin", "UTC"))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert repr(other) == "Schedule(expression='@daily', timezone='UTC')"
