"""CodeSystem/$lookup (R4 codesystem-operation-lookup.html)."""

from collections.abc import Iterator

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations import languages, output
from fhir_server.operations.meant import GivenCode, codes
from fhir_server.operations.operation import Operation
from fhir_server.operations.output import Part
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import NotFound, Refusal
from fhir_server.terminology.model import Coding, Designation
from fhir_server.terminology.service import Concept

_LANGUAGE = "lang."
# Asks for all properties there are.
_ALL = "*"


async def lookup(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """What a code system says of a code; everything unless `property` names what is wanted.

    Raises `NotFound` for a code that the system does not have.
    """
    parameters.refuse("date")
    parameters.exactly_one("code", "coding")
    (given,) = codes(parameters, system="", version="version")
    concept = await _concept(engine, ctx, given)
    wanted = frozenset(parameters.all("property"))
    language = parameters.text("displayLanguage")
    display = languages.display(concept.display, concept.designations, language)
    parts = [output.value("name", "string", concept.name or given.system)]
    if concept.version:
        parts.append(output.value("version", "string", concept.version))
    parts.append(output.value("display", "string", display or concept.code))
    parts += (_designation(each) for each in concept.designations if _is_wanted(each, wanted))
    parts += _properties(concept, wanted)
    return output.parameters(parts)


async def _concept(engine: Engine, ctx: Context, given: GivenCode) -> Concept:
    try:
        return await engine.terminology.lookup(
            ctx, engine.store, given.system, given.code, version=given.version
        )
    except Refusal as refusal:
        if any(issue.code == "code-invalid" for issue in refusal.issues):
            raise NotFound(refusal.issues) from None
        raise


def _is_wanted(each: Designation, wanted: frozenset[str]) -> bool:
    if not wanted or wanted & {_ALL, "designation"}:
        return True
    return f"{_LANGUAGE}{each.language}" in wanted


def _designation(each: Designation) -> Part:
    parts = []
    if each.language:
        parts.append(output.value("language", "code", each.language))
    if each.use is not None:
        parts.append(output.value("use", "Coding", languages.coding(each.use)))
    parts.append(output.value("value", "string", each.value))
    return output.group("designation", parts)


def _properties(concept: Concept, wanted: frozenset[str]) -> Iterator[Part]:
    everything = not wanted or _ALL in wanted
    if concept.definition and (everything or "definition" in wanted):
        yield _property("definition", output.value("value", "string", concept.definition))
    for name, related in (("parent", concept.parents), ("child", concept.children)):
        if everything or name in wanted:
            yield from (_property(name, output.value("value", "code", each)) for each in related)
    if concept.inactive and (everything or "inactive" in wanted):
        yield _property("inactive", output.value("value", "boolean", True))
    for each in concept.properties:
        if each.typed is None or each.code in _STATED or not (everything or each.code in wanted):
            continue
        key, content = each.typed
        shown = languages.coding(content) if isinstance(content, Coding) else content
        yield _property(each.code, {"name": "value", key: shown})


# What is told of every concept, whatever property says it.
_STATED = frozenset({"parent", "child", "inactive"})


def _property(code: str, value: Part) -> Part:
    return output.group("property", [output.value("code", "code", code), value])


LOOKUP = Operation("CodeSystem-lookup", lookup, "What a code system says of a code")
