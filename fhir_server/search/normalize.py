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
