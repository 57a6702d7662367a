from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.values import (
    EARLIEST,
    HIGHEST,
    LATEST,
    LOWEST,
    Instants,
    number_range,
    quantity_range,
    range_limits,
)

UTC_INSTANTS = Instants(ZoneInfo("UTC"))
BERLIN = Instants(ZoneInfo("Europe/Berlin"))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(text: str) -> int:
    """An instant written in full, by the standard library's own reading."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2015", "2015-01-01T00:00:00Z", "2016-01-01T00:00:00Z"),
        ("2015-02", "2015-02-01T00:00:00Z", "2015-03-01T00:00:00Z"),
        ("2015-12", "2015-12-01T00:00:00Z", "2016-01-01T00:00:00Z"),
        ("2016-02-29", "2016-02-29T00:00:00Z", "2016-03-01T00:00:00Z"),
        ("2015-02-07T13:28Z", "2015-02-07T13:28:00Z", "2015-02-07T13:29:00Z"),
        ("2015-02-07T13:28:17-05:00", "2015-02-07T18:28:17Z", "2015-02-07T18:28:18Z"),
        ("2015-02-07T13:28:17+05:45", "2015-02-07T07:43:17Z", "2015-02-07T07:43:18Z"),
        ("2015-02-07T13:28:17.2Z", "2015-02-07T13:28:17.200Z", "2015-02-07T13:28:17.300Z"),
        ("2015-02-07T13:28:17.239Z", "2015-02-07T13:28:17.239Z", "2015-02-07T13:28:17.240Z"),
        ("2015-02-07T13:28:17", "2015-02-07T13:28:17Z", "2015-02-07T13:28:18Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", "2017-01-01T00:00:01Z"),
        ("1969-12-31", "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_date_covers_what_its_precision_leaves_open(text: str, low: str, high: str) -> None:
    assert UTC_INSTANTS.of_text(text) == (micros(low), micros(high))


def test_more_digits_than_a_microsecond_cover_one_microsecond() -> None:
    low = micros("2015-02-07T13:28:17.123456Z")
    assert UTC_INSTANTS.of_text("2015-02-07T13:28:17.123456789Z") == (low, low + 1)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2015-07-01", "2015-07-01T00:00:00+02:00", "2015-07-02T00:00:00+02:00"),
        ("2015", "2015-01-01T00:00:00+01:00", "2016-01-01T00:00:00+01:00"),
        ("2015-03-29", "2015-03-29T00:00:00+01:00", "2015-03-30T00:00:00+02:00"),
        ("2015-10-25", "2015-10-25T00:00:00+02:00", "2015-10-26T00:00:00+01:00"),
        ("2015-07-01T10:00:00", "2015-07-01T10:00:00+02:00", "2015-07-01T10:00:01+02:00"),
        ("2015-07-01T10:00:00Z", "2015-07-01T10:00:00Z", "2015-07-01T10:00:01Z"),
    ],
)
def test_without_a_zone_the_configured_one_counts(text: str, low: str, high: str) -> None:
    assert BERLIN.of_text(text) == (micros(low), micros(high))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_the_first_and_last_year_have_ranges(zone: str) -> None:
    instants = Instants(ZoneInfo(zone))
    low, high = instants.of_text("0001")
    assert EARLIEST < low < high
    low, high = instants.of_text("9999")
    assert low < high < LATEST
    assert instants.of_text("9999-12-31")[1] == high


@pytest.mark.parametrize(
    "text",
    [
        *("", "15", "2015-13", "2015-02-30", "2015-1-1", "0000", "today", "٢٠١٥"),
        *("2015-02-07T13", "2015-02-07T25:00Z", "2015-02-07T13:60Z", "2015-02-07T13:28:61Z"),
        "2015-02-07T13:28:17+99:00",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        UTC_INSTANTS.of_text(text)


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31)))
def test_ranges_contain_their_instant_and_nest_by_precision(moment: datetime) -> None:
    text = moment.strftime("%Y").zfill(4) + moment.strftime("-%m-%dT%H:%M:%S.%f") + "Z"
    instant = (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    inner = (instant, instant + 1)
    for length in (27, 24, 23, 22, 19, 16, 10, 7, 4):
        shortened = text[: length - 1] + "Z" if length > 19 else text[:length]
        low, high = UTC_INSTANTS.of_text(shortened + ("Z" if length in (16, 19) else ""))
        assert low <= inner[0]
        assert inner[1] <= high
        inner = (low, high)


@pytest.mark.parametrize(
    ("period", "low", "high"),
    [
        (
            {"start": "2015", "end": "2015-06"},
            micros("2015-01-01T00:00Z"),
            micros("2015-07-01T00:00Z"),
        ),
        ({"start": "2015"}, micros("2015-01-01T00:00Z"), LATEST),
        ({"end": "2015"}, EARLIEST, micros("2016-01-01T00:00Z")),
    ],
)
def test_a_period_is_open_where_a_side_is_absent(
    period: dict[str, str], low: int, high: int
) -> None:
    assert UTC_INSTANTS.of_period(period) == (low, high)


def test_a_period_that_says_nothing_or_ends_before_it_starts_has_no_range() -> None:
    assert UTC_INSTANTS.of_period({}) is None
    assert UTC_INSTANTS.of_period({"start": "2016", "end": "2014"}) is None


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        (
            {"event": ["2015-03", "2014-05-01", None]},
            (micros("2014-05-01T00:00Z"), micros("2015-04-01T00:00Z")),
        ),
        (
            {"repeat": {"boundsPeriod": {"start": "2015", "end": "2015"}, "frequency": 2}},
            (micros("2015-01-01T00:00Z"), micros("2016-01-01T00:00Z")),
        ),
        (
            {"event": ["2020"], "repeat": {"boundsPeriod": {"start": "2015"}}},
            (micros("2015-01-01T00:00Z"), LATEST),
        ),
        ({"repeat": {"boundsDuration": {"value": 3}}}, None),
        ({"code": {"text": "BID"}}, None),
    ],
)
def test_a_timing_reaches_from_its_first_to_its_last_limit(
    timing: dict[str, Any], expected: tuple[int, int] | None
) -> None:
    assert UTC_INSTANTS.of_timing(timing) == expected


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (100, "99.5", "100.5"),
        (Decimal("100.00"), "99.995", "100.005"),
        (Decimal("1e2"), "95", "105"),
        ("1e2", "95", "105"),
        ("100", "99.5", "100.5"),
        (Decimal("0.8"), "0.75", "0.85"),
        (-3, "-3.5", "-2.5"),
        (0, "-0.5", "0.5"),
        ("5.40e-3", "0.005395", "0.005405"),
        (Decimal("1234567890123456789012345678.90"), "1234567890123456789012345678.895", None),
    ],
)
def test_a_number_covers_half_a_unit_of_its_last_digit(
    value: int | Decimal | str, low: str, high: str | None
) -> None:
    found = number_range(value)
    assert found[0] == Decimal(low)
    if high is not None:
        assert found[1] == Decimal(high)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_a_number_lies_in_its_range_and_another_digit_narrows_it(value: Decimal) -> None:
    low, high = number_range(value)
    assert low < value < high
    if value.as_tuple().exponent == -3:
        finer_low, finer_high = number_range(Decimal(f"{value}0"))
        assert low < finer_low < finer_high < high


@pytest.mark.parametrize("value", ["", "x", "1_000", " 1", "NaN", "1e", "1E+1001", "1E-1001", ".5"])
def test_what_is_no_number_or_too_large_to_index_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"is not a number|outside"):
        number_range(value)


def test_a_comparator_opens_the_range_of_a_quantity() -> None:
    five = Decimal(5)
    assert quantity_range({"value": 5}) == (five, five)
    assert quantity_range({"value": 5, "comparator": "<="}) == (LOWEST, five)
    assert quantity_range({"value": 5, "comparator": ">="}) == (five, HIGHEST)
    below = quantity_range({"value": 5, "comparator": "<"})
    above = quantity_range({"value": 5, "comparator": ">"})
    assert below is not None
    assert above is not None
    assert Decimal("4.999") < below[1] < five < above[0] < Decimal("5.001")
    assert quantity_range({"unit": "mg"}) is None


def test_a_range_is_open_where_a_side_is_absent() -> None:
    low, high = {"value": 1}, {"value": Decimal("2.0")}
    assert range_limits({"low": low, "high": high}) == (Decimal(1), Decimal(2))
    assert range_limits({"low": low}) == (Decimal(1), HIGHEST)
    assert range_limits({"high": high}) == (LOWEST, Decimal(2))
    assert range_limits({}) is None


@pytest.mark.parametrize(
    ("text", "periods"),
    [
        ("2024-02-29", ("2024", "2024-02")),
        ("2024-02", ("2024", "2024-02")),
        ("2024", ("2024",)),
        ("2024-12-31T23:30:00Z", ("2025", "2025-01")),
        ("2024-12-31T22:59:59Z", ("2024", "2024-12")),
        ("0999-12-31", ()),
        ("9999-06", ()),
    ],
)
def test_a_date_lies_within_its_year_and_month_of_the_configured_zone(
    text: str, periods: tuple[str, ...]
) -> None:
    instants = Instants(ZoneInfo("Europe/Berlin"))
    assert instants.within(instants.of_text(text)) == periods


def test_a_period_lies_within_the_year_or_month_that_holds_both_ends() -> None:
    instants = Instants(ZoneInfo("UTC"))
    ranges = {
        ("2024-03-01", "2024-03-31"): ("2024", "2024-03"),
        ("2024-03-01", "2024-04-01"): ("2024",),
        ("2024-12-31", "2025-01-01"): (),
    }
    for (start, end), periods in ranges.items():
        limits = instants.of_period({"start": start, "end": end})
        assert limits is not None
        assert instants.within(limits) == periods
    open_ended = instants.of_period({"start": "2024-03-01"})
    assert open_ended is not None
    assert instants.within(open_ended) == ()
