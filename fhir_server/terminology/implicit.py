"""Value sets that a URL says without a resource (R4 snomedct.html#implicit, loinc.html#vs)."""

import re

from fhir_server.terminology.model import Compose, ConceptSet, Filter, ValueSet

SNOMED_CT = "http://snomed.info/sct"
LOINC = "http://loinc.org"

_SNOMED_CT = re.compile(rf"{SNOMED_CT}(?P<edition>/[^?]+)?\?fhir_vs(?:=isa/(?P<code>\d+))?")


def implicit(url: str) -> ValueSet | None:
    """The value set of all codes of SNOMED CT or LOINC, or of those below one of SNOMED CT."""
    if url == f"{LOINC}/vs":
        return _of(url, ConceptSet(system=LOINC))
    match = _SNOMED_CT.fullmatch(url)
    if match is None:
        return None
    edition, code = match["edition"], match["code"]
    below = (Filter(property="concept", op="is-a", value=code),) if code else ()
    version = SNOMED_CT + edition if edition else ""
    return _of(url, ConceptSet(system=SNOMED_CT, version=version, filter=below))


def _of(url: str, include: ConceptSet) -> ValueSet:
    return ValueSet(url=url, compose=Compose(include=(include,)))
