"""ValueSet/$expand (R4 valueset-operation-expand.html)."""

import asyncio
from collections.abc import Iterable
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.interactions.writing import instant_text
from fhir_server.operations import languages, nesting, output
from fhir_server.operations.meant import canonical
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.operations.system_versions import with_versions
from fhir_server.outcome import Invalid, Issue
from fhir_server.terminology import refusals
from fhir_server.terminology.expansion import Block, Expansion
from fhir_server.terminology.members import Member

# Codes in one answer; a client that wants more asks for pages.
MOST_SHOWN = 10_000
# From so many codes on, they are looked through beside other requests.
_MANY = 5_000
_MOST_WARNINGS = 100

# What is told of a definition unless all of it is asked for.
_HEADING = (
    "url", "identifier", "version", "name", "title", "status", "experimental", "date", "publisher",
    "copyright",
)  # fmt: skip
_VERSIONS = ("system-version", "check-system-version", "force-system-version")
# Parameters that say which value set is meant, and so do not shape the expansion.
_NOT_ECHOED = frozenset({"url", "valueSet", "valueSetVersion"})


async def expand(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """The codes of a value set. Raises the refusals of terminology, and `too-costly` without pages.

    Codes are a flat list in the order of the value set unless `excludeNested` is false.
    """
    parameters.refuse("context", "contextDirection", "date")
    _check_page(parameters)
    definition, expansion = await _expansion(engine, ctx, parameters)
    if expansion.partial:
        raise refusals.incomplete(expansion.partial[0], "part")
    if expansion.total > _MANY:
        expansion = await asyncio.to_thread(_narrowed, expansion, parameters)
    else:
        expansion = _narrowed(expansion, parameters)
    shown = _definition(definition, parameters) if definition else _unknown(parameters)
    shown["expansion"] = {
        "identifier": f"urn:uuid:{ctx.new_id()}",
        "timestamp": instant_text(ctx.now()),
    } | _contents(expansion, parameters)
    return output.resource(shown)


async def _expansion(
    engine: Engine, ctx: Context, parameters: Parameters
) -> tuple[dict[str, Any] | None, Expansion]:
    """The definition, None for an implicit value set, and its codes that have the text asked for.

    Where versions of systems are asked for, the definition is changed to name them.
    """
    terminology, text = engine.terminology, parameters.text("filter")
    definition: dict[str, Any] | None = parameters.one("valueSet")
    name = ""
    if definition is None or parameters.id:
        if definition is not None:
            raise Invalid(Issue("invalid", "Expected an id or a valueSet, not both"))
        name = canonical(parameters, "valueSetVersion")
        definition = await terminology.find(ctx, engine.store, "ValueSet", name)
        if not any(parameters.all(each) for each in _VERSIONS):
            return definition, await terminology.expand(ctx, engine.store, name, text=text)
        if definition is None:
            raise refusals.unknown("ValueSet", name)
    versions = [parameters.all(each) for each in _VERSIONS]
    changed = with_versions(definition, *versions)
    rules = await terminology.value_set_of(ctx, engine.store, changed)
    expansion = await asyncio.to_thread(lambda: rules.expansion.where(text))
    return definition, expansion


def _check_page(parameters: Parameters) -> None:
    for name in ("offset", "count"):
        given = parameters.one(name)
        if given is not None and given < 0:
            raise Invalid(Issue("value", f"{name}={given}: expected 0 or more"))


def _narrowed(expansion: Expansion, parameters: Parameters) -> Expansion:
    if parameters.flag("activeOnly"):
        expansion = expansion.active
    excluded = frozenset(parameters.all("exclude-system"))
    if excluded:
        expansion = expansion.narrowed(lambda block: _outside(block, excluded))
    if parameters.flag("excludeNotForUI"):
        expansion = expansion.narrowed(_selectable)
    return expansion


def _outside(block: Block, systems: frozenset[str]) -> Block:
    system, version = block.selection.system, block.selection.version
    return Block(block.selection, ()) if {system, f"{system}|{version}"} & systems else block


def _selectable(block: Block) -> Block:
    index = block.selection.index
    if index is None:
        return block
    abstract = (
        code
        for code in block.codes
        if (at := index.find(code)) is not None and index.is_abstract(at)
    )
    left_out = frozenset(abstract)
    return Block(block.selection, [code for code in block.codes if code not in left_out])


# what is shown


def _definition(definition: dict[str, Any], parameters: Parameters) -> dict[str, Any]:
    whole = parameters.flag("includeDefinition")
    names = [name for name in definition if name not in ("id", "meta", "expansion")]
    kept = names if whole else [name for name in names if name.lstrip("_") in _HEADING]
    shown = {"resourceType": "ValueSet", "status": "unknown"}
    return shown | {name: definition[name] for name in kept}


def _unknown(parameters: Parameters) -> dict[str, Any]:
    url, _, version = parameters.text("url").partition("|")
    shown = {"resourceType": "ValueSet", "url": url, "status": "active"}
    return shown | {"version": version} if version else shown


def _contents(expansion: Expansion, parameters: Parameters) -> dict[str, Any]:
    nested = not parameters.flag("excludeNested", absent=True)
    count = parameters.one("count")
    found: dict[str, Any] = {"total": expansion.total}
    paged = count is not None or parameters.one("offset") is not None
    if paged and not nested:
        found["offset"] = parameters.one("offset") or 0
    found["parameter"] = [*_echo(parameters), *_told(expansion)]
    if not found["parameter"]:
        del found["parameter"]
    if count == 0:
        return found
    if (nested or count is None) and expansion.total - found.get("offset", 0) > MOST_SHOWN:
        text = (
            f"The expansion has {expansion.total} codes; at most {MOST_SHOWN} are shown at once. "
            "Ask for pages by offset and count, without nesting, or narrow it by filter"
        )
        raise Invalid(Issue("too-costly", text), status=422)
    if nested:
        contains = nesting.nested(expansion, lambda member: _entry(member, parameters))
    else:
        most = MOST_SHOWN if count is None else min(count, MOST_SHOWN)
        members = expansion.page(found.get("offset", 0), most)
        contains = [_entry(member, parameters) for member in members]
    return found | ({"contains": contains} if contains else {})


def _echo(parameters: Parameters) -> Iterable[dict[str, Any]]:
    """What shaped the expansion, as it was asked for."""
    for name, values in parameters.values.items():
        if name not in _NOT_ECHOED:
            yield from (_parameter(name, value) for value in values)


def _parameter(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return output.value(name, "boolean", value)
    if isinstance(value, int):
        return output.value(name, "integer", value)
    type_ = "code" if name == "displayLanguage" else "uri" if "system" in name else "string"
    return output.value(name, type_, value)


def _told(expansion: Expansion) -> Iterable[dict[str, Any]]:
    """What code systems were used, and what the value set names that they do not have."""
    for system in expansion.used:
        yield output.value("used-codesystem", "uri", system)
    for system, code in expansion.unlisted[:_MOST_WARNINGS]:
        yield output.value("warning-unknown-code", "string", f"{system}|{code}")


def _entry(member: Member, parameters: Parameters) -> dict[str, Any]:
    found: dict[str, Any] = {"system": member.system}
    for name in ("abstract", "inactive"):
        if getattr(member, name):
            found[name] = True
    if member.version:
        found["version"] = member.version
    found["code"] = member.code
    language = parameters.text("displayLanguage")
    if text := languages.display(member.display, member.designations, language):
        found["display"] = text
    tokens = parameters.all("designation")
    if parameters.flag("includeDesignations", absent=bool(tokens)):
        each = languages.chosen(member.designations, tokens) if tokens else member.designations
        if designations := [languages.designation(item) for item in each]:
            found["designation"] = designations
    return found


EXPAND = Operation("ValueSet-expand", expand, "The codes of a value set, to be filtered and paged")
