import pytest

from fhir_server.validation.narrative import narrative_faults


def div(inner: str, attributes: str = "") -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml"{attributes}>{inner}</div>'


@pytest.mark.parametrize(
    "text",
    [
        div("<p>text</p>"),
        div('<table border="1"><tbody><tr><td colspan="2">a</td></tr></tbody></table>'),
        div('<a href="Patient/1">x</a><a name="y"/>'),
        div('<img src="data:image/png;base64,aGVsbG8=" alt="x"/>'),
        div('<img src="#photo" alt=""/>'),
        div("a &amp; b &#160; &lt;"),
        div("text<!-- a comment -->"),
        div("text", ' xml:lang="de" lang="de" style="color: red"'),
        '<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p>x</h:p></h:div>',
    ],
)
def test_formatting_is_taken(text: str) -> None:
    assert narrative_faults(text) == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "well-formed"),
        ("text", "well-formed"),
        (div("<p>"), "well-formed"),
        (div("text") + div("text"), "well-formed"),
        (div("a &nbsp; b"), "well-formed"),
        (div("lone \ud800"), "surrogates"),
        ("<div>text</div>", "xmlns"),
        ('<p xmlns="http://www.w3.org/1999/xhtml">x</p>', "<p>"),
        (div("<script>alert(1)</script>"), "<script>"),
        (div("<iframe/>x"), "<iframe>"),
        (div("<form>x</form>"), "<form>"),
        (div("<object>x</object>"), "<object>"),
        (div('<svg xmlns="http://www.w3.org/2000/svg">x</svg>'), "<svg>"),
        (div('<p onclick="x()">x</p>'), "onclick"),
        (div("x", ' onload="x()"'), "onload"),
        (div('<a href="javascript:x()">x</a>'), "active content"),
        (div('<a href=" JaVa&#10;Script:x()">x</a>'), "active content"),
        (div('<a href="data:text/html,x">x</a>'), "active content"),
        (div('<img src="vbscript:x"/>'), "active content"),
        (div('<p style="width: expression(x())">x</p>'), "active content"),
        (div(""), "no content"),
        (div(" \n <p> </p>"), "no content"),
        ('<!DOCTYPE div [<!ENTITY a "b">]>' + div("&a;"), "document type"),
        ('<?xml-stylesheet href="x.css"?>' + div("x"), "processing instructions"),
    ],
)
def test_what_is_not_formatting_is_refused(text: str, part: str) -> None:
    faults = narrative_faults(text)
    assert len(faults) == 1
    assert part in faults[0]


def test_all_faults_are_told_up_to_a_limit() -> None:
    assert len(narrative_faults(div('<p onclick="x()"><script>x</script></p>'))) == 2
    assert len(narrative_faults(div("<script>x</script>" * 1000))) == 11


def test_entity_bomb_is_refused_unread() -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE div [<!ENTITY e0 "x">{entities}]>' + div("&e11;")
    assert narrative_faults(bomb) == ["A narrative must not have a document type or entities."]
