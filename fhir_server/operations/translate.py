"""ConceptMap/$translate (R4 conceptmap-operation-translate.html)."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from fhir_server.context import Context
from fhir_server.fhir_json import encode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations import output
from fhir_server.operations.applicable_maps import Ends, applicable, ends_of
from fhir_server.operations.meant import GivenCode, canonical, codes
from fhir_server.operations.operation import Operation
from fhir_server.operations.output import Part
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue, NotFound, Refusal
from fhir_server.terminology import refusals
from fhir_server.terminology.concept_map import ConceptMapIndex, Translation, handed_on
from fhir_server.terminology.model import ConceptMap, Dependency


async def translate(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """What a code maps to: by one map, or by all from and to the value sets that are named.

    Of a CodeableConcept every coding is mapped. A mapping that depends on further elements is
    given only if each of them is among the dependencies.
    """
    given = codes(parameters, system="", version="version")
    maps = await _maps(engine, ctx, parameters)
    found: dict[tuple[str, ...], Translation] = {}
    for each in _translations(maps, given, parameters):
        found.setdefault((each.source, each.system, each.code, each.equivalence), each)
    usable = [each for each in found.values() if _met(each.depends_on, parameters)]
    return _answer(usable, len(found) - len(usable), given)


# maps


async def _maps(engine: Engine, ctx: Context, parameters: Parameters) -> list[ConceptMapIndex]:
    posted = parameters.one("conceptMap")
    ends = _ends(parameters)
    if posted is not None:
        if parameters.id or parameters.text("url"):
            raise Invalid(Issue("invalid", "Expected a conceptMap, a url or an id, not several"))
        _check_ends(posted, ends)
        return [await _posted(engine, ctx, posted)]
    if parameters.id or parameters.text("url"):
        name = canonical(parameters, "conceptMapVersion")
        map_ = await engine.terminology.concept_map(ctx, engine.store, name)
        if ends:
            stated = await engine.terminology.find(ctx, engine.store, "ConceptMap", name)
            _check_ends(stated or {}, ends)
        return [map_]
    if not ends:
        text = "Expected a url, an id, a conceptMap, or value sets as source or target"
        raise Invalid(Issue("required", text))
    names = await applicable(engine, ctx, ends)
    if not names:
        text = f"There is no concept map {ends}"
        raise NotFound(Issue("not-found", text))
    terminology = engine.terminology
    return [await terminology.concept_map(ctx, engine.store, name) for name in names]


def _ends(parameters: Parameters) -> Ends:
    source, target = parameters.text("source"), parameters.text("target")
    return Ends(target, source) if parameters.flag("reverse") else Ends(source, target)


def _check_ends(resource: dict[str, Any], ends: Ends) -> None:
    stated = ends_of(resource)
    if not ends.fits(stated):
        text = f"The concept map '{resource.get('url', '')}' is {stated}, not {ends}"
        raise Invalid(Issue("invalid", text))


async def _posted(engine: Engine, ctx: Context, resource: dict[str, Any]) -> ConceptMapIndex:
    map_ = await asyncio.to_thread(lambda: msgspec.json.decode(encode(resource), type=ConceptMap))
    others: dict[str, ConceptMapIndex | Refusal] = {}
    for url in handed_on(map_):
        try:
            others[url] = await engine.terminology.concept_map(ctx, engine.store, url)
        except Refusal as refusal:
            others[url] = refusals.again(refusal)
    return ConceptMapIndex(map_, others)


# mappings


def _translations(
    maps: Sequence[ConceptMapIndex], given: Sequence[GivenCode], parameters: Parameters
) -> Iterator[Translation]:
    target = parameters.text("targetsystem")
    for map_ in maps:
        ask = map_.reverse if parameters.flag("reverse") else map_.translate
        for code in given:
            yield from ask(code.system, code.code, target)


def _met(needed: Sequence[Dependency], parameters: Parameters) -> bool:
    given = parameters.all("dependency")
    return all(any(_meets(one, each) for one in given) for each in needed)


def _meets(given: dict[str, Any], needed: Dependency) -> bool:
    if given.get("element") != [needed.property]:
        return False
    return any(
        coding.get("code") == needed.value and needed.system in ("", coding.get("system"))
        for concept in given.get("concept", ())
        for coding in concept.get("coding", ())
    )


# the answer


def _answer(found: Sequence[Translation], depending: int, given: Sequence[GivenCode]) -> Result:
    matched = any(each.matches for each in found)
    parts = [output.value("result", "boolean", matched)]
    notes = []
    if not matched:
        notes.append("no match: the map says so" if found else "no match was found")
    if depending:
        notes.append(f"{depending} mappings depend on elements that were not given")
    if any(one.version for one in given):
        notes.append("the version of the code's system was not compared")
    if notes:
        parts.append(output.value("message", "string", "; ".join(notes).capitalize()))
    return output.parameters(parts + [_match(each) for each in found])


def _match(found: Translation) -> Part:
    parts = []
    if found.equivalence:
        parts.append(output.value("equivalence", "code", found.equivalence))
    concept = {
        "system": found.system,
        "version": found.version,
        "code": found.code,
        "display": found.display,
    }
    if found.code:
        filled = {name: text for name, text in concept.items() if text}
        parts.append(output.value("concept", "Coding", filled))
    parts += [_product(each) for each in found.product]
    if found.source:
        parts.append(output.value("source", "uri", found.source))
    return output.group("match", parts)


def _product(each: Dependency) -> Part:
    concept = {"system": each.system, "code": each.value, "display": each.display}
    coding = {name: text for name, text in concept.items() if text}
    return output.group(
        "product",
        [
            output.value("element", "uri", each.property),
            output.value("concept", "Coding", coding),
        ],
    )


TRANSLATE = Operation("ConceptMap-translate", translate, "What a code maps to")
