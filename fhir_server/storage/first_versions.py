"""Storing a few first versions by one statement, with the numbers that they claim."""

from collections.abc import Sequence
from typing import Any

from psycopg.errors import UniqueViolation

from fhir_server.storage.resources import (
    CONTAINED_COLUMNS,
    DATE_COLUMNS,
    NUMBER_COLUMNS,
    Written,
    array,
    columns,
    exact,
)
from fhir_server.storage.seal import Seal, sealed
from fhir_server.storage.statements import Statements
from fhir_server.storage.store import Connection

# The kinds of rows in the order of `statements.Kinds`.
_KIND_NAMES = ("string_rids", "date_rids", "number_rids", "contained_rids", "audits")


class NumberTaken(Exception):
    """A number that was to be claimed has a holder."""


async def create_some(
    connection: Connection,
    statements: Statements,
    rows: Sequence[Written],
    claims: Sequence[tuple[str, str, str]] = (),
) -> bool:
    """Store some first versions of one generation, which is cheapest for a few.

    claims: numbers by system, value and holder (`storage.numbers`). False, and nothing stored, when
    the generation is over. Raises psycopg.errors.UniqueViolation when an identity is taken, and
    `NumberTaken` when a number is.
    """
    parameters = _parameters_of_some(rows, statements.seal)
    kinds = tuple(name in parameters for name in _KIND_NAMES)
    if claims:
        given = map(list, zip(*claims, strict=True))
        parameters |= zip(("claim_systems", "claim_values", "holders"), given, strict=True)
    query = statements.create_some[*kinds, bool(claims)]
    try:
        cursor = await connection.execute(query, parameters)
    except UniqueViolation as error:
        if error.diag.table_name == "claimed_number":
            raise NumberTaken from error
        raise
    return await cursor.fetchone() != (0,)


def _parameters_of_some(rows: Sequence[Written], seal: Seal | None) -> dict[str, Any]:
    contents = [sealed(seal, row.type, row.id, row.content) for row in rows]
    exacts = [exact(content) for content in contents]
    parameters: dict[str, Any] = {
        "rids": array(row.rid for row in rows),
        "types": [row.type for row in rows],
        "ids": [row.id for row in rows],
        "versions": array(row.version for row in rows),
        "last_updated": [row.last_updated for row in rows],
        "methods": [row.method for row in rows],
        "reference_keys": array(row.reference_key for row in rows),
        "keys": [array(row.values.keys) for row in rows],
        "targets": [array(row.values.targets) for row in rows],
        "contents": (b"[%b]" % b",".join(each or b"null" for each in contents)).decode(),
        "exacts": exacts if any(exacts) else array("NULL" for _ in rows),
        "generation": rows[0].generation,
    }
    if audits := [row.audit for row in rows if row.audit is not None]:
        parameters["audits"] = audits
    values = [(row.rid, row.values) for row in rows]
    strings = [(rid, *item) for rid, value in values for item in value.strings]
    if strings:
        rids, hashes, texts = zip(*strings, strict=True)
        parameters |= {
            "string_rids": array(rids),
            "string_parameters": array(hashes),
            "string_values": list(texts),
        }
    dates = [(rid, *item) for rid, value in values for item in value.dates]
    if dates:
        parameters |= columns(("date_rids", *DATE_COLUMNS), dates)
    numbers = [(rid, *item) for rid, value in values for item in value.numbers]
    if numbers:
        parameters |= columns(("number_rids", *NUMBER_COLUMNS), numbers)
    contained = [(rid, *item.row()) for rid, value in values for item in value.contained]
    if contained:
        found = zip(*contained, strict=True)
        names = ("contained_rids", *CONTAINED_COLUMNS)
        parameters |= zip(names, map(list, found), strict=True)
    return parameters
