"""Search parameters, compartments and operations."""

from fhir_server.spec.build.package import Json, Package, said


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
    return [
        {
            "url": definition["url"],
            "name": definition["name"],
            "code": definition["code"],
            "system": definition["system"],
            "type": definition["type"],
            "instance": definition["instance"],
            "affects_state": definition.get("affectsState", False),
            "resources": definition.get("resource", []),
            "parameters": [_parameter(part) for part in definition.get("parameter", [])],
        }
        for definition in package.of("OperationDefinition")
    ]


def _parameter(parameter: Json) -> Json:
    targets = [profile.rpartition("/")[2] for profile in parameter.get("targetProfile", [])]
    optional = said(
        {
            "type": parameter.get("type"),
            "search_type": parameter.get("searchType"),
            "targets": targets,
            "parts": [_parameter(part) for part in parameter.get("part", [])],
        }
    )
    return {
        "name": parameter["name"],
        "use": parameter["use"],
        "min": parameter["min"],
        "max": None if parameter["max"] == "*" else int(parameter["max"]),
        **optional,
    }
