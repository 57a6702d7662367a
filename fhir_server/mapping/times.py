"""HL7 v2 dates and times as FHIR has them (HL7 v2 2A.3.22, R4 datatypes.html#dateTime)."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

_V2 = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?"
    r"\s*([+-](?:0\d|1[0-4])[0-5]\d|Z)?"
)
_V2_TIME = re.compile(r"(\d\d):?(\d\d)(?::?(\d\d)(?:\.(\d+))?)?(?:[+-]\d{4})?")
_UNITS = {
    "s": 1, "sec": 1, "second": 1, "seconds": 1, "min": 60, "m": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400,
    "wk": 604800, "week": 604800, "weeks": 604800,
}  # fmt: skip


# How long what is told by so many digits lasts at most, but for its last second.
_LENGTHS = {
    digits: timedelta(seconds=seconds - 1)
    for digits, seconds in ((4, 366 * 86400), (6, 31 * 86400), (8, 86400), (10, 3600), (12, 60),
                            (14, 1))
}  # fmt: skip
_STARTS = "00000101000000"


# Times of a message are told again and again: of the report, of each of its observations.
@lru_cache(maxsize=4096)
def fhir_time(text: str, zone: tzinfo, kind: str) -> str | None:
    """A v2 time as a FHIR `date`, `dateTime` or `instant`; None for what is no time.

    The precision stays, except that FHIR has no hours without minutes and seconds. A time
    without an offset is one of the zone.
    """
    match = _V2.fullmatch(text.strip())
    if match is None or match[1] == "0000":
        return None
    year, month, day, hour = match[1], match[2], match[3], match[4]
    if kind == "date" or hour is None:
        date = "-".join(each for each in (year, month, day) if each)
        if kind == "instant" and day is None:
            return None
        if not _is_date(year, month or "01", day or "01"):
            return None
        if kind != "instant":
            return date
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(match[5] or 0), int(match[6] or 0)
        )
    except ValueError:
        return None
    fraction = f".{match[7]}" if match[7] else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".zfill(19) + fraction + _offset(match[8], moment, zone)


def span_of(text: str, zone: tzinfo) -> tuple[datetime, datetime] | None:
    """The first second that a v2 time may mean, and the last; None for what is no time."""
    match = _V2.fullmatch(text.strip())
    if match is None:
        return None
    digits = "".join(each or "" for each in match.groups()[:6])
    start = fhir_time(digits + _STARTS[len(digits) :] + (match[8] or ""), zone, "instant")
    moment = moment_of(start) if start else None
    return (moment, moment + _LENGTHS[len(digits)]) if moment else None


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        datetime(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _offset(given: str | None, moment: datetime, zone: tzinfo) -> str:
    if given and given != "Z":
        return f"{given[:3]}:{given[3:]}"
    if given == "Z":
        return "Z"
    offset = moment.replace(tzinfo=zone).utcoffset() or timedelta()
    minutes = round(offset.total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return "{}{:02}:{:02}".format(sign, *divmod(abs(minutes), 60))


def fhir_time_of_day(text: str) -> str | None:
    """A v2 TM as a FHIR `time`; None for what is none."""
    match = _V2_TIME.fullmatch(text.strip())
    if match is None or int(match[1]) > 23 or int(match[2]) > 59 or int(match[3] or 0) > 59:
        return None
    fraction = f".{match[4]}" if match[4] else ""
    return f"{match[1]}:{match[2]}:{match[3] or '00'}{fraction}"


def moment_of(text: str) -> datetime | None:
    """A FHIR dateTime with a time as a moment, to compare it; None if it has none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def seconds_of(amount: str, unit: str) -> float | None:
    """A duration in seconds; without a unit it is one in minutes. None for what is none."""
    size = _UNITS.get(unit.lower() or "min")
    try:
        return float(amount) * size if size else None
    except ValueError:
        return None


def later(text: str, amount: str, unit: str, zone: tzinfo) -> str:
    """A v2 time and some seconds, minutes, hours or days more, as a FHIR dateTime; else empty."""
    start = fhir_time(text, zone, "instant")
    seconds = seconds_of(amount, unit)
    moment = moment_of(start) if start else None
    if moment is None or seconds is None:
        return ""
    try:
        return (moment + timedelta(seconds=seconds)).isoformat()
    except (OverflowError, ValueError):
        return ""
