"""What enters the values of each data type into the index, by kind of search parameter.

`EMITTERS` is the table of R4 search.html#table, one maker a cell: given the parameters that find
values of one branch, it makes the function that enters such a value for all of them.
"""

from collections.abc import Callable
from typing import Any

from fhir_server.search.discrete import REFERENCE_MAKERS, TOKEN_MAKERS, URI_MAKERS
from fhir_server.search.entries import IndexEntries
from fhir_server.search.ordered import DATE_MAKERS, STRING_MAKERS, position, row_makers
from fhir_server.search.sites import Emit, Maker, Site, nearest
from fhir_server.spec import Definitions

MakerFor = Callable[[str, str, Definitions], Maker | None]


def extension(kind: str, maker_for: MakerFor) -> Maker:
    """Values of an extension: entered as what they are, if the kind of parameter has a way."""

    def make(site: Site) -> Emit:
        value = site.definitions.types["Extension"].elements["value"]
        emitters = {}
        for type_ in value.types:
            maker = maker_for(kind, type_.code, site.definitions)
            if maker is not None:
                emitters["value" + type_.code[0].upper() + type_.code[1:]] = maker(site)

        def emit(extension: Any, entries: IndexEntries) -> None:
            for name, content in extension.items():
                if name in emitters:
                    emitters[name](content, entries)

        return emit

    return make


def _maker_for(kind: str, type_name: str, known: Definitions) -> Maker | None:
    return maker_for(kind, type_name, known)


def _extension(kind: str) -> Maker:
    return extension(kind, maker_for)


EMITTERS: dict[str, dict[str, Maker]] = {
    "token": {"Extension": extension("token", _maker_for), **TOKEN_MAKERS},
    "reference": {"Extension": extension("reference", _maker_for), **REFERENCE_MAKERS},
    "uri": {"Extension": extension("uri", _maker_for), **URI_MAKERS},
    "string": {"Extension": extension("string", _maker_for), **STRING_MAKERS},
    "date": {"Extension": extension("date", _maker_for), **DATE_MAKERS},
    "number": {"Extension": extension("number", _maker_for), **row_makers("number")},
    "quantity": {"Extension": extension("quantity", _maker_for), **row_makers("quantity")},
    "special": {"Location.position": position},
}


def maker_for(kind: str, type_name: str, known: Definitions) -> Maker | None:
    """The maker for values of a type, or of the nearest type it derives from; None if none."""
    return nearest(EMITTERS.get(kind, {}), type_name, known)
