"""Any resource that is valid as JSON is the same after XML, digits and white space included."""

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.fhir_json import decode, encode, encode_sorted
from fhir_server.outcome import Invalid
from fhir_server.spec import TypeDefinition, definitions
from fhir_server.validation.content import properties
from fhir_server.validation.structure import StructureCheck
from fhir_server.xml import decode_xml, encode_xml
from tests.xml.resources import ALL, DIV

_DEFINITIONS = definitions()
_CHECK = StructureCheck(_DEFINITIONS)
_text = st.text(
    st.characters(
        codec="utf-8",
        exclude_categories=("Cc", "Cs"),
        include_characters="\t\n\r",
        exclude_characters="\ufffe\uffff",
    ),
    min_size=1,
    max_size=20,
)
_whole = st.integers(-(2**31), 2**31 - 1)
_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": _whole,
    "unsignedInt": st.integers(0, 2**31 - 1),
    "positiveInt": st.integers(1, 2**31 - 1),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False) | _whole,
    "date": st.dates().map(str) | st.sampled_from(["1970", "2000-02"]),
    "dateTime": st.dates().map(str) | st.just("2000-02-29T23:59:59.123+14:00"),
    "instant": st.just("2024-02-29T13:45:00.123Z"),
    "time": st.times().map(lambda time: time.strftime("%H:%M:%S")),
    "code": st.from_regex(r"[!-~]+( [!-~]+)?", fullmatch=True),
    "id": st.from_regex(r"[A-Za-z0-9\-\.]{1,64}", fullmatch=True),
    "oid": st.just("urn:oid:1.2.840.113619"),
    "uuid": st.uuids().map(lambda each: f"urn:uuid:{each}"),
    "base64Binary": st.binary(min_size=1, max_size=20).map(lambda each: each.hex()),
    "xhtml": st.text("ab <>&\"'\r\n\u00e9", max_size=9).map(
        lambda each: f"{DIV}>x{each.replace('&', '&amp;').replace('<', '&lt;<br/>')}</div>"
    ),
    "string": _text,
    "markdown": _text,
}
_uri = st.from_regex(r"[a-z]+:[!-~\u00a1-\u00ff]{1,20}", fullmatch=True)


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    """A resource of any type with a few random elements; no rule beyond form is kept."""
    return _resource(draw, draw(st.sampled_from(sorted(_DEFINITIONS.resource_types))), 3)


def _resource(draw: st.DrawFn, name: str, depth: int) -> dict[str, Any]:
    resource = _object(draw, _DEFINITIONS.types[name], depth)
    resource["resourceType"] = name
    return resource


def _object(draw: st.DrawFn, type_: TypeDefinition, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    elements = [each for each in type_.elements.values() if each.name != "contained"]
    for element in draw(st.lists(st.sampled_from(elements), min_size=1, max_size=4, unique=True)):
        name, code = draw(st.sampled_from(properties(element)))
        type_name = element.content or code
        if type_name == "Resource":
            name_of = "Basic" if depth < 2 else "Bundle"
            value = _resource(draw, name_of, depth - 1)
            found[name] = [value] if element.max is None else value
        elif _DEFINITIONS.types[type_name].kind == "primitive-type":
            _primitive(draw, found, name, type_name, repeats=element.max is None)
        elif depth:
            items = [
                _object(draw, _DEFINITIONS.types[type_name], depth - 1)
                for _ in range(draw(st.integers(1, 2)) if element.max is None else 1)
            ]
            found[name] = items if element.max is None else items[0]
    return found


def _primitive(
    draw: st.DrawFn, found: dict[str, Any], name: str, type_name: str, *, repeats: bool
) -> None:
    values = [draw(_PRIMITIVES.get(type_name, _uri)) for _ in range(1 + draw(st.booleans()))]
    if not repeats:
        found[name] = values[0]
        return
    siblings: list[Any] = [draw(st.none() | st.just({"id": "a"})) for _ in values]
    empty = draw(st.booleans())
    if empty:
        values[-1] = None
        siblings[-1] = {"extension": [{"url": "u", "valueCode": "c"}]}
    if any(value is not None for value in values):
        found[name] = values
    if any(siblings):
        found[f"_{name}"] = siblings


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(resources(), st.booleans())
def test_any_resource_is_the_same_after_xml(resource: dict[str, Any], pretty: bool) -> None:
    from_json = decode(encode(resource))
    back = decode_xml(encode_xml(from_json, pretty=pretty))
    assert encode_sorted(back) == encode_sorted(from_json)


_values: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, Decimal("1.0"), "", " ", "a", "<", "&amp;", "\x00", [], {}, [None], [{}]]
)


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Any]:
    """One of the examples with one value changed, removed or added."""
    resource: dict[str, Any] = decode(encode(draw(st.sampled_from(ALL))))
    places = list(_places(resource))
    holder, key = draw(st.sampled_from(places))
    if draw(st.booleans()) or isinstance(holder, list):
        holder[key] = draw(_values)
    else:
        holder[draw(st.sampled_from(["id", "_x", "value", "given", "url", f"_{key}"]))] = draw(
            _values
        )
    return resource


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    found = [(value, key) for key in keys]
    for key in keys:
        found += _places(value[key])
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoiled())
def test_whatever_passes_the_structure_check_is_the_same_after_xml(
    resource: dict[str, Any],
) -> None:
    if not _CHECK.check(resource).issues:
        assert encode_sorted(decode_xml(encode_xml(resource))) == encode_sorted(resource)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ALL), st.data())
def test_a_document_with_wrong_bytes_is_read_or_refused(
    resource: dict[str, Any], data: st.DataObject
) -> None:
    body = bytearray(encode_xml(resource))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body) - 1))
        end = min(len(body), start + data.draw(st.integers(0, 4)))
        body[start:end] = data.draw(
            st.sampled_from(
                [b"", b"<", b"</", b"/>", b">", b'"', b"&", b"a", b" ", b"\xff", b"<!--"]
            )
        )
    try:
        found = decode_xml(bytes(body))
    except Invalid:
        return
    assert isinstance(found["resourceType"], str)
    _CHECK.check(found)
