"""What the commands print."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fhir_server.mapping.convert import Mapped
from fhir_server.mapping.explaining import Explained
from fhir_server.mapping.guide import VERDICTS, Row

_LONGEST = 60


def explanation(path: str, mapped: Mapped, found: Iterable[tuple[str, list[Explained]]]) -> str:
    """Each element of a message's resources, a line each, with its rule and its place."""
    return "".join(f"{line}\n" for line in _lines(path, mapped, found))


def _lines(
    path: str, mapped: Mapped, found: Iterable[tuple[str, list[Explained]]]
) -> Iterator[str]:
    facts = mapped.facts
    overlays = ", ".join(mapped.overlays) or "none"
    yield f"{path}: {facts.type}^{facts.event} as {mapped.structure}, overlays: {overlays}"
    entries = {each.full_url: each for each in mapped.entries}
    for url, elements in found:
        entry = entries.get(url)
        known = f", {entry.mode}, known by {entry.tokens[0]}" if entry and entry.tokens else ""
        type_ = entry.type if entry else "MessageHeader"
        yield f"\n{type_} {url or '(not stored)'}{known}"
        for each in elements:
            guide = f"  [{', '.join(each.guide)}]" if each.guide else ""
            shown = _shown(each.value)
            place = each.where or "-"
            yield f"  {each.path}{shown}\n      {place}  {each.rule}{guide}"
    for step in mapped.steps:
        yield f"\nOrder {', '.join(step.order) or '(no number)'}"
        told = f"step {step.step} with {dict(step.inputs)}" if step.step else "no step"
        status = step.status or "no status"
        yield f"  ORC-1 {step.control or 'empty'}, {status}: {step.action}, {told}"
    for issue in mapped.issues:
        yield f"\n{issue.severity} {issue.code} at {issue.where or 'the message'}: {issue.text}"
    yield ""


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return ""
    text = str(value).replace("\n", "\\n")
    return f" = {text[:_LONGEST]}{'…' if len(text) > _LONGEST else ''}"


def coverage_table(
    unread: Mapping[tuple[str, int], Sequence[tuple[str, str]]], messages: int
) -> str:
    """The fields that no rule reads: how often they say something, and an example."""
    lines = [f"{messages} messages; {len(unread)} fields that no rule reads\n"]
    for (segment, number), found in sorted(unread.items()):
        files = len({path for path, _ in found})
        example = found[0][1][:_LONGEST]
        lines.append(f"{f'{segment}-{number}':10}{len(found):7}  in {files} files  {example}\n")
    return "".join(lines)


def guide_table(rows: Sequence[Row]) -> str:
    """What became of each row of the guide, and why."""
    lines = [f"{r.verdict:12} {r.table}#{r.number} {r.field} {r.element}: {r.why}\n" for r in rows]
    lines += [f"{sum(row.verdict == each for row in rows)} {each}\n" for each in VERDICTS]
    return "".join(lines)
