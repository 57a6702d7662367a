"""Queries of QIDO-RS: what they select by, and which rows they mean (PS3.18 8.3.4, 10.6.1.2)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from fhir_server.outcome import Invalid, Issue
from fhir_server.worklist.matching import is_universal, matches

Json = dict[str, Any]

LARGEST_PAGE = 1_000
_PAGE = 100
_MOST_FIELDS = 100
_TAG = re.compile("[0-9A-Fa-f]{8}")
_STUDY = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy",
    "ReferringPhysicianName", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyID", "StudyDescription",
)  # fmt: skip
_SERIES = ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "BodyPartExamined")
_INSTANCE = ("SOPInstanceUID", "SOPClassUID", "InstanceNumber")
KEYS = {
    "study": _STUDY,
    "series": (*_STUDY, *_SERIES),
    "instance": (*_STUDY, *_SERIES, *_INSTANCE),
}


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was understood.

    values: by keyword, each asking for something. include: tags that rows are to have.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    limit: int = _PAGE
    offset: int = 0
    fuzzy: bool = False
    include: tuple[str, ...] = ()

    @property
    def in_archive(self) -> str:
        """What the archive is to tell beside what it tells anyway, as a query.

        A field a parameter: an archive that does not decode queries knows no encoded comma.
        """
        return "&".join(f"includefield={tag}" for tag in self.include)

    def page(self, rows: Sequence[Json]) -> list[Json]:
        """The rows that are meant, of one page."""
        return [row for row in rows if self.means(row)][self.offset : self.offset + self.limit]

    def means(self, row: Json) -> bool:
        """Whether a row is what is asked for: archives match more than that."""
        return all(self._is_met(keyword, key, row) for keyword, key in self.values.items())

    def _is_met(self, keyword: str, key: str, row: Json) -> bool:
        tag = tag_for_keyword(keyword)
        assert tag is not None
        element = row.get(f"{tag:08X}")
        # What a row does not tell, the archive was asked for.
        if element is None:
            return True
        vr = dictionary_VR(tag)
        return any(matches(vr, key, text) for text in _texts(element))


def _texts(element: Json) -> list[str]:
    found = []
    for each in element.get("Value", ()) or [""]:
        if isinstance(each, dict):
            found.append(
                "=".join(each.get(g, "") for g in ("Alphabetic", "Ideographic", "Phonetic"))
            )
        else:
            found.append(str(each).strip())
    return found


def understood(level: str, given: Sequence[tuple[str, str]]) -> Query:
    """Read the parameters of a query. Raises `Invalid` for what is not known or malformed."""
    values: dict[str, str] = {}
    numbers = {"limit": _PAGE, "offset": 0}
    fuzzy = False
    include = [f"{tag_for_keyword(keyword):08X}" for keyword in KEYS[level]]
    for name, text in given:
        if name in numbers:
            if not text.isascii() or not text.isdecimal() or len(text) > 9:
                raise _wrong(f"{name}={text[:20]!r}: expected a whole number")
            numbers[name] = int(text)
        elif name == "fuzzymatching":
            fuzzy = text == "true"
        elif name == "includefield":
            include += [_field(each.strip()) for each in text.split(",") if each.strip() != "all"]
        else:
            keyword = _keyword(level, name)
            if keyword in values:
                raise _wrong(f"{name} may be given once")
            if not is_universal(text):
                _check(keyword, text)
                values[keyword] = text.strip()
    fields = tuple(dict.fromkeys(include))
    if len(fields) > _MOST_FIELDS:
        raise _wrong(f"includefield: {_MOST_FIELDS} attributes at most")
    return Query(values, min(numbers["limit"], LARGEST_PAGE), numbers["offset"], fuzzy, fields)


def _field(name: str) -> str:
    """The tag of an attribute that is asked for; of its sequence for one inside it."""
    tags = [
        int(each, 16) if _TAG.fullmatch(each) else tag_for_keyword(each) for each in name.split(".")
    ]
    if not all(tags):
        raise _wrong(f"includefield={name[:50]!r}: expected a keyword or eight hexadecimal digits")
    return f"{tags[0]:08X}"


def _keyword(level: str, name: str) -> str:
    keyword = name
    if _TAG.fullmatch(name):
        keyword = keyword_for_tag(int(name, 16))
    if keyword not in KEYS[level]:
        raise _wrong(f"{name[:50]!r}: expected one of {', '.join(KEYS[level])}")
    return keyword


def _check(keyword: str, text: str) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    vr = dictionary_VR(tag)
    try:
        matches(vr, text, "20000101" if vr == "DA" else "000000")
    except ValueError as error:
        raise _wrong(f"{keyword}: {error}") from None
    if "\\" in text and vr != "UI":
        raise _wrong(f"{keyword}: a value has no backslash")


def _wrong(text: str) -> Invalid:
    return Invalid(Issue("value", text))
