"""The characters that divide a message (HL7 v2 2.5.4), as its header names them."""

import re
from dataclasses import dataclass
from functools import lru_cache

HEADERS = ("MSH", "FHS", "BHS")

_START = re.compile(r"[ \t]*(?:MSH|FHS|BHS)([^A-Za-z0-9\s])")
_END = re.compile(r"[\r\n]")
# More than there are delimiters: what stands further on names none.
_LONGEST = 8


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The delimiters of one message; an empty one divides nothing.

    truncation: marks a value that was cut off (from 2.7 on); most messages name none.
    """

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def encoding_characters(self) -> str:
        """What stands in MSH-2."""
        return f"{self.component}{self.repetition}{self.escape}{self.subcomponent}{self.truncation}"

    @classmethod
    def of(cls, header: str) -> "Delimiters | None":
        """Those that a header segment names; None if the text does not begin with one.

        What a header leaves out is as usual, unless the character means something else already.
        """
        start = _START.match(header)
        if start is None:
            return None
        line = _END.split(header[start.end() : start.end() + _LONGEST], maxsplit=1)[0]
        return _of(start[1], line.split(start[1], 1)[0][:_LONGEST])

    @property
    def are_signs(self) -> bool:
        """Whether none of them is a letter or digit, so that words are never divided."""
        return not any(map(str.isalnum, self.encoding_characters))


@lru_cache(maxsize=256)
def _of(field: str, named: str) -> Delimiters:
    usual = Delimiters()
    if named == "^~&":
        # The escape character was lost on the way, as a backslash easily is.
        named = "^~"
    found = [field]
    defaults = (usual.component, usual.repetition, usual.escape, usual.subcomponent, "")
    for at, default in enumerate(defaults):
        character = named[at : at + 1] or default
        found.append("" if character in found else character)
    return Delimiters(*found)
