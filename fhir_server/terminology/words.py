"""How the text filter of an expansion compares: each word must begin a word of the text."""

import re
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"\w+")
# Sorts after every word that begins with what stands before it.
_LAST = "\U0010ffff"


def words(text: str) -> list[str]:
    """The words of a text without case and accents."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return _WORD.findall(text.casefold())


class WordIndex:
    """Which of many texts have words that begin so: in milliseconds for 100,000 texts.

    The words stand in order, so that all that begin alike are one stretch; so are the places
    where they are, which are kept as one array, each word's in order.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        places: dict[str, list[int]] = {}
        for at, text in enumerate(texts):
            for word in set(words(text)):
                places.setdefault(word, []).append(at)
        self._words = sorted(places)
        self._starts = array("I", [0])
        self._places = array("I")
        for word in self._words:
            self._places.extend(places[word])
            self._starts.append(len(self._places))

    def find(self, beginnings: Iterable[str]) -> Sequence[int]:
        """The places of the texts that have each beginning, in order."""
        stretches = [self._stretch(beginning) for beginning in set(beginnings)]
        rarest, *others = sorted(stretches, key=lambda each: len(each[0]))
        places, distinct = rarest
        if not others and distinct == 1:
            return places
        found = set(places)
        for more, _ in others:
            found.intersection_update(more)
        return sorted(found)

    def _stretch(self, beginning: str) -> tuple["array[int]", int]:
        """The places of all words that begin so, and how many words these are."""
        first = bisect_left(self._words, beginning)
        last = bisect_left(self._words, beginning + _LAST)
        return self._places[self._starts[first] : self._starts[last]], last - first
