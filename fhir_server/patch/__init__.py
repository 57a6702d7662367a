"""Patches in every format that FHIR knows, as functions from a resource to a changed one."""

from fhir_server.patch.formats import (
    PATCH_FORMATS,
    PatchFormat,
    parse_patch,
    patch_format,
    patch_in_bundle,
)
from fhir_server.patch.problems import Patch, PatchFailed

__all__ = [
    "PATCH_FORMATS",
    "Patch",
    "PatchFailed",
    "PatchFormat",
    "parse_patch",
    "patch_format",
    "patch_in_bundle",
]
