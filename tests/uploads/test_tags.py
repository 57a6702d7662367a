"""DCM-3: tags read and modified without storing anything."""

import base64
import io
from typing import Any

import httpx
from pydicom import dcmread

from tests.answers import resource_of
from tests.dicom.images import Scan, requested, series
from tests.uploads.sending import content


def asked(data: bytes, *more: dict[str, Any]) -> dict[str, Any]:
    file = {"name": "file", "valueBase64Binary": base64.b64encode(data).decode()}
    return {"resourceType": "Parameters", "parameter": [file, *more]}


def named(part: dict[str, Any]) -> tuple[str, Any]:
    values = {each["name"]: each for each in part["part"]}
    name = values.get("name", values["tag"])["valueString"]
    return name, next((values[each] for each in ("value", "length", "item") if each in values), {})


async def test_tags_are_told_with_those_of_sequences_and_private_ones_only_if_wanted(
    client: httpx.AsyncClient,
) -> None:
    (dataset,) = series(Scan("ACC-1", "P7", name="Grö^ße"), 1)
    dataset.RequestAttributesSequence = requested(["ACC-1"])
    block = dataset.private_block(0x0009, "SECRET", create=True)
    block.add_new(1, "LO", "secret patient note")
    data = content(dataset)
    found = resource_of(await client.post("ImagingStudy/$read-tags", json=asked(data)))
    tags = dict(named(each) for each in found["parameter"] if each["name"] == "tag")
    assert found["parameter"][0] == {"name": "acceptable", "valueBoolean": True}
    assert tags["PatientName"]["valueString"] == "Grö^ße"
    assert tags["PixelData"]["valueInteger"] == 64
    (item,) = tags["RequestAttributesSequence"]["part"]
    assert named(item) == ("AccessionNumber", {"name": "value", "valueString": "ACC-1"})
    assert "secret" not in str(found)
    private = {"name": "private", "valueBoolean": True}
    found = resource_of(await client.post("ImagingStudy/$read-tags", json=asked(data, private)))
    assert "secret patient note" in str(found)


async def test_a_file_that_an_upload_would_refuse_says_so(client: httpx.AsyncClient) -> None:
    (dataset,) = series(Scan())
    del dataset.StudyInstanceUID
    answer = await client.post("ImagingStudy/$read-tags", json=asked(content(dataset)))
    found = resource_of(answer)["parameter"]
    assert found[0]["valueBoolean"] is False
    assert "StudyInstanceUID" in found[1]["valueString"]
    answer = await client.post("ImagingStudy/$read-tags", json=asked(b"no image"))
    assert answer.status_code == 422


async def test_a_file_comes_back_with_other_tags_and_the_same_pixels(
    client: httpx.AsyncClient,
) -> None:
    (dataset,) = series(Scan("ACC-1", "P7"))
    dataset.private_block(0x0009, "SECRET", create=True).add_new(1, "LO", "secret")
    tag = {"name": "tag", "part": [
        {"name": "name", "valueString": "PatientName"}, {"name": "value", "valueString": "山田"},
    ]}  # fmt: skip
    emptied = {"name": "tag", "part": [{"name": "name", "valueString": "AccessionNumber"}]}
    private = {"name": "remove-private", "valueBoolean": True}
    body = asked(content(dataset), tag, emptied, private)
    found = resource_of(await client.post("ImagingStudy/$modify-tags", json=body))["parameter"]
    modified = dcmread(io.BytesIO(base64.b64decode(found[0]["valueBase64Binary"])))
    assert str(modified.PatientName) == "山田"
    assert modified.AccessionNumber == ""
    assert modified.PatientID == "P7"
    assert modified.PixelData == dataset.PixelData
    assert not any(each.tag.is_private for each in modified)
    assert found[-1] == {"name": "private-removed", "valueInteger": 2}


async def test_what_makes_an_object_another_one_cannot_be_modified(
    client: httpx.AsyncClient,
) -> None:
    """Hazard: modify; a file is corrected before it is stored, and stays the same object."""
    data = content(series(Scan())[0])
    for name in ("SOPInstanceUID", "StudyInstanceUID", "PixelData", "NoSuchTag", "Rows"):
        tag = {"name": "tag", "part": [{"name": "name", "valueString": name}]}
        answer = await client.post("ImagingStudy/$modify-tags", json=asked(data, tag))
        assert answer.status_code == 422, name
        assert name in answer.text
    answer = await client.post("ImagingStudy/$modify-tags", json=asked(data))
    assert answer.status_code == 422
