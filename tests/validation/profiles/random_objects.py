"""Random objects of R4's types, to hold shortcuts against what they stand for."""

from typing import Any

from hypothesis import strategies as st

from fhir_server.fhirpath.model import NodeType, node_type

_TEXTS = ["fixed", "home", "display", "document", "2024-01-01", "a"]
_VALUES: dict[str, list[Any]] = {
    "boolean": [True, False],
    "integer": [0, 3],
    "positiveInt": [1, 3],
    "unsignedInt": [0, 3],
    "decimal": [0, 3],
    "date": ["2024", "2024-02-01", "2024-01-31"],
    "dateTime": ["2024", "2024-02-01T10:00:00Z", "2024-02-01T10:00:00+01:00", "2023-12-31"],
    "instant": ["2024-02-01T10:00:00Z"],
    "time": ["10:00:00"],
}
EXTRA = {"extension": [{"url": "http://example.org/x", "valueString": "y"}]}


def kind_of(name: str) -> NodeType:
    """A type of R4."""
    kind = node_type(name)
    assert kind is not None
    return kind


def objects(name: str, depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of a type with any of its elements, right in structure."""
    kind = kind_of(name)
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for element in kind.definition.elements.values():
        child = kind.children[element.name]
        assert child is not None
        for one in child.alternatives:
            if one.type is None or one.key in ("extension", "modifierExtension", "text"):
                continue
            if not one.primitive and depth == 0:
                continue
            values = _values(one.type, depth)
            optional[one.key] = values if element.max == 1 else st.lists(values, min_size=1)
            if one.primitive and element.max == 1:
                optional[one.sibling] = st.just(EXTRA)
    return st.lists(st.sampled_from(sorted(optional)), max_size=5, unique=True).flatmap(
        lambda keys: st.fixed_dictionaries({key: optional[key] for key in keys})
    )


def _values(kind: NodeType, depth: int) -> st.SearchStrategy[Any]:
    if kind.primitive:
        return st.sampled_from(_VALUES.get(kind.name, _TEXTS))
    return st.deferred(lambda: objects(kind.name, depth - 1))
