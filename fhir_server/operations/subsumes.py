"""CodeSystem/$subsumes (R4 codesystem-operation-subsumes.html)."""

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations import output
from fhir_server.operations.meant import of_coding
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue


async def subsumes(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """Whether one code is a kind of the other."""
    system, version, a, b = _given(parameters)
    outcome = await engine.terminology.subsumes(ctx, engine.store, system, a, b, version=version)
    return output.parameters([output.value("outcome", "code", outcome)])


def _given(parameters: Parameters) -> tuple[str, str, str, str]:
    """The system, its version and both codes. Raises `Invalid`."""
    kind = parameters.exactly_one("codeA", "codingA")
    if parameters.exactly_one("codeB", "codingB")[:-1] != kind[:-1]:
        raise Invalid(Issue("invalid", "Expected two codes or two codings, not one of each"))
    system, version = parameters.text("system"), parameters.text("version")
    if parameters.id:
        if system:
            raise Invalid(Issue("invalid", "Expected an id or a system, not both"))
        own, version = f"CodeSystem/{parameters.id}", ""
        if kind == "codingA":
            raise Invalid(Issue("invalid", "Codings name their system; leave out the id"))
        return own, version, parameters.text("codeA"), parameters.text("codeB")
    if kind == "codeA":
        if not system:
            raise Invalid(Issue("required", "Codes need their system; expected it, or an id"))
        return system, version, parameters.text("codeA"), parameters.text("codeB")
    a, b = (of_coding(parameters.one(name), system) for name in ("codingA", "codingB"))
    if a.system != b.system or (system and a.system != system):
        text = f"The codings are of different systems: {a.system} and {b.system}"
        raise Invalid(Issue("invalid", text))
    return a.system, version or a.version or b.version, a.code, b.code


SUBSUMES = Operation("CodeSystem-subsumes", subsumes, "Whether one code is a kind of another")
