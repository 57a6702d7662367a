"""Whether an attribute is what a query asks for (PS3.4 C.2.2.2)."""

import functools
import re
import unicodedata

_WILD = re.compile(r"[*?]")
_RANGES = frozenset({"DA", "TM"})
_EXACT = frozenset({"UI", "IS", "DS", "US", "UL", "SS", "SL", "FL", "FD"})
# So many characters TM has when it is exact to a second.
_FULL_TIME = 6


def is_universal(value: str) -> bool:
    """Whether a key asks for nothing in particular."""
    return value.strip() in ("", "*")


def matches(vr: str, key: str, value: str) -> bool:
    """Whether a value is what a key asks for. Raises ValueError for a key that is malformed."""
    key = key.strip()
    if is_universal(key):
        return True
    if vr in _RANGES:
        return bool(value) and _in_range(vr, key, value)
    if vr == "UI":
        return value in key.split("\\")
    if vr in _EXACT:
        return value == key
    if vr == "PN":
        # Every group of a name may be what the key means (C.2.2.2.1).
        return any(_pattern(_folded(key)).fullmatch(_folded(group)) for group in value.split("="))
    return _pattern(key).fullmatch(value) is not None


def bounds(vr: str, key: str) -> tuple[str, str]:
    """Both ends of a range, empty where it has none; twice the same for a single value.

    Raises ValueError for what is no date or time.
    """
    first, dash, last = key.strip().partition("-")
    found = (_moment(vr, first), _moment(vr, last if dash else first))
    if not any(found):
        raise ValueError(f"{key!r} is no range of {vr}")
    return found


def _in_range(vr: str, key: str, value: str) -> bool:
    first, last = bounds(vr, key)
    if vr == "DA":
        return (not first or first <= value) and (not last or value <= last)
    # An end that is exact to a minute means all of the minute.
    return (not first or first.ljust(_FULL_TIME, "0") <= value) and (
        not last or value <= last.ljust(_FULL_TIME, "9")
    )


def _moment(vr: str, text: str) -> str:
    found = text.strip().replace(":", "").partition(".")[0]
    lengths = (0, 8) if vr == "DA" else (0, 2, 4, 6)
    if len(found) not in lengths or not (found.isdecimal() or not found) or not found.isascii():
        raise ValueError(f"{text!r} is no {vr}")
    return found


@functools.lru_cache(maxsize=256)
def _pattern(key: str) -> re.Pattern[str]:
    parts = _WILD.split(key)
    wild = ["." if each == "?" else ".*" for each in _WILD.findall(key)] + [""]
    text = "".join(re.escape(part) + sign for part, sign in zip(parts, wild, strict=True))
    return re.compile(re.sub(r"(?:\.\*)+", ".*", text), re.DOTALL)


def _folded(name: str) -> str:
    """A name regardless of case and accents, without the empty components at its end."""
    plain = unicodedata.normalize("NFKD", name)
    letters = "".join(each for each in plain if not unicodedata.combining(each))
    return letters.casefold().strip().rstrip("^ ")
