"""Whether a trail is as it was written: each link of the chain, its signed ends, the last one."""

import asyncio
import hmac
from dataclasses import dataclass, field

from fhir_server.audit.chain import BEGINNING, Link, following, signature
from fhir_server.audit.keys import Remembered
from fhir_server.storage import audit
from fhir_server.storage.store import Connection

# So many rows are read by one statement, and then other requests of the process get their turn.
_TOGETHER = 10_000


@dataclass(slots=True)
class Report:
    """What verifying found.

    problem: a code, empty if all is well. at: the number of its event. text: for people.
    events: how many were looked at; end: the last of them.
    signed: checkpoints whose signature holds; unknown: those of keys that are not here.
    """

    events: int = 0
    end: Link = field(default_factory=Link)
    signed: int = 0
    unknown: int = 0
    problem: str = ""
    at: int = 0
    text: str = ""

    def broken(self, problem: str, at: int, text: str) -> "Report":
        """The same, with the first problem that there is."""
        self.problem, self.at, self.text = problem, at, text
        return self


async def verify(
    connection: Connection, tenant: str, remembered: Remembered | None, start: int = 1
) -> Report:
    """Read a trail again from an event on, and tell the first thing that is not as it was written.

    remembered: what this server keeps outside of the database; None if it keeps nothing.
    """
    report = Report()
    # Before the last event, because the trail grows meanwhile.
    known = await _Known.of(connection, tenant, remembered, report)
    last = await audit.last(connection, tenant)
    up_to = 0 if last is None else last[0]
    first = await _before(connection, tenant, start)
    if first is None:
        return report.broken("missing", start - 1, f"There is no event {start - 1}")
    report.end = first
    for begin in range(start - 1, up_to, _TOGETHER):
        if not await _links(
            connection, tenant, begin, min(begin + _TOGETHER, up_to), report, known
        ):
            return report
        await asyncio.sleep(0)
    known.after(report)
    return report


async def _before(connection: Connection, tenant: str, start: int) -> Link | None:
    """The link that the first event to be looked at follows, which is taken as it stands."""
    if start == 1:
        return Link(0, BEGINNING)
    hash_ = await audit.hash_of(connection, tenant, start - 1)
    return None if hash_ is None else Link(start - 1, hash_)


async def _links(
    connection: Connection, tenant: str, after: int, up_to: int, report: Report, known: "_Known"
) -> bool:
    """Look at some events; False when one is not as it was written."""
    async for seq, line, hash_ in audit.lines(connection, tenant, after, up_to):
        link = following(report.end, line)
        if link.seq != seq:
            text = f"Events {link.seq} to {seq - 1} are missing"
            report.broken("missing", link.seq, text)
            return False
        if link.hash != hash_:
            text = f"Event {seq} is not what was written, or the one before it was another one"
            report.broken("changed", seq, text)
            return False
        report.events += 1
        report.end = link
        if seq in known.ends and not known.holds(link, report):
            return False
    if report.end.seq != up_to:
        text = f"Events {report.end.seq + 1} to {up_to} are missing"
        report.broken("missing", report.end.seq + 1, text)
        return False
    return True


class _Known:
    """Ends that the chain had, by the number of their event: their hashes, and who says so."""

    def __init__(self, ends: dict[int, list[tuple[bytes, str]]]) -> None:
        self.ends = ends

    @classmethod
    async def of(
        cls, connection: Connection, tenant: str, remembered: Remembered | None, report: Report
    ) -> "_Known":
        """Those that the server remembers, and those whose signature it can check."""
        ends: dict[int, list[tuple[bytes, str]]] = {}
        if remembered is not None and (end := remembered.end(tenant)) is not None:
            ends.setdefault(end.seq, []).append((end.hash, "this server remembers"))
        for seq, hash_, key, mac in await audit.checkpoints(connection, tenant):
            if remembered is None or key != remembered.key_name:
                report.unknown += 1
                continue
            signed = hmac.compare_digest(signature(remembered.key(), Link(seq, hash_)), mac)
            report.signed += signed
            # Of a checkpoint that was made up, no row has the hash.
            ends.setdefault(seq, []).append((hash_ if signed else b"", "a checkpoint says"))
        return cls(ends)

    def holds(self, link: Link, report: Report) -> bool:
        """Whether the chain goes through the ends that it had."""
        for hash_, says in self.ends.pop(link.seq):
            if hash_ != link.hash:
                text = f"The chain up to event {link.seq} is not the one that {says}"
                report.broken("rewritten", link.seq, text)
                return False
        return True

    def after(self, report: Report) -> None:
        """Look at the ends that the chain should have reached and has not."""
        beyond = [seq for seq in self.ends if seq > report.end.seq]
        if beyond:
            text = f"Events {report.end.seq + 1} to {max(beyond)} are missing at the end"
            report.broken("cut", report.end.seq + 1, text)
