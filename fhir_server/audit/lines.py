"""Events as lines: rows of the trail's table in the text form of COPY, from the start to the chain.

An event is written down once. Its line goes to a journal or beside a change, is hashed as it
stands, and is what PostgreSQL gives back when the chain is verified.
"""

import re
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from fhir_server.audit.trail import EXECUTE, MAJOR_FAILURE, Event
from fhir_server.context import Context
from fhir_server.search.keys import hash64_uncached
from fhir_server.security.principal import Principal

# A text of more characters is cut: a query may be as long as a body.
LONGEST = 20_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# What COPY gives back escaped, and what PostgreSQL has no place for.
_ESCAPED = {
    "\\": "\\\\",
    "\t": "\\t",
    "\n": "\\n",
    "\r": "\\r",
    "\b": "\\b",
    "\f": "\\f",
    "\v": "\\v",
    "\0": "\ufffd",
}
_TEXT = r"(?:[^\\\x00-\x1f]|[\x01-\x07\x0e-\x1f]|\\[\\tnrbfv])*"
_NUMBER = r"-?[0-9]{1,9}"
_KEY = r"-?[0-9]{1,19}"
_MOST = 2**63
_ROW = re.compile(
    rf"[0-9]{{1,17}}\t{_TEXT}\t{_TEXT}\t{_TEXT}\t{_TEXT}(?:\t{_TEXT}){{9}}\t{_NUMBER}\t{_NUMBER}"
    rf"\t\{{((?:{_KEY}(?:,{_KEY})*)?)\}}\t{_TEXT}"
)
_SPECIAL = re.compile("[" + re.escape("".join(_ESCAPED)) + "]")


def line_of(ctx: Context, event: Event) -> str:
    """An event as the columns of `audit_event` between `seq` and `hash`."""
    action, interaction, type_, id_, version, old_version, about, query, outcome, reason = event
    own = f"{type_}/{id_}"
    if id_ and own not in about:
        about = (own, *about)
    request_id = ctx.request_id
    # What may hold anything is looked at together: hardly ever is there something to be done.
    anything = f"{id_}{query}{reason}{request_id}"
    if not _is_plain(anything):
        id_, query, reason, request_id = map(_text, (id_, query, reason, request_id))
    keys = ",".join([str(hash64_uncached(name)) for name in about])
    recorded = (ctx.clock() - _EPOCH) // _MICROSECOND
    line = (
        f"{recorded}\t{action}\t{interaction}\t{outcome}\t{reason}"
        f"\t{_who(ctx.principal, ctx.address, ctx.door)}\t{request_id}\t{type_}\t{id_}"
        f"\t{version}\t{old_version}\t{{{keys}}}\t{query}"
    )
    return line if line.isascii() else line.encode("utf-8", "replace").decode()


def is_row(line: bytes) -> bool:
    """Whether the database takes a line as it is."""
    try:
        found = _ROW.fullmatch(line.decode())
    except UnicodeDecodeError:
        return False
    keys = found[1].split(",") if found is not None and found[1] else []
    return found is not None and all(-_MOST <= int(key) < _MOST for key in keys)


def damaged(line: bytes) -> bytes:
    """The line that takes the place of what cannot be read, with all that is left of it."""
    recorded = time.time_ns() // 1000
    rest = b64encode(line[:LONGEST]).decode()
    what = f"{recorded}\t{EXECUTE}\tjournal-damaged\t{MAJOR_FAILURE}\t"
    return f"{what}\tfhir-server\t\t\t\t\t\t\t\t\t0\t0\t{{}}\t{rest}".encode()


@lru_cache(maxsize=1024)
def _who(principal: Principal, address: str, door: str) -> str:
    roles = ",".join(sorted(principal.roles))
    texts = (principal.name, principal.client, roles, principal.fhir_user, address, door)
    return "\t".join(map(_text, texts))


def _is_plain(text: str) -> bool:
    """Whether a text surely is no other in a line; nearly all are, and this is found out fast."""
    return text.isprintable() and "\\" not in text and len(text) <= LONGEST


def _text(text: str) -> str:
    if _is_plain(text):
        return text
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} and {len(text) - LONGEST} more characters"
    return _SPECIAL.sub(lambda found: _ESCAPED[found[0]], text)
