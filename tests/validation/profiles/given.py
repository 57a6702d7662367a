"""Short ways to write StructureDefinitions and to validate against them."""

from typing import Any

from fhir_server.spec import definitions
from fhir_server.validation.profiles.findings import Report
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.validator import Validator
from fhir_server.validation.structure import StructureCheck

Json = dict[str, Any]

HERE = "http://example.org/fhir/StructureDefinition/"
CORE = "http://hl7.org/fhir/StructureDefinition/"
_STRUCTURE = StructureCheck(definitions())


def profile(name: str, type_: str, *elements: Json, base: str = "", **more: Any) -> Json:
    """A profile that has only a differential."""
    return {
        "resourceType": "StructureDefinition",
        "url": HERE + name,
        "name": name,
        "status": "active",
        "kind": "resource" if type_ in definitions().resource_types else "complex-type",
        "abstract": False,
        "type": type_,
        "baseDefinition": base or CORE + type_,
        "derivation": "constraint",
        "differential": {"element": [{"id": type_, "path": type_}, *elements]},
        **more,
    }


def element(id_: str, **rules: Any) -> Json:
    """An element of a differential by its id; path and slice are read from it."""
    path = ".".join(step.partition(":")[0] for step in id_.split("."))
    slice_name = id_.rpartition(".")[2].partition(":")[2]
    return {"id": id_, "path": path, **({"sliceName": slice_name} if slice_name else {}), **rules}


def sliced(id_: str, kind: str, path: str, rules: str = "open", **more: Any) -> Json:
    """An element that is sliced by one discriminator."""
    discriminator = {"type": kind, "path": path}
    return element(id_, slicing={"discriminator": [discriminator], "rules": rules} | more)


def typed(id_: str, code: str, *profiles: str, **rules: Any) -> Json:
    """An element whose type has profiles."""
    return element(id_, type=[{"code": code, "profile": list(profiles)}], **rules)


def referring(id_: str, *targets: str, **rules: Any) -> Json:
    """An element that refers to some profiles."""
    return element(id_, type=[{"code": "Reference", "targetProfile": list(targets)}], **rules)


def extension(name: str, *elements: Json, on: str = "Element", **more: Any) -> Json:
    """The definition of an extension."""
    return profile(
        name,
        "Extension",
        element("Extension.url", fixedUri=HERE + name),
        *elements,
        context=[{"type": "element", "expression": on}],
        **more,
    )


def validator(*structures: Json) -> Validator:
    """A validator that knows some StructureDefinitions beside R4's types."""
    known = {each["url"]: each for each in structures}
    profiles = Profiles(lambda canonical: known.get(canonical.partition("|")[0]), definitions())
    return Validator(profiles, _STRUCTURE)


def broken(report: Report) -> list[tuple[str, str]]:
    """Rule and place of every error."""
    return [(each.rule, each.expression) for each in report.findings if each.severity == "error"]


def against(resource: Json, *structures: Json, **options: Any) -> list[tuple[str, str]]:
    """Rule and place of every error when a resource is held against the first structure."""
    return broken(validator(*structures).validate(resource, [structures[0]["url"]], **options))


def patient(**elements: Any) -> Json:
    return {"resourceType": "Patient", **elements}


def observation(**elements: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **elements}
