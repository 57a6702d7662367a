"""The resources that meet a condition, by the hashes under which references find them."""

from fhir_server.search.conditions import Condition
from fhir_server.search.settle import Settling, settle
from fhir_server.search.sql import Writer


async def reference_keys(at: Settling, condition: Condition) -> list[int]:
    """The hash of the `Type/id` of each."""
    at = await at.informed()
    settled = await settle(condition, at)
    writer = Writer(gathering=True, common=at.common)
    where = writer.write(settled, "r")
    text = f"select r.reference_key from {{s}}.resource r where {where}"
    return [key for (key,) in await at.rows("gathering", text, writer.values)]
