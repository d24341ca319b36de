"""The address of the client: the peer, or the address that a trusted proxy reports.

Forwarding fields are ignored unless the peer is in a configured network. No private
range is trusted by default.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Final

from gateway.http.host import MAX_PORT, Authority, parse_authority
from gateway.http.refusal import BadRequest
from gateway.reasons import Reason

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAddress:
    """The address of the client, with the origin that it used.

    client  an address, or "" behind a Unix socket
    chain   the value of X-Forwarded-For: the client and the trusted hops, the peer last
    scheme, authority, port  None unless a trusted proxy reported them
    """

    client: str
    chain: str
    known: bool = True
    """False if a trusted proxy forwarded the request without a valid address of the
    client. `client` is then the address of that proxy."""
    scheme: str | None = None
    authority: Authority | None = None
    port: int | None = None


@lru_cache(maxsize=4096)
def direct_client_address(peer: str) -> ClientAddress:
    """Return the peer as the client."""
    address = parse_address(peer)
    client = peer if address is None else str(address)
    return ClientAddress(client=client, chain=client)


def read_client_address(
    peer: str, values: Mapping[str, str], trusted: Sequence[Network]
) -> ClientAddress | BadRequest:
    """Return the client that a trusted peer reports.

    X-Forwarded-For has precedence over Forwarded (RFC 7239). Each field is a list, one
    element for each proxy; repeated fields are one list (RFC 9110, section 5.3), and
    empty elements count only in X-Forwarded-For; a field that is empty is there. The element of the trusted hop counts:
    what stands left of it was written by, or sent to, a proxy that is not trusted. A
    malformed element there is a BadRequest: the proxy and the gateway would disagree about the
    client.

    Args:
        peer: the address of the connection.
        values: field values by lower-case name; repeated fields joined by a comma.
        trusted: networks of trusted proxies.
    """
    elements: list[dict[str, str]] = []
    if (chain := values.get("x-forwarded-for")) is not None:
        # An empty hop is kept: its proxy did not know the client, and what is left of
        # it was sent by the client. An empty field is one such hop: a proxy that sets
        # it does not set Forwarded, which is then the client's.
        hops = [_node(hop.strip(" \t")) for hop in chain.split(",")[-_MAX_HOPS:]]
    elif (forwarded := values.get("forwarded", "")).strip(" \t,;"):
        read = parse_forwarded(forwarded)
        if read is None:
            return _bad("the Forwarded header is malformed")
        elements = read[-_MAX_HOPS:]
        hops = [_node(element.get("for", "")) for element in elements]
    else:
        hops = []
    trail, known = _walk(peer, hops, trusted)
    # The proxy that accepted the client wrote the element of its address, and the
    # elements of the other fields as many places from the right.
    back = max(1, len(trail) - 1)
    there = elements[-back] if elements else {}
    scheme = authority = port = None
    if text := _believed(values, "x-forwarded-proto", back, there.get("proto")):
        scheme = _SCHEMES.get(text.lower())
        if scheme is None:
            return _bad("the forwarded scheme is malformed")
    if text := _believed(values, "x-forwarded-host", back, there.get("host")):
        authority = parse_authority(text)
        if authority is None:
            return _bad("the forwarded host is malformed")
    if text := _believed(values, "x-forwarded-port", back):
        port = _parse_port(text)
        if port is None:
            return _bad("the forwarded port is malformed")
    return ClientAddress(
        client=trail[0],
        chain=", ".join(filter(None, trail)),
        # False for a request that was forwarded without the address of its client.
        known=known and (bool(hops) or _FORWARDS.isdisjoint(values)),
        scheme=scheme,
        authority=authority,
        port=port,
    )


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """Return an IP address, None if invalid; an IPv4-mapped IPv6 address as IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_trusted(address: Address | None, trusted: Sequence[Network]) -> bool:
    """Return whether an address is in one of the networks."""
    return address is not None and any(address in network for network in trusted)


def parse_forwarded(value: str) -> list[dict[str, str]] | None:
    """Return the elements of Forwarded that are not empty; None if one is malformed.

    An element has its parameters by lower-case name (RFC 7239, section 4).
    """
    elements: list[dict[str, str]] = [{}]
    at = 0
    while at < len(value):
        skipped = _EMPTY(value, at)
        if skipped is not None:
            at = skipped.end()
            if "," in skipped[0]:
                elements.append({})
            continue
        found = _PAIR(value, at)
        if found is None:
            return None
        name, token, quoted, end = found.groups()
        text = token if token is not None else re.sub(r"\\(.)", r"\1", quoted)
        if name.lower() in elements[-1]:
            return None
        elements[-1][name.lower()] = text
        at = found.end()
        if end == ",":
            elements.append({})
    return [element for element in elements if element]


FORWARDING_FIELDS: Final = (
    "x-forwarded-for",
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
)
"""What `read_client_address` reads. A request with one of these was forwarded: it is
not one of the proxy's own."""
_FORWARDS: Final = frozenset(FORWARDING_FIELDS)
# Some proxies send the WebSocket schemes here.
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
# Longer than the chain of any deployment; hops further left are ignored.
_MAX_HOPS: Final = 32

_NODE: Final = re.compile(
    r"([0-9.]{7,15})(?::[0-9]{1,5})?|\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?"
    r"|([0-9A-Fa-f:.]{2,45})",
    re.ASCII,
).fullmatch
_EMPTY: Final = re.compile(r"[ \t]*[;,]|[ \t]+\Z").match
_PAIR: Final = re.compile(
    r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)="
    r'(?:([!#$%&\'*+.^_`|~0-9A-Za-z:\[\]-]+)|"((?:[^"\\]|\\.)*)")[ \t]*(;|,|\Z)'
).match


def _believed(
    values: Mapping[str, str], name: str, back: int, absent: str | None = None
) -> str | None:
    """Return the element `back` places from the right; the first of a shorter list.

    A proxy that sets the field instead of appending to it leaves one element. `absent`
    stands for a field that is absent, never for an empty one.
    """
    value = values.get(name, absent)
    if not value or "," not in value:
        return value
    found = [part for one in value.split(",") if (part := one.strip(" \t"))]
    return found[-min(back, len(found))] if found else None


def _node(text: str) -> Address | None:
    found = _NODE(text)
    if found is None:
        return None
    return parse_address(found[1] or found[2] or found[3])


def _walk(
    peer: str, hops: Sequence[Address | None], trusted: Sequence[Network]
) -> tuple[list[str], bool]:
    """Return the hops from the peer to the left while each is trusted; client first.

    The second value is False if a hop is invalid: the client is then unknown, and
    the first hop is the proxy that reported it.
    """
    trail = [direct_client_address(peer).client]
    known = True
    for hop in reversed(hops):
        if hop is None:
            known = False
            break
        trail.append(str(hop))
        if not is_trusted(hop, trusted):
            break
    trail.reverse()
    return trail, known


def _parse_port(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PORT))):
        return None
    port = int(text)
    return port if 0 < port <= MAX_PORT else None


def _bad(detail: str) -> BadRequest:
    return BadRequest(status=400, reason=Reason.BAD_HEADER, detail=detail)
