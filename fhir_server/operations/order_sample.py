"""$collect-sample on a laboratory order: a Specimen that is new, or one that is here already."""

from collections.abc import Mapping
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations.operation import Operation
from fhir_server.operations.order_lookups import own
from fhir_server.operations.order_steps import Work, take_step
from fhir_server.operations.parameters import Parameters
from fhir_server.spec.operations import OWN_BASE
from fhir_server.workflow.refusals import invalid
from fhir_server.workflow.specimens import collected

# What describes a new specimen.
_DESCRIBING = ("type", "quantity", "container", "bodySite", "fasting", "identifier", "note")


async def collect_sample(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Say that the specimen of an order is there."""
    given = [name for name in _DESCRIBING if parameters.all(name)]
    if parameters.one("specimen") and given:
        text = f"specimen is here already; {given[0]} describes a new one: expected one of both"
        raise invalid(text, code="invalid")
    return await take_step(
        engine, ctx, parameters, "collect-sample", making=_specimen, made=_reference
    )


def _reference(ctx: Context, parameters: Parameters) -> Mapping[str, Any]:
    if parameters.one("specimen"):
        return {}
    return {"specimen": {"reference": f"Specimen/{ctx.new_id()}"}}


async def _specimen(work: Work) -> None:
    reference = work.asked.all_inputs["specimen"]["reference"]
    if work.parameters.one("specimen"):
        await _link(work, reference)
        return
    id_ = reference.partition("/")[2]
    work.store("specimen", collected(id_, work.order.request, work.asked))


async def _link(work: Work, reference: str) -> None:
    """Use a specimen that is here. Raises `Invalid`, 422, for another patient's."""
    identity = own(work.engine, work.ctx, reference)
    assert identity is not None, "looked up before"
    specimen = work.found[identity]
    whose = specimen.get("subject", {}).get("reference")
    patient = work.order.request["subject"].get("reference")
    if (
        whose
        and patient
        and own(work.engine, work.ctx, whose) != own(work.engine, work.ctx, patient)
    ):
        raise invalid(f"{reference} is of {whose}, {work.order.reference} of {patient}")
    work.sources.append(reference)


COLLECT_SAMPLE = Operation(
    "ServiceRequest-collect-sample",
    collect_sample,
    "Say that the specimen of a laboratory order is collected",
    writes=True,
    joins=True,
    base=OWN_BASE,
)
