"""The population is valid, whole, always the same, and distributed as the searches rely on."""

import itertools
import random
import statistics
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from benchmarks.hospital import rare
from benchmarks.hospital.catalogue import (
    BLOOD_PRESSURE,
    CREATINE_KINASE,
    HEART_RATE,
    OXYGEN_SATURATION,
    TEMPERATURE,
    catalogue,
)
from benchmarks.hospital.facts import LEAST_SIZE, TYPES, Hospital, mixed
from benchmarks.hospital.people import Resource
from benchmarks.population import SENT_TOGETHER, bundle, parts
from fhir_server.fhir_json import decode
from fhir_server.spec.load import definitions
from fhir_server.validation.structure import StructureCheck


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return Hospital(LEAST_SIZE)


@pytest.fixture(scope="module")
def resources(hospital: Hospital) -> list[Resource]:
    """All of them, in the order of insertion."""
    return [resource for part in parts(hospital) for resource in part.resources(hospital)]


@pytest.fixture(scope="module")
def observations(resources: list[Resource]) -> list[Resource]:
    return [resource for resource in resources if resource["resourceType"] == "Observation"]


def code_of(resource: Resource) -> str:
    return str(resource["code"]["coding"][0]["code"])


def test_every_resource_is_valid(resources: list[Resource]) -> None:
    check = StructureCheck(definitions())
    for resource in resources:
        issues = check.check(decode(msgspec.json.encode(resource))).issues
        assert issues == (), resource


def test_size_is_exact_and_all_types_are_there(
    hospital: Hospital, resources: list[Resource]
) -> None:
    found = Counter(resource["resourceType"] for resource in resources)
    assert len(resources) == hospital.size == LEAST_SIZE
    assert found == hospital.counts
    assert set(found) == set(TYPES)
    assert 0.65 < found["Observation"] / LEAST_SIZE < 0.75


def test_ids_are_unique_and_every_reference_is_to_a_resource_of_the_hospital(
    resources: list[Resource],
) -> None:
    known = {f"{resource['resourceType']}/{resource['id']}" for resource in resources}
    assert len(known) == len(resources)
    assert {found for resource in resources for found in references(resource)} <= known


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "reference" in value:
            yield value["reference"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def test_same_seed_gives_the_same_bytes_and_another_seed_others(hospital: Hospital) -> None:
    part = next(itertools.islice(parts(hospital), 3, None))
    again, other = Hospital(LEAST_SIZE), Hospital(LEAST_SIZE, seed=1)
    assert bundle(hospital, part) == bundle(again, part)
    assert next(itertools.islice(parts(again), 3, None)) == part
    assert bundle(other, part) != bundle(hospital, part)


def test_mixed_numbers_are_never_the_same() -> None:
    assert len({mixed(number) for number in range(100_000)}) == 100_000


def test_observations_are_of_the_size_hospitals_send(observations: list[Resource]) -> None:
    sizes = [len(msgspec.json.encode(observation)) for observation in observations]
    assert 1000 < statistics.mean(sizes) < 1500


def test_dense_codes_are_a_tenth_each_and_the_others_fall_off(
    observations: list[Resource],
) -> None:
    shares = Counter(code_of(observation) for observation in observations)
    for code in (BLOOD_PRESSURE, HEART_RATE, TEMPERATURE, OXYGEN_SATURATION):
        assert 0.1 < shares[code] / len(observations) < 0.15
    laboratory = [shares[item.code] for item in catalogue().laboratory]
    assert laboratory[0] > 1.5 * laboratory[1] > 5 * laboratory[20] > 0


def test_planted_values_are_found_ten_times(
    hospital: Hospital, resources: list[Resource], observations: list[Resource]
) -> None:
    codes = Counter(code_of(item) for item in observations)
    days = Counter(item["effectiveDateTime"][:10] for item in observations)
    values = Counter(
        (code_of(item), item["valueQuantity"]["value"])
        for item in observations
        if "valueQuantity" in item
    )
    subjects = Counter(item["subject"]["reference"] for item in observations)
    saturation_years = Counter(
        item["effectiveDateTime"][:4] for item in observations if code_of(item) == OXYGEN_SATURATION
    )
    families = Counter(
        item["name"][0]["family"] for item in resources if item["resourceType"] == "Patient"
    )
    for group in range(rare.GROUPS):
        alone = hospital.reference("Patient", rare.patient_alone(group))
        assert codes[catalogue().rare_laboratory[group].code] == 10
        assert days[rare.rare_day(group)] == 10
        assert values[HEART_RATE, rare.rare_rate(group)] == 10
        assert values[CREATINE_KINASE, rare.rare_enzyme(group)] == 10
        assert subjects[alone] == 10
        assert saturation_years[str(rare.RARE_YEAR + group)] == 10
        assert families[catalogue().rare_families[group]] == 10


def test_patients_of_rare_families_have_one_observation_of_the_rare_code(
    hospital: Hospital, observations: list[Resource]
) -> None:
    members = {
        hospital.reference("Patient", rare.family_member(group, member)): group
        for group in range(rare.GROUPS)
        for member in range(rare.IN_A_GROUP)
    }
    found = [item for item in observations if item["subject"]["reference"] in members]
    assert len(found) == len(members) == 80
    for item in found:
        group = members[item["subject"]["reference"]]
        assert code_of(item) == catalogue().rare_laboratory[group].code


def test_rare_rates_are_values_that_other_codes_have(observations: list[Resource]) -> None:
    rates = {rare.rare_rate(group) for group in range(rare.GROUPS)}
    others = sum(
        item["valueQuantity"]["value"] in rates
        for item in observations
        if "valueQuantity" in item and code_of(item) != HEART_RATE
    )
    assert others > 3


def test_recent_years_are_more_frequent(observations: list[Resource]) -> None:
    years = Counter(int(item["effectiveDateTime"][:4]) for item in observations)
    ordinary = [years[year] for year in range(2010, 2025)]
    assert ordinary[0] < ordinary[4] < ordinary[9] < ordinary[14]
    assert 0.15 < (years[2024] + years[2023]) / len(observations) < 0.3


def test_few_patients_have_very_many_observations(
    hospital: Hospital, observations: list[Resource]
) -> None:
    counts = Counter(item["subject"]["reference"] for item in observations)
    busiest = [counts[hospital.reference("Patient", n)] for n in hospital.busiest(3)]
    assert min(busiest) > 3 * len(observations) / hospital.counts["Patient"]
    assert len(counts) > 0.7 * hospital.counts["Patient"]


def test_order_of_insertion_mixes_types_and_patients_and_follows_time_loosely(
    resources: list[Resource], observations: list[Resource]
) -> None:
    middle = resources[20_000 : 20_000 + SENT_TOGETHER]
    assert len({resource["resourceType"] for resource in middle}) >= 8
    near = [item["subject"]["reference"] for item in observations[10_000:10_020]]
    assert len(set(near)) > 5
    ordinary = [item["effectiveDateTime"] for item in observations if "encounter" in item]
    times = [int(text[:4]) * 12 + int(text[5:7]) for text in ordinary]
    assert 0.3 < statistics.correlation(times, list(range(len(times)))) < 0.9


def test_observations_of_an_encounter_are_those_that_refer_to_it(
    hospital: Hospital, observations: list[Resource]
) -> None:
    planted = {hospital.id("Observation", number) for number in hospital.planted}
    found = Counter(
        item["encounter"]["reference"] for item in observations if item["id"] not in planted
    )
    sample = random.Random("sample").sample(range(hospital.counts["Encounter"]), 300)
    for number in sample:
        reference = hospital.reference("Encounter", number)
        assert len(hospital.observations_of(number)) == found[reference]


def test_too_small_a_hospital_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least"):
        Hospital(LEAST_SIZE - 1)
