"""From tags to the elements of an ImagingStudy: what is taken, and what is left out."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.dicom.facts import study_facts
from fhir_server.dicom.mapping import Place, clean, codes, imaging_study, person_name, rows
from fhir_server.spec import definitions
from fhir_server.validation.structure import StructureCheck

PLACE = Place(ZoneInfo("Europe/Berlin"), lambda issuer: "" if issuer else "urn:numbers")
TAGS: dict[str, Any] = {
    "0008,0016": "1.2.840.10008.5.1.4.1.1.2",
    "0008,0018": "1.2.3.1",
    "0008,0020": "20260701",
    "0008,0030": "101112.123",
    "0008,0050": "A1",
    "0008,0060": "CT",
    "0020,000d": "1.2.3",
    "0020,000e": "1.2.3.9",
}
CHECK = StructureCheck(definitions())


def study(*instances: dict[str, Any]) -> dict[str, Any]:
    """The elements that some instances make."""
    tags = [TAGS | {"0008,0018": f"1.2.3.{n}"} | each for n, each in enumerate(instances, 1)]
    return imaging_study(study_facts("1.2.3", tags), PLACE)


def test_the_tables_name_elements_that_there_are() -> None:
    whole = imaging_study(study_facts("1.2.3", [TAGS]), PLACE)
    whole |= {"status": "available", "subject": {"display": "somebody"}}
    assert CHECK.check(whole).issues == ()
    assert {row.element for row in rows().study} >= {"started", "description"}
    assert "SR" not in codes().acquisition_modalities


def test_only_what_acquires_is_a_modality_of_the_study() -> None:
    found = study({}, {"0008,0060": "SR", "0020,000e": "1.2.3.8"})
    assert [each["code"] for each in found["modality"]] == ["CT"]
    assert {each["modality"]["code"] for each in found["series"]} == {"CT", "SR"}


@pytest.mark.parametrize(
    ("date", "time", "zone", "expected"),
    [
        ("20260701", "101112.123", "", "2026-07-01T10:11:12+02:00"),
        ("20260101", "101112", "", "2026-01-01T10:11:12+01:00"),
        ("20260701", "101112", "-0400", "2026-07-01T10:11:12-04:00"),
        ("20260701", "101112", "nonsense", "2026-07-01T10:11:12+02:00"),
        ("20260701", "1011", "", "2026-07-01"),
        ("20260701", "", "", "2026-07-01"),
        ("20260231", "101112", "", None),
        ("2026.07.01", "101112", "", None),
        ("", "101112", "", None),
    ],
)
def test_a_time_is_as_exact_as_it_is_known(
    date: str, time: str, zone: str, expected: str | None
) -> None:
    found = study({"0008,0020": date, "0008,0030": time, "0008,0201": zone})
    assert found.get("started") == expected


def test_instances_stand_in_the_order_of_their_numbers() -> None:
    found = study({"0020,0013": "10"}, {"0020,0013": "2"}, {"0020,0013": "-1"})
    (series,) = found["series"]
    assert [each.get("number") for each in series["instance"]] == [2, 10, None]
    assert (found["numberOfSeries"], found["numberOfInstances"]) == (1, 3)


def test_a_number_of_nobody_known_tells_who_gave_it() -> None:
    issuer = [{"0040,0031": "RIS9"}]
    found = study({"0008,0051": issuer}, {})
    assert [
        (each["value"], each.get("system"), each.get("assigner"))
        for each in found["identifier"][1:]
    ] == [("A1", "urn:numbers", None), ("A1", None, {"display": "RIS9"})]


def test_codes_of_known_schemes_are_codings_and_others_text() -> None:
    known = {"0008,0100": "24627-2", "0008,0102": "LN", "0008,0104": "CT Chest"}
    local = {"0008,0100": "X9", "0008,0102": "99LOCAL"}
    found = study({"0008,1032": [known, local]})
    assert found["procedureCode"] == [
        {"text": "CT Chest", "coding": [{"system": "http://loinc.org", "code": "24627-2"}]},
        {"text": "99LOCAL X9"},
    ]


def test_a_coded_body_part_outweighs_a_named_one_and_a_reason_may_be_text() -> None:
    region = {"0008,0100": "12738006", "0008,0102": "SCT", "0008,0104": "Brain"}
    found = study({"0008,2218": [region], "0018,0015": "HEAD", "0040,1002": "Headache"})
    site = {"system": "http://snomed.info/sct", "code": "12738006", "display": "Brain"}
    assert found["series"][0]["bodySite"] == site
    assert found["reasonCode"] == [{"text": "Headache"}]
    retired = region | {"0008,0100": "T-A0100", "0008,0102": "SRT"}
    found = study({"0008,2218": [retired], "0018,0015": "HEAD"})
    assert found["series"][0]["bodySite"]["code"] == "69536005"


def test_a_body_part_without_a_code_stays_as_text() -> None:
    found = study({"0018,0015": "LEFT TOE"})
    assert found["series"][0]["bodySite"] == {"display": "LEFT TOE"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Doe^Jane^Q^Dr.^MD", "Dr. Jane Q Doe MD"),
        ("Yamada^Tarou=山田^太郎", "Tarou Yamada"),
        ("Doe", "Doe"),
        ("^^^^", ""),
        ("A^B^C^D^E^F", "D B C A E"),
    ],
)
def test_a_name_is_written_as_people_read_it(given: str, expected: str) -> None:
    assert person_name(given) == expected


_VALUES = st.one_of(
    st.none(),
    st.text(max_size=70),
    st.lists(st.dictionaries(st.sampled_from(["0008,0100", "0008,0050"]), st.text()), max_size=3),
)
_ALL = sorted(
    {row.tag for table in (rows().study, rows().series, rows().instance) for row in table}
)


@given(st.dictionaries(st.sampled_from([*_ALL, *TAGS, "0008,0051", "0040,0275"]), _VALUES))
def test_whatever_tags_say_the_study_is_well_formed(tags: dict[str, Any]) -> None:
    """Hazard: corrupted files; nothing that FHIR does not take comes of them."""
    found = imaging_study(study_facts("1.2.3", [TAGS | tags, TAGS]), PLACE)
    found |= {"status": "available", "subject": {"display": "somebody"}}
    assert [issue.diagnostics for issue in CHECK.check(found).issues] == []


@given(st.text())
def test_clean_text_has_nothing_that_cannot_be_printed(text: str) -> None:
    found = clean(text)
    assert found.isprintable()
    assert found == found.strip()
