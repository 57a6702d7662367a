from typing import Any

import pytest

from fhir_server.validation.structure import StructureCheck


def observation(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "pulse"},
        **elements,
    }


@pytest.mark.parametrize(
    "literal",
    [
        "Patient/1",
        "Patient/1/_history/2",
        "http://example.org/fhir/Patient/1",
        "https://example.org/anything",
        "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
        "urn:oid:1.2.3",
        "Patient?identifier=urn:sys|1",
        "#",
        "#p",
    ],
)
def test_literal_reference_is_taken_and_gathered(structure: StructureCheck, literal: str) -> None:
    subject = {"reference": literal}
    checked = structure.check(
        observation(subject=subject, contained=[{"resourceType": "Patient", "id": "p"}])
    )
    assert checked.issues == ()
    assert len(checked.references) == 1
    assert checked.references[0] is subject


@pytest.mark.parametrize(
    ("literal", "part"),
    [
        ("Patient", "Expected Type/id"),
        ("Patient/", "Expected Type/id"),
        ("Patient/a_b", "Expected Type/id"),
        ("Patient/" + "x" * 65, "Expected Type/id"),
        ("Patient/1/$everything", "Expected Type/id"),
        ("Patient/1/_history/", "Expected Type/id"),
        ("/Patient/1", "Expected Type/id"),
        ("../Patient/1", "Expected Type/id"),
        ("Patient/1 ", "Expected Type/id"),
        ("http:// x", "Expected Type/id"),
        ("Patient?", "Expected Type/id"),
        ("Person1/1", "Expected Type/id"),
        ("Pateint/1", "no resource type"),
        ("Resource/1", "no resource type"),
        ("Pateint?name=x", "no resource type"),
        ("Practitioner/1", "Device or Group or Location or Patient"),
        ("Practitioner?name=x", "Device or Group or Location or Patient"),
        ("#q", "no contained resource"),
        ("", "must not be empty"),
    ],
)
def test_bad_literal_reference_is_refused(
    structure: StructureCheck, literal: str, part: str
) -> None:
    issues = structure.check(observation(subject={"reference": literal})).issues
    assert [issue.expression for issue in issues] == ["Observation.subject.reference"]
    assert part in issues[0].diagnostics


def test_reference_to_anything_takes_every_type(structure: StructureCheck) -> None:
    assert structure.check(observation(focus=[{"reference": "Basic/1"}])).issues == ()
    assert len(structure.check(observation(focus=[{"reference": "Basics/1"}])).issues) == 1


def test_logical_reference_needs_no_literal(structure: StructureCheck) -> None:
    checked = structure.check(observation(subject={"identifier": {"value": "1"}}))
    assert checked.issues == ()
    assert checked.references == []


def test_references_are_gathered_wherever_they_stand(structure: StructureCheck) -> None:
    inner = observation(
        contained=[{"resourceType": "Device", "id": "d", "owner": {"reference": "Organization/1"}}],
        device={"reference": "#d"},
        component=[
            {
                "code": {"text": "x"},
                "extension": [{"url": "http://x", "valueReference": {"reference": "Basic/2"}}],
            }
        ],
    )
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "p", "part": [{"name": "q", "resource": inner}]}],
    }
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"resource": parameters},
            {"resource": observation(subject={"reference": "Patient/3"})},
        ],
    }
    checked = structure.check(bundle)
    assert checked.issues == ()
    assert sorted(each["reference"] for each in checked.references) == [
        "#d", "Basic/2", "Organization/1", "Patient/3",
    ]  # fmt: skip


def test_contained_ids_count_only_inside_their_container(structure: StructureCheck) -> None:
    with_contained = observation(contained=[{"resourceType": "Patient", "id": "p"}])
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"resource": with_contained},
            {"resource": observation(subject={"reference": "#p"})},
        ],
    }
    issues = structure.check(bundle).issues
    assert [issue.expression for issue in issues] == ["Bundle.entry[1].resource.subject.reference"]


def test_contained_resources_refer_to_each_other(structure: StructureCheck) -> None:
    contained = [
        {"resourceType": "Organization", "id": "a", "partOf": {"reference": "#b"}},
        {"resourceType": "Organization", "id": "b"},
        {"resourceType": "Organization", "id": "c", "partOf": {"reference": "#nothing"}},
    ]
    issues = structure.check(observation(contained=contained)).issues
    assert [issue.expression for issue in issues] == ["Observation.contained[2].partOf.reference"]


def test_contained_ids_are_unique(structure: StructureCheck) -> None:
    contained = [{"resourceType": "Patient", "id": "p"}] * 1000
    issues = structure.check(observation(contained=contained)).issues
    assert [(each.diagnostics, each.expression) for each in issues] == [
        ('Several contained resources have the id "p".', "Observation.contained")
    ]


def test_links_are_gathered_with_their_place(structure: StructureCheck) -> None:
    urn = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
    text = {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{urn}">x</a></div>',
    }
    resource = observation(
        text=text,
        instantiatesCanonical=None,
        meta={"profile": ["http://x", urn]},
        extension=[{"url": "http://x", "valueUrl": urn}],
    )
    del resource["instantiatesCanonical"]
    checked = structure.check(resource)
    assert checked.issues == ()
    found = {(id(container), key) for container, key in checked.links}
    assert found == {
        (id(text), "div"),
        (id(resource["meta"]["profile"]), 1),
        (id(resource["extension"][0]), "valueUrl"),
    }


def test_plain_narratives_and_uris_are_no_links(structure: StructureCheck) -> None:
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
    assert structure.check(observation(text=text, implicitRules="http://x")).links == []
