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
    """

    names: tuple[str, ...]
    reason: str
    told: tuple[str, ...]
    rule: str


def invalid_examples(path: Path = INVALID_EXAMPLES) -> list[InvalidExample]:
    """The official examples that a server has to refuse."""
    return [
        InvalidExample(tuple(item["names"]), item["reason"], tuple(item["told"]), item["rule"])
        for item in tomllib.loads(path.read_text())["invalid"]
    ]


def run(base_url: str, package: Path) -> list[Score]:
    """Put every example of the unpacked package and compare what comes back."""
    return asyncio.run(_Run(base_url, package).scores())


class _Run:
    def __init__(self, base_url: str, package: Path) -> None:
        self._base_url = base_url
        self._paths = sorted(path for path in package.glob("*.json") if path.stem != "package")
        self._refused = {name: item.told for item in invalid_examples() for name in item.names}
        self._stored: list[str] = []
        self._rightly_refused: list[str] = []
        self._wrong: list[str] = []
        self._wrongly_taken: list[str] = []

    async def scores(self) -> list[Score]:
        started = time.monotonic()
        async with httpx.AsyncClient(
            base_url=self._base_url,
            headers={"Content-Type": "application/fhir+json", "Prefer": "return=minimal"},
            timeout=60,
        ) as client:
            await _each(self._paths, lambda path: self._put_and_get(client, path))
        seconds = time.monotonic() - started
        valid = len(self._paths) - len(self._refused)
        return [
            Score(
                "official examples stored", valid, len(self._stored), sorted(self._wrong), seconds
            ),
            Score(
                "invalid examples refused",
                len(self._refused),
                len(self._rightly_refused),
                sorted(self._wrongly_taken),
            ),
        ]

    async def _put_and_get(self, client: httpx.AsyncClient, path: Path) -> None:
        body = path.read_bytes()  # noqa: ASYNC240 - a local file of a few kilobytes
        sent = decode(body)
        url = f"{sent['resourceType']}/{sent['id']}"
        answer = await client.put(url, content=body)
        if path.stem in self._refused:
            self._judge_refusal(path.stem, answer)
        elif answer.status_code not in (200, 201):
            self._wrong.append(f"{path.stem}: {answer.status_code} {_told(answer)}")
        else:
            read = await client.get(url)
            if read.status_code == 200 and same(sent, decode(read.content)):
                self._stored.append(path.stem)
            else:
                self._wrong.append(f"{path.stem}: {read.status_code}, reads back different")

    def _judge_refusal(self, name: str, answer: httpx.Response) -> None:
        issues = answer.json()["issue"] if 400 <= answer.status_code < 500 else []
        named = {expression for issue in issues for expression in issue.get("expression", ())}
        diagnostics = " ".join(issue["diagnostics"] for issue in issues)
        told = self._refused[name]
        missing = [text for text in told if text not in named and text not in diagnostics]
        if missing or not issues:
            self._wrongly_taken.append(f"{name}: {answer.status_code} does not tell {missing}")
        else:
            self._rightly_refused.append(name)


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
