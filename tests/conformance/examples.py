"""The official examples: each goes in by PUT and comes back identical, or is truly invalid."""

import asyncio
import time
import tomllib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from fhir_server.fhir_json import decode, encode_sorted
from tests.conformance.score import Score

INVALID_EXAMPLES = Path(__file__).with_name("invalid_examples.toml")
_AT_A_TIME = 16


@dataclass(frozen=True, slots=True)
class InvalidExample:
    """An example that is not valid R4.

    names: of the files without `.json`. reason: what is wrong. told: what the refusal has to
    name, as an expression or in its diagnostics. rule: what the definitions say.
    invariant: whether that is an invariant, so that a server which demands none takes it.
    """

    names: tuple[str, ...]
    reason: str
    told: tuple[str, ...]
    rule: str
    invariant: bool = False


def invalid_examples(path: Path = INVALID_EXAMPLES) -> list[InvalidExample]:
    """The official examples that a server has to refuse."""
    return [
        InvalidExample(**{**item, "names": tuple(item["names"]), "told": tuple(item["told"])})
        for item in tomllib.loads(path.read_text())["invalid"]
    ]


def run(base_url: str, lenient_url: str, package: Path) -> list[Score]:
    """Put every example of the unpacked package and compare what comes back.

    lenient_url: a server that demands no invariants, which has to keep those that break one.
    """
    return asyncio.run(_Run(base_url, lenient_url, package).scores())


class _Run:
    def __init__(self, base_url: str, lenient_url: str, package: Path) -> None:
        self._base_url = base_url
        self._lenient_url = lenient_url
        self._paths = sorted(path for path in package.glob("*.json") if path.stem != "package")
        self._refused = {name: item for item in invalid_examples() for name in item.names}
        self._stored: list[str] = []
        self._rightly_refused: list[str] = []
        self._wrong: list[str] = []
        self._wrongly_taken: list[str] = []

    async def scores(self) -> list[Score]:
        started = time.monotonic()
        async with _client(self._base_url) as client, _client(self._lenient_url) as lenient:
            await _each(self._paths, lambda path: self._try(client, lenient, path))
        seconds = time.monotonic() - started
        kept = [path for path in self._paths if not self._broken_in_structure(path)]
        return [
            Score(
                "official examples stored",
                len(kept),
                len(self._stored),
                sorted(self._wrong),
                seconds,
            ),
            Score(
                "invalid examples refused",
                len(self._refused),
                len(self._rightly_refused),
                sorted(self._wrongly_taken),
            ),
        ]

    def _broken_in_structure(self, path: Path) -> bool:
        listed = self._refused.get(path.stem)
        return listed is not None and not listed.invariant

    async def _try(self, client: httpx.AsyncClient, lenient: httpx.AsyncClient, path: Path) -> None:
        body = path.read_bytes()  # noqa: ASYNC240 - a local file of a few kilobytes
        if path.stem in self._refused:
            self._judge_refusal(path.stem, await client.put(_url(decode(body)), content=body))
        if not self._broken_in_structure(path):
            strict = path.stem not in self._refused
            await self._put_and_get(client if strict else lenient, path.stem, body)

    async def _put_and_get(self, client: httpx.AsyncClient, name: str, body: bytes) -> None:
        sent = decode(body)
        answer = await client.put(_url(sent), content=body)
        if answer.status_code not in (200, 201):
            self._wrong.append(f"{name}: {answer.status_code} {_told(answer)}")
            return
        read = await client.get(_url(sent))
        if read.status_code == 200 and same(sent, decode(read.content)):
            self._stored.append(name)
        else:
            self._wrong.append(f"{name}: {read.status_code}, reads back different")

    def _judge_refusal(self, name: str, answer: httpx.Response) -> None:
        issues = answer.json()["issue"] if 400 <= answer.status_code < 500 else []
        named = {expression for issue in issues for expression in issue.get("expression", ())}
        diagnostics = " ".join(issue["diagnostics"] for issue in issues)
        told = self._refused[name].told
        missing = [text for text in told if text not in named and text not in diagnostics]
        if missing or not issues:
            self._wrongly_taken.append(f"{name}: {answer.status_code} does not tell {missing}")
        else:
            self._rightly_refused.append(name)


def _client(base_url: str) -> httpx.AsyncClient:
    headers = {"Content-Type": "application/fhir+json", "Prefer": "return=minimal"}
    return httpx.AsyncClient(base_url=base_url, headers=headers, timeout=60)


def _url(resource: dict[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def same(sent: dict[str, Any], read: dict[str, Any]) -> bool:
    """Whether two resources differ in nothing but version and time; digits of decimals count."""
    return encode_sorted(_unversioned(sent)) == encode_sorted(_unversioned(read))


def _unversioned(resource: dict[str, Any]) -> dict[str, Any]:
    meta = {
        name: value
        for name, value in resource.get("meta", {}).items()
        if name not in ("versionId", "lastUpdated")
    }
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return rest | {"meta": meta} if meta else rest


def _told(answer: httpx.Response) -> str:
    try:
        issues = answer.json()["issue"]
    except (ValueError, KeyError):
        return answer.text[:200]
    return "; ".join(
        f"{','.join(issue.get('expression', ()))}: {issue.get('diagnostics', '')}"
        for issue in issues[:5]
    )


async def _each(paths: list[Path], carry_out: Callable[[Path], Coroutine[Any, Any, None]]) -> None:
    waiting = iter(paths)

    async def take() -> None:
        for path in waiting:
            await carry_out(path)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_A_TIME):
            tasks.create_task(take())
