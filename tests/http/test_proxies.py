"""Whom requests come from when proxies pass them on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.http.body import Receive, Scope, Send
from fhir_server.http.proxies import behind, read_networks

PROXIES = read_networks("10.0.0.5 172.16.0.0/12 fd00::/8")


async def seen(peer: str | None, *headers: tuple[str, str], proxies: Any = PROXIES) -> Scope:
    """What the application is told of a request."""
    told: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.append(scope)

    scope = {
        "type": "http",
        "scheme": "http",
        "client": (peer, 4711) if peer else None,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    await behind(app, proxies)(scope, nothing, nothing)
    return told[0]


def host(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"host"]


ALL = (
    ("Host", "inner:8080"),
    ("X-Forwarded-For", "192.0.2.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "fhir.example.org"),
)


async def test_a_proxy_is_believed() -> None:
    found = await seen("10.0.0.5", *ALL)
    assert (found["client"][0], found["scheme"]) == ("192.0.2.7", "https")
    assert host(found) == [b"fhir.example.org"]


@pytest.mark.parametrize("peer", ["10.0.0.6", "192.0.2.7", None, "::1"])
async def test_nobody_else_is_believed(peer: str | None) -> None:
    found = await seen(peer, *ALL)
    assert found["client"] == ((peer, 4711) if peer else None)
    assert found["scheme"] == "http"
    assert host(found) == [b"inner:8080"]


async def test_without_proxies_the_application_is_itself() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    assert behind(app, ()) is app


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("1.1.1.1, 192.0.2.7", "192.0.2.7"),
        ("1.1.1.1, 192.0.2.7, 172.16.9.9", "192.0.2.7"),
        ("172.16.1.1, 172.16.9.9", "172.16.1.1"),
        ("192.0.2.7:5555", "192.0.2.7"),
        ("[2001:db8::1]:5555", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("evil\" or 'x", "10.0.0.5"),
        ("unknown, 172.16.9.9", "172.16.9.9"),
        ("", "10.0.0.5"),
        (" , ,", "10.0.0.5"),
    ],
)
async def test_who_asked_is_the_last_that_is_no_proxy(chain: str, expected: str) -> None:
    assert (await seen("10.0.0.5", ("X-Forwarded-For", chain)))["client"][0] == expected


async def test_the_header_given_twice_is_one_chain() -> None:
    found = await seen("10.0.0.5", ("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "192.0.2.7"))
    assert found["client"][0] == "192.0.2.7"


async def test_an_address_of_both_kinds_is_one() -> None:
    found = await seen("::ffff:10.0.0.5", ("X-Forwarded-For", "192.0.2.7"))
    assert found["client"][0] == "192.0.2.7"


@pytest.mark.parametrize("name", ["a b", "a/b", '"><script>', "a@b", "", "a:99999999"])
async def test_what_is_no_host_is_not_believed(name: str) -> None:
    found = await seen("10.0.0.5", ("Host", "inner"), ("X-Forwarded-Host", name))
    assert host(found) == [b"inner"]


@pytest.mark.parametrize("text", ["proxy", "10.0.0.5/8", "10.0.0", "*", "10.0.0.5,10.0.0.6"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        read_networks(text)


@given(st.lists(st.text(st.characters(max_codepoint=255)), max_size=4))
async def test_whatever_stands_there_an_address_comes_of_it(lines: list[str]) -> None:
    found = await seen("10.0.0.5", *(("X-Forwarded-For", line) for line in lines))
    read_networks(found["client"][0])
