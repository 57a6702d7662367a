"""Literal messages and what they become."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.hl7v2 import parse
from fhir_server.mapping.convert import Mapped, Mapper
from fhir_server.mapping.settling import Plan, settle, survivors, wanted
from fhir_server.packaged import folder

Json = dict[str, Any]

PID = "PID|1||123^^^CITY&1.2.3&ISO^MR||DOE^JOHN||19800101|M"
PV1 = "PV1|1|O|||||||||||||||||V1^^^CITY&1.2.3&ISO"


@functools.cache
def mapper() -> Mapper:
    """The rules that come with the server; times without an offset are Berlin's."""
    return Mapper(folder("mappings"), "Europe/Berlin")


def message(kind: str, *segments: str, at: str = "20260105120000", control_id: str = "M1") -> bytes:
    """A message of the application HIS of the facility CITY."""
    header = f"MSH|^~\\&|HIS|CITY|FHIR|CITY|{at}||{kind}|{control_id}|P|2.5.1"
    return "\r".join((header, *segments, "")).encode()


def mapped(kind: str, *segments: str, at: str = "20260105120000", explain: bool = False) -> Mapped:
    """What such a message becomes."""
    return mapper().convert(parse(message(kind, *segments, at=at)), explain=explain)


def resources(found: Mapped, type_: str) -> list[Json]:
    """The resources of a type among what a message became."""
    return [each.resource for each in found.entries if each.type == type_]


def resource(found: Mapped, type_: str) -> Json:
    """The only resource of a type."""
    (only,) = resources(found, type_)
    return only


class Store:
    """What is stored, by identity, as far as settling needs it: a FHIR server in a dictionary."""

    def __init__(self) -> None:
        self.held: dict[str, Json] = {}
        self.history: list[tuple[str, Json]] = []

    def take(self, found: Mapped) -> Plan:
        """Settle a message and keep what comes of it."""
        known = {key: self._having(*key) for key in wanted(found)}
        others: dict[str, Json] = {}
        latest: Sequence[Json] = [each for given in known.values() for each in given]
        while named := [each for each in survivors(latest) if each not in others]:
            others |= {each: self.held[each] for each in named}
            latest = [self.held[each] for each in named]
        plan = settle(found, known, self._new_id, others)
        for each in plan.resources:
            if each.new is not None:
                place = f"{each.type}/{each.id}"
                self.held[place] = each.new | {"id": each.id}
                self.history.append((place, self.held[place]))
        return plan

    def _having(self, type_: str, token: str) -> list[Json]:
        return [
            each
            for place, each in self.held.items()
            if place.startswith(f"{type_}/") and token in tokens(each)
        ]

    def _new_id(self) -> str:
        return f"n{len(self.history) + len(self.held)}-{self._next()}"

    def _next(self) -> int:
        self._count = getattr(self, "_count", 0) + 1
        return self._count

    def all(self, type_: str) -> list[Json]:
        """Everything stored of a type."""
        return [each for place, each in self.held.items() if place.startswith(f"{type_}/")]

    def only(self, type_: str) -> Json:
        """The only one of a type."""
        (found,) = self.all(type_)
        return found

    def by(self, type_: str, value: str) -> Json:
        """The one that has an identifier whose own, current value this is."""
        (found,) = [
            each
            for each in self.all(type_)
            if any(i["value"] == value and i.get("use") != "old" for i in each["identifier"])
        ]
        return found


def tokens(stored: Mapping[str, Any]) -> list[str]:
    """The identifiers of a resource as `system|value`."""
    return [f"{each.get('system', '')}|{each['value']}" for each in stored.get("identifier", ())]
