"""Damages frames at random and sees that nothing breaks.

usage: python -m tests.hl7v2.fuzz [--frames NUMBER] [--seed NUMBER] [--messages DIRECTORY]
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fhir_server.hl7v2 import Message, NoHeader, parse, read_payload
from fhir_server.hl7v2.acknowledgment import Code, Problem, acknowledgment, refusal
from fhir_server.hl7v2.framing import CutOff, Event, Frame, Framer, TooLarge, framed
from fhir_server.hl7v2.order_answer import OrderAnswer, order_answer
from tests.hl7v2.messages import ANSWERING, ORDER

RESULT = (
    "MSH|^~\\&#|LAB|L|HIS|H|202611210800||ORU^R01^ORU_R01|7|P|2.3||||||8859/1\r"
    "PID|||1^^^A\rOBR|1||2|3^B\rOBX|1|TX|a^b||one\\.br\\two\\X0D\\\nthree||||||F\r"
)
BATCH = "BHS|^~\\&|A\r" + ORDER + RESULT + "BTS|2\r"
SEEDS = [ORDER.encode(), RESULT.encode("latin-1"), BATCH.encode(), ORDER.encode("utf-16")]
INTACT = framed(b"MSH|^~\\&|INTACT|||||||1|P|2.5\r")

_LARGEST = 200_000
_SLOWEST = 2.0
_TELLING = b"\x0b\x1c\r\n|^~\\&#MSHBTFOXE.\x00\xff\xfe\xc3\xa9'\" "


def damaged(seed: bytes, rng: random.Random) -> bytes:
    """Some bytes of a frame changed, lost, doubled, moved or put in."""
    data = bytearray(framed(seed))
    for _ in range(rng.choice((1, 1, 2, 3, 8, 40))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            data[at : at + 1] = bytes([rng.choice(_TELLING)])
        elif kind == 2:
            data[at:at] = bytes(rng.choices(_TELLING, k=rng.randrange(1, 6)))
        elif kind == 3:
            del data[at : at + rng.choice((1, 1, 2, 20, 1000))]
        elif kind == 4:
            data[at:at] = data[at : at + rng.randrange(1, 60)]
        else:
            data = data[at:] + data[:at]
    return bytes(data)


def events(stream: bytes, rng: random.Random) -> list[Event]:
    """What comes of a stream that arrives in pieces."""
    framer = Framer(_LARGEST)
    found: list[Event] = []
    at = 0
    while at < len(stream):
        size = rng.choice((1, 7, 100, 5000, 100_000))
        found += framer.feed(stream[at : at + size])
        at += size
        if framer.is_ending and rng.random() < 0.1:
            found += framer.settle()
    return found + framer.close()


def answers(raw: bytes) -> list[bytes]:
    """The answers to a payload, as a listener gives them."""
    try:
        payload = read_payload(raw)
    except NoHeader as reason:
        return [refusal(raw, ANSWERING, str(reason)).encode(replace=True)]
    return [answer(each) for each in payload.messages]


def answer(message: Message) -> bytes:
    """Read all of a message, and answer it."""
    for segment in message.segments:
        for field in range(1, len(segment.fields)):
            for repetition in range(1, len(segment.repetitions(field)) + 1):
                segment.value(field, repetition)
    problems = [Problem(207, message.value("MSH-3"), diagnostics=message.value("PID-5"))]
    order = message.first("ORC")
    orders = [OrderAnswer(order, "UA", message.first("OBR"), "1")] if order else []
    made = order_answer(message, Code.AE, ANSWERING, orders, problems)
    assert acknowledgment(message, Code.AA, ANSWERING).encode(replace=True)
    return made.encode(replace=True)


def check(seeds: Sequence[bytes], rng: random.Random) -> Counter[str]:
    """Damage one frame, and raise AssertionError if anything goes wrong. Tells what came."""
    stream = damaged(rng.choice(seeds), rng)
    found = events(stream + INTACT, rng)
    assert found[-1] == Frame(INTACT[1:-2]), "the message after it is lost"
    counts: Counter[str] = Counter()
    for event in found[:-1]:
        counts[type(event).__name__] += 1
        if isinstance(event, Frame):
            given = answers(event.payload)
            counts["answers"] += len(given)
            for each in given:
                assert b"\x0b" not in each
                assert parse(each).first("MSA") is not None
        elif isinstance(event, TooLarge | CutOff):
            answers(event.start)
    return counts


def run(frames: int, seed: int, seeds: Sequence[bytes]) -> Counter[str]:
    """Damage many frames. Raises RuntimeError, naming the frame, when something breaks."""
    counts: Counter[str] = Counter()
    for number in range(frames):
        started = time.process_time()
        try:
            counts += check(seeds, random.Random(seed * 1_000_000_007 + number))
        except Exception as error:
            raise RuntimeError(f"frame {number} of seed {seed}: {error!r}") from error
        seconds = time.process_time() - started
        if seconds > _SLOWEST:
            raise RuntimeError(f"frame {number} of seed {seed} took {seconds:.1f} s")
        if number % 100_000 == 99_999:
            sys.stderr.write(f"{number + 1:,} frames\n")
    return counts


def main() -> int:
    """From arguments to exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--messages", type=Path, help="folder with *.hl7 to damage as well")
    arguments = parser.parse_args()
    seeds = list(SEEDS)
    if arguments.messages is not None:
        seeds += [path.read_bytes() for path in sorted(arguments.messages.rglob("*.hl7"))]
    started = time.perf_counter()
    counts = run(arguments.frames, arguments.seed, seeds)
    told = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
    seconds = time.perf_counter() - started
    sys.stdout.write(f"{arguments.frames:,} frames in {seconds:.0f} s: {told}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
