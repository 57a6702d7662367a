"""OHIF's published build in a real browser, at a server where users have to log in."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pydicom
import pytest

from fhir_server.dicom.local import LocalOrthanc
from fhir_server.identity.administration import Administration, NewProgram
from fhir_server.storage.identity.connections import Connections
from tests.conftest import free_port
from tests.dicom.images import Scan, series
from tests.dicomweb.conftest import SHIPPED, archiving, fill, wait_for_studies
from tests.dicomweb.ohif import ROOT, documented, find_browser, greys
from tests.uploads.sending import content

HEADING = "### OHIF, and users who log in"
PASSWORD = "correct-Horse-7"
# What other programs that use OpenID Connect ask for besides.
MORE = "window.config.oidc[0].loadUserInfo = true;"


@pytest.fixture(scope="module")
def shown(
    database: str, orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What the browser of a radiologist tells."""
    browser = find_browser()
    folder = tmp_path_factory.mktemp("login")
    scan = Scan("ACC-7", "P7", name="Łąka^Ján")
    fill(orthanc, [(SHIPPED / "CT_small.dcm").read_bytes(), *map(content, series(scan, 2))])
    page = f"http://127.0.0.1:{free_port()}"
    more = ("--authentication", "embedded", "--cors-origins", page)
    # Two names of this machine, so that OHIF is another site.
    with archiving(database, orthanc, folder, *more, host="localhost") as server:
        root = server.root.replace("127.0.0.1", "localhost")
        as_documented(database, page)
        wait(database, server.root)
        configuration = documented("## Viewers") + documented(HEADING) + MORE
        configuration = configuration.replace("http://localhost:8080", root)
        configuration = configuration.replace("http://localhost:3000", page)
        study = pydicom.dcmread(SHIPPED / "CT_small.dcm", stop_before_pixels=True).StudyInstanceUID
        login = {"name": "rita", "password": PASSWORD}
        yield browser.tells(page, configuration, root, server.log, [study], login=login)


def as_documented(database: str, page: str) -> None:
    """Do what the documentation says to have a user and OHIF as a program."""
    text = documented(HEADING, "bash").replace("\\\n", " ").replace("http://localhost:3000", page)
    commands = [each for each in text.splitlines() if each.startswith(".venv/bin/fhir-server")]
    assert len(commands) == 2
    begun = []
    for each in commands:
        _, *words = shlex.split(each)
        words += ["--password-file", "-"] if words[0] == "user" else []
        command = [sys.executable, "-m", "fhir_server.cli", *words]
        environment = os.environ | {"FHIR_SERVER_DATABASE_URL": database}
        begun.append(subprocess.Popen(command, env=environment, cwd=ROOT, stdin=subprocess.PIPE))
    for process in begun:
        process.communicate(PASSWORD.encode())
        assert process.returncode == 0


def wait(database: str, root: str) -> None:
    """Return once the studies stand in FHIR."""
    connections = Connections(database)
    new = NewProgram("waiting", "system/*.rs", "client_secret_basic", ["client_credentials"])
    secret = Administration(connections).add_program(new)
    connections.close()
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    answer = httpx.post(f"{root}/auth/token", data=form, auth=("waiting", secret or ""))
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    with httpx.Client(base_url=root, headers=headers, timeout=60, trust_env=False) as client:
        wait_for_studies(client, 2)


def test_nothing_is_shown_to_who_has_not_logged_in(shown: dict[str, Any]) -> None:
    before = shown["before"]
    assert before["title"] == "Log in"
    assert [path for _, path in before["asked"] if "/dicom-web/" in path] == []


def test_the_study_list_shows_every_study(shown: dict[str, Any]) -> None:
    for text in ("Łąka, Ján", "ACC-7", "e+1"):
        assert text in shown["list"]


def test_a_study_is_drawn(shown: dict[str, Any]) -> None:
    (picture,) = shown["pictures"]
    assert greys(picture) > 16


def test_nothing_that_the_viewer_asks_is_refused(shown: dict[str, Any]) -> None:
    assert shown["failed"] == []
    assert [each for each in shown["asked"] if each[0] >= 400] == []
    paths = [path for _, path in shown["asked"]]
    for part in ("/studies?", "/series?", "/metadata", "/frames/1", "/thumbnail"):
        assert any(part in path for path in paths), part
    assert not [each for each in shown["complaints"] if "CORS" in each]


def test_a_second_page_needs_no_password(shown: dict[str, Any]) -> None:
    """The study list and the viewer are two; each gets tokens of its own."""
    paths = [path.partition("?")[0] for _, path in shown["asked"]]
    viewed = paths[: next(at for at, path in enumerate(paths) if path.endswith("/thumbnail"))]
    assert viewed.count("/auth/token") == 2
    assert viewed.count("/auth/login") == 1


def test_the_token_is_renewed_before_it_expires(shown: dict[str, Any]) -> None:
    assert shown["renewed"] == 200


def test_once_the_session_has_ended_the_user_logs_in_again(shown: dict[str, Any]) -> None:
    asked = [(status, path.partition("?")[0]) for status, path in shown["ended"]]
    assert (401, "/dicom-web/studies") in asked
    assert asked[-1] == (200, "/auth/authorize")


def test_a_page_may_ask_who_its_user_is(shown: dict[str, Any]) -> None:
    assert [200, "/auth/userinfo"] in shown["asked"]


def test_whoever_logs_out_of_the_viewer_has_to_log_in_again(shown: dict[str, Any]) -> None:
    assert shown["after"]["title"] == "Log in"
    asked = [(status, path.partition("?")[0]) for status, path in shown["after"]["asked"]]
    assert (303, "/auth/logout") in asked
    assert asked[-1] == (200, "/auth/authorize")
