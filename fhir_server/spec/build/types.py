"""Types and their elements from the snapshots of StructureDefinitions."""

from collections.abc import Sequence

from fhir_server.spec.build.package import Json, Package, said

_FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_REGEX = "http://hl7.org/fhir/StructureDefinition/regex"

# R4 names a type `Boolean`, which no element of FHIR is; R4B has corrected it.
_CORRECTED = {"que-7": "operator = 'exists' implies (answer is boolean)"}


def types(package: Package) -> list[Json]:
    """Every type of the standard; profiles and logical models are left out."""
    structures = {
        structure["type"]: structure
        for structure in package.of("StructureDefinition")
        if structure["kind"] != "logical" and structure.get("derivation") != "constraint"
    }
    built: list[Json] = []
    for name in sorted(structures):
        built += _type_and_backbones(structures[name], structures)
    return built


def _type_and_backbones(structure: Json, structures: dict[str, Json]) -> list[Json]:
    name = structure["type"]
    base = _last(structure.get("baseDefinition"))
    root, *elements = structure["snapshot"]["element"]
    own: Json = {
        "name": name,
        "kind": structure["kind"],
        "base": base,
        "abstract": structure["abstract"],
        "regex": _regex(elements) if structure["kind"] == "primitive-type" else None,
        "elements": [],
        "constraints": _constraints(root, name, ()),
    }
    root_constraints = [constraint["key"] for constraint in root.get("constraint", [])]
    built = {name: own}
    inherited = {name: _names(base, structures)}
    for element in elements:
        parent, _, element_name = element["path"].rpartition(".")
        if element["max"] == "0":
            continue
        if _is_backbone(element):
            backbone_base = element["type"][0]["code"]
            built[element["path"]] = {
                "name": element["path"],
                "kind": "backbone",
                "base": backbone_base,
                "elements": [],
            }
            inherited[element["path"]] = _names(backbone_base, structures)
        if element_name not in inherited[parent] or _restates(element, structure):
            built[parent]["elements"].append(_element(element, structure, root_constraints))
    return [said(type_) for type_ in built.values()]


def _restates(element: Json, structure: Json) -> bool:
    """Whether a type says something new of an element it inherits."""
    path: str = element["path"]
    return structure["kind"] == "primitive-type" and path.endswith(".value")


def _names(base: str | None, structures: dict[str, Json]) -> set[str]:
    """The elements of a base type."""
    if base is None:
        return set()
    paths = [element["path"] for element in structures[base]["snapshot"]["element"][1:]]
    return {path.partition(".")[2] for path in paths}


def _is_backbone(element: Json) -> bool:
    codes = [type_["code"] for type_ in element.get("type", [])]
    return codes in (["BackboneElement"], ["Element"])


def _element(element: Json, structure: Json, of_type: Sequence[str]) -> Json:
    path: str = element["path"]
    choice = path.endswith("[x]")
    path = path.removesuffix("[x]")
    content = element.get("contentReference", "").removeprefix("#")
    if _is_backbone(element):
        content = path
    binding = element.get("binding", {})
    built = said(
        {
            "path": path,
            "name": path.rpartition(".")[2],
            "min": element["min"] or None,
            "types": [_type_ref(type_, path, structure) for type_ in element.get("type", [])],
            "choice": choice,
            "binding": _binding(binding) if "valueSet" in binding else None,
            "content": content or None,
            "constraints": _constraints(element, structure["type"], of_type),
            "summary": element.get("isSummary", False),
            "modifier": element.get("isModifier", False),
        }
    )
    if element["max"] != "1":
        built["max"] = None if element["max"] == "*" else int(element["max"])
    return built


def _type_ref(type_: Json, path: str, structure: Json) -> Json:
    code = type_["code"]
    if structure["kind"] == "primitive-type" and path.endswith(".value"):
        code = structure["type"]
    elif path == "Resource.id":
        # The published snapshot says string; R4 resource.html#id says id.
        code = "id"
    elif code.startswith("http://hl7.org/fhirpath/System."):
        code = _extension(type_, _FHIR_TYPE) or "string"
    targets = sorted({_last(profile) or "" for profile in type_.get("targetProfile", [])})
    return said({"code": code, "targets": [] if targets == ["Resource"] else targets})


def _binding(binding: Json) -> Json:
    return {
        "strength": binding["strength"],
        "value_set": binding["valueSet"].partition("|")[0],
    }


def _constraints(element: Json, type_name: str, but: Sequence[str]) -> list[Json]:
    """The constraints that the type itself adds here, not those repeated from elsewhere."""
    return [
        {
            "key": constraint["key"],
            "severity": constraint["severity"],
            "expression": _CORRECTED.get(constraint["key"], constraint["expression"]),
        }
        for constraint in element.get("constraint", [])
        if _last(constraint.get("source")) in (None, type_name)
        and constraint["key"] not in but
        and "expression" in constraint
    ]


def _regex(elements: list[Json]) -> str | None:
    value = next(element for element in elements if element["path"].endswith(".value"))
    return _extension(value["type"][0], _REGEX)


def _extension(element: Json, url: str) -> str | None:
    for extension in element.get("extension", []):
        if extension["url"] == url:
            return str(extension.get("valueUrl") or extension.get("valueString"))
    return None


def _last(url: str | None) -> str | None:
    return url.rpartition("/")[2] if url else None
