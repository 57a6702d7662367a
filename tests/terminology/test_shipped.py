"""What comes with R4: everything is found by its URL, and no value set fails without a reason."""

import pytest

from fhir_server.outcome import Refusal
from fhir_server.terminology.shipped import shipped
from fhir_server.terminology.sources import Heading, Name
from tests.terminology.given import CTX, NO_STORE, codes, terminology

R4 = "http://hl7.org/fhir/ValueSet/"
V2 = "http://terminology.hl7.org/ValueSet/v2-"
V3 = "http://terminology.hl7.org/ValueSet/v3-"
ENGINE = terminology()


def test_each_type_has_its_resources_and_each_url_one() -> None:
    found = {type_: shipped().names(type_) for type_ in ("CodeSystem", "ValueSet", "ConceptMap")}
    assert {type_: len(names) for type_, names in found.items()} == {
        "CodeSystem": 1060,
        "ValueSet": 1311,
        "ConceptMap": 80,
    }
    assert not any("/example-" in name.url for names in found.values() for name in names)


def test_the_heading_of_a_shipped_resource_is_read_from_its_line() -> None:
    name = Name("CodeSystem", "http://hl7.org/fhir/administrative-gender")
    (held,) = shipped().locate(name)
    assert shipped().heading(held) == Heading(name.url, "4.0.1", "active", "complete")
    assert shipped().content(held).startswith(b'{"url":"http://hl7.org/fhir/administrative-gender"')
    assert shipped().locate(Name("ValueSet", name.url)) == ()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{R4}administrative-gender", ["male", "female", "other", "unknown"]),
        (f"{R4}yesnodontknow", ["N", "Y", "asked-unknown"]),
        (f"{V2}0136", ["N", "Y"]),
        (f"{V3}AdministrativeGender", ["F", "M", "UN"]),
    ],
)
async def test_official_value_sets_have_the_codes_of_the_standard(
    url: str, expected: list[str]
) -> None:
    assert await codes(ENGINE, url) == expected


async def test_a_filter_on_a_hierarchy_leaves_its_top_out_when_it_says_so() -> None:
    found = await codes(ENGINE, f"{R4}inactive")
    assert "_ActMoodPredicate" not in found
    assert {"CRT", "EXPEC", "GOL", "RSK", "OPT"} <= set(found)
    excluded = await codes(ENGINE, f"{R4}patient-contactrelationship")
    assert "O" not in excluded
    assert "E" in excluded


async def test_every_value_set_is_expanded_or_refused_with_what_is_missing() -> None:
    expanded, refused = 0, dict[str, int]()
    for name in shipped().names("ValueSet"):
        try:
            expansion = await ENGINE.expand(CTX, NO_STORE, name.url)
        except Refusal as refusal:
            (issue,) = refusal.issues
            assert "'" in issue.diagnostics
            refused[issue.code] = refused.get(issue.code, 0) + 1
        else:
            expanded += 1
            assert not expansion.unlisted
            assert expansion.total == sum(map(len, expansion.codes.values()))
    assert expanded == 1219
    # SNOMED CT and grammars; LOINC, ISO 3166 and others that have no CodeSystem in R4.
    assert refused == {"not-supported": 55, "not-found": 37}


async def test_every_code_system_has_a_hierarchy_without_circles() -> None:
    for name in shipped().names("CodeSystem"):
        index = await ENGINE.code_system(CTX, NO_STORE, name.url)
        if index.content != "supplement":
            assert index.hierarchy is index.relations


async def test_more_than_one_parent_of_a_v3_concept_is_known() -> None:
    system = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    index = await ENGINE.code_system(CTX, NO_STORE, system)
    several = [at for at in range(len(index)) if len(index.hierarchy.parents(at)) > 1]
    assert several
    for at in several:
        code = index.concepts[at].code
        for parent in index.hierarchy.parents(at):
            above = index.concepts[parent].code
            assert code in await ENGINE.descendants(CTX, NO_STORE, system, above)
            assert above in await ENGINE.ancestors(CTX, NO_STORE, system, code)


async def test_shipped_maps_translate_both_ways() -> None:
    map_ = "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v3"
    gender = "http://hl7.org/fhir/administrative-gender"
    (found,) = await ENGINE.translate(CTX, NO_STORE, map_, gender, "male")
    assert (found.code, found.matches) == ("M", True)
    (back,) = await ENGINE.translate(CTX, NO_STORE, map_, found.system, "M", reverse=True)
    assert (back.system, back.code) == (gender, "male")


async def test_what_is_shipped_can_be_read_as_a_resource() -> None:
    found = await ENGINE.find(CTX, NO_STORE, "ValueSet", f"{R4}administrative-gender|4.0.1")
    assert found is not None
    assert found["resourceType"] == "ValueSet"
    assert found["compose"] == {
        "include": [{"system": "http://hl7.org/fhir/administrative-gender"}]
    }
    assert await ENGINE.find(CTX, NO_STORE, "ValueSet", f"{R4}administrative-gender|3.0") is None
