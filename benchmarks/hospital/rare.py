"""Values that are found ten times in a hospital, whatever its size, and where they are planted.

There are eight groups of each kind, so that a benchmark can vary its values:

* `patient`: one patient with ten Observations, all body temperatures of one day long ago
* `code`: a code that was measured ten times, each time for another patient of one rare family
* `rate`: a heart rate far above all others, though other codes often have such values
* `enzyme`: a value of creatine kinase that no Observation comes near
* `year`: pulse oximetries of a year before it came into general use
"""

from datetime import date, timedelta
from typing import Literal, NamedTuple

GROUPS = 8
IN_A_GROUP = 10
RARE_YEAR = 2012  # group 0's; the general use begins eight years later
_KINDS: tuple["Kind", ...] = ("patient", "code", "rate", "enzyme", "year")
PLANTED = len(_KINDS) * GROUPS * IN_A_GROUP

# The first patients are those of the groups, and have no other Observations than those planted.
RARE_PATIENTS = GROUPS + GROUPS * IN_A_GROUP

Kind = Literal["patient", "code", "rate", "enzyme", "year"]


class Planted(NamedTuple):
    """Of which kind and group an Observation is, and the how manieth of its group."""

    kind: Kind
    group: int
    member: int


def planted(observations: int) -> dict[int, Planted]:
    """The numbers of the planted Observations, evenly spread over the order of insertion."""
    found = {}
    for slot in range(PLANTED):
        rest, kind = divmod(slot, len(_KINDS))
        member, group = divmod(rest, GROUPS)
        found[slot * observations // PLANTED + 3] = Planted(_KINDS[kind], group, member)
    return found


def patient_alone(group: int) -> int:
    """The number of the patient with ten Observations."""
    return group


def family_member(group: int, member: int) -> int:
    """The number of a patient of a rare family."""
    return GROUPS + group * IN_A_GROUP + member


def family_of(patient: int) -> int | None:
    """The rare family's group that a patient belongs to."""
    if GROUPS <= patient < RARE_PATIENTS:
        return (patient - GROUPS) // IN_A_GROUP
    return None


def rare_day(group: int) -> str:
    """The day of the temperatures of a `patient` group."""
    return (date(1998, 3, 2) + timedelta(37 * group)).isoformat()


def rare_rate(group: int) -> int:
    """Beats per minute of a `rate` group."""
    return 401 + group


def rare_enzyme(group: int) -> int:
    """U/L of an `enzyme` group."""
    return 20_000 + 100 * group
