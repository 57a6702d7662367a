from pathlib import Path

from tests.conformance.xml_examples import difference, run

GOOD = (
    r"""{"resourceType":"Patient","text":{"status":"generated","div":"""
    r""""<div xmlns='http://www.w3.org/1999/xhtml'>a<br /></div>"},"""
    r""""extension":[{"url":"u","valueDecimal":1.00}]}"""
)


def test_a_resource_that_comes_back_identical_has_no_difference() -> None:
    assert difference(GOOD.encode()) == ""


def test_what_xml_cannot_hold_is_a_failure() -> None:
    assert "U+0001" in difference(rb'{"resourceType":"Basic","language":"\u0001"}')


def test_what_xml_would_change_is_a_failure() -> None:
    assert "different" in difference(b'{"resourceType":"Basic","language":" en"}')


def test_every_file_but_the_manifest_is_counted(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "good.json").write_text(GOOD)
    (tmp_path / "bad.json").write_text('{"resourceType":"Basic","nothing":1}')
    score = run(tmp_path)[0]
    assert (score.cases, score.passed) == (2, 1)
    assert score.failures[0].startswith("bad: ")
