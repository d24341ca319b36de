"""Sign-in and sign-out, shared by the header protocol and the endpoints."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, Literal
from uuid import UUID

from gateway.errors import GatewayError, StoreUnavailable
from gateway.http.head import RequestHead
from gateway.observe.audit_events import IdentityChanged, SignedIn, SignedOut
from gateway.reasons import Reason
from gateway.server.caller import look_up
from gateway.server.context import RequestContext, Services
from gateway.server.sign_in_headers import SignIn
from gateway.server.system import System
from gateway.sessions.authenticate import Anonymous
from gateway.sessions.cookie import SessionToken, new_token
from gateway.sessions.end_word import read_end
from gateway.sessions.identity_change import ChangeCount, change_sessions
from gateway.sessions.provider_token import ProviderToken
from gateway.sessions.record import Device, Session
from gateway.sessions.service import new_session
from gateway.sessions.store import OF_PROGRAMS, SessionCredential, SessionStore
from gateway.spine.credential import credential_among, credential_of
from gateway.spine.ruleset import Ruleset

_TRIES: Final = (0.0, 1.0, 5.0, 30.0)
"""Seconds before each attempt to revoke an unused session; then give up."""


async def sign_in(
    instruction: SignIn,
    store: SessionStore,
    context: RequestContext,
    before: Callable[[str, Session], Awaitable[Session]] | None = None,
    confirm: Callable[[], Awaitable[None]] | None = None,
    keep: Callable[[SessionToken, Session], Awaitable[None]] | None = None,
) -> Sequence[str]:
    """Start a session and end that of the request; return the Set-Cookie values.

    The token is always new, so a token from before the sign-in is worthless after it
    (session fixation). `before` writes what the session needs, by its key, and
    returns the session to store. `confirm` is awaited once it is stored; what it raises
    ends the session. `keep` writes what only the session token opens.

    Raises:
        StoreUnavailable: no session was started; a partial change is undone.
        ValueError: no session was started; see `session_of`, `change_sessions`.
    """
    head, now, services = context.head, context.now, context.services
    token = new_token(services.system.secret(32))
    new_id = new_session_id(services.system)
    session = session_of(instruction, device_of(head), context.rules, new_id, now)
    held = credential_of(head, context.rules)
    try:
        # In this order: if the store fails in between, the old session is still active.
        # What may be left is a session whose token was never sent. It is useless, but
        # would be listed among the devices.
        if before is not None:
            session = await before(token.key, session)
        if keep is not None:
            await keep(token, session)
        await store.create(token.key, session, now)
        if confirm is not None:
            await confirm()
        count = ChangeCount()
        if instruction.everywhere:
            await change_sessions(
                store, session.identity.id, instruction.change, now=now, count=count
            )
        if not isinstance(held, Anonymous):
            await store.end(held.key, now)
    except (GatewayError, ValueError):
        services.run_in_background(take_back(token.key, store, now))
        raise
    context.acts_for(session)
    # The response belongs to the new session: the end of the old one must not abort it.
    context.principal = replace(
        context.principal, session_key=token.key, session_version=session.version
    )
    context.audit(SignedIn(methods=instruction.methods))
    if instruction.everywhere:
        members = instruction.change.members
        context.audit(IdentityChanged(members=members, count=count.changed))
    max_age = session.expires_at - now if session.persistent else None
    return (context.rules.cookie.set_cookie(token, max_age), *_forget_end(context))


async def take_back(key: str, store: SessionStore, now: float) -> None:
    """Revoke a session whose token was never sent, as soon as the store is available."""
    for pause in _TRIES:
        await asyncio.sleep(pause)
        with contextlib.suppress(StoreUnavailable):
            await store.end(key, now)
            return


def session_of(
    wanted: SignIn, device: Device | None, rules: Ruleset, session_id: str, now: float
) -> Session:
    """Return the session of a sign-in.

    Raises:
        ValueError: the record would be invalid (controls in ids, more than 64 KiB).
    """
    return new_session(
        identity=wanted.identity,
        tenants=wanted.tenants,
        active_tenant=wanted.active_tenant_id,
        personal=wanted.personal,
        methods=wanted.methods,
        aal=wanted.aal,
        persistent=wanted.persistent and rules.cookie.persistent,
        device=device,
        now=now,
        policy=rules.lifetimes,
        session_id=session_id,
        authenticated_at=wanted.authenticated_at,
        extra=wanted.extra,
    )


async def sign_out(
    which: Literal["this", "all"], context: RequestContext
) -> Sequence[str]:
    """End the session of the request, or all of its identity; return the cookies to set.

    That of a program is its access token, which is revoked.

    Raises:
        StoreUnavailable: it is not known whether anything ended.
    """
    services, now = context.services, context.now
    store = services.store
    held = _held(context)
    if not isinstance(held, Anonymous):
        if context.rules.external is not None and await _is_guest(held, context):
            # An anonymous session may become that of a user under the same id.
            return ()
        ended = await _end(held, now, services)
        if ended is not None:
            context.acts_for(ended)
    # Even if it has ended since: it was active when the request was allowed.
    identity_id = context.principal.identity_id
    if identity_id is not None:
        if which == "all":
            await store.end_all(identity_id, now, None)
        context.audit(SignedOut(everywhere=which == "all"))
    context.keep_without_session()
    if isinstance(held, OF_PROGRAMS):
        return ()
    if isinstance(held, Anonymous) and held.twice:
        token_cookies = (each.clear() for each in context.rules.token_cookies.values())
        cleared = context.rules.cookies_to_clear(held, context.head.host)
        return (
            *cleared,
            *token_cookies,
            *_forget_end(context),
            *_forget_begin(context),
        )
    return (
        *context.rules.clear_cookies,
        *_forget_end(context),
        *_forget_begin(context),
    )


async def _end(
    held: SessionCredential, now: float, services: Services
) -> Session | None:
    """End one session, or the token of a program; return it if it was active.

    Raises:
        StoreUnavailable: it is not known whether it has ended.
    """
    if not isinstance(held, ProviderToken):
        return await services.store_of(held).end(held.key, now, "signed_out")
    if services.provider_tokens is not None:
        await services.provider_tokens.end(held, now)
    return None


def _held(context: RequestContext) -> SessionCredential | Anonymous:
    """Return the credential that the request was forwarded with."""
    head, rules, route = context.head, context.rules, context.route
    if route is None or not route.takes_tokens:
        return credential_of(head, rules)
    return credential_among(head, rules, route.credentials)


def _forget_end(context: RequestContext) -> tuple[str, ...]:
    """Return what removes the word of an earlier end, which must not explain a later one."""
    known = read_end(context.head.cookies) is not None
    return (context.rules.forget_end,) if known else ()


def _forget_begin(context: RequestContext) -> tuple[str, ...]:
    """Return what removes the note of a sign-in: without a session it means a loop."""
    return context.runtime.attempts.forget_sign_in(context.head.cookies)


async def _is_guest(held: SessionCredential, context: RequestContext) -> bool:
    found = await look_up(held, context)
    return isinstance(found, Anonymous) and found.reason is Reason.NO_SESSION


def device_of(head: RequestHead) -> Device:
    """Return the device of a request, by address and User-Agent."""
    return Device(ip_address=head.client, user_agent=head.user_agent[:256])


def new_session_id(system: System) -> str:
    """Return a new public session id: a UUID, as the Ory SDK expects one."""
    return str(UUID(bytes=system.secret(16), version=4))
