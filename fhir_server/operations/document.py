"""Composition/$document (R4 composition-operation-document.html, documents.html#content)."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode, encode
from fhir_server.interactions.bundles import raw
from fhir_server.interactions.create import create
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.read import read
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.interactions.writing import instant_text
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue
from fhir_server.search.links import Links
from fhir_server.search.lookups import START, Row, Wanted, find

MOST_ENTRIES = 5_000

_OWN = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/([0-9]{1,9}))?")


async def document(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """A document of a Composition: a Bundle with it and all that it refers to.

    References to other servers stay as they are. Raises `NotFound` and `Gone`, and `Invalid` for
    what a Composition refers to and is not here: a document must be whole.
    """
    parameters.refuse("graph")
    persist = parameters.flag("persist")
    if persist and parameters.request.method != "POST":
        text = "persist=true stores the document, so it needs POST"
        raise Invalid(Issue("not-supported", text))
    stored = await read(engine, ctx, Request("GET", "Composition", _id(ctx, parameters)))
    composition = decode(stored.body or b"")
    rows = await _referred(engine, ctx, composition)
    bundle = {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{ctx.new_id()}"},
        "type": "document",
        "timestamp": instant_text(ctx.now()),
        "entry": [
            _entry(ctx, "Composition", stored.id, stored.body or b""),
            *(_entry(ctx, row.type, row.id, row.content or b"") for row in rows),
        ],
    }
    if not persist:
        return Result(200, encode({"resourceType": "Bundle", "id": ctx.new_id()} | bundle))
    resource = decode(encode(bundle))
    made = await create(engine, ctx, Request("POST", "Bundle", resource=resource))
    made.status = 200
    return made


def _id(ctx: Context, parameters: Parameters) -> str:
    given = parameters.text("id")
    if parameters.id:
        if given:
            raise Invalid(Issue("invalid", "The URL names the Composition; leave out id"))
        return parameters.id
    found = given.removeprefix(f"{ctx.base_url}/").removeprefix("Composition/")
    if not found:
        raise Invalid(Issue("required", "Expected the id of a Composition"))
    if "/" in found:
        text = f"The Composition {given!r} is on another server; only this one's are bundled"
        raise Invalid(Issue("not-supported", text))
    return found


async def _referred(engine: Engine, ctx: Context, composition: dict[str, Any]) -> Sequence[Row]:
    """The resources of this server that a Composition refers to, each once."""
    checked = engine.structure.check(composition)
    texts = [item["reference"] for item in checked.references]
    links = _links(ctx, engine, texts, f"Composition/{composition['id']}")
    if len(texts) > MOST_ENTRIES:
        text = f"The Composition has more than {MOST_ENTRIES} references"
        raise Invalid(Issue("too-costly", text), status=422)
    async with engine.store.connection(ctx.tenant) as connection:
        at = engine.settling(ctx, connection)
        rows, _ = await find(
            at, Wanted(links), [], after=START, most=MOST_ENTRIES, read=MOST_ENTRIES
        )
    _check_whole(links, rows)
    return rows


def _links(ctx: Context, engine: Engine, texts: Iterable[str], own: str) -> Links:
    links = Links()
    for text in texts:
        for base in (ctx.base_url, engine.where.base_url):
            text = text.removeprefix(f"{base}/")
        found = _OWN.fullmatch(text)
        if found is None or f"{found[1]}/{found[2]}" == own:
            continue
        if found[3] is None:
            links.current.add((found[1], found[2]))
        else:
            links.versions.add((found[1], found[2], int(found[3])))
    return links


def _check_whole(links: Links, rows: Sequence[Row]) -> None:
    """Raises `Invalid` unless everything was found, in one version each."""
    found = {(row.type, row.id, row.version) for row in rows}
    present = {(row.type, row.id) for row in rows}
    missing = [f"{type_}/{id_}" for type_, id_ in links.current - present]
    missing += [f"{t}/{i}/_history/{v}" for t, i, v in links.versions - found]
    if missing:
        text = f"The Composition refers to what is not here: {', '.join(sorted(missing)[:20])}"
        raise Invalid(Issue("incomplete", text), status=422)
    if len(found) > len(present):
        text = "The Composition refers to several versions of one resource"
        raise Invalid(Issue("not-supported", text), status=422)


def _entry(ctx: Context, type_: str, id_: str, content: bytes) -> dict[str, Any]:
    return {"fullUrl": f"{ctx.base_url}/{type_}/{id_}", "resource": raw(content)}


DOCUMENT = Operation("Composition-document", document, "A document of a Composition")
