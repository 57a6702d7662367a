"""Making a hospital on a server: its people and places, then its orders step by step."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from fhir_server.demo.hospital import SYSTEM, Hospital, Json
from fhir_server.demo.ordering import Planned, planned

_ORDERS_A_PATIENT = 3
_AT_A_TIME = 4
_ENTRIES = 100
_OVER = frozenset({"reported", "cancelled"})


class Refused(Exception):
    """What the server refused, and why."""


@dataclass(slots=True)
class Built:
    """What was made.

    name: of the hospital. there: it was there already, and nothing was added.
    orders: how many by state.
    """

    name: str
    there: bool = False
    orders: Counter[str] = field(default_factory=Counter)
    resources: int = 0


async def build(
    client: httpx.AsyncClient,
    seed: int,
    patients: int,
    *,
    begin: Callable[[int], None] = lambda total: None,
    advance: Callable[[], None] = lambda: None,
) -> Built:
    """Make the hospital of a seed, or what is missing of it.

    begin: told how many requests there will be; advance: told of each that was answered.
    Raises `Refused`, and httpx.HTTPError when the server does not answer.
    """
    known = await _known(client, seed)
    if known is not None and known["active"]:
        return Built(known["name"], there=True)
    hospital = Hospital(seed, patients, _began(known))
    resources = hospital.resources()
    orders = planned(hospital, patients * _ORDERS_A_PATIENT)
    pages = [resources[at : at + _ENTRIES] for at in range(0, len(resources), _ENTRIES)]
    begin(len(pages) + sum(1 + len(each.steps) for each in orders) + 2)
    sender = _Sender(client, advance)
    await sender.put([hospital.organization(complete=False)])
    for page in pages:
        await sender.put(page)
    built = Built(hospital.name, resources=1 + len(resources))
    await sender.place(orders, built)
    await sender.put(
        [*_finished(hospital, resources, orders), hospital.organization(complete=True)]
    )
    return built


async def _known(client: httpx.AsyncClient, seed: int) -> Json | None:
    """The hospital of a seed, as far as it is there."""
    query = {"identifier": f"{SYSTEM}|{seed}-hospital"}
    bundle = _answer(await client.get("Organization", params=query))
    found: list[Json] = [each["resource"] for each in bundle.get("entry", ())]
    return found[0] if found else None


def _began(known: Json | None) -> datetime:
    if known is None:
        return datetime.now(UTC).replace(second=0, microsecond=0)
    return datetime.fromisoformat(known["identifier"][0]["period"]["start"])


def _finished(
    hospital: Hospital, resources: Iterable[Json], orders: Sequence[Planned]
) -> list[Json]:
    """The encounters in which nothing is left to be done, as they are then."""
    open_ = {each.order["encounter"]["reference"] for each in orders if each.state not in _OVER}
    return [
        each | {"status": "finished", "period": each["period"] | {"end": hospital.at(hours=1)}}
        for each in resources
        if each["resourceType"] == "Encounter" and f"Encounter/{each['id']}" not in open_
    ]


class _Sender:
    def __init__(self, client: httpx.AsyncClient, advance: Callable[[], None]) -> None:
        self._client = client
        self._advance = advance
        self._free = asyncio.Semaphore(_AT_A_TIME)

    async def put(self, resources: Sequence[Json]) -> None:
        """Store resources under their ids in one transaction."""
        entries = [
            {
                "resource": each,
                "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"},
            }
            for each in resources
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        _answer(await self._client.post("", json=bundle))
        self._advance()

    async def place(self, orders: Sequence[Planned], built: Built) -> None:
        """Place orders and let them take their steps, a few orders at a time."""
        try:
            async with asyncio.TaskGroup() as group:
                for each in orders:
                    group.create_task(self._place(each, built))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _place(self, each: Planned, built: Built) -> None:
        async with self._free:
            identifier = each.order["identifier"][0]
            condition = f"identifier={identifier['system']}|{identifier['value']}"
            headers = {"If-None-Exist": condition, "Prefer": "return=representation"}
            answer = await self._client.post("ServiceRequest", json=each.order, headers=headers)
            order = _answer(answer)
            self._advance()
            state = "pending-verification" if order["status"] == "draft" else "ordered"
            if state != "ordered" and each.steps:
                await self._verify(order["id"])
            for step in each.steps:
                state = await self._call(order["id"], step.operation, step.parameters)
                self._advance()
            built.orders[state] += 1
            built.resources += 1

    async def _verify(self, id_: str) -> None:
        method = {"name": "method", "valueString": "Insurance card seen"}
        await self._call(id_, "verify", [method])

    async def _call(self, id_: str, operation: str, parameters: list[Json]) -> str:
        body = {"resourceType": "Parameters", "parameter": parameters}
        answer = _answer(await self._client.post(f"ServiceRequest/{id_}/${operation}", json=body))
        (state,) = (each["valueCode"] for each in answer["parameter"] if each["name"] == "state")
        return str(state)


def _answer(answer: httpx.Response) -> dict[str, Any]:
    """The resource of an answer. Raises `Refused`."""
    try:
        resource = answer.json()
    except ValueError:
        resource = None
    if answer.is_success and isinstance(resource, dict):
        return resource
    issues = resource.get("issue", ()) if isinstance(resource, dict) else ()
    why = "; ".join(str(each.get("diagnostics")) for each in issues) or answer.text[:200]
    raise Refused(
        f"{answer.request.method} {answer.request.url} was answered by {answer.status_code}: {why}"
    )
