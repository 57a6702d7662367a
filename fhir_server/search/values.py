"""Dates and numbers as the ranges they stand for (R4 search.html#date, #number)."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

DateRange = tuple[int, int]
NumberRange = tuple[Decimal, Decimal]

# Ends of what is open-ended: beyond every date (year 9999 is below 2**58) and every indexed number.
EARLIEST = -(2**62)
LATEST = 2**62
LOWEST = Decimal("-1E+1000")
HIGHEST = Decimal("1E+1000")

_DATE_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)"
    r"(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1)
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_DAY = 24 * 60 * _MINUTE
_QUARTER = 15 * _MINUTE
# Years 1000 to 9998, whose neighbours the calendar knows too.
_FIRST = -30_610_224_000 * _SECOND
_LAST = 253_370_764_800 * _SECOND
_HALF = Decimal("0.5")
# What `<5` is below 5 at least.
_LEAST = Decimal("1E-30")
_EXACT = Context(prec=2500)
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,6})?")
_HALF_STEP = {exponent: _HALF.scaleb(exponent) for exponent in range(-12, 1)}


class Instants:
    """Turns FHIR dates and times into UTC ranges of microseconds since 1970, end excluded.

    zone: of values that name none. A range covers everything its text can mean: `2015-02` the
    month, `…:17.5Z` a tenth of a second.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._of_date = lru_cache(16_384)(self._parse)
        self._month_of = lru_cache(16_384)(self._calendar)

    def of_text(self, text: str) -> DateRange:
        """The range of a date, dateTime or instant, or of a search value with minutes only.

        Raises `ValueError` for text that is none of these, or is no day of the calendar.
        """
        return self._of_date(text) if len(text) <= 10 else self._parse(text)

    def of_period(self, period: dict[str, Any]) -> DateRange | None:
        """The range of a Period; an absent side is open; None if both are absent."""
        start, end = period.get("start"), period.get("end")
        if start is None and end is None:
            return None
        low = EARLIEST if start is None else self.of_text(start)[0]
        high = LATEST if end is None else self.of_text(end)[1]
        return (low, high) if low < high else None

    def of_timing(self, timing: dict[str, Any]) -> DateRange | None:
        """The outer limits of a Timing's events and bounds; None if it names no date."""
        ranges = [self.of_text(event) for event in timing.get("event", ()) if event is not None]
        bounds = timing.get("repeat", {}).get("boundsPeriod")
        if bounds is not None and (limits := self.of_period(bounds)) is not None:
            ranges.append(limits)
        if not ranges:
            return None
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def within(self, limits: DateRange) -> tuple[str, ...]:
        """The year and the month, as texts, that a range lies in as a whole."""
        low, high = limits
        if not _FIRST <= low <= high <= _LAST:
            return ()
        year, year_end, month, month_end = self._month_of(low // _QUARTER)
        if high <= month_end:
            return year, month
        return (year,) if high <= year_end else ()

    def _calendar(self, quarter: int) -> tuple[str, int, str, int]:
        # No zone changes its clocks but at a quarter of an hour.
        local = datetime.fromtimestamp(quarter * _QUARTER // _SECOND, self._zone)
        year, month = f"{local.year:04d}", f"{local.year:04d}-{local.month:02d}"
        return year, self.of_text(year)[1], month, self.of_text(month)[1]

    def _parse(self, text: str) -> DateRange:
        match = _DATE_TIME.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a FHIR date or dateTime")
        year, month, day, hour, minute, second, fraction, zone = match.groups()
        if hour is None:
            first, last = _days(int(year), month, day)
            return self._utc(first, None), self._end_of_day(last)
        clock = datetime(int(year), int(month), int(day), int(hour), int(minute))
        after, precision = _seconds(second, fraction)
        low = self._utc(clock, zone) + after
        return low, low + precision

    def _end_of_day(self, day: datetime) -> int:
        # A day on which clocks change has 23 or 25 hours; after 9999-12-31 there is no next day.
        if day.toordinal() == date.max.toordinal():
            return self._utc(day, None) + _DAY
        return self._utc(day + timedelta(days=1), None)

    def _utc(self, local: datetime, zone: str | None) -> int:
        offset = (_offset(zone) if zone else self._zone).utcoffset(local) or timedelta()
        since = local - _EPOCH - offset
        return since.days * _DAY + since.seconds * _SECOND + since.microseconds


def _days(year: int, month: str | None, day: str | None) -> tuple[datetime, datetime]:
    if month is None:
        return datetime(year, 1, 1), datetime(year, 12, 31)
    if day is None:
        last = monthrange(year, int(month))[1]
        return datetime(year, int(month), 1), datetime(year, int(month), last)
    only = datetime(year, int(month), int(day))
    return only, only


def _seconds(second: str | None, fraction: str | None) -> tuple[int, int]:
    # Second 60 exists: a leap second lies at the start of the minute that follows.
    if second is None:
        return 0, _MINUTE
    start = int(second) * _SECOND
    if start > _MINUTE:
        raise ValueError(f"There is no second {second}")
    if fraction is None:
        return start, _SECOND
    digits = fraction[:6]
    precision = 10 ** (6 - len(digits))
    return start + int(digits) * precision, precision


@lru_cache(256)
def _offset(zone: str) -> tzinfo:
    if zone == "Z":
        return UTC
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if minutes > 59:
        raise ValueError(f"There is no time zone {zone!r}")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if zone[0] == "-" else offset)


def number_range(value: int | Decimal | str) -> NumberRange:
    """What a number can mean at the precision it is written with: half a unit of its last digit.

    `100` is [99.5, 100.5), `100.00` is [99.995, 100.005), and `1e2` is [95, 105), as R4
    search.html#number shows: a mantissa before an exponent counts one digit more than it has.
    Raises `ValueError` for text that is no number, and for what the index cannot hold: beyond
    `HIGHEST`, or with over 1,000 decimals.
    """
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError(f"{value!r} is not a number")
    number, exponent = _searchable(value)
    if exponent > 0:
        exponent -= 1
    half = _HALF_STEP.get(exponent) or _HALF.scaleb(exponent)
    return _EXACT.subtract(number, half), _EXACT.add(number, half)


def exact_number(value: int | Decimal) -> NumberRange:
    """A stored number as a range of one: the precision of a search decides, not its own.

    R4 search.html#number: with 5.4 stored, `gt5.4` finds nothing, `gt5` and `5.40` find it.
    Raises `ValueError` for what the index cannot hold.
    """
    number, _ = _searchable(value)
    return number, number


def _searchable(value: int | Decimal | str) -> tuple[Decimal, int]:
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -1000 or abs(number) >= HIGHEST:
        raise ValueError(f"{value} is outside of what can be searched")
    return number, exponent


def quantity_range(quantity: dict[str, Any]) -> NumberRange | None:
    """The value of a Quantity, opened by its comparator; None if it has no value."""
    value = quantity.get("value")
    if value is None:
        return None
    number, _ = exact_number(value)
    match quantity.get("comparator"):
        case "<":
            return LOWEST, _EXACT.subtract(number, _LEAST)
        case "<=":
            return LOWEST, number
        case ">":
            return _EXACT.add(number, _LEAST), HIGHEST
        case ">=":
            return number, HIGHEST
    return number, number


def range_limits(value: dict[str, Any]) -> NumberRange | None:
    """The limits of a Range; an absent side is open; None if both are absent."""
    low = quantity_range(value.get("low") or {})
    high = quantity_range(value.get("high") or {})
    if low is None and high is None:
        return None
    return (low[0] if low else LOWEST), (high[1] if high else HIGHEST)
