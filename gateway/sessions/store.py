"""Protocols of the session store, and functions that all stores share.

| promise | who keeps it |
| --- | --- |
| SessionSource | every store: sessions are looked up, and ended |
| SessionStore | the one of the gateway's own format: it also writes them |

Keys are the hex SHA-256 of the secret in the cookie. A store that cannot answer
raises StoreUnavailable: "could not find out" is never "no session".
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final, Protocol, TypeAlias

from gateway.errors import StoreUnavailable
from gateway.sessions.access_token import AccessToken
from gateway.sessions.cookie import SessionToken
from gateway.sessions.formats.credential import Credential
from gateway.sessions.provider_link import LogoutStore
from gateway.sessions.provider_token import ProviderToken
from gateway.sessions.record import AnonymousSession, Corrupt, Session

# A record outlives its session, so that "expired" and "unknown" differ.
KEPT_AFTER_END: Final = 86_400.0

# Called with the key of a session that ended, and the reason word.
OnEnded: TypeAlias = Callable[[str, str], None]
# Called with the key of a session whose identity, roles or memberships changed.
OnChanged: TypeAlias = Callable[[str], None]
# Called when a subscription begins or resumes: endings before that were not received,
# so holders of streams query again.
OnResubscribe: TypeAlias = Callable[[], None]


# The secret of a session cookie or of a program, checked for its shape and signature.
SessionCredential: TypeAlias = SessionToken | Credential | AccessToken | ProviderToken
OF_PROGRAMS: Final = (AccessToken, ProviderToken)
"""The types of those that programs send."""
Found: TypeAlias = Session | AnonymousSession | Corrupt | None


OnFound: TypeAlias = Callable[[Found | StoreUnavailable], None]


class NotSeen(StoreUnavailable):
    """This session was not looked up in this process, or left the cache."""


class SessionSource(Protocol):
    """Look-up and revocation of sessions, managed by the gateway or an app.

    Every method may raise StoreUnavailable.

    What `look_up`, `refresh` and `load` return is frozen, and one object stands for one
    state: an unchanged session may be the same object again, a changed or revoked one
    never is. So a value derived from a session may be kept and used again
    for that very object (`is`); the store is still queried each time.
    """

    def look_up(self, held: SessionCredential, now: float) -> Awaitable[Found]:
        """Look up the session of a cookie; never answered from a cache."""
        ...

    def begin(self, held: SessionCredential, now: float, done: OnFound) -> None:
        """Look up as `look_up` does; `done` is called once, later, and must not raise."""
        ...

    def refresh(self, key: str, now: float) -> Awaitable[Found]:
        """Look up a session again, by its key."""
        ...

    async def end(
        self, key: str, now: float, reason: str = "revoked"
    ) -> Session | None:
        """End a session and notify the watchers.

        Give it as it is now, or None where there was no active one.
        """
        ...

    async def end_all(
        self, identity_id: str, now: float, but: str | None, *, tokens: bool = True
    ) -> int:
        """End all sessions of an identity except one key; return how many were active.

        With `tokens` False its access tokens stay. Those that have expired by `now` end too: by another clock they may live.
        """
        ...

    async def list_for(self, identity_id: str, now: float) -> list[tuple[str, Session]]:
        """Return the active sessions of an identity with their keys, newest first.

        Access tokens are among them; `in_browsers` leaves them out.
        """
        ...

    async def find(self, session_id: str) -> tuple[str, Session] | None:
        """Return key and session by public ID, ended or not; None if not kept."""
        ...

    def watch(
        self,
        on_ended: OnEnded,
        on_resubscribe: OnResubscribe | None = None,
        on_changed: OnChanged | None = None,
    ) -> None:
        """Register callbacks for sessions that end or are amended, here or elsewhere."""
        ...

    async def ping(self) -> None:
        """Return if the store responds in time; else raise StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Release all resources; later calls raise StoreUnavailable."""
        ...


class SessionStore(SessionSource, Protocol):
    """Gateway-managed sessions."""

    @property
    def logouts(self) -> LogoutStore:
        """The sessions by provider."""
        ...

    def load(self, key: str) -> Awaitable[Session | Corrupt | None]:
        """Load one record; never answered from a cache."""
        ...

    async def create(self, key: str, session: Session, now: float) -> list[str]:
        """Store a new session; return the keys of sessions ended for it.

        An access token ends none, and none is ended for another session. Raises
        ValueError if the key is taken or the record is too large.
        """
        ...

    async def list_tokens(self, now: float) -> list[tuple[str, Session]]:
        """Return the active access tokens of all identities with their keys."""
        ...

    async def replace(self, key: str, old: Session, new: Session) -> bool:
        """Write `new` if `old` is still what is stored; else False.

        So a session that was ended in between stays ended.
        """
        ...

    async def amend(self, key: str, old: Session, new: Session) -> bool:
        """Replace as `replace`, notify the watchers, and return when that is durable.

        Its times stay. `new` may be `old`: then only the durability is ensured.
        """
        ...


def ended_session(session: Session, now: float, reason: str) -> Session:
    """Return the session as stored after its end."""
    return replace(session, active=False, ended_at=now, ended_reason=reason)


def lives(session: Session, identity_id: str, now: float) -> bool:
    """Return whether the session belongs to the identity and is active at `now`."""
    return (
        session.active
        and session.expires_at > now
        and session.identity.id == identity_id
    )


def newest_first(pairs: Iterable[tuple[str, Session]]) -> list[tuple[str, Session]]:
    """Sort by sign-in, then by key so that every store gives the same order."""
    return sorted(
        pairs,
        key=lambda pair: (max(pair[1].issued_at, pair[1].authenticated_at), pair[0]),
        reverse=True,
    )


def in_browsers(pairs: Iterable[tuple[str, Session]]) -> list[tuple[str, Session]]:
    """Return the sessions that are not access tokens."""
    return [(key, session) for key, session in pairs if session.token_name is None]


def access_tokens(pairs: Iterable[tuple[str, Session]]) -> list[tuple[str, Session]]:
    """Return the sessions that are access tokens."""
    return [(key, session) for key, session in pairs if session.token_name is not None]


def surplus_keys(
    live: list[tuple[str, Session]], limit: int | None, newest: str
) -> list[str]:
    """Return the keys to end so that `limit` remain: the oldest, never `newest`."""
    if limit is None:
        return []
    others = [key for key, _ in in_browsers(live) if key != newest]
    return others[max(0, limit - 1) :]
