from pathlib import Path

import pytest

from fhir_server.search import keys
from tests.conformance.search_index import run

GOOD = '{"resourceType":"Condition","code":{"coding":[{"code":"c"}]}}'
COMPOSED = (
    '{"resourceType":"Observation","code":{"coding":[{"code":"c"}]},"valueQuantity":{"value":1}}'
)


def test_every_resource_that_is_indexed_as_it_reads_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "good.json").write_text(GOOD)
    (tmp_path / "composed.json").write_text(COMPOSED)
    score = run(tmp_path)[0]
    assert (score.cases, score.passed, score.failures) == (2, 2, [])
    monkeypatch.setattr(keys, "component_token_texts", lambda _system, _code: ())
    score = run(tmp_path)[0]
    assert (score.cases, score.passed) == (2, 1)
    assert score.failures[0].startswith("composed: ")
