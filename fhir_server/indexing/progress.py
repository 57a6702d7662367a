"""How far the resources of a tenant are read again, for whoever waits for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from fhir_server.storage.jobs import Unfinished


class Progress(msgspec.Struct, frozen=True):
    """What a job that reads resources again notes of itself.

    generation: of the search parameters it reads for, and later ones. target: the format it brings
        every entry to; None if only some types are read.
    types: those still to be read, the first of them from the row id `after` on, up to `end`.
    done, total: resources. failed: those that could not be read, whose entries stay as they were.
    """

    generation: int
    target: int | None
    types: tuple[str, ...]
    total: int
    end: int
    after: int = 0
    done: int = 0
    failed: int = 0


# The kind of jobs that seal what is stored anew.
RESEAL = "reseal"


class Resealing(msgspec.Struct, frozen=True):
    """What a job that seals what is stored anew notes of itself.

    generation: of the search index, with which what is sealed changed. key: that seals. after,
        messages: up to where current versions and messages, by table, are done. before: down to
        where superseded versions are. after and before are None when all are. ends: up to where
        each table is to be done: what comes later is sealed as it should be.
    done, total: versions and messages. failed: those that could not be opened, and stay as they
        were.
    """

    generation: int = -1
    key: int = 0
    after: int | None = 0
    before: tuple[str, str, int] | None = ("\U0010ffff", "", 0)
    messages: dict[str, int] = {}
    ends: dict[str, int] = {}
    done: int = 0
    total: int = 0
    failed: int = 0
    problem: str | None = None

    def describe(self, generation: int) -> str:
        """How far what a generation asks for is."""
        if self.problem is not None:
            return f"going over what is stored failed ({self.problem}); it is repeated"
        if self.generation < generation:
            return "what is stored waits for it"
        return f"{self.done} of about {self.total} stored versions and messages are done"


def resealing_of(unfinished: Sequence[Unfinished]) -> Resealing:
    """What is known of the jobs of a tenant."""
    for job in sorted(unfinished, key=lambda job: job.state != "running"):
        found = msgspec.convert(job.payload, Resealing)
        problem = None if job.state == "running" else job.last_error
        return msgspec.structs.replace(found, problem=problem)
    return Resealing()


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is known of the jobs that are not done.

    current: how far the one under way is; None if none has begun.
    problem: why the last one failed.
    """

    current: Progress | None = None
    problem: str | None = None

    def describe(self, generation: int) -> str:
        """How far what a generation asks for is."""
        if self.problem is not None:
            return f"reading the stored resources again failed ({self.problem}); it is repeated"
        if self.current is None or self.current.generation < generation:
            return "the stored resources wait to be read again"
        done, total = self.current.done, self.current.total
        return f"{done} of {total} stored resources are read"


def progress_of(payload: Mapping[str, Any]) -> Progress | None:
    """What a job has noted; None if it has not begun."""
    return msgspec.convert(payload, Progress) if payload else None


def waiting(unfinished: Sequence[Unfinished]) -> Waiting:
    """What is known of the jobs of a tenant."""
    for job in unfinished:
        if job.state == "running":
            return Waiting(progress_of(job.payload))
    if not unfinished:
        return Waiting()
    newest = unfinished[-1]
    return Waiting(progress_of(newest.payload), newest.last_error)
