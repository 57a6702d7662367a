"""What the hospital is made of: names, places, staff, and what is ordered there."""

import functools
from pathlib import Path
from typing import Any

import msgspec

_DATA = Path(__file__).parent / "data"

BASE = "https://fhir-server.example/r4"


@functools.cache
def people() -> dict[str, Any]:
    """Parts of names, places, staff and diagnoses."""
    return _read("people")


@functools.cache
def orders() -> dict[str, Any]:
    """By type of order, what may be ordered and what comes of it."""
    return _read("orders")


def _read(name: str) -> dict[str, Any]:
    return msgspec.json.decode((_DATA / f"{name}.json").read_bytes(), type=dict[str, Any])


def code(system: str, value: str) -> dict[str, Any]:
    """A code of one of the server's own code systems."""
    return {"system": f"{BASE}/CodeSystem/{system}", "code": value}


def extension(name: str, **value: Any) -> dict[str, Any]:
    """One of the server's own extensions."""
    return {"url": f"{BASE}/StructureDefinition/{name}", **value}


def concept(system: str, value: str, text: str) -> dict[str, Any]:
    """A code of any system with a text."""
    return {"coding": [{"system": system, "code": value, "display": text}], "text": text}
