"""The functions that mapping rules may call. `docs/hl7v2.md` explains each."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fhir_server.mapping.expressions import Path
from fhir_server.mapping.primitives import decimal_of
from fhir_server.mapping.scope import Scope
from fhir_server.mapping.times import fhir_time, later, seconds_of
from fhir_server.mapping.values import Segment, Value

Function = Callable[..., Any]


def _text(item: Any) -> str:
    if isinstance(item, Value):
        return item.plain
    return "" if item is None or item is False else str(item)


def _whole(scope: Scope, item: Any) -> str:
    return item.whole if isinstance(item, Value) else _text(item)


def _coalesce(scope: Scope, arguments: Sequence[Callable[[Scope], Any]]) -> Any:
    for each in arguments:
        found = each(scope)
        if isinstance(found, (Value, Segment)) or found:
            return found
    return None


def _if(scope: Scope, arguments: Sequence[Callable[[Scope], Any]]) -> Any:
    condition, then, *otherwise = arguments
    if condition(scope):
        return then(scope)
    return otherwise[0](scope) if otherwise else None


def _join(scope: Scope, separator: Any, *items: Any) -> str:
    return _text(separator).join(text for each in items if (text := _text(each)))


def _concat(scope: Scope, *items: Any) -> str:
    """Nothing at all if a part is missing, so that no half a value comes out."""
    texts = [_text(each) for each in items]
    return "".join(texts) if all(texts) else ""


def _authority(scope: Scope, *given: Any) -> str:
    """The URI of an assigning authority: of an HD, or of its three parts (HL7 v2 2A.3.36)."""
    parts: Sequence[Any] = given
    if len(given) == 1 and isinstance(given[0], Value):
        parts = [given[0].part(number) for number in (1, 2, 3)]
    texts = [_text(each) for each in (*parts, None, None)]
    return scope.run.authority(scope.run, texts[0], texts[1], texts[2])


def _coding_system(scope: Scope, name: Any) -> str:
    return scope.run.coding_system(_text(name))


def _matches(scope: Scope, item: Any, pattern: Any) -> bool:
    return re.fullmatch(_text(pattern), _text(item)) is not None


def _is_number(scope: Scope, item: Any) -> bool:
    return decimal_of(_text(item)) is not None


def _key(scope: Scope, name: Any) -> str:
    """What a resource made for this group, or one around it, is known by."""
    return scope.run.entries.key_around(scope.group, _text(name))


def _made(scope: Scope, name: Any) -> bool:
    """Whether a resource of a name was made for this group, or for one around it."""
    return bool(scope.run.entries.around(scope.group, _text(name)))


def _count(scope: Scope, path: Path) -> str:
    segment = scope.find(path.segment or "")
    return str(len(segment.field(path.field))) if segment else "0"


def _every(scope: Scope, path: Path) -> list[Any]:
    """A field in all segments of its name in this group, however deep."""
    found = []
    for segment in scope.group.below.get(path.segment or "", ()):
        for value in segment.field(path.field):
            each: Value | None = value
            for number in path.parts:
                each = each.part(number) if each else None
            if each is not None:
                found.append(each)
    return found


def _any(scope: Scope, path: Path) -> str:
    """All different texts of a field in this group, so that `in` and `matches` can ask."""
    return " ".join(sorted({each.plain for each in _every(scope, path)}))


def _lines(scope: Scope, path: Path) -> str:
    """A field as lines of text: its repetitions, in all segments that say one thing together."""
    segment = scope.find(path.segment or "")
    segments: Sequence[Segment] = scope.lines or ((segment,) if segment else ())
    return "\n".join(each.whole for one in segments for each in one.field(path.field))


def _observed(scope: Scope, *names: Any) -> str:
    """The texts of the OBX of this group that are of one of some codes (HL7 v2 7.4.2.3)."""
    wanted = {_text(each) for each in names}
    lines = []
    for segment in scope.group.below.get("OBX", ()):
        if not any(each in segment.raw(3) for each in wanted):
            continue
        given = {
            part.plain
            for value in segment.field(3)
            for at in (1, 4)
            if (whole := value.part(at))
            for number in (1, 2)
            if (part := whole.part(number))
        }
        if given & wanted:
            lines += [each.whole for each in segment.field(5)]
    return "\n".join(lines)


_TYPES = {"TX": "text", "FT": "text", "SI": "image", "IM": "image", "AP": "application",
          "AU": "audio", "NS": "image"}  # fmt: skip


def _content_type(scope: Scope, type_: Any, subtype: Any) -> str:
    """A MIME type from a type and subtype of data (HL7 v2 tables 0191 and 0291)."""
    kind, detail = _text(type_), _text(subtype).lower()
    if "/" in kind:
        return kind.lower()
    detail = {"octet-stream": "octet-stream", "pict": "x-pict", "": ""}.get(detail, detail)
    if not detail:
        return ""
    guess = {"pdf": "application", "octet-stream": "application", "rtf": "application",
             "zip": "application", "html": "text", "plain": "text", "xml": "application",
             "jpeg": "image", "jpg": "image", "png": "image", "tiff": "image", "gif": "image",
             "x-pict": "image"}  # fmt: skip
    base = guess.get(detail) or _TYPES.get(kind.upper())
    known = kind.lower() in ("text", "image", "audio", "video", "application", "multipart")
    main = kind.lower() if known else base or "application"
    return f"{main}/{'jpeg' if detail == 'jpg' else detail}"


def _encoded(scope: Scope, data: Any, encoding: Any) -> str:
    """Data of an ED as base64 (HL7 v2 table 0299), whatever encoding it has."""
    text = _whole(scope, data)
    kind = _text(encoding).lower()
    if kind.startswith("base64"):
        return "".join(text.split())
    if kind.startswith("hex"):
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            return ""
        return base64.b64encode(raw).decode()
    return base64.b64encode(text.encode()).decode() if text else ""


def _before(scope: Scope, item: Any, sign: Any) -> str:
    """What stands before a sign, which is not the first character: the low of `-5 - 10`."""
    text = _text(item)
    at = text.find(_text(sign), 1)
    return text[:at].strip() if at > 0 else ""


def _after(scope: Scope, item: Any, sign: Any) -> str:
    text = _text(item)
    at = text.find(_text(sign), 1)
    return text[at + len(_text(sign)) :].strip() if at > 0 else ""


def _comparator(scope: Scope, item: Any) -> str:
    match = re.match(r"<=?|>=?", _text(item))
    return match[0] if match else ""


def _lookup(scope: Scope, name: Any, item: Any) -> str:
    """What a table has for a code, nothing for one that it lacks."""
    concept = scope.run.table(_text(name)).codes.get(_text(item))
    return concept.code if concept else ""


def _minutes(scope: Scope, amount: Any, unit: Any) -> str:
    seconds = seconds_of(_text(amount), _text(unit))
    return str(round(seconds / 60)) if seconds is not None else ""


def _time(scope: Scope, item: Any) -> str:
    return fhir_time(_text(item), scope.run.zone, "dateTime") or ""


def _later(scope: Scope, item: Any, amount: Any, unit: Any) -> str:
    return later(_text(item), _text(amount), _text(unit), scope.run.zone)


# By name: the least and most arguments, the function, and how it takes them. `lazy` takes them
# uncalled, `path` a path itself, `many` gives several values.
FUNCTIONS: Mapping[str, tuple[int, int | None, Function, str]] = MappingProxyType(
    {
        "after": (2, 2, _after, ""),
        "before": (2, 2, _before, ""),
        "comparator": (1, 1, _comparator, ""),
        "lookup": (2, 2, _lookup, ""),
        "minutes": (2, 2, _minutes, ""),
        "title": (1, 1, lambda scope, item: _text(item).capitalize(), ""),
        "all": (1, 1, _every, "path"),
        "any": (1, 1, _any, "path"),
        "authority": (1, 3, _authority, ""),
        "coalesce": (1, None, _coalesce, "lazy"),
        "coding_system": (1, 1, _coding_system, ""),
        "concat": (1, None, _concat, ""),
        "content_type": (2, 2, _content_type, ""),
        "encoded": (2, 2, _encoded, ""),
        "count": (1, 1, _count, "path"),
        "if": (2, 3, _if, "lazy"),
        "is_number": (1, 1, _is_number, ""),
        "join": (2, None, _join, ""),
        "key": (1, 1, _key, ""),
        "later": (3, 3, _later, ""),
        "length": (1, 1, lambda scope, item: str(len(_text(item))), ""),
        "lines": (1, 1, _lines, "path"),
        "lower": (1, 1, lambda scope, item: _text(item).lower(), ""),
        "made": (1, 1, _made, ""),
        "matches": (2, 2, _matches, ""),
        "observed": (1, None, _observed, ""),
        "replace": (3, 3, lambda s, item, a, b: _text(item).replace(_text(a), _text(b)), ""),
        "time": (1, 1, _time, ""),
        "trim": (2, 2, lambda s, item, ends: _text(item).strip(_text(ends)), ""),
        "upper": (1, 1, lambda scope, item: _text(item).upper(), ""),
        "whole": (1, 1, _whole, ""),
    }
)
