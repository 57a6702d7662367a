"""From a method and a path to the interaction they ask for."""

import difflib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.request import Request
from fhir_server.interactions.result import Result
from fhir_server.outcome import Issue, NotFound, Refusal
from fhir_server.spec.model import OperationDefinitionFacts

# The first argument is the Engine, which holds the router and so cannot be named here.
Handler = Callable[[Any, Context, Request], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class InteractionDefinition:
    """One way to call the server.

    code: as in the restful-interaction value set, which CapabilityStatement uses; empty for a
    second way to call one, such as a search by POST.
    level: `instance`, `type` or `system`.
    path: below the base URL; `[type]`, `[id]` and `[vid]` stand for any.
    body: what is sent: a resource (`resource`), a patch (`patch`), a form (`form`), a resource or
        nothing (`parameters`), or nothing (`""`).
    summary: one line for people.
    operation: what R4 says of it, if it is an operation.
    reads: whether it changes nothing although it is called by POST.
    joins: whether it may be an entry of a transaction although it is an operation that writes: it
        does so through the connection of the engine that it is given.
    needs: what has to be granted of the type for it, as a letter of SMART's `cruds`; empty if each
        entry of it is asked for itself, or nobody has to be asked.
    touches: types of which all resources have to be granted with all of their elements, because it
        tells of them in ways of its own.
    """

    name: str
    code: str
    level: str
    method: str
    path: str
    handler: Handler
    body: str
    summary: str
    operation: OperationDefinitionFacts | None = None
    reads: bool = False
    joins: bool = False
    needs: str = ""
    touches: tuple[str, ...] = ()


_FIXED = frozenset({"metadata", "_history", "_search"})


class Router:
    """Finds interactions in a table of them."""

    def __init__(
        self, interactions: Sequence[InteractionDefinition], resource_types: frozenset[str]
    ) -> None:
        self.interactions = tuple(interactions)
        self._types = resource_types
        self._by_route = {(item.method, item.path): item for item in interactions}
        self._methods: dict[str, list[str]] = {}
        for item in interactions:
            self._methods.setdefault(item.path, []).append(item.method)

    def route(self, method: str, segments: list[str]) -> tuple[InteractionDefinition, Request]:
        """The interaction, and a request with what the path names.

        segments: of the path below the base URL, decoded. Raises `NotFound` for a path that leads
        nowhere and a 405 `Refusal` for a method that the path does not take.
        """
        shown = "/" + "/".join(segments)
        if any("\0" in segment for segment in segments):
            raise NotFound(Issue("not-found", f"There is nothing at {shown!r}"))
        path, request = self._shape(segments)
        request.method = method
        definition = self._by_route.get(("GET" if method == "HEAD" else method, path))
        if definition is not None:
            return definition, request
        if path not in self._methods:
            raise NotFound(Issue("not-found", f"There is nothing at {shown!r}"))
        methods = list(self._methods[path])
        if "GET" in methods:
            methods.append("HEAD")
        allowed = ", ".join(methods)
        issue = Issue("not-supported", f"{method} is not possible on {shown!r}; try {allowed}")
        raise Refusal(issue, status=405, headers={"Allow": allowed})

    def _shape(self, segments: list[str]) -> tuple[str, Request]:
        request = Request("")
        if not segments:
            return "", request
        first, rest = segments[0], segments[1:]
        if first in _FIXED or first in self._methods:
            return "/".join(segments), request
        if first.startswith("$"):
            raise self._unknown_operation(first, "", [])
        if first not in self._types:
            raise self._unknown_type(first)
        request.type = first
        if not rest or rest[0] in _FIXED:
            return "/".join(["[type]", *rest]), request
        if rest[0].startswith("$"):
            return self._operation(first, [], "/".join(rest)), request
        request.id = rest[0]
        pattern = ["[type]", "[id]", *rest[1:]]
        if 3 <= len(rest) <= 4 and rest[1] == "_history":
            request.version = rest[2]
            pattern[3] = "[vid]"
            if rest[-1].startswith("$"):
                return self._operation(first, pattern[1:4], rest[-1]), request
        elif len(rest) == 2 and rest[1].startswith("$"):
            return self._operation(first, ["[id]"], rest[1]), request
        elif len(rest) >= 2 and (rest[1] == "*" or rest[1] in self._types):
            request.compartment = (first, rest[0])
            request.type, request.id = "" if rest[1] == "*" else rest[1], ""
            pattern[2] = "[type]"
        return "/".join(pattern), request

    def _unknown_type(self, name: str) -> NotFound:
        near = difflib.get_close_matches(name, self._types, 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return NotFound(Issue("not-supported", f"{name!r} is no resource type of R4{hint}"))

    def _operation(self, type_: str, place: list[str], name: str) -> str:
        """The path of an operation: that of its own type before that of all types."""
        for owner in (type_, "[type]"):
            path = "/".join([owner, *place, name])
            if path in self._methods:
                return path
        raise self._unknown_operation(name, type_, place)

    def _unknown_operation(self, name: str, type_: str, place: list[str]) -> NotFound:
        owners = [[type_], ["[type]"]] if type_ else [[]]
        starts = {"/".join([*owner, *place, "$"]) for owner in owners}
        paths = [path for path in self._methods if "$" in path]
        here = [path[path.index("$") :] for path in paths if path[: path.index("$") + 1] in starts]
        there = [path for path in paths if path[path.index("$") :] == name and "[vid]" not in path]
        text = f"There is no operation {name} on {'/'.join([type_, *place]) or 'the system'}"
        if there:
            text += f"; it is at {', '.join(there)}"
        text += f"; those here: {', '.join(sorted(here)) or 'none'}"
        return NotFound(Issue("not-supported", text))
