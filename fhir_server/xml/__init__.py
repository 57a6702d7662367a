"""Resources as XML, in and out (R4 xml.html)."""

from fhir_server.xml.decode import decode_xml
from fhir_server.xml.encode import encode_xml

__all__ = ["decode_xml", "encode_xml"]
