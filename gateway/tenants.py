"""Which tenant a request speaks for, and whether the identity is a member of it.

A host name, a path or a header only *selects* a tenant; membership in the session
is the only proof. The sources are asked in the configured order: the first that
names a tenant wins, and a second that names another one is a refusal, because two
parties on the way would then disagree about whose data this is.
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
"""Reads the tenant id that one part of a request names, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRefused:
    """A tenant was named, and this session cannot have it."""

    reason: Reason


def resolve_tenant(
    session: Session, head: RequestHead, sources: Sequence[Source]
) -> Tenant | TenantRefused | None:
    """Find the tenant that this request speaks for.

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
    """Return the session's active tenant if it is still a membership.

    An active tenant whose membership was taken away names nothing: the person is
    asked to choose again, and is not locked out of what needs no tenant.
    """
    active = session.active_tenant_id
    return active if active in session.tenants else None


def from_host(pattern: str) -> Source:
    """Return the label at `{tenant}` of a pattern such as `{tenant}.example.com`."""
    prefix, _, suffix = pattern.lower().partition("{tenant}")

    def source(_session: Session, head: RequestHead) -> str | None:
        host = head.host
        if not (host.startswith(prefix) and host.endswith(suffix)):
            return None
        label = host[len(prefix) : len(host) - len(suffix)]
        return label if label and "." not in label else None

    return source


def from_path(pattern: str) -> Source:
    """Return the segment at `{tenant}` of a pattern such as `/t/{tenant}/**`.

    The whole pattern has to match, decoded as routes decode: a path that is none
    of its own names no tenant.

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
    """Return the value of a request header; sent twice, no membership matches.

    Every spelling counts that an application may fold into this name: none of them
    reaches an upstream with a tenant that was not checked.
    """
    wanted = normalize_name(name.encode("ascii"))

    def source(_session: Session, head: RequestHead) -> str | None:
        values = [v for n, v in head.headers if normalize_name(n) == wanted]
        if not values:
            return None
        return b",".join(values).decode("utf-8", "replace")

    return source
