"""What the tests of searches share."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.interactions.searching import steps

# The rows of a walk, matches gathered and ends of a chain: as the server has them, and so few that
# small data pass through every step of a search.
_STEPS = {
    "roomy": None,
    "walking": (2, 5, 0, 0),
    "gathering": (1, 1, 3, 1),
}


@pytest.fixture(scope="module")
def definition_folders() -> Sequence[Path]:
    """None: many of these tests look at everything there is."""
    return ()


@pytest.fixture(params=list(_STEPS.values()), ids=list(_STEPS))
def every_step(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test once with the server's own limits of a search's steps, and with tiny ones."""
    if request.param is None:
        yield
    else:
        with steps(*request.param):
            yield
