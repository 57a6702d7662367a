"""Search parameters, compartments and operations."""

from fhir_server.spec.build.package import Json, Package, said
from fhir_server.spec.operations import facts


def search_parameters(package: Package) -> list[Json]:
    """Every SearchParameter of the standard."""
    return [_search_parameter(definition) for definition in package.of("SearchParameter")]


def _search_parameter(definition: Json) -> Json:
    built = said(
        {
            "url": definition["url"],
            "name": definition["name"],
            "code": definition["code"],
            "type": definition["type"],
            "base": definition.get("base"),
            "expression": definition.get("expression"),
            "targets": definition.get("target"),
            "comparators": definition.get("comparator"),
            "modifiers": definition.get("modifier"),
            "chains": definition.get("chain"),
            "components": [
                [component["definition"], component["expression"]]
                for component in definition.get("component", [])
            ],
        }
    )
    for name, published in (("multiple_or", "multipleOr"), ("multiple_and", "multipleAnd")):
        if definition.get(published) is False:
            built[name] = False
    return built


def compartments(package: Package) -> list[Json]:
    """The compartments with their inclusion criteria."""
    return [
        {
            "url": definition["url"],
            "code": definition["code"],
            "parameters": {
                resource["code"]: resource["param"]
                for resource in definition["resource"]
                if resource.get("param")
            },
        }
        for definition in package.of("CompartmentDefinition")
    ]


def operations(package: Package) -> list[Json]:
    """Every operation of the standard."""
    return [facts(definition) for definition in package.of("OperationDefinition")]
