"""The server killed under load."""

import os
from pathlib import Path

from tests.conftest import fresh_database
from tests.messaging.crashing import survive


async def test_every_acknowledged_message_is_carried_out_once_though_the_server_is_killed(
    postgres: str, tmp_path: Path
) -> None:
    with fresh_database(postgres, "messaging_crashing") as url:
        kills = int(os.environ.get("CRASHES", "2"))
        assert "each carried out once" in await survive(url, tmp_path, kills)
