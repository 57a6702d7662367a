"""Who asks: what an identity provider, a certificate or a setting says of somebody."""

from dataclasses import dataclass

ADMINISTRATOR = "administrator"
SYSTEM = "system"
ROLES = frozenset(
    {
        ADMINISTRATOR, "doctor", "nurse", "receptionist", "billing-officer", "technician",
        "radiologist", "scheduler", SYSTEM,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody, or a program, whose identity was proved.

    name: as audits and logs tell it, such as `user:anna`, `client:laboratory`, `peer:RIS1`.
    roles: of `ROLES`, what they may act as.
    scopes: of their token; None if they are not limited by scopes.
    tenants: the territories they may enter, the first unless they choose; None for every one.
    fhir_user: the reference that stands for them, such as `Practitioner/1`; empty if none does.
    patient: the id of the patient their token is about (`launch/patient`); empty if none is.
    client: the program that asks for them; empty if there is no other.
    """

    name: str
    roles: frozenset[str]
    scopes: frozenset[str] | None = None
    tenants: tuple[str, ...] | None = None
    fhir_user: str = ""
    patient: str = ""
    client: str = ""


def program(name: str) -> Principal:
    """A part of this server, or a machine that its settings name, acting for nobody else."""
    return Principal(name, frozenset({SYSTEM}))


# Who asks while nobody has to prove who they are: on this machine only, the settings see to that.
LOCAL = Principal("local administrator", ROLES)
