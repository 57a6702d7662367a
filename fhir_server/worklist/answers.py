"""Entries of a worklist as the answers to a query: those that match, with what was asked for."""

import logging
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence

from fhir_server.worklist.entries import Values
from fhir_server.worklist.mapping import Attribute, worklist_mapping
from fhir_server.worklist.matching import bounds, is_universal, matches
from fhir_server.worklist.reading import Wanted
from fhir_server.worklist.settings import UTF8

log = logging.getLogger(__name__)

_CHARACTER_SET = 0x00080005
_STEP = 0x00400100
_MODALITY, _START = 0x00080060, 0x00400002
_ACCESSION = 0x00080050
# pydicom reads ASCII as Latin-1, which it must not be written as.
_ENCODINGS: Mapping[str, str] = {"ISO_IR 6": "ascii", "": "ascii"}
# Not of the entry: how the query itself is written and understood.
_CONTROLS = frozenset({_CHARACTER_SET, 0x00080201})


@dataclass(frozen=True, slots=True)
class Key:
    """One attribute of a query: what it asks for, and for a sequence the attributes of its item."""

    tag: int
    vr: str
    text: str
    item: "Sequence[Key] | None"
    attribute: Attribute | None


def read_keys(query: Dataset) -> list[Key]:
    """The attributes of a query. Raises ValueError for dates and times that are none."""
    return list(_keys(query, worklist_mapping().attributes))


def _keys(query: Dataset, attributes: Sequence[Attribute]) -> Iterator[Key]:
    known = {each.tag: each for each in attributes}
    for element in query:
        tag = int(element.tag)
        if tag in _CONTROLS or element.tag.element == 0 or element.tag.is_private:
            continue
        attribute = known.get(tag)
        if element.VR == "SQ":
            item = element.value[0] if element.value else Dataset()
            yield Key(tag, "SQ", "", list(_keys(item, attribute.items if attribute else ())),
                      attribute)  # fmt: skip
        else:
            text = _text(element)
            if element.VR in ("DA", "TM") and not is_universal(text):
                bounds(element.VR, text)
            yield Key(tag, element.VR, text, None, attribute)


def _text(element: DataElement) -> str:
    if element.value is None:
        return ""
    if isinstance(element.value, MultiValue | list):
        return "\\".join(map(str, element.value))
    return str(element.value)


def wanted(keys: Sequence[Key]) -> Wanted:
    """What of a query the database can select by."""
    step = next((key.item for key in keys if key.tag == _STEP and key.item), ())
    accession = _single(next((key.text for key in keys if key.tag == _ACCESSION), ""))
    modality = _single(next((key.text for key in step if key.tag == _MODALITY), ""))
    days = next((key.text for key in step if key.tag == _START), "")
    since, until = ("", "") if is_universal(days) else bounds("DA", days)
    modalities = worklist_mapping().ordered_as(modality) if modality else None
    return Wanted(modalities, since, until, accession)


def _single(text: str) -> str:
    return "" if is_universal(text) or set("*?\\") & set(text) else text.strip()


def answer(keys: Sequence[Key], entry: Values) -> Dataset | None:
    """What is answered of an entry, None if it is not what is asked for (PS3.4 K.2.2.1)."""
    chosen: dict[int, str] = {}
    return _answer(keys, entry) if _is_wanted(keys, entry, chosen) else None


def _is_wanted(keys: Sequence[Key], entry: Values, chosen: dict[int, str]) -> bool:
    for key in keys:
        values = entry.get(key.tag, ())
        if key.item is not None:
            items = values if isinstance(values, list) and values else [{}]
            if not any(_is_wanted(key.item, item, chosen) for item in items):
                return False
        elif not is_universal(key.text) and not _is_met(key, _texts(values)):
            return False
    return True


def _is_met(key: Key, texts: Sequence[str]) -> bool:
    if key.attribute is None:
        # What the worklist does not tell of, it cannot select by (K.2.2.1.2: unsupported keys).
        return True
    if not texts and key.attribute.open:
        return True
    return any(matches(key.vr, key.text, text) for text in texts)


def _texts(values: "tuple[str, ...] | list[Values]") -> tuple[str, ...]:
    return values if isinstance(values, tuple) else ()


def _answer(keys: Sequence[Key], entry: Values) -> Dataset:
    found = Dataset()
    for key in keys:
        values = entry.get(key.tag, ())
        if key.item is None:
            _put(found, key.tag, key.vr, _given(key, _texts(values)))
            continue
        items = values if isinstance(values, list) else []
        datasets = [_answer(key.item, item) if key.item else _whole(item) for item in items]
        _put(found, key.tag, "SQ", DicomSequence(datasets))
    return found


def _given(key: Key, texts: Sequence[str]) -> str:
    """The value that is asked for, if there are several that are right or it may be any."""
    if not is_universal(key.text) and key.attribute is not None and key.attribute.any:
        asked = key.text.strip()
        if not texts:
            return "" if set("*?") & set(asked) else asked
        return next((text for text in texts if matches(key.vr, key.text, text)), texts[0])
    return texts[0] if texts else ""


def _whole(entry: Values) -> Dataset:
    """All that is known of an item: what an empty item, or none, asks for."""
    found = Dataset()
    for tag, values in entry.items():
        if values and isinstance(values, list):
            _put(found, tag, "SQ", DicomSequence([_whole(each) for each in values]))
        elif values:
            _put(found, tag, dictionary_VR(tag), values[0])
    return found


def whole(entry: Values) -> Dataset:
    """All of an entry, in UTF-8."""
    found = _whole(entry)
    _put(found, _CHARACTER_SET, "CS", UTF8)
    return found


def _put(found: Dataset, tag: int, vr: str, value: object) -> None:
    found[tag] = DataElement(tag, vr, value, already_converted=vr not in ("PN", "SQ"))


def in_character_set(found: Dataset, name: str) -> Dataset:
    """An answer in a character set; what that lacks is written by the letters that are nearest.

    Letters that have none become question marks, and the log says that it came to that.
    """
    if name != UTF8 and _transliterate(found, _ENCODINGS.get(name) or python_encoding[name]):
        log.warning("a worklist entry was transliterated: %s lacks some of its letters", name)
    _put(found, _CHARACTER_SET, "CS", name)
    return found


def _transliterate(found: Dataset, encoding: str) -> bool:
    changed = False
    for element in found:
        if element.VR == "SQ":
            for item in element.value:
                changed |= _transliterate(item, encoding)
        elif element.value:
            text = str(element.value)
            if not _fits(text, encoding):
                _put(found, int(element.tag), element.VR, _nearest(text, encoding))
                changed = True
    return changed


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _nearest(text: str, encoding: str) -> str:
    kept = [
        each if _fits(each, encoding) else _plain(each)
        for each in unicodedata.normalize("NFC", text)
    ]
    return "".join(kept).encode(encoding, "replace").decode(encoding)


_NEAREST: Mapping[str, str] = {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O",
    "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "\u0131": "i", "þ": "th", "Þ": "Th",
    "\u2019": "'", "\u2013": "-",
}  # fmt: skip


def _plain(letter: str) -> str:
    if letter in _NEAREST:
        return _NEAREST[letter]
    parts = unicodedata.normalize("NFKD", letter)
    return "".join(each for each in parts if not unicodedata.combining(each))
