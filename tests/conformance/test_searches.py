from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from fhir_server import fhir_json
from tests.conformance.searches import Case, prepared, stored_examples, wrong

SINCE = datetime.now(UTC) - timedelta(minutes=5)
EXAMPLES = (
    '{"resourceType":"Patient","id":"a","gender":"male","birthDate":"1970","name":[{"family":"A"}]}',
    '{"resourceType":"Patient","id":"b","gender":"female","birthDate":"1980"}',
    '{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"code":"c"}]},'
    '"subject":{"reference":"Patient/a"},"valueQuantity":{"value":1.0}}',
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("package")
    (directory / "package.json").write_text("{}")
    for number, text in enumerate(EXAMPLES):
        (directory / f"{number}.json").write_text(text)
    return directory


@pytest.fixture(scope="module")
def cases(package: Path) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in prepared(stored_examples(package))[0]:
        found.setdefault(case.parameter, []).append(case)
    return found


@pytest.fixture(scope="module", autouse=True)
async def stored(client: httpx.AsyncClient, package: Path) -> None:
    for items in stored_examples(package).values():
        for item in items:
            url = f"{item['resourceType']}/{item['id']}"
            assert (await client.put(url, content=fhir_json.encode(item))).status_code == 201


def test_each_parameter_with_a_value_is_asked_for_it_and_for_another(
    cases: dict[str, list[Case]],
) -> None:
    one, other = cases["Patient.gender"]
    assert (one.query, one.expected) == ("Patient?gender=female", frozenset({"Patient/b"}))
    assert (other.query, other.expected) == ("Patient?gender=male", frozenset({"Patient/a"}))
    assert cases["Observation.code-value-quantity"][0].query.endswith("=c%24eq1.0")
    assert cases["Patient.family"][1].expected == set()


def test_parameters_without_a_value_are_told(package: Path) -> None:
    _, without = prepared(stored_examples(package))
    assert {"Patient.deceased", "Resource._tag", "Observation.date"} <= without
    assert not without & {"Patient.gender", "Observation.subject", "Patient.birthdate"}


async def test_a_server_that_finds_what_it_must_is_right(
    client: httpx.AsyncClient, cases: dict[str, list[Case]]
) -> None:
    asked = [case for pair in cases.values() for case in pair]
    assert len(asked) > 20
    assert await wrong(client, asked, SINCE) == []


async def test_a_server_that_misses_or_has_too_much_or_refuses_is_wrong(
    client: httpx.AsyncClient,
) -> None:
    asked = [
        Case("less", "Patient?gender=male", "", True, frozenset({"Patient/a", "Patient/b"})),
        Case("more", "Patient?gender=male", "", True, frozenset()),
        Case("refused", "Patient?nonsense=1", "", True, frozenset()),
    ]
    told = sorted(await wrong(client, asked, SINCE))
    assert told[0] == "less: Patient?gender=male: misses ['Patient/b']"
    assert told[1] == "more: Patient?gender=male: has ['Patient/a']"
    assert told[2].startswith("refused: Patient?nonsense=1: 400 ")
