"""`_text` and `_content`: words of the narrative and of the resource (R4 search.html#content).

Without an index every resource in question is read; `--full-text-index` makes one of the same
expressions, which PostgreSQL then finds by itself.
"""

from collections.abc import Sequence

from fhir_server.search.conditions import (
    Circumstances,
    Column,
    Condition,
    PredicateError,
    any_of,
    unescape,
)
from fhir_server.search.parameters import SearchParameter

# PostgreSQL refuses to make words of more than a megabyte.
_READABLE = "case when octet_length({r}.content::text) < 900000 then {text} end"
_NARRATIVE = "regexp_replace({r}.content->'text'->>'div', '<[^>]*>', ' ', 'g')"
EXPRESSIONS = {
    "_content": f"to_tsvector('simple'::regconfig, {_READABLE.replace('{text}', '{r}.content')})",
    "_text": f"to_tsvector('simple'::regconfig, {_READABLE.replace('{text}', _NARRATIVE)})",
}


def words(
    parameter: SearchParameter, modifier: str, values: Sequence[str], where: Circumstances
) -> Condition:
    """All words of one of the values: `or`, `-` and quotes mean what they do in a search engine."""
    plain = [unescape(value) for value in values]
    if not all(any(letter.isalnum() for letter in value) for value in plain):
        raise PredicateError("no word to look for; expected at least one letter or digit")
    sql = f"{EXPRESSIONS[parameter.code]} @@ websearch_to_tsquery('simple'::regconfig, %s)"
    return any_of(Column(sql, (value,)) for value in plain)
