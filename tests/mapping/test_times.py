"""Times of HL7 v2 in FHIR: their precision and their offset stay."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from fhir_server.mapping.times import fhir_time, fhir_time_of_day, later, span_of

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("2026", "dateTime", "2026"),
        ("202601", "dateTime", "2026-01"),
        ("20260105", "dateTime", "2026-01-05"),
        ("2026010508", "dateTime", "2026-01-05T08:00:00+01:00"),
        ("202601050815", "dateTime", "2026-01-05T08:15:00+01:00"),
        ("202607050815", "dateTime", "2026-07-05T08:15:00+02:00"),
        ("20260105081530.1234", "dateTime", "2026-01-05T08:15:30.1234+01:00"),
        ("20260105081530-0330", "dateTime", "2026-01-05T08:15:30-03:30"),
        ("20260105081530Z", "dateTime", "2026-01-05T08:15:30Z"),
        ("20260105081530", "date", "2026-01-05"),
        ("20260105", "instant", "2026-01-05T00:00:00+01:00"),
        ("202601", "instant", None),
        ("0000", "dateTime", None),
        ("20261301", "dateTime", None),
        ("20260230", "date", None),
        ("202601052515", "dateTime", None),
        ("yesterday", "dateTime", None),
        ("20260105081530+9900", "dateTime", None),
        ("", "dateTime", None),
    ],
)
def test_time(text: str, kind: str, expected: str | None) -> None:
    assert fhir_time(text, BERLIN, kind) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0815", "08:15:00"), ("081530", "08:15:30"), ("08:15", "08:15:00"),
     ("081530.5", "08:15:30.5"), ("2515", None), ("noon", None)],
)  # fmt: skip
def test_time_of_day(text: str, expected: str | None) -> None:
    assert fhir_time_of_day(text) == expected


@pytest.mark.parametrize(
    ("amount", "unit", "expected"),
    [
        ("30", "min", "2026-01-05T08:45:00+01:00"),
        ("30", "", "2026-01-05T08:45:00+01:00"),
        ("90", "s", "2026-01-05T08:16:30+01:00"),
        ("1", "d", "2026-01-06T08:15:00+01:00"),
        ("x", "min", ""),
        ("1", "parsec", ""),
        ("1e99", "d", ""),
    ],
)
def test_later(amount: str, unit: str, expected: str) -> None:
    assert later("202601050815", amount, unit, BERLIN) == expected


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026", "2026-01-01T00:00:00+00:00", "2027-01-01T23:59:59+00:00"),
        ("202602", "2026-02-01T00:00:00+00:00", "2026-03-03T23:59:59+00:00"),
        ("20260105", "2026-01-05T00:00:00+00:00", "2026-01-05T23:59:59+00:00"),
        ("202601051230", "2026-01-05T12:30:00+00:00", "2026-01-05T12:30:59+00:00"),
        ("20260105123015.5+0200", "2026-01-05T12:30:15+02:00", "2026-01-05T12:30:15+02:00"),
    ],
)
def test_a_time_may_mean_every_second_that_its_precision_leaves(
    text: str, first: str, last: str
) -> None:
    found = span_of(text, UTC)
    assert found is not None
    assert [each.isoformat() for each in found] == [first, last]


@pytest.mark.parametrize("text", ["", "soon", "20261305", "2026-01-05"])
def test_what_is_no_time_means_no_moment(text: str) -> None:
    assert span_of(text, UTC) is None
