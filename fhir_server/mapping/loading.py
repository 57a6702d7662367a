"""Reads mapping files, holds them against their schema, and puts overlays over them."""

import csv
import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import yaml

from fhir_server.mapping.grouping import Grammar, read_grammar
from fhir_server.mapping.rules import (
    Concept,
    Json,
    MappingError,
    MessageRules,
    ResourceRules,
    Rule,
    Sender,
    Table,
    TypeMapping,
    Used,
    texts,
)

# The C reader is ten times as fast; it is part of most builds of the library, not of all.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Reader(_Base):  # type: ignore[misc]
    """YAML in which `N`, `on`, `.4` and `2.3` are texts."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Reader.add_implicit_resolver(
        f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), [*first, ""]
    )


_resolve("merge", "<<", "<")
_resolve("bool", r"true|false", "tf")
_resolve("null", r"~|null|", "~n")
_resolve("int", r"-?(0|[1-9][0-9]*)", "-0123456789")


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping file. name: as people know it, such as `segments/PID.yaml`."""

    name: str
    data: Json


@dataclass(frozen=True, slots=True)
class Files:
    """All files of a folder: the base, the overlays in their order, and where tables are."""

    folder: Path
    base: tuple[Document, ...]
    overlays: tuple[Document, ...]

    def overlays_for(self, message: Mapping[str, str]) -> tuple[str, ...]:
        """The names of the overlays that fit a message.

        message: `application` (MSH-3.1), `facility` (MSH-4.1), `version` (MSH-12.1) and `message`
        (`ORM^O01`).
        """
        return tuple(each.name for each in self.overlays if _fits(each.data["overlay"], message))


@dataclass(frozen=True, slots=True)
class Book:
    """The rules for messages that the same overlays fit.

    mappings: by name such as `PID[Patient]`. events: the structure of `ADT^A04`.
    """

    mappings: Mapping[str, TypeMapping]
    resources: Mapping[str, ResourceRules]
    messages: Mapping[str, MessageRules]
    structures: Mapping[str, Grammar]
    events: Mapping[str, str]
    authorities: Sequence[Json]
    systems: Mapping[str, str]
    orders: Sequence[Json]
    sender: Sender
    _tables: Mapping[str, Json]
    _folder: Path
    _read: dict[str, Table] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        """A concept map: of a file, of what rules say, or of both. Raises MappingError."""
        if name not in self._read:
            self._read[name] = self._table(name)
        return self._read[name]

    def _table(self, name: str) -> Table:
        path = self._folder / "tables" / f"{name}.csv"
        own = self._tables.get(name, {})
        if name not in self._tables and not path.is_file():
            raise MappingError(f"the table {name} is neither a file nor among the rules")
        codes, source = _csv(path) if path.is_file() else ({}, "")
        for code, given in own.get("codes", {}).items():
            if given is None:
                codes.pop(code, None)
            else:
                codes[code] = _concept(given, own.get("system", ""))
        return Table(name, own.get("source", source), own.get("default"), codes)


def read_files(folder: Path) -> Files:
    """Read a folder of mappings. Raises MappingError with everything wrong in its files."""
    schema = (folder / "schema.json").read_text(encoding="utf-8")
    base: list[Document] = []
    overlays: list[Document] = []
    problems: list[str] = []
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(("guide/", "outgoing/")):
            continue
        data, wrong = _checked(path.read_bytes(), schema)
        problems += [f"{name}: {each}" for each in wrong]
        is_overlay = isinstance(data, dict) and "overlay" in data
        (overlays if is_overlay else base).append(Document(name, data))
    if problems:
        raise MappingError("\n".join(problems))
    overlays.sort(key=lambda each: (each.data["overlay"].get("order", 0), each.name))
    return Files(folder, tuple(base), tuple(overlays))


@functools.lru_cache(256)
def _checked(content: bytes, schema: str) -> tuple[Any, tuple[str, ...]]:
    """What a file says, and what is wrong with it; the same file is looked at once."""
    try:
        data = _named(yaml.load(content.decode(), Loader=_Reader) or {})
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return None, (str(error),)
    return data, tuple(_wrong(_validator(schema), data))


def _named(data: Any) -> Any:
    """YAML with texts for names: a code such as `1` is no number."""
    if isinstance(data, dict):
        return {str(name): _named(value) for name, value in data.items()}
    return [_named(each) for each in data] if isinstance(data, list) else data


@functools.lru_cache(4)
def _validator(schema: str) -> Any:
    return jsonschema.Draft202012Validator(json.loads(schema))


def _wrong(check: Any, data: Any) -> Iterator[str]:
    for error in check.iter_errors(data):
        at = ".".join(str(each) for each in error.absolute_path)
        yield f"{at}: {error.message[:300]}"


def _fits(overlay: Json, message: Mapping[str, str]) -> bool:
    return all(
        any(fnmatchcase(message.get(name, ""), pattern) for pattern in texts(patterns))
        for name, patterns in overlay["when"].items()
    )


def book_of(files: Files, overlays: Iterable[str] = ()) -> Book:
    """The rules of a folder under overlays, which win over it. Raises MappingError."""
    wanted = frozenset(overlays)
    documents = [*files.base, *(each for each in files.overlays if each.name in wanted)]
    sections: dict[str, Any] = {"mappings": {}, "tables": {}, "sender": {}}
    for document in documents:
        _add(sections, document)
    events = sections.get("events", {})
    return Book(
        mappings=dict(sections["mappings"]),
        resources={n: ResourceRules(n, d) for n, d in sections.get("resources", {}).items()},
        messages={n: _message(n, d) for n, d in sections.get("messages", {}).items()},
        structures={n: _grammar(n, d) for n, d in sections.get("structures", {}).items()},
        events={event: name for key, name in events.items() for event in key.split()},
        authorities=sections.get("authorities", []),
        systems=sections.get("systems", {}),
        orders=sections.get("orders", []),
        sender=Sender(**sections["sender"]),
        _tables=sections["tables"],
        _folder=files.folder,
    )


def _add(sections: dict[str, Any], document: Document) -> None:
    for section, given in document.data.items():
        if section == "mappings":
            for name, data in given.items():
                known = sections["mappings"].get(name)
                sections["mappings"][name] = _mapping(name, data, document.name, known)
        elif section == "tables":
            for name, data in given.items():
                known = sections["tables"].get(name, {})
                codes = known.get("codes", {}) | data.get("codes", {})
                sections["tables"][name] = known | data | {"codes": codes}
        elif section == "resources":
            known = sections.setdefault("resources", {})
            for name, data in given.items():
                known[name] = known.get(name, {}) | data
        elif section in ("orders", "authorities"):
            # The first that fits counts, so what is said last stands first.
            sections[section] = [*given, *sections.get(section, [])]
        elif section != "overlay":
            sections[section] = sections.get(section, {}) | given


def _mapping(name: str, data: Json, file: str, known: TypeMapping | None) -> TypeMapping:
    to = data.get("to", known.to if known else None)
    if to is None:
        raise MappingError(f"{file}: {name}: expected `to`, the FHIR type that it makes")
    tables = texts(data.get("guide"))
    rules = _rules(data.get("rules", ()), f"{file} {name}", tables)
    if known is not None:
        rules = _over(known.rules, rules)
    return TypeMapping(name, to, tuple(each for each in rules if not each.get("remove")))


def _over(base: Sequence[Rule], rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """An overlay's rules over those of the base: in their places, new ones before them.

    What comes first wins, so an overlay's own rule for an element wins over those of the base.
    """
    given = {each.id: each for each in rules}
    known = {each.id for each in base}
    added = [each for each in rules if each.id not in known]
    return (*added, *(given.get(each.id, each) for each in base))


def _rules(given: Sequence[Json], label: str, tables: Sequence[str]) -> tuple[Rule, ...]:
    taken: set[str] = set()
    found = []
    for data in given:
        id_ = _id(data, taken)
        taken.add(id_)
        own = f"{label} {id_}"
        guide = _guide(texts(data.get("guide")), tables)
        inner = _rules(data.get("rules", ()), own, tables)
        found.append(Rule(id_, own, data, guide, inner))
    return tuple(found)


def _guide(fields: Sequence[str], tables: Sequence[str]) -> tuple[str, ...]:
    """Rows of the guide as table and field: a field of `PID` is one of tables about `PID`."""
    found = [each for each in fields if "/" in each]
    for each in (each for each in fields if "/" not in each):
        name = re.split(r"[-.]", each)[0]
        found += [f"{table} {each}" for table in tables if f"/{name}[" in table]
    return tuple(found)


def _id(data: Json, taken: set[str]) -> str:
    """The id of a rule: its own, else its element, with its source where that comes again."""
    if "id" in data:
        if data["id"] in taken:
            raise MappingError(f"the rule {data['id']} comes twice")
        return str(data["id"])
    refs = texts(data.get("ref"))
    url = str(data.get("extension", "")).rpartition("/")[2]
    names = (url or data.get("element"), data.get("include"), *refs)
    name = str(next((each for each in names if each), "rule"))
    if name in taken:
        source = re.sub(r"[^A-Za-z0-9.\-]+", " ", str(data.get("from", data.get("each", ""))))
        name = f"{name} {source.strip()}".strip()
    number, chosen = 1, name
    while chosen in taken:
        number += 1
        chosen = f"{name} {number}"
    return chosen


def _message(name: str, data: Json) -> MessageRules:
    uses = data.get("resources", ())
    return MessageRules(
        name, tuple(Used(each["use"], each.get("mode"), each.get("when")) for each in uses)
    )


@functools.lru_cache(1000)
def _grammar(name: str, text: str) -> Grammar:
    try:
        return read_grammar(name, text)
    except ValueError as error:
        raise MappingError(str(error)) from None


def _concept(given: Any, system: str) -> Concept:
    if isinstance(given, str):
        return Concept(given, system=system)
    return Concept(given["code"], given.get("display", ""), given.get("system", system))


def _csv(path: Path) -> tuple[dict[str, Concept], str]:
    codes, source = {}, ""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            codes[row["code"]] = Concept(row["target"], row["display"], row["system"])
            source = row["source"] or source
    return codes, source
