"""What each role may do, as the tables of `profiles/security/policy.json` say."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any

import msgspec

from fhir_server.packaged import folder
from fhir_server.security.access import ANY, LETTERS, Access, Grant
from fhir_server.security.principal import ROLES, Principal
from fhir_server.security.scopes import scope_grants
from fhir_server.spec import Definitions

# Whose roles come from being a patient, and not from working here.
PATIENT_ROLE = "patient"


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table of a role.

    types: of resources, names of groups of them, or `*`. letters: of SMART's `cruds`.
    where: a search query that the resources match. own: they belong to the compartment of who asks,
    if that is of this type. hidden: elements that the role does not see.
    """

    types: tuple[str, ...]
    letters: Annotated[str, msgspec.Meta(min_length=1)]
    where: str = ""
    own: str = ""
    hidden: tuple[str, ...] = ()


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a role may do: with resources, and which operations it may call (`*` for all)."""

    role: str
    rules: tuple[Rule, ...]
    operations: tuple[str, ...] = ()


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole policy.

    groups: types of resources by a name for them. shared: types that belong to no patient, which
    applications of a patient read. operations: groups of operations by a name for them.
    """

    groups: dict[str, tuple[str, ...]]
    shared: tuple[str, ...]
    operations: dict[str, tuple[str, ...]]
    roles: tuple[Role, ...]


class PolicyError(ValueError):
    """Tables that cannot be meant: says where and why."""


class Policy:
    """Turns principals into what they may do.

    Raises `PolicyError` for tables that name what there is not.
    """

    def __init__(self, tables: Tables, definitions: Definitions) -> None:
        self.tables = tables
        self._definitions = definitions
        self._roles = {each.role: each for each in tables.roles}
        self._access = lru_cache(maxsize=4096)(self._made)
        if wrong := list(self._problems()):
            raise PolicyError("; ".join(wrong))

    @classmethod
    def read(cls, path: Path | None, definitions: Definitions) -> "Policy":
        """The policy of a file, or the one that comes with the server."""
        found = path or folder("profiles") / "security" / "policy.json"
        try:
            return cls(msgspec.json.decode(found.read_bytes(), type=Tables), definitions)
        except (msgspec.MsgspecError, OSError, PolicyError) as error:
            raise PolicyError(f"{found}: {error}") from None

    def access(self, principal: Principal) -> Access:
        """What a principal may do; the same object for the same rights."""
        return self._access(
            principal.roles, principal.scopes, principal.fhir_user, principal.patient
        )

    @cached_property
    def own(self) -> frozenset[str]:
        """The types that belong to patients."""
        return frozenset(self._definitions.compartments["Patient"].parameters)

    def _made(
        self, roles: frozenset[str], scopes: frozenset[str] | None, fhir_user: str, patient: str
    ) -> Access:
        held = [self._roles[name] for name in sorted(roles) if name in self._roles]
        if fhir_user.startswith("Patient/"):
            held.append(self._roles[PATIENT_ROLE])
        grants = tuple(grant for role in held for grant in self._grants(role, fhir_user))
        layers: tuple[tuple[Grant, ...], ...] = (grants,)
        if scopes is not None:
            shared = frozenset(self.tables.shared)
            layers = (grants, tuple(scope_grants(scopes, patient, shared, self.own)))
        elif any(each.whole and ANY in each.types and len(each.letters) == 5 for each in grants):
            layers = ()
        return Access(layers, self._operations(held))

    def _grants(self, role: Role, fhir_user: str) -> Iterator[Grant]:
        for rule in role.rules:
            compartment: tuple[str, str] | None = None
            if rule.own:
                owner, _, id_ = fhir_user.partition("/")
                if owner != rule.own:
                    continue
                compartment = (owner, id_)
            yield Grant(
                self._types(rule.types),
                frozenset(rule.letters),
                rule.where,
                compartment,
                frozenset(rule.hidden),
            )

    def _types(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(type_ for name in names for type_ in self.tables.groups.get(name, (name,)))

    def _operations(self, held: Iterable[Role]) -> frozenset[str] | None:
        names = frozenset(
            operation
            for role in held
            for name in role.operations
            for operation in self.tables.operations.get(name, (name,))
        )
        return None if ANY in names else names

    def _problems(self) -> Iterator[str]:
        known = self._definitions.resource_types | {ANY}
        for name, types in (*self.tables.groups.items(), ("shared", self.tables.shared)):
            yield from (f"group {name}: {each} is no type" for each in set(types) - known)
        for role in self.tables.roles:
            if role.role not in ROLES | {PATIENT_ROLE}:
                yield f"{role.role} is no role"
            for rule in role.rules:
                yield from (f"{role.role}: {each}" for each in self._wrong(rule, known))

    def _wrong(self, rule: Rule, known: frozenset[str]) -> Iterator[str]:
        types = self._types(rule.types)
        yield from (f"{each} is no type of resource" for each in types - known)
        if set(rule.letters) - set(LETTERS):
            yield f"{rule.letters!r}: expected letters of {LETTERS}"
        if rule.own and rule.own not in self._definitions.compartments:
            yield f"{rule.own} has no compartment"
        for path in rule.hidden:
            type_, _, element = path.partition(".")
            name = element.partition(":")[0].removesuffix("[x]")
            if type_ not in types or name not in self._elements(type_):
                yield f"{path} is no element of a type of the rule"

    def _elements(self, type_: str) -> Mapping[str, Any]:
        found = self._definitions.types.get(type_)
        return found.elements if found else {}
