"""The head of a request: `read_head` returns a RequestHead or a BadRequest.

All later steps use the canonical form made here. A head that an upstream could
interpret differently is a BadRequest.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from gateway.http.connection_options import (
    NO_OPTIONS,
    connection_options,
    drop_named,
    read_expectation,
    read_upgrade,
)
from gateway.http.fields import Fields
from gateway.http.forwarded import direct_client_address
from gateway.http.framing import BODILESS, read_framing
from gateway.http.head_rules import HeadRules
from gateway.http.headers import Field, Line, line_of
from gateway.http.host import AUTHORITIES, DEFAULT_PORTS, NO_AUTHORITY
from gateway.http.refusal import BadRequest
from gateway.http.target import TARGETS, BadTarget, Target
from gateway.http.value import value
from gateway.http.websocket import WebSocketOffer
from gateway.reasons import Reason

__all__ = ["BadRequest", "HeadRules", "RequestHead", "WebSocketOffer", "read_head"]


@value
class RequestHead:
    """The head of a request in canonical form.

    host              lower case, no port, no root dot; "" if an HTTP/1.0 client named none
    authority         host, with the port if the client named one; may be ""
    port              the port that the client connected to
    client            address of the client; "" behind a Unix socket that reports none
    client_known      False if `client` is a proxy that did not report its client
    forwarded_for     the value of X-Forwarded-For; may be ""
    lines             the client's end-to-end fields that may be forwarded; identity
                      fields are not yet removed
    cookies           the Cookie values as received; always evaluated
    cookie_hop        Connection lists Cookie: it is evaluated, but not forwarded
    preflight_method  the method that a CORS preflight requests
    content_length    None: chunked if `chunked`, else there is no body
    given_id          the request ID of a trusted proxy; None: the gateway draws one
    given_trace       ID and flags of the trace that a trusted proxy continues
    shown             what the access log shows of it, once it was written
    """

    method: str
    target: Target
    host: str
    authority: str
    scheme: str
    port: int
    client: str
    client_known: bool
    forwarded_for: str
    lines: tuple[Line, ...] = field(repr=False)
    cookies: tuple[bytes, ...] = field(repr=False)
    cookie_hop: bool
    user_agent: str
    accept: str
    sec_fetch_mode: str | None
    sec_fetch_dest: str | None
    sec_fetch_site: str | None
    origin: str | None
    requested_with: str | None
    preflight_method: str | None
    websocket: WebSocketOffer | None
    content_length: int | None
    chunked: bool
    expect_continue: bool
    keep_alive: bool
    http_version: tuple[int, int]
    given_id: str | None
    given_trace: tuple[str, str] | None
    shown: tuple[str, str] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    @property
    def headers(self) -> tuple[Field, ...]:
        """The fields of `lines`: name and value."""
        return tuple((name, value) for name, value, _ in self.lines)

    @property
    def preflight(self) -> bool:
        """Whether this is a CORS preflight."""
        return self.preflight_method is not None

    @property
    def has_body(self) -> bool:
        """Whether bytes follow the head."""
        return self.chunked or bool(self.content_length)


def read_head(  # noqa: C901 - a sequence of checks, each may reject
    *,
    method: str,
    raw_target: str,
    version: tuple[int, int],
    fields: Fields | BadRequest,
    peer: str,
    tls: bool,
    rules: HeadRules,
) -> RequestHead | BadRequest:
    """Return the validated head of a request, or a BadRequest.

    Args:
        method: the method as received.
        raw_target: the request target as received.
        version: major and minor version of HTTP.
        fields: the header fields, classified, or why they are invalid.
        peer: address of the other end of the connection; "" for a Unix socket.
        tls: whether the connection itself is encrypted.
        rules: the trusted proxies.
    """
    is_http11 = version == (1, 1)
    if not is_http11 and version != (1, 0):
        return _bad(505, Reason.BAD_VERSION, "only HTTP/1.1 and HTTP/1.0 are supported")
    if method not in _KNOWN_METHODS and (refused := _check_method(method)):
        return refused
    target = TARGETS[raw_target]
    if isinstance(target, BadTarget):
        return _bad(400, target.reason, target.detail)
    if isinstance(fields, BadRequest):
        return fields
    values = fields.values
    # Repeated Host fields were joined by a comma, which no host contains. RFC 9112,
    # section 3.2, requires the field of HTTP/1.1 clients only.
    host = values.get("host", "")
    authority = AUTHORITIES[host] if host or is_http11 else NO_AUTHORITY
    if authority is None:
        return _bad(400, Reason.BAD_HOST, "there must be one Host, and no more")
    framing = (
        read_framing(values, is_http11=is_http11)
        if "content-length" in values or "transfer-encoding" in values
        else BODILESS
    )
    if isinstance(framing, BadRequest):
        return framing

    trusted = bool(rules.trusted_proxies or rules.trust_unix) and rules.trusts(peer)
    client_address = (
        rules.client_reported(peer, fields) if trusted else direct_client_address(peer)
    )
    if isinstance(client_address, BadRequest):
        return client_address
    authority = client_address.authority or authority
    scheme = client_address.scheme or ("https" if tls else "http")

    connection = values.get("connection")
    kept, options = fields.kept, NO_OPTIONS
    if connection is not None:
        options = connection_options(connection)
        kept = drop_named(kept, options)
    hop: tuple[WebSocketOffer | None, bool] | BadRequest = _NO_HOP
    # HTTP/1.0 has neither (RFC 9110, sections 7.8 and 10.1.1): both are ignored.
    if is_http11 and ("upgrade" in values or "expect" in values):
        plain_get = method == "GET" and not framing.has_body
        hop = _read_hop(fields, options, plain_get=plain_get)
    if isinstance(hop, BadRequest):
        return hop
    offer, expects = hop
    given_id, given_trace, state = _read_ids(values) if trusted else _NO_IDS
    return RequestHead(
        method=method,
        target=target,
        host=authority.host,
        authority=authority.text,
        scheme=scheme,
        # Without a port the client used the default one, whatever a port mapping in
        # front of the gateway made of it.
        port=client_address.port or authority.port or DEFAULT_PORTS[scheme],
        client=client_address.client,
        client_known=client_address.known,
        forwarded_for=client_address.chain,
        lines=(*kept, *state) if state else kept,
        cookies=fields.cookies,
        cookie_hop="cookie" in options,
        # `values` are decoded byte by byte; any bytes may have been sent.
        user_agent=values.get("user-agent", "")
        .encode("latin-1")
        .decode("utf-8", "replace"),
        accept=values.get("accept", ""),
        sec_fetch_mode=values.get("sec-fetch-mode"),
        sec_fetch_dest=values.get("sec-fetch-dest"),
        sec_fetch_site=values.get("sec-fetch-site"),
        origin=values.get("origin"),
        requested_with=values.get("x-requested-with"),
        preflight_method=values.get("access-control-request-method")
        if method == "OPTIONS" and "origin" in values
        else None,
        websocket=offer,
        content_length=framing.length,
        chunked=framing.chunked,
        expect_continue=expects and framing.has_body,
        # RFC 9112, section 9.3: no persistence with a client of HTTP/1.0.
        keep_alive=is_http11 and "close" not in options,
        http_version=version,
        given_id=given_id,
        given_trace=given_trace,
    )


_KNOWN_METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
)
# TRACE would echo the fields that are added; CONNECT requests a tunnel to anywhere.
_REFUSED_METHODS: Final = frozenset(("TRACE", "CONNECT"))

_NO_HOP: Final[tuple[WebSocketOffer | None, bool]] = (None, False)
_NO_IDS: Final[tuple[None, None, tuple[Line, ...]]] = (None, None, ())

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}").fullmatch
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}").fullmatch
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT: Final = re.compile(
    r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})"
).fullmatch


def _check_method(method: str) -> BadRequest | None:
    if _METHOD(method) is None:
        return _bad(400, Reason.BAD_REQUEST, "the method is not a token")
    if method.upper() in _REFUSED_METHODS:
        return _bad(405, Reason.METHOD_NOT_ALLOWED, "this method is not offered")
    return None


def _read_hop(
    fields: Fields, options: frozenset[str], *, plain_get: bool
) -> tuple[WebSocketOffer | None, bool] | BadRequest:
    """Return the handshake, if it is one, and whether the client expects 100."""
    upgrade = read_upgrade(fields, options, plain_get=plain_get)
    if isinstance(upgrade, BadRequest):
        return upgrade
    expectation = read_expectation(fields.values)
    if isinstance(expectation, BadRequest):
        return expectation
    return upgrade, expectation


def _read_ids(
    values: Mapping[str, str],
) -> tuple[str | None, tuple[str, str] | None, tuple[Line, ...]]:
    """Return the request ID and the trace of a trusted proxy, and its tracestate."""
    given = values.get("x-request-id", "")
    found = _TRACEPARENT(values.get("traceparent", ""))
    state: tuple[Line, ...] = ()
    if found is not None and "tracestate" in values:
        state = (line_of(b"tracestate", values["tracestate"].encode("latin-1")),)
    return (
        given if _REQUEST_ID(given) else None,
        None if found is None else (found[1], found[2]),
        state,
    )


def _bad(status: int, reason: Reason, detail: str) -> BadRequest:
    return BadRequest(status=status, reason=reason, detail=detail)
