"""How the text filter of an expansion compares: each word must begin a word of the text."""

import re
import unicodedata

_WORD = re.compile(r"\w+")


def folded(*texts: str) -> str:
    """The words of texts without case and accents, a space before each."""
    return "".join(f" {word}" for word in words(" ".join(texts)))


def words(text: str) -> list[str]:
    """The words of a text without case and accents."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return _WORD.findall(text.casefold())
