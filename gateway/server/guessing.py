"""Limits guessed sessions: an address with too many unknown ones gets a 429.

The session is always looked up first, so a valid one passes even if its address is
limited. Only failed requests are counted, and refused beyond the allowance. An access token
of a provider that was not verified before is refused as well: that costs a signature.
"""

from math import ceil
from typing import Final

from gateway.errors import TooManyAttempts
from gateway.http.forwarded import is_trusted, parse_address
from gateway.reasons import Reason
from gateway.server.attempts import Allowance, Kind, source_of
from gateway.server.context import RequestContext, Services
from gateway.server.runtime import GuessRules, Runtime
from gateway.sessions.authenticate import Anonymous
from gateway.sessions.provider_token import ProviderToken
from gateway.sessions.store import SessionCredential

_GUESSED: Final = frozenset(
    (Reason.UNKNOWN_SESSION, Reason.BAD_SIGNATURE, Reason.TOKEN_INVALID)
)
"""The results of a guess. A malformed cookie is never valid and needs no look-up; an
ended session was valid before."""


def count_failed_session(
    found: Anonymous, held: SessionCredential | None, context: RequestContext
) -> None:
    """Count a session cookie that is unknown or has an invalid signature.

    The same cookie is counted once: a page sends it with many requests.

    Args:
        found: the failed authentication.
        held: what was looked up; None if the signature of the cookie is invalid.
        context: the request.

    Raises:
        TooManyAttempts: the address has no attempt left. The gateway's own cookie is
            cleared, so that the next request of the browser is not an attempt.
    """
    rules, services = context.runtime.guessing, context.services
    if rules is None or found.reason not in _GUESSED:
        return
    source = counted_source(rules, context.head.client)
    if source is None:
        return
    attempts, now = services.attempts[Kind.SESSION], services.system.ticks()
    if isinstance(held, ProviderToken):
        secret = hash(held.digest)
    else:
        secret = hash(_session_cookies(context) if held is None else held.key)
    if attempts.is_repeated(secret, rules.sessions, now):
        return
    refuse_beyond(Kind.SESSION, source, rules.sessions, services, clear=found.ended)
    attempts.charge(source, rules.sessions, now)
    attempts.remember(secret, now)
    services.report.attempt_failed(Kind.SESSION)


def refuse_unverified(held: ProviderToken, context: RequestContext) -> None:
    """Refuse an access token of a limited address, if to judge it costs a signature.

    Raises:
        TooManyAttempts: it was not verified before, and the address has no attempt left.
    """
    rules, services = context.runtime.guessing, context.services
    if rules is None or services.provider_tokens is None:
        return
    source = counted_source(rules, context.head.client)
    if source is None:
        return
    if not services.provider_tokens.is_known(held, context.runtime.providers):
        refuse_beyond(Kind.SESSION, source, rules.sessions, services)


def count_failed_admin(client: str, runtime: Runtime, services: Services) -> None:
    """Count a call to the admin API with a wrong token; the right one always passes.

    Raises:
        TooManyAttempts: the address has no attempt left.
    """
    rules = runtime.guessing
    source = None if rules is None else counted_source(rules, client)
    if rules is None or source is None:
        return
    refuse_beyond(Kind.ADMIN, source, rules.sign_ins, services)
    services.attempts[Kind.ADMIN].charge(
        source, rules.sign_ins, services.system.ticks()
    )
    services.report.attempt_failed(Kind.ADMIN)


def counted_source(rules: GuessRules, client: str) -> str | None:
    """Return the key of the client's attempts; None if exempt or unknown."""
    address = parse_address(client)
    return None if is_trusted(address, rules.exempt) else source_of(address)


def refuse_beyond(
    kind: Kind,
    source: str,
    allowance: Allowance,
    services: Services,
    *,
    clear: bool = False,
) -> None:
    """Raise if no attempt is left.

    Raises:
        TooManyAttempts: with the seconds to wait.
    """
    attempts, now = services.attempts[kind], services.system.ticks()
    wait = attempts.wait(source, allowance, now)
    if wait:
        services.report.attempt_refused(kind, attempts.refuse(source, allowance, now))
        raise TooManyAttempts(retry_after=ceil(wait), clear=clear)


def _session_cookies(context: RequestContext) -> tuple[bytes, ...]:
    name = context.rules.cookie_name + b"="
    return tuple(
        pair
        for field in context.head.cookies
        for pair in field.split(b";")
        if pair.strip().startswith(name)
    )
