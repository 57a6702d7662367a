"""The mapping rules that come with the server, compiled when first needed."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from fhir_server.packaged import folder

if TYPE_CHECKING:
    from fhir_server.mapping.convert import Mapper


def shipped_mapper(zone: str) -> Callable[[], "Mapper"]:
    """Gives the mapper; times that name no zone are of this one."""

    def found() -> "Mapper":
        return _mapper(zone)

    return found


@cache
def _mapper(zone: str) -> "Mapper":
    from fhir_server.mapping.convert import Mapper

    return Mapper(folder("mappings"), zone)
