"""The syntax tree of a FHIRPath expression (FHIRPath 2.0.0 N1, Appendix B).

Every node knows its offset in the source; two nodes are equal if they mean the same, wherever they
stand.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum


@dataclass(frozen=True, slots=True)
class Node:
    """Anything an expression is made of."""

    position: int = field(compare=False)

    def children(self) -> Iterator["Node"]:
        """The nodes directly below this one."""
        return iter(())


class LiteralKind(Enum):
    """The System type of a literal."""

    BOOLEAN = "Boolean"
    STRING = "String"
    INTEGER = "Integer"
    DECIMAL = "Decimal"
    DATE = "Date"
    DATE_TIME = "DateTime"
    TIME = "Time"


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A literal; dates and times keep their text without `@`, because their precision matters."""

    kind: LiteralKind
    value: bool | str | int | Decimal


@dataclass(frozen=True, slots=True)
class QuantityLiteral(Node):
    """`4 days` (calendar: a duration keyword, kept singular) or `4 'mg'` (a UCUM unit)."""

    value: Decimal
    unit: str
    calendar: bool


@dataclass(frozen=True, slots=True)
class Empty(Node):
    """`{}`, the empty collection."""


@dataclass(frozen=True, slots=True)
class ExternalConstant(Node):
    """`%name`, a value the environment supplies."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable(Node):
    """`$this`, `$index` or `$total`; the name is without the dollar sign."""

    name: str


@dataclass(frozen=True, slots=True)
class Member(Node):
    """`source.name`; without a source the name is looked up in the focus, or is a type's name."""

    source: Node | None
    name: str

    def children(self) -> Iterator[Node]:
        if self.source is not None:
            yield self.source


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`source.name(arguments)`; without a source the focus is the input."""

    source: Node | None
    name: str
    arguments: tuple[Node, ...]

    def children(self) -> Iterator[Node]:
        if self.source is not None:
            yield self.source
        yield from self.arguments


@dataclass(frozen=True, slots=True)
class Indexer(Node):
    """`source[index]`."""

    source: Node
    index: Node

    def children(self) -> Iterator[Node]:
        yield self.source
        yield self.index


@dataclass(frozen=True, slots=True)
class Polarity(Node):
    """`+operand` or `-operand`."""

    operator: str
    operand: Node

    def children(self) -> Iterator[Node]:
        yield self.operand


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`left operator right` for every operator that takes two expressions."""

    operator: str
    left: Node
    right: Node

    def children(self) -> Iterator[Node]:
        yield self.left
        yield self.right


@dataclass(frozen=True, slots=True)
class TypeSpecifier(Node):
    """A type's name, such as `Patient`, `FHIR.Patient` or `System.String`."""

    namespace: str | None
    name: str


@dataclass(frozen=True, slots=True)
class TypeOperation(Node):
    """`operand is type` or `operand as type`."""

    operator: str
    operand: Node
    type: TypeSpecifier

    def children(self) -> Iterator[Node]:
        yield self.operand
        yield self.type
