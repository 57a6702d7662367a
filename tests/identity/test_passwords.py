"""What passwords have to be, and how they are kept."""

import pytest

from fhir_server.identity.passwords import (
    WeakPassword,
    check_password,
    hash_password,
    is_password,
)


@pytest.mark.parametrize(
    "password",
    ["correct-Horse-7", "four ordinary words together", "Ünïcödé-ist-ok-9", "aB3" + "xyz!" * 60],
)
def test_good_passwords_are_taken(password: str) -> None:
    check_password(password, "anna")


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("", "12"),
        ("Short-1", "12"),
        ("aB3" + "xyz!" * 70, "256"),
        ("alllowercases", "three of"),
        ("lowercase1234", "three of"),
        ("Anna-likes-cats-1", "name"),
        ("Password-1234", "first"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaB1", "few"),
        ("correct-Horse-7\0", "typed"),
    ],
)
def test_weak_passwords_are_refused(password: str, told: str) -> None:
    with pytest.raises(WeakPassword, match=told):
        check_password(password, "anna")


def test_passwords_are_kept_as_argon2id() -> None:
    stored = hash_password("correct-Horse-7")
    assert stored.startswith("$argon2id$")
    assert stored != hash_password("correct-Horse-7")
    assert is_password(stored, "correct-Horse-7")
    assert not is_password(stored, "correct-horse-7")
    assert not is_password(None, "correct-Horse-7")
    assert not is_password(None, "nobody's")
    assert not is_password("no hash", "correct-Horse-7")


def test_keyboards_may_compose_letters_as_they_like() -> None:
    assert is_password(hash_password("Pässwörter-sind-9"), "Pässwörter-sind-9")
