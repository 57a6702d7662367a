"""What one process seals and opens by, for each tenant."""

import logging
import os
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from fhir_server.outcome import Issue, Unavailable
from fhir_server.sealing.envelope import (
    Cipher,
    Taker,
    WrongKey,
    open_bytes,
    place_of,
    seal,
    seal_bytes,
    unseal,
)
from fhir_server.sealing.master import KEY_BYTES, KeyProblem, Master
from fhir_server.sealing.policy import NOTHING, Policy
from fhir_server.search.keys import Keyed
from fhir_server.search.sealed import Sealed
from fhir_server.storage import keys
from fhir_server.storage.keys import CHANGING, DATA, READY, SEARCH, HeldKey, SealState
from fhir_server.storage.seal import MESSAGE_MARK, CannotOpen, Seal, is_sealed
from fhir_server.storage.store import Connection

log = logging.getLogger(__name__)

# After so long every process has heard of a key, even one that missed the notification.
HEARD_WITHIN = timedelta(seconds=5)


class SealedStore(Protocol):
    """Where the seals of tenants are put."""

    def use_seal(self, tenant: str, seal: Seal | None) -> None:
        """Have the contents of a tenant go through a seal from now on, or through none."""


class TenantSeal:
    """The seal of a tenant whose keys are known."""

    def __init__(self, tenant: str, policy: Policy, ciphers: dict[int, Cipher]) -> None:
        self._tenant = tenant
        self._taker = Taker(policy.properties)
        self._ciphers = ciphers
        self.current = 0

    def seal(self, type_: str, id_: str, content: bytes) -> bytes:
        """The JSON without what the policy seals, and the ciphertext of that."""
        if not self._taker.may_take(type_, content):
            return content
        place = place_of(self._tenant, type_, id_)
        return seal(self._taker, self._ciphers[self.current], place, content)

    def open(self, type_: str, id_: str, content: bytes) -> bytes:
        """The JSON with everything in it. Raises `CannotOpen`, and `Unavailable` for a new key."""
        if not is_sealed(content):
            return content
        try:
            return unseal(self._cipher, place_of(self._tenant, type_, id_), content)
        except WrongKey:
            raise _broken(f"{type_}/{id_}") from None

    def seal_message(self, place: str, content: bytes) -> bytes:
        """The ciphertext of a message, if anything is sealed at all: it may tell all of it."""
        if not self._taker:
            return content
        where = place_of(self._tenant, "message", place)
        return seal_bytes(self._ciphers[self.current], where, content)

    def open_message(self, place: str, content: bytes) -> bytes:
        """The message again. Raises `CannotOpen`, and `Unavailable` for a new key."""
        if not content.startswith(MESSAGE_MARK):
            return content
        try:
            return open_bytes(self._cipher, place_of(self._tenant, "message", place), content)
        except WrongKey:
            raise _broken("The message") from None

    def _cipher(self, number: int) -> Cipher:
        cipher = self._ciphers.get(number)
        if cipher is None:
            text = f"What is encrypted by the key {number} cannot be opened: it is not read yet"
            raise Unavailable(Issue("transient", text), headers={"Retry-After": "1"})
        return cipher


def _broken(what: str) -> CannotOpen:
    log.error("what is encrypted cannot be opened", extra={"what": what})
    text = (
        f"{what} cannot be opened: what is stored was changed, or moved, or encrypted by another "
        "key than the one of that number"
    )
    return CannotOpen(Issue("exception", text, severity="fatal"))


class LockedSeal:
    """The seal of a tenant whose keys cannot be had."""

    def __init__(self, policy: Policy, reason: str) -> None:
        self._taker = Taker(policy.properties)
        self.refusal = _locked(reason)

    def seal(self, type_: str, id_: str, content: bytes) -> bytes:
        """What has nothing to be sealed. Raises `Unavailable` for anything else."""
        if self._taker.may_take(type_, content):
            raise self.refusal
        return content

    def open(self, type_: str, id_: str, content: bytes) -> bytes:
        """What is not sealed. Raises `Unavailable` for anything else."""
        if is_sealed(content):
            raise self.refusal
        return content

    def seal_message(self, place: str, content: bytes) -> bytes:
        """Raises `Unavailable`."""
        raise self.refusal

    def open_message(self, place: str, content: bytes) -> bytes:
        """What is not sealed. Raises `Unavailable` for anything else."""
        if content.startswith(MESSAGE_MARK):
            raise self.refusal
        return content


@dataclass(slots=True)
class _Held:
    """What is known of a tenant."""

    order: tuple[int, int, int]
    policy: Policy
    seal: TenantSeal | LockedSeal
    ciphers: dict[int, Cipher]
    search: dict[int, Keyed]
    search_key: int | None = None

    @property
    def sealed(self) -> Sealed | None:
        """What search has to know; None if nothing is sealed when it is written."""
        if not self.policy or self.search_key is None:
            return None
        return Sealed(self.policy.properties, self.search[self.search_key])


class Seals:
    """The seals of one process.

    policy: what is to be sealed; None to leave that as it is. master: what wraps keys.
    """

    def __init__(self, store: SealedStore, policy: Policy | None, master: Master | None) -> None:
        self._store = store
        self._policy = NOTHING if policy is None and master is not None else policy
        self._master = master
        self._held: dict[str, _Held] = {}
        self._plain: set[str] = set()

    # At a start

    async def prepare(
        self, connection: Connection, tenant: str, state: SealState, generation: int, now: datetime
    ) -> SealState | None:
        """Have what the settings want sealed, in a transaction that holds the index state.

        Gives what is to be kept, as of the generation after this one; None to leave all as it is.
        Raises `Unavailable` if keys cannot be had.
        """
        if self._policy is None or self._master is None:
            return None
        try:
            await self._rewrap(connection, tenant)
            if self._policy == Policy(state.elements):
                return None
            state = await self._with_keys(connection, tenant, state, now)
        except KeyProblem as problem:
            raise self._lock(tenant, state, str(problem)) from None
        held = Policy(state.elements)
        former = held if state.state != CHANGING else held | Policy(state.former)
        return replace(
            state,
            elements=self._policy.elements,
            former=former.elements,
            state=CHANGING,
            generation=generation + 1,
        )

    async def _with_keys(
        self, connection: Connection, tenant: str, state: SealState, now: datetime
    ) -> SealState:
        if not state.latest:
            number = await self.new_key(connection, tenant, DATA, now, used_from=now)
            state = replace(state, newest=number, current=number, latest=number)
        if state.search_key is None:
            number = await self.new_key(connection, tenant, SEARCH, now, used_from=now)
            state = replace(state, newest=number, search_key=number)
        return state

    async def new_key(
        self,
        connection: Connection,
        tenant: str,
        purpose: str,
        now: datetime,
        used_from: datetime | None = None,
    ) -> int:
        """Make a key, which is used once everybody has heard of it. Raises `KeyProblem`."""
        assert self._master is not None
        number = (
            max((key.number for key in await keys.held_keys(connection, tenant)), default=0) + 1
        )
        wrapped = await self._master.wrap(os.urandom(KEY_BYTES), _context(tenant, number))
        when = used_from or now + HEARD_WITHIN
        key = HeldKey(number, purpose, self._master.name, wrapped, now, when, None)
        await keys.add_key(connection, tenant, key)
        return number

    async def _rewrap(self, connection: Connection, tenant: str) -> None:
        """Have the newest master key wrap all keys, so that the one before can go."""
        assert self._master is not None
        await rewrap(connection, tenant, self._master, self._master)

    # While it runs

    async def adopt(self, connection: Connection, tenant: str, state: SealState) -> Sealed | None:
        """Seal and open as a state says from now on; gives what search has to know of it.

        Raises `Unavailable` when keys cannot be had. Nothing is awaited after it took effect.
        """
        held = self._held.get(tenant)
        if state.newest == 0:
            if tenant not in self._plain:
                self._plain.add(tenant)
                self._store.use_seal(tenant, None)
            return None
        if held is not None and held.order >= state.order and isinstance(held.seal, TenantSeal):
            return held.sealed
        policy = Policy(state.elements)
        ciphers: dict[int, Cipher] = held.ciphers if held else {}
        search: dict[int, Keyed] = held.search if held else {}
        try:
            await self._read_keys(connection, tenant, ciphers, search)
        except KeyProblem as problem:
            raise self._lock(tenant, state, str(problem)) from None
        held = self._held.get(tenant)
        if held is not None and held.order >= state.order and isinstance(held.seal, TenantSeal):
            # Somebody else read later what was read here earlier.
            return held.sealed
        if held is None or held.policy != policy or not isinstance(held.seal, TenantSeal):
            opener = TenantSeal(tenant, policy, ciphers)
            held = _Held(state.order, policy, opener, ciphers, search)
            self._store.use_seal(tenant, opener)
        assert isinstance(held.seal, TenantSeal)
        # The first key is there for everybody who knows that anything is sealed.
        held.seal.current = state.current or state.latest
        held.order, held.search_key = state.order, state.search_key
        self._held[tenant] = held
        return held.sealed

    def _lock(self, tenant: str, state: SealState, reason: str) -> Unavailable:
        """Let nothing that is sealed in or out until the keys can be had; gives why."""
        held = self._held.get(tenant)
        policy = Policy(state.elements) | (self._policy or NOTHING)
        seal = LockedSeal(policy, reason)
        ciphers, search = (held.ciphers, held.search) if held else ({}, {})
        self._held[tenant] = _Held(state.order, policy, seal, ciphers, search)
        self._store.use_seal(tenant, seal)
        return seal.refusal

    async def _read_keys(
        self,
        connection: Connection,
        tenant: str,
        ciphers: dict[int, Cipher],
        search: dict[int, Keyed],
    ) -> None:
        if self._master is None:
            raise KeyProblem("the setting seal_keys names nothing that has the master key")
        for key in await keys.held_keys(connection, tenant):
            if key.number in ciphers or key.number in search:
                continue
            context = _context(tenant, key.number)
            plain = await self._master.unwrap(key.wrapped, key.master, context)
            if key.purpose == DATA:
                ciphers[key.number] = Cipher(key.number, plain)
            else:
                search[key.number] = Keyed(plain)

    def problem(self, tenant: str) -> Unavailable | None:
        """Why a tenant's keys cannot be had; None if they can, or were not asked for."""
        held = self._held.get(tenant)
        return held.seal.refusal if held and isinstance(held.seal, LockedSeal) else None

    def forget(self, tenant: str) -> None:
        """Keep nothing of a tenant that is not served any more."""
        self._held.pop(tenant, None)
        self._plain.discard(tenant)


async def rewrap(connection: Connection, tenant: str, old: Master, new: Master) -> int:
    """Have another master wrap the keys of a tenant; how many it did not before.

    One master that is both wraps what it wrapped by another key. Raises `KeyProblem`.
    """
    count = 0
    for key in await keys.held_keys(connection, tenant):
        if old is not new or key.master != new.name:
            context = _context(tenant, key.number)
            plain = await old.unwrap(key.wrapped, key.master, context)
            wrapped = await new.wrap(plain, context)
            await keys.rewrap(connection, tenant, key.number, new.name, wrapped)
            count += 1
    return count


def changes(state: SealState) -> Policy:
    """Whose parameters cannot be searched by yet; nothing if all is as it should be."""
    if state.state != CHANGING:
        return NOTHING
    return Policy(state.elements) | Policy(state.former)


def settled(state: SealState) -> bool:
    """Whether everything is sealed as it should be."""
    return state.state == READY


def _context(tenant: str, number: int) -> str:
    return f"{tenant}:{number}"


def _locked(reason: str) -> Unavailable:
    text = f"Elements are encrypted at rest and their keys cannot be had: {reason}"
    return Unavailable(Issue("security", text))
