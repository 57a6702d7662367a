"""What the tags of a study's instances say, read from Orthanc's JSON, before it becomes FHIR."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Tags = Mapping[str, Any]

STUDY_UID = "0020,000d"
SERIES_UID = "0020,000e"
INSTANCE_UID = "0008,0018"
CLASS_UID = "0008,0016"
MODALITY = "0008,0060"
ACCESSION = "0008,0050"
ISSUER_OF_ACCESSION = "0008,0051"
REQUESTED = "0040,0275"
PATIENT_ID = "0010,0020"
ISSUER_OF_PATIENT = "0010,0021"
PATIENT_NAME = "0010,0010"
BIRTH_DATE = "0010,0030"
SEX = "0010,0040"
# An issuer by its local name, or by an identifier that is unique everywhere.
_LOCAL_NAME = "0040,0031"
_UNIVERSAL_ID = "0040,0032"


@dataclass(frozen=True, slots=True, order=True)
class Accession:
    """An accession number, and who gave it as the images name them; empty if they do not."""

    value: str
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Whose images they say they are."""

    id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """A series: the tags of each instance, in the order of their numbers."""

    uid: str
    instances: Sequence[Tags]


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """A study.

    accessions: of any of its instances. requested: those that name the orders they are made for.
    """

    uid: str
    person: Person
    series: Sequence[SeriesFacts]
    accessions: Sequence[Accession]
    requested: Sequence[Accession]

    @property
    def instances(self) -> Iterator[Tags]:
        """The tags of every instance."""
        return (tags for series in self.series for tags in series.instances)


def study_facts(uid: str, all_tags: Iterable[Tags]) -> StudyFacts:
    """A study from the tags of its instances, which may come in any order."""
    by_series: dict[str, list[Tags]] = {}
    for tags in all_tags:
        by_series.setdefault(text(tags, SERIES_UID), []).append(tags)
    series = [
        SeriesFacts(uid, sorted(instances, key=_order))
        for uid, instances in sorted(by_series.items(), key=lambda item: _order_of(*item))
    ]
    every = [tags for each in series for tags in each.instances]
    return StudyFacts(
        uid,
        _person(every),
        series,
        sorted({found for tags in every if (found := _accession(tags)).value}),
        sorted(
            {
                found
                for tags in every
                for item in items(tags, REQUESTED)
                if (found := _accession(item)).value
            }
        ),
    )


def text(tags: Tags, tag: str) -> str:
    """A value as text without the spaces around it; empty for none."""
    found = tags.get(tag)
    return found.strip(" \0") if isinstance(found, str) else ""


def texts(tags: Tags, tag: str) -> list[str]:
    """The values of a tag that may have several."""
    return [each for part in text(tags, tag).split("\\") if (each := part.strip())]


def items(tags: Tags, tag: str) -> Sequence[Tags]:
    """The items of a sequence."""
    found = tags.get(tag)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def whole_number(tags: Tags, tag: str) -> int | None:
    """A number from 0 on; None for what is none, as -1 is sometimes written."""
    found = text(tags, tag)
    number = found.removeprefix("+")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None


def _accession(tags: Tags) -> Accession:
    issuers = items(tags, ISSUER_OF_ACCESSION)
    names = (text(item, tag) for item in issuers for tag in (_LOCAL_NAME, _UNIVERSAL_ID))
    return Accession(text(tags, ACCESSION), next(filter(None, names), ""))


def _person(every: Sequence[Tags]) -> Person:
    """Orthanc keeps the images of two patient ids apart, so that the first one speaks for all."""
    tags = every[0] if every else {}
    return Person(
        text(tags, PATIENT_ID),
        text(tags, ISSUER_OF_PATIENT),
        text(tags, PATIENT_NAME),
        text(tags, BIRTH_DATE),
        text(tags, SEX),
    )


def _order(tags: Tags) -> tuple[bool, int, str]:
    number = whole_number(tags, "0020,0013")
    return number is None, number or 0, text(tags, INSTANCE_UID)


def _order_of(uid: str, instances: Sequence[Tags]) -> tuple[bool, int, str]:
    number = whole_number(instances[0], "0020,0011")
    return number is None, number or 0, uid
