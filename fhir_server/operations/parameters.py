"""What an operation was called with."""

from dataclasses import dataclass, field
from typing import Any

from fhir_server.interactions.request import Request
from fhir_server.outcome import Invalid, Issue


@dataclass(slots=True)
class Parameters:
    """The parameters of one call, checked against the OperationDefinition.

    request: what else was asked: type, id and version from the URL, headers.
    values: by name: primitives and complex values as in JSON, resources, or for a parameter with
        parts again values by name.
    search: the search parameters, for an operation that takes those of its type.
    """

    request: Request
    values: dict[str, list[Any]] = field(default_factory=dict)
    search: list[tuple[str, str]] = field(default_factory=list)

    @property
    def type(self) -> str:
        """The type in the URL; empty at the level of the system."""
        return self.request.type

    @property
    def id(self) -> str:
        """The id in the URL; empty unless the operation is called on an instance."""
        return self.request.id

    def all(self, name: str) -> list[Any]:
        """Every value of a parameter."""
        return self.values.get(name, [])

    def one(self, name: str) -> Any:
        """The value of a parameter, None if it is absent."""
        return next(iter(self.all(name)), None)

    def text(self, name: str) -> str:
        """The value of a parameter that is text, empty if it is absent."""
        return self.one(name) or ""

    def flag(self, name: str, *, absent: bool = False) -> bool:
        """The value of a boolean parameter."""
        found = self.one(name)
        return absent if found is None else found is True

    def refuse(self, *names: str) -> None:
        """Raises `Invalid` if a parameter is given that this server cannot heed."""
        given = [name for name in names if self.all(name)]
        if given:
            raise Invalid(
                [
                    Issue("not-supported", f"The parameter {name} is not supported; leave it out")
                    for name in given
                ]
            )

    def exactly_one(self, *names: str) -> str:
        """The one of several parameters that is given. Raises `Invalid` if it is not just one."""
        given = [name for name in names if self.all(name)]
        if len(given) != 1:
            expected = ", ".join(names)
            found = " and ".join(given) or "none"
            raise Invalid(Issue("invalid", f"Expected just one of {expected}; found {found}"))
        return given[0]

    def in_url(self) -> list[tuple[str, str]]:
        """The primitive values as the parameters of a URL, for links."""
        return [
            (name, str(value).lower() if isinstance(value, bool) else str(value))
            for name, values in self.values.items()
            for value in values
            if not isinstance(value, dict)
        ] + self.search
