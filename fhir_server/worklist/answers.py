"""Entries of a worklist as the answers to a query: those that match, with what was asked for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag

from fhir_server.worklist.encoding import UTF8, Elements, Encoding
from fhir_server.worklist.entries import Values
from fhir_server.worklist.mapping import Attribute, worklist_mapping
from fhir_server.worklist.matching import bounds, is_universal, matches
from fhir_server.worklist.reading import Wanted

_CHARACTER_SET = BaseTag(0x00080005)
_STEP = 0x00400100
_MODALITY, _START = 0x00080060, 0x00400002
_ACCESSION = 0x00080050
# Not of the entry: how the query itself is written and understood.
_CONTROLS = frozenset({_CHARACTER_SET, 0x00080201})


@dataclass(frozen=True, slots=True)
class Key:
    """One attribute of a query: what it asks for, and for a sequence the attributes of its item.

    asks: whether it asks for anything in particular.
    """

    tag: BaseTag
    vr: str
    text: str
    item: "Sequence[Key] | None"
    attribute: Attribute | None
    asks: bool


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
            keys = list(_keys(item, attribute.items if attribute else ()))
            yield Key(element.tag, "SQ", "", keys, attribute, any(key.asks for key in keys))
        else:
            text = _text(element)
            if element.VR in ("DA", "TM") and not is_universal(text):
                bounds(element.VR, text)
            asks = not is_universal(text)
            yield Key(element.tag, element.VR, text, None, attribute, asks)


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


def answer(keys: Sequence[Key], entry: Values, encoding: Encoding) -> Dataset | None:
    """What is answered of an entry, None if it is not what is asked for (PS3.4 K.2.2.1)."""
    if not _is_wanted(keys, entry):
        return None
    found = _answer(keys, entry, encoding)
    found[_CHARACTER_SET] = encoding.element(_CHARACTER_SET, "CS", encoding.name)
    return encoding.dataset(found)


def whole(entry: Values) -> Dataset:
    """All that is known of an entry, in UTF-8."""
    encoding = Encoding(UTF8)
    found = _whole(entry, encoding)
    found[_CHARACTER_SET] = encoding.element(_CHARACTER_SET, "CS", encoding.name)
    return encoding.dataset(found)


def _is_wanted(keys: Sequence[Key], entry: Values) -> bool:
    for key in keys:
        if not key.asks:
            continue
        values = entry.get(key.tag, ())
        if key.item is not None:
            items = values if isinstance(values, list) and values else [{}]
            if not any(_is_wanted(key.item, item) for item in items):
                return False
        elif not _is_met(key, _texts(values)):
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


def _answer(keys: Sequence[Key], entry: Values, encoding: Encoding) -> Elements:
    found: Elements = {}
    for key in keys:
        values = entry.get(key.tag, ())
        if key.item is None:
            found[key.tag] = encoding.element(key.tag, key.vr, _given(key, _texts(values)))
            continue
        items = values if isinstance(values, list) else []
        found[key.tag] = _sequence(
            encoding,
            key.tag,
            (
                _answer(key.item, item, encoding) if key.item else _whole(item, encoding)
                for item in items
            ),
        )
    return found


def _given(key: Key, texts: Sequence[str]) -> str:
    """The value that is asked for, if there are several that are right or it may be any."""
    if key.asks and key.attribute is not None and key.attribute.any:
        asked = key.text.strip()
        if not texts:
            return "" if set("*?") & set(asked) else asked
        return next((text for text in texts if matches(key.vr, key.text, text)), texts[0])
    return texts[0] if texts else ""


def _whole(entry: Values, encoding: Encoding) -> Elements:
    """All that is known of an item: what an empty item, or none, asks for."""
    found: Elements = {}
    for number, values in entry.items():
        tag = BaseTag(number)
        if values and isinstance(values, list):
            found[tag] = _sequence(encoding, tag, (_whole(each, encoding) for each in values))
        elif values:
            found[tag] = encoding.element(tag, dictionary_VR(number), str(values[0]))
    return found


def _sequence(encoding: Encoding, tag: BaseTag, items: Iterable[Elements]) -> DataElement:
    return DataElement(tag, "SQ", DicomSequence([encoding.dataset(item) for item in items]))
