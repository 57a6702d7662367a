"""Definitions as they are read from files."""

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.packaged import folder
from fhir_server.provisioning.files import (
    digest_of,
    profiles_by_type,
    read_provided,
    structure_definitions,
    told_digest,
)
from fhir_server.spec import definitions
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.validator import Invariants

VALUE_SET = {"resourceType": "ValueSet", "id": "pets", "url": "urn:vs:pets", "status": "active"}


def write(directory: Path, name: str, content: Any) -> Path:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_each_resource_tells_its_digest_and_tables_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "deep/pets.json", VALUE_SET)
    write(tmp_path, "table.json", {"states": []})
    write(tmp_path, "list.json", [1])
    (found,) = read_provided([tmp_path])
    assert found.identity == ("ValueSet", "pets")
    assert told_digest(found.resource) == found.digest == digest_of(VALUE_SET)


def test_without_an_id_the_name_of_the_file_is_the_id(tmp_path: Path) -> None:
    write(tmp_path, "pets.json", {key: VALUE_SET[key] for key in VALUE_SET if key != "id"})
    (found,) = read_provided([tmp_path])
    assert found.identity == ("ValueSet", "pets")


def test_the_digest_tells_contents_apart_and_knows_no_stamp() -> None:
    stamped = VALUE_SET | {"meta": {"versionId": "7", "lastUpdated": "2026-01-01T00:00:00Z"}}
    tagged = VALUE_SET | {"meta": {"tag": [{"system": "urn:mine", "code": "x"}]}}
    assert digest_of(stamped) == digest_of(VALUE_SET)
    assert digest_of(tagged) != digest_of(VALUE_SET)
    assert digest_of(VALUE_SET | {"status": "draft"}) != digest_of(VALUE_SET)
    assert told_digest(tagged) == ""


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", VALUE_SET | {"status": "unheard"}, "unheard"),
        ("a.json", VALUE_SET | {"shoes": 1}, "shoes"),
        ("a.json", {"resourceType": "Patient"}, "Patient defines nothing"),
        ("no id.json", {"resourceType": "ValueSet", "status": "active"}, "no id"),
        ("a.json", VALUE_SET | {"id": "other"}, "both have ValueSet urn:vs:pets"),
        ("a.json", VALUE_SET | {"url": "urn:vs:other"}, "both have ValueSet pets"),
    ],
)
def test_what_cannot_be_provided_ends_the_start(
    tmp_path: Path, name: str, content: Any, said: str
) -> None:
    write(tmp_path, "1.json", VALUE_SET)
    path = write(tmp_path, name, content)
    with pytest.raises(ValueError, match=said) as error:
        read_provided([tmp_path])
    assert str(path) in str(error.value)


def test_a_file_that_is_no_json_ends_the_start(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"a\.json"):
        read_provided([tmp_path])


def test_what_comes_with_the_server_keeps_the_rules_of_r4_and_can_be_used() -> None:
    found = read_provided([folder("profiles")])
    assert {each.resource["resourceType"] for each in found} >= {
        "ActivityDefinition",
        "CodeSystem",
        "OperationDefinition",
        "SearchParameter",
        "StructureDefinition",
        "ValueSet",
    }
    known = structure_definitions(found)
    invariants = Invariants(Profiles(known.get, definitions()))
    for each in found:
        assert invariants.check(each.resource).findings == (), each.path
    profiles = Profiles(known.get, definitions())
    for canonical in known:
        assert profiles.profile(canonical) is not None


def test_profiles_are_told_by_the_type_they_are_on() -> None:
    found = profiles_by_type(read_provided([folder("profiles")]))
    orders = ("imaging-order", "laboratory-order", "procedure-order")
    base = "https://fhir-server.example/r4/StructureDefinition/"
    assert found == {
        "AuditEvent": (f"{base}dicom-upload",),
        "Communication": (f"{base}hl7v2-message",),
        "ServiceRequest": tuple(f"{base}{name}" for name in orders),
    }


def test_a_structure_definition_is_known_with_and_without_its_version() -> None:
    known = structure_definitions(read_provided([folder("profiles")]))
    url = "https://fhir-server.example/r4/StructureDefinition/imaging-order"
    assert known[url] is known[f"{url}|1.0.0"]
