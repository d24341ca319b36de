"""The session of a request to one of the gateway's own endpoints."""

from gateway.errors import ClientLimit
from gateway.server.context import RequestContext, Services
from gateway.server.guessing import count_failed_session
from gateway.server.shares import share_key
from gateway.sessions.access_token import AccessToken
from gateway.sessions.authenticate import (
    BY_THE_CLOCK,
    Anonymous,
    Authentication,
    authenticate,
    authenticate_token,
)
from gateway.sessions.store import Found, SessionCredential
from gateway.spine.credential import credential_of_own


async def caller_of(context: RequestContext) -> Authentication:
    """Return the authentication of a request; `last_seen_at` is not updated.

    Raises:
        StoreUnavailable: the store could not be queried.
        TooManyAttempts: as `look_up`.
    """
    held = presented(context)
    if isinstance(held, Anonymous):
        return held
    return await look_up(held, context)


def presented(context: RequestContext) -> SessionCredential | Anonymous:
    """Return the session credential of a request; count an invalid one.

    Raises:
        TooManyAttempts: the address has sent too many invalid ones.
    """
    found = credential_of_own(context.head, context.rules)
    if isinstance(found, Anonymous):
        count_failed_session(found, None, context)
    return found


async def query_store(held: SessionCredential, context: RequestContext) -> Found:
    """Return what the store holds for a credential; record how long that took.

    Raises:
        StoreUnavailable: the store could not be queried.
        ClientLimit: the client has too many queries waiting.
    """
    services, client = context.services, share_key(context.head.client)
    if client and not services.lookups.take(client):
        raise ClientLimit("the client has too many look-ups waiting")
    ticks = services.system.ticks
    began = ticks()
    try:
        return await services.store_of(held).look_up(held, context.now)
    finally:
        context.lookup_time = ticks() - began
        if client:
            services.lookups.give_back(client)


async def look_up(held: SessionCredential, context: RequestContext) -> Authentication:
    """Return the authentication of a credential at this time.

    Raises:
        StoreUnavailable: the store could not be queried.
        TooManyAttempts: the session is unknown, and its address has sent too many.
    """
    services, key = context.services, held.key
    record = await query_store(held, context)
    now = services.ended.at_least(key, context.now)
    policy = context.rules.lifetimes
    found = (
        authenticate_token(record, token=held, now=now, policy=policy)
        if isinstance(held, AccessToken)
        else authenticate(record, key=key, now=now, policy=policy)
    )
    note_end(found, key, now, services)
    if isinstance(found, Anonymous):
        count_failed_session(found, key, context)
    return found


def note_end(found: Authentication, key: str, now: float, services: Services) -> None:
    """Record a session that expired, so that a clock set back does not revive it.

    Its open streams end now, not at the next periodic check.
    """
    if isinstance(found, Anonymous) and found.reason in BY_THE_CLOCK:
        services.ended.note(key, now)
        services.streams.end(key, found.reason)
