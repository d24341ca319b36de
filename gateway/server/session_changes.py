"""Sessions begin, end and change tenant: what the hand-off and our paths share."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

from gateway.errors import StoreUnavailable
from gateway.http.head import RequestHead
from gateway.observe.audit import SignedIn, SignedOut
from gateway.reasons import Reason
from gateway.server.caller import look_up
from gateway.server.context import RequestContext
from gateway.server.edge import Edge
from gateway.server.sign_in_headers import SignIn
from gateway.sessions.authenticate import Anonymous
from gateway.sessions.cookie import new_token
from gateway.sessions.record import Device, Session
from gateway.sessions.service import new_session
from gateway.sessions.store import SessionCredential, SessionStore
from gateway.spine.credential import credential_of
from gateway.spine.ruleset import Ruleset

_USER_AGENT: Final = b"user-agent"
_TRIES: Final = (0.0, 1.0, 5.0, 30.0)
"""Seconds before each try to end a session that nobody holds; then it is let be."""


async def sign_in(
    instruction: SignIn, store: SessionStore, context: RequestContext
) -> Sequence[str]:
    """Start a session, ending the one that the request came with.

    The token is always a new one: a token known before sign-in, planted or not, is
    worth nothing after it (session fixation). Gives the Set-Cookie values.

    Raises:
        StoreUnavailable: nothing was started; what was begun of it is taken back.
        ValueError: nothing was started, as `session_of` says why.
    """
    head, now, services = context.head, context.now, context.services
    token = new_token(services.edge.secret(32))
    session = session_of(
        instruction, device_of(head), context.rules, new_session_id(services.edge), now
    )
    held = credential_of(head, context.rules)
    try:
        # In this order. The old one ended first would be gone if the store then went
        # away: an outage ends nobody. This way round a session may be left whose token
        # was sent to nobody; it opens nothing, but would be listed among the devices.
        await store.create(token.key, session, now)
        if not isinstance(held, Anonymous):
            await store.end(held.key, now)
    except StoreUnavailable:
        services.run_in_background(_take_back(token.key, store, now))
        raise
    context.acts_for(session)
    # From here on the answer is the new session's: the old one's end is its doing.
    context.session_key = token.key
    context.audit(SignedIn(methods=instruction.methods))
    return (
        context.rules.cookie.set_cookie(
            token, session.expires_at - now if session.persistent else None
        ),
    )


async def _take_back(key: str, store: SessionStore, now: float) -> None:
    """End a session that nobody holds, as soon as the store can be asked."""
    for pause in _TRIES:
        await asyncio.sleep(pause)
        with contextlib.suppress(StoreUnavailable):
            await store.end(key, now)
            return


def session_of(
    wanted: SignIn, device: Device | None, rules: Ruleset, session_id: str, now: float
) -> Session:
    """Make the session of a sign-in.

    Raises:
        ValueError: it would not be readable as a record (ids with controls in them,
            more than 64 KiB).
    """
    return new_session(
        identity=wanted.identity,
        tenants=wanted.tenants,
        active_tenant=wanted.active_tenant_id,
        methods=wanted.methods,
        aal=wanted.aal,
        persistent=wanted.persistent and rules.cookie.persistent,
        device=device,
        now=now,
        policy=rules.lifetimes,
        session_id=session_id,
    )


async def sign_out(
    which: Literal["this", "all"], context: RequestContext
) -> Sequence[str]:
    """End the session of the request, or all of its identity; clears the cookies.

    Raises:
        StoreUnavailable: it is not known whether anything ended.
    """
    store, now = context.services.store, context.now
    held = credential_of(context.head, context.rules)
    if not isinstance(held, Anonymous):
        if context.rules.external is not None and await _is_guest(held, context):
            # A session of nobody may be somebody's later, under the same id.
            return ()
        ended = await store.end(held.key, now, "signed_out")
        if ended is not None:
            context.acts_for(ended)
    # Not only if it lived to this moment: it did when the request was let in.
    if context.identity_id is not None:
        if which == "all":
            await store.end_all(context.identity_id, now, None)
        context.audit(SignedOut(everywhere=which == "all"))
    # The answer says goodbye: that the session ends must not break it off.
    context.session_key = None
    return context.rules.clear_cookies


async def _is_guest(held: SessionCredential, context: RequestContext) -> bool:
    found = await look_up(held, context)
    return isinstance(found, Anonymous) and found.reason is Reason.NO_SESSION


def device_of(head: RequestHead) -> Device:
    """Describe the device of a request, for its owner to recognise."""
    agent = next((v for n, v in head.headers if n.lower() == _USER_AGENT), b"")
    return Device(
        ip_address=head.client, user_agent=agent.decode("utf-8", "replace")[:256]
    )


def new_session_id(edge: Edge) -> str:
    """Return a new public session id: a UUID, as the Ory SDK expects one."""
    return str(UUID(bytes=edge.secret(16), version=4))
