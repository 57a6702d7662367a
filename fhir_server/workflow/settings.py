"""What a house decides about its orders."""

from dataclasses import dataclass

from fhir_server.workflow.numbers import Numbering


@dataclass(frozen=True, slots=True)
class OrderSettings:
    """What a house decides about its orders.

    verify: an order waits until somebody has verified it.
    involved: a requester takes part in the encounter, or in the care of the patient.
    """

    numbering: Numbering
    verify: bool = False
    involved: bool = False
