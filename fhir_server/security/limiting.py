"""How often somebody may ask, and fail to say who they are: buckets of tokens, one a process."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from fhir_server.outcome import Issue, Refusal
from fhir_server.security.gate import Admitted, Asked, Gate
from fhir_server.security.principal import LOCAL

_MOST_KEPT = 20_000


class TooMany(Refusal):
    """Somebody asks too often: 429, with the time after which it is worth asking again."""

    def __init__(self, seconds: float) -> None:
        wait = max(1, math.ceil(seconds))
        text = f"Too many requests; expected the next in {wait} s"
        super().__init__(Issue("throttled", text), status=429, headers={"Retry-After": str(wait)})


class Buckets:
    """A bucket for everybody: so many at once, and so many a second from then on.

    A process counts for itself. Of very many, those that were quiet longest are forgotten.
    """

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str) -> float:
        """Seconds until they may again; 0 if they may now. Nothing is taken."""
        return max(0.0, (1.0 - self._content(who, self._clock())) / self._rate)

    def take(self, who: str) -> float:
        """Take one of theirs if there is one. Seconds until there is; 0 if it was taken."""
        now = self._clock()
        content = self._content(who, now)
        if content < 1.0:
            return (1.0 - content) / self._rate
        self._buckets[who] = content - 1.0, now
        self._buckets.move_to_end(who)
        if len(self._buckets) > _MOST_KEPT:
            self._buckets.popitem(last=False)
        return 0.0

    def _content(self, who: str, now: float) -> float:
        content, since = self._buckets.get(who, (self._burst, now))
        return min(self._burst, content + (now - since) * self._rate)


class LimitingGate:
    """A gate before another: who asks too often, or fails too often, has to wait.

    requests: of each principal, or each address as long as nobody says who they are; None for no
        limit. failures: of each address.
    """

    def __init__(self, inner: Gate, requests: Buckets | None, failures: Buckets) -> None:
        self._inner = inner
        self._requests = requests
        self._failures = failures

    async def admit(self, asked: Asked) -> Admitted:
        """Who asks. Raises `TooMany` beside what the other gate raises."""
        try:
            admitted = await self._inner.admit(asked)
        except Refusal as refusal:
            # Others at the address, who say who they are, are not made to wait for it.
            if refusal.status == 401 and (seconds := self._failures.take(asked.address)):
                raise TooMany(seconds) from None
            raise
        if self._requests is not None:
            who = admitted.principal.name
            if admitted.principal is LOCAL:
                who = asked.address
            if seconds := self._requests.take(who):
                raise TooMany(seconds)
        return admitted
