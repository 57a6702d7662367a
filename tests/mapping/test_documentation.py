"""What `docs/hl7v2.md` teaches is what the rules can do."""

import re
import shutil
from pathlib import Path

import yaml

from fhir_server.mapping.convert import Mapper
from fhir_server.mapping.evaluation import VARIABLES
from fhir_server.mapping.functions import FUNCTIONS
from fhir_server.packaged import folder

TEXT = (Path(__file__).parents[2] / "docs" / "hl7v2.md").read_text(encoding="utf-8")


def test_every_function_is_explained() -> None:
    assert [name for name in FUNCTIONS if f"`{name}(" not in TEXT] == []


def test_every_variable_is_named() -> None:
    assert [name for name in VARIABLES if f"`${name}`" not in TEXT] == []


def test_every_key_of_a_rule_is_explained() -> None:
    schema = yaml.safe_load((folder("mappings") / "schema.json").read_text(encoding="utf-8"))
    keys = set(schema["$defs"]["rule"]["properties"]) - {"note"}
    assert [each for each in sorted(keys) if f"`{each}" not in TEXT] == []


def test_overlays_of_the_documentation_can_be_used(tmp_path: Path) -> None:
    mapping = TEXT.partition("\n## Receiving")[0]
    taught = re.findall(r"^( *)```yaml\n(.*?)^ *```", mapping, re.MULTILINE | re.DOTALL)
    assert len(taught) == 7
    blocks = ["\n".join(line[len(i) :] for line in t.split("\n")) for i, t in taught]
    rules = tmp_path / "mappings"
    shutil.copytree(folder("mappings"), rules)
    (rules / "overlays").mkdir(exist_ok=True)
    for number, text in enumerate(("\n".join(blocks[:4]), *blocks[4:])):
        (rules / "overlays" / f"{number}.yaml").write_text(text, encoding="utf-8")
    Mapper(rules).check()
