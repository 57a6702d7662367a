"""The HL7 v2 core by itself: microseconds a message for each step, beside another library.

usage: python -m benchmarks.hl7v2 [--times NUMBER]

If hl7apy can be imported it is timed too; the server does not need it.
"""

import argparse
import importlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fhir_server.hl7v2 import Message, parse, read_payload
from fhir_server.hl7v2.acknowledgment import Answering, Code, acknowledgment
from fhir_server.hl7v2.framing import Framer, framed

ORDER = (
    "MSH|^~\\&|HIS|WARD|RIS|XRAY|20261121080000||ORM^O01^ORM_O01|{id}|P|2.5.1||||||UNICODE UTF-8\r"
    "PID|1||123456^^^WARD&1.2.3&ISO^MR||Müller^Jörg^^^Dr.||19500101|M|||Weg 1^^Berlin\r"
    "PV1|1|I|3W^12^A^WARD||||1234^House^Gregory|||MED||||1|||1234^House^Gregory||V77\r"
    "ORC|NW|P{id}^HIS||G1^HIS|||^^^20261121^^R||20261121080000|77^Nurse^Ann||1234^House^Gregory\r"
    "OBR|1|P{id}^HIS||71020^Chest X\\T\\Ray^C4|||20261121|||||||||1234^House^Gregory\r"
)
RESULT = (
    "OBX|{n}|NM|{n}-1^Sodium^LN||{n}.5|mmol/L^^UCUM|135-145|N|||F|||20261121080000||77^Lab^Tech\r"
)
_ROUNDS = 7


def messages() -> dict[str, bytes]:
    """An order, and a result of thirty observations."""
    order = ORDER.format(id=1)
    result = order.replace("ORM^O01^ORM_O01", "ORU^R01^ORU_R01")
    result += "".join(RESULT.format(n=number) for number in range(1, 31))
    return {"ORM": order.encode(), "ORU, 30 OBX": result.encode()}


def steps(raw: bytes) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    frame = framed(raw)
    read = parse(raw)
    answering = Answering("1", datetime.now(UTC))
    found: dict[str, Callable[[], Any]] = {
        "frame": lambda: Framer().feed(frame),
        "parse": lambda: parse(raw),
        "payload": lambda: read_payload(raw),
        "parse, ten leaves": lambda: _ten(parse(raw)),
        "parse, every leaf": lambda: _every(parse(raw)),
        "acknowledge": lambda: acknowledgment(read, Code.AA, answering).encode(),
    }
    other = _hl7apy(raw.decode())
    return found | ({"hl7apy, parse": other} if other is not None else {})


def _ten(message: Message) -> list[str]:
    places = ("MSH-3", "MSH-9.2", "MSH-10", "MSH-12", "PID-3", "PID-3.4", "PID-5", "PID-5.2")
    return [message.value(place) for place in (*places, "ORC-1", "OBR-4.2")]


def _every(message: Message) -> int:
    count = 0
    for segment in message.segments:
        for field in range(1, len(segment.fields)):
            for number, repetition in enumerate(segment.repetitions(field), 1):
                for component in range(1, repetition.count("^") + 2):
                    segment.value(field, number, component)
                    count += 1
    return count


def _hl7apy(text: str) -> Callable[[], Any] | None:
    try:
        parser = importlib.import_module("hl7apy.parser")
    except ImportError:
        return None
    return lambda: parser.parse_message(text, find_groups=False)


def microseconds(step: Callable[[], Any], times: int) -> float:
    """The best of some rounds, as others use the machine too."""
    found = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        for _ in range(times):
            step()
        found.append((time.perf_counter() - started) / times * 1e6)
    return min(found)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=300)
    times = parser.parse_args().times
    columns = {name: steps(raw) for name, raw in messages().items()}
    print(f"{'µs a message':20}" + "".join(f"{name:>14}" for name in columns))
    for step in next(iter(columns.values())):
        cells = []
        for steps_ in columns.values():
            slow = step.startswith("hl7apy")
            cells.append(microseconds(steps_[step], max(3, times // 60) if slow else times))
        print(f"{step:20}" + "".join(f"{cell:14.1f}" for cell in cells))


if __name__ == "__main__":
    main()
