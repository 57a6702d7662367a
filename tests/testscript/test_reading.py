import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_server.conformance.model import Assert, Operation
from fhir_server.conformance.reading import Unreadable, decoded, read, script
from fhir_server.xml import encode_xml
from tests.testscript.building import claim, operation, script_of
from tests.testscript.conftest import SCRIPTS

HERE = Path("/nowhere")


def problem(resource: Any) -> str:
    with pytest.raises(Unreadable) as caught:
        script(resource, HERE / "script.json", HERE)
    return str(caught.value)


def test_what_scripts_in_use_leave_out_has_the_default_of_test_engines() -> None:
    made = script(script_of(operation("read"), claim(response="okay")), HERE / "s.json", HERE)
    sent, said = made.tests[0].actions
    assert isinstance(sent, Operation)
    assert isinstance(said, Assert)
    assert sent.encode_url
    assert not said.warning_only
    assert said.stops
    assert made.name == "s"


def test_xml_reads_as_json_does() -> None:
    watch = json.loads((SCRIPTS / "watch.json").read_text())
    for fixture in watch["fixture"]:
        fixture["resource"] = {"reference": f"{fixture['id']}.json"}
    for action in [a for test in watch["test"] for a in test["action"]] + watch["setup"]["action"]:
        action.get("operation", {}).setdefault("encodeRequestUrl", True)
    as_xml = script(decoded(encode_xml(watch)), HERE / "s", HERE)
    assert as_xml == script(watch, HERE / "s", HERE)


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        (None, "expected a TestScript, found no resource"),
        ([], "expected a TestScript, found no resource"),
        ({"resourceType": "Patient"}, "expected a TestScript, found Patient"),
        (script_of(claim(responce="okay")), 'action[0].assert.responce: Unknown element "responce"'),  # noqa: E501
        (script_of(claim(response="good")), "action[0].assert.response: Expected one of"),
        (script_of(claim(warningOnly=True)), "expected one of contentType, expression"),
        (script_of(claim(response="okay", responseCode="200")), "cannot be about response and"),
        (script_of(claim(compareToSourceId="x", path="y")), "expected compareToSourceId with"),
        (script_of(claim(response="okay", direction="request")), "a request has no response"),
        (script_of(claim(operator="like", path="x")), "operator"),
        (script_of({}), "TestScript.test[0].action[0]"),
        (script_of(operation("read") | claim(response="okay")), "either an operation or an assert"),
        (script_of(claim(validateProfileId="p")), "there is no profile 'p'"),
        (script_of(claim(response="okay"), fixture=[{"resource": {}}]), "expected an id"),
        (script_of(claim(response="okay"), fixture=[{"id": "a"}, {"id": "a"}]), "id 'a'"),
        (script_of(claim(response="okay"), variable=[{"name": "a"}, {"name": "a"}]), "same name"),
        (
            script_of(claim(response="okay"), variable=[{"name": "a", "path": "x", "expression": "y"}]),  # noqa: E501
            "expected only one of expression, headerField and path",
        ),
        (script_of(claim(response="okay"), test=[{"name": "one"}]), "action"),
        (script_of(claim(response="okay"), test={"name": "one"}), "TestScript.test"),
        (script_of("read"), "TestScript.test[0].action[0]"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_cannot_be_carried_out_is_refused_with_its_place(resource: Any, said: str) -> None:
    assert said in problem(resource)


@pytest.mark.parametrize(
    ("extension", "said"),
    [
        ({"url": "parametrize", "valueString": "x"}, "expected 'variable' and 'values'"),
        ({"url": "fhirVersions", "valueCode": "4.0"}, "expected valueString"),
    ],
)
def test_an_extension_without_what_it_needs_is_refused(extension: Any, said: str) -> None:
    extension = extension | {"url": "http://ignixa.io/testscript/" + extension["url"]}
    test = {"name": "one", "extension": [extension], "action": [claim(response="okay")]}
    assert said in problem(script_of(test=[test]))


def test_a_file_that_is_not_there_or_is_no_script_is_told(tmp_path: Path) -> None:
    for name, content, said in (
        ("no.json", None, "cannot be read: No such file"),
        ("bad.json", b'{"resourceType": "TestScript"', "not valid JSON"),
        ("bad.xml", b"<TestScript", "Line 1"),
        ("entity.xml", b'<!DOCTYPE a [<!ENTITY b "c">]><TestScript/>', "Line 1"),
        ("bytes.json", b"\xff\xfe\x00", "not valid JSON"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(Unreadable) as caught:
            read(tmp_path / name)
        assert said in str(caught.value), caught.value


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),  # noqa: E501
    max_leaves=4,
)  # fmt: skip
WATCH = json.loads((SCRIPTS / "watch.json").read_text())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in inner:
        found.append((*path, key))
        if isinstance(item, dict | list):
            found += places(item, (*path, key))
    return found


@given(st.sampled_from(places(WATCH)), anything)
@example(("setup", "action"), None)
def test_a_script_altered_anywhere_is_read_or_refused(place: tuple[Any, ...], value: Any) -> None:
    altered = copy.deepcopy(WATCH)
    holder = altered
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    with suppress(Unreadable):
        script(altered, HERE / "script.json", HERE)
