"""Dates, times and both together, exact to the precision they were given with (N1 section 4.1)."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

# Parts in order: year, month, day, hour, minute, second; a time begins with the hour. Seconds and
# their fraction are one part, as N1 compares them.
Part = int | Decimal

_DATE = r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?"
_TIME = r"(\d{2})(?::(\d{2})(?::(\d{2}(?:\.\d+)?))?)?"
_ZONE = r"(Z|[+-]\d{2}:\d{2})"
_DATE_TEXT = re.compile(_DATE, re.ASCII).fullmatch
_TIME_TEXT = re.compile(_TIME, re.ASCII).fullmatch
_DATE_TIME_TEXT = re.compile(rf"{_DATE}(?:T(?:{_TIME}{_ZONE}?)?)?", re.ASCII).fullmatch

_MINUTES_A_DAY = 24 * 60
# A local time without offset is this many minutes or less away from UTC.
_WIDEST_OFFSET = 14 * 60


@dataclass(frozen=True, slots=True, repr=False)
class Temporal:
    """A point in time known to some precision; what is not known is not there.

    parts: as many as are known.
    offset: minutes east of UTC, or None.
    """

    parts: tuple[Part, ...]
    offset: int | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def in_utc(self) -> tuple[Part, ...]:
        """The parts, shifted to UTC if there is an offset."""
        return self.parts if not self.offset or len(self.parts) <= 3 else _utc(self)


class FhirDate(Temporal):
    """A date: a year, a month or a day."""

    __slots__ = ()

    def __str__(self) -> str:
        return _date_text(self.parts)


class FhirDateTime(Temporal):
    """A date, with a time if it has more than three parts."""

    __slots__ = ()

    def __str__(self) -> str:
        date = _date_text(self.parts[:3])
        if len(self.parts) <= 3:
            return date
        return f"{date}T{_time_text(self.parts[3:])}{_zone_text(self.offset)}"


class FhirTime(Temporal):
    """A time of day."""

    __slots__ = ()

    def __str__(self) -> str:
        return _time_text(self.parts)


Kind = TypeVar("Kind", bound=Temporal)


@lru_cache(maxsize=4096)
def parse_date(text: str) -> FhirDate | None:
    """The date that `text` is, or None."""
    match = _DATE_TEXT(text)
    parts = _parts(match) if match else None
    return FhirDate(parts) if parts else None


@lru_cache(maxsize=4096)
def parse_time(text: str) -> FhirTime | None:
    """The time that `text` is, or None."""
    match = _TIME_TEXT(text)
    if match is None:
        return None
    parts = _time_parts(match.groups())
    return FhirTime(parts) if _is_time(parts) else None


@lru_cache(maxsize=4096)
def parse_date_time(text: str) -> FhirDateTime | None:
    """The date and time that `text` is, or None; a lone date is one too, with or without a `T`."""
    match = _DATE_TIME_TEXT(text)
    parts = _parts(match) if match else None
    if match is None or parts is None:
        return None
    times = _time_parts(match.groups()[3:6])
    if times and (len(parts) < 3 or not _is_time(times)):
        return None
    zone = match.group(7)
    offset = _offset(zone) if zone else None
    if offset is not None and abs(offset) > _WIDEST_OFFSET:
        return None
    return FhirDateTime(parts + times, offset)


def compare(left: Temporal, right: Temporal) -> int | None:
    """-1, 0 or 1; None if precision or a missing offset leaves it open (N1 section 6.2)."""
    ours, theirs = left.parts, right.parts
    if left.offset != right.offset and len(ours) > 3 and len(theirs) > 3:
        if left.offset is None or right.offset is None:
            return _compare_one_zoned(left, right)
        ours, theirs = _utc(left), _utc(right)
    return _compare_parts(ours, theirs)


def _compare_parts(ours: tuple[Part, ...], theirs: tuple[Part, ...]) -> int | None:
    for our, their in zip(ours, theirs, strict=False):
        if our != their:
            return -1 if our < their else 1
    return 0 if len(ours) == len(theirs) else None


def _compare_one_zoned(left: Temporal, right: Temporal) -> int | None:
    apart = _minutes(left) - _minutes(right)
    if abs(apart) <= _WIDEST_OFFSET + 1:
        return None
    return -1 if apart < 0 else 1


def _minutes(value: Temporal) -> int:
    """Minutes since the first of January 1, in UTC if an offset is known; without seconds."""
    year, month, day, hour, minute, *_ = (*value.parts, 0, 0)
    days = date(int(year), int(month), int(day)).toordinal()
    return days * _MINUTES_A_DAY + int(hour) * 60 + int(minute) - (value.offset or 0)


def _utc(value: Temporal) -> tuple[Part, ...]:
    """The parts shifted to UTC; an hour without minutes keeps its precision."""
    days, minutes = divmod(_minutes(value), _MINUTES_A_DAY)
    if not 1 <= days <= date.max.toordinal():
        return (0 if days < 1 else 10_000,)
    day = date.fromordinal(days)
    shifted = (day.year, day.month, day.day, minutes // 60, minutes % 60)
    return (*shifted, *value.parts[5:]) if len(value.parts) > 4 else shifted[:4]


def _parts(match: re.Match[str]) -> tuple[Part, ...] | None:
    parts = tuple(int(digits) for digits in match.groups()[:3] if digits is not None)
    year, month, day = (*parts, 1, 1)[:3]
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= monthrange(year, month)[1]:
        return None
    return parts


def _time_parts(groups: tuple[str | None, ...]) -> tuple[Part, ...]:
    hour, minute, second = groups[:3]
    found = [int(digits) for digits in (hour, minute) if digits is not None]
    return (*found, Decimal(second)) if second is not None else tuple(found)


def _is_time(parts: tuple[Part, ...]) -> bool:
    # 60 is a leap second.
    return all(part < limit for part, limit in zip(parts, (24, 60, 61), strict=False))


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes


def _date_text(parts: tuple[Part, ...]) -> str:
    return "-".join(f"{part:0{width}d}" for part, width in zip(parts, (4, 2, 2), strict=False))


def _time_text(parts: tuple[Part, ...]) -> str:
    texts = [f"{part:02d}" for part in parts[:2]]
    if len(parts) > 2:
        whole, dot, fraction = str(parts[2]).partition(".")
        texts.append(whole.zfill(2) + dot + fraction)
    return ":".join(texts)


def _zone_text(offset: int | None) -> str:
    if offset is None:
        return ""
    if offset == 0:
        return "Z"
    sign = "-" if offset < 0 else "+"
    return f"{sign}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
