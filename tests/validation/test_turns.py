"""While something large is validated, others get their turns."""

import asyncio
import threading
from typing import Any

import pytest

from fhir_server.spec import definitions
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.validator import Validator
from fhir_server.validation.structure import StructureCheck
from fhir_server.validation.turns import in_turns, is_large

PATIENT = {"resourceType": "Patient", "name": [{"family": "A", "given": ["B"]}]}
BROKEN = {"resourceType": "Patient", "contact": [{"gender": "male"}]}


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    entries = [
        {"fullUrl": f"http://example.org/{place}", "resource": each}
        for place, each in enumerate(resources)
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


@pytest.mark.parametrize(
    ("value", "large"),
    [
        (PATIENT, False),
        (bundle(*[PATIENT] * 100), False),
        (bundle(*[PATIENT] * 1000), True),
        ({"resourceType": "Patient", "name": [{"given": ["B"] * 1_000_000}]}, True),
        ({"resourceType": "ValueSet", "compose": {"include": [{}] * 3000}}, True),
        ("text", False),
        (None, False),
    ],
    ids=["one", "some", "many", "texts", "objects", "text", "nothing"],
)
def test_what_is_large_is_told_by_its_parts(value: Any, large: bool) -> None:
    assert is_large(value) is large


async def test_others_get_turns_while_something_large_is_looked_at() -> None:
    others = threading.Event()

    async def other() -> None:
        others.set()

    task = asyncio.ensure_future(other())
    # It only ends once another task has run.
    assert await in_turns(bundle(*[PATIENT] * 1000), lambda: others.wait(30))
    await task


async def test_something_small_is_looked_at_at_once() -> None:
    here = threading.current_thread()
    assert await in_turns(PATIENT, threading.current_thread) is here


async def test_large_things_wait_for_each_other() -> None:
    busy = threading.Lock()

    def alone() -> bool:
        with_lock = busy.acquire(blocking=False)
        if with_lock:
            threading.Event().wait(0.01)
            busy.release()
        return with_lock

    large = bundle(*[PATIENT] * 1000)
    assert all(await asyncio.gather(*(in_turns(large, alone) for _ in range(4))))


async def test_a_large_bundle_is_validated_like_a_small_one() -> None:
    check = Validator(Profiles(lambda _: None, definitions()), StructureCheck(definitions()))

    async def ask(_questions: frozenset[Any]) -> dict[Any, bool | None]:
        return {}

    large = bundle(*[PATIENT] * 1000, BROKEN)
    assert is_large(large)
    report = await check.conclude(large, ask=ask)
    (error,) = (each for each in report.findings if each.severity == "error")
    assert (error.rule, error.expression) == ("pat-1", "Bundle.entry[1000].resource.contact[0]")
