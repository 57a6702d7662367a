"""The official FHIRPath suite for R4 (FHIR/fhir-test-cases, r4/fhirpath)."""

import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from lxml import etree

from fhir_server import fhir_json
from fhir_server.fhirpath import FhirPathError, Node, Services
from fhir_server.fhirpath import compile as compile_fhirpath
from fhir_server.fhirpath.functions.conversion import to_text
from fhir_server.fhirpath.functions.types import type_info
from fhir_server.spec import definitions
from fhir_server.validation.structure import StructureCheck
from fhir_server.xml import decode_xml
from tests.conformance.score import Score

SUITE = "tests-fhir-r4.xml"
KNOWN = Path(__file__).with_name("fhirpath_failures.toml")
_STRUCTURES = "http://hl7.org/fhir/StructureDefinition/"
_CHECK = StructureCheck(definitions())


@dataclass(frozen=True, slots=True)
class Case:
    """One test of the suite.

    invalid: whether the expression must be refused.
    strict: whether it must be refused for the type of its input alone.
    outputs: type (or None) and text of every expected item.
    """

    name: str
    expression: str
    input: str | None
    invalid: bool
    strict: bool
    predicate: bool
    ordered: bool
    outputs: tuple[tuple[str | None, str], ...]


def cases(path: Path) -> Iterator[Case]:
    """Every test in the suite's file; a name that is there twice gets a number."""
    seen: dict[str, int] = {}
    for test in etree.parse(path).iter("test"):
        expression = test.find("expression")
        assert expression is not None
        name = test.get("name", "")
        seen[name] = seen.get(name, 0) + 1
        invalid = expression.get("invalid")
        yield Case(
            name=name if seen[name] == 1 else f"{name} ({seen[name]})",
            expression=expression.text or "",
            input=test.get("inputfile"),
            invalid=invalid is not None,
            strict="strict" in (test.get("mode"), expression.get("mode")) or invalid == "semantic",
            predicate=test.get("predicate") == "true",
            ordered=test.get("ordered") != "false",
            outputs=tuple(
                (output.get("type"), output.text or "") for output in test.iter("output")
            ),
        )


def run(suites: Path) -> list[Score]:
    """The scores of the valid cases and of those that must fail."""
    started = time.monotonic()
    directory = suites / "fhirpath"
    inputs: dict[str, Any] = {}
    valid, invalid = Score("fhirpath valid cases", 0, 0), Score("fhirpath invalid cases", 0, 0)
    known = known_failures()
    for case in cases(directory / SUITE):
        score = invalid if case.invalid else valid
        score.cases += 1
        complaint = complaint_about(case, _input(directory, case.input, inputs))
        if complaint is None:
            score.passed += 1
        else:
            reason = known.get(case.name, "NOT LISTED")
            score.failures.append(f"{case.name}: {complaint}: {reason}")
    valid.seconds = time.monotonic() - started
    return [valid, invalid]


def known_failures() -> dict[str, str]:
    """The reason of each case that is expected to fail, by its name."""
    return {name: str(reason) for name, reason in tomllib.loads(KNOWN.read_text()).items()}


def _input(directory: Path, name: str | None, read: dict[str, Any]) -> Any:
    if name is None:
        return None
    if name not in read:
        data = (directory / name).read_bytes()
        is_xml = name.endswith(".xml")
        read[name] = decode_xml(in_order(data)) if is_xml else fhir_json.decode(data)
    return read[name]


def in_order(data: bytes) -> bytes:
    """The resource with its elements in R4's order, which one input breaks."""
    resource = etree.fromstring(data)
    names = list(definitions().types[etree.QName(resource).localname].elements)
    children = [child for child in resource if isinstance(child.tag, str)]
    order = {child: _place(etree.QName(child).localname, names) for child in children}
    resource[:] = sorted(children, key=order.__getitem__)
    return bytes(etree.tostring(resource))


def _place(tag: str, names: list[str]) -> int:
    return max(i for i, name in enumerate(names) if tag == name or i == 0 or tag.startswith(name))


def complaint_about(case: Case, resource: Any) -> str | None:
    """What is wrong with the result of a case; None if it passes."""
    try:
        items = _evaluated(case, resource)
    except FhirPathError as error:
        return None if case.invalid else f"refused: {error.problem}"
    found = [(_type(item), _text(item)) for item in items]
    if case.invalid:
        return f"should be refused, gave {found}"
    if case.predicate:
        found = [("boolean", "true" if items else "false")]
    expected = list(case.outputs)
    if not case.ordered:
        found, expected = sorted(found), sorted(expected, key=str)
    if len(found) == len(expected) and all(map(_fits, found, expected)):
        return None
    return f"gave {found}, expected {expected}"


def _evaluated(case: Case, resource: Any) -> Any:
    type_name = resource["resourceType"] if case.strict and resource is not None else None
    compiled = compile_fhirpath(case.expression, type_name=type_name)
    return compiled.evaluate_items(resource, services=Services(conforms_to=_conforms))


def _conforms(value: Any, type_name: str, profile: str) -> bool | None:
    """Conformance to R4's own types, for which the structure check is enough."""
    named = profile.removeprefix(_STRUCTURES)
    if named == profile or named not in definitions().types:
        return None
    return definitions().is_a(type_name, named) and not _CHECK.check(value).issues


def _type(item: Any) -> str:
    return item.type if isinstance(item, Node) else type_info(item).name


def _text(item: Any) -> str:
    value = item.value if isinstance(item, Node) else item
    return to_text(value) or ""


def _fits(found: tuple[str, str], expected: tuple[str | None, str]) -> bool:
    type_, text = expected
    if type_ is not None and found[0].lower() != type_.lower():
        return False
    text = text.removeprefix("@").removeprefix("T") if text.startswith("@T") else text
    text = text.removeprefix("@")
    if found[0] in ("Decimal", "decimal"):
        return Decimal(found[1]) == Decimal(text) and (type_ is not None or found[1] == text)
    return found[1] == text
