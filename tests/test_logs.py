"""Logs tell what happened and never what a resource holds."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from fhir_server.logs import JsonFormatter, TextFormatter, configure_logs
from fhir_server.settings import Settings
from fhir_server.storage.migrate import migrate
from tests.answers import diagnostics_of, refusal_of
from tests.conftest import fresh_database
from tests.http.serving import serving

SECRET = "Geheimnis"


@pytest.fixture(params=["json", "text"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Everything that is logged, in each form."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(JsonFormatter() if request.param == "json" else TextFormatter())
    root.handlers[:] = [handler]
    root.setLevel("INFO")
    client = logging.getLogger("httpx")
    client.setLevel("WARNING")
    yield output
    client.setLevel(logging.NOTSET)
    root.handlers[:], root.level = before


def failing(value: str) -> None:
    raise ValueError(f"cannot index {value}")


def test_a_record_is_one_json_object_a_line(written: io.StringIO) -> None:
    logging.getLogger("fhir_server.x").info("two\nlines %s", "é", extra={"status": 200})
    text = written.getvalue()
    if text.startswith("{"):
        assert text.count("\n") == 1
        line = json.loads(text)
        assert line["level"] == "INFO"
        assert line["logger"] == "fhir_server.x"
        assert line["message"] == "two\nlines é"
        assert line["status"] == 200
        assert line["time"].endswith("+00:00")
    else:
        assert "INFO fhir_server.x: two" in text
        assert "status=200" in text


def test_an_exception_is_told_by_type_and_place_without_its_text(written: io.StringIO) -> None:
    try:
        try:
            failing(SECRET)
        except ValueError as error:
            raise RuntimeError(SECRET) from error
    except RuntimeError:
        logging.getLogger("x").exception("request failed")
    text = written.getvalue()
    assert SECRET not in text
    assert "RuntimeError" in text
    assert "ValueError" in text
    assert "test_logs.py" in text
    assert "failing" in text


def test_the_members_of_a_group_are_told(written: io.StringIO) -> None:
    try:
        raise ExceptionGroup(SECRET, [ValueError(SECRET), KeyError(SECRET)])
    except ExceptionGroup:
        logging.getLogger("x").exception("request failed")
    text = written.getvalue()
    assert SECRET not in text
    assert "ValueError" in text
    assert "KeyError" in text


async def test_a_task_nobody_waited_for_tells_no_values(written: io.StringIO) -> None:
    context: dict[str, Any] = {
        "message": "Task exception was never retrieved",
        "exception": ValueError(SECRET),
        "future": asyncio.get_running_loop().create_future(),
        "resource": SECRET,
    }
    asyncio.get_running_loop().default_exception_handler(context)
    text = written.getvalue()
    assert "never retrieved" in text
    assert "ValueError" in text
    assert SECRET not in text


async def test_a_request_that_fails_is_found_by_its_id_and_quotes_nothing(
    postgres: str, written: io.StringIO
) -> None:
    """A table is gone, so that writing really fails inside."""
    patient = {"resourceType": "Patient", "name": [{"family": SECRET}]}
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [
            {"request": {"method": "POST", "url": "Patient"}, "resource": patient},
            {"request": {"method": "GET", "url": "metadata"}},
        ],
    }
    with fresh_database(postgres, "logs_failing") as url:
        migrate(url)
        with psycopg.connect(url) as connection:
            connection.execute("drop table tenant_default.string_value")
        async with serving(Settings(database_pool=2, access_log=True), url) as client:
            headers = {"X-Request-Id": "the-failing-one"}
            answer = await client.post("Patient", json=patient, headers=headers)
            assert "the-failing-one" in refusal_of(answer, 500, "exception")
            assert SECRET not in answer.text
            batch = await client.post("", json=bundle, headers=headers)
            entries = batch.json()["entry"]
            assert entries[0]["response"]["status"].startswith("500")
            diagnostics_of(entries[0]["response"]["outcome"], "exception")
            assert entries[1]["response"]["status"].startswith("200")
            await client.get(f"Patient?family:exact={SECRET}")
            await client.get(f"Patient/{SECRET}")
    text = written.getvalue()
    assert "the-failing-one" in text
    assert "UndefinedTable" in text
    assert "search" in text
    assert "404" in text
    assert SECRET not in text


def test_logs_go_to_standard_error_in_the_form_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure_logs(Settings(log_format="json", log_level="WARNING"))
        logging.getLogger("x").info("hidden")
        logging.getLogger("x").warning("shown")
        logging.getLogger("httpx").info("hidden")
        root.handlers[0].flush()
        assert isinstance(root.handlers[0], logging.StreamHandler)
        assert root.handlers[0].stream is sys.stderr
        captured = capsys.readouterr()
        assert captured.out == ""
        assert json.loads(captured.err)["message"] == "shown"
    finally:
        root.handlers[:], root.level = before
