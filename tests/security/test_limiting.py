"""Who asks too often, or guesses, has to wait; nobody else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.outcome import Issue, Refusal
from fhir_server.security import limiting
from fhir_server.security.access import UNLIMITED
from fhir_server.security.gate import Admitted, Asked, OpenGate
from fhir_server.security.limiting import Buckets, LimitingGate, TooMany
from fhir_server.security.principal import program


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Names:
    """A gate that believes the name in a header, and wants one."""

    async def admit(self, asked: Asked) -> Admitted:
        name = asked.headers.get("name")
        if name is None:
            raise Refusal(Issue("login", "Who are you?"), status=401)
        return Admitted(program(name), "default", UNLIMITED)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_bucket_holds_a_burst_and_fills_again(clock: Clock) -> None:
    buckets = Buckets(rate=2, burst=3, clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    clock.now += 0.5
    assert buckets.wait("a") == 0
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]
    clock.now += 1000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


@given(st.lists(st.floats(0, 10), max_size=50), st.floats(0.1, 50), st.floats(1, 20))
def test_no_more_are_taken_than_burst_and_rate_allow(
    pauses: list[float], rate: float, burst: float
) -> None:
    clock = Clock()
    buckets = Buckets(rate, burst, clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += buckets.take("a") == 0
    assert taken <= burst + rate * sum(pauses) + 1e-6


def test_of_very_many_the_quiet_ones_are_forgotten(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiting, "_MOST_KEPT", 2)
    buckets = Buckets(rate=1, burst=1, clock=clock)
    assert [buckets.take(name) for name in "abab"] == [0, 0, 1, 1]
    assert buckets.take("c") == 0
    assert buckets.take("a") == 0


async def test_each_principal_has_a_limit_of_their_own(clock: Clock) -> None:
    gate = LimitingGate(Names(), Buckets(1, 2, clock), Buckets(1, 5, clock))
    for name in ("a", "b", "a", "b"):
        assert (await gate.admit(Asked({"name": name}))).principal.name == name
    with pytest.raises(TooMany) as caught:
        await gate.admit(Asked({"name": "a"}))
    assert caught.value.status == 429
    assert caught.value.headers == {"Retry-After": "1"}
    assert caught.value.issues[0].code == "throttled"
    clock.now += 1
    await gate.admit(Asked({"name": "a"}))


async def test_where_nobody_says_who_they_are_addresses_have_limits(clock: Clock) -> None:
    gate = LimitingGate(OpenGate(), Buckets(1, 1, clock), Buckets(1, 5, clock))
    await gate.admit(Asked({}, "192.0.2.1"))
    await gate.admit(Asked({}, "192.0.2.2"))
    with pytest.raises(TooMany):
        await gate.admit(Asked({}, "192.0.2.1"))


async def test_an_address_that_guesses_has_to_wait_and_its_neighbours_do_not(clock: Clock) -> None:
    gate = LimitingGate(Names(), None, Buckets(0.1, 2, clock))
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            await gate.admit(Asked({}, "192.0.2.1"))
        assert caught.value.status == 401
    with pytest.raises(TooMany) as waiting:
        await gate.admit(Asked({}, "192.0.2.1"))
    assert waiting.value.headers == {"Retry-After": "10"}
    assert (await gate.admit(Asked({"name": "a"}, "192.0.2.1"))).principal.name == "a"
    with pytest.raises(Refusal) as elsewhere:
        await gate.admit(Asked({}, "192.0.2.2"))
    assert elsewhere.value.status == 401
