"""Texts of answers as bytes in the character set that a station knows.

Written so at once, and not by pydicom from elements of its own, which takes most of the time that a
long worklist takes.
"""

import unicodedata
from collections.abc import Mapping

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

Elements = dict[BaseTag, DataElement | RawDataElement]

UTF8 = "ISO_IR 192"
# Those without escape sequences.
CODECS: Mapping[str, str] = {
    "ISO_IR 6": "ascii",
    "ISO_IR 100": "iso8859_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 166": "iso8859_11",
    UTF8: "utf8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
_NEAREST: Mapping[str, str] = {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O",
    "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "\u0131": "i", "þ": "th", "Þ": "Th",
    "\u2019": "'", "\u2013": "-",
}  # fmt: skip


class Encoding:
    """A character set of DICOM, and how elements are written.

    implicit, little: as a transfer syntax wants them. nearest: whether a text had letters that the
    character set lacks. Those are written by the letters that are nearest; what has none becomes a
    question mark.
    """

    def __init__(self, name: str, *, implicit: bool = False, little: bool = True) -> None:
        self.name = name
        self._layout = (implicit, little)
        self.nearest = False
        self._codec = CODECS[name]

    def element(self, tag: BaseTag, vr: str, text: str) -> RawDataElement:
        """An element as it is written."""
        value = self._encoded(text)
        if len(value) % 2:
            value += b"\0" if vr == "UI" else b" "
        return RawDataElement(tag, vr, len(value), value, 0, *self._layout)

    def dataset(self, elements: Elements) -> Dataset:
        """Elements as a dataset that is written as it is."""
        found = Dataset(elements)
        # Otherwise pydicom reads every element, to write it anew.
        found.set_original_encoding(*self._layout, found._character_set)
        return found

    def _encoded(self, text: str) -> bytes:
        try:
            return text.encode(self._codec)
        except UnicodeEncodeError:
            self.nearest = True
            return "".join(map(self._letter, unicodedata.normalize("NFC", text))).encode(
                self._codec, "replace"
            )

    def _letter(self, letter: str) -> str:
        try:
            letter.encode(self._codec)
        except UnicodeEncodeError:
            return _NEAREST.get(letter) or _plain(letter)
        return letter


def _plain(letter: str) -> str:
    parts = unicodedata.normalize("NFKD", letter)
    return "".join(each for each in parts if not unicodedata.combining(each))
