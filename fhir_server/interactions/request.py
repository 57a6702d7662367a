"""An interaction as asked for, whatever door it came in by."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from fhir_server.outcome import Invalid, Issue
from fhir_server.patch import Patch

MOST_PARAMETERS = 1000

RETURN_PREFERENCES = ("minimal", "representation", "OperationOutcome")
HANDLING_PREFERENCES = ("strict", "lenient")


@dataclass(frozen=True, slots=True)
class Prefer:
    """What the client prefers to get back (R4 http.html#ops, Prefer).

    returns: `minimal`, `representation`, `OperationOutcome`, or None when nothing was said.
    handling: `strict` refuses unknown search parameters, `lenient` ignores them.
    respond_async: an answer at once is better than one with everything (R4 async.html).
    """

    returns: str | None = None
    handling: str = "strict"
    respond_async: bool = False

    @classmethod
    def parse(cls, header: str | None) -> "Prefer":
        """Read a Prefer header; preferences this server does not know are ignored (RFC 7240)."""
        if not header:
            return _NO_PREFERENCE
        wishes: dict[str, str] = {}
        for part in header.replace(";", ",").split(","):
            name, _, value = part.strip().partition("=")
            wishes.setdefault(name.strip().lower(), value.strip().strip('"'))
        returns = wishes.get("return")
        handling = wishes.get("handling", "strict")
        return cls(
            returns if returns in RETURN_PREFERENCES else None,
            handling if handling in HANDLING_PREFERENCES else "strict",
            "respond-async" in wishes,
        )


_NO_PREFERENCE = Prefer()


@dataclass(slots=True)
class Request:
    """One interaction to carry out.

    type, id, version: from the URL, as far as it names them.
    compartment: type and id of the owner of the compartment that is searched.
    query: decoded name and value pairs, in the order given.
    resource: the decoded body, None when there is none.
    patch: the body as a patch, for an interaction that takes one.
    if_none_exist: the search of a conditional create.
    if_modified_since: an aware UTC instant.
    provenance: the Provenance that comes with a write, decoded.
    """

    method: str
    type: str = ""
    id: str = ""
    version: str = ""
    compartment: tuple[str, str] | None = None
    query: list[tuple[str, str]] = field(default_factory=list)
    resource: Any = None
    patch: Patch | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    if_none_exist: str | None = None
    if_modified_since: datetime | None = None
    prefer: Prefer = _NO_PREFERENCE
    provenance: Any = None

    def one(self, name: str) -> str | None:
        """The value of a parameter that may be given once.

        Raises `Invalid` when it is given several times.
        """
        values = [value for key, value in self.query if key == name]
        if len(values) > 1:
            raise Invalid(Issue("invalid", f"The parameter {name} may be given once, not {values}"))
        return values[0] if values else None


def decode_query(query: str | bytes) -> list[tuple[str, str]]:
    """The names and values of a query string, in the order given.

    Raises `Invalid` for bytes that are no UTF-8: replaced by a placeholder, two different values
    would become one.
    """
    try:
        text = query.decode("utf-8") if isinstance(query, bytes) else query
        return parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )
    except ValueError:
        text = (
            f"The query is not percent-encoded UTF-8, or has more than {MOST_PARAMETERS} parameters"
        )
        raise Invalid(Issue("invalid", text)) from None


def version_of_etag(tag: str) -> int | None:
    """The version an entity tag names, such as 3 for `W/"3"`; None when it names none of ours."""
    bare = tag.strip().removeprefix("W/").strip('"')
    return int(bare) if bare.isascii() and bare.isdigit() and len(bare) < 10 else None


def tags(header: str) -> list[int | None]:
    """The versions of a list of entity tags."""
    return [version_of_etag(tag) for tag in header.split(",")]
