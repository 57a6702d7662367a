"""Every operation is offered where R4 allows it, and told of where clients look."""

import httpx

from fhir_server.operations.operation import routes
from fhir_server.operations.registry import OPERATIONS, operation_routes
from fhir_server.spec import definitions
from fhir_server.spec.operations import OWN_BASE
from tests.answers import resource_of
from tests.operations.calling import facts

ROUTES = operation_routes(definitions())


def test_every_operation_is_where_its_definition_allows() -> None:
    for operation in OPERATIONS:
        defined = facts(operation.name)
        allowed = {level for level in ("system", "type", "instance") if getattr(defined, level)}
        found = {route.level for route in routes(operation, definitions())}
        assert found == (set(operation.levels) or allowed)
        assert found <= allowed


def test_only_what_reads_can_be_called_by_get() -> None:
    own = {item.name for item in OPERATIONS if item.base == OWN_BASE}
    writing = {item.name for item in OPERATIONS if item.writes}
    assert writing - own == {
        "MessageHeader-process-message", "Resource-meta-add", "Resource-meta-delete",
    }  # fmt: skip
    assert writing & own == {name for name in own if facts(name).affects_state}
    for operation in OPERATIONS:
        found = list(routes(operation, definitions()))
        assert all(route.reads is not operation.writes for route in found)
        if operation.writes:
            assert {route.method for route in found} == {"POST"}


def test_names_and_places_are_unique() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


async def test_capabilities_list_each_operation_where_it_is(client: httpx.AsyncClient) -> None:
    rest = resource_of(await client.get("metadata"))["rest"][0]
    listed = {
        (resource["type"], item["name"]): item["definition"]
        for resource in rest["resource"]
        for item in resource.get("operation", ())
    }
    listed |= {("", item["name"]): item["definition"] for item in rest["operation"]}
    expected: dict[tuple[str, str], str] = {}
    for route in ROUTES:
        assert route.operation is not None
        owner = route.path.partition("$")[0].partition("/")[0]
        types = definitions().resource_types if owner == "[type]" else {owner}
        expected |= {(type_, route.operation.code): route.operation.url for type_ in types}
    assert listed == expected


async def test_openapi_tells_the_parameters_that_a_url_can_hold(
    client: httpx.AsyncClient,
) -> None:
    document = (await client.get("http://test/openapi.json")).json()
    (path,) = (path for path in document["paths"] if path.endswith("Patient/{id}/$everything"))
    named = {each["name"] for each in document["paths"][path]["get"]["parameters"]}
    assert named == {"id", "start", "end", "_since", "_type", "_count"}
    assert document["paths"][path]["post"]["requestBody"]["required"] is False
