"""From an HL7 v2 message to the resources and order steps it means."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fhir_server.hl7v2 import Message
from fhir_server.mapping.building import Builder
from fhir_server.mapping.entries import Entries, Entry, Resource
from fhir_server.mapping.evaluation import One, compile_condition, compile_one, text_of
from fhir_server.mapping.grouping import Grammar, Group, grouped
from fhir_server.mapping.loading import Book, Files, book_of, read_files
from fhir_server.mapping.orders import OrderRules, OrderStep, order_steps
from fhir_server.mapping.reading import segments_of
from fhir_server.mapping.referring import Link, Step, tokens_of
from fhir_server.mapping.rules import MappingError, ResourceRules, Used
from fhir_server.mapping.running import Facts, Readers, facts_of, readers_of, start, structure_of
from fhir_server.mapping.scope import MappingIssue, Mark, Run, Scope
from fhir_server.mapping.times import span_of
from fhir_server.mapping.values import Segment
from fhir_server.workflow.canonicals import BASE

# The system of identifiers that are made of several fields of a message.
KEY_SYSTEM = f"{BASE}/hl7v2-key"


@dataclass(slots=True)
class Mapped:
    """What a message means.

    entries: the resources, those first that others refer to. steps: what becomes of orders, in
    the order of the message. known: whether there are rules for the structure at all.
    recorded: the first and the last moment at which what it tells may have been recorded.
    trace: the rule behind each element, by container and name, if it was asked for.
    """

    facts: Facts
    structure: str
    entries: list[Entry]
    steps: list[OrderStep]
    issues: list[MappingIssue]
    known: bool
    overlays: tuple[str, ...] = ()
    header: Resource | None = None
    recorded: tuple[datetime, datetime] | None = None
    trace: Mapping[tuple[int, Any], Mark] = field(default_factory=dict)

    def bundle(self) -> Resource:
        """The resources as a transaction, for a server that knows nothing of the rest.

        What is to be created only if it is new is a conditional create; what is to be brought up
        to date a conditional update (R4 http.html#cond-update).
        """
        return {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [_entry(each) for each in self.entries],
        }


@dataclass(slots=True)
class _Plan:
    """A resource of a structure, compiled."""

    used: Used
    rules: ResourceRules
    steps: Sequence[Step]
    links: Sequence[Link]
    when: Sequence[Callable[[Scope], bool]]
    key: One | None
    join: tuple[One, Callable[[Scope], bool]] | None

    @property
    def mode(self) -> str:
        return self.used.mode or self.rules.data.get("mode", "create")


@dataclass(slots=True)
class _Compiled:
    """The rules for one set of overlays."""

    book: Book
    builder: Builder
    readers: Readers
    orders: OrderRules
    plans: dict[str, list[_Plan]] = field(default_factory=dict)


class Mapper:
    """Maps messages by the rules of a folder, compiled once for each set of overlays.

    Thread-safe once a set of overlays was met. Raises MappingError for files that cannot be used.

    zone: of times without an offset, where no overlay says another.
    """

    def __init__(self, folder: Path, zone: str = "UTC") -> None:
        self._zone = zone
        self._folder = folder
        self._files: Files = read_files(folder)
        self._compiled: dict[tuple[str, ...], _Compiled] = {}
        self._compile(())

    def reload(self) -> None:
        """Take the files as they are now; when they cannot be used, all stays as it was."""
        fresh = Mapper(self._folder, self._zone)
        self._files, self._compiled = fresh._files, fresh._compiled

    def check(self) -> None:
        """Compile everything, overlays each by itself. Raises MappingError."""
        for overlays in ((), *((each.name,) for each in self._files.overlays)):
            compiled = self._compile(overlays)
            for name in compiled.book.messages:
                self._plans(compiled, name)

    def book(self, overlays: tuple[str, ...] = ()) -> Book:
        """The rules under overlays."""
        return self._compile(overlays).book

    def _compile(self, overlays: tuple[str, ...]) -> _Compiled:
        found = self._compiled.get(overlays)
        if found is None:
            book = book_of(self._files, overlays)
            found = self._compiled[overlays] = _Compiled(
                book,
                Builder(book),
                readers_of(book, self._zone),
                OrderRules(book.orders, book.sender.role),
            )
        return found

    def _plans(self, compiled: _Compiled, structure: str) -> list[_Plan]:
        found = compiled.plans.get(structure)
        if found is None:
            uses = compiled.book.messages[structure].uses
            found = compiled.plans[structure] = [_plan(compiled, each) for each in uses]
        return found

    def convert(self, message: Message, *, explain: bool = False) -> Mapped:
        """Map a message. Nothing that it holds is an error; `issues` tells what was odd.

        explain: keep the rule behind each element.
        """
        segments = segments_of(message)
        facts = facts_of(segments)
        names = {"application": facts.application, "facility": facts.facility,
                 "version": facts.version, "message": f"{facts.type}^{facts.event}"}  # fmt: skip
        overlays = self._files.overlays_for(names)
        compiled = self._compile(overlays)
        structure = structure_of(facts, compiled.book)
        grammar = compiled.book.structures.get(structure) or Grammar(structure)
        root, placed = grouped(grammar, segments)
        run = start(facts, structure, root, compiled.readers)
        if explain:
            run.trace = {}
        known = structure in compiled.book.messages
        plans = self._plans(compiled, structure if known else "any")
        if not known:
            told = f"no rules for messages {facts.type}^{facts.event} ({structure})"
            run.tell("warning", "200", told, segments[0] if segments else None)
        _build(plans, placed, run)
        _tie(plans, run)
        header = next((e for e in run.entries if e.name == "header"), None)
        entries = [each for each in run.entries if each is not header]
        steps = order_steps(compiled.orders, run, entries)
        return Mapped(
            facts=facts,
            structure=structure,
            entries=entries,
            steps=steps,
            issues=run.issues,
            known=known,
            overlays=overlays,
            header=header.resource if header else None,
            recorded=span_of(facts.recorded, run.zone),
            trace=run.trace or {},
        )


def _plan(compiled: _Compiled, used: Used) -> _Plan:
    rules = compiled.book.resources.get(used.name)
    if rules is None:
        raise MappingError(f"there is no resource {used.name}")
    steps, links = compiled.builder.resource(rules.data.get("mappings", ()), rules.type)
    when = [compile_condition(each) for each in (rules.data.get("when"), used.when) if each]
    key = rules.data.get("identity", {}).get("key")
    join = rules.data.get("join")
    return _Plan(
        used,
        rules,
        steps,
        links,
        when,
        compile_one(key) if key else None,
        (compile_one(join["by"]), compile_condition(join["when"])) if join else None,
    )


def _build(plans: Sequence[_Plan], placed: Sequence[tuple[Group, Segment]], run: Run) -> None:
    for plan in plans:
        for scope in _scopes(plan, placed, run):
            if all(when(scope) for when in plan.when):
                _make(plan, scope)


def _scopes(plan: _Plan, placed: Sequence[tuple[Group, Segment]], run: Run) -> Iterator[Scope]:
    """Where a resource is made: at each of its segments, in groups that have no better one."""
    names = plan.rules.segments
    if plan.join is not None:
        yield from _joined(plan, placed, run)
        return
    for group, segment in placed:
        if segment.name not in names:
            continue
        better = names[: names.index(segment.name)]
        scope = Scope(run, group, segment)
        if not any(scope.find(each) for each in better):
            yield scope


def _joined(plan: _Plan, placed: Sequence[tuple[Group, Segment]], run: Run) -> Iterator[Scope]:
    """Segments that follow each other and say one thing, as one."""
    assert plan.join is not None
    by, when = plan.join
    last: Scope | None = None
    last_key = ""
    for group, segment in placed:
        if segment.name not in plan.rules.segments:
            continue
        scope = Scope(run, group, segment, None, (segment,))
        key = text_of(by(scope)) if when(scope) else ""
        same = last is not None and key and key == last_key and _near(last.group, group)
        if same and last is not None:
            last.lines = (*last.lines, segment)
            continue
        if last is not None:
            yield last
        last, last_key = scope, key
    if last is not None:
        yield last


def _near(one: Group, other: Group) -> bool:
    return one is other or one.parent is other.parent


def _make(plan: _Plan, scope: Scope) -> None:
    run, rules = scope.run, plan.rules
    resource: Resource = {"resourceType": rules.type}
    entry = Entry(rules.name, rules, resource, run.entries.new_url(), plan.mode, group=scope.group)
    run.entries.current = entry
    run.entries.contain = rules.name == "header"
    read = False
    for step in plan.steps:
        if step(scope, resource):
            read = True
    run.entries.current = None
    if not read:
        return
    _identify(plan, scope, entry)
    same = run.entries.known(rules.type, entry.tokens[:1])
    if same is not None and same.name == entry.name:
        # Said twice in one message: what comes later adds what was not said yet.
        for name, value in resource.items():
            same.resource.setdefault(name, value)
        entry = same
    else:
        run.entries.add(entry)
    scope.group.made.setdefault(rules.name, []).append(entry)
    for link in plan.links:
        run.pending.append((link, scope, entry))


def _identify(plan: _Plan, scope: Scope, entry: Entry) -> None:
    resource = entry.resource
    identity = plan.rules.data.get("identity", {})
    key = text_of(plan.key(scope)) if plan.key else ""
    # Numbers that several have, such as that of the order in its reports, tell nothing apart.
    by_number = not plan.key or "types" in identity
    tokens = tokens_of(resource, plan.rules) if by_number else ()
    if key and identity.get("repeats"):
        key = _numbered(scope.run.entries, entry.type, key)
    if key:
        identifier = {"system": KEY_SYSTEM, "value": key}
        resource.setdefault("identifier", []).append(identifier)
        tokens = (f"{KEY_SYSTEM}|{key}",)
    entry.tokens = tokens
    entry.key = key or (tokens[0] if tokens else "")


def _numbered(entries: Entries, type_: str, key: str) -> str:
    """A key of its own for what has the same as another of the message."""
    number, own = 1, key
    while entries.known(type_, (f"{KEY_SYSTEM}|{own}",)):
        number += 1
        own = f"{key}/{number}"
    return own


def _tie(plans: Sequence[_Plan], run: Run) -> None:
    """Set the references between the resources of the message."""
    for link, scope, entry in run.pending:
        found = [e for name in link.names for e in run.entries.around(scope.group, name)]
        others = [each for each in found if each is not entry]
        run.entries.current = entry
        link.step(scope, entry.resource, others)
    run.entries.current = None


def _entry(entry: Entry) -> Resource:
    request: Resource = {"method": "POST", "url": entry.type}
    if entry.tokens:
        criteria = f"identifier={_escaped(entry.tokens[0])}"
        if entry.mode == "update":
            request = {"method": "PUT", "url": f"{entry.type}?{criteria}"}
        else:
            request["ifNoneExist"] = criteria
    return {"fullUrl": entry.full_url, "resource": entry.resource, "request": request}


def _escaped(token: str) -> str:
    system, _, value = token.partition("|")
    escaped = (re.sub(r"([\\,$|])", r"\\\1", each) for each in (system, value))
    return "|".join(_quoted(each) for each in escaped)


def _quoted(text: str) -> str:
    return quote(text, safe=":/.-_~\\")
