"""Which of the scopes that a program asks for it may get.

SMART App Launch 2, scopes-and-launch-context.html, in its own syntax and that of version 1.
"""

from collections.abc import Iterable, Iterator

from fhir_server.security.access import ANY, LETTERS, Grant
from fhir_server.security.scopes import PATIENT, SYSTEM, USER, InvalidScope, parse_scope

OPENID, FHIR_USER, PROFILE = "openid", "fhirUser", "profile"
OFFLINE, ONLINE = "offline_access", "online_access"
LAUNCH, LAUNCH_PATIENT = "launch", "launch/patient"

# Scopes that are not about resources, and what they let a program do, as people are told it.
OTHERS = {
    OPENID: "Know that it is you",
    FHIR_USER: "Know who you are in the records",
    PROFILE: "Know your name",
    LAUNCH: "Know which patient you were looking at",
    LAUNCH_PATIENT: "Know which patient you choose",
    ONLINE: "Go on while you are logged in",
    OFFLINE: "Go on when you are no longer logged in",
}
SUPPORTED = (*OTHERS, *(f"{context}/*.{LETTERS}" for context in (PATIENT, USER, SYSTEM)))


def check_scopes(text: str) -> str:
    """Scopes apart by single spaces. Raises `InvalidScope` for what is none of ours."""
    words = list(dict.fromkeys(text.split()))
    for word in words:
        if word not in OTHERS and parse_scope(word) is None:
            raise InvalidScope(f"{word!r} is no scope; expected one such as user/*.rs or openid")
    return " ".join(words)


def grantable(asked: str, allowed: str, contexts: Iterable[str]) -> list[str]:
    """What of the scopes asked for may be granted, in the order asked for.

    allowed: the most that the program gets. contexts: of scopes of resources that make sense here.
    Unknown scopes are left out, as the answer then tells; malformed ones raise `InvalidScope`.
    """
    most = allowed.split()
    wanted = set(contexts)
    found: dict[str, None] = {}
    for word in asked.split():
        parsed = parse_scope(word)
        if parsed is None:
            if word in OTHERS and word in most:
                found[word] = None
        elif parsed[0] in wanted:
            found |= dict.fromkeys(_common(word, parsed, most))
    return list(found)


def _common(word: str, parsed: tuple[str, Grant], allowed: Iterable[str]) -> Iterator[str]:
    """What a scope of resources has in common with those allowed."""
    context, grant = parsed
    for most in allowed:
        other = parse_scope(most)
        if other is None or other[0] != context:
            continue
        types = _types(grant, other[1])
        letters = "".join(each for each in LETTERS if each in grant.letters & other[1].letters)
        if types is None or not letters:
            continue
        where = "&".join(dict.fromkeys(filter(None, (grant.where, other[1].where))))
        same = types == grant.types and set(letters) == grant.letters and where == grant.where
        if same:
            yield word
            return
        yield f"{context}/{''.join(types)}.{letters}" + (f"?{where}" if where else "")


def _types(one: Grant, other: Grant) -> frozenset[str] | None:
    if ANY in other.types or one.types == other.types:
        return one.types
    return other.types if ANY in one.types else None


def needs_patient(scopes: Iterable[str]) -> bool:
    """Whether scopes only make sense with a patient."""
    return any(each == LAUNCH_PATIENT or each.startswith(f"{PATIENT}/") for each in scopes)


def explained(scope: str) -> str:
    """What a scope lets a program do, for people."""
    parsed = parse_scope(scope)
    if parsed is None:
        return OTHERS.get(scope, scope)
    context, grant = parsed
    what = "everything" if ANY in grant.types else " and ".join(sorted(grant.types))
    can = [_VERBS[each] for each in LETTERS if each in grant.letters]
    whose = {PATIENT: "of the patient", USER: "that you may see"}.get(context, "")
    only = f", where {grant.where}" if grant.where else ""
    return f"{', '.join(can).capitalize()} {what} {whose}{only}".strip()


_VERBS = {"c": "add", "r": "read", "u": "change", "d": "delete", "s": "search"}
