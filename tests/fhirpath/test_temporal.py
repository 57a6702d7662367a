from decimal import Decimal

import pytest

from fhir_server import fhirpath
from fhir_server.fhirpath.temporal import compare, parse_date, parse_date_time, parse_time
from fhir_server.fhirpath.temporal_arithmetic import add


@pytest.mark.parametrize(
    "text", ["2015", "2015-02", "2015-02-28", "2015-02-28T14", "2015-02-28T14:34:28.120+10:00"]
)
def test_text_and_precision_survive(text: str) -> None:
    assert str(parse_date_time(text)) == text


@pytest.mark.parametrize(
    "text",
    ["2015-13", "2015-02-30", "0000", "2015-02T10:00", "2015-02-28T25", "2015-02-28T10:00+15:00"],
)
def test_dates_that_do_not_exist_are_none(text: str) -> None:
    assert parse_date_time(text) is None


def test_times_are_checked_too() -> None:
    assert str(parse_time("14:34:28.123")) == "14:34:28.123"
    assert parse_time("24:00") is None
    assert parse_date("2015-02-28T10:00") is None


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("2018-03", "2018-03-01", None),
        ("2018-03", "2018-04-01", -1),
        ("2018-03-01T10:30", "2018-03-01T10:30:00", None),
        ("2018-03-01T10:30:00", "2018-03-01T10:30:00.0", 0),
        ("2017-11-05T01:30:00.0-04:00", "2017-11-05T00:30:00.0-05:00", 0),
        ("2017-11-05T01:30:00-04:00", "2017-11-05T01:15:00-05:00", -1),
        ("2012-04-15T15:00:00Z", "2012-04-15T10:00:00", None),
        ("2012-04-15T15:00:00Z", "2012-04-17T10:00:00", -1),
        ("0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", -1),
    ],
)
def test_comparison_is_open_where_precision_or_offset_leave_it_open(
    left: str, right: str, order: int | None
) -> None:
    ours, theirs = parse_date_time(left), parse_date_time(right)
    assert ours is not None
    assert theirs is not None
    assert compare(ours, theirs) == order
    assert compare(theirs, ours) == (None if order is None else -order)


@pytest.mark.parametrize(
    ("text", "amount", "unit", "expected"),
    [
        ("2015-01-31", "1", "month", "2015-02-28"),
        ("2016-02-29", "1", "year", "2017-02-28"),
        ("2015-12-25", "7.7", "day", "2016-01-01"),
        ("2015-01-01", "-1", "day", "2014-12-31"),
        ("2015", "24", "month", "2017"),
        ("2015", "364", "day", "2015"),
        ("2015", "365", "day", "2016"),
        ("2015-01", "60", "day", "2015-03"),
        ("2015-01-31", "23", "hour", "2015-01-31"),
        ("2015-01-31", "24", "hour", "2015-02-01"),
        ("2015-01-31T23:59:59.5+10:00", "1", "second", "2015-02-01T00:00:00.5+10:00"),
        ("2015-01-31T00:00:00", "10", "millisecond", "2015-01-31T00:00:00.01"),
        ("2015-01-31T00:00:00", "-0.5", "second", "2015-01-30T23:59:59.5"),
        ("2015-01-01", "2", "week", "2015-01-15"),
        ("9999-12-31", "1", "day", None),
        ("0001-01", "-1", "month", None),
    ],
)
def test_durations_are_added(text: str, amount: str, unit: str, expected: str | None) -> None:
    value = parse_date_time(text)
    assert value is not None
    later = add(value, Decimal(amount), unit)
    assert (None if later is None else str(later)) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("@T23:30 + 1 hour", "00:30"),
        ("@T00:00:00 - 1 second", "23:59:59"),
        ("@2015-01-01 + 1 'd'", "2015-01-02"),
        ("@2015-01-01 - 1 'month'", "2014-12-01"),
    ],
)
def test_operators_take_durations(source: str, expected: str) -> None:
    assert fhirpath.compile(f"({source}).toString()").evaluate(None) == [expected]


@pytest.mark.parametrize(
    "source", ["@2015 + 1 'mo'", "@2015 + 1 'cm'", "@2015 + 1", "@T10 + 1 day", "1 day + @2015"]
)
def test_what_is_no_duration_is_refused(source: str) -> None:
    with pytest.raises(fhirpath.FhirPathEvaluationError):
        fhirpath.compile(source).evaluate(None)
