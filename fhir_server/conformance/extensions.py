"""The extensions of TestScripts that are carried out, by those who defined them."""

from typing import Any

from fhir_server.conformance.model import Parameters, WaitFor, WhenStatus

_IGNIXA = "http://ignixa.io/testscript/"
_FAKES = (_IGNIXA + "fhirfakes", "http://ignixa.io/fhir/StructureDefinition/testscript-fhirfakes")
_TOUCHSTONE = "http://touchstone.aegis.net/touchstone/fhir/testing/StructureDefinition/"
_STOP = _TOUCHSTONE + "testscript-assert-stopTestOnFail"

_MOST_ATTEMPTS = 1000
_LONGEST_INTERVAL = 60.0


class Misused(Exception):
    """An extension that does not hold what it should; says what."""


def versions(element: dict[str, Any]) -> tuple[str, ...]:
    """The versions of FHIR that a script or test is for, such as `4.0`."""
    return _list(_text(element, _IGNIXA + "fhirVersions"))


def capability(element: dict[str, Any]) -> str | None:
    """FHIRPath over the CapabilityStatement that must be true for a script or test."""
    return _text(element, _IGNIXA + "requiresCapability")


def group(element: dict[str, Any]) -> str | None:
    """The name of the alternatives that an assertion is one of."""
    return _text(element, _IGNIXA + "assertionAnyOfGroup")


def example_of(element: dict[str, Any]) -> str | None:
    """The type of which a fixture wants any example."""
    for url in _FAKES:
        given = _extension(element, url)
        if given is not None:
            type_ = given.get("valueCode") or _parts(given).get("resourceType")
            if not isinstance(type_, str):
                raise Misused(f"{url}: expected the name of a resource type as valueCode")
            return type_
    return None


def parameters(element: dict[str, Any]) -> Parameters | None:
    """The variable and the values that a test is repeated with."""
    given = _extension(element, _IGNIXA + "parametrize")
    if given is None:
        return None
    parts = _parts(given)
    values = _list(parts.get("values"))
    if not isinstance(parts.get("variable"), str) or not values:
        raise Misused(f"{given['url']}: expected 'variable' and 'values' (separated by commas)")
    return Parameters(parts["variable"], values)


def wait_for(element: dict[str, Any]) -> WaitFor | None:
    """With which status an operation is repeated, how often and after how long."""
    given = _extension(element, _IGNIXA + "waitFor")
    if given is None:
        return None
    parts = _parts(given)
    status = parts.get("pollingStatusCode", 202)
    attempts, milliseconds = parts.get("maxAttempts", 60), parts.get("intervalMs", 1000)
    if not all(isinstance(each, int) and each >= 0 for each in (status, attempts, milliseconds)):
        raise Misused(f"{given['url']}: expected integers that are not negative")
    seconds = min(milliseconds / 1000, _LONGEST_INTERVAL)
    return WaitFor(status, min(max(attempts, 1), _MOST_ATTEMPTS), seconds)


def when_status(element: dict[str, Any]) -> WhenStatus | None:
    """The status of another response without which an assertion does not apply."""
    given = _extension(element, _IGNIXA + "assertionWhenResponseStatus")
    if given is None:
        return None
    parts = _parts(given)
    if not isinstance(parts.get("sourceId"), str) or not isinstance(parts.get("status"), int):
        raise Misused(f"{given['url']}: expected 'sourceId' and 'status'")
    return WhenStatus(parts["sourceId"], parts["status"])


def stops(element: dict[str, Any]) -> bool:
    """Whether a failure of an assertion ends its test, as R4 has it unless this says otherwise."""
    return _value(element, _STOP, "valueBoolean") is not False


def _extension(element: dict[str, Any], url: str) -> dict[str, Any] | None:
    found = (each for each in element.get("extension", ()) if each.get("url") == url)
    return next(found, None)


def _text(element: dict[str, Any], url: str) -> str | None:
    text = _value(element, url, "valueString")
    return None if text is None else str(text)


def _value(element: dict[str, Any], url: str, key: str) -> Any:
    given = _extension(element, url)
    if given is None:
        return None
    if key not in given:
        raise Misused(f"{url}: expected {key}")
    return given[key]


def _parts(extension: dict[str, Any]) -> dict[str, Any]:
    return {part.get("url", ""): _first_value(part) for part in extension.get("extension", ())}


def _first_value(part: dict[str, Any]) -> Any:
    return next((value for key, value in part.items() if key.startswith("value")), None)


def _list(text: Any) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip()) if text else ()
