"""What R4 adds to FHIRPath (R4 fhirpath.html#functions)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Never

from fhir_server.fhirpath.ast import Call
from fhir_server.fhirpath.code import Code, single
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.functions.registry import STRING, Function
from fhir_server.fhirpath.nodes import Node, elements
from fhir_server.fhirpath.resolution import resolve
from fhir_server.fhirpath.values import system
from fhir_server.validation.narrative import narrative_faults

if TYPE_CHECKING:
    from fhir_server.fhirpath.engine import Compiler


def _extension(compiler: "Compiler", call: Call, source: Code) -> Code:
    url_of = compiler.scalar(
        compiler.code(call.arguments[0]), call.arguments[0], STRING.types, STRING.wanted
    )

    def items(this: Any, env: Environment) -> Sequence[Any]:
        url = url_of(this, env)
        found: list[Any] = []
        for item in source.items(this, env):
            if item.__class__ is Node and (child := item.kind.children["extension"]) is not None:
                found += (e for e in elements(item, child) if e.value.get("url") == url)
        env.charge(len(found))
        return found

    return Code(items)


def _has_extension(compiler: "Compiler", call: Call, source: Code) -> Code:
    # R4 does not define it, but its search parameter QuestionnaireResponse-item-subject calls it.
    return single(_extension(compiler, call, source).present)


def _has_value(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    def one(this: Any, env: Environment) -> bool:
        items = source.items(this, env)
        return len(items) == 1 and _primitive_value(items[0]) is not None

    return single(one)


def _get_value(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    def one(this: Any, env: Environment) -> Any:
        items = source.items(this, env)
        return _primitive_value(items[0]) if len(items) == 1 else None

    return single(one)


def _primitive_value(item: Any) -> Any:
    if item.__class__ is not Node:
        return item
    return system(item) if item.kind.primitive else None


def _resolve(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    def items(this: Any, env: Environment) -> Sequence[Any]:
        found = [resolve(item, env) for item in source.items(this, env)]
        env.charge(len(found))
        return [node for node in found if node is not None]

    return Code(items)


def _html_checks(_compiler: "Compiler", _call: Call, source: Code) -> Code:
    def one(this: Any, env: Environment) -> bool:
        values = [system(item) for item in source.items(this, env)]
        return all(value.__class__ is str and not narrative_faults(value) for value in values)

    return single(one)


def _hook(compiler: "Compiler", call: Call, name: str, env: Environment) -> Any:
    hook = getattr(env.services, name)
    if hook is None:
        raise compiler.fault(call, f"{call.name}() needs a service that is not available here")
    return hook


def _asked(service: str) -> Function:
    """A function of one item and a URL that a service answers; None means it does not know it."""

    def compiled(compiler: "Compiler", call: Call, source: Code) -> Code:
        node = call.arguments[0]
        url_of = compiler.scalar(compiler.code(node), node, STRING.types, STRING.wanted)

        def one(this: Any, env: Environment) -> bool | None:
            items, url = source.items(this, env), url_of(this, env)
            if not items or url is None:
                return None
            if len(items) > 1:
                raise compiler.fault(call, f"{call.name}() takes one item, not {len(items)}")
            hook = _hook(compiler, call, service, env)
            item = items[0]
            known = item.__class__ is Node
            answer = hook(item.value if known else item, item.type if known else "string", url)
            if answer is None:
                raise compiler.fault(call, f"{call.name}() does not know '{url}'")
            return bool(answer)

        return single(one)

    return Function(1, 1, compiled)


def _subsumption(*, reverse: bool) -> Function:
    def compiled(compiler: "Compiler", call: Call, source: Code) -> Code:
        other = compiler.code(call.arguments[0])

        def one(this: Any, env: Environment) -> bool | None:
            items, others = source.items(this, env), other.items(this, env)
            if not items or not others:
                return None
            if len(items) > 1 or len(others) > 1:
                raise compiler.fault(call, f"{call.name}() takes one item on each side")
            values = [_plain(items[0]), _plain(others[0])]
            if reverse:
                values.reverse()
            answer = _hook(compiler, call, "subsumes", env)(*values)
            return None if answer is None else bool(answer)

        return single(one)

    return Function(1, 1, compiled)


def _plain(item: Any) -> Any:
    return item.value if item.__class__ is Node else item


def _refused(reason: str) -> Function:
    def compiled(compiler: "Compiler", call: Call, _source: Code) -> Never:
        raise compiler.refuse(call, f"{call.name}() is not supported: {reason}")

    return Function(0, 9, compiled)


_PROFILES = "elements of instances are not connected to profiles here"

FUNCTIONS = {
    "checkModifiers": _refused("modifier extensions are checked by the validator"),
    "conformsTo": _asked("conforms_to"),
    "elementDefinition": _refused(_PROFILES),
    "extension": Function(1, 1, _extension),
    "getValue": Function(0, 0, _get_value),
    "hasExtension": Function(1, 1, _has_extension),
    "hasValue": Function(0, 0, _has_value),
    "htmlChecks": Function(0, 0, _html_checks),
    "memberOf": _asked("member_of"),
    "resolve": Function(0, 0, _resolve),
    "slice": _refused(_PROFILES),
    "subsumedBy": _subsumption(reverse=True),
    "subsumes": _subsumption(reverse=False),
}
