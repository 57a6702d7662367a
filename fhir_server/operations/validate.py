"""$validate (R4 resource-operation-validate.html)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from fhir_server.context import Context
from fhir_server.fhir_json import decode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.read import gone, not_found
from fhir_server.interactions.result import Result
from fhir_server.interactions.update import check_id, check_preconditions
from fhir_server.interactions.writing import check
from fhir_server.operations import output
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue, Refusal, operation_outcome
from fhir_server.storage import resources
from fhir_server.storage.resources import Stored
from fhir_server.validation.turns import in_turns

_MODES = ("create", "update", "delete")
_FINE = Issue("informational", "Nothing is wrong", severity="information")


async def validate(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """What is wrong with a resource, as an OperationOutcome; 200 also if it is a lot.

    Without a mode, and without a resource, the stored one is validated. Raises a Refusal if nothing
    could be validated: an unknown mode, one at the wrong place, no resource.
    """
    mode = parameters.text("mode")
    _check_mode(mode, parameters)
    stored = await _stored(engine, ctx, parameters) if parameters.id else None
    if mode == "delete":
        return _outcome(_deleting(parameters, stored))
    resource = parameters.one("resource")
    if resource is None:
        resource = _shown(parameters, stored, mode)
    writing = partial(_writing, engine, parameters, resource, stored, mode)
    issues = await in_turns(resource, writing)
    report = await engine.validation.check(
        ctx, engine.store, resource, _profiles(engine, parameters, mode)
    )
    said = {(each.code, each.diagnostics, each.expression) for each in report.findings}
    new = [each for each in issues if (each.code, each.diagnostics, each.expression) not in said]
    return _outcome([*new, *report.findings])


def _check_mode(mode: str, parameters: Parameters) -> None:
    if mode and mode not in _MODES:
        text = f"mode={mode!r}: expected one of {', '.join(_MODES)}"
        raise Invalid(Issue("value", text))
    if mode in ("update", "delete") and not parameters.id:
        text = f"mode={mode} is about one resource: call $validate on {parameters.type}/[id]"
        raise Invalid(Issue("invalid", text))
    if mode == "create" and parameters.id:
        text = f"mode=create is about no resource yet: call $validate on {parameters.type}"
        raise Invalid(Issue("invalid", text))


async def _stored(engine: Engine, ctx: Context, parameters: Parameters) -> Stored | None:
    async with engine.store.connection(ctx.tenant) as connection:
        statements = engine.statements(ctx)
        return await resources.current(connection, statements, parameters.type, parameters.id)


def _shown(parameters: Parameters, stored: Stored | None, mode: str) -> Any:
    """The stored resource, where none was sent. Raises `Invalid`, `NotFound` and `Gone`."""
    if mode or not parameters.id:
        raise Invalid(Issue("required", "Expected the resource that is to be validated"))
    if stored is None:
        raise not_found(parameters.type, parameters.id)
    if stored.content is None:
        raise gone(stored.type, stored.id, stored.version)
    return decode(stored.content)


def _profiles(engine: Engine, parameters: Parameters, mode: str) -> Sequence[str]:
    """The profile that is asked for, and those that a write would be held to."""
    asked = [parameters.text("profile")] if parameters.text("profile") else []
    demanded = engine.demands.profiles.get(parameters.type, ()) if mode else ()
    return list(dict.fromkeys([*asked, *demanded]))


def _writing(
    engine: Engine, parameters: Parameters, resource: Any, stored: Stored | None, mode: str
) -> list[Issue]:
    """What would keep a resource from being written, beside what it is like."""
    issues: list[Issue] = []
    try:
        check(engine, resource, parameters.type)
    except Refusal as refusal:
        issues += refusal.issues
    if mode == "update":
        issues += _updating(parameters, resource, stored)
    return issues


def _updating(parameters: Parameters, resource: Any, stored: Stored | None) -> list[Issue]:
    issues: list[Issue] = []
    given = resource.get("id") if isinstance(resource, dict) else None
    if given != parameters.id:
        text = f"The URL names the id {parameters.id!r}, the resource {given!r}; expected the same"
        issues.append(Issue("invalid", text, f"{parameters.type}.id"))
    try:
        check_id(parameters.id)
        check_preconditions(parameters.request, stored)
    except Refusal as refusal:
        issues += refusal.issues
    return issues


def _deleting(parameters: Parameters, stored: Stored | None) -> list[Issue]:
    """What a delete would say; nothing refers so firmly that it would keep one from it."""
    try:
        check_preconditions(parameters.request, stored)
    except Refusal as refusal:
        return list(refusal.issues)
    if stored is None or stored.content is None:
        text = f"There is no {parameters.type}/{parameters.id}, so that a delete changes nothing"
        return [Issue("not-found", text, severity="information")]
    return []


def _outcome(issues: Sequence[Issue]) -> Result:
    return output.resource(operation_outcome(issues or [_FINE]))


VALIDATE = Operation("Resource-validate", validate, "What is wrong with a resource", unchecked=True)
