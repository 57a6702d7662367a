"""A TestScript as it is carried out (R4 testscript-definitions.html)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class WaitFor:
    """The request is repeated while the answer has `status`."""

    status: int
    attempts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class WhenStatus:
    """The assertion counts only when the response `source_id` has `status`."""

    source_id: str
    status: int


@dataclass(frozen=True, slots=True)
class Operation:
    """A request to make; the elements are those of TestScript.setup.action.operation."""

    type: str = ""
    resource: str | None = None
    label: str | None = None
    description: str | None = None
    accept: str | None = None
    content_type: str | None = None
    destination: int | None = None
    encode_url: bool = True
    method: str | None = None
    origin: int | None = None
    params: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    request_id: str | None = None
    response_id: str | None = None
    source_id: str | None = None
    target_id: str | None = None
    url: str | None = None
    wait: WaitFor | None = None


@dataclass(frozen=True, slots=True)
class Assert:
    """A claim about what was sent or received (TestScript.setup.action.assert).

    kind: the element that says what is looked at, such as `responseCode`; `compare` where there is
        only a comparison.
    subject: the value of that element.
    group: the assertions of a test with this name are alternatives.
    stops: whether a failure ends the test.
    """

    kind: str
    subject: str = ""
    label: str | None = None
    description: str | None = None
    of_request: bool = False
    compare_id: str | None = None
    compare_expression: str | None = None
    compare_path: str | None = None
    operator: str | None = None
    source_id: str | None = None
    value: str | None = None
    warning_only: bool = False
    group: str | None = None
    when: WhenStatus | None = None
    stops: bool = True


Action = Operation | Assert


@dataclass(frozen=True, slots=True)
class Parameters:
    """A test is carried out once for each value of a variable."""

    variable: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Test:
    """TestScript.test.

    versions: those of FHIR that it is for, all when empty.
    capability: FHIRPath over the CapabilityStatement without which the test is skipped.
    """

    name: str
    description: str | None
    actions: tuple[Action, ...]
    versions: tuple[str, ...] = ()
    capability: str | None = None
    parameters: Parameters | None = None


@dataclass(frozen=True, slots=True)
class Fixture:
    """TestScript.fixture: its resource is inline, or a reference, or an example of a type."""

    id: str
    autocreate: bool = False
    autodelete: bool = False
    inline: Any = None
    reference: str | None = None
    example_of: str | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """TestScript.variable: evaluated whenever it is used."""

    name: str
    default: str | None = None
    expression: str | None = None
    header: str | None = None
    path: str | None = None
    source_id: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A TestScript that was read without objection.

    path: its file. root: the folder above which no fixture is looked for; None for a script that
        may read no files.
    stored: resources that its server holds, by references such as `Patient/p`.
    reference: its URL, or `TestScript/[id]`, if it has one.
    """

    path: Path
    root: Path | None
    name: str
    title: str
    reference: str
    setup: tuple[Action, ...] = ()
    tests: tuple[Test, ...] = ()
    teardown: tuple[Operation, ...] = ()
    fixtures: tuple[Fixture, ...] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, Variable] = field(default_factory=dict)
    destinations: frozenset[int] = frozenset()
    contained: Mapping[str, Any] = field(default_factory=dict)
    stored: Mapping[str, Any] = field(default_factory=dict)
    versions: tuple[str, ...] = ()
    capability: str | None = None

    @property
    def label(self) -> str:
        """How messages and reports call it: its path below the folder that was asked for."""
        return label(self.path, self.root)


def label(path: Path, root: Path | None) -> str:
    """The path of a script below the folder that was asked for."""
    if root is None:
        return path.as_posix()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
