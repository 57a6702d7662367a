"""The shipped policy, and what wrong ones are told."""

import msgspec
import pytest

from fhir_server.operations.registry import OPERATIONS
from fhir_server.packaged import folder
from fhir_server.security.access import Access
from fhir_server.security.policy import Policy, PolicyError, Tables
from fhir_server.security.principal import ROLES, Principal
from fhir_server.spec import definitions
from fhir_server.workflow.states import workflow

POLICY = Policy.read(None, definitions())


def access(*roles: str, **more: object) -> Access:
    return POLICY.access(Principal("x", frozenset(roles), **more))  # type: ignore[arg-type]


def test_every_role_has_a_row() -> None:
    assert {each.role for each in POLICY.tables.roles} == ROLES | {"patient"}


def test_the_policy_names_operations_that_there_are() -> None:
    known = {each.name for each in OPERATIONS}
    named = {name for names in POLICY.tables.operations.values() for name in names}
    named |= {n for role in POLICY.tables.roles for n in role.operations} - {"*"}
    assert named - known - set(POLICY.tables.operations) == set()


def test_whoever_may_take_a_step_of_an_order_may_call_its_operation_and_read_the_order() -> None:
    operations = {each.name for each in OPERATIONS}
    for table in workflow().tables.values():
        for step in table.steps:
            name = f"ServiceRequest-{step.name}"
            for role in step.roles if name in operations else ():
                found = access(role)
                assert found.operations is None or name in found.operations, (role, name)
                assert found.may("ServiceRequest", "r"), role


def test_only_the_administrator_and_systems_read_audit_events() -> None:
    for role in ROLES:
        assert access(role).may("AuditEvent", "r") == (role in ("administrator", "system"))


def test_who_has_no_role_may_do_nothing() -> None:
    found = access()
    assert not any(found.may(type_, "r") for type_ in definitions().resource_types)
    assert found.operations == frozenset()


def test_scopes_never_grant_more_than_the_role() -> None:
    found = access("receptionist", scopes=frozenset({"user/*.cruds"}))
    assert found.may("Patient", "c")
    assert not found.may("Observation", "r")


def test_roles_never_grant_more_than_the_scopes() -> None:
    found = access("administrator", scopes=frozenset({"user/Patient.r"}))
    assert not found.unlimited
    assert found.may("Patient", "r")
    assert not found.may("Patient", "s")


def test_a_patient_sees_their_own_compartment() -> None:
    found = access(fhir_user="Patient/7")
    grants = found.granting("Observation", "r")
    assert grants is not None
    assert {each.compartment for layer in grants for each in layer} == {("Patient", "7")}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"types": ["Patience"]}, "Patience is no type"),
        ({"letters": "rw"}, "expected letters of cruds"),
        ({"own": "Medication"}, "Medication has no compartment"),
        ({"hidden": ["Patient.adress"]}, "Patient.adress is no element"),
        ({"hidden": ["Encounter.status"]}, "Encounter.status is no element of a type of the rule"),
    ],
)
def test_a_policy_that_names_what_there_is_not_is_refused(
    change: dict[str, object], expected: str
) -> None:
    rule = {"types": ["Patient"], "letters": "r"} | change
    tables = {
        "groups": {},
        "shared": [],
        "operations": {},
        "roles": [{"role": "nurse", "rules": [rule]}],
    }
    with pytest.raises(PolicyError, match=expected):
        Policy(msgspec.convert(tables, Tables), definitions())


def test_the_policy_file_lies_with_the_profiles() -> None:
    assert (folder("profiles") / "security" / "policy.json").is_file()
