"""Orders that somebody has to verify before they are orders (ORD-3)."""

from fhir_server.settings import Settings
from tests.answers import refusal_of, resource_of
from tests.http.serving import serving
from tests.workflow.ordering import reference, ward
from tests.workflow.stepping import (
    SOON,
    call,
    ordered,
    practitioner,
    staff,
    step,
)


async def test_ord_3_order_is_verified_where_that_is_asked_for(database: str) -> None:
    """With who verified it, how, and the coverage details."""
    async with serving(Settings(database_pool=4, verify_orders=True), database) as strict:
        at = await ward(strict)
        target = await ordered(strict, "imaging", at)
        answer = await call(strict, target, "schedule", time=SOON)
        assert f"{target} is pending-verification" in refusal_of(answer, 409)
        coverage = await reference(
            strict,
            {
                "resourceType": "Coverage",
                "status": "active",
                "beneficiary": {"reference": at.patient},
                "payor": [{"reference": at.patient}],
            },
        )
        who = await practitioner(strict, "receptionist")
        done = await step(
            strict, target, "verify", method="by phone", coverage=coverage, details="no co-payment",
            actor=who,
        )  # fmt: skip
        assert (done["state"], done["order"]["status"]) == ("ordered", "active")
        assert done["order"]["insurance"] == [{"reference": coverage}]
        facts = [each["valueString"] for each in done["task"]["output"]]
        assert facts == ["by phone", "no co-payment"]
        told = resource_of(await strict.get(done["order"]["relevantHistory"][-1]["reference"]))
        assert told["agent"][0]["who"] == {"reference": who}
        assert told["entity"] == [{"role": "source", "what": {"reference": coverage}}]
        assert (await step(strict, target, "schedule", time=SOON))["state"] == "scheduled"


async def test_ord_3_order_that_is_rejected_goes_no_further(database: str) -> None:
    async with serving(Settings(database_pool=4, verify_orders=True), database) as strict:
        target = await ordered(strict)
        device = (await staff(strict)).device
        answer = await call(strict, target, "complete", actor=device)
        assert f"{target} is pending-verification" in refusal_of(answer, 409)
        done = await step(strict, target, "reject", reason="not covered at all")
        assert (done["state"], done["order"]["status"], done["task"]["status"]) == (
            "rejected", "revoked", "rejected",
        )  # fmt: skip
        answer = await call(strict, target, "verify", method="by phone")
        assert f"{target} is rejected" in refusal_of(answer, 409)
