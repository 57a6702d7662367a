"""What can be searched by, each with a search that finds exactly what it should.

`python -m tests.interactions.search_table` prints the table of docs/search.md.
"""

# ruff: noqa: E501

import sys
from typing import Any, NamedTuple

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"


class Row(NamedTuple):
    """A kind of parameter with a modifier or prefix, and a search that shows it.

    found: ids of what it finds, of those in `RESOURCES`.
    """

    kind: str
    form: str
    search: str
    found: str
    meaning: str


RESOURCES: tuple[dict[str, Any], ...] = (
    {"resourceType": "CodeSystem", "id": "cs", "url": "urn:animals", "status": "active",
     "content": "complete", "hierarchyMeaning": "is-a",
     "concept": [{"code": "mammal", "concept": [{"code": "dog"}, {"code": "cat"}]}]},
    {"resourceType": "ValueSet", "id": "vs", "url": "http://e.org/fhir/ValueSet/pets",
     "status": "active",
     "compose": {"include": [{"system": "urn:animals", "concept": [{"code": "dog"}]}]}},
    {"resourceType": "Location", "id": "hospital", "name": "Hospital",
     "position": {"latitude": 48.2, "longitude": 16.37}},
    {"resourceType": "Location", "id": "ward", "name": "Ward",
     "partOf": {"reference": "Location/hospital"}},
    {"resourceType": "Patient", "id": "ann", "gender": "female", "birthDate": "1970-03-30",
     "text": {"status": "generated",
              "div": '<div xmlns="http://www.w3.org/1999/xhtml">Allergic to walnuts</div>'},
     "name": [{"family": "Müller", "given": ["Ann"]}],
     "identifier": [{"system": "urn:mrn", "value": "1",
                     "type": {"coding": [{"system": "urn:types", "code": "MR"}]}}],
     "managingOrganization": {"identifier": {"system": "urn:npi", "value": "77"}}},
    {"resourceType": "Patient", "id": "bob", "gender": "male", "birthDate": "1980",
     "meta": {"tag": [{"system": "urn:tags", "code": "vip"}]},
     "name": [{"family": "Mulder"}]},
    {"resourceType": "List", "id": "round", "status": "current", "mode": "working",
     "entry": [{"item": {"reference": "Patient/bob"}}]},
    {"resourceType": "Encounter", "id": "visit", "status": "finished",
     "class": {"code": "AMB"}, "subject": {"reference": "Patient/ann"},
     "location": [{"location": {"reference": "Location/ward"}}]},
    {"resourceType": "Observation", "id": "pressure", "status": "final",
     "code": {"coding": [{"system": LOINC, "code": "8480-6", "display": "Systolic pressure"}]},
     "subject": {"reference": "Patient/ann", "display": "Ann M."},
     "effectiveDateTime": "2024-02-29T10:00:00Z",
     "valueQuantity": {"value": 120, "system": UCUM, "code": "mm[Hg]"}},
    {"resourceType": "Observation", "id": "pet", "status": "preliminary",
     "code": {"coding": [{"system": "urn:animals", "code": "dog"}]},
     "subject": {"reference": "Patient/bob"},
     "effectivePeriod": {"start": "2024-03-01", "end": "2024-03-20"}},
    {"resourceType": "MedicationRequest", "id": "order", "status": "draft", "intent": "order",
     "subject": {"reference": "Patient/bob"}, "medicationReference": {"reference": "#m"},
     "contained": [{"resourceType": "Medication", "id": "m",
                    "code": {"coding": [{"code": "aspirin"}]}}]},
    {"resourceType": "RiskAssessment", "id": "risk", "status": "final",
     "subject": {"reference": "Patient/ann"}, "prediction": [{"probabilityDecimal": 0.25}]},
)  # fmt: skip

TABLE = (
    Row("token", "", f"Observation?code={LOINC}|8480-6", "pressure", "`code`, `system|code`, `|code`, `system|`"),
    Row("token", "not", "Patient?gender:not=male", "ann", "none of the codes, or no value"),
    Row("token", "of-type", "Patient?identifier:of-type=urn:types|MR|1", "ann", "an identifier by its type"),
    Row("token", "text", "Observation?code:text=systolic", "pressure", "beginning of a display or text"),
    Row("token", "in", "Observation?code:in=http://e.org/fhir/ValueSet/pets", "pet", "a code of a value set"),
    Row("token", "not-in", "Observation?code:not-in=http://e.org/fhir/ValueSet/pets", "pressure", "no code of a value set"),
    Row("token", "below", "Observation?code:below=urn:animals|mammal", "pet", "a code or one that it subsumes"),
    Row("token", "above", "Observation?code:above=urn:animals|dog", "pet", "a code or one that subsumes it"),
    Row("token", "missing", "Patient?identifier:missing=true", "bob", "no value at all, or any with `false`"),
    Row("reference", "", "Observation?subject=Patient/ann", "pressure", "`id`, `Type/id` or URL"),
    Row("reference", "[type]", "Observation?subject:Patient=bob", "pet", "the type of the id"),
    Row("reference", "identifier", "Patient?organization:identifier=urn:npi|77", "ann", "the identifier in the reference"),
    Row("reference", "text", "Observation?subject:text=ann", "pressure", "beginning of its display"),
    Row("reference", "below", "Encounter?location:below=Location/hospital", "visit", "the resource or any below it"),
    Row("reference", "above", "Encounter?location:above=Location/ward", "visit", "the resource or any above it"),
    Row("reference", "missing", "Patient?organization:missing=false", "ann", "no value at all, or any with `false`"),
    Row("string", "", "Patient?family=mul", "ann bob", "the beginning, without case and accents"),
    Row("string", "exact", "Patient?family:exact=Müller", "ann", "the whole, letter for letter"),
    Row("string", "contains", "Patient?family:contains=LDE", "bob", "somewhere in it, up to 300 letters"),
    Row("string", "missing", "Patient?given:missing=true", "bob", "no value at all, or any with `false`"),
    Row("uri", "", "ValueSet?url=http://e.org/fhir/ValueSet/pets", "vs", "the whole"),
    Row("uri", "below", "ValueSet?url:below=http://e.org/fhir", "vs", "what begins so, at a slash"),
    Row("uri", "above", "ValueSet?url:above=http://e.org/fhir/ValueSet/pets/cats", "vs", "what this begins with, at a slash"),
    Row("uri", "missing", "ValueSet?url:missing=false", "vs", "no value at all, or any with `false`"),
    Row("date", "", "Observation?date=2024-03", "pet", "within the day, month or year that is given"),
    Row("date", "`ne`", "Observation?date=ne2024-03", "pressure", "some value that is not within"),
    Row("date", "`gt` `ge`", "Observation?date=gt2024-03-10", "pet", "reaches beyond; or within"),
    Row("date", "`lt` `le`", "Observation?date=lt2024-03-10", "pressure pet", "begins before; or within"),
    Row("date", "`sa` `eb`", "Observation?date=eb2024-03-01", "pressure", "starts after; ends before"),
    Row("date", "`ap`", "Patient?birthdate=ap1971", "ann", "overlaps, give or take a tenth of the time until now"),
    Row("date", "missing", "Patient?birthdate:missing=true", "", "no value at all, or any with `false`"),
    Row("number", "", "RiskAssessment?probability=0.25", "risk", "the number at the precision that is given; prefixes as for dates"),
    Row("number", "missing", "RiskAssessment?probability:missing=false", "risk", "no value at all, or any with `false`"),
    Row("quantity", "", f"Observation?value-quantity=ge16|{UCUM}|kPa", "", "`number`, `number|system|code`, `number||code`; prefixes as for dates"),
    Row("quantity", "other unit", f"Observation?value-quantity=gt15.9|{UCUM}|kPa", "pressure", "UCUM units are converted"),
    Row("quantity", "missing", "Observation?value-quantity:missing=true", "pet", "no value at all, or any with `false`"),
    Row("composite", "", f"Observation?code-value-quantity={LOINC}|8480-6$gt100", "pressure", "values of one item, joined by `$`"),
    Row("composite", "missing", "Observation?code-value-quantity:missing=true", "pet", "no value at all, or any with `false`"),
    Row("near", "", "Location?near=48.21|16.36|5|km", "hospital", "`latitude|longitude|distance|units`; 10 km if no distance is given"),
    Row("near", "missing", "Location?near:missing=true", "ward", "no value at all, or any with `false`"),
    Row("_id", "", "Patient?_id=ann,nobody", "ann", "the logical id"),
    Row("_id", "not", "Patient?_id:not=ann", "bob", "any other id"),
    Row("_id", "missing", "Patient?_id:missing=true", "", "never"),
    Row("_lastUpdated", "", "Patient?_lastUpdated=gt2001", "ann bob", "as a date"),
    Row("_lastUpdated", "missing", "Patient?_lastUpdated:missing=false", "ann bob", "never missing"),
    Row("_filter", "", "Patient?_filter=family sw mul and not (gender eq male)", "ann", "an expression (R4 search_filter.html)"),
    Row("_list", "", "Patient?_list=round", "bob", "what a List refers to"),
    Row("_text", "", "Patient?_text=walnuts", "ann", "words of the narrative"),
    Row("_content", "", "Patient?_content=mulder", "bob", "words of the whole resource"),
    Row("_type", "", "?_type=Patient,Location&name=ward,ann", "ann ward", "several types, in a search of all"),
    Row("chain", "", "Observation?subject:Patient.family=mulder", "pet", "what the referred resource meets, to any depth"),
    Row("chain", "contained resource", "MedicationRequest?medication.code=aspirin", "order", "what is referred to may be contained"),
    Row("_has", "", "Patient?_has:Observation:patient:code=8480-6", "ann", "what a referring resource meets, nested at will"),
    Row("_contained", "", "Medication?_contained=true&code=aspirin", "order", "what contains such a resource; `both`: that and such resources"),
    Row("compartment", "", "Patient/ann/Observation", "pressure", "what belongs to a resource; `*` for all types"),
)  # fmt: skip


def markdown() -> str:
    """The table as docs/search.md has it."""
    lines = ["| Parameter | Modifier or prefix | Meaning | Example |", "|---|---|---|---|"]
    for row in TABLE:
        form = f"`:{row.form}`" if row.form.replace("-", "").isalpha() else row.form
        cells = (row.kind, form, row.meaning, f"`{row.search}`")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(markdown() + "\n")
