"""What wraps the keys of tenants."""

import os
import stat
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from fhir_server.sealing.master import (
    COMMAND,
    FileMaster,
    KeyProblem,
    create_key_file,
    read_master,
)

KEY = bytes(range(32))

# A key service in one file: its key is the exclusive or with its context.
SERVICE = """
import sys
from base64 import b64decode, b64encode
what, context = sys.argv[-2:]
data = b64decode(sys.stdin.readline())
if context == "refused":
    sys.exit("not allowed\\nand more")
if context == "strange":
    print("!")
else:
    print(b64encode(bytes(b ^ 85 for b in data)).decode())
"""


async def test_a_file_wraps_by_its_first_key_and_unwraps_by_all(tmp_path: Path) -> None:
    file = tmp_path / "key"
    create_key_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    old = read_master(str(file))
    wrapped = await old.wrap(KEY, "tenant:1")
    assert KEY not in wrapped
    create_key_file(file)
    new = read_master(str(file))
    assert new.name != old.name
    assert await new.unwrap(wrapped, old.name, "tenant:1") == KEY
    with pytest.raises(KeyProblem, match="does not open tenant:2"):
        await new.unwrap(wrapped, old.name, "tenant:2")
    with pytest.raises(KeyProblem, match="lacks the master key other"):
        await new.unwrap(wrapped, "other", "tenant:1")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_that_others_may_read_is_refused(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "key"
    create_key_file(file)
    file.chmod(mode)
    with pytest.raises(KeyProblem, match=f"mode {mode:04o}"):
        FileMaster(file)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "is empty"),
        (b64encode(b"short"), "key 1: expected 32 bytes"),
        (b64encode(bytes(32)) + b"\nnot base64!", "key 2: expected 32 bytes"),
    ],
)
def test_a_file_without_keys_is_refused(text: bytes, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_bytes(text)
    with pytest.raises(KeyProblem, match=problem) as refused:
        FileMaster(file)
    assert "not base64!" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match="cannot be read: No such file"):
        read_master(str(tmp_path / "none"))


@pytest.fixture
def command(tmp_path: Path) -> str:
    file = tmp_path / "service.py"
    file.write_text(SERVICE)
    return f"{COMMAND}{sys.executable} {file}"


async def test_a_command_wraps_and_unwraps(command: str) -> None:
    master = read_master(command)
    wrapped = await master.wrap(KEY, "tenant:1")
    assert wrapped != KEY
    assert await master.unwrap(wrapped, "whatever it was called", "tenant:1") == KEY


@pytest.mark.parametrize(
    ("context", "problem"),
    [("refused", "ended with status 1: not allowed$"), ("strange", "one line of base64")],
)
async def test_what_a_command_does_wrong_is_told(command: str, context: str, problem: str) -> None:
    with pytest.raises(KeyProblem, match=problem):
        await read_master(command).unwrap(KEY, "", context)


async def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match="command:none cannot be run"):
        await read_master(f"{COMMAND}{tmp_path}/none").wrap(os.urandom(32), "tenant:1")
    with pytest.raises(KeyProblem, match="name of a command"):
        read_master(COMMAND)


async def test_a_key_of_another_length_is_refused(command: str) -> None:
    with pytest.raises(KeyProblem, match="gave 5 bytes"):
        await read_master(command).unwrap(b"short", "", "tenant:1")
