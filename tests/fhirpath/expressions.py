"""Random expressions: from the grammar, so that most parse and evaluation gets its share."""

from hypothesis import strategies as st

from fhir_server.fhirpath.functions import FUNCTIONS

_NAMES = (
    "name", "given", "family", "active", "birthDate", "contact", "extension", "value", "id",
    "contained", "telecom", "rank", "multipleBirth", "Patient", "Observation", "deceased", "url",
)  # fmt: skip
_LITERALS = (
    "true", "false", "{}", "0", "1", "-1", "2147483647", "3.14", "0.0000000001", "1e", "''", "'a'",
    "'2015'", "'a*'", "'(a+)+$'", "'[A-Z]'", "'x\\u0000y'", "@2015", "@2015-02-30", "@2015-02-28",
    "@2015-02-28T10:30:00.123+10:00", "@T10:30", "@9999-12-31", "@0001-01-01T00:00:00Z", "4 days",
    "1 'mg'", "2 'g/(m.s)'", "1 year", "1 '[pH]'", "3 'nonsense'", "99999999999999999999.5",
    "%ucum", "%resource", "%context", "%rootResource", "%unknown", "%`vs-x`",
    "$this", "$index", "$total",
)  # fmt: skip
_BINARY = (
    "=", "!=", "~", "!~", "<", ">", "<=", ">=", "|", "+", "-", "*", "/", "&", "and", "or", "xor",
    "implies", "div", "mod", "in", "contains",
)  # fmt: skip
_TYPES = ("Patient", "string", "System.String", "FHIR.Quantity", "Integer", "System.nothing")


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    # As many arguments as the function takes.
    call = st.builds(
        lambda source, name, arguments: (
            f"({source}).{name}({', '.join(arguments[: max(FUNCTIONS[name].fewest, 0)])})"
        ),
        inner,
        st.sampled_from(sorted(FUNCTIONS)),
        st.lists(inner, min_size=3, max_size=3),
    )
    more = st.builds(
        lambda source, name, arguments: f"({source}).{name}({', '.join(arguments)})",
        inner,
        st.sampled_from(sorted(name for name, f in FUNCTIONS.items() if f.most > f.fewest)),
        st.lists(inner, max_size=3),
    )
    return st.one_of(
        call,
        call,
        more,
        st.builds("({}).{}".format, inner, st.sampled_from(_NAMES)),
        st.builds("({}) {} ({})".format, inner, st.sampled_from(_BINARY), inner),
        st.builds("({}) is {}".format, inner, st.sampled_from(_TYPES)),
        st.builds("({}) as {}".format, inner, st.sampled_from(_TYPES)),
        st.builds("({}).ofType({})".format, inner, st.sampled_from(_TYPES)),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("-({})".format, inner),
    )


EXPRESSIONS = st.recursive(st.sampled_from(_NAMES + _LITERALS), _grown, max_leaves=12)
