"""From bytes to text by MSH-18, and by what is there where that is silent or wrong."""

import codecs
import re
from dataclasses import dataclass

from fhir_server.hl7v2.delimiters import Delimiters

# HL7 table 0211, with other ways in which systems write its codes.
CODECS = {
    "ASCII": "ascii",
    "8859/1": "iso8859-1", "8859/2": "iso8859-2", "8859/3": "iso8859-3", "8859/4": "iso8859-4",
    "8859/5": "iso8859-5", "8859/6": "iso8859-6", "8859/7": "iso8859-7", "8859/8": "iso8859-8",
    "8859/9": "iso8859-9", "8859/15": "iso8859-15",
    "ISO IR6": "ascii", "ISO IR14": "shift_jis", "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030", "KS X 1001": "euc_kr", "CNS 11643-1992": "big5", "BIG-5": "big5",
    "UNICODE": "utf-8", "UNICODE UTF-8": "utf-8", "UNICODE UTF-16": "utf-16",
    "UNICODE UTF-32": "utf-32",
    "UTF-8": "utf-8", "UTF8": "utf-8", "UTF-16": "utf-16", "UTF-32": "utf-32",
    "ISO-8859-1": "iso8859-1", "ISO8859-1": "iso8859-1", "ISO-8859-15": "iso8859-15",
    "WINDOWS-1252": "cp1252", "CP1252": "cp1252",
}  # fmt: skip

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Without a byte order mark, the zeros around the first letters tell.
_WIDE = (
    (re.compile(rb"[A-Z]\0\0\0[A-Z]\0\0\0"), "utf-32-le"),
    (re.compile(rb"\0\0\0[A-Z]\0\0\0[A-Z]"), "utf-32-be"),
    (re.compile(rb"[A-Z]\0[A-Z]\0"), "utf-16-le"),
    (re.compile(rb"\0[A-Z]\0[A-Z]"), "utf-16-be"),
)
_CHARSET_FIELD = 18
_HEADER = re.compile(rb"(?:\A|[\r\n])[ \t]*(MSH[^\r\n]*)")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Bytes as text, and how they became that.

    bom: the byte order mark that was before the text. named: MSH-18 as it stands.
    source: what decided: `bom`, `zeros`, `MSH-18`, `utf-8` or `cp1252` as a guess, or `latin-1`
        where nothing else fits.
    """

    text: str
    codec: str
    source: str
    bom: bytes = b""
    named: str = ""

    @property
    def warning(self) -> str:
        """What a person should know about the character set; empty if it is as MSH-18 says."""
        first = self.named.split("~")[0].strip()
        if not first or self.source in ("MSH-18", "bom", "zeros"):
            return ""
        if first.upper() not in CODECS:
            return f"the character set {first!r} of MSH-18 is not known; read as {self.codec}"
        return f"the message is not in the character set {first!r} of MSH-18; read as {self.codec}"

    def encode(self, text: str, *, replace: bool = False) -> bytes:
        """Text as bytes in the same character set, after the byte order mark that was there.

        replace: put a question mark for what the character set lacks, where else
            UnicodeEncodeError is raised.
        """
        return self.bom + text.encode(self.codec, "replace" if replace else "strict")


def decode(raw: bytes) -> Decoded:
    """Bytes as text; whatever they are, some text comes of it.

    A byte order mark decides, then MSH-18 (its first repetition), then UTF-8 if the bytes are that,
    then cp1252.
    """
    wide = _wide(raw)
    if wide is not None:
        return wide
    named = _named(raw)
    wanted = CODECS.get(named.split("~")[0].strip().upper(), "")
    # Bytes that are no UTF-16, or MSH-18 could not have been found.
    candidates = [(wanted, "MSH-18")] if wanted[:6] not in ("", "utf-16", "utf-32") else []
    candidates += [("utf-8", "utf-8"), ("cp1252", "cp1252")]
    for codec, source in candidates:
        try:
            return Decoded(raw.decode(codec), codec, source, named=named)
        except UnicodeDecodeError:
            continue
    return Decoded(raw.decode("latin-1"), "latin-1", "latin-1", named=named)


def _wide(raw: bytes) -> Decoded | None:
    """What a byte order mark or zeros tell."""
    for bom, codec in _BOMS:
        if raw.startswith(bom):
            try:
                text = raw[len(bom) :].decode(codec)
            except UnicodeDecodeError:
                if codec != "utf-8":
                    continue
                # The mark lies: what follows is decoded without it, and it is kept.
                rest = decode(raw[len(bom) :])
                return Decoded(rest.text, rest.codec, rest.source, bom, rest.named)
            return Decoded(text, codec, "bom", bom, _named_in(text))
    for pattern, codec in _WIDE:
        if pattern.match(raw):
            try:
                text = raw.decode(codec)
            except UnicodeDecodeError:
                continue
            return Decoded(text, codec, "zeros", b"", _named_in(text))
    return None


def _named(raw: bytes) -> str:
    """MSH-18 of bytes whose ASCII characters stand for themselves."""
    header = _HEADER.search(raw)
    return _named_in(header[1].decode("latin-1")) if header else ""


def _named_in(text: str) -> str:
    delimiters = Delimiters.of(text)
    if delimiters is None:
        return ""
    line = text.lstrip(" \t").splitlines()[0]
    fields = line.split(delimiters.field, _CHARSET_FIELD)
    if len(fields) < _CHARSET_FIELD:
        return ""
    return fields[_CHARSET_FIELD - 1].replace(delimiters.repetition or "~", "~")
