import pytest

from fhir_server import fhirpath
from fhir_server.fhirpath.compiler import compile_expression
from fhir_server.spec import SearchParameterDefinition, definitions
from tests.fhirpath.samples import BUNDLE, OBSERVATION, PATIENT

_RESOURCES = (
    PATIENT,
    OBSERVATION,
    BUNDLE,
    BUNDLE["entry"][2]["resource"],
    {
        "resourceType": "Condition",
        "code": {"coding": [{"system": "s", "code": "c"}]},
        "subject": {"reference": "Patient/1"},
        "onsetPeriod": {"start": "2020"},
        "evidence": [{"code": [{"text": "a"}]}, {"detail": [{"reference": "Media/1"}]}],
        "meta": {"profile": ["http://example.org/a"], "tag": [{"code": "t"}]},
    },
)
_PARAMETERS = [p for p in definitions().search_parameters if p.expression]


@pytest.mark.parametrize("resource", _RESOURCES, ids=lambda resource: resource["resourceType"])
def test_lookups_find_what_the_general_engine_finds(resource: dict[str, object]) -> None:
    compared = sum(_agree(parameter, resource) for parameter in _PARAMETERS)
    assert compared > 2


def _agree(parameter: SearchParameterDefinition, resource: dict[str, object]) -> int:
    name = str(resource["resourceType"])
    if not {name, "Resource", "DomainResource"} & set(parameter.base):
        return 0
    source = parameter.expression or ""
    ours = [value for value, _ in compile_expression(source, name)(resource)]
    general = fhirpath.compile(source, as_filters=True).evaluate(resource)
    assert sorted(map(str, ours)) == sorted(map(str, general)), source
    return bool(ours)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "Patient.name.select(given.first() | family)",
            [("Peter", "string"), ("Chalmers", "string"), ("Jim", "string")],
        ),
        ("Patient.name.first().family & '!'", [("Chalmers!", "string")]),
        ("Practitioner.name.tail() | Patient.name.tail().use", [("usual", "code")]),
        ("Patient.children().ofType(date)", [("1974-12-25", "date")]),
    ],
)
def test_search_falls_back_on_the_general_engine(
    source: str, expected: list[tuple[str, str]]
) -> None:
    found = list(compile_expression(source, "Patient")(PATIENT))
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("source", ["Patient.children()", "Patient.nonsense", "Patient.foo()"])
def test_what_has_no_certain_type_cannot_be_searched(source: str) -> None:
    with pytest.raises(fhirpath.UnsupportedExpression):
        compile_expression(source, "Patient")
