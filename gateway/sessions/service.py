"""Create a session value, of a sign-in or of an access token, and switch its tenant."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.sessions.authenticate import LifetimePolicy
from gateway.sessions.record import Corrupt, Device, Identity, Method, Session, Tenant
from gateway.sessions.record_json import parse_record, serialise


def new_session(
    *,
    identity: Identity,
    tenants: Mapping[str, Tenant],
    active_tenant: str | None,
    methods: Sequence[str],
    aal: str,
    persistent: bool,
    device: Device | None,
    now: float,
    policy: LifetimePolicy,
    session_id: str,
    authenticated_at: float | None = None,
    extra: Mapping[str, Any] | None = None,
    personal: bool = False,
    token_name: str | None = None,
) -> Session:
    """Make the session of a sign-in that happened just now.

    With `authenticated_at` the user authenticated earlier, at a provider; 0.0 is an
    unknown time. `extra` are further members of the record.

    Without an active tenant the only membership becomes it, unless `personal`. One
    outside of the memberships is a ValueError: memberships come from the sign-in. So
    is a value that would not read back as a session: an empty role, an id of two lines.
    """
    if active_tenant is None:
        active_tenant = None if personal else _only(tenants)
    elif active_tenant not in tenants:
        raise ValueError("the active tenant is not among the tenants")
    proved = now if authenticated_at is None else authenticated_at
    session = Session(
        id=session_id,
        active=True,
        issued_at=now,
        authenticated_at=proved,
        expires_at=now + policy.lifespan,
        last_seen_at=now,
        aal=aal,
        methods=tuple(Method(method=name, completed_at=proved) for name in methods),
        identity=identity,
        tenants=dict(tenants),
        active_tenant_id=active_tenant,
        devices=() if device is None else (device,),
        persistent=persistent,
        extra=dict(extra or {}),
        token_name=token_name,
    )
    match parse_record(serialise(session)):
        case Corrupt(why=why):
            raise ValueError(why)
        case Session():
            return session


def new_token_session(
    *,
    name: str,
    identity: Identity,
    tenants: Mapping[str, Tenant],
    active_tenant: str | None,
    now: float,
    lifetime: float,
    session_id: str,
    personal: bool = False,
) -> Session:
    """Make the session of an access token, which lives for `lifetime` seconds.

    No user signed in: it has no assurance level that a route could require. Errors are
    those of `new_session`.
    """
    return new_session(
        identity=identity,
        tenants=tenants,
        active_tenant=active_tenant,
        personal=personal,
        methods=("access_token",),
        aal="aal0",
        persistent=True,
        device=None,
        now=now,
        policy=LifetimePolicy(lifespan=lifetime),
        session_id=session_id,
        token_name=name,
    )


def switch_tenant(session: Session, tenant_id: str) -> Session | None:
    """Return the session with another active tenant; None if not a member.

    "" leaves no active tenant: the user acts for no organization.
    """
    if not tenant_id:
        return replace(session, active_tenant_id=None)
    if tenant_id not in session.tenants:
        return None
    return replace(session, active_tenant_id=tenant_id)


def _only(tenants: Iterable[str]) -> str | None:
    names = list(tenants)
    return names[0] if len(names) == 1 else None
