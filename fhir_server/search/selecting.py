"""From one parameter of a search to a condition: plain, chained or reverse chained."""

import difflib
from collections.abc import Mapping, Sequence

from fhir_server.outcome import Invalid, Issue, Unavailable
from fhir_server.search.combined import combined
from fhir_server.search.conditions import (
    Circumstances,
    Condition,
    PredicateError,
    ReferredBy,
    Refers,
    Selection,
    any_of,
    split_at,
)
from fhir_server.search.filtering import Filtering
from fhir_server.search.keys import hash64, parameter_name
from fhir_server.search.parameters import ANY_TYPE, SearchParameter, SearchParameters
from fhir_server.search.predicates import MOST_VALUES, predicate, supported

MOST_LINKS = 8
MOST_BRANCHES = 60

HAS = "_has:"


class Unknown(Exception):
    """A parameter or modifier that this server does not search by."""

    def __init__(self, issue: Issue) -> None:
        self.issue = issue


class Selecting:
    """Understands the selecting parameters of one search.

    unready: why a parameter cannot be searched by yet, by type and code.
    """

    def __init__(
        self,
        parameters: SearchParameters,
        where: Circumstances,
        unready: Mapping[tuple[str, str], str],
    ) -> None:
        self._parameters = parameters
        self._where = where
        self._unready = unready
        self._branches = 0

    def condition(self, type_: str, name: str, value: str, links: int = 0) -> Condition:
        """What `name=value` asks of a resource of a type; of any type if that is `Resource`.

        links: how many chains lead here. Raises `Unknown`, `PredicateError` and `Invalid` for a
        chain that is too long or branches too much.
        """
        self._bound(links)
        if name.startswith(HAS):
            return self._has(type_, name, value, links)
        first, dot, rest = name.partition(".")
        if dot:
            return self._chain(type_, first, rest, value, links)
        if name == "_list":
            return self._list(value)
        if name == "_filter":
            return Filtering(self.parameter, self._follow, self._where).condition(type_, value)
        return self._plain(type_, name, value)

    def _bound(self, links: int) -> None:
        if links > MOST_LINKS:
            text = f"A chain of more than {MOST_LINKS} references; at most that many are followed"
            raise Invalid(Issue("too-costly", text))
        self._branches += links > 0
        if self._branches > MOST_BRANCHES:
            text = "The chains may lead to too many types; name them, as in subject:Patient.name"
            raise Invalid(Issue("too-costly", text))

    def parameter(self, type_: str, code: str) -> SearchParameter:
        """The parameter of a type. Raises `Unknown` naming those there are."""
        found = self._parameters.get(type_, code)
        place = "all types" if type_ == ANY_TYPE else type_
        if found is None:
            known = sorted(item.code for item in self._parameters.of(type_) if supported(item))
            near = difflib.get_close_matches(code, known, 3)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            text = f"Unknown search parameter {code!r} on {place}; {hint}known: {', '.join(known)}"
            raise Unknown(Issue("not-supported", text))
        if not supported(found):
            text = f"The search parameter {code!r} ({found.type}) on {place} is not supported"
            if found.keyed is not None:
                text += ": it would read elements that are encrypted at rest"
            raise Unknown(Issue("not-supported", text))
        if (type_, code) in self._unready:
            headers = {"Retry-After": "5"}
            raise Unavailable(Issue("transient", self._unready[type_, code]), headers=headers)
        return found

    def _plain(self, type_: str, name: str, value: str) -> Condition:
        code, colon, modifier = name.partition(":")
        if colon and not modifier:
            raise Unknown(Issue("not-supported", f"{name!r} ends in ':' without a modifier"))
        parameter = self.parameter(type_, code)
        allowed = supported(parameter)
        if parameter.keyed is not None and modifier in _MODIFIERS - allowed:
            raise PredicateError(_only_whole(parameter, allowed))
        if modifier not in allowed and not ("[type]" in allowed and modifier in parameter.targets):
            names = ", ".join(f":{item}" for item in sorted(allowed) if item) or "no modifier"
            place = "all types" if type_ == ANY_TYPE else type_
            text = (
                f"The modifier :{modifier} is not supported on {code!r} of {place}; known: {names}"
            )
            raise Unknown(Issue("not-supported", text))
        values = split_at(",", value)
        if parameter.type == "composite" and not modifier:
            if len(values) > MOST_VALUES:
                text = f"{len(values)} alternatives; at most {MOST_VALUES} are allowed"
                raise PredicateError(text)
            components = self._parameters.components(parameter)
            return any_of(combined(parameter, components, item, self._where) for item in values)
        return predicate(parameter, modifier, values, self._where)

    def _reference(self, type_: str, code: str) -> SearchParameter:
        parameter = self.parameter(type_, code)
        if parameter.type != "reference":
            text = f"{code!r} of {type_} is a {parameter.type}; only a reference can be followed"
            raise Unknown(Issue("not-supported", text))
        return parameter

    def _follow(
        self, type_: str, code: str, target: str, name: str
    ) -> tuple[SearchParameter, tuple[str, ...], bool]:
        """A reference parameter, the types it leads to that have `name`, and whether by url."""
        self._bound(1)
        parameter = self._reference(type_, code)
        targets = _targets(parameter, target)
        known = [item for item in targets if name == HAS or self._parameters.get(item, name)]
        if parameter.keyed is not None and _by_url(parameter):
            raise PredicateError(f"{code!r} of {type_} is encrypted at rest and cannot be followed")
        if not known:
            places = " or ".join(targets)
            text = f"Unknown search parameter {name!r} on {places}, where {code!r} leads"
            raise Unknown(Issue("not-supported", text))
        return parameter, tuple(known), _by_url(parameter)

    def _chain(self, type_: str, first: str, rest: str, value: str, links: int) -> Condition:
        code, _, target = first.partition(":")
        name = HAS if rest.startswith(HAS) else rest.partition(".")[0].partition(":")[0]
        parameter, known, by_url = self._follow(type_, code, target, name)
        return any_of(
            Refers(
                parameter.hash,
                Selection(item, self.condition(item, rest, value, links + 1)),
                by_url,
            )
            for item in known
        )

    def _has(self, type_: str, name: str, value: str, links: int) -> Condition:
        parts = name.split(":", 3)
        if len(parts) < 4 or not all(parts):
            raise PredicateError(
                "expected _has:Type:reference:parameter, as in _has:Observation:patient:code"
            )
        _, source, code, rest = parts
        if not self._parameters.of(source) or source == ANY_TYPE:
            raise Unknown(
                Issue("not-supported", f"{source!r} in {name!r} is no resource type of R4")
            )
        parameter = self._reference(source, code)
        if type_ != ANY_TYPE and parameter.targets and type_ not in parameter.targets:
            targets = ", ".join(parameter.targets)
            text = f"{code!r} of {source} never refers to {type_}, but to {targets}"
            raise Unknown(Issue("not-supported", text))
        inner = Selection(source, self.condition(source, rest, value, links + 1))
        return ReferredBy(parameter.hash, inner)

    def _list(self, value: str) -> Condition:
        for item in split_at(",", value):
            if item.startswith("$"):
                raise PredicateError(
                    f"the functional list {item!r} is not known; expected a List's id"
                )
        members = hash64(parameter_name("List", "item"))
        return ReferredBy(members, Selection("List", self._plain("List", "_id", value)))


# Those of any type of parameter, and none.
_MODIFIERS = frozenset({"", "above", "below", "contains", "text"})


def _only_whole(parameter: SearchParameter, allowed: frozenset[str]) -> str:
    names = ", ".join(f"{parameter.code}:{each}" if each else parameter.code for each in allowed)
    return (
        f"the values of {parameter.code!r} are encrypted at rest and can only be found as a whole; "
        f"expected {names}"
    )


def _by_url(parameter: SearchParameter) -> bool:
    expression = parameter.expression()
    branches = expression.branches if expression else ()
    return any(branch.type in ("canonical", "uri") for branch in branches)


def _targets(parameter: SearchParameter, target: str) -> Sequence[str]:
    if not target:
        if not parameter.targets:
            text = (
                f"{parameter.code!r} may refer to any type; name it, as in {parameter.code}:Patient"
            )
            raise Unknown(Issue("not-supported", text))
        return parameter.targets
    if parameter.targets and target not in parameter.targets:
        text = (
            f"{parameter.code!r} never refers to {target}; expected {', '.join(parameter.targets)}"
        )
        raise Unknown(Issue("not-supported", text))
    return (target,)
