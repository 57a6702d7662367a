"""Paths, queries and headers that no honest client sends."""

import json
from urllib.parse import quote

import pytest

from tests.conftest import RunningServer
from tests.process.wire import Answer, exchange, request_head

pytestmark = pytest.mark.usefixtures("unharmed")

_FRAGMENTS = [
    "'",
    "' or '1'='1",
    "'; drop table resource; --",
    "1) union select null--",
    '"; select pg_sleep(10); --',
    "$$; select 1; $$",
    "\\",
    "%",
    "%s",
    "{0}",
    "../../../../etc/passwd",
    "..\\..\\windows",
    "\x00",
    "\r\nX-Injected: yes",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "\U0001f4a3" * 50,
    "a" * 5000,
]

fragments = pytest.mark.parametrize(
    "fragment", _FRAGMENTS, ids=lambda text: text[:20].encode("unicode_escape").decode()
)


def _get(server: RunningServer, target: str | bytes, **headers: str) -> Answer:
    return exchange(server, request_head("GET", target, None, **headers))


def _refused(answer: Answer) -> None:
    assert 400 <= answer.status < 500
    assert answer.outcome["issue"][0]["diagnostics"]
    assert "x-injected" not in answer.headers


@pytest.mark.parametrize(
    "target",
    [
        "/fhir/Nobody",
        "/fhir/patient",
        "/fhir/Nobody/1",
        "/fhir/Resource",
        "/fhir/DomainResource/1",
        "/fhir/Patient/a/b",
        "/fhir/Patient/a%2Fb",
        "/fhir/Patient/a%2fb%2fc",
        "/fhir/Patient/..",
        "/fhir/Patient/.",
        "/fhir/Patient/%2e%2e",
        "/fhir/Patient/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/fhir/../../etc/passwd",
        "/fhir/%2e%2e/metrics",
        "/fhir/..%2fmetrics",
        "/fhir//Patient//1",
        "/fhir/Patient/%00",
        "/fhir/Patient/%ff",
        "/fhir/Patient/%zz",
        "/fhir/Patient/1/_history/../../2",
        "/fhir/Patient/1/_history/0",
        "/fhir/Patient/1/_history/-1",
        "/fhir/Patient/1/_history/1e3",
        "/fhir/Patient/1/_history/99999999999999999999",
        "/fhir/Patient/" + "a" * 65,
        "/fhir/Patient/" + "a" * 20_000,
        "/fhir/Patient/1/$no-such-operation",
        "/fhir/$no-such-operation",
        "/fhir/_search/_search",
        "/no/such/page",
    ],
    ids=lambda target: target[:50],
)
def test_path_that_leads_nowhere_is_refused(server: RunningServer, target: str) -> None:
    _refused(_get(server, target))


@fragments
def test_fragment_as_type_or_id_is_refused(server: RunningServer, fragment: str) -> None:
    for target in (f"/fhir/{quote(fragment, '')}", f"/fhir/Patient/{quote(fragment, '')}"):
        _refused(_get(server, target))
        body = b'{"resourceType": "Patient"}'
        _refused(exchange(server, request_head("PUT", target, len(body)), body))
        _refused(exchange(server, request_head("DELETE", target)))


@fragments
def test_fragment_as_name_of_a_parameter_is_refused(server: RunningServer, fragment: str) -> None:
    _refused(_get(server, f"/fhir/Patient?{quote(fragment, '')}=1"))
    _refused(_get(server, f"/fhir/Patient?name:{quote(fragment, '')}=1"))
    _refused(_get(server, f"/fhir/Observation?subject:{quote(fragment, '')}.name=1"))


@fragments
@pytest.mark.parametrize(
    "parameter", ["_id", "identifier", "name", "general-practitioner", "link", "name:exact"]
)
def test_fragment_as_value_finds_nothing_or_is_refused(
    server: RunningServer, parameter: str, fragment: str
) -> None:
    answer = _get(server, f"/fhir/Patient?{parameter}={quote(fragment, '')}")
    assert answer.status in (200, 400, 414)
    if answer.status == 200:
        assert json.loads(answer.body).get("entry", []) == []
    else:
        _refused(answer)


@fragments
@pytest.mark.parametrize(
    "parameter", ["_count", "_lastUpdated", "_sort", "_summary", "_elements", "_total", "_include"]
)
def test_fragment_as_control_of_a_search_is_refused_or_without_effect(
    server: RunningServer, parameter: str, fragment: str
) -> None:
    answer = _get(server, f"/fhir/Basic?{parameter}={quote(fragment, '')}")
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert json.loads(answer.body).get("entry", []) == []
    else:
        _refused(answer)


@pytest.mark.parametrize("value", ["-1", "1.5", "abc", "99999999999999999999", ""])
def test_count_that_is_no_count_is_refused_or_capped(server: RunningServer, value: str) -> None:
    assert _get(server, f"/fhir/Basic?_count={value}").status in (200, 400)


_HEADERS = [
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-None-Exist",
    "Prefer",
    "Accept",
    "X-Request-Id",
    "X-Forwarded-For",
    "Authorization",
]


@pytest.mark.parametrize("header", _HEADERS)
@pytest.mark.parametrize(
    "value", ["'; drop table resource; --", "../../etc/passwd", 'W/"1', ",;=,;=", "\xff\xfe", "-1"]
)
def test_fragment_in_a_header_does_no_harm(server: RunningServer, header: str, value: str) -> None:
    body = b'{"resourceType": "Patient", "birthDate": "never"}'
    for method, target in (("POST", "/fhir/Patient"), ("PUT", "/fhir/Patient/no-such")):
        head = request_head(method, target, len(body), **{header: value})
        _refused(exchange(server, head, body))


def test_host_header_is_not_followed_into_markup(server: RunningServer) -> None:
    head = b'GET /fhir/Basic HTTP/1.1\r\nHost: a"><script>alert(1)</script>\r\n\r\n'
    answer = exchange(server, head)
    assert answer.status < 500
    landing = exchange(server, head.replace(b"/fhir/Basic", b"/"))
    assert b"<script>alert" not in landing.body


def test_64_kilobytes_of_headers_are_answered_and_600_refused(server: RunningServer) -> None:
    assert _get(server, "/fhir/metadata", X_Long="a" * 65_536).status == 200
    assert _get(server, "/fhir/metadata", X_Long="a" * 600_000).status == 431


def test_90_headers_are_answered_and_a_thousand_refused(server: RunningServer) -> None:
    def status(count: int) -> int:
        more = {f"X-{number}": "a" for number in range(count)}
        return _get(server, "/fhir/metadata", **more).status

    assert (status(90), status(1000)) == (200, 431)


def test_a_url_of_100_kilobytes_is_refused(server: RunningServer) -> None:
    assert _get(server, "/fhir/Patient?name=" + "a" * 100_000).status == 414


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "BREW", "OPTIONS"])
def test_unknown_method_is_refused(server: RunningServer, method: str) -> None:
    assert 400 <= exchange(server, request_head(method, "/fhir/Patient")).status < 500


def test_a_query_of_10_000_parameters_is_refused(server: RunningServer) -> None:
    _refused(_get(server, "/fhir/Patient?" + "&".join(["name=a"] * 1_500)))


def test_a_list_of_values_without_end_is_refused_or_answered(server: RunningServer) -> None:
    answer = _get(server, "/fhir/Patient?identifier=" + ",".join(map(str, range(5_000))))
    assert answer.status in (200, 400, 414)
