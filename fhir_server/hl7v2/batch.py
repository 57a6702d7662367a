"""What one frame or file holds: a message, several, or a batch of them (HL7 v2 2.10.3)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from fhir_server.hl7v2.charsets import Decoded, decode
from fhir_server.hl7v2.message import Message, NoHeader, read
from fhir_server.hl7v2.segment import Segment

_PART = re.compile(r"(?:\A|(?<=[\r\n]))[ \t]*(MSH|FHS|BHS|BTS|FTS)(?![A-Za-z0-9])")
_PART_BYTES = re.compile(_PART.pattern.encode("ascii"))
_AROUND = (b"FHS", b"BHS", b"BTS", b"FTS")
_COUNT = {"BTS": "messages of the batch", "FTS": "batches of the file"}


@dataclass(slots=True)
class Payload:
    """The messages of a frame or file, in order.

    file, batches: the header segments FHS and BHS, if there are any.
    warnings: what is not as it should be around the messages; each message has its own beside.
    """

    raw: bytes
    messages: list[Message] = field(default_factory=list)
    file: Message | None = None
    batches: list[Message] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def is_batch(self) -> bool:
        """Whether it has a header of a batch or of a file."""
        return self.file is not None or bool(self.batches)


def read_payload(raw: bytes) -> Payload:
    """The messages in bytes. Raises NoHeader if they begin with none and no batch.

    A count in BTS or FTS that is wrong is a warning.
    """
    made = Payload(raw)
    inside = total = 0
    for name, piece in _pieces(raw):
        if name == "MSH":
            made.messages.append(read(*piece))
            inside += 1
        elif name == "FHS":
            made.file = read(*piece)
        elif name == "BHS":
            made.batches.append(read(*piece))
            inside, total = 0, total + 1
        else:
            _check_count(made, name, piece[0].text, inside if name == "BTS" else total)
    if not made.messages and not made.is_batch:
        raise NoHeader("expected MSH, FHS or BHS")
    if made.is_batch and not made.messages:
        made.warnings.append("the batch holds no message")
    return made


def _check_count(made: Payload, name: str, text: str, counted: int) -> None:
    headers = made.batches or ([made.file] if made.file else made.messages)
    if not headers:
        made.warnings.append(f"{name} comes before any header")
        return
    said = Segment(text.strip(), headers[-1].delimiters).value(1)
    if said and said != str(counted):
        made.warnings.append(f"{name}-1 says {said} {_COUNT[name]}, there are {counted}")


def _pieces(raw: bytes) -> Iterator[tuple[str, tuple[Decoded, bytes]]]:
    """Each message, header and trailer, by the name of its first segment.

    Messages of one batch may have character sets of their own.
    """
    whole = decode(raw)
    if whole.codec.startswith(("utf-16", "utf-32")):
        yield from _wide_pieces(whole)
        return
    data = raw[len(whole.bom) :]
    if _is_one_message(data):
        yield "MSH", (whole, raw)
        return
    starts = [(found[1].decode("ascii"), found.start()) for found in _PART_BYTES.finditer(data)]
    if not starts:
        raise NoHeader(f"expected MSH, FHS or BHS, found {whole.text.strip()[:20]!r}")
    # What stands before the first header is kept with it.
    ends = [start for _, start in starts[1:]] + [len(data)]
    begins = [0] + [start for _, start in starts[1:]]
    for (name, start), begin, end in zip(starts, begins, ends, strict=True):
        piece = data[begin:end] if begin or not whole.bom else whole.bom + data[:end]
        if data[begin:start].strip():
            raise NoHeader(f"expected MSH, FHS or BHS, found {data[begin:start].strip()[:20]!r}")
        yield name, (decode(piece), piece)


def _is_one_message(data: bytes) -> bool:
    """Whether nothing in it can be the start of another message or of a batch."""
    begins = data.lstrip(b" \t\r\n").startswith(b"MSH")
    return begins and data.count(b"MSH") == 1 and not any(name in data for name in _AROUND)


def _wide_pieces(whole: Decoded) -> Iterator[tuple[str, tuple[Decoded, bytes]]]:
    text = whole.text
    starts = [(found[1], found.start()) for found in _PART.finditer(text)]
    if not starts or text[: starts[0][1]].strip():
        raise NoHeader(f"expected MSH, FHS or BHS, found {text.strip()[:20]!r}")
    ends = [start for _, start in starts[1:]] + [len(text)]
    begins = [0] + [start for _, start in starts[1:]]
    for (name, _), begin, end in zip(starts, begins, ends, strict=True):
        bom = b"" if begin else whole.bom
        piece = Decoded(text[begin:end], whole.codec, whole.source, bom, whole.named)
        yield name, (piece, piece.encode(piece.text))
