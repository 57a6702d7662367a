"""The links of a Bundle between its pages (R4 http.html#paging, assert.navigationLinks)."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit


def faults(bundle: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the links that pages need.

    A result on one page needs no link but to itself. One on several pages needs `first` and `last`,
    and `next` unless this is the last page.
    """
    if bundle.get("resourceType") != "Bundle":
        yield f"expected a Bundle, found {bundle.get('resourceType', 'no resource')}"
        return
    links: dict[str, str] = {}
    for link in bundle.get("link", ()):
        relation, url = link.get("relation"), link.get("url")
        if relation in links:
            yield f"the link '{relation}' stands there twice"
        if not isinstance(url, str) or not urlsplit(url).path:
            yield f"the link '{relation}' has no URL"
        links[str(relation)] = str(url)
    paged = bool(links.keys() & {"next", "previous", "prev"}) or _is_part(bundle)
    if paged:
        for relation in ("first", "last"):
            if relation not in links:
                yield f"there is no link '{relation}' though there are several pages"
    if "next" not in links and _is_part(bundle) and not links.keys() & {"previous", "prev"}:
        yield "there is no link 'next' though there are more results than this page has"


def _is_part(bundle: dict[str, Any]) -> bool:
    """Whether there are more matches than these, as far as `total` tells."""
    modes = [entry.get("search", {}).get("mode", "match") for entry in bundle.get("entry", ())]
    total = bundle.get("total")
    return isinstance(total, int) and total > modes.count("match") > 0
