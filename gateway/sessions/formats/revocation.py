"""The gateway's own revocations of app-managed sessions. Pure.

Libraries write a deleted session back when a request is in flight, so that it is
gone from Redis proves little. What the gateway ends it remembers itself:

| key | holds | lives |
| --- | --- | --- |
| `gateway:revoked:<hex SHA-256 of the id>` | anything | as long as the session could |
| `gateway:not-before:<identity id>` | seconds since the epoch, in decimal | the same |
| `gateway:issued:<hex SHA-256 of the id>` | seconds since the epoch, in decimal | the same |

Sessions that began before `not-before` have ended, except the one whose hash follows
the time and a space. Some libraries store when a session began; for the others the
gateway stores `issued` when an app sets a new id. A session whose beginning is
unknown counts as old.
"""

import re
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote

from gateway.sessions.record import Session
from gateway.sessions.timestamps import CLOCK_LEEWAY, LATEST


def tombstone_key(key: str) -> str:
    """Return the key of a tombstone, given the hex SHA-256 of the session ID."""
    return f"gateway:revoked:{key}"


@lru_cache(maxsize=10_000)
def not_before_key(identity_id: str) -> str:
    """Return the key of the time before which an identity's sessions are revoked."""
    return f"gateway:not-before:{quote(identity_id, safe='')}"


def issued_key(key: str) -> str:
    """Return the key of the time at which the gateway saw a session begin."""
    return f"gateway:issued:{key}"


def with_revocation(
    session: Session,
    *,
    tombstone: bytes | None,
    not_before: bytes | None,
    issued: bytes | None = None,
    now: float = LATEST,
) -> Session:
    """Return the session with the gateway's own revocations applied.

    A session that began later than `now` counts as old: the app's clock was ahead, and
    it may have begun before all of the identity's sessions were ended.

    An unreadable value of a key counts against the session.
    """
    session = with_issue(session, issued)
    if tombstone is not None:
        return _ended(session)
    if not_before is not None:
        moment, _, spared = not_before.partition(b" ")
        since = _moment(moment)
        if since is None:
            return _ended(session)
        old = session.issued_at < since or is_ahead(session, now)
        if old and spared != session.id.encode():
            return _ended(session)
    return session


def with_issue(session: Session, issued: bytes | None) -> Session:
    """Return the session with the noted time of its beginning, if it has none itself."""
    if session.issued_at or issued is None:
        return session
    began = _moment(issued) or 0.0
    return replace(session, issued_at=began, authenticated_at=began)


def is_ahead(session: Session, now: float) -> bool:
    """Return whether the session begins in the future, beyond clock skew."""
    return session.issued_at > now + CLOCK_LEEWAY


def not_before_value(now: float, spared: str | None) -> str:
    """Return the value of `not_before_key`: sessions begun before `now` are revoked.

    `spared` is the hash of the one session that continues, which began earlier. It
    is part of the same value, so that the next revocation replaces both.
    """
    return f"{now:.6f}" if spared is None else f"{now:.6f} {spared}"


def later_of(one: bytes | None, other: bytes | None) -> bytes | None:
    """Return the later of two values of `not_before_key`."""
    if one is None or other is None:
        return other if one is None else one
    first, second = (_moment(each.partition(b" ")[0]) for each in (one, other))
    if first is None or second is None:
        return one if first is None else other
    return one if first >= second else other


def _ended(session: Session) -> Session:
    return replace(session, active=False, ended_reason="revoked")


def _moment(raw: bytes) -> float | None:
    if not _DECIMAL(raw):
        return None
    moment = float(raw)
    return moment if moment <= LATEST else None


_DECIMAL = re.compile(rb"[0-9]{1,12}(?:\.[0-9]{1,9})?").fullmatch
