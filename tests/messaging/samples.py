"""Messages of a small hospital."""

import asyncio
import itertools
from typing import Any

import httpx

from tests.answers import resource_of
from tests.messaging.mllp import hl7

CATALOGUE = "https://fhir-server.example/r4/CodeSystem/laboratory-catalogue"
_numbers = itertools.count(1)


def number(prefix: str) -> str:
    """A number that nothing else has."""
    return f"{prefix}{next(_numbers)}"


def msh(
    type_: str,
    control_id: str,
    *,
    sender: str = "HIS",
    modes: str = "|",
    time: str = "20260101120000",
    processing_id: str = "P",
) -> str:
    """A header; modes: MSH-15 and MSH-16."""
    return (
        f"MSH|^~\\&|{sender}|HOSP|FHIR|HOSP|{time}||{type_}|{control_id}|{processing_id}|2.5.1"
        f"|||{modes}"
    )


def adt(mrn: str, family: str = "Doe", event: str = "A08", **header: Any) -> bytes:
    """A message about a patient."""
    control_id = header.pop("control_id", None) or number("ADT")
    time = header.get("time", "20260101120000")
    return hl7(
        msh(f"ADT^{event}^ADT_A01", control_id, **header),
        f"EVN|{event}|{time}",
        f"PID|1||{mrn}^^^HOSP^MR||{family}^John||19800101|M",
        "PV1|1|O",
    )


def oml(mrn: str, placer: str, control: str = "NW", **header: Any) -> bytes:
    """A laboratory order, or what becomes of it."""
    return hl7(
        msh("OML^O21^OML_O21", header.pop("control_id", None) or number("OML"), **header),
        f"PID|1||{mrn}^^^HOSP^MR||Doe^John||19800101|M",
        f"PV1|1|O|||||1234^Smith^Jane^^^^^^NPI||||||||||||V{mrn}^^^HOSP^VN",
        f"ORC|{control}|{placer}^HIS|||||||20260101120000|||1234^Smith^Jane^^^^^^NPI",
        "TQ1|1||||||20260102100000||R",
        f"OBR|1|{placer}^HIS||CBC^Complete blood count^{CATALOGUE}|||||||||||||||||||||||||||"
        "^Persistent fever for three weeks",
    )


def oru(
    mrn: str,
    placer: str,
    value: str = "13.5",
    status: str = "F",
    issued: str = "20260102113000",
    **header: Any,
) -> bytes:
    """Results of a laboratory order."""
    return hl7(
        msh(
            "ORU^R01^ORU_R01",
            header.pop("control_id", None) or number("ORU"),
            **({"sender": "LAB"} | header),
        ),
        f"PID|1||{mrn}^^^HOSP^MR||Doe^John||19800101|M",
        f"ORC|RE|{placer}|F{placer.partition('^')[0]}^LAB",
        f"OBR|1|{placer}|F{placer.partition('^')[0]}^LAB|CBC^Complete blood count^{CATALOGUE}|||"
        f"20260102100000|||||||||||||||{issued}|||{status}",
        f"OBX|1|NM|718-7^Hemoglobin^LN||{value}|g/dL|12-16|N|||{status}|||20260102100000",
        f"SPM|1|SP{placer.partition('^')[0]}&LAB||BLD^Blood",
    )


async def one(client: httpx.AsyncClient, query: str) -> dict[str, Any]:
    """The only resource that a search finds."""
    found = await search(client, query)
    assert len(found) == 1, found
    return found[0]


async def search(client: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    """What a search finds."""
    bundle = resource_of(await client.get(query), 200)
    return [each["resource"] for each in bundle.get("entry", ())]


async def until(client: httpx.AsyncClient, query: str, within: float = 60) -> dict[str, Any]:
    """The first of what a search finds, once it finds something."""
    async with asyncio.timeout(within):
        while not (found := await search(client, query)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found[0]


async def timeline(client: httpx.AsyncClient, order_id: str) -> list[tuple[str, str]]:
    """What happened to an order: kind and step or text."""
    answer = resource_of(await client.get(f"ServiceRequest/{order_id}/$timeline"), 200)
    told = []
    for event in answer["parameter"]:
        parts = {part["name"]: part for part in event["part"]}
        step = parts.get("step", {}).get("valueCoding", {}).get("code")
        text = parts.get("text", {}).get("valueString", "")
        told.append((parts["kind"]["valueCode"], step or text))
    return told
