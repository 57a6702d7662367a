"""What a package says of itself: `package.json` (R4 packages.html)."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from fhir_server.outcome import Invalid, Issue

# Packages of R4 itself, which the server knows without them.
_BUILT_IN = frozenset({"hl7.fhir.r4.core", "hl7.fhir.r4.expansions", "hl7.fhir.r4.examples"})
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Manifest:
    """A package's `package.json`.

    canonical: the URL below which its resources have theirs; empty if it does not say.
    dependencies: name and version of the packages it stands on.
    """

    name: str
    version: str
    canonical: str
    title: str
    fhir_versions: tuple[str, ...]
    dependencies: Mapping[str, str]

    def missing(self, present: Mapping[str, set[str]]) -> dict[str, str]:
        """The dependencies that are not among `present`: versions by name of package."""
        return {
            name: version
            for name, version in self.dependencies.items()
            if name not in _BUILT_IN
            and not any(_meets(version, each) for each in present.get(name, ()))
        }


class _Written(msgspec.Struct, rename="camel"):
    name: str
    version: str
    canonical: str = ""
    title: str = ""
    fhir_versions: tuple[str, ...] = ()
    dependencies: dict[str, str] = {}


class _Older(msgspec.Struct):
    fhir_version_list: tuple[str, ...] = msgspec.field(name="fhir-version-list", default=())


def manifest(content: bytes) -> Manifest:
    """Read a `package.json`. Raises Invalid when it is none, or not for R4."""
    try:
        written = msgspec.json.decode(content, type=_Written)
        older = msgspec.json.decode(content, type=_Older)
    except msgspec.MsgspecError as error:
        raise Invalid(Issue("invalid", f"package.json cannot be read: {error}")) from None
    if not 0 < len(written.name) <= _LONGEST or not 0 < len(written.version) <= _LONGEST:
        raise Invalid(Issue("invalid", "package.json needs a name and a version."))
    versions = written.fhir_versions or older.fhir_version_list
    if versions and not any(each.startswith("4.0") for each in versions):
        what = f"Expected a package for FHIR 4.0, found one for {', '.join(versions[:5])[:100]}."
        raise Invalid(Issue("not-supported", what))
    return Manifest(
        written.name,
        written.version,
        written.canonical,
        written.title,
        versions,
        written.dependencies,
    )


def _meets(wanted: str, version: str) -> bool:
    """Whether a version is the one wanted: `4.0.x` is any patch, `latest` is any at all."""
    if wanted in ("latest", "current", "dev", "*") or wanted == version:
        return True
    parts, given = wanted.split("."), version.split(".")
    return parts[-1] == "x" and given[: len(parts) - 1] == parts[:-1]
