"""The index of words finds exactly the texts that a look at each text finds."""

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.terminology.words import WordIndex, words

word = st.text("abé1", min_size=1, max_size=3)
texts = st.lists(st.lists(word, max_size=4).map(" ".join), max_size=12)


@given(texts, st.lists(word, min_size=1, max_size=3))
def test_a_text_is_found_when_each_beginning_begins_one_of_its_words(
    given_: list[str], wanted: list[str]
) -> None:
    beginnings = words(" ".join(wanted))
    expected = [
        at
        for at, text in enumerate(given_)
        if all(any(each.startswith(begin) for each in words(text)) for begin in beginnings)
    ]
    assert list(WordIndex(given_).find(beginnings)) == expected


def test_words_have_no_case_accents_or_punctuation() -> None:
    assert words("Ménière's Disease, 8480-6") == ["meniere", "s", "disease", "8480", "6"]
    assert words(" -, ") == []
