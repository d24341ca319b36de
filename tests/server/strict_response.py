"""The response of an upstream, read and relayed the plain way: no memo, no roles.

One expression is the whole grammar (RFC 9112, sections 4 and 5), and each rule is a
sentence of an RFC. What the gateway sends to a client must equal what this says.
"""

import re
from dataclasses import dataclass

Pairs = list[tuple[bytes, bytes]]

HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t -~\x80-\xff]*+)?+\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t -~\x80-\xff]*+\r\n)*+)\r\n"
)
HOP_BY_HOP = set(
    b"connection keep-alive proxy-authenticate proxy-authentication-info te trailer "
    b"proxy-authorization proxy-connection transfer-encoding upgrade".split()
)


@dataclass
class Relayed:
    """What the client gets, apart from framing fields; and the connection's end."""

    status: int
    fields: Pairs
    body: bytes
    length: int | None
    kept: bool


# What a client may be sent: a status of three digits, and no control in a field.
SENT = re.compile(
    rb"HTTP/1\.1 [1-9][0-9]{2} [ -~]*+\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t -~\x80-\xff]*+\r\n)*+)\r\n"
).fullmatch


def is_well_formed(wire: bytes) -> bool:
    """Whether a response begins with a head in the grammar of RFC 9112."""
    return HEAD.match(wire) is not None


def relayed(wire: bytes, method: str, own_cookies: frozenset[bytes]) -> Relayed | None:
    """Return what becomes of a response that ended with the last byte; None: a 502.

    Only for bodies by Content-Length, and for none.
    """
    shape = HEAD.match(wire)
    if shape is None:
        return None
    minor, status, rest = int(shape[1]), int(shape[2]), wire[shape.end() :]
    lines = shape[3].split(b"\r\n")[:-1]
    pairs = [(n, v.strip(b" \t")) for n, _, v in (x.partition(b":") for x in lines)]
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        by_name.setdefault(name.lower(), []).append(value)
    lengths = by_name.get(b"content-length", [])
    if not all(re.fullmatch(rb"[0-9]{1,18}", v) for v in lengths):
        return None
    if len(set(map(int, lengths))) > 1:
        return None
    if b"transfer-encoding" in by_name or len(pairs) > 200:
        return None
    options = {
        option.strip(b" \t")
        for value in by_name.get(b"connection", [])
        for option in value.lower().split(b",")
    }
    kept = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    length = int(lengths[0]) if lengths else None
    if method == "HEAD" or status in {204, 304}:
        body = b""
    elif length is None:
        body, kept = rest, False
    elif len(rest) < length:
        return None
    else:
        body = rest[:length]
    kept = kept and len(rest) == len(body)
    if status == 204 and length:
        kept = False
    fields = [
        (name, value)
        for name, value in pairs
        if (low := name.lower()) not in HOP_BY_HOP | options | {b"content-length"}
        and low != b"x-request-id"
        and not low.startswith(b"x-gateway-")
        and not (low == b"set-cookie" and _named(value) in own_cookies)
    ]
    return Relayed(status, fields, body, length, kept)


def _named(cookie: bytes) -> bytes:
    """The name that a browser keeps (RFC 6265bis, sections 5.6 and 5.8.3)."""
    return cookie.lstrip(b" \t=").partition(b"=")[0].strip()
