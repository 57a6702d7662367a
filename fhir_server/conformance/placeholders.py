"""Placeholders that the engine fills by itself, the same way wherever one stands in a script."""

import random
import re
import string
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

_RANDOM = re.compile(r"(CD|C|D)([1-9]\d{0,2})\Z")
_ALPHABETS = {"C": string.ascii_lowercase, "D": string.digits}

_NAMED: dict[str, Callable[[datetime], str]] = {
    "UUID": lambda _: str(uuid.uuid4()),
    "CURRENTDATE": lambda now: now.strftime("%Y-%m-%d"),
    "CURRENTDATETIME": lambda now: now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "CURRENTTIME": lambda now: now.strftime("%H:%M:%S"),
}


class Placeholders:
    """The placeholders of one run of a script.

    `C6` is six letters, `D4` four digits of which the first is no zero, `CD13` letters and digits
    in turn; `UUID`, `CURRENTDATE`, `CURRENTDATETIME` and `CURRENTTIME` (in UTC) say what they are.
    """

    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        self._made: dict[str, str] = {}

    def value(self, name: str) -> str | None:
        """What a placeholder stands for; None if there is none of that name."""
        if name not in self._made:
            made = self._new(name)
            if made is None:
                return None
            self._made[name] = made
        return self._made[name]

    def _new(self, name: str) -> str | None:
        if name in _NAMED:
            return _NAMED[name](self._now)
        wanted = _RANDOM.match(name)
        if wanted is None:
            return None
        kinds, length = wanted[1], int(wanted[2])
        letters = [random.choice(_ALPHABETS[kinds[n % len(kinds)]]) for n in range(length)]
        if letters[0] == "0":
            letters[0] = random.choice("123456789")
        return "".join(letters)
