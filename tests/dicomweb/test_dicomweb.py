"""DICOMweb under our base: what viewers get, and what an archive's traps may not do."""

import hashlib
import io
import json
import time
from typing import Any

import httpx
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from PIL import Image
from pydicom.uid import generate_uid

from tests.dicom.images import Scan, odd_values, series
from tests.dicomweb.conftest import SHIPPED, Viewer
from tests.uploads.sending import content, files

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"


@pytest.fixture(scope="module")
def web(viewer: Viewer) -> DICOMwebClient:
    """dicomweb-client, as programs use it."""
    return DICOMwebClient(viewer.base)


def values(rows: list[dict[str, Any]], tag: str) -> list[str]:
    return [row[tag]["Value"][0] for row in rows]


def test_studies_are_found_by_every_key(viewer: Viewer, web: DICOMwebClient) -> None:
    uid = viewer.scan.study
    assert len(web.search_for_studies()) == 7
    for filters in (
        {"PatientID": "P7"},
        {"PatientName": "łąka*"},
        {"PatientName": "ŁĄKA^JÁN"},
        {"PatientName": "łą?a^ján"},
        {"00100010": "*ján"},
        {"AccessionNumber": "ACC-7"},
        {"AccessionNumber": "ACC-?"},
        {"StudyInstanceUID": uid},
        {"StudyDate": "20261121-20261122"},
    ):
        (row,) = web.search_for_studies(search_filters=filters)
        assert row[STUDY]["Value"] == [uid], filters
        assert row["00081190"]["Value"] == [f"{viewer.base}/studies/{uid}"]
        assert row["00100010"]["Value"] == [{"Alphabetic": "Łąka^Ján"}]
        assert row["00201208"]["Value"] == [5]
    for filters in (
        {"AccessionNumber": "acc-7"},
        {"PatientID": "P8"},
        {"StudyDate": "20301121-"},
        {"StudyInstanceUID": "1.2.3"},
    ):
        assert web.search_for_studies(search_filters=filters) == [], filters
    found = web.search_for_studies(search_filters={"ModalitiesInStudy": "CT"})
    assert uid in values(found, STUDY)
    assert len(found) == 2


def test_rows_tell_the_fields_that_are_asked_for(viewer: Viewer) -> None:
    """However they are written; OHIF encodes the commas, which an archive does not decode."""
    uid = viewer.shipped("CT_small.dcm").split("/")[3]
    for level, query, tag, expected in (
        ("studies", "", "00081030", "e+1"),
        ("studies", "includefield=00081030%2C00100030", "00081030", "e+1"),
        ("series", "includefield=00080021,SeriesNumber", "00200011", 1),
        ("series", "includefield=Manufacturer&includefield=all", "00080070", "GE MEDICAL SYSTEMS"),
    ):
        target = f"studies/{uid}/series?" if level == "series" else f"studies?0020000D={uid}&"
        (row,) = viewer.client.get(f"/dicom-web/{target}{query}").json()
        assert row[tag]["Value"] == [expected], query
    for wrong in ("0008103", "Bogus", "00080060;x", "%2e%2e/system"):
        answer = viewer.client.get(f"/dicom-web/studies?includefield={wrong}")
        assert answer.status_code == 400, wrong


def test_pages_follow_each_other(viewer: Viewer, web: DICOMwebClient) -> None:
    every = values(web.search_for_studies(), STUDY)
    pages = [values(web.search_for_studies(limit=3, offset=at), STUDY) for at in (0, 3, 6)]
    assert [uid for page in pages for uid in page] == every
    assert every[0] == viewer.scan.study


def test_series_and_instances_are_found_in_their_study(viewer: Viewer, web: DICOMwebClient) -> None:
    uid = viewer.scan.study
    found = web.search_for_series(uid)
    assert len(found) == 2
    assert web.search_for_series(uid, search_filters={"Modality": "MR"}) == []
    first = found[0][SERIES]["Value"][0]
    assert len(web.search_for_instances(uid)) == 5
    inside = web.search_for_instances(uid, first)
    assert set(values(inside, SERIES)) == {first}
    (one,) = web.search_for_instances(
        uid, first, search_filters={"SOPInstanceUID": inside[0][INSTANCE]["Value"][0]}
    )
    assert one == inside[0]


@pytest.mark.parametrize(
    "query",
    ["Bogus=1", "00400275.00080050=GRP1", "limit=x", "StudyDate=2026", "AccessionNumber=a%5Cb"],
)
def test_what_is_not_understood_is_refused_and_never_matches_everything(
    viewer: Viewer, query: str
) -> None:
    """Trap 2: an archive takes an unknown filter for none, and gives all studies."""
    answer = viewer.client.get(f"/dicom-web/studies?{query}")
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_percent_encoded_values_and_empty_ones_mean_what_they_say(viewer: Viewer) -> None:
    """Trap 1: an archive that does not decode queries finds nothing, and says 200."""
    found = viewer.client.get("/dicom-web/studies?AccessionNumber=ACC%2D7").json()
    assert values(found, STUDY) == [viewer.scan.study]
    found = viewer.client.get("/dicom-web/studies?AccessionNumber=ACC%2D%2A&PatientID=").json()
    assert values(found, STUDY) == [viewer.scan.study]


@pytest.mark.parametrize(
    "path",
    [
        "studies/%2e%2e/%2e%2e/system",
        "studies/..%2f..%2fsystem/metadata",
        "%2e%2e/changes",
        "studies/1.2.3%00/metadata",
        "studies/1.2.*/series",
        "studies/01.2/metadata",
    ],
)
def test_no_path_leads_out_of_dicomweb(viewer: Viewer, path: str) -> None:
    """Hazard: path and SSRF; an archive resolves dots even where they are encoded."""
    answer = viewer.client.get(f"/dicom-web/{path}")
    assert answer.status_code in (400, 404)
    assert "Orthanc" not in answer.text
    assert "ApiVersion" not in answer.text


def test_metadata_are_whole_and_lead_to_us(viewer: Viewer, web: DICOMwebClient) -> None:
    found = web.retrieve_study_metadata(viewer.scan.study)
    assert len(found) == 5
    text = json.dumps(found)
    assert viewer.orthanc.url not in text
    assert str(viewer.orthanc.http_port) not in text
    (found,) = viewer.client.get(f"{viewer.shipped('waveform_ecg.dcm')}/metadata").json()
    assert str(viewer.orthanc.http_port) not in json.dumps(found)
    url = found["54000100"]["Value"][0]["54001010"]["BulkDataURI"]
    assert url.startswith(f"{viewer.base}/studies/")
    answer = viewer.client.get(url, headers={"Accept": "*/*"})
    assert answer.status_code == 200
    samples = pydicom.dcmread(SHIPPED / "waveform_ecg.dcm").WaveformSequence[0].WaveformData
    assert samples in answer.content
    (data,) = web.retrieve_bulkdata(url)
    assert data == samples


def test_frames_are_the_pixels_and_no_part_tells_where_the_archive_is(
    viewer: Viewer, web: DICOMwebClient
) -> None:
    path = viewer.shipped("CT_small.dcm")
    dataset = pydicom.dcmread(SHIPPED / "CT_small.dcm")
    uids = path.split("/")[3::2]
    study, one_series, instance = uids
    (frame,) = web.retrieve_instance_frames(study, one_series, instance, frame_numbers=[1])
    assert frame == dataset.PixelData
    answer = viewer.client.get(f"{path}/frames/1")
    assert answer.status_code == 200
    assert b"Content-Location" not in answer.content
    assert str(viewer.orthanc.http_port).encode() not in answer.content
    dataset = pydicom.dcmread(SHIPPED / "examples_ybr_color.dcm")
    uids = viewer.shipped("examples_ybr_color.dcm").split("/")[3::2]
    frames = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=30))
    accept = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    answer = viewer.client.get(
        f"{viewer.shipped('examples_ybr_color.dcm')}/frames/3,15", headers={"Accept": accept}
    )
    assert frames[2] in answer.content
    assert frames[14] in answer.content
    assert viewer.client.get(f"{path}/frames/2").status_code == 404
    for wrong in ("0", "x", "1,,2", "-1", "1;2"):
        assert viewer.client.get(f"{path}/frames/{wrong}").status_code == 400, wrong


def test_one_thing_is_given_without_parts_to_who_wants_it_so(viewer: Viewer) -> None:
    """As viewers fetch bulk data and files; several things are given in parts only."""
    path = viewer.shipped("CT_small.dcm")
    file = (SHIPPED / "CT_small.dcm").read_bytes()
    pixels = pydicom.dcmread(SHIPPED / "CT_small.dcm").PixelData
    waveform = pydicom.dcmread(SHIPPED / "waveform_ecg.dcm").WaveformSequence[0].WaveformData
    bulk = f"{viewer.shipped('waveform_ecg.dcm')}/bulk/54000100/1/54001010"
    octets, dicom = "application/octet-stream", "application/dicom"
    for target, accept, expected in (
        (f"{path}/frames/1", octets, pixels),
        (path, dicom, file),
        (bulk, octets, waveform),
    ):
        answer = viewer.client.get(target, headers={"Accept": accept})
        assert answer.status_code == 200, target
        assert answer.headers["content-type"].partition(";")[0] == accept
        assert answer.content == expected, target
    frames = f"{viewer.shipped('examples_ybr_color.dcm')}/frames/1,2"
    assert viewer.client.get(frames, headers={"Accept": octets}).status_code == 406
    study = f"/dicom-web/studies/{viewer.scan.study}"
    assert viewer.client.get(study, headers={"Accept": dicom}).status_code == 406


def test_octets_are_pixels_that_need_no_codec_unless_another_syntax_is_taken(
    viewer: Viewer,
) -> None:
    """PS3.18 8.7.3.5.2: octets mean Explicit VR Little Endian where no syntax is named."""
    path = f"{viewer.shipped('examples_ybr_color.dcm')}/frames/1"
    dataset = pydicom.dcmread(SHIPPED / "examples_ybr_color.dcm")
    size = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
    plain = viewer.client.get(path, headers={"Accept": "application/octet-stream"})
    assert len(plain.content) == size
    (stored, *_) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=30)
    accept = "application/octet-stream; transfer-syntax=*"
    assert viewer.client.get(path, headers={"Accept": accept}).content == stored


def test_files_come_back_as_they_were_stored(viewer: Viewer, web: DICOMwebClient) -> None:
    found = web.retrieve_study(viewer.scan.study)
    assert len(found) == 5
    assert {each.PatientID for each in found} == {"P7"}
    answer = viewer.client.get(viewer.shipped("CT_small.dcm"))
    assert answer.headers["content-type"].startswith('multipart/related; type="application/dicom"')
    assert (SHIPPED / "CT_small.dcm").read_bytes() in answer.content


def test_pictures_are_drawn_or_it_is_said_that_there_are_none(viewer: Viewer) -> None:
    path = viewer.shipped("CT_small.dcm")
    for accept, type_, start in (
        ("image/png", "image/png", b"\x89PNG"),
        ("image/jpeg", "image/jpeg", b"\xff\xd8"),
        ("*/*", "image/jpeg", b"\xff\xd8"),
    ):
        answer = viewer.client.get(f"{path}/rendered", headers={"Accept": accept})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == type_
        assert answer.content.startswith(start)
    small = viewer.client.get(f"{path}/rendered?viewport=32%2C32", headers={"Accept": "image/png"})
    assert small.content[16:24] == bytes([0, 0, 0, 32, 0, 0, 0, 32])
    color = viewer.shipped("examples_ybr_color.dcm")
    assert viewer.client.get(f"{color}/frames/7/rendered").status_code == 200
    assert viewer.client.get(f"{color}/frames/31/rendered").status_code == 406
    for name in ("reportsi.dcm", "rtdose.dcm"):
        answer = viewer.client.get(f"{viewer.shipped(name)}/rendered")
        assert answer.status_code == 406
        assert answer.json()["resourceType"] == "OperationOutcome"
    assert viewer.client.get(f"{path}/rendered?viewport=1e9,1").status_code == 400


def greys(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as picture:
        found = picture.convert("L").getextrema()
    return int(found[0]), int(found[1])  # type: ignore[arg-type]


def test_a_picture_without_a_window_of_its_own_is_not_black(viewer: Viewer) -> None:
    """An archive draws its values as they are; the values of a CT begin at -1024."""
    path = viewer.shipped("CT_small.dcm")
    png = {"Accept": "image/png"}
    for each in ("rendered", "thumbnail", "frames/1/rendered"):
        answer = viewer.client.get(f"{path}/{each}", headers=png)
        least, most = greys(answer.content)
        assert least < 10, each
        assert most > 240, each
    narrow = viewer.client.get(f"{path}/rendered?window=40,80,linear", headers=png)
    whole = viewer.client.get(f"{path}/rendered?window=135,2064,linear", headers=png)
    assert narrow.content != whole.content
    for wrong in ("40", "x,80", "40,0", "40,80,cubic", "nan,1", "1e999,2"):
        answer = viewer.client.get(f"{path}/rendered?window={wrong}")
        assert answer.status_code == 400, wrong


def test_thumbnails_are_small_cached_and_never_an_error(viewer: Viewer) -> None:
    """Hazard: thumbnails of what has no picture, compressed syntaxes that cannot be drawn."""
    study = f"/dicom-web/studies/{viewer.scan.study}/thumbnail"
    answer = viewer.client.get(study)
    assert answer.headers["content-type"] == "image/png"
    again = viewer.client.get(study, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    large = viewer.client.get(f"{viewer.shipped('CT_small.dcm')}/thumbnail?viewport=4000,4000")
    assert large.headers["content-type"] == "image/png"
    assert int.from_bytes(large.content[16:20]) <= 512
    middle = viewer.client.get(f"{viewer.shipped('examples_ybr_color.dcm')}/thumbnail")
    explicit = viewer.client.get(f"{viewer.shipped('examples_ybr_color.dcm')}/frames/16/thumbnail")
    assert middle.content == explicit.content
    for name, modality in (("reportsi.dcm", "SR"), ("rtdose.dcm", "RTDOSE")):
        answer = viewer.client.get(f"{viewer.shipped(name)}/thumbnail")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("image/svg+xml")
        assert modality in answer.text
        assert "Warning" in answer.headers


def test_a_study_without_images_here_is_not_shown_by_any_door(viewer: Viewer) -> None:
    auth = (viewer.orthanc.settings.user, viewer.orthanc.settings.password)
    uid = viewer.shipped("JPEG2000.dcm").split("/")[3]
    study = viewer.client.get(f"/fhir/ImagingStudy/{uid}").json()
    headers = {"Content-Type": "application/fhir+json"}
    hidden = study | {"status": "entered-in-error"}
    path = f"/fhir/ImagingStudy/{uid}"
    assert viewer.client.put(path, json=hidden, headers=headers).status_code == 200
    try:
        found = viewer.client.get("/dicom-web/studies").json()
        assert uid not in values(found, STUDY)
        assert viewer.client.get(f"/dicom-web/studies?StudyInstanceUID={uid}").json() == []
        instance = viewer.shipped("JPEG2000.dcm")
        for each in (
            f"/dicom-web/studies/{uid}", f"/dicom-web/studies/{uid}/series",
            f"/dicom-web/studies/{uid}/metadata", f"/dicom-web/studies/{uid}/thumbnail",
            f"{instance}/frames/1", f"{instance}/rendered", f"{instance}/bulk/7fe00010", instance,
        ):  # fmt: skip
            assert viewer.client.get(each).status_code == 404, each
        assert httpx.get(f"{viewer.orthanc.url}/studies", auth=auth).status_code == 200
    finally:
        current = viewer.client.put(path, json=study, headers=headers)
        assert current.status_code == 200


def related(parts: list[bytes], *, whole: bool = True) -> tuple[bytes, dict[str, str]]:
    body = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n" + each + b"\r\n" for each in parts
    )
    type_ = 'multipart/related; type="application/dicom"; boundary=b'
    return body + (b"--b--\r\n" if whole else b""), {"Content-Type": type_}


def test_stow_tells_of_each_instance_and_junk_hides_none(
    viewer: Viewer, web: DICOMwebClient
) -> None:
    """An archive's own STOW says 400 where it kept files, and 200 where it kept none."""
    scan = Scan()
    datasets = series(scan, 2)
    first, second = map(content, datasets)
    body, headers = related([first, b"junk", second])
    answer = viewer.client.post("/dicom-web/studies", content=body, headers=headers)
    assert answer.status_code == 202
    found = answer.json()
    assert len(found["00081199"]["Value"]) == 2
    (failed,) = found["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xC000]
    assert found["00081190"]["Value"] == [f"{viewer.base}/studies/{scan.study}"]
    body, headers = related([b"junk"])
    assert (
        viewer.client.post("/dicom-web/studies", content=body, headers=headers).status_code == 409
    )
    body, headers = related(files(2), whole=False)
    answer = viewer.client.post("/dicom-web/studies", content=body, headers=headers)
    assert answer.status_code == 400
    body, headers = related(files(1))
    url = f"/dicom-web/studies/{generate_uid()}"
    answer = viewer.client.post(url, content=body, headers=headers)
    assert answer.status_code == 409
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0x0110]
    datasets[0].PatientName = "Other"
    body, headers = related([content(datasets[0])])
    answer = viewer.client.post("/dicom-web/studies", content=body, headers=headers)
    assert answer.status_code == 409, "the same UID with other bytes"
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0x0111]
    answer = viewer.client.post("/dicom-web/studies", content=b"x")
    assert answer.status_code == 415
    with odd_values():
        (dataset,) = series(Scan(study=scan.study))
        content(dataset)
        dataset.preamble = bytes(128)
        stored = web.store_instances([dataset], scan.study)
    assert len(stored.ReferencedSOPSequence) == 1


def test_two_patients_under_one_study_uid_are_not_shown(viewer: Viewer) -> None:
    """The archive keeps two studies then, and its own WADO-RS says 404."""
    auth = (viewer.orthanc.settings.user, viewer.orthanc.settings.password)
    scan = Scan(study=viewer.shipped("rtdose.dcm").split("/")[3], patient="SOMEBODY")
    (data,) = files(1, scan)
    answer = httpx.post(f"{viewer.orthanc.url}/instances", content=data, auth=auth)
    assert answer.status_code == 200
    try:
        # For so long a study may be taken for what it was.
        time.sleep(1.1)
        answer = viewer.client.get(f"/dicom-web/studies/{scan.study}/metadata")
        assert answer.status_code in (404, 409)
        assert "SOMEBODY" not in answer.text
        found = viewer.client.get(f"/dicom-web/studies?StudyInstanceUID={scan.study}").json()
        assert found == []
    finally:
        study = answer_id(viewer, auth, scan)
        httpx.delete(f"{viewer.orthanc.url}/studies/{study}", auth=auth)


def answer_id(viewer: Viewer, auth: tuple[str, str], scan: Scan) -> str:
    query = {"StudyInstanceUID": scan.study, "PatientID": scan.patient}
    found = httpx.post(
        f"{viewer.orthanc.url}/tools/find", json={"Level": "Study", "Query": query}, auth=auth
    )
    (id_,) = found.json()
    return str(id_)


def test_pages_of_another_origin_may_ask_if_it_is_listed(viewer: Viewer) -> None:
    for path in ("/dicom-web/studies", "/fhir/Patient", "/dicom/uploads"):
        answer = viewer.client.get(path, headers={"Origin": viewer.page})
        assert answer.headers["access-control-allow-origin"] == viewer.page, path
        answer = viewer.client.get(path, headers={"Origin": "http://other.example"})
        assert "access-control-allow-origin" not in answer.headers, path


def test_browsers_take_nothing_for_a_page(viewer: Viewer) -> None:
    """Hazard: XSS; what devices and clients made is given as what it is, and guessed by nobody."""
    path = viewer.shipped("CT_small.dcm")
    bulk = f"{viewer.shipped('waveform_ecg.dcm')}/bulk/54000100/1/54001010"
    allowed = {
        "application/dicom+json", "application/octet-stream", "application/dicom", "image/png",
        "image/jpeg", "image/svg+xml", "multipart/related", "application/fhir+json",
    }  # fmt: skip
    for target, accept in (
        ("/dicom-web/studies", "*/*"), (f"{path}/metadata", "*/*"), (f"{path}/frames/1", "*/*"),
        (f"{path}/frames/1", "application/octet-stream"), (path, "application/dicom"),
        (path, "*/*"), (bulk, "application/octet-stream"), (f"{path}/rendered", "*/*"),
        (f"{path}/thumbnail", "*/*"), (f"{viewer.shipped('reportsi.dcm')}/thumbnail", "*/*"),
        ("/dicom-web/studies?<script>", "text/html"), ("/dicom-web/studies/1.2.3/series", "*/*"),
    ):  # fmt: skip
        answer = viewer.client.get(target, headers={"Accept": accept})
        assert answer.headers["x-content-type-options"] == "nosniff", target
        assert answer.headers["content-type"].partition(";")[0] in allowed, target


def test_a_file_read_back_has_the_digest_of_the_file_sent(viewer: Viewer) -> None:
    data = (SHIPPED / "JPEG2000.dcm").read_bytes()
    answer = viewer.client.get(viewer.shipped("JPEG2000.dcm"))
    start = answer.content.index(b"\r\n\r\n") + 4
    found = answer.content[start : start + len(data)]
    assert hashlib.sha256(found).digest() == hashlib.sha256(data).digest()
    assert pydicom.dcmread(io.BytesIO(found)).SOPClassUID
