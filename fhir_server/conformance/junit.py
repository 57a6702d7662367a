"""What came of scripts as JUnit XML, which systems of continuous integration read."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from fhir_server.conformance.results import PartResult, Result, ScriptResult, Totals

# What no XML document can hold.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Sequence[ScriptResult], seconds: float) -> bytes:
    """One testsuite a script, one testcase a test; a setup that failed is a testcase as well."""
    root = ElementTree.Element("testsuites", name="fhir-server test", time=f"{seconds:.3f}")
    cases = 0
    for script in results:
        suite = _suite(script)
        cases += len(suite)
        root.append(suite)
    totals = Totals.of(results)
    root.set("tests", str(cases))
    root.set("failures", str(totals.failed))
    root.set("errors", str(sum(int(each.get("errors", "0")) for each in root)))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, "utf-8", xml_declaration=True))


def _suite(script: ScriptResult) -> ElementTree.Element:
    name = f"{script.label} ({script.format})"
    suite = ElementTree.Element("testsuite", name=_fit(name), time=f"{script.seconds:.3f}")
    suite.set("timestamp", script.started.replace(tzinfo=None).isoformat(timespec="seconds"))
    if script.problem:
        broken = ElementTree.SubElement(suite, "testcase", classname=_fit(name), name="script")
        _reason(broken, "error", script.problem)
    if script.setup is not None and script.setup.failed:
        suite.append(_case(name, script.setup))
    for test in script.tests:
        suite.append(_case(name, test))
    suite.set("tests", str(len(suite)))
    for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{kind}"))))
    return suite


def _case(script: str, part: PartResult) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname=_fit(script), name=_fit(part.name), time=f"{part.seconds:.3f}"
    )
    kinds = {Result.FAIL: "failure", Result.ERROR: "error", Result.SKIP: "skipped"}
    if part.result in kinds:
        _reason(case, kinds[part.result], part.message)
    warnings = [each for each in part.actions if each.result is Result.WARNING]
    if warnings:
        told = "\n".join(f"warning: {each.title}: {each.message}" for each in warnings)
        ElementTree.SubElement(case, "system-out").text = _fit(told)
    return case


def _reason(case: ElementTree.Element, kind: str, message: str) -> None:
    ElementTree.SubElement(case, kind, message=_fit(message)[:1000]).text = _fit(message)


def _fit(text: str) -> str:
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)
