"""The session of a request to one of the gateway's own endpoints."""

from gateway.errors import ClientLimit
from gateway.reasons import Reason
from gateway.server.context import RequestContext, Services
from gateway.server.guessing import count_failed_session, refuse_unverified
from gateway.server.shares import share_key
from gateway.sessions.authenticate import (
    BY_THE_CLOCK,
    Anonymous,
    Authentication,
    authenticate,
    authenticate_token,
)
from gateway.sessions.provider_token import ProviderToken, Rejected
from gateway.sessions.record import Session
from gateway.sessions.store import OF_PROGRAMS, Found, SessionCredential
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


async def look_up_provider_token(
    held: ProviderToken, context: RequestContext
) -> Session | Rejected:
    """Return the session that an access token of a provider stands for.

    Raises:
        KeysUnavailable, StoreUnavailable, ClientLimit: see ProviderTokens.look_up.
    """
    tokens = context.services.provider_tokens
    if tokens is None:
        return Rejected(Reason.TOKEN_INVALID, "access token: none is accepted")
    providers, client = context.runtime.providers, share_key(context.head.client)
    return await tokens.look_up(held, context.now, providers, client)


async def query_store(
    held: SessionCredential, context: RequestContext
) -> Found | Rejected:
    """Return what the store holds for a credential; record how long that took.

    Raises:
        StoreUnavailable: the store could not be queried.
        ClientLimit: the client has too many queries waiting.
    """
    if isinstance(held, ProviderToken):
        return await look_up_provider_token(held, context)
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
    if isinstance(held, ProviderToken):
        refuse_unverified(held, context)
    record = await query_store(held, context)
    now = services.ended.at_least(key, context.now)
    policy = context.rules.lifetimes
    found = (
        authenticate_token(record, token=held, now=now, policy=policy)
        if isinstance(held, OF_PROGRAMS)
        else authenticate(record, key=key, now=now, policy=policy)
    )
    note_end(found, key, now, services)
    if isinstance(found, Anonymous):
        count_failed_session(found, held, context)
    return found


def note_end(found: Authentication, key: str, now: float, services: Services) -> None:
    """Record a session that expired, so that a clock set back does not revive it.

    Its open streams end now, not at the next periodic check.
    """
    if isinstance(found, Anonymous) and found.reason in BY_THE_CLOCK:
        services.ended.note(key, now)
        services.streams.end(key, found.reason)
