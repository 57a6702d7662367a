"""The searches that are measured, by family and density, and what each must find.

Values of one density are alike in how much they find, and there are several, so that no single
query is kept hot. A range of matches is of the hospital's data (`benchmarks.hospital`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from urllib.parse import quote

from benchmarks.hospital import rare
from benchmarks.hospital.catalogue import (
    BLOOD_PRESSURE,
    DIASTOLIC,
    HEART_RATE,
    LOINC,
    OXYGEN_SATURATION,
    SNOMED,
    SYSTOLIC,
    TEMPERATURE,
    UCUM,
    catalogue,
)
from benchmarks.hospital.facts import LABORATORIES, Hospital
from benchmarks.hospital.people import MEDICAL_RECORD, medical_record_number
from benchmarks.hospital.results import ACCESSION, accession_number

PAGE = 20
READ = "read"
_READS = 5000
_COLD = 200
_DENSE_CODES = (BLOOD_PRESSURE, HEART_RATE, TEMPERATURE, OXYGEN_SATURATION)


@dataclass(frozen=True, slots=True)
class Query:
    """One request and what it finds: from `least` to `most` matches in all.

    included: the least number of resources that come with the first page beside the matches.
    order: an element that the matches are sorted by, with `-` for the last one first.
    """

    path: str
    least: int
    most: int
    included: int = 0
    order: str = ""

    @property
    def matches(self) -> int:
        """How many matches are on the first page."""
        return min(PAGE, self.least)


@dataclass(frozen=True, slots=True)
class Family:
    """Queries of one kind and density."""

    name: str
    density: str
    queries: tuple[Query, ...]

    @property
    def label(self) -> str:
        """How it is shown."""
        return f"{self.name} {self.density}".rstrip()


_Finder = Callable[[Hospital], Iterable[Query]]


def families(hospital: Hospital, names: Iterable[str] = ()) -> list[Family]:
    """Those with the names, or all."""
    chosen = set(names) or set(FAMILIES)
    return [
        Family(name, density, tuple(find(hospital)))
        for name, densities in FAMILIES.items()
        if name in chosen
        for density, find in densities.items()
    ]


def reads(hospital: Hospital) -> Family:
    """The yardstick: reads by id of every type, as many of each as its share of the hospital."""
    random = Random("reads")
    types = list(hospital.counts)
    paths = []
    for type_ in random.choices(types, list(hospital.counts.values()), k=_READS):
        number = random.randrange(hospital.counts[type_])
        paths.append(Query(f"/{hospital.reference(type_, number)}", 0, 0))
    return Family(READ, "", tuple(paths))


def search(type_: str, *parameters: tuple[str, str]) -> str:
    """The path of a search for pages of PAGE."""
    pairs = (*parameters, ("_count", str(PAGE)))
    return f"/{type_}?" + "&".join(f"{name}={quote(value, safe='/:,')}" for name, value in pairs)


def _some(
    hospital: Hospital,
    type_: str,
    low: float,
    high: float,
    *parameters: tuple[str, str],
    included: int = 0,
    order: str = "",
) -> Query:
    """A search that finds from `low` to `high` of its type's resources."""
    count = hospital.counts[type_]
    path = search(type_, *parameters)
    return Query(path, max(int(low * count), PAGE), int(high * count) + 1, included, order)


def _ten(type_: str, *parameters: tuple[str, str], included: int = 0, order: str = "") -> Query:
    path = search(type_, *parameters)
    return Query(path, rare.IN_A_GROUP, rare.IN_A_GROUP, included, order)


def _loinc(code: str) -> str:
    return f"{LOINC}|{code}"


def _rare_codes() -> list[str]:
    return [_loinc(item.code) for item in catalogue().rare_laboratory]


def _category(code: str) -> str:
    return f"http://terminology.hl7.org/CodeSystem/observation-category|{code}"


def _token_dense(hospital: Hospital) -> Iterable[Query]:
    for code in _DENSE_CODES:
        yield _some(hospital, "Observation", 0.09, 0.16, ("code", _loinc(code)))
    for category in ("vital-signs", "laboratory"):
        yield _some(hospital, "Observation", 0.3, 0.7, ("category", _category(category)))


def _token_sparse(_: Hospital) -> Iterable[Query]:
    return (_ten("Observation", ("code", code)) for code in _rare_codes())


def _identifier(hospital: Hospital) -> Iterable[Query]:
    """One match each and many values, most of which nothing read before."""
    for order in Random("orders").sample(range(hospital.counts["ServiceRequest"]), 5 * _COLD):
        value = f"{ACCESSION}|{accession_number(order)}"
        yield Query(search("ServiceRequest", ("identifier", value)), 1, 1)


def _reference_dense(hospital: Hospital) -> Iterable[Query]:
    for number in LABORATORIES:
        laboratory = hospital.reference("Organization", number)
        yield _some(hospital, "Observation", 0.1, 0.3, ("performer", laboratory))
    for number in range(4):
        department = hospital.reference("Organization", number)
        yield _some(hospital, "Encounter", 0.09, 0.2, ("service-provider", department))


def _reference_sparse(hospital: Hospital) -> Iterable[Query]:
    for group in range(rare.GROUPS):
        patient = hospital.reference("Patient", rare.patient_alone(group))
        yield _ten("Observation", ("subject", patient))
    for number in Random("encounters").sample(range(hospital.counts["Encounter"]), _COLD):
        found = len(hospital.observations_of(number))
        if found and not any(n in hospital.planted for n in hospital.observations_near(number)):
            encounter = hospital.reference("Encounter", number)
            yield Query(search("Observation", ("encounter", encounter)), found, found)


def _string_dense(hospital: Hospital) -> Iterable[Query]:
    known = catalogue()
    for parameter in (
        ("family", known.families[0]),
        ("family", known.families[1].lower()),
        ("family", "m"),
        ("given", known.female_names[0]),
        ("given", known.male_names[0]),
        *(("address-city", city) for city in known.cities[:3]),
    ):
        yield _some(hospital, "Patient", 0.05, 0.35, parameter)


def _string_sparse(_: Hospital) -> Iterable[Query]:
    return (_ten("Patient", ("family", name)) for name in catalogue().rare_families)


def _contains_dense(hospital: Hospital) -> Iterable[Query]:
    for part in ("son", "ll", "mi"):
        yield _some(hospital, "Patient", 0.05, 0.45, ("family:contains", part))


def _contains_sparse(_: Hospital) -> Iterable[Query]:
    for name in catalogue().rare_families:
        yield _ten("Patient", ("family:contains", name[2:-2]))


def _date_dense(hospital: Hospital) -> Iterable[Query]:
    for value in ("2024", "2023", "ge2023", "ge2023-07-01", "gt2024-01-31", "le2015", "lt2014-06"):
        yield _some(hospital, "Observation", 0.06, 0.3, ("date", value))


def _date_sparse(_: Hospital) -> Iterable[Query]:
    return (_ten("Observation", ("date", rare.rare_day(group))) for group in range(rare.GROUPS))


def _quantity_dense(hospital: Hospital) -> Iterable[Query]:
    for limit, unit in (
        ("gt50", "/min"), ("gt10", "/min"), ("lt38", "Cel"), ("gt36", "Cel"), ("ge95", "%"),
    ):  # fmt: skip
        value = f"{limit}|{UCUM}|{unit}"
        yield _some(hospital, "Observation", 0.07, 0.25, ("value-quantity", value))
    for limit in ("gt60", "gt110"):
        value = f"{limit}|{UCUM}|mm[Hg]"
        yield _some(hospital, "Observation", 0.07, 0.25, ("component-value-quantity", value))


def _quantity_sparse(_: Hospital) -> Iterable[Query]:
    for group in range(rare.GROUPS):
        value, unit = rare.rare_enzyme(group), f"|{UCUM}|U/L"
        if group % 2 == 0:
            yield _ten("Observation", ("value-quantity", f"{value}{unit}"))
        else:
            low, high = f"gt{value - 50}{unit}", f"lt{value + 50}{unit}"
            yield _ten("Observation", ("value-quantity", low), ("value-quantity", high))


def _composite_dense(hospital: Hospital) -> Iterable[Query]:
    for name, code, limit in (
        ("code-value-quantity", HEART_RATE, "gt60"),
        ("code-value-quantity", TEMPERATURE, "lt38"),
        ("code-value-quantity", OXYGEN_SATURATION, "ge90"),
        ("component-code-value-quantity", SYSTOLIC, "gt110"),
        ("component-code-value-quantity", DIASTOLIC, "gt60"),
        ("combo-code-value-quantity", SYSTOLIC, "gt100"),
    ):
        yield _some(hospital, "Observation", 0.07, 0.16, (name, f"{_loinc(code)}${limit}"))


def _composite_sparse(_: Hospital) -> Iterable[Query]:
    """A code that many have and a value that many have, but few have both."""
    for group in range(rare.GROUPS):
        value = f"{rare.rare_rate(group)}" + (f"|{UCUM}|/min" if group % 2 else "")
        yield _ten("Observation", ("code-value-quantity", f"{_loinc(HEART_RATE)}${value}"))


def _chain_dense(hospital: Hospital) -> Iterable[Query]:
    known = catalogue()
    for parameter in (
        ("subject:Patient.family", known.families[0]),
        ("patient.address-city", known.cities[0]),
        ("patient.gender", "female"),
        ("performer:Organization.name", known.departments[LABORATORIES[0]]),
        ("encounter.service-provider.name", known.departments[0]),
    ):
        yield _some(hospital, "Observation", 0.05, 0.7, parameter)


def _chain_sparse(_: Hospital) -> Iterable[Query]:
    for name in catalogue().rare_families:
        yield _ten("Observation", ("subject:Patient.family", name))
    for group in range(rare.GROUPS):
        value = f"{MEDICAL_RECORD}|{medical_record_number(rare.patient_alone(group))}"
        yield _ten("Observation", ("patient.identifier", value))


def _has_dense(hospital: Hospital) -> Iterable[Query]:
    for code in _DENSE_CODES:
        parameter = ("_has:Observation:patient:code", _loinc(code))
        yield _some(hospital, "Patient", 0.5, 1.0, parameter)
        parameter = ("_has:Observation:encounter:code", _loinc(code))
        yield _some(hospital, "Encounter", 0.2, 0.8, parameter)
    code = f"{SNOMED}|{catalogue().conditions[0].code}"
    yield _some(hospital, "Patient", 0.2, 0.9, ("_has:Condition:patient:code", code))


def _has_sparse(_: Hospital) -> Iterable[Query]:
    return (_ten("Patient", ("_has:Observation:patient:code", code)) for code in _rare_codes())


def _include_dense(hospital: Hospital) -> Iterable[Query]:
    for code in _DENSE_CODES:
        for included in ("subject", "encounter"):
            parameters = (("code", _loinc(code)), ("_include", f"Observation:{included}"))
            yield _some(hospital, "Observation", 0.09, 0.16, *parameters, included=1)


def _include_sparse(_: Hospital) -> Iterable[Query]:
    for code in _rare_codes():
        parameters = (("code", code), ("_include", "Observation:subject"))
        yield _ten("Observation", *parameters, included=rare.IN_A_GROUP)


def _revinclude_dense(hospital: Hospital) -> Iterable[Query]:
    known = catalogue()
    for code in (known.laboratory_orders[0], known.laboratory_orders[1], known.imaging_orders[0]):
        parameters = (
            ("code", _loinc(code.code)),
            ("_revinclude", "DiagnosticReport:based-on"),
        )
        yield _some(hospital, "ServiceRequest", 0.08, 0.3, *parameters, included=1)
    for number in range(4):
        parameters = (
            ("service-provider", hospital.reference("Organization", number)),
            ("_revinclude", "Observation:encounter"),
        )
        yield _some(hospital, "Encounter", 0.09, 0.2, *parameters, included=1)


def _revinclude_sparse(_: Hospital) -> Iterable[Query]:
    for name in catalogue().rare_families:
        parameters = (("family", name), ("_revinclude", "Observation:subject"))
        yield _ten("Patient", *parameters, included=rare.IN_A_GROUP)


def _sort_dense(hospital: Hospital) -> Iterable[Query]:
    newest, oldest = ("_sort", "-date"), ("_sort", "date")
    for code in _DENSE_CODES[:2]:
        for sort in (newest, oldest):
            parameters = (("code", _loinc(code)), sort)
            yield _some(hospital, "Observation", 0.09, 0.16, *parameters, order=sort[1])
    for number in hospital.busiest(4):
        parameters = (("patient", hospital.reference("Patient", number)), newest)
        yield _some(hospital, "Observation", 0.002, 0.08, *parameters, order=newest[1])
    parameters = (("category", _category("laboratory")), newest)
    yield _some(hospital, "Observation", 0.3, 0.7, *parameters, order=newest[1])
    for name, value, by in (
        ("address-city", catalogue().cities[0], "family"),
        ("gender", "female", "-birthdate"),
    ):
        yield _some(hospital, "Patient", 0.15, 0.7, (name, value), ("_sort", by), order=by)


def _sort_sparse(hospital: Hospital) -> Iterable[Query]:
    for group, code in enumerate(_rare_codes()):
        yield _ten("Observation", ("code", code), ("_sort", "-date"), order="-date")
        patient = hospital.reference("Patient", rare.patient_alone(group))
        yield _ten("Observation", ("subject", patient), ("_sort", "date"), order="date")


def _token_date_dense(hospital: Hospital) -> Iterable[Query]:
    for code in _DENSE_CODES:
        for since in ("ge2022", "ge2023"):
            parameters = (("code", _loinc(code)), ("date", since))
            yield _some(hospital, "Observation", 0.015, 0.1, *parameters)
    parameters = (("category", _category("laboratory")), ("date", "2024"))
    yield _some(hospital, "Observation", 0.02, 0.1, *parameters)


def _token_date_sparse(_: Hospital) -> Iterable[Query]:
    """A code that many have and a year that many have, but few have both."""
    for group in range(rare.GROUPS):
        year = str(rare.RARE_YEAR + group)
        yield _ten("Observation", ("code", _loinc(OXYGEN_SATURATION)), ("date", year))


FAMILIES: Mapping[str, Mapping[str, _Finder]] = {
    "token": {"dense": _token_dense, "sparse": _token_sparse},
    "identifier": {"sparse": _identifier},
    "reference": {"dense": _reference_dense, "sparse": _reference_sparse},
    "string": {"dense": _string_dense, "sparse": _string_sparse},
    "contains": {"dense": _contains_dense, "sparse": _contains_sparse},
    "date": {"dense": _date_dense, "sparse": _date_sparse},
    "quantity": {"dense": _quantity_dense, "sparse": _quantity_sparse},
    "composite": {"dense": _composite_dense, "sparse": _composite_sparse},
    "chain": {"dense": _chain_dense, "sparse": _chain_sparse},
    "_has": {"dense": _has_dense, "sparse": _has_sparse},
    "include": {"dense": _include_dense, "sparse": _include_sparse},
    "revinclude": {"dense": _revinclude_dense, "sparse": _revinclude_sparse},
    "sort": {"dense": _sort_dense, "sparse": _sort_sparse},
    "token-date": {"dense": _token_date_dense, "sparse": _token_date_sparse},
}
