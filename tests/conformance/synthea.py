"""Synthea's patients: loaded whole, every conditional reference resolved, nothing lost or doubled.

The loader keeps no list of where a resource went, so what was sent and what is stored are compared
as multisets: each resource without id and meta, with its references replaced by what identifies
their targets (type and first identifier). A reference that leads to a wrong resource, a resource
that is missing, twice or different in one digit shows as a difference.
"""

import bz2
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx

from fhir_server.fhir_json import decode, encode, encode_sorted
from tests.conformance.score import Score

_PAGE = 1000

Identity = str
Resource = dict[str, Any]


def run(base_url: str, folder: Path, workplace: Path) -> list[Score]:
    """Load the folder into the server and compare what it holds with what was sent."""
    paths = sorted(folder.glob("*.json.bz2"))
    information = [path for path in paths if path.name.startswith("0-")]
    patients = [path for path in paths if path not in information]
    started = time.monotonic()
    complaints = _load(base_url, information, workplace / "journal")
    complaints += _load(base_url, patients, workplace / "journal")
    loaded = time.monotonic() - started
    sent = _Sent()
    for path in paths:
        sent.add(decode(bz2.decompress(path.read_bytes())))
    stored = _Stored(base_url)
    found = stored.digests()
    expected = sent.digests()
    return [
        _loaded(sent, stored, complaints, loaded),
        _equal(sent, expected, found, time.monotonic() - started - loaded),
        _resolved(sent, expected, found, stored),
        *_loaded_again(base_url, information, workplace, stored.counts),
    ]


def _load(base_url: str, paths: list[Path], journal: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "fhir_server.cli", "load", "--quiet", *options]
    command += ["--base-url", base_url, "--journal", str(journal), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [f"load: {done.stderr[-1000:]}"]


def _loaded(sent: "_Sent", stored: "_Stored", complaints: list[str], seconds: float) -> Score:
    differences = [
        f"{type_}: {stored.counts[type_]} stored, {count} sent"
        for type_, count in sorted(sent.counts.items())
        if stored.counts[type_] != count
    ]
    passed = sum((sent.counts & stored.counts).values())
    return Score("synthea loaded", sent.counts.total(), passed, complaints + differences, seconds)


def _equal(sent: "_Sent", expected: Counter[bytes], found: Counter[bytes], seconds: float) -> Score:
    lost = [sent.examples[digest] for digest in expected - found]
    return Score(
        "synthea read back equal",
        expected.total(),
        (expected & found).total(),
        [f"{identity}: not found as it was sent" for identity in lost],
        seconds,
    )


def _resolved(
    sent: "_Sent", expected: Counter[bytes], found: Counter[bytes], stored: "_Stored"
) -> Score:
    resolved = sum(sent.conditional[digest] * count for digest, count in (expected & found).items())
    return Score(
        "synthea references resolved",
        sum(sent.conditional[digest] * count for digest, count in expected.items()),
        resolved,
        [f"{name}: a stored reference is a search" for name in stored.unresolved],
    )


def _loaded_again(
    base_url: str, information: list[Path], workplace: Path, before: Counter[str]
) -> list[Score]:
    """Load the first two files again: as a person would, then without the loader's memory.

    Without it, only what was sent with If-None-Exist stays single: the PractitionerRoles carry
    neither a condition nor an identifier, so a POST of them has to create (R4 http.html#create).
    """
    sent: Counter[str] = Counter()
    conditional: Counter[str] = Counter()
    for path in information:
        for entry in decode(bz2.decompress(path.read_bytes()))["entry"]:
            sent[entry["resource"]["resourceType"]] += 1
            if "ifNoneExist" in entry["request"]:
                conditional[entry["resource"]["resourceType"]] += 1
    plain = _load(base_url, information, workplace / "journal")
    first = _surplus("synthea loaded again", base_url, sent, before, plain)
    anew = _load(base_url, information, workplace / "other journal", "--no-resume")
    second = _surplus("synthea conditions kept", base_url, conditional, before, anew)
    return [first, second]


def _surplus(
    suite: str, base_url: str, sent: Counter[str], before: Counter[str], complaints: list[str]
) -> Score:
    more = {type_: _count(base_url, type_) - before[type_] for type_ in sorted(sent)}
    failures = complaints + [f"{type_}: {count} more" for type_, count in more.items() if count]
    doubled = sum(abs(count) for count in more.values())
    passed = 0 if complaints else max(0, sent.total() - doubled)
    return Score(suite, sent.total(), passed, failures)


def _count(base_url: str, type_: str) -> int:
    answer = httpx.get(f"{base_url}/{type_}?_summary=count", timeout=60)
    return int(answer.raise_for_status().json()["total"])


class _Sent:
    """What the bundles hold, with references by full URL and by search."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.conditional: dict[bytes, int] = {}
        self.examples: dict[bytes, str] = {}
        self._bundles: list[list[bytes]] = []
        self._identities: list[dict[str, Identity]] = []

    def add(self, bundle: Resource) -> None:
        """Take in a bundle."""
        entries = bundle["entry"]
        self.counts.update(entry["resource"]["resourceType"] for entry in entries)
        self._bundles.append([encode(entry["resource"]) for entry in entries])
        self._identities.append(
            {entry["fullUrl"]: identity(entry["resource"]) for entry in entries}
        )

    def digests(self) -> Counter[bytes]:
        """How often each resource was sent."""
        found: Counter[bytes] = Counter()
        for bundle, identities in zip(self._bundles, self._identities, strict=True):
            for content in bundle:
                resource = decode(content)
                searches = sum("?" in reference for reference in references(resource))
                name = identity(resource)
                digest = canonical(resource, partial(_target, identities))
                self.conditional[digest] = searches
                self.examples[digest] = name
                found[digest] += 1
        return found


class _Stored:
    """What the server holds, read page by page."""

    def __init__(self, base_url: str) -> None:
        self.counts: Counter[str] = Counter()
        self.unresolved: list[str] = []
        self._contents: list[bytes] = []
        self._identities: dict[str, Identity] = {}
        with httpx.Client(timeout=120) as client:
            metadata = client.get(f"{base_url}/metadata").json()
            for type_ in (item["type"] for item in metadata["rest"][0]["resource"]):
                self._read(client, base_url, type_)

    def _read(self, client: httpx.Client, base_url: str, type_: str) -> None:
        for resource in _pages(client, f"{base_url}/{type_}?_count={_PAGE}"):
            name = f"{type_}/{resource['id']}"
            self.counts[type_] += 1
            self._identities[name] = identity(resource)
            self._contents.append(encode(resource))

    def digests(self) -> Counter[bytes]:
        """How often each resource is stored."""
        found: Counter[bytes] = Counter()
        for content in self._contents:
            resource = decode(content)
            if any("?" in reference for reference in references(resource)):
                self.unresolved.append(f"{resource['resourceType']}/{resource['id']}")
            found[canonical(resource, lambda text: self._identities.get(text, text))] += 1
        return found


def _pages(client: httpx.Client, url: str) -> Iterator[Resource]:
    following: str | None = url
    while following:
        page = decode(client.get(following).raise_for_status().content)
        for entry in page.get("entry", ()):
            yield entry["resource"]
        links = {link["relation"]: link["url"] for link in page.get("link", ())}
        following = links.get("next")


def identity(resource: Resource) -> Identity:
    """What tells a resource from others whatever its id: its type and first identifier, if any."""
    type_ = str(resource["resourceType"])
    identifiers = resource.get("identifier") or [{}]
    first = identifiers[0] if isinstance(identifiers, list) else identifiers
    return f"{type_}?identifier={first.get('system', '')}|{first.get('value', '')}"


def _target(identities: dict[str, Identity], reference: str) -> str:
    if "?" in reference:
        return unquote(reference)
    return identities.get(reference, reference)


def references(resource: Any) -> Iterator[str]:
    """Every literal reference in a resource."""
    if isinstance(resource, dict):
        for name, value in resource.items():
            if name == "reference" and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(resource, list):
        for item in resource:
            yield from references(item)


def canonical(resource: Resource, target: Callable[[str], str]) -> bytes:
    """A digest of everything but id and meta; `target` gives a reference's place-independent form.

    Changes the resource.
    """
    resource.pop("id", None)
    resource.pop("meta", None)
    _replace(resource, target)
    return blake2b(encode_sorted(resource), digest_size=16).digest()


def _replace(node: Any, target: Callable[[str], str]) -> None:
    if isinstance(node, dict):
        reference = node.get("reference")
        if isinstance(reference, str):
            node["reference"] = target(reference)
        for value in node.values():
            _replace(value, target)
    elif isinstance(node, list):
        for item in node:
            _replace(item, target)
