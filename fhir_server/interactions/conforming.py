"""The profiles a resource has to conform to before it is written (R4 profiling.html)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.engine import Engine
from fhir_server.outcome import Invalid
from fhir_server.validation.profiles.findings import Finding, Report
from fhir_server.validation.profiles.run import Settings, Unknown
from fhir_server.validation.stored import Session

# To keep an extension a server need not understand it.
_KEPT = Settings(
    unknown_extensions=Unknown.IGNORE, unknown_modifiers=Unknown.IGNORE, warnings=False
)


def errors(report: Report) -> tuple[Finding, ...]:
    """What forbids to write a resource, with rule and profile readable in the diagnostics."""
    return tuple(
        replace(
            each,
            diagnostics=f"{each.diagnostics.removesuffix(f' [{each.rule}]')} "
            f"[{each.rule} of {each.profile}]",
        )
        for each in report.findings
        if each.severity in ("error", "fatal")
    )


async def conform(
    engine: Engine, ctx: Context, resource: dict[str, Any], *, structure: bool = True
) -> None:
    """Raises `Invalid`, 422, for a resource that does not conform to its profiles.

    structure: whether to look at how it is built, too, where it has profiles.
    """
    broken = await Conforming(engine, ctx, structure=structure).errors(resource)
    if broken:
        raise Invalid(broken, status=422)


class Conforming:
    """Holds the resources of one request against profiles; one that needs none costs nothing."""

    def __init__(self, engine: Engine, ctx: Context, *, structure: bool = True) -> None:
        self._structure = structure
        self._engine = engine
        self._ctx = ctx
        self._session: Session | None = None

    async def errors(self, resource: dict[str, Any]) -> tuple[Finding, ...]:
        """What is wrong with a resource by the profiles of its type and those it claims."""
        demands = self._engine.demands
        enforced = (
            *demands.profiles.get(resource["resourceType"], ()),
            *self._engine.rules.profiles(resource),
        )
        claims = set(_claims(resource)) if demands.claimed else set()
        if not enforced and not claims:
            return ()
        if self._session is None:
            self._session = await self._engine.validation.session(self._ctx, self._engine.store)
        if not enforced and not await self._session.known(claims):
            return ()
        settings = replace(_KEPT, claimed=demands.claimed, structure=self._structure)
        return errors(await self._session.check(resource, enforced, settings=settings))


def _claims(resource: dict[str, Any]) -> Iterator[str]:
    """The profiles that a resource and those in it claim (R4 resource.html#Meta)."""
    yield from (resource.get("meta") or {}).get("profile") or ()
    for each in resource.get("contained") or ():
        yield from _claims(each)
    if resource["resourceType"] in ("Bundle", "Parameters"):
        for entry in resource.get("entry") or resource.get("parameter") or ():
            if "resource" in entry:
                yield from _claims(entry["resource"])
