"""Authenticate a record at a given time: session, or anonymous with a reason. Pure."""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from gateway.http.authorization import CredentialKind
from gateway.http.value import value
from gateway.interval import Interval
from gateway.reasons import Reason
from gateway.sessions.access_token import AccessToken
from gateway.sessions.provider_token import ProviderToken, Rejected
from gateway.sessions.record import AnonymousSession, Corrupt, Session

# `last_seen_at` is for people and for idle time-outs: a minute is exact enough,
# and keeps a busy session from writing at every request.
SEEN_EVERY: Final = 60.0

# An access token has no idle time-out: "last used" is for people alone.
TOKEN_SEEN_EVERY: Final = 300.0

BY_THE_CLOCK: Final = (Reason.SESSION_EXPIRED, Reason.SESSION_IDLE)
"""Reasons of sessions that end by time alone."""

DOUBTED: Final = 300.0
"""Seconds for which a large step of the clock is doubted: NTP polls about once a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimePolicy:
    """How long sessions live, in seconds.

    `extend_within` None: `lifespan` counts from the sign-in, never longer.
    Otherwise a request in the last `extend_within` seconds starts a new life of
    `lifespan`. `idle_timeout` None: no session ends for want of use.

    `by_app`: another program writes the sessions and decides about all that. The
    cookie is its own, and may go only where the gateway itself ended the session.
    """

    lifespan: float
    idle_timeout: float | None = None
    extend_within: float | None = None
    by_app: bool = False

    @property
    def write_every(self) -> float:
        """The least time between two writes of `last_seen_at`."""
        if self.idle_timeout is None:
            return SEEN_EVERY
        return min(SEEN_EVERY, self.idle_timeout / 10)


@value
class Authenticated:
    """The session is valid. `key` is its place in the store."""

    session: Session
    key: str


@value
class Anonymous:
    """Unauthenticated.

    ended  there was a session; its cookie may be cleared
    twice  there are several session cookies, which may all be cleared
    sent   the credential was in the Authorization field: how; None: it was not
    detail  what is wrong with it, for the log; never sent
    """

    reason: Reason
    ended: bool = False
    twice: bool = False
    sent: CredentialKind | None = None
    detail: str = ""


Authentication: TypeAlias = Authenticated | Anonymous


def authenticate(
    record: Session | AnonymousSession | Corrupt | Rejected | None,
    *,
    key: str,
    now: float,
    policy: LifetimePolicy,
) -> Authentication:
    """Judge what the store answered for a token.

    The first that applies: unreadable, unknown, revoked, expired, idle. Only what
    was read as a session, or is certainly none, makes the cookie go: bytes that
    cannot be read may be readable again tomorrow.
    """
    match record:
        case Corrupt():
            return Anonymous(reason=Reason.SESSION_UNREADABLE)
        case AnonymousSession():
            return Anonymous(reason=Reason.NO_SESSION)
        case None:
            return Anonymous(reason=Reason.UNKNOWN_SESSION, ended=not policy.by_app)
        case Session():
            why = _ended(record, now, policy)
            if why is not None:
                ours = not policy.by_app or why is Reason.SESSION_REVOKED
                return Anonymous(reason=why, ended=ours)
            return Authenticated(session=record, key=key)
        case Rejected():
            return Anonymous(reason=record.reason, detail=record.detail)


def authenticate_token(
    record: Session | AnonymousSession | Corrupt | Rejected | None,
    *,
    token: AccessToken | ProviderToken,
    now: float,
    policy: LifetimePolicy,
) -> Authentication:
    """Judge what was found for an access token.

    As `authenticate`; the record must be that of an access token. No cookie is cleared.
    """
    found = authenticate(record, key=token.key, now=now, policy=policy)
    if isinstance(found, Anonymous):
        return Anonymous(reason=found.reason, sent=token.kind, detail=found.detail)
    if found.session.token_name is None:
        return Anonymous(reason=Reason.UNKNOWN_SESSION, sent=token.kind)
    return found


def end_of_life(session: Session, policy: LifetimePolicy) -> float:
    """Return the latest end in seconds since the epoch, ignoring the idle timeout."""
    if policy.extend_within is not None or session.token_name is not None:
        return session.expires_at
    # A provider may have authenticated the user long before it signed in here.
    began = max(session.issued_at, session.authenticated_at)
    return min(session.expires_at, began + policy.lifespan)


def touch(
    session: Session, now: float, policy: LifetimePolicy, *, doubted: bool = False
) -> Session | None:
    """Return the session to write back after a use, or None.

    A use is noted once per `write_every`; a life is extended when its last
    `extend_within` seconds have begun and that gains at least as much. A `doubted`
    time is not written: it would stay in the record when the clock is right again.
    """
    if doubted and now - session.issued_at > DOUBTED:
        return None
    seen = max(now, session.last_seen_at)  # clocks of several machines disagree
    unseen = now - session.last_seen_at >= policy.write_every
    extended = now + policy.lifespan
    if session.token_name is not None:
        # The first use is written at once: "never used" has to be right.
        first = session.last_seen_at <= session.issued_at < now
        unseen = first or now - session.last_seen_at >= TOKEN_SEEN_EVERY
        return replace(session, last_seen_at=seen) if unseen else None
    if (
        policy.extend_within is not None
        and session.expires_at - now <= policy.extend_within
        and extended - session.expires_at >= policy.write_every
    ):
        return replace(session, expires_at=extended, last_seen_at=seen)
    return replace(session, last_seen_at=seen) if unseen else None


def unchanged(session: Session, policy: LifetimePolicy) -> Interval:
    """Return when an active session is valid and `touch` returns None for it.

    It may be longer valid, or need no write for longer, than that.
    """
    until = end_of_life(session, policy)
    if session.token_name is not None:
        used = session.last_seen_at > session.issued_at
        seen = session.last_seen_at + (TOKEN_SEEN_EVERY if used else 0.0)
        return Interval(until=min(until, seen))
    if policy.by_app:
        return Interval(until=until)
    idle = policy.write_every
    if policy.idle_timeout is not None:
        idle = min(idle, policy.idle_timeout)
    until = min(until, session.last_seen_at + idle)
    if policy.extend_within is not None:
        until = min(until, session.expires_at - policy.extend_within)
    return Interval(until=until)


def _ended(session: Session, now: float, policy: LifetimePolicy) -> Reason | None:
    if not session.active:
        return Reason.SESSION_REVOKED
    if now >= end_of_life(session, policy):
        return Reason.SESSION_EXPIRED
    if (
        policy.idle_timeout is not None
        and session.token_name is None
        and now - session.last_seen_at >= policy.idle_timeout
    ):
        return Reason.SESSION_IDLE
    return None
