import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search import keys

BASE = "https://example.org/fhir"


def test_a_hash_never_changes() -> None:
    # Stored keys were made with these numbers; another hash would make them unfindable.
    assert keys.hash64("Patient|identifier") == -6_146_555_285_430_826_969
    assert keys.hash64("") == -1_970_711_489_451_281_740


def test_a_hash_fits_a_signed_bigint_and_is_the_same_uncached() -> None:
    for number in range(1000):
        text = f"Patient/{number}" * (1 + number % 3 * 50)
        assert -(2**63) <= keys.hash64(text) < 2**63
        assert keys.hash64(text) == keys.hash64_uncached(text)


def test_a_key_depends_on_parameter_and_value() -> None:
    name, other = keys.parameter_name("Patient", "name"), keys.parameter_name("Patient", "phonetic")
    assert keys.key(name, "x") == keys.hash64("Patient|name") ^ keys.hash64("x")
    assert len({keys.key(name, "x"), keys.key(name, "y"), keys.key(other, "x")}) == 3


def test_a_modifier_has_keys_of_its_own() -> None:
    assert keys.parameter_name("Patient", "family", "exact") == "Patient|family:exact"


@pytest.mark.parametrize(
    ("system", "code", "texts"),
    [
        ("http://s", "c", ("*\x1fc", "http://s\x1fc", "http://s\x1f*")),
        (None, "c", ("*\x1fc", "\x1fc")),
        ("http://s", None, ("http://s\x1f*",)),
        (None, None, ()),
        ("", "", ()),
    ],
)
def test_a_token_is_found_in_every_form_a_query_may_have(
    system: str | None, code: str | None, texts: tuple[str, ...]
) -> None:
    assert keys.token_texts(system, code) == texts


def test_the_forms_of_a_query_are_those_of_the_stored_token() -> None:
    stored = keys.token_texts("http://s", "c")
    assert keys.token_any_system("c") in stored
    assert keys.token_in_system("http://s", "c") in stored
    assert keys.token_system_only("http://s") in stored
    assert keys.token_without_system("c") not in stored
    assert keys.token_without_system("c") in keys.token_texts(None, "c")


def test_an_identifier_of_a_type_has_three_parts() -> None:
    assert keys.token_of_type("http://t", "MR", "446") == "http://t\x1fMR\x1f446"


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("Patient/1", "Patient/1"),
        ("Patient/1/_history/2", "Patient/1"),
        (f"{BASE}/Patient/1", "Patient/1"),
        (f"{BASE}/Patient/1/_history/2", "Patient/1"),
        (f"{BASE}2/Patient/1", f"{BASE}2/Patient/1"),
        ("https://other.org/fhir/Patient/1", "https://other.org/fhir/Patient/1"),
        ("https://other.org/fhir/Patient/1/_history/2", "https://other.org/fhir/Patient/1"),
        ("urn:uuid:1", "urn:uuid:1"),
        ("#contained", ""),
        ("#", ""),
    ],
)
def test_a_reference_is_relative_on_this_server_and_names_no_version(
    reference: str, text: str
) -> None:
    assert keys.reference_text(reference, BASE) == text


@pytest.mark.parametrize(
    ("uri", "texts"),
    [
        ("http://example.org/v", ("http://example.org/v",)),
        ("http://example.org/v|1.0", ("http://example.org/v|1.0", "http://example.org/v")),
        ("|1.0", ("|1.0",)),
    ],
)
def test_a_canonical_is_found_with_and_without_its_version(
    uri: str, texts: tuple[str, ...]
) -> None:
    assert keys.uri_texts(uri) == texts


@pytest.mark.parametrize(
    ("uri", "prefixes"),
    [
        ("http://a/b/c", ("http://a", "http://a/b", "http://a/b/c")),
        ("http://a/b/", ("http://a", "http://a/b")),
        ("http://a", ("http://a",)),
        ("http://a/b|1", ("http://a", "http://a/b", "http://a/b|1")),
        ("file:///a/b", ("file://", "file:///a", "file:///a/b")),
        ("urn:oid:1.2.3", ("urn", "urn:oid", "urn:oid:1.2.3")),
        ("a/b", ("a", "a/b")),
        ("/a", ("/a",)),
        ("/", ("/",)),
        ("|1", ("|1",)),
        ("", ("",)),
    ],
)
def test_a_uri_has_a_prefix_for_each_part_of_its_path(uri: str, prefixes: tuple[str, ...]) -> None:
    assert keys.uri_prefixes(uri) == prefixes


def test_a_uri_of_very_many_parts_is_found_by_the_first_of_them_and_itself() -> None:
    uri = "http://a" + "/b" * 100_000
    prefixes = keys.uri_prefixes(uri)
    assert len(prefixes) == keys.MOST_PREFIXES + 1
    assert (prefixes[0], prefixes[1], prefixes[-1]) == ("http://a", "http://a/b", uri)


@given(st.text("a/:|.", max_size=12), st.sampled_from(["", "http://", "urn:"]))
def test_a_prefix_of_a_prefix_is_a_prefix(rest: str, scheme: str) -> None:
    prefixes = keys.uri_prefixes(scheme + rest)
    assert len(set(prefixes)) == len(prefixes)
    for prefix in prefixes[:-1]:
        assert (scheme + rest).startswith(prefix)


@pytest.mark.parametrize(
    ("system", "code", "unit", "text"),
    [
        ("http://u", "mg", "milligram", "http://u\x1fmg\x1fmilligram"),
        (None, None, "mg", "\x1f\x1fmg"),
        (None, "mg", None, "\x1fmg\x1f"),
        (None, None, None, ""),
        ("", "", "", ""),
    ],
)
def test_a_unit_has_one_text(
    system: str | None, code: str | None, unit: str | None, text: str
) -> None:
    assert keys.unit_text(system, code, unit) == text
    assert keys.unit_hash(text) == (keys.hash64(text) if text else keys.NO_UNIT)


@pytest.mark.parametrize(
    ("system", "texts"), [("http://s", ("*\x1fc", "http://s\x1fc")), (None, ("*\x1fc", "\x1fc"))]
)
def test_a_component_is_found_by_its_code_but_not_by_a_system_alone(
    system: str | None, texts: tuple[str, ...]
) -> None:
    assert keys.component_token_texts(system, "c") == texts


def test_rows_of_a_composite_are_under_its_name_and_the_other_components() -> None:
    one, other = (
        keys.composite_parameter("N", ("a", "b")),
        keys.composite_parameter("N", ("a\x1eb",)),
    )
    assert one == other == keys.hash64("N") ^ keys.hash64("a\x1eb")
    assert one not in (keys.composite_parameter("N", ("b", "a")), keys.hash64("N"))


def test_the_parameters_that_are_present_are_told_in_order() -> None:
    assert keys.presence_parameter("Patient") == "Patient|:present"
    assert keys.presence_text(["name", "_tag", "gender"]) == "_tag,gender,name"


def test_a_star_is_a_code_and_not_any_code() -> None:
    assert keys.token_in_system("urn:a", "*") != keys.token_system_only("urn:a")
    assert keys.token_in_system("*", "a") != keys.token_any_system("a")
    assert keys.token_system_only("*") != keys.token_any_system("*")
