"""$read-tags and $modify-tags: the tags of a DICOM file that is sent along, and not stored."""

import asyncio
import base64
import binascii

from fhir_server.context import Context
from fhir_server.fhir_json import encode
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.result import Result
from fhir_server.operations.operation import Operation
from fhir_server.operations.parameters import Parameters
from fhir_server.outcome import Invalid, Issue
from fhir_server.spec.operations import OWN_BASE

# What reads DICOM is not imported by processes that are never asked to.


async def read_tags(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """The tags of a file, and whether an upload would take it."""
    from fhir_server.uploads import tags

    private = parameters.flag("private")
    parts = await asyncio.to_thread(tags.read, _content(parameters), private=private)
    return Result(200, encode({"resourceType": "Parameters", "parameter": parts}))


async def modify_tags(engine: Engine, ctx: Context, parameters: Parameters) -> Result:
    """The file with other tags."""
    from fhir_server.uploads import tags

    without_private = parameters.flag("remove-private")
    asked = tags.correction(parameters.all("tag"), without_private=without_private)
    parts = await asyncio.to_thread(tags.modified, _content(parameters), asked)
    return Result(200, encode({"resourceType": "Parameters", "parameter": parts}))


def _content(parameters: Parameters) -> bytes:
    try:
        return base64.b64decode(parameters.text("file"), validate=True)
    except binascii.Error:
        raise Invalid(Issue("value", "file: expected Base64"), status=422) from None


READ_TAGS = Operation(
    "ImagingStudy-read-tags", read_tags, "The tags of a DICOM file, which is not stored",
    base=OWN_BASE,
)  # fmt: skip
MODIFY_TAGS = Operation(
    "ImagingStudy-modify-tags", modify_tags, "A DICOM file with other tags, not stored either",
    base=OWN_BASE,
)  # fmt: skip
