"""Which definition and which codes the parameters of a terminology operation mean."""

from dataclasses import dataclass
from typing import Any

from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue

MOST_CODINGS = 100


@dataclass(frozen=True, slots=True)
class GivenCode:
    """A code as the client has it."""

    system: str
    version: str
    code: str
    display: str


def canonical(parameters: Parameters, version: str) -> str:
    """The canonical that is meant: by `url`, or `Type/id` where the URL names an instance.

    version: the parameter that may name a version. Raises `Invalid` where both do, or none.
    """
    url, wanted = parameters.text("url"), parameters.text(version)
    if parameters.id:
        if url or wanted:
            text = f"The URL names {parameters.type}/{parameters.id}; leave out url and {version}"
            raise Invalid(Issue("invalid", text))
        return f"{parameters.type}/{parameters.id}"
    if not url:
        raise Invalid(Issue("required", f"Expected the url of a {parameters.type}, or an id"))
    if wanted and "|" in url and url.rpartition("|")[2] != wanted:
        text = f"The url {url!r} and {version} {wanted!r} name different versions"
        raise Invalid(Issue("invalid", text))
    return f"{url}|{wanted}" if wanted and "|" not in url else url


def codes(parameters: Parameters, *, system: str, version: str) -> list[GivenCode]:
    """The codes that are asked about; several only for a CodeableConcept.

    system: of a bare code where the operation knows it already; else a parameter must name it.
    version: the parameter with the version of the system. Raises `Invalid`.
    """
    kind = parameters.exactly_one("code", "coding", "codeableConcept")
    if kind == "code":
        return [_bare(parameters, system, version)]
    parameters.refuse("display")
    given = parameters.one(kind)
    codings = [given] if kind == "coding" else given.get("coding", [])
    if not 1 <= len(codings) <= MOST_CODINGS:
        text = f"The codeableConcept has {len(codings)} codings; expected 1 to {MOST_CODINGS}"
        raise Invalid(Issue("invalid", text))
    return [of_coding(coding, system) for coding in codings]


def _bare(parameters: Parameters, system: str, version: str) -> GivenCode:
    given = parameters.text("system") or system
    if not given:
        raise Invalid(Issue("required", "A code needs its system; expected the parameter system"))
    wanted = parameters.text(version)
    return GivenCode(given, wanted, parameters.text("code"), parameters.text("display"))


def of_coding(coding: dict[str, Any], system: str = "") -> GivenCode:
    """The code of a Coding. Raises `Invalid` for one without system or code."""
    given = coding.get("system") or system
    if not given or not coding.get("code"):
        raise Invalid(Issue("required", "A coding needs a system and a code"))
    return GivenCode(given, coding.get("version", ""), coding["code"], coding.get("display", ""))
