"""`_include` and `_revinclude`: the rules of what comes along (R4 search.html#include)."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass

from fhir_server.outcome import Issue
from fhir_server.search.conditions import PredicateError
from fhir_server.search.parameters import ANY_TYPE, SearchParameter, SearchParameters
from fhir_server.search.selecting import Selecting, Unknown

ALL = "*"
_FORWARD, _REVERSE = "_include", "_revinclude"
_ITERATE = "iterate"


@dataclass(frozen=True, slots=True)
class Include:
    """A rule: along with a resource comes what it refers to, or what refers to it.

    reverse: what refers to the resource comes along.
    source: the type that refers; empty for any.
    code: the reference parameter, `*` for every one of the source.
    target: the type that is referred to; empty for any.
    iterate: the rule holds for what came along, too.
    """

    reverse: bool
    source: str
    code: str
    target: str = ""
    iterate: bool = False

    def of(self, known: SearchParameters, type_: str) -> list[SearchParameter]:
        """The parameters of a type that the rule follows; none if that is not its source."""
        if self.source not in ("", type_):
            return []
        return [item for item in references(known, type_) if self.code in (ALL, item.code)]


def including(name: str) -> bool:
    """Whether a parameter says what comes along."""
    return name.partition(":")[0] in (_FORWARD, _REVERSE)


def references(known: SearchParameters, type_: str) -> list[SearchParameter]:
    """The parameters of a type that can be followed."""
    return [item for item in known.of(type_) if item.type == "reference"]


def include(
    name: str,
    value: str,
    searched: Collection[str],
    known: SearchParameters,
    selecting: Selecting,
) -> Include:
    """The rule that `name=value` states.

    searched: the types of the matches; none for any. Raises `PredicateError` for a value of the
    wrong form, and `Unknown` for what does not exist or can never find anything.
    """
    kind, _, modifier = name.partition(":")
    if modifier not in ("", _ITERATE):
        text = f"The modifier :{modifier} of {kind} is not supported; known: :{_ITERATE}"
        raise Unknown(Issue("not-supported", text))
    rule = _rule(kind == _REVERSE, value, modifier == _ITERATE)
    for type_ in (rule.source, rule.target):
        if type_:
            _check_type(type_, known)
    followed = _followed(rule, known)
    if rule.reverse or rule.code != ALL:
        for parameter in followed:
            selecting.parameter(parameter.resource_type, parameter.code)
    if not rule.iterate:
        _check_reach(rule, followed, searched)
    return rule


def _rule(reverse: bool, value: str, iterate: bool) -> Include:
    if value == ALL:
        return Include(reverse, "", ALL, iterate=iterate)
    parts = value.split(":")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise PredicateError("expected Type:parameter, Type:parameter:TargetType, Type:* or *")
    source, code, *target = parts
    return Include(reverse, source, code, "".join(target), iterate)


def _check_type(name: str, known: SearchParameters) -> None:
    if name != ANY_TYPE and known.of(name):
        return
    near = difflib.get_close_matches(name, known.types, 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise Unknown(Issue("not-supported", f"{name!r} is no resource type of R4{hint}"))


def _followed(rule: Include, known: SearchParameters) -> list[SearchParameter]:
    """What the rule follows, which must exist and be able to refer to its target."""
    sources = [rule.source] if rule.source else known.types
    found = [item for source in sources for item in rule.of(known, source)]
    if not found:
        codes = ", ".join(sorted(item.code for item in references(known, rule.source)))
        text = f"{rule.code!r} is no reference parameter of {rule.source}; known: {codes or 'none'}"
        raise Unknown(Issue("not-supported", text))
    fitting = [item for item in found if not rule.target or _may_refer(item, {rule.target})]
    if not fitting:
        targets = sorted({target for item in found for target in item.targets})
        text = f"{rule.code!r} of {rule.source} never refers to {rule.target}"
        raise Unknown(Issue("not-supported", f"{text}, but to {', '.join(targets)}"))
    return fitting


def _check_reach(
    rule: Include, followed: Collection[SearchParameter], searched: Collection[str]
) -> None:
    if not searched:
        return
    types = " or ".join(searched)
    later = f"with :{_ITERATE} it would hold for what is included as well"
    if not rule.reverse:
        if rule.source and rule.source not in searched:
            text = f"The search finds {types} and no {rule.source}; {later}"
            raise Unknown(Issue("not-supported", text))
        return
    targets = {rule.target} if rule.target else set(searched)
    if not targets & set(searched) or not any(_may_refer(item, targets) for item in followed):
        text = f"The search finds {types}, to which {rule.source}:{rule.code} never refers; {later}"
        raise Unknown(Issue("not-supported", text))


def _may_refer(parameter: SearchParameter, types: Collection[str]) -> bool:
    return not parameter.targets or any(type_ in parameter.targets for type_ in types)
