"""Resolves the tenant of a request, and checks the membership of the identity.

A host name, path or header only *selects* a tenant; only a membership in the session
grants it. Sources are evaluated in the configured order. Two sources with different
tenants are a refusal, since two servers could disagree about the tenant.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.errors import ConfigError, Problem
from gateway.http.head import RequestHead
from gateway.http.headers import normalize_name
from gateway.http.target import segment_key
from gateway.reasons import Reason
from gateway.routes.pattern import BadPattern, parse_path_pattern
from gateway.sessions.record import Session, Tenant

Source = Callable[[Session, RequestHead], str | None]
"""Returns the tenant id in one part of a request, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRefused:
    """A tenant was selected that the session must not use."""

    reason: Reason


def resolve_tenant(
    session: Session, head: RequestHead, sources: Sequence[Source]
) -> Tenant | TenantRefused | None:
    """Return the tenant that the request acts for.

    Returns:
        The membership; None when no source names a tenant; TenantRefused with
        `tenant_conflict` when two sources disagree, or `not_a_member` when the
        session holds no membership in the tenant that was named.
    """
    named: str | None = None
    for source in sources:
        found = source(session, head)
        if found is None:
            continue
        if named is not None and found != named:
            return TenantRefused(reason=Reason.TENANT_CONFLICT)
        named = found
    if named is None:
        return None
    tenant = session.tenants.get(named)
    return tenant or TenantRefused(reason=Reason.NOT_A_MEMBER)


def from_session(session: Session, _head: RequestHead) -> str | None:
    """Return the active tenant of the session, if it is still a membership.

    After a membership was removed the request has no tenant: the user must choose
    again, and routes without a tenant still work.
    """
    active = session.active_tenant_id
    return active if active in session.tenants else None


def reads_head(sources: Sequence[Source]) -> bool:
    """Return whether a source reads the request, not the session alone."""
    return any(source is not from_session for source in sources)


def from_host(pattern: str) -> Source:
    """Return a source for the label at `{tenant}` in, say, `{tenant}.example.com`."""
    prefix, _, suffix = pattern.lower().partition("{tenant}")

    def source(_session: Session, head: RequestHead) -> str | None:
        host = head.host
        if not (host.startswith(prefix) and host.endswith(suffix)):
            return None
        label = host[len(prefix) : len(host) - len(suffix)]
        return label if label and "." not in label else None

    return source


def from_path(pattern: str) -> Source:
    """Return a source for the segment at `{tenant}` in, say, `/t/{tenant}/**`.

    The complete pattern must match, decoded as routes decode; another path has no
    tenant.

    Raises:
        ConfigError: no request can have such a path.
    """
    parsed = parse_path_pattern(pattern)
    if isinstance(parsed, BadPattern):
        message = f"{pattern}: {parsed.message}"
        raise ConfigError(
            [Problem(file="tenants.resolve", line=0, column=0, message=message)]
        )
    wanted, rest = parsed.segments, parsed.rest
    at = next(at for at, name in parsed.params if name == "tenant")

    def source(_session: Session, head: RequestHead) -> str | None:
        segments = head.target.path.split("/")[1:]
        if len(segments) < len(wanted) or (len(segments) > len(wanted) and not rest):
            return None
        keys = [segment_key(segment) for segment in segments[: len(wanted)]]
        if any(
            key not in (None, found) for key, found in zip(wanted, keys, strict=True)
        ):
            return None
        return keys[at] or None

    return source


def from_header(name: str) -> Source:
    """Return a source for the value of a request header.

    Every spelling that an application may normalize to this name counts, so no
    unchecked tenant reaches an upstream. Repeated fields are joined by a comma, which
    is not the id of a membership.
    """
    wanted = normalize_name(name.encode("ascii"))

    def source(_session: Session, head: RequestHead) -> str | None:
        values = [v for n, v in head.headers if normalize_name(n) == wanted]
        if not values:
            return None
        return b",".join(values).decode("utf-8", "replace")

    return source
