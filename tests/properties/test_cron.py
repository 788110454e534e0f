"""Cron schedules against two judges: croniter in UTC, and the rules for clock changes taken minute by minute."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cdktr.cron import Schedule
from cdktr.errors import DefinitionError

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata"]

#: Instants at which the clock of some zone changes, and one at which none does.
CHANGES = [
    datetime(2024, 3, 31, 1, tzinfo=UTC),  # Berlin, forward
    datetime(2024, 10, 27, 1, tzinfo=UTC),
    datetime(2024, 3, 10, 7, tzinfo=UTC),  # New York, forward
    datetime(2024, 11, 3, 6, tzinfo=UTC),
    datetime(2024, 10, 5, 15, 30, tzinfo=UTC),  # Lord Howe, forward
    datetime(2024, 4, 6, 15, tzinfo=UTC),
    datetime(2024, 9, 8, 4, tzinfo=UTC),  # Santiago, forward, at midnight
    datetime(2024, 4, 7, 3, tzinfo=UTC),
    datetime(2024, 7, 1, 12, tzinfo=UTC),
]

MONTH_NAMES = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
WEEKDAY_NAMES = "SUN MON TUE WED THU FRI SAT".split()


@dataclass(frozen=True)
class Written:
    """A field as it is written, and the values that it stands for."""

    text: str
    values: frozenset[int]
    #: False for a range that wraps with a step, which croniter counts on from the wrong value.
    as_croniter: bool = True

    @property
    def for_croniter(self) -> str:
        return self.text if self.as_croniter else ",".join(map(str, sorted(self.values)))


def numbers(first: int, last: int, names: list[str] | None = None) -> st.SearchStrategy[Written]:
    """Stars, values, ranges (some of them wrap), steps and lists over `first` to `last`."""
    whole, value = list(range(first, last + 1)), st.integers(first, last)

    def written(number: int) -> str:
        return names[number - first].title() if names and number % 2 else str(number)

    def span(low: int, high: int) -> list[int]:
        return whole[low - first : high + 1 - first] if low <= high else span(low, last) + span(first, high)

    def of_range(pair: tuple[int, int], step: int) -> Written:
        text = f"{written(pair[0])}-{written(pair[1])}" + (f"/{step}" if step > 1 else "")
        return Written(text, frozenset(span(*pair)[::step]), step == 1 or pair[0] < pair[1])

    def of_list(items: list[Written]) -> Written:
        values = frozenset[int]().union(*(item.values for item in items))
        return Written(",".join(item.text for item in items), values, all(item.as_croniter for item in items))

    steps = st.integers(2, min(20, len(whole)))
    item = st.one_of(
        value.map(lambda number: Written(written(number), frozenset([number]))),
        steps.map(lambda step: Written(f"*/{step}", frozenset(whole[::step]))),
        st.builds(
            lambda low, step: Written(f"{written(low)}/{step}", frozenset(span(low, last)[::step])), value, steps
        ),
        # croniter takes 5-5 for everything, so there are none of those here.
        st.builds(
            of_range, st.tuples(value, value).filter(lambda pair: pair[0] != pair[1]), st.one_of(st.just(1), steps)
        ),
    )
    return st.one_of(st.just(Written("*", frozenset(whole))), st.lists(item, min_size=1, max_size=3).map(of_list))


@dataclass(frozen=True)
class Crontab:
    """Six written fields, the second first."""

    fields: tuple[Written, ...]

    @property
    def text(self) -> str:
        return " ".join(field.text for field in self.fields)

    def admits(self, wall: datetime) -> bool:
        """The rule said again, without a line of the module under test."""
        seconds, minutes, hours, days, months, weekdays = (field.values for field in self.fields)
        by_day, by_weekday = wall.day in days, (wall.weekday() + 1) % 7 in weekdays
        either = self.fields[3].text != "*" and self.fields[5].text != "*"
        return (
            wall.second in seconds
            and wall.minute in minutes
            and wall.hour in hours
            and wall.month in months
            and (by_day or by_weekday if either else by_day and by_weekday)
        )


ON_THE_MINUTE = st.just(Written("0", frozenset([0])))
MONTH = numbers(1, 12, MONTH_NAMES)
WEEKDAY = numbers(0, 6, WEEKDAY_NAMES)


def crontabs(second: st.SearchStrategy[Written], month: st.SearchStrategy[Written]) -> st.SearchStrategy[Crontab]:
    return st.builds(
        lambda *fields: Crontab(fields), second, numbers(0, 59), numbers(0, 23), numbers(1, 31), month, WEEKDAY
    )


EVERY_MONTH = st.just(Written("*", frozenset(range(1, 13))))
ANY_TAB = crontabs(st.one_of(ON_THE_MINUTE, numbers(0, 59)), MONTH)
#: Dense enough that something happens within hours: every month, and hours that are often all of them.
MINUTE_TAB = crontabs(ON_THE_MINUTE, EVERY_MONTH)
INSTANT = st.datetimes(datetime(1971, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
NEAR_CHANGE = st.builds(
    lambda change, seconds: change + timedelta(seconds=seconds), st.sampled_from(CHANGES), st.integers(-90_000, 90_000)
)


def parsed(tab: Crontab, timezone: str = "UTC") -> Schedule:
    try:
        return Schedule.parse(tab.text, timezone)
    except DefinitionError as error:
        assert "never fires" in str(error)  # noqa: PT017
        assume(False)
        raise


@given(tab=ANY_TAB, after=INSTANT)
@settings(max_examples=200)
def test_as_croniter_in_utc(tab: Crontab, after: datetime) -> None:
    # croniter takes a day field that lists every value for a star, depending on how the other one is written.
    days, weekdays = tab.fields[3], tab.fields[5]
    assume(days.text == "*" or len(days.values) < 31)
    assume(weekdays.text == "*" or len(weekdays.values) < 7)
    schedule = parsed(tab)
    judge = croniter(" ".join(field.for_croniter for field in tab.fields), after, second_at_beginning=True)
    here = after
    for _ in range(4):
        here = schedule.next_after(here)
        assert here == judge.get_next(datetime)


@given(tab=ANY_TAB)
@settings(max_examples=100)
def test_never_fires_means_that_no_day_of_a_leap_cycle_is_admitted(tab: Crontab) -> None:
    seconds, minutes, hours = (min(field.values) for field in tab.fields[:3])
    start = datetime(2024, 1, 1, hours, minutes, seconds)  # noqa: DTZ001
    possible = any(tab.admits(start + timedelta(days=day)) for day in range(8 * 366))
    try:
        Schedule.parse(tab.text)
    except DefinitionError:
        assert not possible
    else:
        assert possible


@given(tab=ANY_TAB, after=st.one_of(INSTANT, NEAR_CHANGE), timezone=st.sampled_from(ZONES))
@settings(max_examples=120)
def test_later_at_a_whole_second_and_admitted_by_the_fields_or_at_a_change(
    tab: Crontab, after: datetime, timezone: str
) -> None:
    answer = parsed(tab, timezone).next_after(after)
    assert answer > after
    assert answer.microsecond == 0
    assert answer.tzinfo is UTC
    zone = ZoneInfo(timezone)
    wall, before = answer.astimezone(zone), (answer - SECOND).astimezone(zone)
    assert tab.admits(wall.replace(tzinfo=None)) or wall.utcoffset() != before.utcoffset()


@given(tab=ANY_TAB, after=NEAR_CHANGE, timezone=st.sampled_from(ZONES), later=st.integers(0, 100_000))
@settings(max_examples=120)
def test_asking_later_never_answers_earlier_nor_skips(tab: Crontab, after: datetime, timezone: str, later: int) -> None:
    schedule, then = parsed(tab, timezone), after + later * SECOND
    first, second = schedule.next_after(after), schedule.next_after(then)
    assert second == first if then < first else second > first


def minute_by_minute(tab: Crontab, zone: ZoneInfo, start: datetime, minutes: int) -> Iterator[datetime]:
    """Every fire time from `start` on, by looking at each minute of real time."""
    every_hour = len(tab.fields[2].values) == 24
    shown = (start - MINUTE).astimezone(zone)
    for number in range(minutes):
        instant = start + number * MINUTE
        before, shown = shown.replace(tzinfo=None), instant.astimezone(zone)
        wall = shown.replace(tzinfo=None, fold=0)
        left_out = int((wall - before.replace(fold=0)) / MINUTE) - 1
        replaces = any(tab.admits(wall - (back + 1) * MINUTE) for back in range(left_out))
        fires = tab.admits(wall) if every_hour or shown.fold == 0 else False
        if fires or (replaces and not every_hour):
            yield instant


def field(text: str, *values: int) -> Written:
    return Written(text, frozenset(values))


def tab_of(minute: Written, hour: Written) -> Crontab:
    every = [field("*", *range(first, last + 1)) for first, last in ((1, 31), (1, 12), (0, 6))]
    return Crontab((field("0", 0), minute, hour, *every))


@given(
    tab=MINUTE_TAB,
    timezone=st.sampled_from(ZONES),
    change=st.sampled_from(CHANGES),
    lead=st.integers(1, 300),
)
@example(tab_of(field("30", 30), field("2", 2)), "Europe/Berlin", CHANGES[0], 100)
@example(tab_of(field("30", 30), field("2", 2)), "Europe/Berlin", CHANGES[1], 200)
@example(tab_of(field("30", 30), field("*", *range(24))), "Europe/Berlin", CHANGES[0], 100)
@example(tab_of(field("30", 30), field("*", *range(24))), "Europe/Berlin", CHANGES[1], 200)
@example(tab_of(field("15", 15), field("2", 2)), "Australia/Lord_Howe", CHANGES[4], 100)
@example(tab_of(field("*/20", 0, 20, 40), field("*", *range(24))), "Australia/Lord_Howe", CHANGES[5], 100)
@settings(max_examples=150)
def test_around_a_change_as_looking_at_each_minute(tab: Crontab, timezone: str, change: datetime, lead: int) -> None:
    schedule, start = parsed(tab, timezone), change - lead * MINUTE
    minutes = lead + 200
    expected = list(minute_by_minute(tab, ZoneInfo(timezone), start, minutes))
    found, here = [], start - SECOND
    while (here := schedule.next_after(here)) < start + minutes * MINUTE:
        found.append(here)
    assert found == expected


@given(tab=MINUTE_TAB, timezone=st.sampled_from(ZONES), after=NEAR_CHANGE, seconds=st.integers(-9, 400_000))
@settings(max_examples=100)
def test_the_last_of_a_span_is_the_last(tab: Crontab, timezone: str, after: datetime, seconds: int) -> None:
    schedule, until = parsed(tab, timezone), after + seconds * SECOND
    last, here = None, after
    while (here := schedule.next_after(here)) <= until:
        last = here
    assert schedule.last_between(after, until) == last


@given(expression=st.one_of(st.text(max_size=40), st.text("0159*/-,#?LWRMON@ ", max_size=30)))
@settings(max_examples=200)
def test_any_text_is_a_schedule_or_a_definition_error(expression: str) -> None:
    try:
        schedule = Schedule.parse(expression)
    except DefinitionError as error:
        assert "cron" in str(error).lower()  # noqa: PT017
    else:
        assert schedule.next_after(datetime(2024, 1, 1, tzinfo=UTC)).year < 2034
        assert schedule.in_words


@given(timezone=st.one_of(st.sampled_from(ZONES), st.text(max_size=20)))
@settings(max_examples=60)
def test_any_text_is_a_timezone_or_a_definition_error(timezone: str) -> None:
    try:
        assert Schedule.parse("@daily", timezone).timezone == timezone
    except DefinitionError as error:
        assert "timezone" in str(error)  # noqa: PT017


@pytest.mark.parametrize("timezone", ZONES)
def test_a_daily_schedule_fires_once_on_each_of_a_thousand_days(timezone: str) -> None:
    schedule, here = Schedule.parse("30 2 * * *", timezone), datetime(2024, 1, 1, 12, tzinfo=UTC)
    days = []
    for _ in range(1000):
        here = schedule.next_after(here)
        days.append(here.astimezone(ZoneInfo(timezone)).date())
    assert days == [days[0] + timedelta(days=number) for number in range(1000)]
