"""Carries out one script: setup, tests, and always the teardown (R4 testscript.html)."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fhir_server.conformance.asserts import Evidence, Unfounded, judge
from fhir_server.conformance.client import NoAnswer
from fhir_server.conformance.content import Content, NoResource, Request
from fhir_server.conformance.fixtures import MissingFixture, load
from fhir_server.conformance.holdings import Holdings
from fhir_server.conformance.model import Action, Assert, Fixture, Operation, Script, Test
from fhir_server.conformance.paths import CannotEvaluate
from fhir_server.conformance.profiles import ProfileCheck
from fhir_server.conformance.requests import CannotBuild, Sources, request
from fhir_server.conformance.results import (
    ActionResult,
    Exchange,
    PartResult,
    Result,
    ScriptResult,
)
from fhir_server.conformance.server import Server
from fhir_server.conformance.values import NoValue

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Options:
    """How scripts are carried out.

    format: `json` or `xml`, where an operation does not say.
    variables: values that win over those of the script.
    examples: folder of resources for fixtures that ask for any of a type.
    any_success: whether the response `okay` means any status from 200 to 299 instead of 200.
    only: whether a test is wanted, by its name.
    """

    format: str = "json"
    variables: Mapping[str, str] = field(default_factory=dict)
    examples: Path | None = None
    any_success: bool = False
    only: Callable[[str], bool] = lambda _: True
    sleep: Sleep = asyncio.sleep


async def run(
    script: Script,
    server: Server,
    options: Options,
    done: Callable[[PartResult], None] = lambda _: None,
    result: ScriptResult | None = None,
) -> ScriptResult:
    """Carry out a script.

    done: told of setup, each test and teardown as they end.
    result: from `begun`, to be filled; whoever cancels the run finds there what came of it.
    """
    if result is None:
        result = begun(script, server, options)
    started = time.monotonic()
    try:
        reason = await server.lacks(script.versions, script.capability)
        if reason is not None:
            result.tests = [_skipped(test, n, reason) for n, test in enumerate(script.tests)]
            for test in result.tests:
                done(test)
        else:
            fixtures = {each.id: load(each, script, options.examples) for each in script.fixtures}
            await _Run(script, server, options, fixtures, result, done).all()
    except (NoAnswer, MissingFixture, CannotEvaluate) as error:
        result.problem = str(error)
    except asyncio.CancelledError:
        result.interrupted = True
        _skip_the_rest(script, options, result)
        raise
    finally:
        result.seconds = time.monotonic() - started
    return result


def begun(script: Script, server: Server, options: Options) -> ScriptResult:
    """What comes of a script, before anything was carried out."""
    return ScriptResult(
        script.label, script.title, script.reference, options.format, server.base_url(1)
    )


_INTERRUPTED = "the run was interrupted"


def _skip_the_rest(script: Script, options: Options, result: ScriptResult) -> None:
    """Tests that an interruption left out."""
    begun_ = {part.number for part in result.tests}
    for number, test in enumerate(script.tests):
        if number not in begun_ and options.only(test.name):
            result.tests.append(_skipped(test, number, _INTERRUPTED))


def _skipped(test: Test, number: int, reason: str) -> PartResult:
    actions = [_skip(action, "") for action in test.actions]
    first = ActionResult(isinstance(test.actions[0], Operation), Result.SKIP, "skipped", reason)
    return PartResult(test.name, test.description, number, [first, *actions[1:]])


def _skip(action: Action, reason: str) -> ActionResult:
    return ActionResult(isinstance(action, Operation), Result.SKIP, _title(action), reason)


def _title(action: Action) -> str:
    return (
        action.description
        or action.label
        or (action.type if isinstance(action, Operation) else action.kind)
    )


class _Run:
    """One script under way."""

    def __init__(
        self,
        script: Script,
        server: Server,
        options: Options,
        fixtures: Mapping[str, Content],
        result: ScriptResult,
        done: Callable[[PartResult], None],
    ) -> None:
        self._script = script
        self._server = server
        self._options = options
        self._held = Holdings(script, fixtures, options.variables)
        self._result = result
        self._done = done
        self._sources = Sources(self._held.named, self._base_url, self._held.values, options.format)

    def _base_url(self, destination: int | None) -> str:
        if destination is None and len(self._script.destinations) > 1:
            raise CannotBuild("the script has several destinations; expected one to be named")
        return self._server.base_url(destination)

    async def all(self) -> None:
        """Setup, tests and teardown."""
        try:
            setup = await self._setup()
            for number, test in enumerate(self._script.tests):
                if self._options.only(test.name):
                    await self._test(test, number, setup)
        finally:
            await self._teardown()

    async def _setup(self) -> str:
        """Carry out the setup; says why tests cannot be, or nothing."""
        created = [each for each in self._script.fixtures if each.autocreate]
        if not created and not self._script.setup:
            return ""
        part = self._result.setup = PartResult("setup")
        started = time.monotonic()
        for fixture in created:
            if not part.failed:
                part.actions.append(await self._create(fixture))
        await self._actions(self._script.setup, part)
        part.seconds = time.monotonic() - started
        self._done(part)
        return f"the setup failed: {part.message}" if part.failed else ""

    async def _test(self, test: Test, number: int, setup: str) -> None:
        values: Sequence[str | None] = test.parameters.values if test.parameters else (None,)
        for value in values:
            part = PartResult(test.name, test.description, number)
            if value is not None and test.parameters:
                part.name = f"{test.name} [{value}]"
            started = time.monotonic()
            reason = setup or await self._lacks(test)
            if reason:
                part = _skipped(test, number, reason)
            self._result.tests.append(part)
            try:
                if not reason:
                    await self._tried(test, value, part)
            except asyncio.CancelledError:
                if not part.failed:
                    # What was not carried out to its end has not passed.
                    part.actions = _skipped(test, number, _INTERRUPTED).actions
                raise
            part.seconds = time.monotonic() - started
            self._done(part)

    async def _tried(self, test: Test, value: str | None, part: PartResult) -> None:
        if value is None or test.parameters is None:
            await self._actions(test.actions, part)
            return
        with self._held.values.with_value(test.parameters.variable, value):
            await self._actions(test.actions, part)

    async def _lacks(self, test: Test) -> str:
        return await self._server.lacks(test.versions, test.capability) or ""

    async def _teardown(self) -> None:
        deleted = [each for each in self._script.fixtures if each.autodelete]
        if not deleted and not self._script.teardown:
            return
        part = self._result.teardown = PartResult("teardown")
        started = time.monotonic()
        for operation in self._script.teardown:
            part.actions.append(await self._operation(operation))
        for fixture in deleted:
            title = f"delete the fixture '{fixture.id}'"
            operation = Operation("delete", target_id=fixture.id, description=title)
            part.actions.append(await self._operation(operation))
        part.seconds = time.monotonic() - started
        self._done(part)

    async def _create(self, fixture: Fixture) -> ActionResult:
        title = f"create the fixture '{fixture.id}'"
        made = await self._operation(Operation("create", source_id=fixture.id, description=title))
        response = self._held.last_response
        if made.result is not Result.PASS or response is None:
            return made
        if response.status not in (200, 201):
            message = f"status: expected 201, found {response.status}"
            return ActionResult(True, Result.FAIL, title, message, made.exchange)
        self._held.created(fixture.id, self._held.named(fixture.id), response)
        return made

    async def _actions(self, actions: Sequence[Action], part: PartResult) -> None:
        """Carry out actions up to the first failure; alternatives are judged together."""
        stopped = part.failed
        groups = Counter(each.group for each in actions if isinstance(each, Assert))
        alternatives: dict[str, list[ActionResult]] = {}
        for action in actions:
            if stopped:
                part.actions.append(_skip(action, ""))
                continue
            if isinstance(action, Operation):
                made = await self._operation(action)
            else:
                made = self._assert(action)
                if action.group is not None:
                    members = alternatives.setdefault(action.group, [])
                    members.append(made)
                    made = _member(made, members, groups[action.group] == len(members))
            part.actions.append(made)
            stops = isinstance(action, Operation) or action.stops
            stopped = stops and made.result in (Result.FAIL, Result.ERROR)

    async def _operation(self, operation: Operation) -> ActionResult:
        title = _title(operation)
        asked: Request | None = None
        try:
            asked = request(operation, self._sources)
            self._held.sent(asked, operation.request_id)
            response = await self._server.client.send(asked)
            wait = operation.wait
            for _ in range(wait.attempts - 1 if wait else 0):
                assert wait is not None
                if response.status != wait.status:
                    break
                await self._options.sleep(wait.seconds)
                response = await self._server.client.send(asked)
        except (CannotBuild, NoValue, NoAnswer, NoResource) as error:
            exchange = None if asked is None else Exchange.of(asked, None)
            return ActionResult(True, Result.ERROR, title, str(error), exchange)
        self._held.received(response, operation.response_id)
        exchange = Exchange.of(asked, response)
        message = f"{asked.method} {asked.url}: {response.status}"
        return ActionResult(True, Result.PASS, title, message, exchange)

    def _assert(self, claim: Assert) -> ActionResult:
        title = _title(claim)
        try:
            if not self._applies(claim):
                return ActionResult(False, Result.SKIP, title, "its condition does not apply")
            verdict = judge(claim, self._evidence)
        except (Unfounded, NoValue) as error:
            result = Result.WARNING if claim.warning_only else Result.ERROR
            return ActionResult(False, result, title, str(error))
        if verdict.holds:
            return ActionResult(False, Result.PASS, title, verdict.message)
        result = Result.WARNING if claim.warning_only else Result.FAIL
        return ActionResult(False, result, title, verdict.message)

    def _applies(self, claim: Assert) -> bool:
        if claim.when is None:
            return True
        evidence = self._evidence
        return evidence.response(Assert("response", source_id=claim.when.source_id)).status == (
            claim.when.status
        )

    @property
    def _evidence(self) -> Evidence:
        return Evidence(
            self._held.find,
            self._held.last_request,
            self._held.last_response,
            self._held.values,
            lambda: self._profiles,
            self._options.any_success,
        )

    @cached_property
    def _profiles(self) -> ProfileCheck:
        return ProfileCheck(self._script)


def _member(made: ActionResult, members: list[ActionResult], last: bool) -> ActionResult:
    """An alternative; with the last one it is decided whether any holds."""
    if not last:
        # By itself it decides nothing.
        return made if made.result is Result.PASS else _as(made, Result.SKIP)
    if any(each.result is Result.PASS for each in members):
        return made if made.result is Result.PASS else _as(made, Result.SKIP)
    told = "; ".join(each.message for each in members)
    return ActionResult(False, Result.FAIL, made.title, f"none of the alternatives holds: {told}")


def _as(made: ActionResult, result: Result) -> ActionResult:
    return ActionResult(made.is_operation, result, made.title, made.message, made.exchange)
