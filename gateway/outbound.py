"""The outbound request: identity headers are removed in every spelling, then set once.

The only module that sets a header on a request. Hop-by-hop and forwarding fields were
removed when the head was read. Identity headers are removed here, in any case and with
`_` or `.` for `-`, on every route, with and without a session. Then each header of the
gateway is set once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from gateway.http.head import RequestHead
from gateway.http.headers import HeaderFilter, encode_value
from gateway.http.target import BadTarget, strip_prefix
from gateway.http.value import value
from gateway.sessions.cookie import strip_cookie
from gateway.sessions.record import Session, Tenant
from gateway.tokens.claims import Template

PRESETS: Final[Mapping[str, Mapping[str, str]]] = {
    "gateway": {
        "X-Auth-User-Id": "{identity.id}",
        "X-Auth-Email": "{identity.traits.email}",
        "X-Auth-Role": "{identity.roles}",
        "X-Auth-Tenant-Id": "{tenant.id}",
        "X-Auth-Tenant-Role": "{tenant.role}",
        "X-Auth-Session-Id": "{session.id}",
    },
    # The headers that applications for these products read.
    "oauth2-proxy": {
        "X-Forwarded-User": "{identity.id}",
        "X-Forwarded-Email": "{identity.traits.email}",
        "X-Forwarded-Preferred-Username": "{identity.traits.name}",
        "X-Forwarded-Groups": "{identity.roles}",
    },
    "authelia": {
        "Remote-User": "{identity.id}",
        "Remote-Email": "{identity.traits.email}",
        "Remote-Name": "{identity.traits.name}",
        "Remote-Groups": "{identity.roles}",
    },
    "pomerium": {
        "X-Pomerium-Claim-Sub": "{identity.id}",
        "X-Pomerium-Claim-Email": "{identity.traits.email}",
        "X-Pomerium-Claim-Name": "{identity.traits.name}",
        "X-Pomerium-Claim-Groups": "{identity.roles}",
    },
    "grafana": {
        "X-WEBAUTH-USER": "{identity.traits.email}",
        "X-WEBAUTH-EMAIL": "{identity.traits.email}",
        "X-WEBAUTH-NAME": "{identity.traits.name}",
        "X-WEBAUTH-GROUPS": "{identity.roles}",
    },
    "none": {},
}
"""Header name -> template, by family. One mechanism serves presets and mappings."""

Lines: TypeAlias = tuple[tuple[bytes, bytes], ...]

_MISSING: Final[tuple[object, ...]] = (None, (), [])
"""Values for which the header is omitted."""

_RENDERED_MOST: Final = 10_000
"""Rendered sessions in the cache, of about 1 KiB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityHeaders:
    """The identity fields to inject: wire name and compiled template."""

    fields: tuple[tuple[bytes, Template], ...]
    _rendered: dict[tuple[str, str, str | None], Lines] = field(
        default_factory=dict, repr=False, compare=False
    )

    def lines(self, session: Session, tenant: Tenant | None) -> Lines:
        """Return the rendered fields; a field without a value is omitted.

        The result is cached by session version, a fingerprint of all values that a
        template can use.
        """
        key = (session.id, session.version, tenant.id if tenant else None)
        known = self._rendered.get(key)
        if known is not None:
            return known
        lines = tuple(
            (name, encode_value(_as_text(value)))
            for name, template in self.fields
            if (value := template.render(session, tenant)) not in _MISSING
        )
        if len(self._rendered) >= _RENDERED_MOST:
            self._rendered.clear()
        self._rendered[key] = lines
        return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamView:
    """How requests to one upstream are built; compiled from its configuration."""

    name: str
    own_host: bytes
    preserve_host: bool
    strip_prefix: str | None
    token_header: bytes | None
    token_profile: str | None
    header_filter: HeaderFilter
    stripped_cookies: frozenset[bytes]
    """Cookies that are not forwarded: minted tokens, and the session cookie unless
    `session_cookie: forward` (invariant 12)."""
    identity: IdentityHeaders
    own_names: tuple[bytes, ...] = ()
    """Headers that only the gateway sets: identity, tokens, the tenant selector."""


@value
class OutboundRequest:
    """A complete request head: method, target and fields in order."""

    method: str
    target: str
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)

    def encode(self) -> bytes:
        """Return the head encoded as HTTP/1.1, with the final empty line."""
        lines = [f"{self.method} {self.target} HTTP/1.1\r\n".encode("ascii")]
        for name, text in self.headers:
            lines += (name, b": ", text, b"\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)


def plan_outbound(
    *,
    head: RequestHead,
    view: UpstreamView,
    session: Session | None,
    tenant: Tenant | None,
    token: str | None,
    identity: Sequence[tuple[bytes, bytes]] = (),
    token_cookies: Sequence[tuple[bytes, bytes]] = (),
    cookies: Sequence[bytes] | None = None,
) -> OutboundRequest | BadTarget:
    """Return the request for the upstream; pure.

    Args:
        head: the request as it was read; its target is what the routes matched.
        view: how the upstream is addressed.
        session: the session of the user; None for no identity headers.
        tenant: the tenant that the request acts for.
        token: the signed token for `view.token_profile`, if one was minted.
        identity: rendered identity fields; if empty, rendered from `session`.
        token_cookies: minted tokens that the upstream reads from cookies; they replace
            the client's cookies of these names.
        cookies: the client's Cookie values to forward; None: all of them.

    Returns:
        The outbound request, or BadTarget if the target without its prefix is invalid.
    """
    target = head.target
    if view.strip_prefix is not None:
        stripped = strip_prefix(target, view.strip_prefix)
        if isinstance(stripped, BadTarget):
            return stripped
        target = stripped
    headers = [
        (
            b"Host",
            head.authority.encode("ascii") if view.preserve_host else view.own_host,
        )
    ]
    headers += view.header_filter.strip(head.headers)
    if cookies is None:
        cookies = head.cookies
    cookie = _cookie(head, view, cookies, token_cookies)
    if cookie is not None:
        headers.append((b"Cookie", cookie))
    headers += _forwarding(head.forwarded_for, head.scheme, head.authority, head.port)
    headers += (
        (b"X-Request-Id", head.request_id.encode("ascii")),
        (b"traceparent", head.traceparent.encode("ascii")),
    )
    if session is not None:
        headers += identity or view.identity.lines(session, tenant)
        if token is not None and view.token_header is not None:
            headers.append((view.token_header, _token_value(view, token)))
    headers += _framing(head)
    return OutboundRequest(method=head.method, target=target.raw, headers=headers)


def decision_headers(view: UpstreamView, outbound: OutboundRequest) -> Lines:
    """Return the headers that another proxy has to set instead of the gateway.

    Each name of `view.own_names`, and Cookie, once; empty if the outbound request has
    no such header. A proxy that sets all of them sends what the gateway would send.
    """
    sent = {name.lower(): content for name, content in outbound.headers}
    return tuple(
        (name, sent.get(name.lower(), b"")) for name in (*view.own_names, _COOKIE)
    )


_COOKIE: Final = b"Cookie"


@lru_cache(maxsize=1024)  # a client repeats the same values
def _forwarding(chain: str, scheme: str, authority: str, port: int) -> Lines:
    lines = (
        (b"X-Forwarded-Proto", scheme.encode("ascii")),
        (b"X-Forwarded-Host", authority.encode("ascii")),
        (b"X-Forwarded-Port", b"%d" % port),
    )
    if not chain:
        return lines
    return ((b"X-Forwarded-For", chain.encode("ascii")), *lines)


def _cookie(
    head: RequestHead,
    view: UpstreamView,
    cookies: Sequence[bytes],
    token_cookies: Sequence[tuple[bytes, bytes]],
) -> bytes | None:
    kept = (
        strip_cookie(cookies, view.stripped_cookies)
        if cookies and not head.cookie_hop
        else None
    )
    if not token_cookies:
        return kept
    ours = b"; ".join(name + b"=" + value for name, value in token_cookies)
    return ours if kept is None else kept + b"; " + ours


def _token_value(view: UpstreamView, token: str) -> bytes:
    value = token.encode("ascii")
    # RFC 6750, section 2.1; other headers carry the bare token.
    return b"Bearer " + value if view.token_header == b"Authorization" else value


def _framing(head: RequestHead) -> tuple[tuple[bytes, bytes], ...]:
    if head.websocket is not None:
        # RFC 9110, section 7.8: Upgrade counts only when Connection names it.
        return ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
    if head.chunked:
        return ((b"Transfer-Encoding", b"chunked"),)
    if head.content_length is not None:
        return ((b"Content-Length", b"%d" % head.content_length),)
    return ()


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
