"""docs/access.md names the roles of the policy, and every one of them."""

import re
from pathlib import Path

from fhir_server.security.policy import PATIENT_ROLE
from fhir_server.security.principal import ROLES

GUIDE = Path(__file__).parents[2] / "docs" / "access.md"


def test_the_table_has_every_role() -> None:
    rows = [line for line in GUIDE.read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    assert named == ROLES | {PATIENT_ROLE}
