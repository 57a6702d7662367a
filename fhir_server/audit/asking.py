"""Search parameters of AuditEvent, asked of the trail (R4 auditevent.html#search).

What can be asked here is answered as if its events were stored as resources; anything else is
refused by name, since an answer without the trail would be a wrong one.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from fhir_server.audit.resource import (
    ACTION,
    CODES,
    INTERACTION,
    OUTCOME,
    PREFIX,
    REST,
    RESTFUL,
    ROLE,
    TYPES,
)
from fhir_server.outcome import Invalid, Issue
from fhir_server.search.keys import hash64_uncached, reference_text
from fhir_server.search.values import DateRange, Instants
from fhir_server.storage.audit_reading import NEVER, Test, about, begins, is_one

# What shapes an answer or is understood elsewhere.
SHAPING = frozenset(
    {"_count", "_cursor", "_elements", "_format", "_pretty", "_sort", "_summary", "_total"}
)

# The keys of all that belongs to a patient now, the patient included.
Belonging = Callable[[str], Awaitable[Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Asking:
    """What a search means. base_url: of this server, as the client sees it."""

    base_url: str
    instants: Instants
    belonging: Belonging

    async def tests(self, query: Iterable[tuple[str, str]]) -> list[Test]:
        """What events have to meet. Raises `Invalid` for what cannot be asked of the trail."""
        found: list[Test] = []
        for name, value in query:
            if name in SHAPING:
                continue
            if name in ("date", "_lastUpdated"):
                found += self._time(name, value)
            else:
                found.append(await self._test(name, value))
        return found

    async def _test(self, name: str, text: str) -> Test:
        values = text.split(",")
        match name:
            case "_id":
                return _numbers(values)
            case "action":
                return _coded("action", ACTION, values)
            case "outcome":
                return _coded("outcome", OUTCOME, values)
            case "type":
                return _doors(values)
            case "subtype":
                return _interactions(values)
            case "agent-role":
                return Test("role", [_code(each, ROLE) for each in values])
            case "altid":
                return is_one("principal", [each.removeprefix("|") for each in values])
            case "address":
                return begins("address", values)
            case "agent":
                return is_one("fhir_user", [self._reference(name, each) for each in values])
            case "entity" | "entity:Patient":
                target = name.partition(":")[2]
                names = [self._reference(name, each, target) for each in values]
                return about([hash64_uncached(each) for each in names])
            case "patient" | "patient:Patient":
                names = [self._reference(name, each, "Patient") for each in values]
                keys = [key for each in names for key in await self.belonging(each)]
                return about(keys)
        raise _not_understood(name)

    def _reference(self, name: str, text: str, target: str = "") -> str:
        found = reference_text(text, self.base_url)
        if "/" not in found:
            if not target:
                text = f"{name}={text!r}: expected a type and an id, such as Practitioner/1"
                raise Invalid(Issue("value", text))
            found = f"{target}/{found}"
        return found

    def _time(self, name: str, text: str) -> list[Test]:
        if "," in text:
            issue = Issue("not-supported", f"{name}={text!r}: give one time each; of the trail no "
                          "several can be asked")  # fmt: skip
            raise Invalid(issue)
        prefix, bare = (text[:2], text[2:]) if text[:2].isalpha() else ("eq", text)
        try:
            low, high = self.instants.of_text(bare)
        except ValueError:
            expected = "expected a date or time such as ge2026-11-21T10:00:00Z"
            raise Invalid(Issue("value", f"{name}={text!r}: {expected}")) from None
        return _within(name, prefix, (low, high))


def _within(name: str, prefix: str, limits: DateRange) -> list[Test]:
    low, high = limits
    match prefix:
        case "eq":
            return [Test("from", low), Test("before", high)]
        case "ge":
            return [Test("from", low)]
        case "gt" | "sa":
            return [Test("from", high)]
        case "le":
            return [Test("before", high)]
        case "lt" | "eb":
            return [Test("before", low)]
    known = "eq, ge, gt, le, lt, sa, eb"
    text = f"{name}: the prefix {prefix!r} cannot be asked of the audit trail; expected {known}"
    raise Invalid(Issue("not-supported", text))


def _numbers(values: Sequence[str]) -> Test:
    bare = [each.removeprefix(PREFIX) for each in values if each.startswith(PREFIX)]
    numbers = [each for each in bare if each.isascii() and each.isdigit() and len(each) < 19]
    return Test("number", [int(each) for each in numbers])


def _coded(column: str, system: str, values: Sequence[str]) -> Test:
    return is_one(column, [_code(each, system) for each in values])


def _code(value: str, system: str) -> str:
    """The code of a token; one that no event has if it is of another system."""
    given, bar, code = value.rpartition("|")
    if not code:
        raise Invalid(
            Issue("not-supported", f"{value!r}: expected a code, perhaps after its system")
        )
    return code if not bar or given == system else "\x1f"


def _doors(values: Sequence[str]) -> Test:
    known = {**TYPES, "": REST}
    found = [door for door, coding in known.items() for each in values if _is(each, coding)]
    if "" in found:
        left = [door for door in TYPES if door not in found]
        return Test("is not", left, "door")
    return is_one("door", found)


def _interactions(values: Sequence[str]) -> Test:
    found = [name for name, code in CODES.items() if any(_is(v, (RESTFUL, code)) for v in values)]
    return is_one("interaction", [*found, *(_code(each, INTERACTION) for each in values)])


def _is(value: str, coding: tuple[str, str]) -> bool:
    given, bar, code = value.rpartition("|")
    return code in ("", coding[1]) and (not bar or given == coding[0])


def _not_understood(name: str) -> Invalid:
    known = (
        "_id, _lastUpdated, action, address, agent, agent-role, altid, date, entity, outcome, "
        "patient, subtype, type"
    )
    text = f"{name} cannot be asked of the audit trail, which answers to {known}"
    return Invalid(Issue("not-supported", text))


__all__ = ["NEVER", "Asking"]
