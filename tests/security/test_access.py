"""What layers of grants come to."""

from fhir_server.security.access import ANY, UNLIMITED, Access, Grant


def grant(*types: str, letters: str = "rs", **more: object) -> Grant:
    return Grant(frozenset(types), frozenset(letters), **more)  # type: ignore[arg-type]


def test_without_layers_everything_is_granted_wholly() -> None:
    assert UNLIMITED.unlimited
    assert UNLIMITED.may("Patient", "d")
    assert UNLIMITED.wholly("Patient", "d")


def test_every_layer_has_to_grant_what_is_asked() -> None:
    access = Access(((grant(ANY, letters="cruds"),), (grant("Patient"),)))
    assert access.may("Patient", "r")
    assert not access.may("Patient", "u")
    assert not access.may("Observation", "r")


def test_one_grant_of_a_layer_is_enough() -> None:
    access = Access(((grant("Patient"), grant("Observation", letters="c")),))
    assert access.may("Observation", "c")
    assert not access.may("Observation", "r")


def test_a_layer_without_grants_denies_everything() -> None:
    assert not Access(((),)).may("Patient", "r")
    assert not Access(((),)).unlimited


def test_a_grant_with_a_condition_is_not_whole() -> None:
    parts = (
        grant("Patient", where="active=true"),
        grant("Patient", compartment=("Patient", "1")),
        grant("Patient", hidden=frozenset({"Patient.address"})),
    )
    for part in parts:
        access = Access(((part,),))
        assert access.may("Patient", "r")
        assert not access.wholly("Patient", "r")
    assert Access(((*parts, grant("Patient")),)).wholly("Patient", "r")


def test_operations_alone_are_a_limit_too() -> None:
    assert not Access((), frozenset()).unlimited
