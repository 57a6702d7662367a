"""The name of a type given as a function's argument: `ofType(FHIR.Quantity)`."""

from collections.abc import Callable

from fhir_server.fhirpath.ast import Call, Member, Node, TypeSpecifier


def type_specifier(call: Call, refuse: Callable[[Node, str], Exception]) -> TypeSpecifier:
    """The type that a call's argument names.

    refuse: makes the error raised when the argument is no name of a type.
    """
    match call.arguments[0]:
        case Member(position, None, name):
            return TypeSpecifier(position, None, name)
        case Member(position, Member(_, None, namespace), name):
            return TypeSpecifier(position, namespace, name)
        case other:
            raise refuse(other, f"{call.name}() takes the name of a type")
