from typing import Any

import pytest

from fhir_server import fhirpath
from fhir_server.fhirpath import FhirPathEvaluationError, Services
from tests.fhirpath.samples import BUNDLE, OBSERVATION, PATIENT


def values(source: str, context: Any, **options: Any) -> list[Any]:
    return fhirpath.compile(source).evaluate(context, **options)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("contact.organization.resolve().id", ["o"]),
        ("contained.partOf.resolve().id", ["p"]),
        ("'#o'.resolve().id", ["o"]),
        ("managingOrganization.resolve()", []),
        ("managingOrganization.resolve() is Organization", [True]),
        ("managingOrganization.resolve() is Patient", [False]),
        ("contained.select(%resource.id)", ["p"]),
    ],
)
def test_references_within_a_resource_are_followed(source: str, expected: list[Any]) -> None:
    assert values(source, PATIENT) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("entry[2].resource.subject.resolve().id", ["p"]),
        ("entry[2].resource.focus.resolve().subject.exists()", [True]),
        ("entry[0].resource.managingOrganization.resolve().name", ["One"]),
        ("entry[0].resource.contact.organization.resolve().id", ["o"]),
        ("entry[0].resource.contained.partOf.resolve().id", ["p"]),
    ],
)
def test_references_within_a_bundle_are_followed(source: str, expected: list[Any]) -> None:
    assert values(source, BUNDLE) == expected


def test_other_references_are_asked_of_the_caller() -> None:
    asked: list[str] = []

    def resolver(reference: str) -> dict[str, Any] | None:
        asked.append(reference)
        return {"resourceType": "Organization", "name": "Found"}

    source = "managingOrganization.resolve().name"
    assert values(source, PATIENT, resolver=resolver) == ["Found"]
    assert asked == ["Organization/1"]


def test_variables_follow_the_context_node() -> None:
    (contained,) = fhirpath.compile("contained").evaluate_nodes(PATIENT)
    (entry,) = fhirpath.compile("entry[0].resource").evaluate_nodes(BUNDLE)
    (name,) = fhirpath.compile("name[1]").evaluate_nodes(entry)
    assert values("%resource.id | %rootResource.id", contained) == ["o", "p"]
    assert values("%resource.id | %rootResource.id", name) == ["p"]
    assert values("%context.use", name) == ["usual"]


def test_html_is_checked() -> None:
    assert values("text.`div`.htmlChecks()", PATIENT) == [True]
    script = {**PATIENT, "text": {"status": "generated", "div": "<div><script/></div>"}}
    assert values("text.`div`.htmlChecks()", script) == [False]


def test_values_of_primitives_are_system_values() -> None:
    assert values("birthDate.getValue() is System.Date", PATIENT) == [True]
    assert values("birthDate.hasValue() and name.hasValue().not()", PATIENT) == [True]


def test_extensions_are_found_by_url() -> None:
    source = "birthDate.hasExtension('http://example.org/time')"
    assert values(source, PATIENT) == [True]
    assert values("hasExtension('http://example.org/time')", PATIENT) == [False]


@pytest.mark.parametrize(
    "source",
    ["memberOf('http://x')", "conformsTo('http://x')", "subsumes($this)", "subsumedBy($this)"],
)
def test_what_needs_a_service_says_so_without_it(source: str) -> None:
    with pytest.raises(FhirPathEvaluationError, match="needs a service"):
        values(f"code.{source}", {**OBSERVATION, "code": {"text": "x"}})


def test_services_are_asked() -> None:
    services = Services(
        member_of=lambda value, type_, url: (value, type_, url) == ("final", "code", "http://x"),
        conforms_to=lambda value, type_, url: True if url == "http://known" else None,
        subsumes=lambda left, right: (left, right) == ("final", "w"),
    )
    assert values("status.memberOf('http://x')", OBSERVATION, services=services) == [True]
    assert values("status.memberOf('http://y')", OBSERVATION, services=services) == [False]
    assert values("conformsTo('http://known')", OBSERVATION, services=services) == [True]
    assert values("status.subsumes(id)", OBSERVATION, services=services) == [True]
    assert values("id.subsumedBy(status)", OBSERVATION, services=services) == [True]
    with pytest.raises(FhirPathEvaluationError, match="does not know 'http://other'"):
        values("conformsTo('http://other')", OBSERVATION, services=services)
