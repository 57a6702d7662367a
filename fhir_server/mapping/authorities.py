"""URIs of those who assign identifiers, and of coding systems, by what v2 calls them."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from fhir_server.mapping.scope import Run

_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TABLE = re.compile(r"(?:HL7|L)?\s?(\d{3,4})")
UNKNOWN = "urn:x-hl7v2"


def authority_reader(
    given: Sequence[Mapping[str, Any]], default: str | None
) -> Callable[[Run, str, str, str], str]:
    """The function that gives an authority's URI from its namespace, universal id and type.

    given: what `authorities` in the files says. default: the URI of identifiers of the sender
    that name no authority.
    """
    by_namespace = {each["namespace"]: each["system"] for each in given if "namespace" in each}
    by_id = {each["id"]: each["system"] for each in given if "id" in each}

    def read(run: Run, namespace: str, id_: str, type_: str) -> str:
        if known := by_id.get(id_) or by_namespace.get(namespace):
            return str(known)
        if universal := _universal(id_, type_):
            return universal
        if not namespace and not id_:
            return default or sender_authority(run)
        return f"{sender_authority(run)}:{_part(namespace or id_)}"

    return read


def sender_authority(run: Run) -> str:
    """The URI under which a sender's own identifiers stand when nothing else is known."""
    names = (run.variables.get(name, "") for name in ("facility", "application"))
    return f"{UNKNOWN}:{_part(next((each for each in names if each), 'unknown'))}"


def _part(text: str) -> str:
    return quote(text.strip(), safe="-._~")


def _universal(id_: str, type_: str) -> str:
    """HL7 v2 2A.3.36: an HD's universal id by its type."""
    if not id_:
        return ""
    if type_ in ("UUID", "GUID") or (not type_ and _UUID.fullmatch(id_)):
        return f"urn:uuid:{id_.lower()}" if _UUID.fullmatch(id_) else ""
    if _OID.fullmatch(id_):
        return f"urn:oid:{id_}"
    if type_ in ("URI", "URL") or id_.startswith(("urn:", "http://", "https://")):
        return "%20".join(id_.split())
    return ""


def system_reader(given: Mapping[str, str]) -> Callable[[str], str]:
    """The function that gives a coding system's URI from its name (HL7 v2 table 0396)."""

    def read(name: str) -> str:
        if not name:
            return ""
        if known := given.get(name) or given.get(name.upper()):
            return known
        if match := _TABLE.fullmatch(name):
            return f"http://terminology.hl7.org/CodeSystem/v2-{match[1].zfill(4)}"
        if _OID.fullmatch(name):
            return f"urn:oid:{name}"
        if name.startswith(("http://", "https://", "urn:")):
            return "%20".join(name.split())
        return f"{UNKNOWN}:coding:{_part(name)}"

    return read
