"""Shortcuts for invariants that many resources meet, where guards.py sees too little.

Each says that its invariant certainly holds; a test holds every one against FHIRPath.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.validation.profiles.guards import Certain

_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def _dom_3(resource: Mapping[str, Any]) -> bool:
    """Every contained resource is referred to."""
    contained = resource.get("contained")
    if contained is None:
        return True
    if contained.__class__ is not list:
        return False
    # An id is in `%resource.descendants().reference` when some Reference says so.
    ids = {f"#{each.get('id')}" for each in contained if each.__class__ is dict}
    return _refers_to(resource, ids)


def _refers_to(resource: Mapping[str, Any], texts: set[str]) -> bool:
    """Whether every one of the texts is that of a Reference; those near the top are found first."""
    ahead: list[Any] = [resource]
    for value in ahead:
        if value.__class__ is dict:
            text = value.get("reference")
            if text.__class__ is str:
                texts.discard(text)
                if not texts:
                    break
            ahead += [each for each in value.values() if each.__class__ in (dict, list)]
        elif value.__class__ is list:
            ahead += value
    return not texts


def _dom_4_5(resource: Mapping[str, Any]) -> bool:
    contained = resource.get("contained")
    if contained is None:
        return True
    return contained.__class__ is list and all(
        each.__class__ is dict and "meta" not in each for each in contained
    )


def _per_1(period: Mapping[str, Any]) -> bool:
    """Start and end of the same form and zone are in the order of their texts."""
    start, end = period.get("start"), period.get("end")
    if start is None or end is None:
        return True
    if start.__class__ is not str or end.__class__ is not str or len(start) != len(end):
        return False
    if len(start) > 10 and start[19:] != end[19:]:
        return False
    return bool(start <= end) and "60" not in start[17:19]


def _ref_1(reference: Mapping[str, Any]) -> bool:
    text = reference.get("reference")
    return text is None or (text.__class__ is str and text[:1] != "#")


def _bdl_3(bundle: Mapping[str, Any]) -> bool:
    return _entries_have(bundle, "request", ("batch", "transaction", "history"))


def _bdl_4(bundle: Mapping[str, Any]) -> bool:
    return _entries_have(bundle, "response", ("batch-response", "transaction-response", "history"))


def _entries_have(bundle: Mapping[str, Any], name: str, types: tuple[str, ...]) -> bool:
    type_, entries = bundle.get("type"), bundle.get("entry", ())
    if type_.__class__ is not str or entries.__class__ not in (list, tuple):
        return False
    wanted = type_ in types
    return all(
        each.__class__ is dict and (each.get(name) is not None) is wanted for each in entries
    )


def _bdl_7(bundle: Mapping[str, Any]) -> bool:
    """No `fullUrl` is there twice."""
    entries = bundle.get("entry", ())
    if entries.__class__ not in (list, tuple):
        return False
    urls = []
    for entry in entries:
        if entry.__class__ is not dict or "_fullUrl" in entry:
            return False
        url = entry.get("fullUrl")
        if url.__class__ is str:
            urls.append(url)
    return len(urls) == len(set(urls))


def _bdl_8(entry: Mapping[str, Any]) -> bool:
    url = entry.get("fullUrl")
    return url is None or (url.__class__ is str and "/_history/" not in url)


def _org_2_3(value: Mapping[str, Any]) -> bool:
    return value.get("use") != "home"


def _sdf_16(structure: Mapping[str, Any]) -> bool:
    return _have_their_own_ids(structure.get("snapshot"))


def _sdf_17(structure: Mapping[str, Any]) -> bool:
    return _have_their_own_ids(structure.get("differential"))


def _have_their_own_ids(view: Any) -> bool:
    """Whether every element has an id, and no two have the same; FHIRPath compares each pair."""
    if view is None:
        return True
    elements = view.get("element") if view.__class__ is dict else None
    if elements.__class__ is not list:
        return False
    ids = [each.get("id") for each in elements if each.__class__ is dict]
    texts = {each for each in ids if each.__class__ is str}
    return len(texts) == len(elements)


def _org_1(organization: Mapping[str, Any]) -> bool:
    return bool(organization.get("name") or organization.get("identifier"))


def _tim_5(repeat: Mapping[str, Any]) -> bool:
    period = repeat.get("period")
    return "_period" not in repeat and (period is None or period >= 0)


def _con_4(condition: Mapping[str, Any]) -> bool:
    """An abatement stands beside a code that ends a condition."""
    if not any(key.startswith(("abatement", "_abatement")) for key in condition):
        return True
    codes = _codes(condition.get("clinicalStatus"), _CLINICAL)
    return any(code in codes for code in ("resolved", "remission", "inactive"))


def _not_in_error(value: Mapping[str, Any]) -> bool:
    return "clinicalStatus" not in value or "entered-in-error" not in _codes(
        value.get("verificationStatus")
    )


def _codes(concept: Any, system: str | None = None) -> list[Any]:
    codings = concept.get("coding") if concept.__class__ is dict else None
    return [
        coding.get("code")
        for coding in (codings if codings.__class__ is list else ())
        if coding.__class__ is dict and (system is None or coding.get("system") == system)
    ]


def _obs_7(observation: Mapping[str, Any]) -> bool:
    return "component" not in observation


KNOWN: Mapping[str, Certain] = {
    "dom-3": _dom_3,
    "dom-4": _dom_4_5,
    "dom-5": _dom_4_5,
    "per-1": _per_1,
    "ref-1": _ref_1,
    "bdl-3": _bdl_3,
    "bdl-4": _bdl_4,
    "bdl-7": _bdl_7,
    "bdl-8": _bdl_8,
    "org-2": _org_2_3,
    "org-3": _org_2_3,
    "org-1": _org_1,
    "obs-7": _obs_7,
    "sdf-16": _sdf_16,
    "sdf-17": _sdf_17,
    "tim-5": _tim_5,
    "con-4": _con_4,
    "con-5": _not_in_error,
    "ait-2": _not_in_error,
}


def _sdf_8(view: Mapping[str, Any], structure: Mapping[str, Any]) -> bool:
    paths = _paths(view)
    fits = structure.get("kind") == "logical" or paths[0] == structure.get("type")
    return fits and all(each.startswith(f"{paths[0]}.") for each in paths[1:])


def _sdf_8a(view: Mapping[str, Any], structure: Mapping[str, Any]) -> bool:
    paths = _paths(view)
    type_ = structure.get("type")
    fits = structure.get("kind") == "logical" or paths[0].startswith(type_ or ".")
    root = paths[0].partition(".")[0]
    return bool(fits) and all(each.startswith(f"{root}.") for each in paths[1:])


def _paths(view: Mapping[str, Any]) -> list[str]:
    return [each["path"] for each in view["element"]]


# Takes an element and the object it stands in; says exactly what the invariant says. FHIRPath goes
# through all elements again for each one of them. KeyError and the like: FHIRPath has to decide.
JUDGED: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], bool]] = {
    "sdf-8": _sdf_8,
    "sdf-8a": _sdf_8a,
}
