"""Parameters and tokens as anybody may send them."""

from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.identity.oauth import Malformed, read_parameters
from fhir_server.identity.tokens import Verifier
from fhir_server.outcome import Unauthorized


@given(st.binary(max_size=300))
def test_a_form_is_read_or_refused(body: bytes) -> None:
    with suppress(Malformed):
        found = read_parameters(body)
        assert not any(ord(each) < 32 for name in found for each in name + found[name])


@given(st.dictionaries(st.text("ab é", min_size=1, max_size=3), st.text("xy &=%+é", max_size=5)))
def test_what_was_sent_is_read(sent: dict[str, str]) -> None:
    assert read_parameters(urlencode(sent)) == sent


@pytest.mark.parametrize("text", ["a=1&a=2", "a=%00", "a=%0d%0ab", "%ff=1", "&".join("ab" * 200)])
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        read_parameters(text)


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}\.x"))
async def test_no_text_is_a_token(text: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        await Verifier({}).verified(text)
    caught.value.headers["WWW-Authenticate"].encode("ascii")
