"""Carrying out one message: what it changes and what became of it, in one transaction."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import psycopg

from fhir_server.context import Context
from fhir_server.hl7v2.acknowledgment import (
    Code,
    Problem,
    is_answer,
    is_enhanced,
    wants_application,
)
from fhir_server.hl7v2.message import Message, NoHeader, parse
from fhir_server.interactions.changes import Change, locked, store_changes
from fhir_server.interactions.engine import Engine
from fhir_server.interactions.request import Request
from fhir_server.interactions.transaction import transaction
from fhir_server.mapping.convert import Mapped, Mapper
from fhir_server.mapping.orders import OrderStep
from fhir_server.mapping.rules import MappingError
from fhir_server.mapping.scope import MappingIssue
from fhir_server.mapping.settling import Plan
from fhir_server.messaging import answers
from fhir_server.messaging.lines import Done, Elsewhere, Later, Progress
from fhir_server.messaging.merging import merged_away, repointed
from fhir_server.messaging.order_answers import answered, refused
from fhir_server.messaging.order_steps import OrderWork
from fhir_server.messaging.resolving import plan_of
from fhir_server.messaging.settings import ListenerSettings
from fhir_server.messaging.taking import unwanted
from fhir_server.operations import message_records as records
from fhir_server.outcome import Invalid, Issue, Refusal, Unavailable
from fhir_server.security.principal import program
from fhir_server.storage import message_times, messages
from fhir_server.storage.messages import Held, Outcome, Told
from fhir_server.storage.store import Connection

log = logging.getLogger(__name__)

# After so many attempts that failed for a reason that may pass, a message is parked.
_MOST_ATTEMPTS = 8
_LONGEST_PAUSE = 30.0
# It is the server that is not ready, for whatever message.
_WHILE_UNAVAILABLE = 0.5
# Mapping a longer message would keep other senders waiting; it is done beside the event loop.
_LARGE = 256 * 1024


class Unfinished(Exception):
    """What a message asks for is done, but somebody else said what became of it."""


@dataclass(slots=True)
class Work:
    """A message on its way.

    plan: what it changes; None until that is known. produced: versions it made.
    """

    held: Held
    message: Message
    mapped: Mapped
    reused: bool = False
    plan: Plan | None = None
    issues: list[MappingIssue] = field(default_factory=list)
    produced: list[str] = field(default_factory=list)

    @property
    def sender(self) -> str:
        """Who sent it, for people."""
        return records.clean(f"HL7 v2 {self.held.sender.replace('|', ' ')}")

    @property
    def all_issues(self) -> list[MappingIssue]:
        """What was met, from the message to the database."""
        found = [*self.mapped.issues, *self.issues, *(self.plan.issues if self.plan else ())]
        if self.reused:
            text = f"The control id {self.held.control_id} was used before, for another message"
            found.append(MappingIssue("warning", "205", text, "MSH-10"))
        return found


class Carrying:
    """Carries out messages of one tenant.

    listeners: by name, for what they say of answers and of messages without rules.
    """

    def __init__(
        self,
        engine: Engine,
        tenant: str,
        mapper: Callable[[], Mapper],
        listeners: Sequence[ListenerSettings],
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._mapper = mapper
        self._tenant = tenant
        self._listeners = {each.name: each for each in listeners}
        self._clock = clock

    async def carry(self, held: Held, message: Message | None) -> Progress:
        """Carry out a message if it is the oldest of its sender that waits.

        message: what it says, if that was read already.
        """
        steps: Sequence[OrderStep] = ()
        try:
            message = message or parse(held.content)
            if (refused := await self._not_taken(held, message)) is not None:
                return refused
            work = await self._mapped(held, message)
            steps = work.mapped.steps
            return await self._carry_out(work)
        except NoHeader as error:
            return await self._park(held, Code.AR, [Problem(100, str(error))])
        except Refusal as refusal:
            return await self._refused(held, refusal, steps)
        except MappingError as error:
            text = f"The mapping cannot be used: {error}"
            return await self._park(held, Code.AR, [Problem(answers.INTERNAL, text)])
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError, Unfinished):
            raise
        except Exception as error:
            log.exception("message %d of %s", held.id, held.sender)
            text = f"{type(error).__name__}: {error}"
            return await self._park(held, Code.AR, [Problem(answers.INTERNAL, text)])

    async def _not_taken(self, held: Held, message: Message) -> Progress | None:
        """Park what its listener does not take; answers are kept and nothing is made of them."""
        problem = unwanted(message, self._listeners.get(held.listener))
        if problem is not None:
            return await self._park(held, Code.AR, [problem], late=not is_enhanced(message))
        if is_answer(message):
            return await self._park(held, Code.AA, [], messages.IGNORED)
        return None

    async def _mapped(self, held: Held, message: Message) -> Work:
        mapper = self._mapper()
        if len(held.content) > _LARGE:
            return Work(held, message, await asyncio.to_thread(mapper.convert, message))
        return Work(held, message, mapper.convert(message))

    async def _carry_out(self, work: Work) -> Progress:
        held, mapped = work.held, work.mapped
        if not mapped.known:
            return await self._without_rules(work)
        ctx = self._context(work)
        orders = OrderWork(self._engine, ctx, held, mapped)
        await self._engine.rules.prepare(self._engine, ctx, orders.perhaps_created)
        async with self._engine.store.transaction(ctx.tenant) as connection:
            state = await messages.begin(connection, self._tenant, held)
            if state is not messages.Begun.READY and state is not messages.Begun.REUSED:
                return Elsewhere() if state is messages.Begun.ELSEWHERE else Later(0)
            work.reused = state is messages.Begun.REUSED
            await self._apply(work, orders, ctx, connection)
            told = await self._answer(work, orders, ctx, connection)
            outcome = self._outcome(work, messages.DONE, told)
            if not await messages.finish(connection, self._tenant, held.id, outcome, ctx.now()):
                raise Unfinished
        return Done(held.id, told)

    def _context(self, work: Work) -> Context:
        return Context(
            tenant=self._tenant,
            principal=program(work.sender),
            door="mllp",
            request_id=work.held.record,
            base_url=self._engine.where.base_url,
            clock=self._clock,
        )

    async def _apply(
        self, work: Work, orders: OrderWork, ctx: Context, connection: Connection
    ) -> None:
        """Store what the message means. Raises `Refusal`."""
        engine = self._engine.within(connection)
        work.plan = plan = await plan_of(engine, ctx, connection, work.mapped)
        await orders.settle(engine, connection, plan)
        if wrong := [each for each in work.all_issues if each.severity == "error"]:
            raise Invalid([Issue("value", each.text, each.where) for each in wrong], status=422)
        changed = [each for each in plan.resources if each.new is not None]
        changed = [each for each in changed if each.entry.full_url not in orders.taken]
        entries = [_put(each.type, each.id, each.new) for each in changed]
        targets = [f"{each.type}/{each.id}" for each in changed]
        moved = await repointed(engine, ctx, connection, merged_away(plan))
        targets += [each.reference for each in moved]
        beside = [await self._told(engine, ctx, connection, work.held, self._record(work, orders))]
        beside += moved
        if targets:
            told = str(uuid.uuid4())
            who, type_ = work.sender, records.clean(work.held.type)
            resource = records.provenance(told, work.held.record, targets, who, type_, ctx.now())
            beside.append(Change("Provenance", told, None, resource, "POST"))
        answered_ = await transaction(engine, ctx, Request("POST"), entries, beside)
        await message_times.tell(connection, self._tenant, plan.times)
        work.produced += [_version(each) for each in answered_]
        work.produced += await orders.take_steps(engine)
        work.issues += orders.issues

    def _record(self, work: Work, orders: OrderWork) -> records.Resource:
        notes = [_told(each) for each in work.all_issues]
        return records.communication(
            replace(
                records.facts_of(work.held, messages.DONE, notes),
                patient=_patient(work),
                orders=orders.references,
            )
        )

    async def _told(
        self,
        engine: Engine,
        ctx: Context,
        connection: Connection,
        held: Held,
        record: records.Resource,
    ) -> Change:
        """The record of a message as a change: a new one, unless it was told of before."""
        old = None
        if held.was_told_of:
            old = await locked(engine, ctx, connection, "Communication", held.record)
        return Change("Communication", held.record, old, record, "PUT")

    async def _answer(
        self, work: Work, orders: OrderWork, ctx: Context, connection: Connection
    ) -> Told:
        """What the sender is told when all is well."""
        message = work.message
        if not wants_application(message, Code.AA):
            return Told()
        problems = [answers.problem_of_mapping(each) for each in work.all_issues]
        enhanced = is_enhanced(message)
        listener = self._listeners.get(work.held.listener)
        answering = answers.answering(ctx.now(), application=enhanced)
        if listener is not None and listener.order_answers and work.mapped.steps:
            engine = self._engine.within(connection)
            told = await answered(engine, ctx, connection, message, orders, answering, problems)
            content = answers.encoded(told)
        else:
            content = answers.plain(message, Code.AA, ctx.now(), problems, application=enhanced)
        return Told(answer=content) if enhanced else Told(acknowledgement=content)

    async def _without_rules(self, work: Work) -> Progress:
        held = work.held
        issue = next(iter(work.mapped.issues), None)
        text = issue.text if issue else f"no rules for messages {held.type}"
        listener = self._listeners.get(held.listener)
        ignored = listener is not None and listener.unknown == "ignore"
        problem = Problem(200, text, "W" if ignored else "E")
        code = Code.AA if ignored else Code.AR
        state = messages.IGNORED if ignored else messages.ERROR
        return await self._park(held, code, [problem], state)

    async def _refused(self, held: Held, refusal: Refusal, steps: Sequence[OrderStep]) -> Progress:
        """Park a message, or let it wait where the reason may pass."""
        if isinstance(refusal, Unavailable):
            return Later(_WHILE_UNAVAILABLE)
        transient = any(each.code in answers.TRANSIENT for each in refusal.issues)
        if transient and held.attempts + 1 < _MOST_ATTEMPTS:
            async with self._engine.store.connection(self._tenant) as connection:
                await messages.postpone(
                    connection, self._tenant, held.id, records.clean(str(refusal))
                )
            return Later(min(0.05 * 2**held.attempts, _LONGEST_PAUSE))
        problems = [answers.problem_of_refusal(each) for each in refusal.issues]
        return await self._park(held, Code.AR if transient else Code.AE, problems, steps=steps)

    async def _park(
        self,
        held: Held,
        code: Code,
        problems: Sequence[Problem],
        state: str = messages.ERROR,
        steps: Sequence[OrderStep] = (),
        *,
        late: bool = True,
    ) -> Progress:
        """Say why a message is not carried out, in its record and to its sender.

        late: whether its sender was not told when it came.
        """
        try:
            told = self._bad_news(held, code, problems, steps) if late else Told()
        except NoHeader:
            told = Told()
        reason = records.clean("; ".join(each.text for each in problems))
        notes = [each.text for each in problems]
        facts = replace(records.facts_of(held, state, notes), reason=reason)
        ctx = Context(tenant=self._tenant, base_url=self._engine.where.base_url, clock=self._clock)
        record = records.communication(facts)
        async with self._engine.store.transaction(ctx.tenant) as connection:
            begun = await messages.begin(connection, self._tenant, held)
            if begun is messages.Begun.ELSEWHERE:
                return Elsewhere()
            if begun is messages.Begun.OVER:
                return Later(0)
            engine = self._engine.within(connection)
            change = await self._told(engine, ctx, connection, held, record)
            await store_changes(engine, ctx, connection, [change])
            issues = [{"severity": each.severity, "code": str(each.condition),
                       "text": records.clean(each.text)}
                      for each in problems]  # fmt: skip
            outcome = Outcome(state, told.acknowledgement, told.answer, reason, issues)
            if not await messages.finish(connection, self._tenant, held.id, outcome, ctx.now()):
                raise Unfinished
        return Done(held.id, told)

    def _bad_news(
        self, held: Held, code: Code, problems: Sequence[Problem], steps: Sequence[OrderStep]
    ) -> Told:
        message = parse(held.content)
        if not wants_application(message, code):
            return Told()
        enhanced = is_enhanced(message)
        listener = self._listeners.get(held.listener)
        if steps and listener is not None and listener.order_answers:
            answering = answers.answering(self._clock(), application=enhanced)
            content = answers.encoded(refused(message, code, answering, steps, problems))
        else:
            now = self._clock()
            content = answers.plain(message, code, now, problems, application=enhanced)
        return Told(answer=content) if enhanced else Told(acknowledgement=content)

    def _outcome(self, work: Work, state: str, told: Told) -> Outcome:
        issues = [
            {"severity": each.severity, "code": each.code, "text": records.clean(each.text),
             "where": records.clean(each.where), "rule": each.rule}
            for each in work.all_issues
        ]  # fmt: skip
        return Outcome(state, told.acknowledgement, told.answer, None, issues, work.produced)


def _put(type_: str, id_: str, resource: records.Resource | None) -> records.Resource:
    assert resource is not None
    return {
        "resource": resource | {"id": id_},
        "request": {"method": "PUT", "url": f"{type_}/{id_}"},
    }


def _version(answer: records.Resource) -> str:
    """`Type/id/_history/n` of what an entry of a transaction made."""
    return "/".join(str(answer["response"].get("location", "")).split("/")[-4:])


def _told(issue: MappingIssue) -> str:
    return f"{issue.where}: {issue.text}" if issue.where else issue.text


def _patient(work: Work) -> str:
    """The patient that a message is about; of a merge, the one that stays."""
    assert work.plan is not None
    for each in work.plan.resources:
        if each.type == "Patient" and each.entry.name != "merged-patient":
            return f"Patient/{each.id}"
    return ""
