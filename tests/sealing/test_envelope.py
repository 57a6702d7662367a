"""Sealed content: what stands in it, and where it opens."""

import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir_json import decode, encode
from fhir_server.sealing.envelope import (
    Cipher,
    Taker,
    WrongKey,
    place_of,
    seal,
    unseal,
)
from fhir_server.storage.seal import is_sealed

TAKER = Taker(
    {
        "Condition": frozenset({"code", "_code", "note", "text"}),
        "Observation": frozenset({"valueQuantity"}),
    }
)
CIPHER = Cipher(7, os.urandom(32))
OPEN = {7: CIPHER}.__getitem__
PLACE = place_of("default", "Condition", "c1")

condition = {
    "resourceType": "Condition",
    "id": "c1",
    "code": {"text": "sentinel"},
    "note": [{"text": "sentinel, too"}],
    "subject": {"reference": "Patient/p"},
}


def sealed(resource: dict[str, Any], place: str = PLACE) -> bytes:
    return seal(TAKER, CIPHER, place, encode(resource))


def as_jsonb_has_it(content: bytes) -> bytes:
    """Spaces after colons and commas, keys by length: what the database gives back."""
    return json.dumps(json.loads(content)).encode()


def test_sealed_elements_are_not_in_the_content_and_come_back() -> None:
    content = sealed(condition)
    assert is_sealed(content)
    assert b"sentinel" not in content
    assert decode(content).keys() == {"resourceType", "id", "subject", "~sealed"}
    assert decode(unseal(OPEN, PLACE, content)) == condition
    assert decode(unseal(OPEN, PLACE, as_jsonb_has_it(content))) == condition


def test_what_has_no_sealed_element_stays_the_same_bytes() -> None:
    plain = encode({"resourceType": "Condition", "subject": {"reference": "Patient/p"}})
    assert seal(TAKER, CIPHER, PLACE, plain) is plain
    assert not TAKER.may_take("Condition", plain)
    assert not TAKER.may_take("Patient", b'{"resourceType": "Patient", "code": 1}')
    assert TAKER.may_take("Condition", encode(condition))


@pytest.mark.parametrize("digits", ["1.0", "1.00", "1.0E+3", "-0.0", "0.000000100", "0.1"])
def test_decimals_keep_their_digits(digits: str) -> None:
    place = place_of("default", "Observation", "o1")
    text = '{"resourceType":"Observation","valueQuantity":{"value":?},"status":"final"}'
    content = seal(TAKER, CIPHER, place, text.replace("?", digits).encode())
    assert digits.encode() not in content
    assert f'{{"value":{digits}}}'.encode() in unseal(OPEN, place, content)


def nested(content: dict[str, Any]) -> list[dict[str, Any]]:
    inner = {"resourceType": "Parameters", "parameter": [{"part": [{"resource": content}]}]}
    return [
        {"resourceType": "Patient", "id": "c1", "contained": [{"resourceType": "Basic"}, content]},
        {"resourceType": "Bundle", "id": "c1", "entry": [{}, {"resource": inner}]},
        {
            "resourceType": "Condition",
            "id": "c1",
            "note": [{"text": "mine"}],
            "contained": [content],
        },
    ]


@pytest.mark.parametrize("outer", nested(condition))
def test_resources_in_resources_are_sealed_too(outer: dict[str, Any]) -> None:
    plain = encode(outer)
    assert TAKER.may_take(outer["resourceType"], plain)
    content = sealed(outer)
    assert b"sentinel" not in content
    assert decode(unseal(OPEN, PLACE, as_jsonb_has_it(content))) == outer


@pytest.mark.parametrize(
    "place",
    [
        place_of("other", "Condition", "c1"),
        place_of("default", "Condition", "c2"),
        place_of("default", "Observation", "c1"),
    ],
)
def test_a_ciphertext_opens_nowhere_else(place: str) -> None:
    with pytest.raises(WrongKey):
        unseal(OPEN, place, sealed(condition))


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(WrongKey):
        unseal(lambda _: Cipher(7, os.urandom(32)), PLACE, sealed(condition))


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_ciphertext_is_never_opened(at: int, by: int) -> None:
    content = bytearray(sealed(condition))
    start = content.index(b'"1.7.') + 5
    end = content.index(b'"', start)
    position = start + at % (end - start)
    content[position] ^= by
    try:
        opened = unseal(OPEN, PLACE, bytes(content))
    except (WrongKey, ValueError):
        return
    # Bits that base64 does not use say nothing.
    assert decode(opened) == condition


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=20
) | st.sampled_from(['"~sealed": "1.7.AAAA"', "~sealed", '\\"~sealed\\":'])
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers(-(2**53), 2**53) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES, VALUES)
def test_whatever_stands_in_it_comes_back(code: Any, note: Any, severity: Any) -> None:
    resource = {
        "resourceType": "Condition",
        "code": code,
        "note": note,
        "severity": {"text": severity},
        "contained": [{"resourceType": "Condition", "code": note}],
    }
    content = as_jsonb_has_it(sealed(resource))
    assert decode(unseal(OPEN, PLACE, content)) == resource
    del resource["contained"]
    content = as_jsonb_has_it(sealed(resource))
    assert decode(unseal(OPEN, PLACE, content)) == resource


def test_the_same_content_is_never_sealed_alike() -> None:
    assert sealed(condition) != sealed(condition)


def test_a_text_that_looks_like_a_ciphertext_is_a_text() -> None:
    about = {"resourceType": "Patient", "name": [{"text": '"~sealed": "1.7.AAAA"'}]}
    assert not is_sealed(encode(about))
