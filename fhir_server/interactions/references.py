"""References that a write must settle: conditional ones, and those of a transaction."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.conditional import Condition, matches
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import decode_query
from fhir_server.outcome import Invalid, Issue
from fhir_server.storage.store import Connection

_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(.+)", re.DOTALL)


def conditional(references: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that name their target by a search, such as `Patient?identifier=a|b`."""
    return [item for item in references if _CONDITIONAL.fullmatch(item["reference"])]


async def settle_conditional(
    engine: Engine,
    ctx: Context,
    connection: Connection,
    references: Iterable[dict[str, Any]],
) -> None:
    """Replace conditional references by what they match, in place (R4 http.html#trules).

    Raises `Invalid` listing every one that matches none or several resources.
    """
    waiting = conditional(references)
    if not waiting:
        return
    conditions: dict[str, Condition] = {}
    for text in {item["reference"] for item in waiting}:
        match = _CONDITIONAL.fullmatch(text)
        assert match is not None
        conditions[text] = Condition(engine, ctx, match[1], decode_query(match[2]))
    found = await matches(engine, ctx, connection, conditions.values())
    issues = []
    for text, condition in conditions.items():
        hits = found[condition.text]
        if len(hits) != 1:
            number = "no resource" if not hits else "several resources"
            code = "not-found" if not hits else "multiple-matches"
            issues.append(Issue(code, f"The conditional reference {text!r} matches {number}"))
    if issues:
        raise Invalid(issues)
    for item in waiting:
        condition = conditions[item["reference"]]
        item["reference"] = f"{condition.type}/{found[condition.text][0]}"


class Targets:
    """What the entries of a transaction become, by the URLs that others may use for them.

    R4 bundle.html#references: a reference is an entry's fullUrl, or relative to the base of the
    fullUrl of the entry that holds it.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._targets: dict[str, str] = {}

    def add(self, full_url: str, target: str) -> None:
        """An entry's fullUrl becomes `target` (`Type/id`)."""
        self._targets[full_url] = target
        self._targets.setdefault(full_url.removeprefix(self._base_url + "/"), target)

    def of(self, reference: str, holder_base: str | None) -> str | None:
        """What a reference becomes; None if no entry of the transaction is meant.

        holder_base: the base of the holding entry's fullUrl, None for a URN.
        """
        url, mark, fragment = reference.partition("#")
        url, _, version = url.partition("/_history/")
        found = None
        if holder_base is not None:
            found = self._targets.get(f"{holder_base}/{url}")
        found = found or self._targets.get(url)
        # A version of what keeps its identity still exists; one of a new identity does not.
        if found is None or (version and url.endswith(found)):
            return None
        return f"{found}{mark}{fragment}"

    def rewrite(
        self,
        references: Iterable[dict[str, Any]],
        links: Iterable[tuple[Any, Any]],
        full_url: str,
    ) -> list[str]:
        """Rewrite an entry's references and links in place; the URNs that mean no entry."""
        base = base_of(full_url)
        unknown = []
        for item in references:
            text = item["reference"]
            target = self.of(text, base)
            if target is not None:
                item["reference"] = target
            elif text.startswith(("urn:uuid:", "urn:oid:")):
                unknown.append(text)
        for container, name in links:
            text = container[name]
            if text.startswith("<"):
                container[name] = _rewrite_narrative(text, self._targets)
            else:
                container[name] = self._targets.get(text, text)
        return unknown


_LINK = re.compile(r"""((?:href|src)\s*=\s*)(["'])(.*?)\2""", re.DOTALL)


def _rewrite_narrative(html: str, targets: Mapping[str, str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        start, quote, url = match.groups()
        return f"{start}{quote}{targets.get(url, url)}{quote}"

    return _LINK.sub(replaced, html)


_RESTFUL = re.compile(r"(https?://.+)/[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(?:/_history/.*)?")


def base_of(full_url: str) -> str | None:
    """The FHIR base URL that a fullUrl lies under; None for URNs and other URLs."""
    match = _RESTFUL.fullmatch(full_url)
    return match[1] if match else None
