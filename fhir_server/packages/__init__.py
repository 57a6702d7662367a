"""Implementation guides as they are published: FHIR packages of npm."""

from fhir_server.packages.manifest import Manifest
from fhir_server.packages.reader import Limits, Package, read, read_path

__all__ = ["Limits", "Manifest", "Package", "read", "read_path"]
