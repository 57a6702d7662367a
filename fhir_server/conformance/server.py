"""The server under test: where it is and what it says it can do."""

import asyncio
from dataclasses import dataclass, field

from fhir_server.conformance import paths
from fhir_server.conformance.client import Client, NoAnswer
from fhir_server.conformance.content import Content, NoResource, Request, Response
from fhir_server.conformance.requests import CannotBuild


@dataclass(slots=True)
class Server:
    """What scripts are carried out against.

    destinations: base URLs by the numbers that scripts use; 1 is the server itself.
    """

    client: Client
    destinations: dict[int, str]
    _capabilities: Response | NoAnswer | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def base_url(self, destination: int | None) -> str:
        """The base URL of a destination. Raises CannotBuild for one that nobody named."""
        url = self.destinations.get(destination or 1)
        if url is None:
            raise CannotBuild(
                f"there is no server {destination}: --destination {destination}=URL says where"
            )
        return url

    async def capabilities(self) -> Content:
        """The CapabilityStatement, asked for once. Raises NoAnswer."""
        async with self._asking:
            if self._capabilities is None:
                accept = [("Accept", "application/fhir+json")]
                request = Request("GET", f"{self.base_url(1)}/metadata", accept)
                try:
                    self._capabilities = await self.client.send(request)
                except NoAnswer as error:
                    self._capabilities = error
        if isinstance(self._capabilities, NoAnswer):
            raise self._capabilities.with_traceback(None)
        if self._capabilities.status != 200:
            to = self._capabilities.header("Location")
            lead = f", a redirect to {to}" if to else ""
            raise NoAnswer(f"GET /metadata is answered with {self._capabilities.status}{lead}")
        return self._capabilities

    async def lacks(self, versions: tuple[str, ...], capability: str | None) -> str | None:
        """Why a script or test is not for this server; None if it is.

        Raises NoAnswer and CannotEvaluate.
        """
        if not versions and capability is None:
            return None
        statement = await self.capabilities()
        try:
            version = str(statement.resource.get("fhirVersion", ""))
            if versions and not any(_covers(each, version) for each in versions):
                return f"it is for FHIR {', '.join(versions)}, the server has {version}"
            if capability and paths.condition(capability, statement) is not True:
                return f"the server does not declare: {capability}"
        except NoResource as error:
            raise NoAnswer(f"GET /metadata: {error}") from None
        return None


def _covers(wanted: str, version: str) -> bool:
    return version == wanted or version.startswith(f"{wanted}.")
