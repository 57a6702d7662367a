"""$validate-code of value sets and code systems.

R4 valueset-operation-validate-code.html, codesystem-operation-validate-code.html.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from fhir_server.context import Context
from fhir_server.fhir_json import encode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations import languages, output
from fhir_server.operations.meant import GivenCode, canonical, codes
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue, Refusal
from fhir_server.terminology.code_system import CodeSystemIndex
from fhir_server.terminology.grammars import GRAMMARS
from fhir_server.terminology.members import Member
from fhir_server.terminology.model import CodeSystem
from fhir_server.terminology.value_set import ValueSetRules


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Whether a code is valid, why not, and what it is called."""

    valid: bool
    message: str = ""
    display: str = ""


async def validate_in_value_set(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Whether a code is in a value set, with the display it is given.

    Of a CodeableConcept one coding that is valid is enough. Raises the refusals of terminology
    where it cannot be known.
    """
    parameters.refuse("context", "date")
    rules = await _rules(engine, ctx, parameters)
    given = codes(parameters, system="", version="systemVersion")

    async def ask(one: GivenCode) -> _Verdict:
        place = f"the value set '{rules.url or parameters.text('url')}'"
        return _judged(one, rules.member(one.system, one.code), place, parameters)

    return _answer(await _first_valid(given, ask))


async def _rules(engine: Engine, ctx: Context, parameters: Parameters) -> ValueSetRules:
    posted = parameters.one("valueSet")
    if posted is None:
        name = canonical(parameters, "valueSetVersion")
        return await engine.terminology.value_set(ctx, engine.store, name)
    _alone(parameters, "valueSet")
    return await engine.terminology.value_set_of(ctx, engine.store, posted)


async def validate_in_code_system(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Whether a code system has a code, with the display it has there."""
    parameters.refuse("date")
    url = parameters.text("url")
    if url in GRAMMARS and not parameters.id:
        given = codes(parameters, system=url, version="version")

        async def by_grammar(one: GivenCode) -> _Verdict:
            if one.system == url and GRAMMARS[url](one.code):
                return _Verdict(True)
            return _absent(one, f"the code system '{url}'")

        return _answer(await _first_valid(given, by_grammar))
    index = await _index(engine, ctx, parameters)
    given = codes(parameters, system=index.url, version="version")

    async def ask(one: GivenCode) -> _Verdict:
        if one.system != index.url:
            return _Verdict(False, f"The system is '{one.system}', not '{index.url}'")
        place = f"the code system '{index.url}'"
        return _judged(one, _member(index, one.code), place, parameters)

    return _answer(await _first_valid(given, ask))


async def _index(engine: Engine, ctx: Context, parameters: Parameters) -> CodeSystemIndex:
    posted = parameters.one("codeSystem")
    if posted is not None:
        _alone(parameters, "codeSystem")
        return await asyncio.to_thread(_index_of, posted)
    url, version = parameters.text("url"), parameters.text("version")
    if parameters.id:
        if url:
            raise Invalid(Issue("invalid", "Expected an id or a url, not both"))
        url, version = f"CodeSystem/{parameters.id}", ""
    elif not url:
        raise Invalid(Issue("required", "Expected a url, an id or a codeSystem"))
    return await engine.terminology.code_system(ctx, engine.store, url, version)


def _index_of(resource: dict[str, Any]) -> CodeSystemIndex:
    return CodeSystemIndex([msgspec.json.decode(encode(resource), type=CodeSystem)])


def _alone(parameters: Parameters, name: str) -> None:
    if parameters.id or parameters.text("url"):
        raise Invalid(Issue("invalid", f"Expected an id, a url or a {name}; found several"))


def _member(index: CodeSystemIndex, code: str) -> Member | None:
    position = index.find(code)
    if position is None:
        if not index.complete:
            raise index.refusal(code)
        return None
    concept = index.concepts[position]
    return Member(
        index.url,
        index.version,
        concept.code,
        concept.display,
        index.designations(position),
        index.is_abstract(position),
        index.is_inactive(position),
    )


def _judged(
    given: GivenCode, member: Member | None, place: str, parameters: Parameters
) -> _Verdict:
    if member is None:
        return _absent(given, place)
    language = parameters.text("displayLanguage")
    shown = languages.display(member.display, member.designations, language)
    if given.version and member.version and given.version != member.version:
        text = f"The version of '{given.system}' is '{member.version}', not '{given.version}'"
        return _Verdict(False, text, shown)
    if member.abstract and parameters.one("abstract") is False:
        return _Verdict(False, f"The code '{given.code}' is abstract: it only groups others", shown)
    names = {member.display, *(each.value for each in member.designations)} - {""}
    if given.display and names and _plain(given.display) not in map(_plain, names):
        text = f"'{given.display}' is no display of '{given.code}'; expected '{shown}'"
        return _Verdict(False, text, shown)
    return _Verdict(True, "The code is no longer in use" if member.inactive else "", shown)


def _absent(given: GivenCode, place: str) -> _Verdict:
    return _Verdict(False, f"The code '{given.code}' of '{given.system}' is not in {place}")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


async def _first_valid(
    given: Sequence[GivenCode], ask: Callable[[GivenCode], Awaitable[_Verdict]]
) -> _Verdict:
    """The verdict on the first code that is valid, else on all; a doubt matters only then."""
    verdicts: list[_Verdict] = []
    refused: Refusal | None = None
    for one in given:
        try:
            verdict = await ask(one)
        except Refusal as refusal:
            refused = refused or refusal
            continue
        if verdict.valid:
            return verdict
        verdicts.append(verdict)
    if refused is not None:
        raise refused
    message = "; ".join(verdict.message for verdict in verdicts)
    return _Verdict(False, message, verdicts[0].display if len(verdicts) == 1 else "")


def _answer(verdict: _Verdict) -> Result:
    parts = [output.value("result", "boolean", verdict.valid)]
    if verdict.message:
        parts.append(output.value("message", "string", verdict.message))
    if verdict.display:
        parts.append(output.value("display", "string", verdict.display))
    return output.parameters(parts)


VALIDATE_IN_VALUE_SET = Operation(
    "ValueSet-validate-code", validate_in_value_set, "Whether a code is in a value set"
)
VALIDATE_IN_CODE_SYSTEM = Operation(
    "CodeSystem-validate-code", validate_in_code_system, "Whether a code system has a code"
)
