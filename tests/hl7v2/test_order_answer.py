"""Answers to orders, in the types that senders of orders may want."""

import pytest

from fhir_server.hl7v2.acknowledgment import Code, Problem
from fhir_server.hl7v2.order_answer import REPLIES, OrderAnswer, order_answer, reply
from tests.hl7v2.messages import ANSWERING, ORDER, lines, message, of_version

NUMBER = ("F9", "LAB")


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("ORM^O01^ORM_O01", "ORR^O02^ORR_O02"),
        ("OML^O21^OML_O21", "ORL^O22^ORL_O22"),
        ("OMG^O19^OMG_O19", "ORG^O20^ORG_O20"),
        ("OMI^O23^OMI_O23", "ORI^O24^ORI_O24"),
        ("OML^O33", "ORL^O34^ORL_O34"),
    ],
)
def test_an_order_is_answered_with_its_number(asked: str, answered: str) -> None:
    asking = message(ORDER.replace("ORM^O01^ORM_O01", asked))
    order, detail = asking.first("ORC"), asking.first("OBR")
    assert order is not None
    answer = OrderAnswer(order, reply("NW", done=True), detail, NUMBER, "IP")
    found = lines(order_answer(asking, Code.AA, ANSWERING, [answer]))
    assert found[0].split("|")[8] == answered
    assert found[1:] == [
        "MSA|AA|42",
        "PID|1||123^^^WARD&1.2.3&ISO^MR~77^^^CITY^SS||Müller^Jörg^^^Dr.||19500101|M",
        "ORC|OK|P1^HIS|F9^LAB||IP",
        'OBR|1|P1^HIS||71020^Chest X\\T\\Ray^C4||""|20261121',
    ]


def test_what_could_not_be_done_says_why() -> None:
    asking = of_version("2.3.1", ORDER.replace("ORC|NW|", "ORC|CA|"))
    order = asking.first("ORC")
    assert order is not None
    answer = OrderAnswer(order, reply("CA", done=False), reason="the images are there already")
    problems = [Problem(204, "order not found")]
    found = lines(order_answer(asking, Code.AE, ANSWERING, [answer], problems))
    assert found[0].split("|")[8] == "ORR^O02"
    assert found[-1] == "ORC|UC|P1^HIS" + "|" * 14 + "^the images are there already"


def test_without_orders_there_is_no_patient() -> None:
    names = [each[:3] for each in lines(order_answer(message(), Code.AR, ANSWERING, []))]
    assert names == ["MSH", "MSA"]


def test_what_is_no_order_gets_an_ack() -> None:
    result = message(ORDER.replace("ORM^O01^ORM_O01", "ORU^R01^ORU_R01"))
    found = lines(order_answer(result, Code.AA, ANSWERING, []))
    assert found[0].split("|")[8] == "ACK^R01^ACK"


@pytest.mark.parametrize(
    ("control", "done", "undone"),
    [("NW", "OK", "UA"), ("CA", "CR", "UC"), ("DC", "DR", "UD"), ("HD", "HR", "UH"),
     ("SN", "NA", "UA"), ("XO", "XR", "UX"), ("CD:2539", "OK", "UA")],
)  # fmt: skip
def test_each_order_control_has_its_replies(control: str, done: str, undone: str) -> None:
    assert (reply(control, done=True), reply(control, done=False)) == (done, undone)
    assert len(REPLIES) == 9
