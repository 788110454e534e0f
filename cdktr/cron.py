"""When a cron expression fires.

Everything that decides a fire time is here: what an expression means on the wall clock (`Fields`), and what
the wall clock means when a zone sets it forward or back (`Schedule`). Nothing here knows what time it is.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from cdktr.errors import DefinitionError

#: Characters: the longest expression that is looked at.
MAX_LENGTH = 256

SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

WEEKDAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split()
MONTHS = "January February March April May June July August September October November December".split()

#: The most days that each month can have.
MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Unit:
    """One of the six fields: its smallest value, how many there are, the largest that may be written."""

    name: str
    first: int
    count: int
    last: int
    expected: str
    names: tuple[str, ...] = ()

    def values(self, text: str) -> tuple[int, ...]:
        """Every value that the field admits, ascending. Raises ValueError that says what is wrong."""
        return tuple(sorted({value for item in text.split(",") for value in self._item(item)}))

    def _item(self, item: str) -> Iterable[int]:
        """`*`, a value or a range, each with an optional step. A range whose end is before its start wraps."""
        span, slash, step_text = item.partition("/")
        low_text, dash, high_text = span.partition("-")
        low = self.first if span == "*" else self._value(low_text)
        high = self._value(high_text) if dash else low
        if not dash and (slash or span == "*"):
            high = self.first + self.count - 1
        length = high - low if high >= low else high - low + self.count
        steps = range(0, length + 1, self._step(step_text) if slash else 1)
        return (self.first + (low - self.first + step) % self.count for step in steps)

    def _value(self, text: str) -> int:
        if text.upper() in self.names:
            return self.first + self.names.index(text.upper())
        if not (text.isascii() and text.isdigit()):
            raise ValueError(self._not_a_value(text))
        if not self.first <= int(text) <= self.last:
            raise ValueError(f"{text} is out of range; expected {self.expected}")
        return int(text)

    def _step(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= self.count):
            raise ValueError(f"{text!r} is not a step; expected 1 to {self.count}, as in */2")
        return int(text)

    def _not_a_value(self, text: str) -> str:
        if not text:
            return f"a value is missing; expected {self.expected}"
        if "#" in text or text.upper().strip("0123456789()") in {"L", "W", "LW", "?", "R", "H"}:
            return f"{text!r} is not supported (nor are L, W, # and random times); expected {self.expected}"
        close = get_close_matches(text.upper()[:3], self.names, 1)
        return f"{text!r} is not known; expected {self.expected}" + _did_you_mean(close)


@lru_cache(maxsize=4096)
def _values(unit: Unit, text: str) -> tuple[int, ...]:
    """As `Unit.values`, once for what thousands of workflows have alike: most fields are `*`."""
    return unit.values(text)


UNITS = (
    Unit("second", 0, 60, 59, "0 to 59"),
    Unit("minute", 0, 60, 59, "0 to 59"),
    Unit("hour", 0, 24, 23, "0 to 23"),
    Unit("day", 1, 31, 31, "1 to 31"),
    Unit("month", 1, 12, 12, "1 to 12 or JAN to DEC", tuple(name[:3].upper() for name in MONTHS)),
    Unit("weekday", 0, 7, 7, "0 to 7 (both Sunday) or SUN to SAT", tuple(name[:3].upper() for name in WEEKDAYS)),
)


class Fields(NamedTuple):
    """What each field admits, ascending; Sunday is 0. All of it in wall-clock time."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    #: Both day fields were restricted, so that one of them is enough.
    either_day: bool

    def at_or_after(self, wall: datetime) -> datetime:
        """The first wall-clock time, `wall` or later, that all fields admit."""
        clock = self._clock_from(wall.time()) if self._admits(wall.date()) else None
        if clock is not None:
            return datetime.combine(wall.date(), clock)
        return datetime.combine(self._day_after(wall.date()), self._clock(0, 0, 0))

    @property
    def every_hour(self) -> bool:
        """No hour is named: the schedule is a rhythm rather than a list of wall-clock times."""
        return len(self.hours) == 24

    def can_fire(self) -> bool:
        """Whether any year has a day that the fields admit."""
        return self.either_day or any(day <= MONTH_DAYS[month - 1] for month in self.months for day in self.days)

    def _admits(self, day: date) -> bool:
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (by_day or by_weekday if self.either_day else by_day and by_weekday)

    def _day_after(self, day: date) -> date:
        day += DAY
        while not self._admits(day):
            # A month that is not wanted is left at once: 29 February can be eight years away.
            day = day + DAY if day.month in self.months else (day.replace(day=1) + 32 * DAY).replace(day=1)
        return day

    def _clock_from(self, clock: time) -> time | None:
        if clock.hour in self.hours:
            if clock.minute in self.minutes and clock.second <= self.seconds[-1]:
                return self._clock(clock.hour, clock.minute, clock.second)
            if clock.minute < self.minutes[-1]:
                return self._clock(clock.hour, clock.minute + 1, 0)
        return self._clock(clock.hour + 1, 0, 0) if clock.hour < self.hours[-1] else None

    def _clock(self, hour: int, minute: int, second: int) -> time:
        """Each part raised to a value that its field admits, which must exist."""
        return time(_raised(self.hours, hour), _raised(self.minutes, minute), _raised(self.seconds, second))


@dataclass(frozen=True, slots=True)
class Schedule:
    """The instants at which a cron expression fires in a time zone.

    Five fields are minute, hour, day of the month, month, weekday; six begin with the second. If both day
    fields are restricted (`*` is not) either is enough. `?` in a day field is `*`.

    When the zone changes its clock, a schedule that names its hours fires once for each wall-clock time: at the
    first of two passes, and for the times that are left out at the moment of the change, once for all of them.
    A schedule that admits every hour is a rhythm: it fires whenever the clock shows a time that it admits, in
    both passes, and makes up for nothing that is left out.
    """

    expression: str
    #: An IANA zone name.
    timezone: str
    _zone: tzinfo = field(repr=False, compare=False)
    _fields: Fields = field(repr=False, compare=False)

    @classmethod
    def parse(cls, expression: str, timezone: str = "UTC") -> "Schedule":
        """Raises DefinitionError for a wrong expression, one that never fires and an unknown zone."""
        return cls(expression, timezone, _zone(timezone), _parse(expression))

    def next_after(self, after: datetime) -> datetime:
        """The first instant, in UTC and at a whole second, later than `after`, which must be aware.

        Raises DefinitionError when the calendar ends before it.
        """
        if after.utcoffset() is None:
            raise ValueError("the time has no zone")
        try:
            now = _wall(after, self._zone).replace(microsecond=0)
            starts = [now + SECOND, *_pass_edges(now, self._zone)]
            walls = (self._fields.at_or_after(start) for start in starts)
            return min(instant for wall in walls for instant in self._instants(wall) if instant > after)
        except OverflowError:
            raise DefinitionError(f"Cron {self.expression!r} does not fire between {after} and the year 9999") from None

    def last_between(self, after: datetime, until: datetime) -> datetime | None:
        """The last of its instants that are later than `after` and not later than `until`; None when there is none.

        Found by bisection, as a schedule of every second may have millions of them. Raises DefinitionError as
        `next_after` does.
        """
        found = self.next_after(after)
        if found > until:
            return None
        # Between `until` and what is behind it there is none.
        while until - found >= SECOND:
            middle = found + (until - found) / 2
            following = self.next_after(middle)
            found, until = (following, until) if following <= until else (found, middle)
        return found

    @property
    def in_words(self) -> str:
        """A short description such as `daily at 02:00`, or the expression where there is none."""
        return _in_words(self._fields) or self.expression

    def _instants(self, wall: datetime) -> tuple[datetime, ...]:
        """When the schedule fires on behalf of a wall-clock time that its fields admit."""
        first, second = _both(wall, self._zone)
        if first <= second:
            return (first, second) if self._fields.every_hour else (first,)
        change = _change(second, first, self._zone)
        if self._fields.every_hour:
            return self._instants(self._fields.at_or_after(_wall(change, self._zone)))
        return (change,)


def _raised(values: Sequence[int], least: int) -> int:
    return values[bisect_left(values, least)]


def _both(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """The instants of the first and the second pass: equal as a rule, reversed for a time that is left out."""
    return wall.replace(tzinfo=zone).astimezone(UTC), wall.replace(tzinfo=zone, fold=1).astimezone(UTC)


def _wall(instant: datetime, zone: tzinfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _change(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The first instant whose offset is not that of `before`, which `after` shows to exist."""

    def changed(second: int) -> bool:
        return (before + second * SECOND).astimezone(zone).utcoffset() != before.astimezone(zone).utcoffset()

    return before + bisect_left(range((after - before) // SECOND), True, key=changed) * SECOND


def _pass_edges(wall: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """If `wall` comes twice: the start and the end of the wall-clock times that do."""
    first, second = _both(wall, zone)
    if first >= second:
        return ()
    change = _change(first, second, zone)
    return _wall(change, zone), _wall(change - SECOND, zone) + SECOND


@lru_cache(maxsize=1024)
def _parse(expression: str) -> Fields:
    if len(expression) > MAX_LENGTH:
        raise DefinitionError(
            f"A cron expression of {len(expression)} characters is too long; the most is {MAX_LENGTH}"
        )
    texts = _texts(expression)
    values: list[object] = []
    for unit, text in zip(UNITS, texts, strict=True):
        try:
            values.append(_values(unit, text))
        except ValueError as error:
            raise DefinitionError(f"Cron {expression!r}, {unit.name} field {text!r}: {error}") from None
    either_day = not any({"*", "*/1"} & set(text.split(",")) for text in (texts[3], texts[5]))
    fields = Fields._make([*values, either_day])
    if not fields.can_fire():
        days, months = map(str, fields.days), (MONTHS[month - 1] for month in fields.months)
        never = f"there is no day {' or '.join(days)} in {' or '.join(months)}"
        raise DefinitionError(f"Cron {expression!r} never fires: {never}")
    return fields


def _texts(expression: str) -> list[str]:
    """The six fields as they are written."""
    texts = expression.split()
    if expression.strip().startswith("@"):
        texts = SHORTHANDS.get(expression.strip().lower(), "").split()
        if not texts:
            close = get_close_matches(expression.strip().lower(), SHORTHANDS, 1)
            known = " ".join(SHORTHANDS)
            raise DefinitionError(f"Cron {expression!r} is not known; expected one of {known}" + _did_you_mean(close))
    if len(texts) not in (5, 6):
        raise DefinitionError(
            f"Cron {expression!r} has {len(texts)} field{'' if len(texts) == 1 else 's'}; "
            "expected 5 (minute hour day month weekday) or 6 (the second before them)"
        )
    texts = ["0", *texts][-6:]
    return ["*" if text == "?" and position in (3, 5) else text for position, text in enumerate(texts)]


def _zone(name: str) -> tzinfo:
    # UTC needs no database, which a small container does not have.
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise DefinitionError(f"The timezone {name[:64]!r} is not known; {_zone_advice(name[:64].lower())}") from None


def _zone_advice(name: str) -> str:
    zones = _zone_names()
    if not zones:
        return "this machine has no time zone database: install tzdata, or use UTC"
    close = [zones[match] for match in get_close_matches(name, zones, 1)]
    return "expected an IANA name such as Europe/Berlin" + _did_you_mean(close)


@cache
def _zone_names() -> dict[str, str]:
    """IANA names by what one may type for them in lower case: all of it, or the place alone."""
    names = sorted(available_timezones())
    return {name.lower().rpartition("/")[2]: name for name in names} | {name.lower(): name for name in names}


def _did_you_mean(close: Sequence[str]) -> str:
    return f"; did you mean {close[0]}?" if close else ""


def _in_words(fields: Fields) -> str | None:
    days, rhythm = _days_in_words(fields), _rhythm_in_words(fields)
    if days == "daily" and rhythm:
        return rhythm
    if days is None or any(len(values) > 1 for values in (fields.seconds, fields.minutes, fields.hours)):
        return None
    clock = time(fields.hours[0], fields.minutes[0], fields.seconds[0])
    return f"{days} at {clock.isoformat('seconds' if clock.second else 'minutes')}"


def _rhythm_in_words(fields: Fields) -> str | None:
    """`every 5 minutes`, if the times are evenly spaced over the whole day and counted from midnight; else once in
    each hour, such as `hourly at minute 17`."""
    clock = (fields.seconds, fields.minutes, fields.hours)
    full = [len(values) == unit.count for values, unit in zip(clock, UNITS, strict=False)]
    for position, values in enumerate(clock):
        unit, step = UNITS[position], UNITS[position].count // len(values)
        even = len(values) > 1 and values == tuple(range(0, unit.count, step))
        if even and set(clock[:position]) <= {(0,)} and all(full[position + 1 :]):
            return f"every {unit.name}" if step == 1 else f"every {step} {unit.name}s"
    is_hourly = fields.every_hour and len(fields.minutes) == 1 and fields.seconds == (0,)
    return f"hourly at minute {fields.minutes[0]}" if is_hourly else None


def _days_in_words(fields: Fields) -> str | None:
    any_day, any_month, any_weekday = len(fields.days) == 31, len(fields.months) == 12, len(fields.weekdays) == 7
    if fields.either_day:
        return None
    if any_day and any_month:
        return "daily" if any_weekday else _weekdays_in_words(fields.weekdays)
    if len(fields.days) > 1 or not any_weekday:
        return None
    if any_month:
        return f"on day {fields.days[0]} of the month"
    return f"every {fields.days[0]} {MONTHS[fields.months[0] - 1]}" if len(fields.months) == 1 else None


def _weekdays_in_words(weekdays: tuple[int, ...]) -> str:
    if weekdays == (1, 2, 3, 4, 5):
        return "weekdays"
    *most, last = (f"{WEEKDAYS[day]}s" for day in sorted(weekdays, key=lambda day: day or 7))
    return f"{', '.join(most)} and {last}" if most else last
