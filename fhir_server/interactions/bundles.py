"""Bundles that answer: pages of matches or versions, with their links (R4 bundle.html)."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from fhir_server.context import Context
from fhir_server.fhir_json import encode
from fhir_server.interactions.request import Request
from fhir_server.interactions.writing import instant_text
from fhir_server.outcome import Invalid, Issue, operation_outcome


def page_size(request: Request, default: int, largest: int) -> int:
    """The page size that `_count` asks for; a larger one than allowed means the largest.

    Raises `Invalid` for what is no number.
    """
    text = request.one("_count")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(Issue("value", f"_count={text!r}: expected a whole number, 0 or more"))
    return min(int(text), largest)


def url(ctx: Context, path: str, parameters: Sequence[tuple[str, str]]) -> str:
    """An absolute URL of this server with a query."""
    query = "&".join(
        f"{quote(name, safe=':')}={quote(value, safe=_SAFE)}" for name, value in parameters
    )
    base = f"{ctx.base_url}/{path}" if path else ctx.base_url
    return f"{base}?{query}" if query else base


# Readable in links: these have no meaning of their own in a query.
_SAFE = ":/|,.-_~"


def raw(content: bytes) -> msgspec.Raw:
    """JSON that goes into a Bundle as it is, unparsed."""
    return msgspec.Raw(content)


def outcome_entry(issues: Sequence[Issue]) -> dict[str, Any]:
    """The entry of a searchset that tells what the client should know."""
    return {"resource": operation_outcome(issues), "search": {"mode": "outcome"}}


def bundle(
    ctx: Context,
    kind: str,
    links: Sequence[tuple[str, str]],
    entries: Sequence[dict[str, Any]],
    total: int | None = None,
) -> bytes:
    """A searchset or history Bundle as JSON."""
    resource: dict[str, Any] = {
        "resourceType": "Bundle",
        "id": ctx.new_id(),
        "meta": {"lastUpdated": instant_text(ctx.now())},
        "type": kind,
    }
    if total is not None:
        resource["total"] = total
    resource["link"] = [{"relation": relation, "url": target} for relation, target in links]
    if entries:
        resource["entry"] = list(entries)
    return encode(resource)
