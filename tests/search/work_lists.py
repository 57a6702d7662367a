"""The work lists that are documented, each one search."""

_WITH = (
    "&_include=Task:focus&_include=Task:patient&_include=Task:encounter"
    "&_include=Task:requester&_include=Task:owner"
)

SCHEDULER = (
    "Task?business-status=ordered&order-type=imaging,procedure&_sort=urgency,authored-on" + _WITH
)
TECHNICIAN = (
    "Task?business-status=scheduled,in-progress&modality=CT&scheduled=2026-11-23"
    "&_sort=urgency,scheduled" + _WITH
)
STATION = (
    "Task?business-status=scheduled&station=Location/ct1&scheduled=2026-11-23"
    "&_sort=urgency,scheduled" + _WITH
)
PERFORMER = (
    "Task?business-status=scheduled&owner=Practitioner/tech&scheduled=2026-11-23"
    "&_sort=urgency,scheduled" + _WITH
)
RADIOLOGIST = "Task?business-status=completed&order-type=imaging&_sort=urgency,authored-on" + _WITH

WORK_LISTS = {
    "scheduler": SCHEDULER,
    "technician": TECHNICIAN,
    "station": STATION,
    "performer": PERFORMER,
    "radiologist": RADIOLOGIST,
}
