"""Acknowledgments by the sender's version and wishes."""

import re
from dataclasses import replace

import pytest

from fhir_server.hl7v2 import parse, read_payload
from fhir_server.hl7v2.acknowledgment import (
    CONDITIONS,
    Code,
    Location,
    Problem,
    acknowledgment,
    batch_of_answers,
    is_answer,
    is_enhanced,
    refusal,
    version_of,
    wants_accept,
    wants_application,
)
from tests.hl7v2.messages import ANSWERING, ORDER, lines, message, of_version

WRONG = Problem(103, "no such code", location=Location("OBX", 3, 5, 1, 1), diagnostics="rule 7")
ODD = Problem(204, "order not found", "W")


def test_a_message_is_accepted_where_it_came_from() -> None:
    header, result = lines(acknowledgment(message(), Code.AA, ANSWERING))
    assert header == (
        "MSH|^~\\&|RIS|XRAY|HIS|WARD|20261121080005+0000||ACK^O01^ACK|R1|P|2.5.1||||||UNICODE UTF-8"
    )
    assert result == "MSA|AA|42"


def test_from_2_5_on_each_problem_is_a_segment() -> None:
    found = lines(acknowledgment(message(), Code.AE, ANSWERING, [WRONG, ODD]))
    assert found[1:] == [
        "MSA|AE|42|no such code",
        "ERR||OBX^3^5^1^1|103^Table value not found^HL70357|E|||rule 7|no such code",
        "ERR|||204^Unknown key identifier^HL70357|W||||order not found",
    ]


def test_from_2_7_on_the_text_is_in_err_only() -> None:
    found = lines(acknowledgment(of_version("2.8"), Code.AE, ANSWERING, [WRONG]))
    assert found[1] == "MSA|AE|42"


def test_before_2_5_one_segment_has_all_places_and_msa_the_error() -> None:
    found = lines(acknowledgment(of_version("2.3.1"), Code.AE, ANSWERING, [ODD, WRONG]))
    assert found[0].split("|")[8] == "ACK^O01"
    assert found[1:] == [
        "MSA|AE|42|no such code|||103^Table value not found^HL70357",
        "ERR|^^^204&Unknown key identifier&HL70357~OBX^3^5^103&Table value not found&HL70357",
    ]


@pytest.mark.parametrize(
    ("version", "type_", "time"),
    [
        ("2.1", "ACK", "20261121080005"),
        ("2.2", "ACK^O01", "20261121080005"),
        ("2.3", "ACK^O01", "20261121080005+0000"),
        ("2.4", "ACK^O01^ACK", "20261121080005+0000"),
        ("2.9", "ACK^O01^ACK", "20261121080005+0000"),
        ("", "ACK^O01^ACK", "20261121080005+0000"),
        ("x", "ACK^O01^ACK", "20261121080005+0000"),
    ],
)
def test_type_and_time_are_of_the_version(version: str, type_: str, time: str) -> None:
    header = lines(acknowledgment(of_version(version), Code.AA, ANSWERING))[0].split("|")
    assert (header[8], header[6], header[11]) == (type_, time, version or "2.5.1")


def test_delimiters_and_character_set_are_those_of_the_message() -> None:
    text = ORDER.replace("UNICODE UTF-8", "8859/1")
    text = text.replace("|", "$").replace("^", "%").replace("HIS", "H\xfcS")
    made = acknowledgment(
        parse(text.encode("latin-1")), Code.AE, ANSWERING, [replace(WRONG, text="a$b \u4e2d")]
    )
    found = made.encode(replace=True).decode("latin-1").split("\r")
    assert found[0].startswith("MSH$%~\\&$RIS$XRAY$H\xfcS$WARD$")
    assert found[0].endswith("$8859/1")
    assert found[1] == "MSA$AE$42$a\\F\\b ?"


def test_what_the_sender_wrote_is_not_escaped_again() -> None:
    text = ORDER.replace("|HIS|", "|A\\T\\B&1.2&ISO|").replace("|42|", "|4\\F\\2|")
    found = lines(acknowledgment(message(text), Code.AA, ANSWERING))
    assert found[0].split("|")[4] == "A\\T\\B&1.2&ISO"
    assert found[1] == "MSA|AA|4\\F\\2"


def test_an_application_acknowledgment_may_want_one_itself() -> None:
    answering = replace(ANSWERING, accept="AL", application="NE")
    header = lines(acknowledgment(message(), Code.AA, answering))[0].split("|")
    assert header[14:16] == ["AL", "NE"]


def test_a_header_that_lacks_nearly_all_is_answered() -> None:
    assert lines(acknowledgment(message("MSH|\r"), Code.AR, ANSWERING)) == [
        "MSH|^~\\&|||||20261121080005+0000||ACK|R1||2.5.1",
        "MSA|AR",
    ]


def test_what_is_no_message_is_answered_too() -> None:
    assert lines(refusal(b"\xff\xfe", ANSWERING, "expected MSH")) == [
        "MSH|^~\\&|||||20261121080005+0000||ACK|R1|P|2.5.1||||||UNICODE UTF-8",
        "MSA|AR||expected MSH",
        "ERR|||100^Segment sequence error^HL70357|E|||2 bytes|expected MSH",
    ]


@pytest.mark.parametrize(
    ("accept", "application", "expected"),
    [
        # accept acknowledgment when good, when bad; application acknowledgment when good, when bad
        ("", "", (False, False, True, True)),
        ("AL", "AL", (True, True, True, True)),
        ("AL", "NE", (True, True, False, False)),
        ("NE", "AL", (False, False, True, True)),
        ("NE", "NE", (False, False, False, False)),
        ("ER", "SU", (False, True, True, False)),
        ("SU", "ER", (True, False, False, True)),
        ("AL", "", (True, True, False, False)),
        ("", "AL", (False, False, True, True)),
        ("ACCEPT", "ACKNOLWEDGE", (True, True, True, True)),
        (" al ", "ne", (True, True, False, False)),
    ],
)
def test_who_wants_which_acknowledgment(
    accept: str, application: str, expected: tuple[bool, ...]
) -> None:
    found = message(ORDER.replace("|AL|NE|", f"|{accept}|{application}|"))
    assert is_enhanced(found) == bool(accept or application)
    assert expected == (
        wants_accept(found, Code.CA),
        wants_accept(found, Code.CR),
        wants_application(found, Code.AA),
        wants_application(found, Code.AE),
    )


@pytest.mark.parametrize("accept", ["", "AL"])
def test_an_acknowledgment_gets_no_application_acknowledgment(accept: str) -> None:
    answering = replace(ANSWERING, accept=accept, application=accept)
    answer = acknowledgment(message(), Code.AA, answering)
    assert is_answer(answer)
    assert not wants_application(answer, Code.AA)
    assert wants_accept(answer, Code.CA) == (accept == "AL")


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2.5.1", (2, 5, 1)), ("2.9", (2, 9)), ("2.3.1^DEU", (2, 3, 1)), ("", (2, 5, 1)),
     ("abc", (2, 5, 1)), ("2.x", (2,)), ("2.\u0665", (2,))],
)  # fmt: skip
def test_the_version_as_numbers(version: str, expected: tuple[int, ...]) -> None:
    assert version_of(of_version(version)) == expected


def test_a_batch_may_be_answered_by_a_batch() -> None:
    header = "BHS|^~\\&|HIS|W\xe4rd|RIS|XRAY|7||||B7\r"
    asked = read_payload((header + ORDER + ORDER.replace("|42|", "|43|") + "BTS|2\r").encode())
    answers = [acknowledgment(each, Code.AA, ANSWERING) for each in asked.messages]
    found = batch_of_answers(asked.batches[0], answers, ANSWERING)
    lines_ = found.decode().split("\r")
    assert lines_[0] == "BHS|^~\\&|RIS|XRAY|HIS|W\xe4rd|20261121080005+0000||||R1|B7"
    assert lines_[-2:] == ["BTS|2", ""]
    read = read_payload(found)
    assert [each.value("MSA-2") for each in read.messages] == ["42", "43"]
    assert not read.warnings


def test_every_condition_can_be_told() -> None:
    for condition in CONDITIONS:
        (told,) = lines(acknowledgment(message(), Code.AE, ANSWERING, [Problem(condition, "x")]))[
            2:
        ]
        assert re.match(rf"ERR\|\|\|{condition}\^[A-Z]", told)
