"""Values of FHIR as DICOM writes them (PS3.5 6.2)."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]

# Characters, not bytes (PS3.5 table 6.2-1).
LENGTHS = {"AE": 16, "CS": 16, "LO": 64, "SH": 16, "PN": 64, "UI": 64}
_REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GROUPS = {"ABC": 0, "IDE": 1, "SYL": 2}
_LONG_TEXT = frozenset({"LT", "ST", "UT"})


def date(text: str, zone: ZoneInfo) -> str:
    """DA of a date or an instant; empty for one that is not exact to the day."""
    if len(text) < 10:
        return ""
    return _moment(text, zone).strftime("%Y%m%d") if "T" in text else text[:10].replace("-", "")


def time(text: str, zone: ZoneInfo) -> str:
    """TM of an instant, empty for a date."""
    return _moment(text, zone).strftime("%H%M%S") if "T" in text else ""


def _moment(text: str, zone: ZoneInfo) -> datetime:
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found.astimezone(zone) if found.tzinfo else found


def person(names: Sequence[Json]) -> str:
    """PN of names: in letters, in ideographs and as they sound, as far as they are told apart."""
    groups = ["", "", ""]
    for name in names:
        group = next(
            (
                _GROUPS.get(each.get("valueCode", ""), 0)
                for each in name.get("extension", ())
                if each.get("url") == _REPRESENTATION
            ),
            0,
        )
        groups[group] = groups[group] or _components(name)
    return "=".join(groups).rstrip("=")


def _components(name: Json) -> str:
    given = name.get("given", [])
    parts = [
        name.get("family", "") or ("" if given else name.get("text", "")),
        given[0] if given else "",
        " ".join(given[1:]),
        " ".join(name.get("prefix", ())),
        " ".join(name.get("suffix", ())),
    ]
    return "^".join(map(_of_component, parts)).rstrip("^")[: LENGTHS["PN"]]


def _of_component(text: str) -> str:
    return " ".join(text.translate({ord(each): " " for each in "^=\\"}).split())


def text(value: str, vr: str) -> str:
    """A text without what its value representation forbids, cut visibly where it is too long."""
    if vr in _LONG_TEXT:
        return "".join(c for c in value if c in "\n\t" or unicodedata.category(c) != "Cc")
    found = " ".join("".join(" " if c == "\\" or ord(c) < 32 else c for c in value).split())
    most = LENGTHS.get(vr)
    if most is None or len(found) <= most:
        return found
    return found[: most - 3] + "..." if vr == "LO" else ""


def codes(codings: Iterable[Json], designators: Mapping[str, str]) -> list[dict[str, str]]:
    """Items of a code sequence; codings of systems without a designator are left out."""
    found = []
    for each in codings:
        designator = designators.get(each.get("system", ""))
        code = each.get("code", "")
        if designator and code:
            keyword = "CodeValue" if len(code) <= LENGTHS["SH"] else "LongCodeValue"
            meaning = text(each.get("display") or code, "LO")
            found.append(
                {keyword: code, "CodingSchemeDesignator": designator, "CodeMeaning": meaning}
            )
    return found
