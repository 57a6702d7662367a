"""OHIF's published build in a real browser, with our DICOMweb as its archive."""

import io
from typing import Any

import pytest
from PIL import Image

from tests.dicomweb.conftest import Viewer
from tests.dicomweb.ohif import documented, drawn, find_browser, greys

STUDIES = ("CT_small.dcm", "examples_ybr_color.dcm", "JPEG2000.dcm")


@pytest.fixture(scope="module")
def shown(viewer: Viewer) -> dict[str, Any]:
    """What the browser tells after it has looked at the list and at some studies."""
    browser = find_browser()
    configuration = documented("## Viewers").replace("http://localhost:8080", viewer.root)
    studies = [viewer.shipped(name).split("/")[3] for name in STUDIES]
    return browser.tells(viewer.page, configuration, viewer.root, viewer.log, studies)


def test_the_study_list_shows_every_study(shown: dict[str, Any]) -> None:
    for text in ("Łąka, Ján", "ACC-7", "e+1", "RTDOSE", "CompressedSamples"):
        assert text in shown["list"]


def test_each_study_is_drawn(viewer: Viewer, shown: dict[str, Any]) -> None:
    for name, url in zip(STUDIES, shown["pictures"], strict=True):
        assert greys(url) > 16, name


def test_the_picture_on_the_screen_is_the_picture_in_the_file(
    viewer: Viewer, shown: dict[str, Any]
) -> None:
    answer = viewer.client.get(
        f"{viewer.shipped('CT_small.dcm')}/rendered", headers={"Accept": "image/png"}
    )
    with Image.open(io.BytesIO(answer.content)) as picture:
        expected = small(picture)
    with drawn(shown["pictures"][0]) as screen:
        side = min(screen.size)
        left, top = (screen.width - side) // 2, (screen.height - side) // 2
        found = small(screen.crop((left, top, left + side, top + side)))
    differences = [abs(one - other) for one, other in zip(found, expected, strict=True)]
    assert sum(differences) / len(differences) < 10


def small(picture: Image.Image) -> bytes:
    return picture.convert("L").resize((16, 16), Image.Resampling.BOX).tobytes()


def test_nothing_that_the_viewer_asks_is_refused(shown: dict[str, Any]) -> None:
    assert shown["failed"] == []
    assert [each for each in shown["asked"] if each[0] >= 400] == []
    paths = [path for _, path in shown["asked"]]
    for part in ("/studies?", "/series?", "/metadata", "/frames/1", "/thumbnail"):
        assert any(part in path for path in paths), part
    assert not [each for each in shown["complaints"] if "CORS" in each]
