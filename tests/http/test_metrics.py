"""What `/metrics` tells."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MADE = re.compile(r'(?:Counter|Gauge|Histogram|Summary)\(\s*"(fhir_\w+)"')


def test_the_documentation_names_every_metric() -> None:
    sources = (ROOT / "fhir_server").rglob("*.py")
    made = {name for file in sources for name in MADE.findall(file.read_text(encoding="utf-8"))}
    operating = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(fhir_\w+)\{", operating, re.MULTILINE))
    assert "fhir_request_seconds" in made
    assert made == told
