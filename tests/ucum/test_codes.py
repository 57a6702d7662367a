from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import ucumvert
from hypothesis import example, given
from hypothesis import strategies as st
from lark.exceptions import LarkError

from fhir_server.ucum import Unit, canonical, convert
from fhir_server.ucum.essence import ESSENCE, essence

VENDORED = Path(ucumvert.__file__).parent / "vendor"
PARSER = ucumvert.get_ucum_parser()
EXAMPLES = [
    line.split("\t")[1] for line in (VENDORED / "ucum_examples.tsv").read_text().splitlines()[1:]
]
# The list of examples has it, the table does not define it.
NOT_IN_TABLE = {"Torr"}


def known(code: str) -> Unit:
    found = canonical(code)
    assert found is not None, code
    return found


@pytest.mark.parametrize(
    ("code", "factor", "dimension"),
    [
        ("1", Fraction(1), "1"),
        ("10*9/L", Fraction(10**12), "m-3"),
        ("10^9/L", Fraction(10**12), "m-3"),
        ("kg/m2", Fraction(1000), "g.m-2"),
        ("mg/dL", Fraction(10), "g.m-3"),
        ("{beats}/min", Fraction(1, 60), "s-1"),
        ("/min", Fraction(1, 60), "s-1"),
        ("ng/mL{FEU}", Fraction(1, 1000), "g.m-3"),
        ("[iU]/L", Fraction(1000), "[iU].m-3"),
        ("k[IU]", Fraction(1000), "[iU]"),
        ("{score}", Fraction(1), "1"),
        ("%", Fraction(1, 100), "1"),
        ("mL/min/{1.73_m2}", Fraction(1, 60_000_000), "m3.s-1"),
        ("J/(kg.K)", Fraction(1), "K-1.m2.s-2"),
        ("m.s-1/s", Fraction(1), "m.s-2"),
        ("m+2", Fraction(1), "m2"),
        ("m/m", Fraction(1), "1"),
        ("dar", Fraction(10), "m2"),
        ("dam", Fraction(10), "m"),
        ("24.h", Fraction(86_400), "s"),
        ("2mo", None, None),
    ],
)
def test_codes_are_exact_multiples_of_base_units(
    code: str, factor: Fraction | None, dimension: str | None
) -> None:
    found = canonical(code)
    assert (found and found.factor, found and found.dimension) == (factor, dimension)


@pytest.mark.parametrize(
    "code",
    [
        "",
        " ",
        "mg dL",
        "nonsense",
        "KG",
        "mmHg",
        "kmin",
        "k",
        "é",
        "m²",
        "m0",
        "0",
        "m//s",
        "m.",
        ".m",
        "(m",
        "m)",
        "()",
        "(m/s)2",
        "2+3",
        "m{open",
        "m{sp ace}",
        "m{{a}}",
        "[lb_av",
        "\u0661",
        "m\n",
    ],
)
def test_what_ucum_does_not_define_is_no_unit(code: str) -> None:
    assert canonical(code) is None


@pytest.mark.parametrize(
    "code",
    ["m" + "{a}" * 40, "(" * 60 + "m" + ")" * 60, "m101", "m" + "9" * 90, ".".join(["Ym100"] * 16)],
)
def test_what_would_keep_a_server_busy_is_no_unit(code: str) -> None:
    assert canonical(code) is None


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        ("90", "mg/dL", "g/L", "0.9"),
        ("0.9", "g/L", "mg/dL", "90"),
        ("120", "mm[Hg]", "kPa", "15.99864"),
        ("37", "Cel", "[degF]", "98.6"),
        ("98.6", "[degF]", "Cel", "37"),
        ("-40", "[degF]", "Cel", "-40"),
        ("37", "Cel", "K", "310.15"),
        ("0", "K", "[degF]", "-459.67"),
        ("80", "[degRe]", "Cel", "100"),
        ("37000", "mCel", "Cel", "37"),
        ("3.7", "10.Cel", "Cel", "37"),
        ("1", "Cel/min", "K/min", "1"),
        ("9", "[degF]/s", "Cel/s", "5"),
        ("185", "[lb_av]", "kg", "83.91458845"),
        ("1", "[in_i]", "cm", "2.54"),
        ("4.5", "10*9/L", "10*3/uL", "4.5"),
        ("72", "/min", "Hz", "1.2"),
        ("1", "a", "d", "365.25"),
        ("5", "dB[SPL]", "B[SPL]", "0.5"),
        ("7.4", "[pH]", "[pH]", "7.4"),
        ("1", "mol", "10*23", "6.02214076"),
        ("1", "eq/L", "mmol/mL", "1"),
        ("1", "d", "wk", "0.1428571428571428571428571428571429"),
        ("1E+1000", "Ym", "ym", "1E+1048"),
        ("-0.0", "mg", "g", "0"),
    ],
)
def test_known_conversions(value: str, source: str, target: str, expected: str) -> None:
    assert convert(Decimal(value), source, target) == Decimal(expected)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("mmol/L", "mg/dL"),
        ("[IU]", "g"),
        ("[IU]", "1"),
        ("[IU]", "[arb'U]"),
        ("[IU]/L", "U/L"),
        ("[pH]", "mol/L"),
        ("B[SPL]", "Pa"),
        ("B", "Np"),
        ("Cel", "J"),
        ("g", "nonsense"),
        ("nonsense", "nonsense"),
    ],
)
def test_what_measures_something_else_is_not_converted(source: str, target: str) -> None:
    assert convert(Decimal(1), source, target) is None
    assert convert(Decimal(1), target, source) is None


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E+1001", "1E-1001", "1E+999999999"])
def test_what_is_too_long_or_no_number_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="number"):
        convert(Decimal(value), "g", "mg")


@pytest.mark.parametrize("code", sorted(essence().symbols))
def test_every_symbol_of_the_table_is_a_unit(code: str) -> None:
    assert known(code).factor > 0


def test_no_text_is_both_a_symbol_and_a_symbol_with_a_prefix() -> None:
    table = essence()
    metric = [code for code, symbol in table.symbols.items() if symbol.metric]
    both = [prefix + code for prefix in table.prefixes for code in metric]
    assert len(both) == len(set(both))
    assert not set(both) & set(table.symbols)


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_units_that_ucum_recommends_for_messages_are_known(code: str) -> None:
    assert (canonical(code) is None) == (code in NOT_IN_TABLE)


def test_the_table_is_unchanged() -> None:
    assert ESSENCE.read_bytes() == (VENDORED / "ucum-essence.xml").read_bytes()


SYMBOLS = st.sampled_from(sorted(essence().symbols))
METRIC = st.sampled_from(sorted(code for code, unit in essence().symbols.items() if unit.metric))
PREFIXED = st.builds(str.__add__, st.sampled_from(sorted(essence().prefixes)), METRIC)
SIMPLE = st.builds(
    lambda symbol, exponent: f"{symbol}{exponent}",
    SYMBOLS | PREFIXED,
    st.sampled_from(["", "", "-1", "+2", "3", "-4"]),
)
COMPONENTS = SIMPLE | st.sampled_from(["{a}", "12", "10*3", "10^-2"])
CODES = st.recursive(
    COMPONENTS,
    lambda inner: st.one_of(
        st.builds("{}.{}".format, inner, inner),
        st.builds("{}/({})".format, inner, inner),
        st.builds("({}){{note}}".format, inner),
    ),
    max_leaves=4,
).filter(lambda code: len(code) <= 100)
VALUES = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9)


@given(CODES)
def test_the_dimension_is_a_code_of_the_same_dimension(code: str) -> None:
    unit = canonical(code)
    if unit is not None:
        assert known(unit.dimension).dimension == unit.dimension


@given(VALUES, CODES)
def test_a_value_survives_the_way_to_base_units_and_back(value: Decimal, code: str) -> None:
    unit = canonical(code)
    if unit is not None:
        assert unit.from_base(unit.to_base(value)) == Fraction(value)


@given(VALUES, SIMPLE, SIMPLE)
def test_units_convert_into_each_other_or_neither_way(value: Decimal, one: str, other: str) -> None:
    there = convert(value, one, other)
    back = convert(value, other, one)
    assert (there is None) == (back is None)
    assert (there is not None) == (known(one).dimension == known(other).dimension)


@given(st.decimals("-1E6", "1E6", places=3), CODES, st.sampled_from(["k", "m", "u", "G"]))
def test_prefixed_units_round_trip(value: Decimal, code: str, prefix: str) -> None:
    unit = canonical(f"{prefix}g/({code})")
    if unit is None:
        return
    there = convert(value, f"{prefix}g/({code})", f"g/({code})")
    assert there is not None
    assert convert(there, f"g/({code})", f"{prefix}g/({code})") == value


def _ucumvert_parses(code: str) -> bool:
    try:
        PARSER.parse(code)
    except LarkError:
        return False
    return True


@given(CODES | st.text("mgL[]()/.{}1*^-+2%k", max_size=8))
@example("{a}m")
@example("m{a}{b}")
def test_an_independent_parser_accepts_the_same_codes(code: str) -> None:
    assert (canonical(code) is not None) == _ucumvert_parses(code)


@given(st.text(max_size=150))
def test_any_text_is_a_unit_or_none(text: str) -> None:
    unit = canonical(text)
    assert unit is None or unit.factor > 0
