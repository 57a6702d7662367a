"""Passwords: what they have to be, and how they are kept (NIST SP 800-63B 3.1.1, RFC 9106)."""

import re
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LEAST, LONG, MOST = 12, 20, 256
_KINDS = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"), re.compile("[^a-zA-Z0-9]"))
# Beginnings of what is tried first.
_COMMON = ("password", "passwort", "qwerty", "qwertz", "123456", "letmein", "welcome", "admin")

_HASHER = PasswordHasher()


class WeakPassword(ValueError):
    """A password that somebody would guess; says what is missing."""


def check_password(password: str, name: str) -> None:
    """Raises `WeakPassword` for one that its owner's name, few characters or habit give away."""
    if not LEAST <= len(password) <= MOST:
        raise WeakPassword(f"expected {LEAST} to {MOST} characters")
    if "\0" in password:
        raise WeakPassword("expected characters that can be typed")
    small = password.lower()
    if name.lower() in small:
        raise WeakPassword("it contains the name of its owner")
    if small.startswith(_COMMON):
        raise WeakPassword("it begins with what is tried first")
    if len(set(password)) < LEAST // 2:
        raise WeakPassword("it repeats few characters")
    if len(password) < LONG and sum(bool(kind.search(password)) for kind in _KINDS) < 3:
        raise WeakPassword(
            f"expected three of small letters, capitals, digits and others, or {LONG} characters"
        )


def hash_password(password: str) -> str:
    """What is stored of a password."""
    return _HASHER.hash(_typed(password))


def is_password(stored: str | None, password: str) -> bool:
    """Whether it is the one that was stored; takes as long where nothing was."""
    try:
        return _HASHER.verify(stored or _of_nobody(), _typed(password)) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    """Whether it was hashed at less cost than today."""
    return _HASHER.check_needs_rehash(stored)


def _typed(password: str) -> str:
    # Keyboards differ in how they compose letters.
    return unicodedata.normalize("NFKC", password)


@cache
def _of_nobody() -> str:
    return _HASHER.hash("nobody's")
