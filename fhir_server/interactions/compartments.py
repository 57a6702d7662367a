"""Which resources belong to a compartment (R4 compartmentdefinition.html, http.html#vsearch)."""

from collections.abc import Iterator

from fhir_server.outcome import Issue, NotFound
from fhir_server.search.conditions import Column, Condition, Keys, all_of, any_of
from fhir_server.search.keys import key
from fhir_server.search.parameters import SearchParameters
from fhir_server.spec import Definitions

# How a compartment definition says that the owner belongs to it, which holds of each.
_OWNER = "{def}"


def membership(
    definitions: Definitions, known: SearchParameters, compartment: tuple[str, str], type_: str
) -> Condition:
    """What a resource of a type, or of any type if that is empty, meets in a compartment.

    compartment: type and id of its owner. Raises `NotFound` for a type that has no compartment, and
    for one whose resources never belong to this one.
    """
    owner, id_ = compartment
    definition = definitions.compartments.get(owner)
    if definition is None:
        names = ", ".join(sorted(definitions.compartments))
        raise NotFound(
            Issue("not-supported", f"{owner} has no compartment; those that have: {names}")
        )
    if type_ and type_ not in definition.parameters:
        text = f"No {type_} belongs to the compartment of a {owner}"
        raise NotFound(Issue("not-supported", text))
    types = [type_] if type_ else list(definition.parameters)
    members: list[Condition] = []
    for name in types:
        members += _members(known, name, definition.parameters[name], f"{owner}/{id_}")
    if type_ in ("", owner):
        own = [Column("{r}.type = %s", (owner,)), Column("{r}.id = %s", (id_,), few=True)]
        members.append(all_of(own))
    return any_of(members)


def _members(
    known: SearchParameters, type_: str, codes: tuple[str, ...], reference: str
) -> Iterator[Condition]:
    for code in codes:
        parameter = known.get(type_, code) if code != _OWNER else None
        if parameter is not None:
            yield Keys((key(parameter.name, reference),))
