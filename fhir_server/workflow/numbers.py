"""The numbers that people know an order by: its order number and its accession number."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.outcome import Refusal
from fhir_server.workflow.canonicals import IDENTIFIER_TYPE
from fhir_server.workflow.refusals import invalid

Resource = dict[str, Any]

# DICOM PS3.5 6.2: a short string, SH, has 16 characters at most and no backslash.
SHORT_STRING = 16


@dataclass(frozen=True, slots=True)
class NumberKind:
    """A kind of number.

    name: what people call it. counter: the name of what counts it. code: of the identifier's type.
    longest: characters at most; 0 for any number of them.
    """

    name: str
    counter: str
    code: str
    system: str
    prefix: str
    width: int
    longest: int = 0

    def text(self, year: str, number: int) -> str:
        """A number as people write it; wider than the width when it has to be.

        Raises `Refusal`, 500, when there is no room for another digit.
        """
        found = f"{self.prefix}-{year}-{number:0{self.width}d}"
        if self.longest and len(found) > self.longest:
            text = f"The {self.name} {found} would be longer than {self.longest} characters"
            raise Refusal(invalid(text).issues, status=500)
        return found

    def identifier(self, value: str) -> Resource:
        """An identifier of this kind."""
        return {"type": self.type, "system": self.system, "value": value}

    @property
    def type(self) -> Resource:
        """What an identifier of this kind is, as Identifier.type."""
        return {"coding": [{"system": IDENTIFIER_TYPE, "code": self.code}]}

    def of(self, resource: Mapping[str, Any]) -> Resource | None:
        """The identifier of this kind that a resource has, one of our system before others."""
        typed = None
        for each in resource.get("identifier", ()):
            if each.get("system") == self.system:
                return dict(each)
            if typed is None and self._is_type_of(each):
                typed = dict(each)
        return typed

    def _is_type_of(self, identifier: Mapping[str, Any]) -> bool:
        codings = identifier.get("type", {}).get("coding", ())
        return any(
            (each.get("system"), each.get("code")) == (IDENTIFIER_TYPE, self.code)
            for each in codings
        )

    def with_number(self, resource: Resource, identifier: Resource) -> Resource:
        """A resource with an identifier of this kind in place of the one it has, or added."""
        old = self.of(resource)
        others = resource.get("identifier", [])
        if old is None:
            return resource | {"identifier": [*others, identifier]}
        found = [identifier if each == old else each for each in others]
        return resource | {"identifier": found}

    def completed(self, identifier: Resource) -> Resource:
        """A supplied identifier with what tells others its kind.

        Raises `Invalid`, 422, for one that has no value or could not be one.
        """
        value = identifier.get("value", "")
        if not value.strip():
            raise invalid(f"The {self.name} has no value", _PLACE)
        if self.longest and (len(value) > self.longest or "\\" in value or not value.isprintable()):
            text = (
                f"The {self.name} {value!r} does not fit DICOM: expected at most {self.longest} "
                "printable characters without a backslash"
            )
            raise invalid(text, _PLACE)
        return {"type": self.type, "system": self.system} | identifier


_PLACE = "ServiceRequest.identifier"


@dataclass(frozen=True, slots=True)
class Numbering:
    """The kinds of numbers that an order has, and the zone whose year they restart in."""

    kinds: tuple[NumberKind, ...]
    zone: ZoneInfo

    def year(self, instant: datetime) -> str:
        """The year of the numbers given out at an instant."""
        return f"{instant.astimezone(self.zone).year:04d}"
