"""Asks each query once, before anything is measured, and looks closely at what it finds."""

import json
import unicodedata
from collections.abc import Callable
from typing import Any

from benchmarks.client import Connection, ConnectionBroken
from benchmarks.queries import Family, Query

_ORDERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "date": lambda resource: str(resource["effectiveDateTime"]),
    "birthdate": lambda resource: str(resource["birthDate"]),
    "family": lambda resource: _plain(resource["name"][0]["family"]),
}


async def probe(base_url: str, family: Family, *, totals: bool) -> dict[Query, str]:
    """What is wrong with the answer to each query; empty for a right one.

    totals: also ask for the exact number of matches.
    """
    connection = Connection(base_url)
    wrong = {}
    for query in family.queries:
        path = query.path + ("&_total=accurate" if totals else "")
        try:
            response = await connection.request("GET", path)
        except (ConnectionBroken, OSError) as error:
            wrong[query] = str(error)
            continue
        if response.status != 200:
            wrong[query] = f"{response.status} {_diagnostics(response.body)}"
        else:
            wrong[query] = judged(query, json.loads(response.body))
    connection.close()
    return wrong


def judged(query: Query, bundle: dict[str, Any]) -> str:
    """What is wrong with a Bundle, or nothing."""
    entries = bundle.get("entry", [])
    matches = [entry["resource"] for entry in entries if entry["search"]["mode"] == "match"]
    included = sum(entry["search"]["mode"] == "include" for entry in entries)
    type_ = query.path[1:].partition("?")[0]
    total = bundle.get("total")
    # The least known only to be so many says nothing of the page's size, but that it is full.
    if len(matches) != query.matches:
        return f"{len(matches)} matches on the page; expected {query.matches}"
    if total is not None and not query.least <= total <= query.most:
        return f"total {total}; expected {query.least} to {query.most}"
    if any(resource["resourceType"] != type_ for resource in matches):
        return f"matches of another type than {type_}"
    if included < query.included:
        return f"{included} included; expected at least {query.included}"
    return _misordered(query.order, matches) if query.order else ""


def _misordered(order: str, matches: list[dict[str, Any]]) -> str:
    values = [_ORDERS[order.removeprefix("-")](resource) for resource in matches]
    expected = sorted(values, reverse=order.startswith("-"))
    return "" if values == expected else f"not in the order of {order}: {values[:3]}…"


def _plain(text: str) -> str:
    """Without case and accents, which strings are not sorted by."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


def _diagnostics(body: bytes) -> str:
    try:
        return str(json.loads(body)["issue"][0]["diagnostics"])[:200]
    except (ValueError, KeyError, IndexError, TypeError):
        return body[:200].decode(errors="replace")
