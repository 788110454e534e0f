"""The five fields of a crontab entry, as cron understands them, to an expression as a workflow has it.

The two agree nearly everywhere. Where they do not, the expression says what cron does.
"""

import re
from difflib import get_close_matches
from typing import NamedTuple
from zlib import crc32

from cdktr.cron import UNITS, WEEKDAYS, Schedule, Unit
from cdktr.errors import DefinitionError

#: Those that cron knows; `@reboot` is no time.
SHORTHANDS = frozenset("@yearly @annually @monthly @weekly @daily @midnight @hourly".split())

_SPAN = re.compile(r"(?P<star>\*)|(?P<low>\w+)(?:-(?P<high>\w+))?")
_RANDOM = re.compile(r"(\d*)~(\d*)")


class Times(NamedTuple):
    """When cron runs an entry."""

    #: As `cron` in a workflow has it.
    expression: str
    #: Not None: only on these of the days that the expression names, 0 is Sunday.
    weekdays: tuple[int, ...] | None = None
    #: What was chosen, of values that cron would choose at random.
    chosen: str = ""


def times(fields: str, timezone: str) -> Times:
    """What `fields`, five of them or a shorthand, mean. Raises DefinitionError for what cron would never run."""
    if fields.startswith("@"):
        if fields not in SHORTHANDS:
            close = get_close_matches(fields.lower(), [*SHORTHANDS, "@reboot"], 1)
            advice = f"did you mean {close[0]}?" if close else f"it has {' '.join(sorted(SHORTHANDS))}"
            raise DefinitionError(f"cron knows no {fields!r}; {advice}")
        found = Times(fields)
    else:
        found = _five(fields.split())
    Schedule.parse(found.expression, timezone)
    return found


def _five(given: list[str]) -> Times:
    texts, chosen = [], []
    for unit, text in zip(UNITS[1:], given, strict=True):
        try:
            texts.append(_field(unit, text, " ".join(given)))
        except ValueError as error:
            raise DefinitionError(f"in the {unit.name} field {text!r}, {error}") from None
        if "~" in text:
            chosen.append(f"{texts[-1]} for {text}")
    texts[2], texts[4], weekdays = _days(texts[2], texts[4], given[2], given[4])
    return Times(" ".join(texts), weekdays, ", ".join(chosen))


def _field(unit: Unit, text: str, seed: str) -> str:
    """A field as a workflow has it. Raises ValueError."""
    return ",".join(_item(unit, item, seed) for item in text.split(","))


def _item(unit: Unit, item: str, seed: str) -> str:
    if drawn := _RANDOM.fullmatch(item):
        low, high = int(drawn[1] or unit.first), int(drawn[2] or unit.first + unit.count - 1)
        if not unit.first <= low <= high <= unit.last:
            raise ValueError(f"{item!r} is no range; expected {unit.expected}")
        # Not at random: another import of the same line has to say the same.
        return str(low + crc32(seed.encode()) % (high - low + 1))
    span, slash, step = item.partition("/")
    match = _SPAN.fullmatch(span)
    if match is None or (slash and not (match["star"] or match["high"])):
        raise ValueError(f"cron does not know {item!r}; expected {unit.expected}, ranges, and steps as in */2")
    if match["high"] and _number(unit, match["low"]) > _number(unit, match["high"]):
        raise ValueError(f"the range {span!r} ends before it begins, and cron runs it never")
    if step.isascii() and step.isdigit() and len(step) < 10 and int(step) > unit.count:
        # Longer than the range is: its first value is the only one.
        return match["low"] or str(unit.first)
    unit.values(item)
    return item


def _number(unit: Unit, text: str) -> int:
    if text.upper() in unit.names:
        return unit.first + unit.names.index(text.upper())
    # For its error.
    unit.values(text)
    return int(text)


def _days(day: str, weekday: str, given_day: str, given_weekday: str) -> tuple[str, str, tuple[int, ...] | None]:
    """The two fields of days, so that a workflow has the days that cron has.

    To cron a field is a star if it begins with one, whatever follows; unless one of both is, either is enough.
    """
    days, weekdays = UNITS[3].values(day), UNITS[5].values(weekday)
    every_day, every_weekday = len(days) == UNITS[3].count, len(weekdays) == UNITS[5].count
    if not (given_day.startswith("*") or given_weekday.startswith("*")):
        return ("*", "*", None) if every_day or every_weekday else (day, weekday, None)
    if every_day or every_weekday:
        return "*" if every_day else day, "*" if every_weekday else weekday, None
    return day, "*", weekdays


def day_test(weekdays: tuple[int, ...], timezone: str) -> str:
    """A line of a shell script that ends it on other days than these."""
    return f"case $(TZ={timezone} date +%w) in {'|'.join(map(str, weekdays))}) ;; *) exit 0 ;; esac"


def day_names(weekdays: tuple[int, ...]) -> str:
    """Weekdays for people."""
    return ", ".join(WEEKDAYS[number] for number in weekdays)
