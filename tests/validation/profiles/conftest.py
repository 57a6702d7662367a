import pytest

from fhir_server.spec import definitions
from fhir_server.validation.profiles.profile import Profiles
from fhir_server.validation.profiles.validator import Invariants


@pytest.fixture(scope="session")
def invariants() -> Invariants:
    return Invariants(Profiles(lambda _: None, definitions()))
