"""Packages are read within limits, and what is none is refused by what is wrong with it."""

import gzip
import io
import json
import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.outcome import Invalid
from fhir_server.packages import Limits, read

MANIFEST = {
    "name": "example.guide",
    "version": "1.2.0",
    "canonical": "http://example.org/guide",
    "fhirVersions": ["4.0.1"],
    "dependencies": {"hl7.fhir.r4.core": "4.0.1", "example.base": "2.1.x"},
}
PATIENT = {"resourceType": "Patient", "id": "a"}
VALUE_SET = {"resourceType": "ValueSet", "url": "http://example.org/guide/ValueSet/v"}


def tgz(files: dict[str, Any], *links: tarfile.TarInfo) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, value in files.items():
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for link in links:
            archive.addfile(link)
    made.seek(0)
    return made


def package(**files: Any) -> io.BytesIO:
    return tgz({"package/package.json": MANIFEST} | files)


def test_manifest_resources_and_examples_are_told_apart() -> None:
    file = tgz(
        {
            "package/ValueSet-v.json": VALUE_SET,
            "package/package.json": MANIFEST,
            "package/.index.json": {"files": []},
            "package/example/Patient-a.json": PATIENT,
            "package/other/Patient-b.json": PATIENT,
            "package/xml/Patient-a.xml": b"<Patient/>",
        }
    )
    found = read(file)
    assert (found.manifest.name, found.manifest.version) == ("example.guide", "1.2.0")
    assert found.manifest.canonical == "http://example.org/guide"
    assert found.resources == (VALUE_SET,)
    assert found.examples == (PATIENT,)


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ({}, {"example.base": "2.1.x"}),
        ({"example.base": {"2.1.7"}}, {}),
        ({"example.base": {"2.2.0"}}, {"example.base": "2.1.x"}),
        ({"example.other": {"2.1.0"}}, {"example.base": "2.1.x"}),
    ],
)
def test_missing_dependencies_are_those_without_a_fitting_version(
    present: dict[str, set[str]], missing: dict[str, str]
) -> None:
    assert read(package()).manifest.missing(present) == missing


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (io.BytesIO(b"no archive"), "Expected a .tgz"),
        (io.BytesIO(b""), "Expected a .tgz"),
        (io.BytesIO(gzip.compress(b"x" * 2000)), "Expected a .tgz"),
        (tgz({"package/ValueSet-v.json": VALUE_SET}), "There is no package/package.json"),
        (tgz({"package/package.json": b"{"}), "package.json cannot be read"),
        (tgz({"package/package.json": {"name": "x"}}), "package.json cannot be read"),
        (tgz({"package/package.json": MANIFEST | {"name": ""}}), "needs a name"),
        (
            tgz({"package/package.json": MANIFEST | {"fhirVersions": ["5.0.0"]}}),
            "Expected a package for FHIR 4.0, found one for 5.0.0",
        ),
        (package(**{"package/a.json": b'{"a": 1, "a": 2}'}), "package/a.json cannot be read"),
    ],
)
def test_what_is_no_package_is_refused_with_the_reason(file: io.BytesIO, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        read(file)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(files=2), "more than 2 files"),
        (Limits(file_size=1000), "a file of"),
        (Limits(size=20_000), "too much data"),
    ],
)
def test_limits_hold_before_the_data_is_read(limits: Limits, told: str) -> None:
    bomb = {f"package/{n}.json": b'"' + b" " * 50_000 + b'"' for n in range(5)}
    with pytest.raises(Invalid, match=told):
        read(package(**bomb), limits)


def test_links_and_names_outside_mean_nothing() -> None:
    link = tarfile.TarInfo("package/secret.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    file = tgz({"package/package.json": MANIFEST, "../../package/up.json": PATIENT}, link)
    assert read(file).resources == ()


@given(st.binary(max_size=300), st.integers(0, 250))
def test_damaged_archives_are_refused_or_read(noise: bytes, place: int) -> None:
    content = bytearray(package(**{"package/v.json": VALUE_SET}).getvalue())
    content[place : place + len(noise)] = noise
    try:
        found = read(io.BytesIO(bytes(content)))
    except Invalid:
        return
    assert found.manifest.name
