"""What wraps the keys of tenants: a key file, or a command that asks a key service.

Neither a master key nor a data key is ever part of a command line, an environment or a log.
"""

import asyncio
import os
import shlex
import stat
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from fhir_server.sealing.envelope import Cipher, WrongKey

KEY_BYTES = 32
COMMAND = "command:"

_ANSWERS_WITHIN = 30.0
_LONGEST_ANSWER = 64 * 1024


class KeyProblem(Exception):
    """Keys cannot be had; says why, and never what they are."""


class Master(Protocol):
    """Wraps the keys of tenants."""

    @property
    def name(self) -> str:
        """What wraps new keys, as it is noted beside them."""

    async def wrap(self, key: bytes, context: str) -> bytes:
        """A key for the database; `context` says whose and which it is. Raises `KeyProblem`."""

    async def unwrap(self, wrapped: bytes, name: str, context: str) -> bytes:
        """The key again; `name` is what wrapped it. Raises `KeyProblem`."""


def read_master(source: str) -> Master:
    """The master keys of a file, or a command for `command:…`. Raises `KeyProblem`."""
    if source.startswith(COMMAND):
        words = shlex.split(source.removeprefix(COMMAND))
        if not words:
            raise KeyProblem(f"seal_keys: expected the name of a command after {COMMAND!r}")
        return CommandMaster(words)
    return FileMaster(Path(source))


class FileMaster:
    """The keys of a file, one a line in base64; the first one wraps, all of them unwrap."""

    def __init__(self, path: Path) -> None:
        self._keys = dict(map(_named, _read(path)))
        self.name = next(iter(self._keys))

    async def wrap(self, key: bytes, context: str) -> bytes:
        """Encrypted with the first key."""
        return self._keys[self.name].encrypt(key, context)

    async def unwrap(self, wrapped: bytes, name: str, context: str) -> bytes:
        """Decrypted with the key of that name. Raises `KeyProblem`."""
        cipher = self._keys.get(name)
        if cipher is None:
            raise KeyProblem(f"the key file lacks the master key {name}")
        try:
            return cipher.decrypt(wrapped, context)
        except WrongKey:
            raise KeyProblem(f"the master key {name} does not open {context}") from None


def _read(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = file.read().split()
    except OSError as error:
        raise KeyProblem(f"the key file {path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyProblem(
            f"the key file {path} has mode {stat.S_IMODE(mode):04o}: others may read it; "
            "expected 0600 or less"
        )
    if not lines:
        raise KeyProblem(f"the key file {path} is empty; `fhir-server keys create` makes one")
    return [_key(line, number, path) for number, line in enumerate(lines, 1)]


def _key(line: bytes, number: int, path: Path) -> bytes:
    try:
        key = b64decode(line, validate=True)
    except NotBase64:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyProblem(f"the key file {path}, key {number}: expected {KEY_BYTES} bytes in base64")
    return key


def _named(key: bytes) -> tuple[str, Cipher]:
    """A key under a name that tells it from others and nothing of it."""
    return "file:" + sha256(b"fhir-server master key name" + key).hexdigest()[:12], Cipher(0, key)


def create_key_file(path: Path) -> None:
    """Put a new key before those of a file, which is made if there is none. Raises `KeyProblem`."""
    old = _read(path) if path.exists() else []
    lines = [b64encode(key) for key in (os.urandom(KEY_BYTES), *old)]
    beside = path.with_name(f"{path.name}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"\n".join(lines) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise KeyProblem(f"the key file {path} cannot be written: {error.strerror}") from None


class CommandMaster:
    """A command that has a key service wrap and unwrap keys.

    Called as `COMMAND wrap CONTEXT` and `COMMAND unwrap CONTEXT`. It reads one line of base64 and
    writes one; anything but exit status 0 is a failure.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = tuple(words)
        self.name = f"command:{Path(words[0]).name}"

    async def wrap(self, key: bytes, context: str) -> bytes:
        """Wrapped by the command."""
        return await self._ask("wrap", key, context)

    async def unwrap(self, wrapped: bytes, name: str, context: str) -> bytes:
        """Unwrapped by the command, whatever it is called now. Raises `KeyProblem`."""
        key = await self._ask("unwrap", wrapped, context)
        if len(key) != KEY_BYTES:
            raise KeyProblem(f"{self.name} gave {len(key)} bytes for {context}, not {KEY_BYTES}")
        return key

    async def _ask(self, what: str, data: bytes, context: str) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words,
                what,
                context,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise KeyProblem(f"{self.name} cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN):
                answer, told = await process.communicate(b64encode(data) + b"\n")
        except TimeoutError:
            process.kill()
            await process.wait()
            raise KeyProblem(
                f"{self.name} {what} gave no answer in {_ANSWERS_WITHIN:.0f} s"
            ) from None
        if process.returncode != 0:
            first = told.decode(errors="replace").strip().partition("\n")[0][:200]
            raise KeyProblem(f"{self.name} {what} ended with status {process.returncode}: {first}")
        try:
            if len(answer) > _LONGEST_ANSWER:
                raise NotBase64
            return b64decode(answer.strip(), validate=True)
        except NotBase64:
            raise KeyProblem(f"{self.name} {what} did not answer one line of base64") from None
