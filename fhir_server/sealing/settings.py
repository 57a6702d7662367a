"""What the settings say of encryption at rest."""

from fhir_server.sealing.master import KeyProblem, Master, read_master
from fhir_server.sealing.policy import Policy, PolicyError, read_policy


def read_sealing(elements: str | None, keys: str | None) -> tuple[Policy | None, Master | None]:
    """What is to be sealed, and what has the master key; None for what is not set.

    elements: `default`, or the path of a policy. keys: the path of a key file, or `command:…`.
    Raises ValueError for what cannot be used.
    """
    if elements is not None and keys is None:
        raise ValueError("seal_elements needs seal_keys: a key file, or command:…")
    try:
        master = read_master(keys) if keys is not None else None
        return read_policy(elements) if elements is not None else None, master
    except (KeyProblem, PolicyError) as error:
        raise ValueError(str(error)) from None
