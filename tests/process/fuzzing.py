"""Requests that nobody would send, drawn at random: every door, every method, anything inside."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import quote

from tests.process.wire import request_head

NASTY = (
    "", " ", "'", '"', "\\", "%", "%00", "\x00", "\n", "\r\nX-Injected: 1", "../../etc/passwd",
    "' or '1'='1", "'; select pg_sleep(9); --", "<script>alert(1)</script>", "${jndi:ldap://x}",
    "{}", "[]", "null", "true", "-1", "0", "1e999", "9" * 400, "\ud7ff", "\U0001f4a3", "a" * 3000,
    "Patient/p", "http://localhost/fhir/Patient/p", "urn:uuid:0", "2026-02-30", "2026-01-01",
    "|", ",", "$", "a|b|c", "1.2.840.1", "gt2026", "*", "_", ":", ";", "Observation:subject",
    "1.2.3..4", "1/../../2", "%c0%af", "\ufeff", "e\u0301", "name eq \"x\"", "((((((", "name eq",
)  # fmt: skip
METHODS = ("GET",) * 6 + ("POST",) * 6 + ("PUT", "PATCH", "DELETE", "HEAD")
RARE_METHODS = ("OPTIONS", "TRACE", "PROPFIND")
BESIDE = (
    "/", "/metrics", "/health/live", "/health/ready", "/openapi.json", "/orthanc/hint",
    "/dicom/uploads", "/dicom-web/studies", "/dicom-web/series", "/dicom-web/instances",
    "/dicom-web/studies/{uid}", "/dicom-web/studies/{uid}/series/{uid}",
    "/dicom-web/studies/{uid}/series/{uid}/instances/{uid}/frames/{number}",
    "/dicom-web/studies/{uid}/series/{uid}/instances/{uid}/rendered",
    "/dicom-web/studies/{uid}/metadata", "/dicom-web/studies/{uid}/thumbnail",
    "/dicom-web/studies/{uid}/series/{uid}/instances/{uid}/bulk/{uid}",
    "/auth/authorize", "/auth/login", "/auth/decide", "/auth/logout", "/auth/token",
    "/auth/introspect", "/auth/revoke", "/auth/jwks", "/.well-known/openid-configuration",
    "/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration",
    "/t/default/fhir/Patient", "/t/{word}/fhir/{type}/{id}", "/{word}", "/fhir/{word}",
    "/fhir/{type}/{id}/{word}",
)  # fmt: skip
NAMES = (
    "_id", "_count", "_sort", "_include", "_revinclude", "_summary", "_elements", "_format",
    "_pretty", "_total", "_filter", "_has:Observation:subject:code", "_lastUpdated", "_text",
    "_content", "_list", "_query", "_profile", "_security", "_tag", "_explain", "_cursor", "_page",
    "_since", "_at", "_type", "name", "identifier", "birthdate", "subject", "subject:Patient.name",
    "code", "code:in", "code:below", "date", "value-quantity", "patient", "near", "url", "version",
    "system", "filter", "offset", "count", "profile", "mode", "start", "end", "max", "reason",
    "StudyInstanceUID", "PatientName", "limit", "fuzzymatching", "includefield", "quality",
    "viewport", "window", "accept", "order", "source", "remove-private",
    "response_type", "client_id", "redirect_uri", "scope", "state", "aud", "launch",
    "code_challenge", "code_challenge_method", "grant_type", "code_verifier", "refresh_token",
    "client_secret", "client_assertion", "client_assertion_type", "token", "username", "password",
    "csrf", "nonce", "prompt", "request", "display", "decision",
)  # fmt: skip
WORDS = (
    "authorization_code", "client_credentials", "refresh_token", "code", "S256", "app", "openid",
    "launch/patient", "patient/*.rs", "system/*.cruds", "http://localhost:9/cb", "json", "xml",
    "application/fhir+json", "all", "count", "exact", "true", "false", "10", "-birthdate", "name",
    "http://loinc.org|1234-5", "5.4|http://unitsofmeasure.org|mg", "urn:ietf:params:oauth:jwt",
)  # fmt: skip
IDS = ("p", "o", "new")
CONTROLS = NAMES[:21]
TYPES = ("Patient", "Observation", "ServiceRequest", "Bundle", "ValueSet", "Binary", "Nobody")
HEADERS = (
    ("Accept", ("application/fhir+json", "application/fhir+xml", "text/html", "*/*", "image/png")),
    ("If-Match", ('W/"1"', 'W/"99999999999999999999"', "*")),
    ("If-None-Match", ('W/"1"', "*", ",,,")),
    ("If-Modified-Since", ("Sat, 21 Nov 2026 11:00:00 GMT", "never")),
    ("If-None-Exist", ("identifier=a|b", "name:exact=", "_sort=x")),
    ("Prefer", ("return=minimal", "return=OperationOutcome", "respond-async", "handling=lenient")),
    ("X-Request-Id", ("abc", "a" * 100)),
    ("X-Tenant", ("default", "other", "../default")),
    ("X-Provenance", ('{"resourceType": "Provenance"}', "{")),
    ("X-Forwarded-For", ("127.0.0.1", "1.2.3.4, 5.6.7.8")),
    ("Cookie", ("fhir-session=abc; fhir-form=def", "a=b;" * 50)),
    ("Origin", ("https://evil.example",)),
    ("Content-Encoding", ("gzip", "identity")),
    ("Range", ("bytes=0-10",)),
)  # fmt: skip
CONTENT_TYPES = (
    "application/fhir+json", "application/fhir+json", "application/fhir+json",
    "application/fhir+xml", "application/x-www-form-urlencoded", "application/json-patch+json",
    "application/merge-patch+json", "application/xml-patch+xml", "application/dicom",
    "multipart/form-data; boundary=b", 'multipart/related; type="application/dicom"; boundary=b',
    "multipart/related", "text/plain", "application/hl7-v2+er7", "",
)  # fmt: skip
_POST = {
    "resource": {"resourceType": "Patient"},
    "request": {"method": "POST", "url": "Patient"},
}
MODIFIERS = (*[""] * 12, ":exact", ":missing", ":not", ":in", ":text", ":identifier", ":x")
RESOURCES: tuple[Any, ...] = (
    {"resourceType": "Patient", "id": "p", "name": [{"family": "F", "given": ["G"]}],
     "birthDate": "1970-01-01", "active": True},
    {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "c"},
     "subject": {"reference": "Patient/p"}, "valueQuantity": {"value": 1.5, "unit": "mg"}},
    {"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Patient?name=x"}}, _POST]},
    {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": "urn:uuid:3f1d7c1e-0b52-4c64-9c5e-9d2f4c0d6d10"} | _POST]},
    {"resourceType": "Parameters", "parameter": [
        {"name": "url", "valueUri": "http://hl7.org/fhir/ValueSet/administrative-gender"},
        {"name": "code", "valueCode": "male"}, {"name": "resource", "resource": {
            "resourceType": "Patient"}}]},
    {"resourceType": "ServiceRequest", "status": "active", "intent": "order",
     "subject": {"reference": "Patient/p"}, "code": {"text": "x"}},
    {"resourceType": "ValueSet", "status": "active", "compose": {"include": [
        {"system": "http://loinc.org", "filter": [{"property": "a", "op": "=", "value": "b"}]}]}},
    {"resourceType": "SearchParameter", "url": "http://a/b", "name": "n", "status": "active",
     "description": "d", "code": "c", "base": ["Patient"], "type": "string",
     "expression": "Patient.name.family"},
    [{"op": "replace", "path": "/birthDate", "value": "1980-01-01"}],
)  # fmt: skip
_XML = (
    b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>',
    b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Patient xmlns="http://hl7.org/fhir">'
    b'<id value="&b;"/></Patient>',
    b'<diff><replace sel="Patient/active/@value">false</replace></diff>',
)
_MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.dcm"\r\n\r\n'
    + b"\0" * 128 + b"DICM\x02\x00\x00\x00UL\x04\x00\x00\x00\x00\x00" + b"\r\n--b--\r\n"
)  # fmt: skip


class Fuzzer:
    """Draws requests.

    documented: methods and paths of OpenAPI. parameters: of searches, by type. tokens: access
        tokens, of which some are good; without them requests come from nobody.
    """

    def __init__(
        self,
        seed: int,
        documented: list[tuple[str, str]],
        parameters: dict[str, list[str]],
        tokens: tuple[str, ...] = (),
    ) -> None:
        self._random = Random(seed)
        self._parameters = parameters
        self._documented = documented
        self._tokens = tokens

    def requests(self, count: int) -> Iterator[tuple[str, bytes, bytes]]:
        """The method of each request, its head and its body."""
        for _ in range(count):
            yield self._request()

    def _request(self) -> tuple[str, bytes, bytes]:
        draw = self._random
        if draw.random() < 0.65:
            method, path = draw.choice(self._documented)
        else:
            method, path = draw.choice(METHODS), draw.choice(BESIDE)
        if draw.random() < 0.05:
            method = draw.choice((*METHODS, *RARE_METHODS))
        type_ = draw.choice(TYPES)
        target = self._filled(path, type_)
        if draw.random() < (0.9 if method == "GET" else 0.15):
            target += "?" + self._query(type_)
        writes = method in ("POST", "PUT", "PATCH")
        content_type, body = self._body(type_) if writes else ("", b"")
        headers = self._headers()
        if body:
            headers["Content-Length"] = str(len(body))
            if draw.random() < 0.1:
                content_type = draw.choice(CONTENT_TYPES)
            if content_type:
                headers["Content-Type"] = content_type
        clean = {name: _clean(value) for name, value in headers.items()}
        return method, request_head(method, _clean(target).replace(" ", "%20"), None, **clean), body

    def _filled(self, path: str, type_: str) -> str:
        for name, values in (
            ("{type}", (type_,)), ("{id}", (*IDS * 8, *NASTY)), ("{vid}", ("1", "2", *NASTY)),
            ("{uid}", ("1.2.3", "1.2.840.10008.1", *NASTY)), ("{number}", ("1", "1,2", *NASTY)),
            ("{word}", (*WORDS, *NASTY)),
        ):  # fmt: skip
            while name in path:
                chosen = quote(self._random.choice(values), safe="")
                path = path.replace(name, chosen or "x", 1)
        return path

    def _query(self, type_: str) -> str:
        draw = self._random
        pairs = []
        for _ in range(draw.choice((1, 1, 1, 2, 4))):
            names = NAMES
            if draw.random() < 0.7:
                names = (*self._parameters.get(type_, ()), *CONTROLS)
            name = draw.choice(names) + draw.choice(MODIFIERS)
            pairs.append(f"{quote(name)}={quote(self._value())}")
        return "&".join(pairs)

    def _value(self) -> str:
        return self._random.choice(self._random.choice((NASTY, WORDS, TYPES)))

    def _headers(self) -> dict[str, str]:
        draw = self._random
        found = {}
        for name, values in HEADERS:
            if draw.random() < 0.06:
                found[name] = draw.choice((*values, draw.choice(NASTY)))
        if self._tokens and draw.random() < 0.9:
            found["Authorization"] = f"Bearer {draw.choice(self._tokens)}"
        elif draw.random() < 0.3:
            scheme = draw.choice(("Bearer", "Basic", "bearer", "Negotiate", ""))
            given = draw.choice(("abc", "a.b.c", "Og==", "ZTppZA==", *NASTY))
            found["Authorization"] = f"{scheme} {given}"
        return found

    def _body(self, type_: str) -> tuple[str, bytes]:
        content_type, found = self._sound_body(type_)
        draw = self._random
        if draw.random() < 0.15:
            spoilt = bytearray(found)
            for _ in range(draw.randrange(1, 6)):
                spoilt[draw.randrange(len(spoilt))] = draw.randrange(256)
            return content_type, bytes(spoilt)
        return content_type, found

    def _sound_body(self, type_: str) -> tuple[str, bytes]:
        draw = self._random
        kind = draw.random()
        if kind < 0.6:
            fitting = [r for r in RESOURCES if isinstance(r, dict) and r["resourceType"] == type_]
            resource = draw.choice(fitting if fitting and draw.random() < 0.7 else RESOURCES)
            content_type = "application/fhir+json"
            if isinstance(resource, list):
                content_type = "application/json-patch+json"
            return content_type, json.dumps(self._mutated(resource)).encode()
        if kind < 0.7:
            return "application/fhir+xml", draw.choice(_XML)
        if kind < 0.85:
            return "application/x-www-form-urlencoded", self._query(type_).encode()
        if kind < 0.95:
            return draw.choice(CONTENT_TYPES), _MULTIPART
        return draw.choice(CONTENT_TYPES), draw.randbytes(draw.randrange(1, 400))

    def _mutated(self, value: Any) -> Any:
        draw = self._random
        if draw.random() < 0.03:
            return draw.choice((None, True, -1, 1e308, [], {}, [[]], {"x": 1}, draw.choice(NASTY)))
        if isinstance(value, dict):
            found = {name: self._mutated(item) for name, item in value.items()}
            if draw.random() < 0.05:
                found[draw.choice((*NAMES, *NASTY, "extension", "contained", "_id", "meta"))] = (
                    self._mutated(draw.choice(RESOURCES))
                )
            return found
        if isinstance(value, list):
            return [self._mutated(item) for item in value] * draw.choice((1, 1, 1, 0, 2))
        return value


def _clean(text: str) -> str:
    """Without what would end a line: that is another test's."""
    kept = "".join(each for each in text if each >= " " and each != "\x7f")
    return kept.encode("utf-8", "replace").decode("latin-1")
