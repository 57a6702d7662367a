"""`fhir-server hl7`: what integrators see."""

import json
from pathlib import Path

import pytest

from fhir_server.cli import main
from tests.mapping.messages import PID, message


@pytest.fixture
def order(tmp_path: Path) -> Path:
    """A file with an order message."""
    path = tmp_path / "order.hl7"
    path.write_bytes(
        message(
            "ORM^O01^ORM_O01", PID, "ORC|CA|P1^HIS", "OBR|1|P1^HIS||X^Chest^L", "ZDS|1.2.3^^^DICOM"
        )
    )
    return path


def test_convert_prints_the_bundle(order: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hl7", "convert", str(order)]) == 0
    bundle = json.loads(capsys.readouterr().out)
    assert bundle["type"] == "transaction"
    (request,) = [
        each["request"]
        for each in bundle["entry"]
        if each["resource"]["resourceType"] == "ServiceRequest"
    ]
    assert request == {
        "method": "PUT",
        "url": "ServiceRequest?identifier=urn:x-hl7v2:CITY:HIS|P1",
    }


def test_convert_explains_each_element(order: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hl7", "convert", "--explain", str(order)]) == 0
    printed = capsys.readouterr().out
    assert "ORM^O01 as ORM_O01, overlays: none" in printed
    assert "  ServiceRequest.code.coding[0].code = X\n      OBR-4.1  " in printed
    assert "[segments/PID[Patient] PID-8]" in printed
    assert "ORC-1 CA, no status: none, step cancel with" in printed


def test_coverage_tells_the_fields_that_no_rule_reads(
    order: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hl7", "coverage", str(order.parent)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1 messages; 0 fields that no rule reads")


def test_file_without_a_message_fails_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.hl7"
    path.write_bytes(b"nothing")
    assert main(["hl7", "convert", str(path)]) == 1
    assert f"{path}: expected MSH" in capsys.readouterr().err


def test_wrong_rules_end_with_what_is_wrong(
    tmp_path: Path, order: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hl7", "convert", "--zone", "Nowhere", str(order)]) == 2
    assert "'Nowhere' is no time zone" in capsys.readouterr().err


def test_check_says_that_the_rules_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hl7", "check"]) == 0
    assert capsys.readouterr().out == "The mappings can be used.\n"


def test_guide_prints_a_verdict_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hl7", "guide"]) == 0
    printed = capsys.readouterr().out
    assert "implemented  segments/PID[Patient]#11 PID-8 gender: " in printed
