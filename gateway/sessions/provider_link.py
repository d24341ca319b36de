"""Sessions by what an OpenID Connect provider knows of them; and what it ended.

| noun | meaning |
| --- | --- |
| ProviderLink | what a session record keeps of the provider: member `provider` |
| ProviderLogout | the sessions that a provider ended |
| LogoutMark | what is kept of a logout, for sign-ins that are in progress |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from gateway.sessions.record import Session

LEEWAY: Final = 60.0
"""Seconds by which the clocks of the provider and the gateway may differ."""
MARK_LIFETIME: Final = 960.0
"""Seconds: a sign-in is in progress for 15 minutes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLink:
    """What a session keeps of its provider.

    session_id  `sid` of the ID token; None: it had none
    issued_at   `iat` of the ID token, by the provider's clock; None: not known
    """

    issuer: str
    subject: str
    session_id: str | None = None
    issued_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLogout:
    """The sessions that a provider ended: one of them, or those of a subject.

    subject     None: `session_id` alone names it
    session_id  `sid`; None: all of the subject
    issued_at   seconds since the epoch, by the provider's clock
    """

    issuer: str
    subject: str | None
    session_id: str | None
    issued_at: float

    def means(self, link: ProviderLink, began: float) -> bool:
        """Return whether a session is one of them.

        Args:
            link: what the session keeps of the provider.
            began: when it began. A logout that is sent again ends no later session.
        """
        if link.issuer != self.issuer:
            return False
        if self.subject is not None and link.subject != self.subject:
            return False
        # A session whose ID token had no `sid` may be the one.
        alike = self.session_id == link.session_id or (
            self.subject is not None and None in {self.session_id, link.session_id}
        )
        if link.issued_at is None:
            return alike and began <= self.issued_at + LEEWAY
        # Both by the provider's clock.
        return alike and link.issued_at <= self.issued_at


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutMark:
    """A logout of the last minutes.

    issued_at    by the provider's clock
    received_at  by the gateway's clock
    """

    issued_at: float
    received_at: float

    def means(self, link: ProviderLink, began: float) -> bool:
        """Return whether a sign-in is one that ended before its session was stored.

        `began` is when the sign-in was begun: its code may be older than the logout.
        """
        issued = link.issued_at
        return began <= self.received_at or (
            issued is not None and issued <= self.issued_at
        )


class LogoutStore(Protocol):
    """Sessions by provider, and what it ended, in one place for all processes.

    Every method may raise StoreUnavailable.
    """

    async def list_linked(self, logout: ProviderLogout) -> list[tuple[str, Session]]:
        """Return the active sessions that a logout means, with their keys."""
        ...

    async def mark_logout(
        self, logout: ProviderLogout, mark: LogoutMark, keep: float = MARK_LIFETIME
    ) -> None:
        """Keep a logout for sign-ins in progress; return when that is held.

        `keep` is in seconds: as long as an access token of the provider may live, if the
        gateway accepts them.
        """
        ...

    async def find_marks(self, link: ProviderLink) -> list[LogoutMark]:
        """Return the logouts of the last minutes that could mean a sign-in."""
        ...

    async def keep_id_token(self, key: str, sealed: bytes, seconds: float) -> None:
        """Keep the ID token of a session, encrypted, until the session ends."""
        ...

    async def find_id_token(self, key: str) -> bytes | None:
        """Return the encrypted ID token of a session."""
        ...

    async def was_used(self, issuer: str, jti: str) -> bool:
        """Return whether a logout token was used."""
        ...

    async def note_use(self, issuer: str, jti: str, seconds: float) -> bool:
        """Keep for some seconds that a logout token was used; False if it was known."""
        ...


def link_of(session: Session) -> ProviderLink | None:
    """Return what a session keeps of its provider; None if it is not complete."""
    facts = session.extra.get("provider")
    return read_link(facts) if isinstance(facts, Mapping) else None


def read_link(facts: Mapping[str, Any]) -> ProviderLink | None:
    """Return the link in the member `provider` of a record."""
    issuer, subject, sid = (
        value if isinstance(value := facts.get(name), str) else None
        for name in ("issuer", "subject", "session_id")
    )
    if issuer is None or subject is None:
        return None
    return ProviderLink(
        issuer=issuer,
        subject=subject,
        session_id=sid,
        issued_at=_time(facts.get("issued_at")),
    )


def write_mark(mark: LogoutMark) -> bytes:
    """Return a mark as it is stored."""
    return orjson.dumps([mark.issued_at, mark.received_at])


def read_mark(raw: bytes) -> LogoutMark | None:
    """Return a stored mark; None for bytes that are none."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, list) or len(found) != 2:
        return None
    issued, received = (_time(each) for each in found)
    if issued is None or received is None:
        return None
    return LogoutMark(issued_at=issued, received_at=received)


def _time(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else None  # type: ignore[arg-type]
