"""Code systems, value sets and concept maps (R4 terminology-module.html)."""

from fhir_server.terminology.expansion import Expansion
from fhir_server.terminology.members import Member
from fhir_server.terminology.service import Terminology
from fhir_server.terminology.sources import Sources

__all__ = ["Expansion", "Member", "Sources", "Terminology"]
