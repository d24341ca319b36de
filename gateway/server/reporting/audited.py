"""Writes the audit events of requests."""

from dataclasses import replace
from typing import assert_never

from gateway.observe.audit import Audit
from gateway.observe.audit_events import (
    Actor,
    AuditEvent,
    IdentityChanged,
    SessionRevoked,
    SessionsRevoked,
    SignedIn,
    SignedOut,
    SignedOutByProvider,
    SignInHeaderRefused,
    SignInRefused,
    TenantSwitched,
    TokenIssued,
)


def write_event(audit: Audit, event: AuditEvent, now: float, actor: Actor) -> None:
    """Write one event; `now` in seconds since the epoch, `actor` of the request."""
    match event:
        case SignedIn(methods=methods):
            audit.sign_in(now, actor, methods=methods)
        case SignedOut(everywhere=everywhere):
            audit.sign_out(now, actor, everywhere=everywhere)
        case TenantSwitched(before=before, after=after):
            actor = replace(actor, tenant_id=before)
            audit.tenant_switched(now, actor, to_tenant_id=after)
        case SignInHeaderRefused(upstream=upstream):
            names = ("X-Gateway-Sign-In", "X-Gateway-Sign-Out")
            audit.spoofed_headers(now, actor, names=names, upstream=upstream)
        case SignInRefused(provider=provider, reason=reason, account=account):
            audit.sign_in_refused(
                now, actor, provider=provider, reason=reason, account=account
            )
        case SignedOutByProvider(
            provider=provider, identity_id=identity_id, count=count
        ):
            audit.signed_out_by_provider(
                now, actor, provider=provider, identity_id=identity_id, count=count
            )
        case TokenIssued(profile=profile):
            audit.token_issued(now, actor, profile=profile)
        case SessionRevoked() | SessionsRevoked() | IdentityChanged():
            _write_own_sessions(audit, event, now, actor)
        case _ as never:
            assert_never(never)


def _write_own_sessions(
    audit: Audit,
    event: SessionRevoked | SessionsRevoked | IdentityChanged,
    now: float,
    actor: Actor,
) -> None:
    user = actor.user_id
    match event:
        case SessionRevoked(session_id=session_id, token_name=token_name):
            audit.session_revoked(
                now,
                actor,
                session_id=session_id,
                target_user_id=user,
                token_name=token_name,
            )
        case SessionsRevoked(count=count):
            audit.sessions_revoked(now, actor, count=count)
        case IdentityChanged(members=members, count=count):
            audit.identity_changed(
                now, actor, identity_id=user, members=members, count=count
            )
