"""Who may do a step of an order: people, their roles, and for how long (ORD-9)."""

import httpx

from fhir_server.workflow.canonicals import ROLE
from tests.answers import refusal_of, resource_of
from tests.workflow.ordering import create, reference
from tests.workflow.stepping import (
    SOON,
    call,
    ordered,
    practitioner,
    step,
    versions,
)


async def test_ord_9_actor_must_be_somebody_active_who_may(client: httpx.AsyncClient) -> None:
    target = await ordered(client)

    async def told(actor: str, status: int) -> str:
        answer = await call(client, target, "schedule", time=SOON, actor=actor)
        return refusal_of(answer, status)

    assert "expected a reference to a Device" in await told("Practitioner/none", 422)
    patient = resource_of(await client.get(target))["subject"]["reference"]
    assert "expected a reference to a Device" in await told(patient, 422)
    gone = await practitioner(client, "scheduler", active=False)
    assert f"The actor {gone} is not active" in await told(gone, 403)
    technician = await practitioner(client, "technician")
    assert "is for receptionist, scheduler, system; the actor is technician" in await told(
        technician, 403
    )
    nobody = await reference(client, {"resourceType": "Practitioner", "active": True})
    assert "the actor is no role" in await told(nobody, 403)
    device = await reference(client, {"resourceType": "Device", "status": "inactive"})
    assert f"The actor {device} is not active" in await told(device, 403)
    assert await versions(client, target) == [1, 1, 1]


async def test_ord_9_role_of_an_inactive_practitioner_may_nothing(
    client: httpx.AsyncClient,
) -> None:
    who = await practitioner(client, "scheduler", active=False)
    (role,) = resource_of(await client.get(f"PractitionerRole?practitioner={who}"))["entry"]
    name = f"PractitionerRole/{role['resource']['id']}"
    answer = await call(client, await ordered(client), "schedule", time=SOON, actor=name)
    assert f"The actor {name} is {who}, who is not active" in refusal_of(answer, 403)


async def test_ord_9_role_that_is_over_permits_nothing(client: httpx.AsyncClient) -> None:
    who = await reference(client, {"resourceType": "Practitioner", "active": True})
    role = {
        "resourceType": "PractitionerRole",
        "practitioner": {"reference": who},
        "code": [{"coding": [{"system": ROLE, "code": "scheduler"}]}],
        "period": {"start": "2020-01-01", "end": "2020-12-31"},
    }
    await create(client, role)
    target = await ordered(client)
    answer = await call(client, target, "schedule", time=SOON, actor=who)
    assert "the actor is no role" in refusal_of(answer, 403)
    await create(client, role | {"period": {"start": "2020-01-01"}})
    assert (await step(client, target, "schedule", time=SOON, actor=who))["state"] == "scheduled"


async def test_ord_9_role_itself_may_be_the_actor(client: httpx.AsyncClient) -> None:
    who = await practitioner(client, "scheduler")
    (role,) = resource_of(await client.get(f"PractitionerRole?practitioner={who}"))["entry"]
    name = f"PractitionerRole/{role['resource']['id']}"
    done = await step(client, await ordered(client), "schedule", time=SOON, actor=name)
    assert done["state"] == "scheduled"
