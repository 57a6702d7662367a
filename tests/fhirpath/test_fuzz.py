import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fhir_server import fhirpath
from tests.fhirpath.expressions import EXPRESSIONS

_RESOURCE: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "name": [{"family": "a", "given": ["b", None], "_given": [None, {"id": "c"}]}, {"given": []}],
    "birthDate": "1974-12-25",
    "_birthDate": {"extension": [{"url": "u", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
    "multipleBirthInteger": 2,
    "contained": [
        {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1E+400000")}}
    ],
    "extension": [{"url": "u", "valueQuantity": {"value": 1, "code": "mg", "unit": "mg"}}],
    "text": {"status": "generated", "div": "<div/>"},
}
_CALM = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def attempt(expression: str, resource: Any = _RESOURCE) -> None:
    """Evaluate in every way; only a FhirPathError may come out."""
    for as_filters in (False, True):
        try:
            compiled = fhirpath.compile.__wrapped__(expression, as_filters=as_filters)
            compiled.evaluate(resource)
            compiled.evaluate_bool(resource)
            [node.path for node in compiled.evaluate_nodes(resource)]
        except fhirpath.FhirPathError as error:
            assert 0 <= error.position <= len(expression)  # noqa: PT017


@_CALM
@given(EXPRESSIONS)
def test_no_expression_raises_anything_but_its_own_errors(expression: str) -> None:
    attempt(expression)


@_CALM
@given(EXPRESSIONS)
def test_the_check_for_a_type_raises_nothing_else(expression: str) -> None:
    try:
        fhirpath.compile.__wrapped__(expression, type_name="Patient")
    except fhirpath.FhirPathError:
        return


@_CALM
@given(st.text(alphabet="ab1.()[]{}'\"`@T-:+%$ |&=<>~!*/\\,isa_\n\u00e9\x00", max_size=60))
@example("@2015-13")
@example("'\\u12'")
@example("(" * 500)
@example("-" * 500 + "1")
@example("a" + ".a" * 5000)
@example("1" + "0" * 10_000)
def test_no_text_raises_anything_but_a_syntax_or_other_own_error(text: str) -> None:
    attempt(text)


_KEYS = (
    "name", "_name", "given", "_given", "contained", "value", "valueQuantity", "code",
    "resourceType", "extension", "birthDate", "_birthDate", "url", "reference",
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@_CALM
@given(_JSON)
@pytest.mark.parametrize(
    "expression",
    [
        "descendants()",
        "name.given = birthDate",
        "descendants().distinct().count()",
        "name.given.exists() or birthDate < today()",
        "extension('u').value + 1 'mg'",
        "contained.resolve() | descendants().resolve()",
        "children() ~ children()",
    ],
)
def test_resources_of_the_wrong_shape_raise_nothing_else(expression: str, value: Any) -> None:
    wrong = dict.fromkeys(("name", "birthDate", "extension", "contained"), value)
    attempt(expression, {"resourceType": "Patient", **wrong})


@pytest.mark.parametrize(
    "expression",
    [
        "('a' | 'b').repeat($this + 'a')",
        "1.repeat($this + 1).count()",
        "repeat(children() | %resource).repeat(descendants()).count() + 1.repeat($this + 1)",
        f"'{'a' * 60}!'.matches('(a|aa)+$')",
        "'a'.matches('((a{1000}){1000}){1000}')",
        "'a'" + ".replace('a', 'aaaaaaaaaaaaaaaaaaaa')" * 20,
        "'a'" + ".replaceMatches('a', 'aaaaaaaaaaaaaaaaaaaa')" * 20,
        "(1 | 2)" + ".select($this.combine($this))" * 30,
        "(1)" + ".combine(%context.descendants())" * 40 + ".select(%context.descendants())" * 9,
        "'a'" + ".select($this & $this)" * 50,
        "(0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9)" + ".select(%context.descendants())" * 20,
    ],
)
def test_what_would_never_end_is_stopped(expression: str) -> None:
    started = time.process_time()
    with pytest.raises(fhirpath.FhirPathEvaluationError):
        fhirpath.compile(expression).evaluate(_RESOURCE)
    assert time.process_time() - started < 8
