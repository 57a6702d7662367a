"""From a bearer token to who asks, remembered so that a token is not checked for every request."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Protocol

from fhir_server.identity.claims import principal_of
from fhir_server.identity.issuers import Issuer
from fhir_server.identity.jwks import RemoteKeys
from fhir_server.identity.tokens import LEEWAY_SECONDS, Trusted, Verified, Verifier
from fhir_server.security.principal import Principal

# Nobody has to be asked whether a token is still good for so long.
EXTERNAL_SECONDS = 300.0
_MOST_REMEMBERED = 10_000


class Judge(Protocol):
    """Says whom the verified token of an issuer tells of, and for how long that may be believed."""

    async def judge(self, verified: Verified) -> tuple[Principal, float]:
        """The principal, and seconds. Raises `Unauthorized`."""


class Remembering:
    """An authenticator that remembers its verdicts for a while.

    judges: by issuer; whoever has none is judged by the claims alone.
    """

    def __init__(
        self,
        verifier: Verifier,
        base_url: str,
        judges: dict[str, Judge] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._judges = judges or {}
        self._claims = ByClaims(base_url)
        self._now = now
        self._known: OrderedDict[bytes, tuple[Principal, float, str]] = OrderedDict()
        self._forgotten = 0

    async def principal(self, token: str) -> Principal:
        """Who asks. Raises `Unauthorized`, and `Unavailable` while that cannot be found out."""
        digest = sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._now() < known[1]:
            return known[0]
        self._known.pop(digest, None)
        before = self._forgotten
        verified = await self._verifier.verified(token)
        issuer = verified.issuer.issuer
        found, seconds = await self._judges.get(issuer, self._claims).judge(verified)
        until = min(self._now() + seconds, verified.expires + LEEWAY_SECONDS)
        if before == self._forgotten:
            # Else what was found may be what was to be forgotten.
            self._known[digest] = found, until, issuer
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return found

    def forget(self, issuer: str) -> None:
        """Ask again for every token of an issuer."""
        self._forgotten += 1
        for digest in [each for each, known in self._known.items() if known[2] == issuer]:
            del self._known[digest]


class ByClaims:
    """Believes what a token says: for issuers that cannot be asked anything else."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    async def judge(self, verified: Verified) -> tuple[Principal, float]:
        """The principal, and seconds. Raises `Unauthorized`."""
        return principal_of(verified.claims, verified.issuer, self._base_url), EXTERNAL_SECONDS


def trusting(issuers: Sequence[Issuer]) -> dict[str, Trusted]:
    """Issuers whose keys are fetched from them."""
    return {each.issuer: Trusted(each, RemoteKeys(each.issuer, each.jwks_url)) for each in issuers}
