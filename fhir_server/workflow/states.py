"""The states of orders and the steps between them, one table a type of order, as data.

`profiles/workflow/` holds them: `states.json`, `roles.json`, and a file for each type.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from fhir_server.packaged import folder
from fhir_server.spec import definitions

_REQUEST_STATUS = "http://hl7.org/fhir/ValueSet/request-status"
_TASK_STATUS = "http://hl7.org/fhir/ValueSet/task-status"
_Read = TypeVar("_Read")


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Data in which a misspelt name is an error."""


class State(_Strict, frozen=True):
    """What an order can be.

    open: the order is not over.
    request, task: what ServiceRequest.status and Task.status are meanwhile.
    """

    code: str
    display: str
    definition: str
    open: bool
    request: str
    task: str


class Step(_Strict, frozen=True):
    """What can be done with an order.

    origins: the states in which it may be done.
    to: the state that follows; empty where the state stays, or comes back by `returns`.
    returns: the step before which the order was in the state that it now has again.
    roles: who may do it.
    inputs: what is needed, and how many characters of it at least, if it is text.
    lengths: how many characters of what may be given beside these.
    forward: it is one of the steps from the first state to the last.
    skippable: a system may leave it out, going on with a later one.
    evidence: inputs of the later one that must then tell of it.
    """

    name: str
    origins: tuple[str, ...] = msgspec.field(name="from")
    roles: tuple[str, ...]
    to: str = ""
    returns: str = ""
    inputs: dict[str, int] = {}
    lengths: dict[str, int] = {}
    forward: bool = False
    skippable: bool = False
    evidence: tuple[str, ...] = ()


class Table(_Strict, frozen=True):
    """The steps of one type of order.

    initial: the state of a new order; unverified: where orders are verified first.
    """

    type: str
    initial: str
    unverified: str
    steps: tuple[Step, ...]

    def step(self, name: str) -> Step | None:
        """The step of a name, if orders of this type have it."""
        return next((step for step in self.steps if step.name == name), None)

    def undoes(self, name: str) -> bool:
        """Whether a step leads back to where another one began, or is such another one."""
        return any(step.returns and name in (step.name, step.returns) for step in self.steps)

    def skipped(self, state: str, step: Step) -> Sequence[Step]:
        """The steps forward that lead from a state to one where `step` may be done.

        Empty where it may be done at once, or where no steps lead there.
        """
        found: list[Step] = []
        while state not in step.origins:
            forward = next((s for s in self.steps if s.forward and state in s.origins), None)
            if forward is None or not forward.skippable or forward.name == step.name:
                return ()
            found.append(forward)
            state = forward.to
        return found


class Role(_Strict, frozen=True):
    """Somebody's part in the house."""

    code: str
    display: str


class RoleCode(_Strict, frozen=True):
    """A code by which a PractitionerRole names a role."""

    system: str
    code: str
    role: str


class Roles(_Strict, frozen=True):
    """All roles, the codes that mean them, and what actors of other types act as."""

    roles: tuple[Role, ...]
    codes: tuple[RoleCode, ...]
    actors: dict[str, str]


class _States(_Strict, frozen=True):
    states: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Workflow:
    """Everything that `profiles/workflow/` says."""

    states: Mapping[str, State]
    tables: Mapping[str, Table]
    roles: Roles

    @property
    def steps(self) -> frozenset[str]:
        """The names of all steps of all tables."""
        return frozenset(step.name for table in self.tables.values() for step in table.steps)


@functools.cache
def workflow() -> Workflow:
    """The workflow that comes with the server, read once a process."""
    return load_workflow(folder("profiles") / "workflow")


def load_workflow(directory: Path) -> Workflow:
    """Read the workflow in a folder. Raises ValueError, naming the file, for what is wrong."""
    states = {each.code: each for each in _read(directory / "states.json", _States).states}
    roles = _read(directory / "roles.json", Roles)
    _refuse(directory / "states.json", _wrong_states(states.values()))
    _refuse(directory / "roles.json", _wrong_roles(roles))
    tables = {}
    for path in sorted(directory.glob("*.json")):
        if path.stem in ("states", "roles"):
            continue
        table = _read(path, Table)
        _refuse(path, _wrong_table(table, path.stem, states, roles))
        tables[table.type] = table
    return Workflow(states, tables, roles)


def _read(path: Path, type_: type[_Read]) -> _Read:
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path}: {error}") from None


def _refuse(path: Path, problems: Iterator[str]) -> None:
    if found := list(problems):
        raise ValueError(f"{path}: {'; '.join(found)}")


def _wrong_states(states: Iterable[State]) -> Iterator[str]:
    for state in states:
        for status, value_set in ((state.request, _REQUEST_STATUS), (state.task, _TASK_STATUS)):
            known = definitions().codes(value_set)
            if known is not None and status not in known:
                yield f"{state.code}: {status!r} is no code of {value_set}"


def _wrong_roles(roles: Roles) -> Iterator[str]:
    known = {role.code for role in roles.roles}
    for name in (*(code.role for code in roles.codes), *roles.actors.values()):
        if name not in known:
            yield f"{name!r} is no role"


def _wrong_table(
    table: Table, name: str, states: Mapping[str, State], roles: Roles
) -> Iterator[str]:
    if table.type != name:
        yield f"the type is {table.type!r}; expected {name!r}"
    steps = [step.name for step in table.steps]
    yield from (f"the step {each} comes twice" for each in set(steps) if steps.count(each) > 1)
    known = {role.code for role in roles.roles}
    for step in table.steps:
        named = {*step.origins, step.to or table.initial, table.initial, table.unverified}
        yield from (f"{step.name}: {each!r} is no state" for each in named - states.keys())
        yield from (f"{step.name}: {each!r} is no role" for each in set(step.roles) - known)
        if step.returns and step.returns not in steps:
            yield f"{step.name}: {step.returns!r} is no step"
    yield from _wrong_way(table)


def _wrong_way(table: Table) -> Iterator[str]:
    """From the first state one step leads forward, from where it leads the next, to an end."""
    forward = [step for step in table.steps if step.forward]
    state = table.initial
    for step in forward:
        if step.origins != (state,) or not step.to:
            yield f"{step.name} leads forward from {', '.join(step.origins)}; expected {state}"
        state = step.to
