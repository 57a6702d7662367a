"""What reverse proxies say of the requests that they pass on: believed of named ones only."""

import re
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fhir_server.http.body import Receive, Scope, Send

Network = IPv4Network | IPv6Network
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SCHEMES = frozenset({"http", "https"})


def read_networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks apart by spaces. Raises ValueError for what is neither."""
    found = []
    for each in text.split():
        try:
            found.append(ip_network(each))
        except ValueError:
            raise ValueError(
                f"{each!r}: expected an address such as 10.0.0.5 or a network such as 10.0.0.0/24"
            ) from None
    return tuple(found)


def behind(app: Asgi, proxies: Sequence[Network]) -> Asgi:
    """An application that believes proxies who asks, by which scheme and under which name.

    It reads X-Forwarded-For from its end, up to the first address that is no proxy's: what stands
    before that one was written by whoever asked. Itself where there are no proxies.
    """
    if not proxies:
        return app

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client is not None and _within(client[0], proxies):
            scope = _as_forwarded(scope, client[0], proxies)
        await app(scope, receive, send)

    return serve


def _as_forwarded(scope: Scope, proxy: str, proxies: Sequence[Network]) -> Scope:
    told = {b"x-forwarded-for": "", b"x-forwarded-proto": "", b"x-forwarded-host": ""}
    for name, value in scope["headers"]:
        if name in told:
            told[name] = f"{told[name]},{value.decode('latin-1')}"
    address = _origin(told[b"x-forwarded-for"], proxy, proxies)
    found = {**scope, "client": (address, 0)}
    if (scheme := _last(told[b"x-forwarded-proto"])) in _SCHEMES:
        found["scheme"] = scheme
    if _HOST.fullmatch(host := _last(told[b"x-forwarded-host"])):
        others = [each for each in scope["headers"] if each[0] != b"host"]
        found["headers"] = [*others, (b"host", host.encode())]
    return found


def _origin(chain: str, proxy: str, proxies: Sequence[Network]) -> str:
    """The last address of a chain that is no proxy's; the outermost proxy's if all are."""
    address = proxy
    for each in reversed(chain.split(",")):
        if not each.strip():
            continue
        try:
            address = str(ip_address(_bare(each)))
        except ValueError:
            break
        if not _within(address, proxies):
            break
    return address


def _bare(text: str) -> str:
    """An address without the port that some proxies write behind it."""
    text = text.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _within(text: str, networks: Sequence[Network]) -> bool:
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in each for each in networks)


def _last(listed: str) -> str:
    return listed.rpartition(",")[2].strip()
