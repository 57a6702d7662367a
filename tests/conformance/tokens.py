"""An access token of a running server's own authorization server, as programs get theirs."""

import subprocess
import sys
from pathlib import Path

import httpx

NAME, SCOPE = "conformance", "system/*.cruds"


def access_token(base_url: str, data_dir: Path) -> str:
    """A token of an administrating program that is added for it, by client credentials.

    base_url: of the server, whose embedded PostgreSQL is in `data_dir`.
    """
    command = [sys.executable, "-m", "fhir_server.cli", "client", "add", NAME, "--backend"]
    command += ["--scope", SCOPE, "--role", "administrator", "--data-dir", str(data_dir)]
    added = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told = httpx.get(f"{base_url}/.well-known/smart-configuration").raise_for_status().json()
    answer = httpx.post(
        told["token_endpoint"],
        auth=(NAME, added.stdout.strip()),
        data={"grant_type": "client_credentials", "scope": SCOPE},
    )
    return str(answer.raise_for_status().json()["access_token"])
