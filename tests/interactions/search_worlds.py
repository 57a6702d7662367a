"""Resources whose values meet in ever other combinations, and searches among them."""

from random import Random
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from tests.interactions.plain_search import FIELDS, GENDER, TARGETS, UCUM, Asked, Chain, Has, Plain
from tests.interactions.searching import Resource, observation, patient, reference, resource

SYSTEMS = (None, "urn:a", "http://x.example/s|1")
CODES = ("1", "a", "A", "a,b", "a|b", "a$b", "a\\b", "é", "*")
NAMES = ("Anna", "ANNÁ", "An na", "Hannah", "Straße", "O'Neil, Jr", "%_\\", "zz", "…")
DAYS = ("1970", "1970-05", "1970-05-20", "1971-01-01", "1969-12-31", "1970-06")
MOMENTS = ("1970-05-20T00:00:00+00:00", "1970-05-20T23:59:59+00:00", "1970-06-01T00:30:00+02:00")
PERIODS = (
    {"start": "1970-05"},
    {"end": "1970-05-20"},
    {"start": "1969-12-31", "end": "1971"},
    {"start": "1970-05-20", "end": "1970-05"},
)
NUMBERS = ("0.5", "0.50", "1", "2", "2.5", "-3", "2500", "0")
URLS = ("http://a.example", "http://a.example/b", "http://a.example/b/c", "http://a.example/bc")
PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
COUNTS = {
    "Organization": 5,
    "Practitioner": 3,
    "Patient": 14,
    "Observation": 18,
    "RiskAssessment": 6,
    "ValueSet": 6,
}


class _Maker:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def maybe(self, **elements: Any) -> Resource:
        """Some of the elements; None for one that has no value."""
        return {
            name: value
            for name, value in elements.items()
            if value not in (None, [], {}) and self._random.random() < 0.7
        }

    def some(self, make: Any, most: int = 2) -> list[Any]:
        return [make() for _ in range(self._random.randint(0, most))]

    def one(self, *of: Any) -> Any:
        return self._random.choice(of)

    def to(self, *types: str) -> dict[str, str]:
        """A reference to a resource that may not exist."""
        type_ = self.one(*types)
        return reference(f"{type_}/{type_[0]}{self._random.randint(0, COUNTS[type_])}")

    def identifier(self) -> Resource:
        type_ = {"text": self.one(*NAMES)}
        found = self.maybe(system=self.one(*SYSTEMS), value=self.one(*CODES), type=type_)
        return found if found.keys() & {"system", "value"} else {"value": "1"}

    def concept(self) -> Resource:
        codings = self.some(
            lambda: (
                {"code": self.one(*CODES)}
                | self.maybe(system=self.one(*SYSTEMS), display=self.one(*NAMES))
            )
        )
        text = {"text": self.one(*NAMES)}
        return text if not codings else {"coding": codings} | self.maybe(**text)

    def quantity(self) -> Resource:
        number = float(self.one(*NUMBERS))
        gram = {"value": number, "system": UCUM, "code": "g"}
        kilo = {"value": number, "system": UCUM, "code": "kg"}
        return dict(self.one(
            gram, kilo, {"value": number}, {"value": number, "unit": "g"}, {"unit": "kg"},
            {**gram, "comparator": "<"}, {**gram, "comparator": ">="},
        ))  # fmt: skip

    def name(self) -> Resource:
        found = self.maybe(family=self.one(*NAMES), given=self.some(lambda: self.one(*NAMES)))
        return found or {"family": "Anna"}

    def when(self) -> Resource:
        if self.one(True, False):
            return {"effectiveDateTime": self.one(*DAYS, *MOMENTS)}
        return {"effectivePeriod": dict(self.one(*PERIODS))}

    def body(self, type_: str, id_: str) -> Resource:
        match type_:
            case "Patient":
                return patient(id_, **self.maybe(
                    active=self.one(True, False), gender=self.one("male", "female", "other"),
                    birthDate=self.one(*DAYS), name=self.some(self.name),
                    identifier=self.some(self.identifier),
                    managingOrganization=self.to("Organization"),
                    generalPractitioner=self.some(lambda: self.one(
                        self.to("Organization", "Practitioner"), {"display": "Dr."})),
                ))  # fmt: skip
            case "Organization":
                return resource(type_, id_, name=self.one(*NAMES), **self.maybe(
                    alias=self.some(lambda: self.one(*NAMES)), partOf=self.to("Organization"),
                    identifier=self.some(self.identifier)))  # fmt: skip
            case "Practitioner":
                return resource(type_, id_, **self.maybe(
                    name=self.some(self.name), gender=self.one("male", "female")))  # fmt: skip
            case "Observation":
                more = self.when() if self.one(True, True, False) else {}
                return observation(id_, code=self.concept(), **more, **self.maybe(
                    subject=self.to("Patient"), valueQuantity=self.quantity(),
                    hasMember=self.some(lambda: self.to("Observation"))))  # fmt: skip
            case "RiskAssessment":
                return resource(type_, id_, status="final", subject=self.to("Patient"),
                                **self.maybe(prediction=self.some(self.prediction)))  # fmt: skip
        return resource(type_, id_, status="draft", **self.maybe(url=self.one(*URLS)))

    def prediction(self) -> Resource:
        low = {"value": 0.2, "unit": self.one("x", "y")}
        return dict(self.one(
            {"probabilityDecimal": float(self.one("0.5", "1", "0", "0.2"))},
            {"probabilityRange": {"low": low, "high": {"value": 0.5}}},
            {"probabilityRange": {"high": {"value": 0.5}}},
        ))  # fmt: skip


def world(seed: int) -> dict[str, Resource]:
    """Resources by `Type/id`, in the order in which they are to be stored."""
    maker = _Maker(seed)
    found = {}
    for type_, count in COUNTS.items():
        for number in range(count):
            id_ = f"{type_[0]}{number}"
            found[f"{type_}/{id_}"] = maker.body(type_, id_)
    return found


# Searches, and how they are written.


def escaped(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, "\\" + character)
    return text


def _token(value: tuple[str | None, str]) -> str:
    system, code = value
    return escaped(code) if system == "any" else f"{escaped(system or '')}|{escaped(code)}"


def _quantity(value: tuple[str, str, str]) -> str:
    prefix, number, unit = value
    return f"{prefix}{number}|{UCUM}|{unit}" if unit else f"{prefix}{number}"


def _written(kind: str, modifier: str, value: Any) -> str:
    if modifier == "missing":
        return str(value).lower()
    match kind:
        case "token" if modifier != "text":
            return _token(value)
        case "date" | "number":
            return "".join(value)
        case "quantity":
            return _quantity(value)
        case "reference":
            return str(value[0])
        case "composite":
            return f"{_token(value[0])}${_quantity(value[1])}"
    return escaped(value)


def written(type_: str, asked: Asked) -> tuple[str, str]:
    """The name and the value of a search parameter."""
    match asked:
        case Chain(code=code, target=target, inner=inner):
            inner_type = target or next(
                item for item in TARGETS[type_, code] if (item, _first(inner)) in FIELDS
            )
            name, value = written(inner_type, inner)
            return f"{code}{':' if target else ''}{target}.{name}", value
        case Has(source=source, code=code, inner=inner):
            name, value = written(source, inner)
            return f"_has:{source}:{code}:{name}", value
        case Plain(code=code, modifier=modifier, values=values):
            kind, _ = FIELDS[type_, code]
            value = ",".join(_written(kind, modifier, item) for item in values)
            return f"{code}{':' if modifier else ''}{modifier}", value


def _first(asked: Asked) -> str:
    return "" if isinstance(asked, Has) else asked.code


def query(type_: str, asked: list[Asked]) -> str:
    """The query string of a search."""
    pairs = [written(type_, item) for item in asked]
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)


_PART = st.sampled_from([*NAMES[:-1], "an", "NN", "ss", "ß", "h", "%", "_", "\\", "á"])
_TOKEN = st.sampled_from(["any", None, *SYSTEMS[1:], "urn:c"]).flatmap(
    lambda system: st.tuples(
        st.just(system),
        st.sampled_from([*CODES, "3"] + ([""] if system not in ("any", None) else [])),
    )
)
_PREFIXED = st.sampled_from(["eq", *PREFIXES[1:]])
_QUANTITY = st.tuples(_PREFIXED, st.sampled_from(NUMBERS), st.sampled_from(["", "g", "kg"]))
_VALUES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "token": {"": _TOKEN, "not": _TOKEN, "text": _PART},
    "string": dict.fromkeys(("", "exact", "contains"), _PART),
    "date": {"": st.tuples(_PREFIXED, st.sampled_from([*DAYS, *MOMENTS]))},
    "number": {"": st.tuples(_PREFIXED, st.sampled_from(["0.5", "0.50", "0.2", "1", "0", "0.3"]))},
    "quantity": {"": _QUANTITY},
    "uri": dict.fromkeys(("", "above", "below"), st.sampled_from([*URLS, URLS[2] + "/d"])),
    "composite": {"": st.tuples(st.sampled_from([("any", code) for code in CODES]), _QUANTITY)},
}
_GENDERS = st.sampled_from([("any", "male"), ("any", "female"), (GENDER, "male"), (None, "male")])
_BOOLEANS = st.sampled_from([("any", "true"), ("any", "false"), (None, "true")])


@st.composite
def _plain(draw: st.DrawFn, type_: str) -> Asked:
    code = draw(st.sampled_from(sorted(code for name, code in FIELDS if name == type_)))
    kind, _ = FIELDS[type_, code]
    if draw(st.integers(0, 5)) == 0:
        return Plain(code, "missing", (draw(st.booleans()),))
    strategies = dict(_VALUES.get(kind, {"": st.nothing()}))
    if kind == "reference":
        strategies[""] = _references(TARGETS[type_, code])
    if code in ("gender", "active"):
        strategies = dict.fromkeys(("", "not"), _GENDERS if code == "gender" else _BOOLEANS)
    modifier = draw(st.sampled_from(sorted(strategies)))
    values = draw(st.lists(strategies[modifier], min_size=1, max_size=3))
    return Plain(code, modifier, tuple(values))


@st.composite
def _references(draw: st.DrawFn, targets: tuple[str, ...]) -> tuple[str, ...]:
    """How a reference is written, and what it may then mean."""
    target = draw(st.sampled_from(targets))
    id_ = f"{target[0]}{draw(st.integers(0, COUNTS[target]))}"
    whole = f"{target}/{id_}"
    if draw(st.booleans()):
        return (whole, whole)
    return (id_, *(f"{type_}/{id_}" for type_ in targets))


@st.composite
def conditions(draw: st.DrawFn, type_: str, depth: int = 2) -> Asked:
    """Something that a search of a type asks, with chains both ways."""
    ways = st.integers(0, 3) if depth else st.just(0)
    references = [code for name, code in TARGETS if name == type_]
    sources = [pair for pair, targets in TARGETS.items() if type_ in targets]
    way = draw(ways)
    if way == 1 and references:
        code = draw(st.sampled_from(references))
        target = draw(st.sampled_from(TARGETS[type_, code]))
        inner = draw(conditions(target, depth - 1))
        # Without a type the chain leads to all that have the parameter, which means the same in
        # each only if it is there of the same kind.
        open_ = isinstance(inner, Plain) and len(_kinds(type_, code, inner.code)) == 1
        return Chain(code, draw(st.sampled_from(["", target])) if open_ else target, inner)
    if way == 2 and sources:
        source, code = draw(st.sampled_from(sources))
        return Has(source, code, draw(conditions(source, depth - 1)))
    return draw(_plain(type_))


def _kinds(type_: str, reference_code: str, code: str) -> set[str]:
    targets = TARGETS[type_, reference_code]
    return {FIELDS[target, code][0] for target in targets if (target, code) in FIELDS}


@st.composite
def sorts(draw: st.DrawFn, type_: str) -> list[tuple[str, bool]]:
    """Up to three rules."""
    codes = ["_id", *(code for name, code in FIELDS if name == type_)]
    fit = [code for code in codes if code != "code-value-quantity"]
    rules = st.tuples(st.sampled_from(fit), st.booleans())
    return draw(st.lists(rules, max_size=3, unique_by=lambda rule: rule[0]))
