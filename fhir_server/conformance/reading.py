"""From the bytes of a TestScript to what is carried out.

A script is held to R4 (the structure check of its type), with the few things that scripts in use
leave out or write otherwise and that can only mean one thing: see `_lenient`.
"""

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fhir_server import fhir_json
from fhir_server.conformance import extensions
from fhir_server.conformance.model import Action, Assert, Fixture, Operation, Script, Test, Variable
from fhir_server.outcome import Invalid
from fhir_server.spec import definitions
from fhir_server.validation.structure import StructureCheck
from fhir_server.xml import decode_xml

Json = dict[str, Any]

# What an assertion can look at; the element's value is what it expects, or where it looks.
KINDS = (
    "contentType", "expression", "headerField", "minimumId", "navigationLinks", "path",
    "requestMethod", "requestURL", "resource", "response", "responseCode", "validateProfileId",
)  # fmt: skip
_LARGEST = 20_000_000
_MOST_TOLD = 5


class Unreadable(Exception):
    """A script that cannot be carried out: what is wrong and where."""


def read(path: Path, root: Path | None = None) -> Script:
    """The script in a file.

    root: the folder above which no fixture is looked for; its own unless given.
    Raises Unreadable.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise Unreadable(f"the file has more than {_LARGEST} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"the file cannot be read: {error.strerror}") from None
    return script(decoded(data), path, root or path.parent)


def decoded(data: bytes) -> Any:
    """JSON or XML, whichever it is. Raises Unreadable."""
    try:
        if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
            return decode_xml(data)
        return fhir_json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except Invalid as error:
        raise Unreadable(str(error)) from None


def script(resource: Any, path: Path, root: Path | None) -> Script:
    """A decoded TestScript as it is carried out; without a root, it reads no files.

    Raises Unreadable.
    """
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    if name != "TestScript":
        raise Unreadable(f"expected a TestScript, found {name or 'no resource'}")
    checked = _lenient(resource)
    issues = _structure().check(checked).issues
    if issues:
        told = [f"{issue.expression or 'TestScript'}: {issue.diagnostics}" for issue in issues]
        more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
        raise Unreadable("; ".join(told[:_MOST_TOLD]) + more)
    try:
        return _script(resource, path, root)
    except extensions.Misused as error:
        raise Unreadable(str(error)) from None


@cache
def _structure() -> StructureCheck:
    return StructureCheck(definitions())


def _lenient(resource: Json) -> Json:
    """A copy in which what scripts in use omit is there, for the check.

    Filled in: url, name, status, and the booleans without which every test engine has a default.
    Let pass: an inline resource or the path of a file as a fixture or profile, methods in capitals,
    types of other versions of FHIR (their tests are skipped or fail by themselves), sections
    without actions, empty header values.
    """
    made = copy.deepcopy(resource)
    made.setdefault("url", "urn:script")
    made.setdefault("name", "Script")
    made.setdefault("status", "draft")
    if not isinstance(made["name"], str) or not made["name"]:
        made["name"] = "Script"
    for fixture in _objects(made.get("fixture")):
        fixture.setdefault("autocreate", False)
        fixture.setdefault("autodelete", False)
        if _is_inline(fixture.get("resource")):
            fixture["resource"] = {"display": "inline"}
        _lenient_reference(fixture.get("resource"))
    for profile in _objects(made.get("profile")):
        _lenient_reference(profile)
    for section in ("setup", "teardown"):
        if isinstance(made.get(section), dict) and not made[section].get("action", True):
            del made[section]
    for action in _actions(made):
        _lenient_action(action)
    return made


def _lenient_reference(value: Any) -> None:
    if isinstance(value, dict) and isinstance(value.get("reference"), str):
        value["reference"] = "urn:file"


def _lenient_action(action: Json) -> None:
    operation, claim = action.get("operation"), action.get("assert")
    if isinstance(operation, dict):
        operation.setdefault("encodeRequestUrl", True)
        operation.pop("resource", None)
        if isinstance(operation.get("method"), str):
            operation["method"] = operation["method"].lower()
        if operation.get("accept") == "":
            del operation["accept"]
        for header in _objects(operation.get("requestHeader")):
            header["value"] = header.get("value") or "-"
    if isinstance(claim, dict):
        claim.setdefault("warningOnly", False)
        claim.pop("resource", None)


def _is_inline(value: Any) -> bool:
    """Whether it is a resource, or the wish for one, and no Reference."""
    if not isinstance(value, dict):
        return False
    return "resourceType" in value or not value.keys() & {"reference", "identifier", "display"}


def _objects(value: Any) -> Iterator[Json]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))


def _actions(resource: Json) -> Iterator[Json]:
    sections = [resource.get("setup"), resource.get("teardown"), *_objects(resource.get("test"))]
    for section in sections:
        if isinstance(section, dict):
            yield from _objects(section.get("action"))


def _script(resource: Json, path: Path, root: Path | None) -> Script:
    variables = [_variable(each) for each in resource.get("variable", ())]
    id_ = f"TestScript/{resource['id']}" if "id" in resource else ""
    made = Script(
        path=path,
        root=root,
        name=resource.get("name") or path.stem,
        title=resource.get("title") or resource.get("name") or path.stem,
        reference=resource.get("url") or id_,
        setup=_section(resource, "setup"),
        tests=tuple(_test(each, n) for n, each in enumerate(resource.get("test", ()), 1)),
        teardown=tuple(
            each for each in _section(resource, "teardown") if isinstance(each, Operation)
        ),
        fixtures=tuple(_fixture(each) for each in resource.get("fixture", ())),
        profiles={each["id"]: each.get("reference", "") for each in resource.get("profile", ())
                  if "id" in each},
        variables={each.name: each for each in variables},
        destinations=frozenset(each["index"] for each in resource.get("destination", ())),
        contained={each["id"]: each for each in resource.get("contained", ()) if "id" in each},
        versions=extensions.versions(resource),
        capability=extensions.capability(resource),
    )  # fmt: skip
    _check_names(made, len(variables))
    return made


def _check_names(made: Script, variables: int) -> None:
    ids = [each.id for each in made.fixtures]
    for id_ in ids:
        if not id_:
            raise Unreadable("TestScript.fixture: expected an id by which it is used")
        if ids.count(id_) > 1:
            raise Unreadable(f"TestScript.fixture: two of them have the id '{id_}'")
    if variables > len(made.variables):
        raise Unreadable("TestScript.variable: two of them have the same name")
    for action in (*made.setup, *(each for test in made.tests for each in test.actions)):
        if not isinstance(action, Assert) or action.kind != "validateProfileId":
            continue
        if action.subject not in made.profiles:
            raise Unreadable(f"validateProfileId: there is no profile '{action.subject}'")
    for test in made.tests:
        if test.parameters and test.parameters.variable not in made.variables:
            name = test.parameters.variable
            raise Unreadable(f"test '{test.name}': there is no variable '{name}' to give values to")


def _section(resource: Json, name: str) -> tuple[Action, ...]:
    actions = resource.get(name, {}).get("action") or ()
    return tuple(
        _action(each, f"TestScript.{name}.action[{number}]") for number, each in enumerate(actions)
    )


def _test(test: Json, number: int) -> Test:
    where = f"TestScript.test[{number - 1}].action"
    return Test(
        name=test.get("name") or test.get("id") or f"test {number}",
        description=test.get("description"),
        actions=tuple(_action(each, f"{where}[{n}]") for n, each in enumerate(test["action"])),
        versions=extensions.versions(test),
        capability=extensions.capability(test),
        parameters=extensions.parameters(test),
    )


def _action(action: Json, where: str) -> Action:
    if ("operation" in action) == ("assert" in action):
        raise Unreadable(f"{where}: expected either an operation or an assert")
    try:
        if "operation" in action:
            return _operation(action["operation"])
        return _assert(action["assert"])
    except Unreadable as error:
        raise Unreadable(f"{where}: {error}") from None


def _operation(given: Json) -> Operation:
    return Operation(
        type=given.get("type", {}).get("code", ""),
        resource=given.get("resource"),
        label=given.get("label"),
        description=given.get("description"),
        accept=given.get("accept"),
        content_type=given.get("contentType"),
        destination=given.get("destination"),
        encode_url=given.get("encodeRequestUrl", True),
        method=given["method"].upper() if given.get("method") else None,
        origin=given.get("origin"),
        params=given.get("params"),
        headers=tuple(
            (each["field"], each.get("value", "")) for each in given.get("requestHeader", ())
        ),
        request_id=given.get("requestId"),
        response_id=given.get("responseId"),
        source_id=given.get("sourceId"),
        target_id=given.get("targetId"),
        url=given.get("url"),
        wait=extensions.wait_for(given),
    )


def _assert(given: Json) -> Assert:
    kinds = [kind for kind in KINDS if kind in given]
    if len(kinds) > 1:
        raise Unreadable(f"one assert cannot be about {kinds[0]} and about {kinds[1]}")
    compared = "compareToSourceExpression" in given or "compareToSourcePath" in given
    if compared != ("compareToSourceId" in given):
        raise Unreadable("expected compareToSourceId with an expression or a path, or neither")
    if not kinds and not compared:
        raise Unreadable(f"expected one of {', '.join(KINDS)}")
    kind = kinds[0] if kinds else "compare"
    of_request = given.get("direction") == "request"
    if of_request and kind in ("response", "responseCode"):
        raise Unreadable(f"a request has no {kind}")
    subject = given.get(kind, "")
    return Assert(
        kind=kind,
        subject=str(subject).lower() if isinstance(subject, bool) else subject,
        label=given.get("label"),
        description=given.get("description"),
        of_request=of_request,
        compare_id=given.get("compareToSourceId"),
        compare_expression=given.get("compareToSourceExpression"),
        compare_path=given.get("compareToSourcePath"),
        operator=given.get("operator"),
        source_id=given.get("sourceId"),
        value=given.get("value"),
        warning_only=given.get("warningOnly", False),
        group=extensions.group(given),
        when=extensions.when_status(given),
        stops=extensions.stops(given),
    )


def _fixture(given: Json) -> Fixture:
    resource = given.get("resource")
    inline, wanted = None, None
    if isinstance(resource, dict) and _is_inline(resource):
        wanted = extensions.example_of(resource)
        inline = None if wanted else resource
    return Fixture(
        id=given.get("id", ""),
        autocreate=given.get("autocreate", False),
        autodelete=given.get("autodelete", False),
        inline=inline,
        reference=resource.get("reference") if isinstance(resource, dict) else None,
        example_of=wanted,
    )


def _variable(given: Json) -> Variable:
    made = Variable(
        name=given["name"],
        default=given.get("defaultValue"),
        expression=given.get("expression"),
        header=given.get("headerField"),
        path=given.get("path"),
        source_id=given.get("sourceId"),
        hint=given.get("hint"),
    )
    if sum(each is not None for each in (made.expression, made.header, made.path)) > 1:
        what = f"TestScript.variable '{made.name}': expected only one of expression, headerField"
        raise Unreadable(f"{what} and path")
    return made
