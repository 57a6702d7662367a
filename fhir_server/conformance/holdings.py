"""What a script has at hand while it runs: fixtures, requests and responses by their ids."""

from collections.abc import Mapping

from fhir_server.conformance.content import Content, Held, NoResource, Request, Response
from fhir_server.conformance.model import Script
from fhir_server.conformance.requests import CannotBuild
from fhir_server.conformance.values import Values


class Holdings:
    """The contents of one run of a script.

    fixtures: as they were loaded, with their placeholders as they stand.
    given: values of variables from outside.
    """

    def __init__(
        self, script: Script, fixtures: Mapping[str, Content], given: Mapping[str, str]
    ) -> None:
        self._fixtures = fixtures
        self._dynamic: dict[str, Content] = {}
        self.last_request: Request | None = None
        self.last_response: Response | None = None
        self.values = Values(script.variables, given, self.find)

    def find(self, id_: str | None) -> Content | None:
        """What has an id, or the last response for None. Raises NoValue."""
        if id_ is None:
            return self.last_response
        if id_ in self._dynamic:
            return self._dynamic[id_]
        fixture = self._fixtures.get(id_)
        return None if fixture is None else self._filled(fixture)

    def named(self, id_: str) -> Content:
        """What has an id. Raises CannotBuild for what there is not (yet)."""
        found = self.find(id_)
        if found is None:
            raise CannotBuild(f"there is no fixture, request or response '{id_}'")
        return found

    def sent(self, request: Request, id_: str | None) -> None:
        """Keep a request; what was received before is no answer to it."""
        self.last_request, self.last_response = request, None
        if id_ is not None:
            request.what = f"the request '{id_}'"
            self._dynamic[id_] = request

    def received(self, response: Response, id_: str | None) -> None:
        """Keep a response."""
        self.last_response = response
        if id_ is not None:
            response.what = f"the response '{id_}'"
            self._dynamic[id_] = response

    def created(self, id_: str, fixture: Content, response: Response) -> None:
        """Know a fixture by the id that the server gave it."""
        resource = dict(fixture.resource)
        location = (response.header("Location") or "").rstrip("/").split("/_history/")[0]
        try:
            resource["id"] = response.resource["id"]
        except (NoResource, KeyError):
            resource["id"] = location.rpartition("/")[2]
        self._dynamic[id_] = Held(fixture.what, resource)

    def _filled(self, fixture: Content) -> Content:
        if b"${" not in fixture.body:
            return fixture
        try:
            resource = fixture.resource
        except NoResource:
            text = fixture.body.decode("utf-8", "surrogateescape")
            filled = str(self.values.fill_known(text))
            return Content(fixture.what, filled.encode("utf-8", "surrogateescape"))
        return Held(fixture.what, self.values.fill_known(resource))
