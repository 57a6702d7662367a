"""How text is made comparable: case, accents and spacing do not matter (R4 search.html#string)."""

import unicodedata

INDEXED_LENGTH = 300


def normalize(text: str) -> str:
    """`text` without accents, case and surplus white space; idempotent."""
    if text.isascii():
        return " ".join(text.lower().split())
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(bare.casefold().split())


def normalize_for_index(text: str) -> str:
    """The same, cut to the length that the index keeps."""
    return normalize(text)[:INDEXED_LENGTH].rstrip()


# After what was cut, so that it ends like nothing that is searched for.
CUT = "\x1f"


def cut(normalised: str) -> str:
    """A normalised text as far as the index keeps it in one row."""
    if len(normalised) <= INDEXED_LENGTH:
        return normalised
    return normalised[:INDEXED_LENGTH] + CUT


def windows(normalised: str) -> list[str]:
    """Parts of a text that is cut; every stretch of `INDEXED_LENGTH` lies within one of them."""
    length = len(normalised)
    if length <= INDEXED_LENGTH:
        return []
    starts = range(0, length - INDEXED_LENGTH, INDEXED_LENGTH)
    parts = [normalised[at : at + 2 * INDEXED_LENGTH] for at in starts]
    return [part + CUT for part in parts[:-1]] + parts[-1:]
