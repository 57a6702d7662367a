"""What the engine does not answer, and why: each names the code system or value set."""

from fhir_server.outcome import Invalid, Issue, NotFound, Refusal


def again(refusal: Refusal) -> Refusal:
    """The same refusal, to be raised: raising a kept one would add to its traceback each time."""
    return type(refusal)(refusal.issues, status=refusal.status)


def unknown(type_: str, url: str, version: str = "", known: str = "") -> Refusal:
    """Nothing is stored or shipped under that URL, or not in that version.

    known: the version there is.
    """
    name = f"{url}|{version}" if version else url
    there = f"; there is version {known}" if known else ""
    return NotFound(Issue("not-found", f"The {type_} '{name}' is not known here{there}"))


def unknown_code(system: str, code: str) -> Refusal:
    """A complete code system has no such code."""
    return Invalid(Issue("code-invalid", f"The code system '{system}' has no code '{code}'"))


def not_enumerable(system: str, why: str) -> Refusal:
    """The codes of a system are needed and not here."""
    return Invalid(
        Issue("not-supported", f"The codes of '{system}' cannot be listed here: {why}"), status=422
    )


def incomplete(system: str, content: str, code: str = "") -> Refusal:
    """Only a part of a system is here, so that what is absent may exist all the same."""
    what = f"'{code}' is not in it" if code else "not all its codes are known"
    return Invalid(
        Issue("incomplete", f"Of the code system '{system}' there is only a {content}: {what}"),
        status=422,
    )


def not_a_hierarchy(system: str, meaning: str) -> Refusal:
    """The hierarchy of a system says nothing of which concept is a kind of which."""
    return Invalid(
        Issue(
            "not-supported",
            f"The hierarchy of '{system}' means '{meaning}', so it does not say which concept "
            "is a kind of which",
        ),
        status=422,
    )


def circular_hierarchy(system: str, code: str) -> Refusal:
    """A concept is above itself."""
    return Invalid(
        Issue("processing", f"In the code system '{system}' the code '{code}' is above itself"),
        status=422,
    )


def circular(type_: str, urls: list[str]) -> Refusal:
    """Definitions that are made of each other."""
    chain = " → ".join(urls)
    return Invalid(Issue("processing", f"Each {type_} is made of the next: {chain}"), status=422)


def too_costly(url: str, codes: int, most: int) -> Refusal:
    """An expansion with more codes than allowed (R4 valueset-operation-expand.html)."""
    return Invalid(
        Issue("too-costly", f"The value set '{url}' has {codes} codes; at most {most} are allowed"),
        status=422,
    )


def bad_filter(system: str, filter_text: str, why: str) -> Refusal:
    """A filter of a value set that cannot be applied to its code system."""
    return Invalid(
        Issue("invalid", f"The filter '{filter_text}' on '{system}' cannot be applied: {why}"),
        status=422,
    )


def not_understood(type_: str, url: str, why: str) -> Refusal:
    """A definition that says something the engine cannot do."""
    return Invalid(Issue("not-supported", f"The {type_} '{url}' cannot be used: {why}"), status=422)
