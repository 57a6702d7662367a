"""What value sets say beyond the laws: versions, what is unknown, what is refused."""

import pytest

from fhir_server.outcome import NotFound, Refusal
from tests.terminology.given import (
    CTX,
    NO_STORE,
    SYSTEM,
    VALUES,
    Json,
    code_system,
    codes,
    concept,
    filtered,
    listed,
    terminology,
    value_set,
)

SNOMED_CT = "http://snomed.info/sct"
LOINC = "http://loinc.org"


async def refusal(*resources: Json, url: str = VALUES) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await terminology(*resources).expand(CTX, NO_STORE, url)
    assert len(caught.value.issues) == 1
    return caught.value


def imports(number: int, *others: int) -> Json:
    urls = [f"{VALUES}/{other}" for other in others]
    return value_set({"valueSet": urls}, url=f"{VALUES}/{number}")


async def test_a_value_set_made_of_itself_is_refused_with_the_way_round() -> None:
    refused = await refusal(imports(1, 2), imports(2, 3), imports(3, 1), url=f"{VALUES}/1")
    assert f"{VALUES}/1 → {VALUES}/2 → {VALUES}/3 → {VALUES}/1" in str(refused)


async def test_a_circle_behind_an_exclude_is_refused_too() -> None:
    excluding = value_set(listed("a"), exclude=[{"valueSet": [VALUES]}])
    assert f"{VALUES} → {VALUES}" in str(await refusal(code_system("a"), excluding))


async def test_imports_that_multiply_are_refused() -> None:
    doubled = [
        value_set(
            {"valueSet": [f"{VALUES}/{number + 1}"]},
            {"valueSet": [f"{VALUES}/{number + 1}"]},
            url=f"{VALUES}/{number}",
        )
        for number in range(30)
    ]
    last = value_set(listed("a"), url=f"{VALUES}/30")
    refused = await refusal(code_system("a"), *doubled, last, url=f"{VALUES}/0")
    assert "made of more than 5000 parts" in str(refused)


async def test_a_long_chain_of_imports_is_refused() -> None:
    chain = [imports(number, number + 1) for number in range(100)]
    last = value_set(listed("a"), url=f"{VALUES}/100")
    refused = await refusal(code_system("a"), *chain, last, url=f"{VALUES}/0")
    assert "one after the other" in str(refused)


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        (value_set({"system": "#inside"}), "contained"),
        (value_set(listed("a") | {"filter": [{"property": "code"}]}), "both concepts and filters"),
        (value_set({"concept": [{"code": "a"}]}), "names no system"),
        (value_set({"system": SYSTEM}, lockedDate="2020-01-01"), "locked at 2020-01-01"),
        ({"resourceType": "ValueSet", "url": VALUES}, "neither compose nor expansion"),
    ],
)
async def test_what_is_not_understood_is_refused_by_name(definition: Json, named: str) -> None:
    refused = await refusal(code_system("a"), definition)
    assert named in str(refused)
    assert VALUES in str(refused)
    assert refused.issues[0].code == "not-supported"


async def test_an_unknown_value_set_or_system_is_named() -> None:
    assert f"ValueSet '{VALUES}' is not known" in str(await refusal())
    refused = await refusal(value_set({"system": LOINC}))
    assert isinstance(refused, NotFound)
    assert f"CodeSystem '{LOINC}' is not known" in str(refused)
    inner = await refusal(value_set({"valueSet": [f"{VALUES}/other"]}))
    assert f"ValueSet '{VALUES}/other' is not known" in str(inner)


async def test_a_system_that_is_known_without_its_codes_cannot_be_listed() -> None:
    refused = await refusal(value_set(filtered("concept", "is-a", "1", system=SNOMED_CT)))
    assert f"'{SNOMED_CT}' cannot be listed here" in str(refused)
    assert refused.issues[0].code == "not-supported"


async def test_codes_that_are_listed_need_no_code_system() -> None:
    engine = terminology(value_set(listed("8480-6", system=LOINC), listed("1", system=SNOMED_CT)))
    assert await codes(engine) == ["8480-6", "1"]


async def test_a_listed_code_that_a_complete_system_lacks_is_left_out_and_reported() -> None:
    engine = terminology(code_system("a"), value_set(listed("a", "b")))
    expansion = await engine.expand(CTX, NO_STORE, VALUES)
    assert [member.code for member in expansion.page()] == ["a"]
    assert expansion.unlisted == ((SYSTEM, "b"),)
    fragment = terminology(code_system("a", content="fragment"), value_set(listed("a", "b")))
    assert await codes(fragment) == ["a", "b"]


async def test_what_is_unknown_matters_only_to_questions_that_need_it() -> None:
    engine = terminology(
        code_system("a", "b"),
        value_set({"system": LOINC}, listed("a"), exclude=[{"system": SNOMED_CT}]),
    )
    assert await engine.member(CTX, NO_STORE, VALUES, SYSTEM, "a")
    assert await engine.member(CTX, NO_STORE, VALUES, SYSTEM, "b") is None
    assert await engine.member(CTX, NO_STORE, VALUES, SNOMED_CT, "1") is None
    with pytest.raises(NotFound, match=LOINC):
        await engine.member(CTX, NO_STORE, VALUES, LOINC, "8480-6")


async def test_what_an_import_denies_is_no_member_even_if_the_rest_is_unknown() -> None:
    engine = terminology(
        value_set({"system": LOINC, "valueSet": [f"{VALUES}/few"]}),
        value_set(listed("8480-6", system=LOINC), url=f"{VALUES}/few"),
    )
    assert await engine.member(CTX, NO_STORE, VALUES, LOINC, "1") is None
    with pytest.raises(NotFound, match=LOINC):
        await engine.member(CTX, NO_STORE, VALUES, LOINC, "8480-6")


async def test_a_fragment_can_say_yes_but_not_no() -> None:
    engine = terminology(
        code_system(concept("a", "b"), "c", content="fragment"),
        value_set(filtered("concept", "is-a", "a")),
    )
    assert await engine.member(CTX, NO_STORE, VALUES, SYSTEM, "b")
    assert await engine.member(CTX, NO_STORE, VALUES, SYSTEM, "c") is None
    with pytest.raises(Refusal, match="only a fragment: 'd' is not in it"):
        await engine.member(CTX, NO_STORE, VALUES, SYSTEM, "d")
    expansion = await engine.expand(CTX, NO_STORE, VALUES)
    assert expansion.partial == (SYSTEM,)
    with pytest.raises(Refusal, match="not all its codes are known"):
        await engine.codes_of(CTX, NO_STORE, VALUES)


async def test_texts_of_the_value_set_stand_before_those_of_the_system() -> None:
    include = listed("a", "b")
    include["concept"][0] |= {"display": "Mine", "designation": [{"value": "Meins"}]}
    theirs = concept("a", display="Theirs", designation=[{"value": "Ihres"}])
    engine = terminology(
        code_system(theirs, concept("b", display="B"), version="7"), value_set(include)
    )
    first, second = (await engine.expand(CTX, NO_STORE, VALUES)).page()
    assert (first.display, second.display, first.version) == ("Mine", "B", "7")
    assert [each.value for each in first.designations] == ["Meins", "Ihres"]


async def test_a_code_in_another_case_is_found_as_the_system_writes_it() -> None:
    engine = terminology(
        code_system("Abc", caseSensitive=False),
        value_set({"system": SYSTEM}, exclude=[listed("x")]),
    )
    found = await engine.member(CTX, NO_STORE, VALUES, SYSTEM, "aBC")
    assert found is not None
    assert found.code == "Abc"


async def test_a_version_is_taken_when_it_is_asked_for_and_else_the_latest_active() -> None:
    resources = [
        code_system("old", version="1.9"),
        code_system("new", version="1.10"),
        code_system("draft", version="2.0", status="draft"),
    ]
    assert await codes(terminology(*resources, value_set({"system": SYSTEM}))) == ["new"]
    for version, expected in (("1.9", "old"), ("2.0", "draft"), ("*", "new")):
        include = {"system": SYSTEM, "version": version}
        assert await codes(terminology(*resources, value_set(include))) == [expected]
    refused = await refusal(*resources, value_set({"system": SYSTEM, "version": "3"}))
    assert f"'{SYSTEM}|3' is not known here; there is version 1.10, 1.9, 2.0" in str(refused)


async def test_an_expansion_is_used_only_where_there_is_no_compose() -> None:
    contains = [
        {"display": "group", "abstract": True, "contains": [{"system": SYSTEM, "code": "x"}]},
        {"system": SYSTEM, "code": "y", "display": "Y"},
    ]
    expansion = {"contains": contains}
    carried: Json = {"resourceType": "ValueSet", "url": VALUES, "expansion": expansion}
    assert await codes(terminology(carried)) == ["x", "y"]
    composed = value_set(listed("a")) | {"expansion": expansion}
    assert await codes(terminology(code_system("a"), composed)) == ["a"]
    partial = carried | {"expansion": expansion | {"total": 3}}
    assert "2 of 3 codes" in str(await refusal(partial))


async def test_a_supplement_is_used_by_the_value_set_that_names_it() -> None:
    url = f"{SYSTEM}/german"
    german = concept("a", designation=[{"language": "de", "value": "Ah"}])
    supplement = code_system(german, url=url, content="supplement", supplements=SYSTEM)
    named = value_set({"system": SYSTEM}) | {
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/valueset-supplement",
                "valueCanonical": url,
            }
        ]
    }
    for definition, expected in ((named, ["Ah"]), (value_set({"system": SYSTEM}), [])):
        engine = terminology(code_system("a"), supplement, definition)
        (member,) = (await engine.expand(CTX, NO_STORE, VALUES)).page()
        assert [each.value for each in member.designations] == expected
    only = await refusal(supplement, value_set({"system": url}))
    assert f"only adds to '{SYSTEM}'" in str(only)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{SNOMED_CT}?fhir_vs", ["1", "2", "3"]),
        (f"{SNOMED_CT}?fhir_vs=isa/2", ["2", "3"]),
        (f"{LOINC}/vs", ["8480-6"]),
    ],
)
async def test_value_sets_that_a_url_says_need_no_resource(url: str, expected: list[str]) -> None:
    engine = terminology(
        code_system("1", concept("2", "3"), url=SNOMED_CT), code_system("8480-6", url=LOINC)
    )
    assert await codes(engine, url) == expected
