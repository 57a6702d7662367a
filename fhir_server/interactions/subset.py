"""Parts of a resource: _summary and _elements (R4 search.html#summary, #elements)."""

from dataclasses import dataclass, replace
from typing import Any

from fhir_server.fhir_json import decode, encode
from fhir_server.interactions.request import Request
from fhir_server.outcome import Invalid, Issue
from fhir_server.spec import Definitions, TypeDefinition

SUMMARIES = ("true", "text", "data", "count", "false")
_ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules"})
_TAG = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "Resource encoded in summary mode",
}


@dataclass(frozen=True, slots=True)
class Subset:
    """Which elements the client wants; `whole` when it wants all of them."""

    definitions: Definitions
    summary: str
    elements: frozenset[str]

    @classmethod
    def of(cls, definitions: Definitions, request: Request) -> "Subset":
        """What a request's `_summary` and `_elements` ask for. Raises `Invalid`."""
        summary = request.one("_summary") or "false"
        if summary not in SUMMARIES:
            expected = ", ".join(SUMMARIES)
            raise Invalid(Issue("value", f"_summary={summary!r}: expected one of {expected}"))
        names = request.one("_elements")
        if names is not None and not names.strip(" ,"):
            raise Invalid(Issue("value", "_elements is empty; expected names of elements"))
        elements = frozenset(name.strip() for name in (names or "").split(",")) - {""}
        if elements and summary not in ("false", "count"):
            text = "_summary and _elements both choose elements; give one of them"
            raise Invalid(Issue("invalid", text))
        return cls(definitions, summary, elements)

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.summary in ("false", "count") and not self.elements

    @property
    def of_included(self) -> "Subset":
        """What is wanted of included resources: `_elements` names those of matches only."""
        return replace(self, elements=frozenset())

    def apply(self, content: bytes) -> bytes:
        """The JSON with what was asked for, tagged SUBSETTED; the same bytes when whole."""
        return content if self.whole else encode(self.part_of(decode(content)))

    def part_of(self, resource: dict[str, Any]) -> dict[str, Any]:
        """The elements of a resource that were asked for."""
        definition = self.definitions.types.get(resource.get("resourceType", ""))
        if self.whole or definition is None or definition.name == "OperationOutcome":
            return resource
        if self.summary == "true":
            part = self._summary_of(resource, definition)
        else:
            part = {
                name: value
                for name, value in resource.items()
                if self._wanted(definition, name.removeprefix("_"))
            }
        meta = dict(part.get("meta") or {})
        meta["tag"] = [*meta.get("tag", ()), _TAG]
        head = {"resourceType": part["resourceType"]}
        if "id" in part:
            head["id"] = part["id"]
        return head | {"meta": meta} | {k: v for k, v in part.items() if k not in (*head, "meta")}

    def _wanted(self, definition: TypeDefinition, key: str) -> bool:
        if key in _ALWAYS:
            return True
        if self.summary == "data":
            return key != "text"
        name = _element_name(definition, key)
        element = definition.elements.get(name)
        mandatory = element is not None and element.min > 0
        if self.summary == "text":
            return key == "text" or mandatory
        return mandatory or bool({name, key, f"{definition.name}.{name}"} & self.elements)

    def _summary_of(self, value: Any, definition: TypeDefinition) -> Any:
        part = {}
        for key, item in value.items():
            name = _element_name(definition, key.removeprefix("_"))
            element = definition.elements.get(name)
            if key == "resourceType" or (element is not None and (element.summary or key == "id")):
                part[key] = self._inside(item, element.content if element else None)
        return part

    def _inside(self, value: Any, content: str | None) -> Any:
        inner = self.definitions.types.get(content) if content else None
        if inner is None:
            return value
        if isinstance(value, list):
            return [self._summary_of(item, inner) if item else item for item in value]
        return self._summary_of(value, inner)


def _element_name(definition: TypeDefinition, key: str) -> str:
    """The element that a JSON key belongs to: `value` for `valueQuantity`."""
    if key in definition.elements:
        return key
    for name, element in definition.elements.items():
        if element.choice and key.startswith(name) and key[len(name) :][:1].isupper():
            return name
    return key
