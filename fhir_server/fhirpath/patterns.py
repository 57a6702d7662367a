"""Regular expressions that cannot exhaust time or memory (N1 section 5.6)."""

import re
from functools import lru_cache

import regex

LONGEST = 1_000
# What a pattern unrolls to: `(a{100}){100}` is 10,000 steps.
_HEAVIEST = 20_000

_CLASS = r"\[\^?\]?(?:\\.|[^\]\\])*\]"
_PART = re.compile(
    rf"(?P<open>\()|(?P<close>\))|(?P<repeat>\{{(\d+)(?:,(\d*))?\}})|{_CLASS}|\\.|.", re.DOTALL
)


class PatternRefused(ValueError):
    """A pattern that is none, or that is too large; says why."""


@lru_cache(maxsize=512)
def compiled(pattern: str) -> regex.Pattern[str]:
    """The pattern in single line mode, to be used with a timeout.

    Raises `PatternRefused`.
    """
    if len(pattern) > LONGEST:
        raise PatternRefused(f"a pattern may have {LONGEST} characters, this has {len(pattern)}")
    if _weight(pattern) > _HEAVIEST:
        raise PatternRefused(f"'{pattern}' repeats too much within repetitions")
    try:
        return regex.compile(pattern, regex.DOTALL | regex.VERSION0)
    except (regex.error, IndexError, OverflowError, RecursionError, ValueError) as error:
        raise PatternRefused(f"'{pattern}' is not a regular expression: {error}") from None


def _weight(pattern: str) -> int:
    """How many steps the pattern is when counted repetitions are written out."""
    sums, last = [0], 0
    for match in _PART.finditer(pattern):
        if match["open"]:
            sums.append(0)
            continue
        if match["close"] and len(sums) > 1:
            last = sums.pop() + 1
        elif match["repeat"]:
            last *= max(int(match[4][:9]), int((match[5] or "0")[:9]), 1) - 1
        else:
            last = 1
        sums[-1] += last
        if match["repeat"]:
            last = sums[-1]
    return sum(sums)


# What `re`, four times as fast, may do: one repetition at most, so that it cannot explode, on a
# text so short that even then trying from every place takes no time.
SHORT = 1_000
_OUTSIDE = re.compile(rf"\\.|{_CLASS}", re.DOTALL)
_SIMPLE = re.compile(r"[^*+?{|\\]*(?:[*+?{][^*+?{|\\]*)?").fullmatch


@lru_cache(maxsize=512)
def simple(pattern: str) -> re.Pattern[str] | None:
    """The pattern for `re`, if it is one that is quick on every text up to `SHORT`."""
    if _SIMPLE(_OUTSIDE.sub(".", pattern)) is None or "(?" in pattern or r"\p" in pattern:
        return None
    if len(pattern) > LONGEST or _weight(pattern) > _HEAVIEST:
        return None
    try:
        return re.compile(pattern, re.DOTALL)
    except (re.error, OverflowError):
        return None
