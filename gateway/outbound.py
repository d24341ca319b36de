"""The outbound request: identity headers are removed in every spelling, then set once.

The only module that sets a header on a request. Hop-by-hop and forwarding fields were
removed when the head was read. Identity headers are removed here, in any case and with
`_` or `.` for `-`, on every route, with and without a session. Then each header of the
gateway is set once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from gateway.http.head import RequestHead
from gateway.http.headers import HeaderFilter, line_of
from gateway.http.memo import Memo
from gateway.http.target import BadTarget, strip_prefix
from gateway.http.value import value
from gateway.identity_headers import IdentityHeaders
from gateway.sessions.cookie import COOKIE_BYTES, COOKIES_MOST, strip_cookie
from gateway.sessions.record import Session, Tenant

_URI_LONGEST: Final = 2048
"""Bytes of a target that X-Forwarded-Uri repeats: a longer one could take a request over
the limit that the upstream has for headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSlot:
    """A token that an upstream gets; without a header it gets it as a cookie only."""

    profile: str
    header: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamView:
    """How requests to one upstream are built; compiled from its configuration."""

    name: str
    own_host: bytes
    preserve_host: bool
    strip_prefix: str | None
    header_filter: HeaderFilter
    stripped_cookies: frozenset[bytes]
    """Cookies that are not forwarded: minted tokens, and the session cookie unless
    `session_cookie: forward` (invariant 12)."""
    identity: IdentityHeaders
    provider: str | None = None
    """The provider whose access token is sent; then there is no token profile."""
    tokens: tuple[TokenSlot, ...] = ()
    own_names: tuple[bytes, ...] = ()
    """Headers that only the gateway sets: identity, tokens, the tenant selector."""
    restored_prefix: bytes = b""
    """The stripped prefix, which its responses get back; b"" if they do not."""
    _kept_cookies: Memo[bytes, bytes | None] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        names = self.stripped_cookies
        memo: Memo[bytes, bytes | None] = Memo(
            lambda one: strip_cookie((one,), names),
            entries=COOKIES_MOST,
            longest=COOKIE_BYTES,
        )
        object.__setattr__(self, "_kept_cookies", memo)

    def keep_cookies(self, cookies: Sequence[bytes]) -> bytes | None:
        """Return the Cookie value without `stripped_cookies`; None if none is left."""
        if len(cookies) == 1:
            return self._kept_cookies[cookies[0]]
        return strip_cookie(cookies, self.stripped_cookies)


OwnParts: TypeAlias = tuple[bytes | None, bytes | None, bytes]


@value
class OutboundRequest:
    """A complete request head.

    lines   the fields in order, as they are sent; a part may be several lines, each
            with its CRLF
    own     what only the gateway sets of them: the value of Cookie, that of X-Auth-Status,
            and the lines of the session

    The IDs of the request are not among the fields: requests that differ in nothing else
    may share it. `encode` adds them.
    """

    method: str
    target: str
    lines: Sequence[bytes] = field(repr=False)
    own: OwnParts = field(default=(None, None, b""), repr=False)
    _wire: bytes = field(default=b"", init=False, repr=False, compare=False)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The fields in order: name and value."""
        lines = b"".join(self.lines).split(b"\r\n")[:-1]
        return [(n, v) for n, _, v in (line.partition(b": ") for line in lines)]

    def encode(self, request_id: str, traceparent: str) -> bytes:
        """Return the head encoded as HTTP/1.1, with the IDs and the final empty line."""
        wire = self._wire
        if not wire:
            first = f"{self.method} {self.target} HTTP/1.1\r\n".encode("ascii")
            wire = b"".join((first, *self.lines))
            object.__setattr__(self, "_wire", wire)
        ids = f"X-Request-Id: {request_id}\r\ntraceparent: {traceparent}\r\n\r\n"
        return wire + ids.encode("ascii")


def granted_lines(
    view: UpstreamView,
    session: Session,
    tenant: Tenant | None,
    tokens: Sequence[str | None],
    access: str | None = None,
) -> bytes:
    """Return the lines that a session adds: its identity and its tokens.

    Args:
        view: how the upstream is addressed.
        session: the session of the user.
        tenant: the tenant that the request acts for.
        tokens: the signed token for each of `view.tokens`, if one was minted.
        access: the access token of `view.provider`, if there is one.
    """
    lines = view.identity.lines(session, tenant)
    for slot, token in zip(view.tokens, tokens, strict=True):
        if token is not None and slot.header is not None:
            lines += line_of(slot.header, _token_value(slot.header, token)).wire
    if access is not None:
        lines += line_of(_BEARER, _token_value(_BEARER, access)).wire
    return lines


def plan_outbound(
    *,
    head: RequestHead,
    view: UpstreamView,
    granted: bytes = b"",
    token_cookies: Sequence[tuple[bytes, bytes]] = (),
    cookies: Sequence[bytes] | None = None,
    status: bytes | None = None,
) -> OutboundRequest | BadTarget:
    """Return the request for the upstream; pure.

    Args:
        head: the request as it was read; its target is what the routes matched.
        view: how the upstream is addressed.
        granted: `granted_lines` of the session; b"" for an unauthenticated request.
        token_cookies: minted tokens that the upstream reads from cookies; they replace
            the client's cookies of these names.
        cookies: the client's Cookie values to forward; None: all of them.
        status: why there is no session, for X-Auth-Status, which X-Forwarded-Uri
            accompanies: the page to return to. None: neither.

    Returns:
        The outbound request, or BadTarget if the target without its prefix is invalid.
    """
    target = head.target
    prefix = b""
    if view.strip_prefix is not None:
        stripped = strip_prefix(target, view.strip_prefix)
        if isinstance(stripped, BadTarget):
            return stripped
        if stripped is not target:
            prefix = b"X-Forwarded-Prefix: %b\r\n" % view.strip_prefix.encode("ascii")
        target = stripped
    named = view.preserve_host and head.authority
    host = head.authority.encode("ascii") if named else view.own_host
    lines = [b"Host: %b\r\n" % host]
    lines += view.header_filter.strip(head.lines)
    if cookies is None:
        cookies = head.cookies
    cookie = _cookie(head, view, cookies, token_cookies)
    if cookie is not None:
        lines.append(b"Cookie: %b\r\n" % cookie)
    lines.append(
        _forwarding(head.forwarded_for, head.scheme, head.authority, head.port)
    )
    if status is not None:
        lines.append(b"X-Auth-Status: %b\r\n" % status)
        if len(head.target.raw) <= _URI_LONGEST:
            lines.append(f"X-Forwarded-Uri: {head.target.raw}\r\n".encode("ascii"))
    lines += filter(None, (prefix, granted, _framing(head)))
    own = (cookie, status, granted)
    return OutboundRequest(method=head.method, target=target.raw, lines=lines, own=own)


def decision_headers(
    own_names: Sequence[bytes], own: OwnParts
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that another proxy has to set instead of the gateway.

    Each of `own_names`, and Cookie, once; empty if the outbound request has no such
    header. A proxy that sets all of them sends what the gateway would send.
    """
    cookie, status, granted = own
    sent = {b"cookie": cookie or b"", b"x-auth-status": status or b""}
    for line in granted.split(b"\r\n")[:-1]:
        name, _, content = line.partition(b": ")
        sent[name.lower()] = content
    return tuple((name, sent.get(name.lower(), b"")) for name in (*own_names, _COOKIE))


_COOKIE: Final = b"Cookie"
_BEARER: Final = b"Authorization"


@lru_cache(maxsize=1024)  # a client repeats the same values
def _forwarding(chain: str, scheme: str, authority: str, port: int) -> bytes:
    # A Unix socket has no address, an HTTP/1.0 client may name no host.
    sent_by = f"X-Forwarded-For: {chain}\r\n" if chain else ""
    host = f"X-Forwarded-Host: {authority}\r\n" if authority else ""
    return (
        f"{sent_by}X-Forwarded-Proto: {scheme}\r\n{host}X-Forwarded-Port: {port}\r\n"
    ).encode("ascii")


def _cookie(
    head: RequestHead,
    view: UpstreamView,
    cookies: Sequence[bytes],
    token_cookies: Sequence[tuple[bytes, bytes]],
) -> bytes | None:
    kept = view.keep_cookies(cookies) if cookies and not head.cookie_hop else None
    if not token_cookies:
        return kept
    ours = b"; ".join(name + b"=" + value for name, value in token_cookies)
    return ours if kept is None else kept + b"; " + ours


def _token_value(header: bytes, token: str) -> bytes:
    value = token.encode("ascii")
    # RFC 6750, section 2.1; other headers carry the bare token.
    return b"Bearer " + value if header == _BEARER else value


def _framing(head: RequestHead) -> bytes | None:
    if head.websocket is not None:
        # RFC 9110, section 7.8: Upgrade counts only when Connection names it.
        return b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    if head.chunked:
        return b"Transfer-Encoding: chunked\r\n"
    if head.content_length is not None:
        return b"Content-Length: %d\r\n" % head.content_length
    return None
