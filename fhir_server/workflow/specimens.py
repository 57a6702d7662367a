"""The Specimen of a laboratory order (R4 specimen.html)."""

from typing import Any

from fhir_server.workflow.canonicals import structure_definition
from fhir_server.workflow.steps import Asked

Resource = dict[str, Any]

_SPECIMEN_TYPE = structure_definition("order-specimen-type")
_COLLECTORS = ("Practitioner/", "PractitionerRole/")


def collected(id_: str, request: Resource, asked: Asked) -> Resource:
    """A specimen as it was collected for an order; its type is the one asked for, if none is told.

    asked: the step, whose inputs describe the specimen.
    """
    given = asked.inputs
    specimen: Resource = {
        "resourceType": "Specimen",
        "id": id_,
        "status": "available",
        "subject": request["subject"],
        "request": [{"reference": f"ServiceRequest/{request['id']}"}],
        "collection": _collection(asked),
    }
    if type_ := given.get("type") or _wanted_type(request):
        specimen["type"] = type_
    if identifier := given.get("identifier"):
        specimen["identifier"] = [identifier]
    if container := given.get("container"):
        specimen["container"] = [{"type": container}]
    if note := given.get("note"):
        specimen["note"] = [{"text": note, "time": asked.at}]
    return specimen


def _collection(asked: Asked) -> Resource:
    given = asked.inputs
    collection: Resource = {"collectedDateTime": given.get("time") or asked.at}
    collector = given.get("collector") or asked.actor.reference
    if str(collector.get("reference", "")).startswith(_COLLECTORS):
        collection["collector"] = dict(collector)
    for name, element in (
        ("quantity", "quantity"),
        ("bodySite", "bodySite"),
        ("fasting", "fastingStatusCodeableConcept"),
    ):
        if given.get(name):
            collection[element] = given[name]
    return collection


def _wanted_type(request: Resource) -> Resource | None:
    found = (each for each in request.get("extension", ()) if each.get("url") == _SPECIMEN_TYPE)
    return next((each.get("valueCodeableConcept") for each in found), None)
