import pytest

from fhir_server.spec import definitions
from fhir_server.validation.structure import StructureCheck


@pytest.fixture(scope="session")
def structure() -> StructureCheck:
    return StructureCheck(definitions())
