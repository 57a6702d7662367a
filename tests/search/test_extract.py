import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.search import keys
from fhir_server.search.keys import hash64, key
from tests.search.extraction import BASE_URL, EXTRACTOR, keys_of

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
STATUS = "http://hl7.org/fhir/observation-status"

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o1",
    "meta": {
        "lastUpdated": "2020-01-01T00:00:00Z",
        "profile": ["http://p|1"],
        "tag": [{"system": "http://t", "code": "x"}],
        "source": "http://source",
    },
    "status": "final",
    "category": [{"coding": [{"system": CATEGORY, "code": "laboratory"}]}],
    "code": {"coding": [{"system": LOINC, "code": "15074-8"}], "text": "Glucose"},
    "subject": {"reference": f"{BASE_URL}/Patient/f001", "display": "P. van de Heuvel"},
    "effectiveDateTime": "1970-01-02T00:00:00+00:00",
    "performer": [{"reference": "Practitioner/f005"}],
    "valueQuantity": {"value": Decimal("6.3"), "unit": "mmol/L", "system": UCUM, "code": "mmol/L"},
}
OBSERVATION_HAS = (
    "_profile,_source,_tag,category,code,code-value-quantity,combo-code,combo-code-value-quantity,"
    "combo-value-quantity,date,patient,performer,status,subject,value-quantity"
)


def _token(name: str, system: str, code: str) -> set[int]:
    texts = (f"*\x1f{code}", f"{system}\x1f{code}", f"{system}\x1f*")
    return {key(f"Observation|{name}", text) for text in texts}


def test_an_observation_has_exactly_these_entries() -> None:
    entries = EXTRACTOR.extract(OBSERVATION)
    expected = (
        _token("status", STATUS, "final")
        | _token("category", CATEGORY, "laboratory")
        | _token("code", LOINC, "15074-8")
        | _token("combo-code", LOINC, "15074-8")
        | _token("_tag", "http://t", "x")
        | {key("Resource|_tag", text) for text in ("*\x1fx", "http://t\x1fx", "http://t\x1f*")}
        | {
            key(f"{type_}|{code}", text)
            for type_ in ("Observation", "Resource")
            for code, text in (
                ("_profile", "http://p"),
                ("_profile", "http://p|1"),
                ("_source", "http://source"),
                ("_profile:below", "http://p"),
                ("_profile:below", "http://p|1"),
                ("_source:below", "http://source"),
            )
        }
        | {
            key("Observation|code:text", "glucose"),
            key("Observation|combo-code:text", "glucose"),
            key("Observation|subject:text", "p. van de heuvel"),
            key("Observation|patient:text", "p. van de heuvel"),
            key("Observation|:present", OBSERVATION_HAS),
            key("Observation|date:within", "1970"),
            key("Observation|date:within", "1970-01"),
        }
        | {
            key("Observation|subject", "Patient/f001"),
            key("Observation|patient", "Patient/f001"),
            key("Observation|performer", "Practitioner/f005"),
        }
    )
    assert entries.keys == sorted(expected)
    assert entries.strings == []
    day = 86_400_000_000
    of_patient = hash64("Observation|date@patient") ^ hash64("Patient/f001")
    assert entries.dates == [
        (hash64("Observation|date"), day, day + 1_000_000),
        (of_patient, day, day + 1_000_000),
    ]
    low = high = Decimal("6.3")
    unit = f"{UCUM}\x1fmmol/L\x1fmmol/L"
    combined = [
        hash64(f"Observation|{code}") ^ hash64(text)
        for code in ("code-value-quantity", "combo-code-value-quantity")
        for text in ("*\x1f15074-8", f"{LOINC}\x1f15074-8")
    ]
    plain = [hash64("Observation|value-quantity"), hash64("Observation|combo-value-quantity")]
    assert sorted(entries.numbers) == sorted(
        (parameter, hash64(unit), low, high) for parameter in plain + combined
    )
    assert sorted(entries.targets) == sorted(map(hash64, ("Patient/f001", "Practitioner/f005")))
    assert sorted(entries.texts) == sorted(
        [
            (keys.UNITS, unit),
            (hash64("Observation|code:text"), "glucose"),
            (hash64("Observation|combo-code:text"), "glucose"),
            (hash64("Observation|subject:text"), "p. van de heuvel"),
            (hash64("Observation|patient:text"), "p. van de heuvel"),
            (hash64("Observation|:present"), OBSERVATION_HAS),
        ]
    )


def test_a_patient_has_exactly_these_entries() -> None:
    patient = {
        "resourceType": "Patient",
        "active": True,
        "name": [{"family": "Van de Heuvel", "given": ["Pieter"]}],
        "gender": "male",
        "birthDate": "1970-01-01",
        "address": [{"city": "Amsterdam", "use": "home"}],
        "managingOrganization": {"reference": "Organization/1"},
        "link": [{"other": {"reference": "Patient/2"}, "type": "seealso"}],
    }
    entries = EXTRACTOR.extract(patient)
    gender = "http://hl7.org/fhir/administrative-gender"
    use = "http://hl7.org/fhir/address-use"
    tokens = {
        "active": ["*\x1ftrue", "\x1ftrue"],
        "deceased": ["*\x1ffalse", "\x1ffalse"],
        "gender": ["*\x1fmale", f"{gender}\x1fmale", f"{gender}\x1f*"],
        "address-use": ["*\x1fhome", f"{use}\x1fhome", f"{use}\x1f*"],
        "organization": ["Organization/1"],
        "link": ["Patient/2"],
        "birthdate:within": ["1970", "1970-01"],
        ":present": [
            "active,address,address-city,address-use,birthdate,deceased,family,gender,given,link,"
            "name,organization,phonetic"
        ],
    }
    exact = {
        "name": ["Van de Heuvel", "Pieter"],
        "phonetic": ["Van de Heuvel", "Pieter"],
        "family": ["Van de Heuvel"],
        "given": ["Pieter"],
        "address": ["Amsterdam"],
        "address-city": ["Amsterdam"],
    }
    assert entries.keys == sorted(
        {key(f"Patient|{code}", text) for code, texts in tokens.items() for text in texts}
        | {key(f"Patient|{code}:exact", text) for code, texts in exact.items() for text in texts}
    )
    assert sorted(entries.strings) == sorted(
        (hash64(f"Patient|{code}"), text.lower()) for code, texts in exact.items() for text in texts
    )
    assert entries.dates == [(hash64("Patient|birthdate"), 0, 86_400_000_000)]
    assert entries.numbers == []


def test_what_applies_to_all_types_is_found_across_types() -> None:
    stored = EXTRACTOR.extract(OBSERVATION).keys
    assert key("Resource|_tag", "http://t\x1fx") in stored
    assert key("Observation|_tag", "http://t\x1fx") in stored


def test_id_and_last_update_are_columns_and_not_entries() -> None:
    entries = EXTRACTOR.extract({"resourceType": "Basic", "id": "b", "meta": OBSERVATION["meta"]})
    assert key("Basic|_id", "*\x1fb") not in entries.keys
    assert entries.dates == []


def test_a_value_given_twice_is_entered_once() -> None:
    names = [{"family": "Same"}, {"family": "same"}, {"family": "Same"}]
    entries = EXTRACTOR.extract({"resourceType": "Patient", "name": names})
    assert len(entries.keys) == len(set(entries.keys))
    assert sorted(entries.strings) == sorted(
        (hash64(f"Patient|{code}"), "same") for code in ("name", "phonetic", "family")
    )


def test_a_resource_is_not_changed_by_extraction() -> None:
    before = copy.deepcopy(OBSERVATION)
    EXTRACTOR.extract(OBSERVATION)
    assert before == OBSERVATION


def test_values_without_a_value_are_passed_over() -> None:
    patient = {
        "resourceType": "Patient",
        "_birthDate": {"extension": []},
        "name": [{"given": [None, "A"], "_given": [{"id": "g"}, None]}],
        "telecom": [{"system": "phone"}],
        "identifier": [{"system": "http://s"}],
        "managingOrganization": {"display": "nobody"},
    }
    assert keys_of(patient, "given:exact", "A") == {"A"}
    assert keys_of(patient, "identifier", "http://s\x1f*") == {"http://s\x1f*"}
    assert EXTRACTOR.extract(patient).dates == []


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "text"},
        {"name": [1, 2]},
        {"name": [{"given": 5, "family": {}}]},
        {"birthDate": "1970-99-99"},
        {"birthDate": ["1970"]},
        {"identifier": {"value": "x"}},
        {"identifier": [[{"value": "x"}]]},
        {"gender": ["male"]},
        {"managingOrganization": "Organization/1"},
        {"managingOrganization": {"reference": 5, "identifier": [1]}},
        {"meta": "x"},
        {"meta": {"tag": {"code": "x"}}},
        {"extension": 5},
        {"contact": [None, {"relationship": None}]},
    ],
)
def test_malformed_values_are_passed_over_and_the_rest_is_entered(broken: dict[str, Any]) -> None:
    patient = {"resourceType": "Patient", **broken, "active": True}
    assert keys_of(patient, "active", "*\x1ftrue") == {"*\x1ftrue"}


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        items = list(value.items() if isinstance(value, dict) else enumerate(value))
        for name, inner in items:
            yield value, name
            yield from _places(inner)


_JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.decimals()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["coding", "code", "value", "start", "x"]), inner, max_size=2
        ),
    ),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_junk_anywhere_makes_extraction_fail(data: st.DataObject) -> None:
    resource = copy.deepcopy(OBSERVATION)
    places = [(holder, name) for holder, name in _places(resource) if name != "resourceType"]
    holder, name = data.draw(st.sampled_from(places))
    holder[name] = data.draw(_JUNK)
    EXTRACTOR.extract(resource)


def test_a_resource_of_an_unknown_type_has_nothing_present() -> None:
    assert EXTRACTOR.extract({"resourceType": "Nonsense", "id": "n"}).keys == [
        key("Nonsense|:present", "")
    ]


def test_a_contained_resource_has_entries_of_its_own() -> None:
    patient = {
        "resourceType": "Patient",
        "id": "p",
        "birthDate": "1970-01-01",
        "link": [{"other": {"reference": "#"}}, {"other": {"reference": "#q"}}],
        "generalPractitioner": [{"reference": "Practitioner/7"}],
    }
    other = {"resourceType": "Patient", "birthDate": "1970-01-02"}
    entries = EXTRACTOR.extract(
        {
            "resourceType": "Observation",
            "id": "o",
            "subject": {"reference": "#p"},
            "contained": [patient, other],
        }
    )
    first, second = entries.contained
    assert first[:4] == (1, "Patient", "p", hash64("Observation/o#p"))
    assert second[:3] == (2, "Patient", "")
    present = "birthdate,deceased,general-practitioner,link"
    assert first.keys == sorted(
        key(f"Patient|{code}", text)
        for code, text in (
            ("birthdate:within", "1970"),
            ("birthdate:within", "1970-01"),
            ("deceased", "*\x1ffalse"),
            ("deceased", "\x1ffalse"),
            ("general-practitioner", "Practitioner/7"),
            ("link", "Observation/o"),
            ("link", "Observation/o#q"),
            (":present", present),
        )
    )
    expected = ("Practitioner/7", "Observation/o", "Observation/o#q")
    assert sorted(first.targets) == sorted(map(hash64, expected))
    assert second.targets == []
    birth, day = hash64("Patient|birthdate"), 86_400_000_000
    assert entries.dates == [(birth ^ 1, 0, day), (birth ^ 2, day, 2 * day)]
    assert entries.targets == [hash64("Observation/o#p")]
    assert {key("Observation|subject", "Observation/o#p"), key("Observation|patient",
            "Observation/o#p")} <= set(entries.keys)  # fmt: skip
    assert (hash64("Patient|:present"), present) in entries.texts
    assert not set(entries.keys) & set(first.keys)


def test_what_refers_to_its_container_has_the_type_of_that() -> None:
    inside = {"resourceType": "Observation", "id": "o", "subject": {"reference": "#"}}
    patient = {"resourceType": "Patient", "id": "1", "contained": [inside]}
    (found,) = EXTRACTOR.extract(patient).contained
    assert key("Observation|patient", "Patient/1") in found.keys
    group = {"resourceType": "Group", "id": "1", "contained": [inside]}
    (found,) = EXTRACTOR.extract(group).contained
    assert key("Observation|subject", "Group/1") in found.keys
    assert key("Observation|patient", "Group/1") not in found.keys


def test_a_contained_resource_of_the_wrong_shape_is_passed_over() -> None:
    inside: list[Any] = [None, "x", {"id": "a"}, {"resourceType": "Patient", "id": "p"}]
    for contained in (inside, [inside], None):
        entries = EXTRACTOR.extract({"resourceType": "Basic", "id": "b", "contained": contained})
        assert [item.id for item in entries.contained] == (["p"] if contained is inside else [])
